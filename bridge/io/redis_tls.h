/*
 * TLS over a socket that never blocks, for redis_conn alone.
 */
#ifndef BRIDGE_IO_REDIS_TLS_H
#define BRIDGE_IO_REDIS_TLS_H

#include <sys/types.h>

#include "bridge/io/redis_conn.h"

struct redis_tls;

/** Shakes hands; the server's certificate and name are checked unless `insecure`. `wait` as of redis_options, until `deadline_us`
 * (time_mono_us). ERR_AUTH for a bad certificate, -ETIMEDOUT, -EINTR. */
int redis_tls_open(struct redis_tls **out, int fd, const char *host, const struct redis_options *options, uint64_t deadline_us,
                   struct err *err);
/** >0 bytes; 0: the other side ended it; -EAGAIN; -EPROTO. */
ssize_t redis_tls_read(struct redis_tls *tls, void *into, size_t room);
/** >0 bytes; -EAGAIN, then it is called again with the same; -EPROTO. */
ssize_t redis_tls_write(struct redis_tls *tls, const void *bytes, size_t len);
/** Says that nothing more is sent. */
void redis_tls_shut(struct redis_tls *tls);
/** Takes NULL. */
void redis_tls_close(struct redis_tls *tls);

#endif
