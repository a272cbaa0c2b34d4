/*
 * Accepting. One poll handle a listener; when descriptors or room run out it stops polling and a
 * timer tries again, so that a full backlog costs no CPU.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "daemon/http/listen.h"
#include "daemon/http/listen_bind.h"

#define ACCEPT_BATCH 64
#define PAUSE_MS 100

struct listener {
    struct listen_options options;
    struct bound bound;
    uv_poll_t poll;
    uv_timer_t pause;
    unsigned open_handles;
};

static void on_ready(uv_poll_t *poll, int status, int events);

static void on_pause_over(uv_timer_t *timer)
{
    struct listener *listener = timer->data;
    uv_poll_start(&listener->poll, UV_READABLE, on_ready);
}

static void pause_accepting(struct listener *listener)
{
    uv_poll_stop(&listener->poll);
    uv_timer_start(&listener->pause, on_pause_over, PAUSE_MS, 0);
}

/* The directory's and the socket's mode keep others out already; this holds where those were
 * changed. */
static bool peer_allowed(int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0;
}

static void set_int(int fd, int level, int name, int value)
{
    setsockopt(fd, level, name, &value, sizeof(value));
}

/* A closed client of a silent follow shows only when it resets a probe, so probe soon. */
static void tune_tcp(int fd)
{
    set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
    set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
}

static void take(struct listener *listener, int fd)
{
    if (listener->bound.via == HTTP_VIA_UNIX && !peer_allowed(fd)) {
        close(fd);
        return;
    }
    if (listener->bound.via == HTTP_VIA_TCP)
        tune_tcp(fd);
    listener->options.accepted(listener->options.arg, fd, listener->bound.via);
}

static bool is_passing(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct listener *listener = poll->data;
    (void)status, (void)events;
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        if (listener->options.full && listener->options.full(listener->options.arg)) {
            pause_accepting(listener);
            return;
        }
        int fd = accept4(listener->bound.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take(listener, fd);
        } else if (!is_passing(errno)) {
            if (errno != EAGAIN)
                pause_accepting(listener);
            return;
        }
    }
}

static int start(struct listener **out, const struct listen_options *options, struct bound *bound,
                 struct err *err)
{
    struct listener *listener = calloc(1, sizeof(*listener));
    int rc = listener ? uv_poll_init(options->loop, &listener->poll, bound->fd) : -ENOMEM;
    if (rc < 0) {
        rc = err_sys(err, -rc, "listen on %s", bound->address);
        bound_finish(bound);
        free(listener);
        return rc;
    }
    listener->options = *options;
    listener->bound = *bound;
    uv_timer_init(options->loop, &listener->pause);
    listener->poll.data = listener->pause.data = listener;
    listener->open_handles = 2;
    uv_poll_start(&listener->poll, UV_READABLE, on_ready);
    *out = listener;
    return 0;
}

int listen_unix_at(struct listener **out, const struct listen_options *options, int dirfd,
                   const char *name, struct err *err)
{
    struct bound bound;
    int rc = bound_unix_at(&bound, dirfd, name, err);
    return rc < 0 ? rc : start(out, options, &bound, err);
}

int listen_expose(struct listener **out, const struct listen_options *options, const char *address,
                  struct err *err)
{
    struct bound bound;
    int rc = bound_expose(&bound, address, options->anywhere, err);
    return rc < 0 ? rc : start(out, options, &bound, err);
}

int listen_fd(struct listener **out, const struct listen_options *options, int fd, struct err *err)
{
    struct bound bound;
    int rc = bound_adopt(&bound, fd, options->anywhere, err);
    return rc < 0 ? rc : start(out, options, &bound, err);
}

const char *listen_address(const struct listener *listener)
{
    return listener->bound.address;
}

enum http_via listen_via(const struct listener *listener)
{
    return listener->bound.via;
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *listener = handle->data;
    if (--listener->open_handles == 0)
        free(listener);
}

void listen_destroy(struct listener *listener)
{
    if (!listener)
        return;
    uv_poll_stop(&listener->poll);
    uv_close((uv_handle_t *)&listener->pause, on_closed);
    uv_close((uv_handle_t *)&listener->poll, on_closed);
    bound_finish(&listener->bound);
}
