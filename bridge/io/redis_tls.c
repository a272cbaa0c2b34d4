#include "bridge/io/redis_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>

#include "base/text.h"

struct redis_tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t trust;
};

static int fail(struct err *err, const char *what, int code)
{
    return err_set(err, ERR_AUTH, "%s: %s", what, gnutls_strerror(code));
}

static bool is_number(const char *host)
{
    unsigned char room[16];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

static int load_trust(struct redis_tls *tls, const struct redis_options *o, struct err *err)
{
    int rc = gnutls_certificate_allocate_credentials(&tls->trust);
    if (rc < 0)
        return fail(err, "TLS", rc);
    if (o->insecure)
        return 0;
    if (!o->ca_file)
        rc = gnutls_certificate_set_x509_system_trust(tls->trust);
    else
        rc = gnutls_certificate_set_x509_trust_file(tls->trust, o->ca_file, GNUTLS_X509_FMT_PEM);
    return rc < 0 ? fail(err, o->ca_file ? o->ca_file : "the system's certificates", rc) : 0;
}

static int prepare(struct redis_tls *tls, int fd, const char *host, const struct redis_options *o, struct err *err)
{
    int rc = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (rc == 0)
        rc = gnutls_set_default_priority(tls->session);
    if (rc == 0)
        rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->trust);
    if (rc == 0 && !is_number(host))
        rc = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (rc < 0)
        return fail(err, "TLS", rc);
    if (!o->insecure)
        gnutls_session_set_verify_cert(tls->session, host, 0);
    gnutls_transport_set_int(tls->session, fd);
    return 0;
}

static int say_untrusted(struct redis_tls *tls, const char *host, struct err *err)
{
    gnutls_datum_t text = {0};
    unsigned status = gnutls_session_get_verify_cert_status(tls->session);
    if (gnutls_certificate_verification_status_print(status, gnutls_certificate_type_get(tls->session), &text, 0) < 0)
        return err_set(err, ERR_AUTH, "the certificate of %s is not good", host);
    err_set(err, ERR_AUTH, "%s: %s", host, (const char *)text.data);
    gnutls_free(text.data);
    return ERR_AUTH;
}

static int shake_hands(struct redis_tls *tls, int fd, const char *host, const struct redis_options *o, uint64_t deadline_us,
                       struct err *err)
{
    for (;;) {
        int rc = gnutls_handshake(tls->session);
        if (rc == 0)
            return 0;
        if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
            return say_untrusted(tls, host, err);
        if (gnutls_error_is_fatal(rc))
            return err_set(err, ERR_AUTH, "TLS with %s: %s", host, gnutls_strerror(rc));
        uint64_t now = time_mono_us();
        if (rc != GNUTLS_E_AGAIN)
            continue;
        short events = gnutls_record_get_direction(tls->session) ? POLLOUT : POLLIN;
        rc = now < deadline_us ? o->wait(fd, events, (int)((deadline_us - now) / 1000 + 1)) : 0;
        if (rc < 0)
            return err_sys(err, -rc, "TLS with %s", host);
        if (rc == 0)
            return err_set(err, -ETIMEDOUT, "%s: no TLS handshake in time; does this port speak TLS?", host);
    }
}

int redis_tls_open(struct redis_tls **out, int fd, const char *host, const struct redis_options *options, uint64_t deadline_us,
                   struct err *err)
{
    struct redis_tls *tls = calloc(1, sizeof(*tls));
    int rc = tls ? load_trust(tls, options, err) : err_sys(err, ENOMEM, "TLS");
    if (rc == 0)
        rc = prepare(tls, fd, host, options, err);
    if (rc == 0)
        rc = shake_hands(tls, fd, host, options, deadline_us, err);
    if (rc != 0) {
        redis_tls_close(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

static ssize_t result(ssize_t n)
{
    if (n >= 0)
        return n;
    return n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED ? -EAGAIN : n == GNUTLS_E_PREMATURE_TERMINATION ? 0 : -EPROTO;
}

ssize_t redis_tls_read(struct redis_tls *tls, void *into, size_t room)
{
    return result(gnutls_record_recv(tls->session, into, room));
}

ssize_t redis_tls_write(struct redis_tls *tls, const void *bytes, size_t len)
{
    return result(gnutls_record_send(tls->session, bytes, len));
}

void redis_tls_shut(struct redis_tls *tls)
{
    (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR); /* never blocks: the socket does not */
}

void redis_tls_close(struct redis_tls *tls)
{
    if (!tls)
        return;
    if (tls->session) {
        redis_tls_shut(tls);
        gnutls_deinit(tls->session);
    }
    if (tls->trust)
        gnutls_certificate_free_credentials(tls->trust);
    free(tls);
}
