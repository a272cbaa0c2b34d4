#include "client/s2/pipe.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "client/conn.h"

int s2c_wait(int fd, short events, uint64_t deadline)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = events};
        int left = time_left_ms(deadline);
        int n = poll(&p, 1, left);
        if (n > 0)
            return 0;
        if (n == 0 && time_left_ms(deadline) == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

/* Room for some batches in the kernel, so that neither side waits for the other at every frame. */
static void make_room(int fd)
{
    int room = 4 * 1024 * 1024;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
}

static int dial_one(int *out, const struct addrinfo *to, uint64_t deadline)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1, why = 0;
    socklen_t len = sizeof(why);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : -errno;
    if (rc == -EINPROGRESS || rc == -EINTR) {
        rc = s2c_wait(fd, POLLOUT, deadline);
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0)
            rc = -why;
    }
    if (rc != 0) {
        close(fd);
        return rc;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *out = fd;
    return 0;
}

static int dial_tcp(int *out, const struct weir_addr *addr, uint64_t deadline,
                    struct weir_s2_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(addr->host, addr->port, &hints, &list);
    if (rc != 0 && strcasecmp(addr->host, "localhost") == 0) /* also where no hosts file says so */
        rc = getaddrinfo("127.0.0.1", addr->port, &hints, &list);
    if (rc != 0)
        return s2c_fail(err, WEIR_S2_CONNECT, -EHOSTUNREACH, "host \"%s\" is not known (%s)",
                        addr->host, gai_strerror(rc));
    rc = -EHOSTUNREACH;
    for (struct addrinfo *a = list; a && rc < 0; a = a->ai_next)
        rc = dial_one(out, a, deadline);
    freeaddrinfo(list);
    return rc == 0 ? 0 : s2c_fail_sys(err, WEIR_S2_CONNECT, -rc, "connect to %s", addr->shown);
}

static int dial_unix(int *out, const struct weir_addr *addr, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    int rc = conn_dial(out, addr, &why);
    if (rc != 0)
        return s2c_fail(err, WEIR_S2_CONNECT, rc, "%s", why.text);
    make_room(*out);
    rc = set_nonblocking(*out);
    return rc == 0 ? 0 : s2c_fail_sys(err, WEIR_S2_CONNECT, -rc, "connect to %s", addr->shown);
}

static int wait_ready(int fd, short events, int wait_ms)
{
    int rc = s2c_wait(fd, events, time_mono_us() + (uint64_t)wait_ms * 1000);
    return rc == 0 ? 1 : rc == -ETIMEDOUT ? 0 : rc;
}

static int open_tls(struct s2c_pipe *pipe, const char *host, const struct s2c_settings *set, uint64_t deadline,
                    struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    struct tls_client_options o = {.host = host,
                                   .protocol = "h2",
                                   .ca_file = set->ca_file,
                                   .insecure = set->insecure,
                                   .deadline_us = deadline,
                                   .wait = wait_ready};
    int rc = tls_client_open(&pipe->tls, pipe->fd, &o, &why);
    return rc == 0 ? 0 : s2c_fail(err, rc == -ETIMEDOUT ? WEIR_S2_CONNECT : WEIR_S2_TLS, rc, "%s", why.text);
}

int s2c_pipe_open(struct s2c_pipe *out, const struct s2c_place *place,
                  const struct s2c_settings *set, uint64_t deadline, struct weir_s2_err *err)
{
    struct s2c_pipe pipe = S2C_PIPE_INIT;
    int rc = place->addr.kind == WEIR_UNIX ? dial_unix(&pipe.fd, &place->addr, err)
                                           : dial_tcp(&pipe.fd, &place->addr, deadline, err);
    if (rc == 0 && place->tls)
        rc = open_tls(&pipe, place->addr.host, set, deadline, err);
    if (rc != 0) {
        s2c_pipe_close(&pipe);
        return rc;
    }
    *out = pipe;
    return 0;
}

ssize_t s2c_pipe_read(struct s2c_pipe *pipe, void *into, size_t room)
{
    if (pipe->tls)
        return tls_client_read(pipe->tls, into, room);
    ssize_t n;
    do
        n = recv(pipe->fd, into, room, 0);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t s2c_pipe_write(struct s2c_pipe *pipe, const void *bytes, size_t len)
{
    if (pipe->tls)
        return tls_client_write(pipe->tls, bytes, len);
    ssize_t n;
    do
        n = send(pipe->fd, bytes, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

bool s2c_pipe_holds(const struct s2c_pipe *pipe)
{
    return pipe->tls && tls_client_holds(pipe->tls);
}

void s2c_pipe_close(struct s2c_pipe *pipe)
{
    tls_client_close(pipe->tls);
    if (pipe->fd >= 0)
        close(pipe->fd);
    *pipe = S2C_PIPE_INIT;
}
