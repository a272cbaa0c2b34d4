/* TLS by GnuTLS: ALPN h2, the server's certificate and name checked unless that is turned off. */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <poll.h>
#include <stdlib.h>

#include "client/s2/pipe.h"

struct s2c_tls {
    gnutls_session_t session;
    gnutls_certificate_credentials_t trust;
};

static int fail(struct weir_s2_err *err, const char *what, int code)
{
    return s2c_fail(err, WEIR_S2_TLS, ERR_AUTH, "%s: %s", what, gnutls_strerror(code));
}

static bool is_number(const char *host)
{
    unsigned char room[16];
    return inet_pton(AF_INET, host, room) == 1 || inet_pton(AF_INET6, host, room) == 1;
}

static int load_trust(struct s2c_tls *tls, const struct s2c_settings *set, struct weir_s2_err *err)
{
    int rc = gnutls_certificate_allocate_credentials(&tls->trust);
    if (rc < 0)
        return fail(err, "TLS", rc);
    if (set->insecure)
        return 0;
    if (!set->ca_file)
        rc = gnutls_certificate_set_x509_system_trust(tls->trust);
    else
        rc = gnutls_certificate_set_x509_trust_file(tls->trust, set->ca_file, GNUTLS_X509_FMT_PEM);
    return rc < 0 ? fail(err, set->ca_file ? set->ca_file : "the system's certificates", rc) : 0;
}

static int prepare(struct s2c_tls *tls, int fd, const char *host, const struct s2c_settings *set,
                   struct weir_s2_err *err)
{
    gnutls_datum_t h2 = {(unsigned char[]){'h', '2'}, 2};
    int rc = gnutls_init(&tls->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL);
    if (rc == 0)
        rc = gnutls_set_default_priority(tls->session);
    if (rc == 0)
        rc = gnutls_credentials_set(tls->session, GNUTLS_CRD_CERTIFICATE, tls->trust);
    if (rc == 0)
        rc = gnutls_alpn_set_protocols(tls->session, &h2, 1, 0);
    if (rc == 0 && !is_number(host))
        rc = gnutls_server_name_set(tls->session, GNUTLS_NAME_DNS, host, strlen(host));
    if (rc < 0)
        return fail(err, "TLS", rc);
    if (!set->insecure)
        gnutls_session_set_verify_cert(tls->session, host, 0);
    gnutls_transport_set_int(tls->session, fd);
    return 0;
}

static int say_untrusted(struct s2c_tls *tls, const char *host, struct weir_s2_err *err)
{
    gnutls_datum_t text = {0};
    unsigned status = gnutls_session_get_verify_cert_status(tls->session);
    if (gnutls_certificate_verification_status_print(
            status, gnutls_certificate_type_get(tls->session), &text, 0) < 0)
        return s2c_fail(err, WEIR_S2_TLS, ERR_AUTH, "the certificate of %s is not good", host);
    s2c_fail(err, WEIR_S2_TLS, ERR_AUTH, "%s: %s", host, (const char *)text.data);
    gnutls_free(text.data);
    return ERR_AUTH;
}

static int shake_hands(struct s2c_tls *tls, int fd, const char *host, uint64_t deadline,
                       struct weir_s2_err *err)
{
    for (;;) {
        int rc = gnutls_handshake(tls->session);
        if (rc == 0)
            return 0;
        if (rc == GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR)
            return say_untrusted(tls, host, err);
        if (gnutls_error_is_fatal(rc))
            return fail(err, host, rc);
        short events = gnutls_record_get_direction(tls->session) ? POLLOUT : POLLIN;
        if (rc == GNUTLS_E_AGAIN && s2c_wait(fd, events, deadline) != 0)
            return s2c_fail(err, WEIR_S2_CONNECT, -ETIMEDOUT, "%s: no TLS handshake in time", host);
    }
}

int s2c_tls_open(struct s2c_tls **out, int fd, const char *host, const struct s2c_settings *set,
                 uint64_t deadline, struct weir_s2_err *err)
{
    struct s2c_tls *tls = calloc(1, sizeof(*tls));
    if (!tls)
        return s2c_no_memory(err);
    int rc = load_trust(tls, set, err);
    if (rc == 0)
        rc = prepare(tls, fd, host, set, err);
    if (rc == 0)
        rc = shake_hands(tls, fd, host, deadline, err);
    if (rc != 0) {
        s2c_tls_close(tls);
        return rc;
    }
    *out = tls;
    return 0;
}

static ssize_t result(ssize_t n)
{
    if (n >= 0)
        return n;
    return n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED ? -EAGAIN
           : n == GNUTLS_E_PREMATURE_TERMINATION            ? 0
                                                            : -EPROTO;
}

ssize_t s2c_tls_read(struct s2c_tls *tls, void *into, size_t room)
{
    return result(gnutls_record_recv(tls->session, into, room));
}

ssize_t s2c_tls_write(struct s2c_tls *tls, const void *bytes, size_t len)
{
    return result(gnutls_record_send(tls->session, bytes, len));
}

bool s2c_tls_holds(const struct s2c_tls *tls)
{
    return gnutls_record_check_pending(tls->session) > 0;
}

void s2c_tls_close(struct s2c_tls *tls)
{
    if (!tls)
        return;
    if (tls->session) {
        (void)gnutls_bye(tls->session, GNUTLS_SHUT_WR); /* never blocks: the socket does not */
        gnutls_deinit(tls->session);
    }
    if (tls->trust)
        gnutls_certificate_free_credentials(tls->trust);
    free(tls);
}
