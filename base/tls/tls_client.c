#include "base/tls/tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

struct tls_client {
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

static int load_trust(struct tls_client *tls, const struct tls_client_options *o, struct err *err)
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

static int offer(struct tls_client *tls, const char *protocol)
{
    gnutls_datum_t name = {(unsigned char *)protocol, (unsigned)strlen(protocol)};
    return gnutls_alpn_set_protocols(tls->session, &name, 1, 0);
}

static int prepare(struct tls_client *tls, int fd, const struct tls_client_options *o, struct err *err)
{
    int rc = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (rc == 0)
        rc = gnutls_set_default_priority(tls->session);
    if (rc == 0)
        rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->trust);
    if (rc == 0 && o->protocol)
        rc = offer(tls, o->protocol);
    if (rc == 0 && !is_number(o->host))
        rc = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, o->host, strlen(o->host));
    if (rc < 0)
        return fail(err, "TLS", rc);
    if (!o->insecure)
        gnutls_session_set_verify_cert(tls->session, o->host, 0);
    gnutls_transport_set_int(tls->session, fd);
    return 0;
}

static int say_untrusted(struct tls_client *tls, const char *host, struct err *err)
{
    gnutls_datum_t text = {0};
    unsigned status = gnutls_session_get_verify_cert_status(tls->session);
    if (gnutls_certificate_verification_status_print(status, gnutls_certificate_type_get(tls->session), &text, 0) < 0)
        return err_set(err, ERR_AUTH, "the certificate of %s is not good", host);
    err_set(err, ERR_AUTH, "%s: %s", host, (const char *)text.data);
    gnutls_free(text.data);
    return ERR_AUTH;
}

/* Until the socket is ready for what the handshake wants next. */
static int wait_for_it(struct tls_client *tls, int fd, const struct tls_client_options *o, struct err *err)
{
    uint64_t now = time_mono_us();
    short events = gnutls_record_get_direction(tls->session) ? POLLOUT : POLLIN;
    int rc = now < o->deadline_us ? o->wait(fd, events, (int)((o->deadline_us - now) / 1000 + 1)) : 0;
    if (rc < 0)
        return err_set(err, rc, "TLS with %s: %s", o->host, err_code_text(rc));
    return rc > 0 ? 0 : err_set(err, -ETIMEDOUT, "%s: no TLS handshake in time; does this port speak TLS?", o->host);
}

static int shake_hands(struct tls_client *tls, int fd, const struct tls_client_options *o, struct err *err)
{
    for (;;) {
        int rc = gnutls_handshake(tls->session);
        if (rc == 0)
            return 0;
        if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
            return say_untrusted(tls, o->host, err);
        if (gnutls_error_is_fatal(rc))
            return err_set(err, ERR_AUTH, "TLS with %s: %s", o->host, gnutls_strerror(rc));
        if (rc == GNUTLS_E_AGAIN && (rc = wait_for_it(tls, fd, o, err)) != 0)
            return rc;
    }
}

int tls_client_open(struct tls_client **out, int fd, const struct tls_client_options *options, struct err *err)
{
    struct tls_client *tls = calloc(1, sizeof(*tls));
    int rc = tls ? load_trust(tls, options, err) : err_sys(err, ENOMEM, "TLS");
    if (rc == 0)
        rc = prepare(tls, fd, options, err);
    if (rc == 0)
        rc = shake_hands(tls, fd, options, err);
    if (rc != 0) {
        tls_client_close(tls);
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

ssize_t tls_client_read(struct tls_client *tls, void *into, size_t room)
{
    return result(gnutls_record_recv(tls->session, into, room));
}

ssize_t tls_client_write(struct tls_client *tls, const void *bytes, size_t len)
{
    return result(gnutls_record_send(tls->session, bytes, len));
}

bool tls_client_holds(const struct tls_client *tls)
{
    return gnutls_record_check_pending(tls->session) > 0;
}

void tls_client_shut(struct tls_client *tls)
{
    (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR); /* never blocks: the socket does not */
}

void tls_client_close(struct tls_client *tls)
{
    if (!tls)
        return;
    if (tls->session) {
        tls_client_shut(tls);
        gnutls_deinit(tls->session);
    }
    if (tls->trust)
        gnutls_certificate_free_credentials(tls->trust);
    free(tls);
}
