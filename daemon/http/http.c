/*
 * The server on the loop: MHD in external epoll mode, driven once a turn, and HTTP/2 beside it.
 *
 * MHD_run is expensive against a wake (it visits all suspended connections), so a wake only marks
 * the server dirty; prepare (before the loop sleeps) and check (after the poll callbacks) run MHD
 * once.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <netinet/in.h>

#include "daemon/http/http_conn.h"

#define DEFAULT_IDLE_S 30

/* Descriptors that the store, programs and listeners need beside the connections. */
static size_t default_max(void)
{
    struct rlimit limit;
    size_t files = 1024;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        files = limit.rlim_cur > 1000000 ? 1000000 : (size_t)limit.rlim_cur;
    size_t reserve = files / 8 < 32 ? 32 : files / 8;
    return files > reserve + 8 ? files - reserve : 8;
}

static void drained_if_empty(struct http_server *server)
{
    if (!server->draining || server->count > 0 || h2_count(server->h2) > 0 || server->relays.sending > 0 || !server->drained)
        return;
    void (*drained)(void *) = server->drained;
    server->drained = NULL;
    uv_timer_stop(&server->cut_timer);
    drained(server->drained_arg);
}

static void on_spin(uv_idle_t *idle)
{
    (void)idle; /* its being active keeps the loop from sleeping; check does the work */
}

static void run_mhd(struct http_server *server)
{
    if (!server->dirty)
        return;
    server->dirty = false;
    for (int side = 0; side < SIDES; side++) {
        MHD_UNSIGNED_LONG_LONG timeout = 1;
        MHD_run(server->mhd[side]);
        if (MHD_get_timeout(server->mhd[side], &timeout) == MHD_YES && timeout == 0)
            server->dirty = true;
    }
}

static void run_all(struct http_server *server)
{
    if (server->destroyed)
        return;
    run_mhd(server);
    bool more = h2_run(server->h2);
    if (more || server->dirty)
        uv_idle_start(&server->spin, on_spin);
    else
        uv_idle_stop(&server->spin);
    drained_if_empty(server);
}

void http_flush(struct http_server *server)
{
    if (server) /* the last frames are published after it */
        run_all(server);
}

static void on_prepare(uv_prepare_t *handle)
{
    run_all(handle->data);
}

static void on_check(uv_check_t *handle)
{
    run_all(handle->data);
}

static void on_mhd_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    ((struct http_server *)poll->data)->dirty = true;
}

/* MHD decodes the path before the routes see it, and %00 would cut it: the routes decode, once. */
static size_t keep_escapes(void *cls, struct MHD_Connection *mhd, char *text)
{
    (void)cls, (void)mhd;
    return strlen(text);
}

static struct MHD_Daemon *start_mhd(struct http_server *server, size_t pool)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
    unsigned max = (unsigned)server->max;
    return MHD_start_daemon(flags, 0, NULL, NULL, req_handle, server, MHD_OPTION_URI_LOG_CALLBACK,
                            req_target, server, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
                            MHD_OPTION_NOTIFY_COMPLETED, req_completed, server,
                            MHD_OPTION_NOTIFY_CONNECTION, conn_notify, server,
                            MHD_OPTION_CONNECTION_LIMIT, max, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            pool, MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_END);
}

static void free_server(struct http_server *server)
{
    for (int side = 0; side < SIDES; side++)
        if (server->mhd[side])
            MHD_stop_daemon(server->mhd[side]);
    close(server->watch_fd);
    free(server);
}

void server_handle_closed(struct http_server *server)
{
    if (--server->open_handles > 0)
        return;
    free_server(server);
}

static void on_handle_closed(uv_handle_t *handle)
{
    server_handle_closed(handle->data);
}

static int start_poll(struct http_server *s, uv_poll_t *poll, int fd, uv_poll_cb ready)
{
    int rc = uv_poll_init(s->loop, poll, fd);
    if (rc < 0)
        return rc;
    poll->data = s;
    s->open_handles++;
    return uv_poll_start(poll, UV_READABLE, ready);
}

static int start_polls(struct http_server *s)
{
    int rc = start_poll(s, &s->watch_poll, s->watch_fd, conn_watch_ready);
    for (int side = 0; side < SIDES && rc == 0; side++) {
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(s->mhd[side], MHD_DAEMON_INFO_EPOLL_FD);
        rc = info ? start_poll(s, &s->mhd_poll[side], info->epoll_fd, on_mhd_ready) : -EINVAL;
    }
    return rc;
}

static void start_turns(struct http_server *s)
{
    uv_prepare_init(s->loop, &s->prepare);
    uv_check_init(s->loop, &s->check);
    uv_idle_init(s->loop, &s->spin);
    uv_timer_init(s->loop, &s->tick);
    uv_timer_init(s->loop, &s->cut_timer);
    uv_timer_init(s->loop, &s->prefix_timer);
    s->open_handles += 6;
    s->prepare.data = s->check.data = s->spin.data = s->tick.data = s->cut_timer.data = s->prefix_timer.data = s;
    uv_prepare_start(&s->prepare, on_prepare);
    uv_check_start(&s->check, on_check);
}

int http_create(struct http_server **out, uv_loop_t *loop, const struct http_options *options,
                struct err *err)
{
    struct http_server *server = calloc(1, sizeof(*server));
    if (!server)
        return err_sys(err, ENOMEM, "start the HTTP server");
    unsigned idle_s = options->idle_timeout_s ? options->idle_timeout_s : DEFAULT_IDLE_S;
    server->loop = loop;
    server->max = options->max_connections ? options->max_connections : default_max();
    server->idle.span_ms = (uint64_t)idle_s * 1000;
    server->lingering.span_ms = HTTP_LINGER_MS;
    int rc;
    server->watch_fd = epoll_create1(EPOLL_CLOEXEC);
    if (server->watch_fd < 0) {
        rc = err_sys(err, errno, "start the HTTP server: epoll");
        free(server);
        return rc;
    }
    start_turns(server);
    server->mhd[SIDE_SMALL] = start_mhd(server, HTTP_POOL_SMALL);
    server->mhd[SIDE_LARGE] = start_mhd(server, HTTP_POOL_LARGE);
    rc = h2_create(&server->h2, loop, server->idle.span_ms);
    server->open_handles += rc == 0;
    if (rc == 0)
        rc = server->mhd[SIDE_SMALL] && server->mhd[SIDE_LARGE] ? start_polls(server) : -ENOMEM;
    if (rc < 0) {
        http_destroy(server);
        return err_sys(err, -rc, "start the HTTP server");
    }
    *out = server;
    return 0;
}

/* MHD keeps the address and asks it only for its family; the peer's own is not needed anywhere. */
static enum MHD_Result add_to_mhd(struct MHD_Daemon *mhd, int fd, bool tcp_socket)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in tcp = {.sin_family = AF_INET};
    if (!tcp_socket)
        return MHD_add_connection(mhd, fd, (struct sockaddr *)&local, sizeof(local));
    return MHD_add_connection(mhd, fd, (struct sockaddr *)&tcp, sizeof(tcp));
}

int http_add(struct http_server *server, int fd, struct http_door *door, struct err *err)
{
    if (server->draining || http_full(server)) {
        close(fd);
        return err_set(err, ERR_UNAVAILABLE, "no more connections are taken: %s",
                       server->draining ? "the daemon is stopping" : "the limit is reached");
    }
    int rc = door->tls ? relay_begin(server, fd, door) : waiting_begin(server, fd, door, NULL);
    return rc < 0 ? err_sys(err, -rc, "take in a connection") : 0;
}

void server_take(struct http_server *server, enum http_side side, int fd, struct http_door *door, const struct http_peer *peer)
{
    if (side == SIDE_H2) {
        (void)h2_take(server->h2, fd, door, peer);
        return;
    }
    server->adding = door;
    server->adding_peer = peer;
    (void)add_to_mhd(server->mhd[side], fd, door->via == HTTP_VIA_TCP && !door->tls);
    server->dirty = true;
}

void http_end(struct http_server *server, struct http_door *door)
{
    door->ending = true;
    relay_cut(server, door);
    waiting_cut(server, door);
    h2_end(server->h2, door);
    for (struct http_conn *conn = server->all; conn; conn = conn->next)
        if (conn->door == door && !conn->req)
            shutdown(conn->fd, SHUT_RD);
    server->dirty = true;
}

void http_cut(struct http_server *server, const struct http_door *door)
{
    relay_cut(server, door);
    waiting_cut(server, door);
    h2_cut(server->h2, door);
    for (struct http_conn *conn = server->all; conn; conn = conn->next)
        if (conn->door == door)
            conn_cut(conn);
}

static void on_cut_timer(uv_timer_t *timer)
{
    struct http_server *server = timer->data;
    relay_end_all(server);
    h2_cut(server->h2, NULL);
    for (struct http_conn *conn = server->all; conn; conn = conn->next)
        conn_cut(conn);
    server->dirty = true;
}

void http_shutdown(struct http_server *server, unsigned timeout_ms, void (*drained)(void *arg),
                   void *arg)
{
    server->draining = true;
    server->drained = drained;
    server->drained_arg = arg;
    relay_cut(server, NULL);
    waiting_end_all(server);
    h2_end(server->h2, NULL);
    /* What a client sent before is still read and answered; then the stream is at its end. */
    for (struct http_conn *conn = server->all; conn; conn = conn->next)
        if (!conn->req)
            shutdown(conn->fd, SHUT_RD);
    server->dirty = true;
    uv_timer_start(&server->cut_timer, on_cut_timer, timeout_ms, 50);
}

static void h2_gone(void *arg)
{
    server_handle_closed(arg);
}

void http_destroy(struct http_server *server)
{
    if (!server || server->destroyed)
        return;
    server->drained = NULL;
    for (struct http_conn *conn = server->all; conn; conn = conn->next)
        conn_cut(conn);
    /* MHD must not be stopped over suspended connections; a cut one is resumed and ends in a run.
     */
    for (int turn = 0; server->count > 0 && turn < 100; turn++)
        for (int side = 0; side < SIDES; side++)
            MHD_run(server->mhd[side]);
    relay_end_all(server);
    waiting_end_all(server);
    linger_end_all(server);
    server->destroyed = true;
    if (server->h2)
        h2_destroy(server->h2, h2_gone, server);
    uv_handle_t *handles[] = {(uv_handle_t *)&server->mhd_poll[SIDE_SMALL],
                              (uv_handle_t *)&server->mhd_poll[SIDE_LARGE],
                              (uv_handle_t *)&server->watch_poll,
                              (uv_handle_t *)&server->prepare,
                              (uv_handle_t *)&server->check,
                              (uv_handle_t *)&server->spin,
                              (uv_handle_t *)&server->tick,
                              (uv_handle_t *)&server->cut_timer,
                              (uv_handle_t *)&server->prefix_timer};
    for (size_t i = 0; i < sizeof(handles) / sizeof(handles[0]); i++)
        if (handles[i]->type != UV_UNKNOWN_HANDLE) /* creation may have failed half-way */
            uv_close(handles[i], on_handle_closed);
}

size_t http_connections(const struct http_server *server)
{
    return server->count + server->waiting_count + server->relays.handshaking + h2_count(server->h2);
}

bool http_full(const struct http_server *server)
{
    size_t relayed = server->relays.count * 2; /* descriptors beside the connection's */
    return server->count + server->waiting_count + server->linger_count + h2_count_all(server->h2) + relayed >= server->max;
}

void server_start_tick(struct http_server *server)
{
    if (!uv_is_active((uv_handle_t *)&server->tick)) {
        uint64_t period = server->idle.span_ms < 1000 ? server->idle.span_ms / 4 + 1 : 250;
        uv_timer_start(&server->tick, conn_tick, period, period);
    }
}
