/*
 * Bytes to and from an endpoint: a socket that never blocks, with TLS over it where the endpoint
 * asks for it.
 */
#ifndef CLIENT_S2_PIPE_H
#define CLIENT_S2_PIPE_H

#include <sys/types.h>

#include "base/tls/tls_client.h"
#include "client/s2/handle.h"
#include "client/s2/place.h"

struct s2c_pipe {
    int fd; /**< -1: none */
    struct tls_client *tls; /**< NULL: none */
};
#define S2C_PIPE_INIT ((struct s2c_pipe){.fd = -1})

/** Connects and shakes hands; at `deadline` (time_mono_us) it gives up. WEIR_S2_CONNECT,
 * WEIR_S2_TLS. */
int s2c_pipe_open(struct s2c_pipe *out, const struct s2c_place *place,
                  const struct s2c_settings *set, uint64_t deadline, struct weir_s2_err *err);
/** >0 bytes; 0: the other side ended it; -EAGAIN; -errno, -EPROTO for TLS. */
ssize_t s2c_pipe_read(struct s2c_pipe *pipe, void *into, size_t room);
/** >0 bytes; -EAGAIN; -errno. */
ssize_t s2c_pipe_write(struct s2c_pipe *pipe, const void *bytes, size_t len);
/** Whether bytes wait inside TLS, which polling the descriptor would not show. */
bool s2c_pipe_holds(const struct s2c_pipe *pipe);
/** Takes one that is not open. */
void s2c_pipe_close(struct s2c_pipe *pipe);
/** Waits for `events` until the deadline: 0, -ETIMEDOUT, -errno. */
int s2c_wait(int fd, short events, uint64_t deadline);

#endif
