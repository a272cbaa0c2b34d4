/*
 * A connection's life: taken in, suspended and resumed, watched for its hang-up, timed, ended.
 *
 * While MHD has a connection suspended it does not look at its socket. An epoll set of our own
 * holds each connection from its first suspension on, with no events asked for: HUP and ERR are
 * always told. On a Unix socket that is a client gone; on TCP a closed peer shows only as a
 * half-close until keepalive probes or our next bytes meet a reset. A door may say that a half-close
 * is enough (end_is_gone).
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http/http_conn.h"

struct http_conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

static int fd_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
}

static void conn_open(struct http_server *server, struct MHD_Connection *mhd, void **context)
{
    struct http_conn *conn = calloc(1, sizeof(*conn));
    *context = conn;
    if (!conn) {
        shutdown(fd_of(mhd), SHUT_RDWR);
        return;
    }
    conn->server = server;
    conn->mhd = mhd;
    conn->fd = fd_of(mhd);
    conn->door = server->adding;
    conn->has_peer = server->adding_peer != NULL;
    if (conn->has_peer)
        conn->peer = *server->adding_peer;
    conn->door->connections++;
    conn->next = server->all;
    if (server->all)
        server->all->prev = conn;
    server->all = conn;
    server->count++;
    conn_time(conn, &server->idle);
}

static void conn_close(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    if (conn->watched)
        epoll_ctl(server->watch_fd, EPOLL_CTL_DEL, conn->fd, NULL);
    linger_begin(conn);
    conn_time(conn, NULL);
    if (conn->prev)
        conn->prev->next = conn->next;
    else
        server->all = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    server->count--;
    conn->door->connections--;
    free(conn);
}

void conn_notify(void *cls, struct MHD_Connection *mhd, void **context,
                 enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        conn_open(cls, mhd, context);
    else if (*context)
        conn_close(*context);
}

/* Edge-triggered: a hang-up that MHD has yet to work off must not wake the loop again and again. */
static void watch_hangup(struct http_conn *conn)
{
    uint32_t events = (uint32_t)EPOLLET | (conn->door->end_is_gone ? (uint32_t)EPOLLRDHUP : 0);
    struct epoll_event event = {.events = events, .data.ptr = conn};
    conn->watched = epoll_ctl(conn->server->watch_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0;
}

void conn_suspend(struct http_conn *conn)
{
    MHD_suspend_connection(conn->mhd);
    conn->suspended = true;
    if (!conn->watched)
        watch_hangup(conn);
}

void conn_resume(struct http_conn *conn)
{
    if (!conn->suspended)
        return;
    conn->suspended = false;
    conn->server->dirty = true;
    MHD_resume_connection(conn->mhd);
}

void conn_cut(struct http_conn *conn)
{
    conn->cut = true;
    conn->linger = false;
    shutdown(conn->fd, SHUT_RDWR);
    conn_resume(conn);
    conn->server->dirty = true;
}

void conn_watch_ready(uv_poll_t *poll, int status, int events)
{
    struct http_server *server = poll->data;
    struct epoll_event ready[128];
    (void)status, (void)events;
    int n = epoll_wait(server->watch_fd, ready, 128, 0);
    for (int i = 0; i < n; i++)
        if (ready[i].events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP))
            conn_cut(ready[i].data.ptr);
}

static void untime(struct http_conn *conn)
{
    struct timed_list *list = conn->timed;
    if (!list)
        return;
    *(conn->timed_prev ? &conn->timed_prev->timed_next : &list->first) = conn->timed_next;
    *(conn->timed_next ? &conn->timed_next->timed_prev : &list->last) = conn->timed_prev;
    conn->timed = NULL;
}

void conn_time(struct http_conn *conn, struct timed_list *list)
{
    untime(conn);
    if (!list)
        return;
    conn->timed = list;
    conn->stamp_ms = uv_now(conn->server->loop);
    conn->timed_next = NULL;
    conn->timed_prev = list->last;
    *(list->last ? &list->last->timed_next : &list->first) = conn;
    list->last = conn;
    server_start_tick(conn->server);
}

static void idle_expired(struct http_conn *conn)
{
    /* Between two requests a silent connection is just closed, as clients expect. */
    if (conn->req || !conn->served)
        reply_timeout(conn->fd);
    conn_cut(conn);
}

/*
 * The client ended its side in the middle of a request. MHD does not see that when the end came
 * together with the last bytes (edge-triggered, and the read before was short), so it is looked for
 * here.
 */
static bool ended_early(const struct http_conn *conn)
{
    int left = 0;
    struct pollfd poll_fd = {.fd = conn->fd, .events = POLLRDHUP};
    if (!conn->req || conn->req->phase > REQ_BODY || conn->suspended || conn->cut)
        return false;
    return ioctl(conn->fd, FIONREAD, &left) == 0 && left == 0 && poll(&poll_fd, 1, 0) == 1 &&
           (poll_fd.revents & POLLRDHUP);
}

static void end_early(struct timed_list *list)
{
    struct http_conn *next;
    for (struct http_conn *conn = list->first; conn; conn = next) {
        next = conn->timed_next;
        if (!ended_early(conn))
            continue;
        untime(conn);
        reply_ended(conn->fd);
        conn_cut(conn);
    }
}

static void linger_expired(struct http_conn *conn)
{
    if (!conn->req || conn->req->direct || conn->cut) {
        conn_cut(conn);
        return;
    }
    reply_direct(conn->req);
    conn_time(conn, &conn->server->lingering);
}

static void expire(struct timed_list *list, uint64_t now, void (*expired)(struct http_conn *))
{
    while (list->first && list->first->stamp_ms + list->span_ms <= now) {
        struct http_conn *conn = list->first;
        untime(conn);
        expired(conn);
    }
}

void conn_tick(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    end_early(&server->idle);
    expire(&server->idle, now, idle_expired);
    expire(&server->lingering, now, linger_expired);
    linger_tick(server, now);
    waiting_tick(server, now);
    bool relaying = relay_tick(server, now);
    if (!relaying && !server->waiting_first && !server->idle.first && !server->lingering.first &&
        !server->lingers)
        uv_timer_stop(timer);
}
