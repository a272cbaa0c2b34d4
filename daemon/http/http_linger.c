/*
 * Sockets that MHD has closed while their client may still be sending: our duplicate keeps them
 * open, reads and throws away for a second or 64 MiB at most, then closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http/http_conn.h"

#define LINGERS_MAX 64

struct http_linger {
    struct http_linger *prev;
    struct http_linger *next;
    struct http_server *server;
    uv_poll_t poll;
    int fd;
    uint64_t stamp_ms;
    size_t drained;
};

static void on_closed(uv_handle_t *handle)
{
    struct http_linger *linger = handle->data;
    struct http_server *server = linger->server;
    close(linger->fd);
    free(linger);
    server_handle_closed(server);
}

static void linger_end(struct http_linger *linger)
{
    struct http_server *server = linger->server;
    if (linger->prev)
        linger->prev->next = linger->next;
    else
        server->lingers = linger->next;
    if (linger->next)
        linger->next->prev = linger->prev;
    server->linger_count--;
    uv_close((uv_handle_t *)&linger->poll, on_closed);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct http_linger *linger = poll->data;
    char waste[16384];
    (void)events;
    ssize_t n = status < 0 ? 0 : recv(linger->fd, waste, sizeof(waste), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        linger->drained += (size_t)n;
    if (n <= 0 || linger->drained > HTTP_LINGER_BYTES)
        linger_end(linger);
}

/* Whether the client sent what nobody read, or may be about to. */
static bool may_send(const struct http_conn *conn)
{
    char byte;
    ssize_t n = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 || (n < 0 && errno == EAGAIN && conn->linger);
}

void linger_begin(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->cut || server->destroyed || server->linger_count >= LINGERS_MAX || !may_send(conn))
        return;
    struct http_linger *linger = calloc(1, sizeof(*linger));
    int fd = linger ? fcntl(conn->fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (fd < 0 || uv_poll_init(server->loop, &linger->poll, fd) < 0) {
        if (fd >= 0)
            close(fd);
        free(linger);
        return;
    }
    linger->server = server;
    linger->fd = fd;
    linger->stamp_ms = uv_now(server->loop);
    linger->poll.data = linger;
    linger->next = server->lingers;
    if (server->lingers)
        server->lingers->prev = linger;
    server->lingers = linger;
    server->linger_count++;
    server->open_handles++;
    shutdown(fd, SHUT_WR);
    uv_poll_start(&linger->poll, UV_READABLE, on_readable);
    server_start_tick(server);
}

void linger_tick(struct http_server *server, uint64_t now_ms)
{
    struct http_linger *next;
    for (struct http_linger *l = server->lingers; l; l = next) {
        next = l->next;
        if (l->stamp_ms + HTTP_LINGER_MS <= now_ms)
            linger_end(l);
    }
}

void linger_end_all(struct http_server *server)
{
    while (server->lingers)
        linger_end(server->lingers);
}
