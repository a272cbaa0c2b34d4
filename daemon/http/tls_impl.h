/*
 * Inside TLS: what its files share.
 */
#ifndef DAEMON_TLS_IMPL_H
#define DAEMON_TLS_IMPL_H

#include <stdbool.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include "daemon/http/tls.h"

#define TLS_FINGERPRINT 32

struct tls {
    gnutls_certificate_credentials_t credentials;
    char **names;
    size_t name_count;
    char fingerprint[TLS_FINGERPRINT * 3];
};

/** From PEM texts; the names are for messages. */
int tls_from_pem(struct tls **out, const gnutls_datum_t *certificate, const char *certificate_name, const gnutls_datum_t *key,
                 const char *key_name, struct err *err);
/** A session of the server's side, not yet tied to a socket. GnuTLS's code. */
int tls_session(const struct tls *tls, gnutls_session_t *out);
/** A whole file of at most a MiB. `name` is for messages. -errno. */
int tls_read_file(gnutls_datum_t *out, int dirfd, const char *path, const char *name, struct err *err);

/* --- made by ourselves (tls_make.c) --- */

/** A new key as PEM; GnuTLS's code. To be freed by gnutls_free. */
int tls_make_key(gnutls_datum_t *out);
/** A certificate as PEM for the key and these names; GnuTLS's code. */
int tls_make_certificate(gnutls_datum_t *out, const gnutls_datum_t *key, const char *const *names);
/** Whether the certificate has all these names and stays good for a while. */
bool tls_still_fits(const gnutls_datum_t *certificate, const char *const *names);

#endif
