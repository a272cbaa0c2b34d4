/*
 * Accepted connections that have not sent anything yet, and the choice of the side that gets them.
 *
 * MHD clears a connection's whole pool after each request: with room for heads of 64 KiB that is
 * most of a small append's cost. And each resume visits all suspended connections, followers among
 * them. So there are two MHD daemons: one with small pools for connections that begin with a small
 * POST, one for all else. The first bytes decide for good; only a head over about 20 KiB after a
 * small POST on the same connection meets a limit (431) that it would not meet on one of its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http/http_conn.h"

#define PEEK 4096

struct http_waiting {
    struct http_waiting *prev;
    struct http_waiting *next;
    struct http_server *server;
    uv_poll_t poll;
    int fd;
    struct http_door *door;
    uint64_t stamp_ms;
};

static bool is_small_post(const char *bytes, size_t len)
{
    return len > 5 && memcmp(bytes, "POST ", 5) == 0 && memmem(bytes, len, "\r\n\r\n", 4);
}

/* 1: taken in or given up; 0: nothing there yet. */
static int try_take(struct http_server *server, int fd, struct http_door *door)
{
    char bytes[PEEK];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        close(fd);
    else
        server_take(server, is_small_post(bytes, (size_t)n) ? SIDE_SMALL : SIDE_LARGE, fd, door);
    return 1;
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

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct http_waiting *waiting = poll->data;
    (void)status, (void)events;
    /* The loop must have let go of the descriptor before MHD gets, and maybe closes, it. */
    uv_poll_stop(poll);
    if (try_take(waiting->server, waiting->fd, waiting->door))
        forget(waiting);
    else
        uv_poll_start(poll, UV_READABLE, on_readable);
}

int waiting_begin(struct http_server *server, int fd, struct http_door *door)
{
    if (try_take(server, fd, door))
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
    door->connections++;
    waiting->stamp_ms = uv_now(server->loop);
    waiting->poll.data = waiting;
    waiting->prev = server->waiting_last;
    *(waiting->prev ? &waiting->prev->next : &server->waiting_first) = waiting;
    server->waiting_last = waiting;
    server->waiting_count++;
    server->open_handles++;
    uv_poll_start(&waiting->poll, UV_READABLE, on_readable);
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
