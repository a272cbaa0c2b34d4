/*
 * What a daemon that speaks TLS shows of itself: a certificate and its key, by GnuTLS. TLS 1.2 and newer, the system's priorities, ALPN h2 and
 * http/1.1.
 *
 * Thread rule: made and destroyed while nothing uses it; read by the loop thread.
 */
#ifndef DAEMON_TLS_H
#define DAEMON_TLS_H

#include <weir/err.h>

struct tls;

/** From two PEM files: the certificate, with those that lead to its root behind it, and its key. ERR_INVALID: one is none, or they do not
 * belong together; -errno. */
int tls_load(struct tls **out, const char *certificate, const char *key, struct err *err);

/**
 * A certificate that nobody else has signed, for localhost, 127.0.0.1, ::1 and `names` (host names and numeric addresses, NULL-terminated). It and
 * its key are kept in `dirfd`/tls, for the owner alone, and used again; a certificate that lacks a name or runs out within a month is made
 * anew, with the same key. ERR_INVALID: what lies there is not one of these; -errno.
 */
int tls_self(struct tls **out, int dirfd, const char *const *names, struct err *err);

/** The certificate's host names and addresses (IPv6 in brackets), NULL-terminated. Live as long as it. */
const char *const *tls_names(const struct tls *tls);
/** SHA-256 of the certificate, as AB:CD:... Lives as long as it. */
const char *tls_fingerprint(const struct tls *tls);

/** Takes NULL. */
void tls_destroy(struct tls *tls);

#endif
