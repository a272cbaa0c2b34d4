/*
 * A client's side of TLS, by GnuTLS, over a socket that never blocks. The socket stays its owner's.
 *
 * Thread rule: one thread at a time.
 */
#ifndef BASE_TLS_TLS_CLIENT_H
#define BASE_TLS_TLS_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <weir/err.h>

struct tls_client;

struct tls_client_options {
    const char *host;     /**< the name that the server's certificate must have; a numeric address is not sent as a name */
    const char *protocol; /**< offered by ALPN; NULL: none */
    const char *ca_file;  /**< PEM, instead of the system's authorities; NULL */
    bool insecure;        /**< the certificate is not checked */
    uint64_t deadline_us; /**< of the handshake, by time_mono_us */
    /** Waits for events (of poll) of the descriptor: above 0: there; 0: wait_ms are over; negative: give up with this. */
    int (*wait)(int fd, short events, int wait_ms);
};

/** Shakes hands. ERR_AUTH for a certificate that is not good, or what is no TLS; -ETIMEDOUT; what `wait` gave; -ENOMEM. */
int tls_client_open(struct tls_client **out, int fd, const struct tls_client_options *options, struct err *err);
/** >0 bytes; 0: the other side ended it; -EAGAIN; -EPROTO. */
ssize_t tls_client_read(struct tls_client *tls, void *into, size_t room);
/** >0 bytes; -EAGAIN, then it is called again with the same; -EPROTO. */
ssize_t tls_client_write(struct tls_client *tls, const void *bytes, size_t len);
/** Whether bytes wait inside, which polling the socket would not show. */
bool tls_client_holds(const struct tls_client *tls);
/** Says that nothing more is sent. */
void tls_client_shut(struct tls_client *tls);
/** Takes NULL. */
void tls_client_close(struct tls_client *tls);

#endif
