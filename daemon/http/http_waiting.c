/*
 * Accepted connections that have not sent anything yet, and the choice of the side that gets them.
 *
 * One that begins with the preface of HTTP/2 goes there. Where only a part of that has come its rest is awaited: it stays unread, so
 * the socket is always readable, and a timer looks again.
 *
 * MHD clears a connection's whole pool after each request: with room for heads of 64 KiB that is
 * most of a small append's cost. And each resume visits all suspended connections, followers among
 * them. So there are two MHD daemons: one with small pools for connections that begin with a small
 * POST, one for all else. The first bytes decide for good; only a head over about 20 KiB after a
 * small POST on the same connection meets a limit (431) that it would not meet on one of its own.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http/http_conn.h"

#define PEEK 4096
#define PREFIX_MS 5 /* and longer the longer it waits */
#define PREFIX_MAX_MS 250

struct http_waiting {
    struct http_waiting *prev;
    struct http_waiting *next;
    struct http_server *server;
    uv_poll_t poll;
    int fd;
    struct http_door *door;
    bool partial; /**< of the preface */
    bool has_peer;
    struct http_peer peer;
    uint64_t stamp_ms;
};

static bool is_small_post(const char *bytes, size_t len)
{
    return len > 5 && memcmp(bytes, "POST ", 5) == 0 && memmem(bytes, len, "\r\n\r\n", 4);
}

/* "P" may become a POST as well; what goes on as the preface does is no other request. */
static bool is_preface(const char *bytes, size_t len)
{
    return memcmp(bytes, H2_PREFACE, len < H2_PREFACE_LEN ? len : H2_PREFACE_LEN) == 0;
}

enum look { LOOK_NOTHING, LOOK_PARTIAL, LOOK_GONE, LOOK_KNOWN };

/* Whether a client that says no more has ended its side. */
static bool has_ended(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

static enum look look_at(int fd, enum http_side *side)
{
    char bytes[PEEK];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return LOOK_NOTHING;
    if (n <= 0)
        return LOOK_GONE;
    bool h2 = is_preface(bytes, (size_t)n);
    if (h2 && n < H2_PREFACE_LEN && !has_ended(fd))
        return LOOK_PARTIAL;
    h2 = h2 && n >= H2_PREFACE_LEN;
    *side = h2 ? SIDE_H2 : is_small_post(bytes, (size_t)n) ? SIDE_SMALL : SIDE_LARGE;
    return LOOK_KNOWN;
}

/* True: it was handed on or closed. */
static bool try_take(struct http_server *server, int fd, struct http_door *door, const struct http_peer *peer, enum look look,
                     enum http_side side)
{
    if (look == LOOK_GONE)
        close(fd);
    else if (look == LOOK_KNOWN)
        server_take(server, side, fd, door, peer);
    return look == LOOK_GONE || look == LOOK_KNOWN;
}

static void on_closed(uv_handle_t *handle)
{
    struct http_waiting *waiting = handle->data;
    struct http_server *server = waiting->server;
    free(waiting);
    server_handle_closed(server);
}

static void forget(struct http_waiting *waiting)
{
    struct http_server *server = waiting->server;
    *(waiting->prev ? &waiting->prev->next : &server->waiting_first) = waiting->next;
    *(waiting->next ? &waiting->next->prev : &server->waiting_last) = waiting->prev;
    server->waiting_count--;
    waiting->door->connections--;
    uv_close((uv_handle_t *)&waiting->poll, on_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* The timer runs already when somebody waits less long. */
static void look_in(struct http_server *server, uint64_t delay_ms)
{
    uv_timer_t *timer = &server->prefix_timer;
    if (!uv_is_active((uv_handle_t *)timer) || uv_timer_get_due_in(timer) > delay_ms)
        uv_timer_start(timer, waiting_look, delay_ms, 0);
}

static void await(struct http_waiting *waiting, enum look look)
{
    struct http_server *server = waiting->server;
    waiting->partial = look == LOOK_PARTIAL;
    if (!waiting->partial)
        uv_poll_start(&waiting->poll, UV_READABLE, on_readable);
    else
        look_in(server, PREFIX_MS);
}

/* The loop lets go of the descriptor before the other side gets, and maybe closes, it. True: it is taken. */
static bool look_again(struct http_waiting *waiting)
{
    struct http_server *server = waiting->server;
    struct http_door *door = waiting->door;
    enum http_side side = SIDE_LARGE;
    const struct http_peer peer = waiting->peer;
    bool has_peer = waiting->has_peer;
    int fd = waiting->fd;
    enum look look = look_at(fd, &side);
    if (look == LOOK_NOTHING || look == LOOK_PARTIAL) {
        if (look == LOOK_NOTHING || !waiting->partial)
            await(waiting, look);
        return false;
    }
    forget(waiting);
    return try_take(server, fd, door, has_peer ? &peer : NULL, look, side);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    uv_poll_stop(poll);
    look_again(poll->data);
}

void waiting_look(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    struct http_waiting *next;
    uint64_t now = uv_now(server->loop);
    for (struct http_waiting *waiting = server->waiting_first; waiting; waiting = next) {
        uint64_t delay = (now - waiting->stamp_ms) / 4;
        next = waiting->next;
        if (waiting->partial && !look_again(waiting))
            look_in(server, delay < PREFIX_MS ? PREFIX_MS : delay > PREFIX_MAX_MS ? PREFIX_MAX_MS : delay);
    }
}

int waiting_begin(struct http_server *server, int fd, struct http_door *door, const struct http_peer *peer)
{
    enum http_side side = SIDE_LARGE;
    enum look look = look_at(fd, &side);
    if (try_take(server, fd, door, peer, look, side))
        return 0;
    struct http_waiting *waiting = calloc(1, sizeof(*waiting));
    int rc = waiting ? uv_poll_init(server->loop, &waiting->poll, fd) : -ENOMEM;
    if (rc < 0) {
        free(waiting);
        close(fd);
        return rc;
    }
    waiting->server = server;
    waiting->fd = fd;
    waiting->door = door;
    waiting->has_peer = peer != NULL;
    if (peer)
        waiting->peer = *peer;
    door->connections++;
    waiting->stamp_ms = uv_now(server->loop);
    waiting->poll.data = waiting;
    waiting->prev = server->waiting_last;
    *(waiting->prev ? &waiting->prev->next : &server->waiting_first) = waiting;
    server->waiting_last = waiting;
    server->waiting_count++;
    server->open_handles++;
    await(waiting, look);
    server_start_tick(server);
    return 0;
}

static void give_up(struct http_waiting *waiting, bool late)
{
    uv_poll_stop(&waiting->poll);
    if (late)
        reply_timeout(waiting->fd);
    close(waiting->fd);
    forget(waiting);
}

void waiting_tick(struct http_server *server, uint64_t now_ms)
{
    while (server->waiting_first &&
           server->waiting_first->stamp_ms + server->idle.span_ms <= now_ms)
        give_up(server->waiting_first, true);
}

void waiting_cut(struct http_server *server, const struct http_door *door)
{
    struct http_waiting *next;
    for (struct http_waiting *waiting = server->waiting_first; waiting; waiting = next) {
        next = waiting->next;
        if (waiting->door == door)
            give_up(waiting, false);
    }
}

void waiting_end_all(struct http_server *server)
{
    while (server->waiting_first)
        give_up(server->waiting_first, false);
}
