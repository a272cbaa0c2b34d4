/*
 * All connections of HTTP/2: which of them are due, their clock, their ends.
 */
#include "daemon/h2/h2_impl.h"

#include <errno.h>
#include <stdlib.h>

#define TICK_MS 250

static void on_tick(uv_timer_t *timer)
{
    struct h2_server *server = timer->data;
    uint64_t now = uv_now(server->loop);
    struct h2_conn *next;
    bool needed = false;
    h2_stream_tick(server, now);
    for (struct h2_conn *conn = server->all; conn; conn = next) {
        next = conn->next;
        needed = needed || conn->lingering || (conn->noticed && !conn->final);
        h2_conn_tick(conn, now);
    }
    if (!needed && !server->idle.first && !server->leaving.first)
        uv_timer_stop(timer);
}

void h2_start_tick(struct h2_server *server)
{
    uint64_t period = server->idle.span_ms < 1000 ? server->idle.span_ms / 4 + 1 : TICK_MS;
    if (!server->destroyed && !uv_is_active((uv_handle_t *)&server->tick))
        uv_timer_start(&server->tick, on_tick, period, period);
}

static void free_server(struct h2_server *server)
{
    void (*closed)(void *) = server->closed;
    void *arg = server->closed_arg;
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->option);
    buf_finish(&server->out);
    buf_finish(&server->spare);
    free(server->in);
    free(server);
    if (closed)
        closed(arg);
}

void h2_handle_closed(struct h2_server *server)
{
    if (--server->handles == 0)
        free_server(server);
}

static void on_closed(uv_handle_t *handle)
{
    h2_handle_closed(handle->data);
}

int h2_create(struct h2_server **out, uv_loop_t *loop, uint64_t idle_ms)
{
    struct h2_server *server = calloc(1, sizeof(*server));
    if (!server)
        return -ENOMEM;
    server->loop = loop;
    server->idle.span_ms = idle_ms;
    server->leaving.span_ms = H2_LINGER_MS;
    server->in = malloc(H2_RECEIVE);
    if (!server->in || h2_session_prepare(server) < 0) {
        free_server(server);
        return -ENOMEM;
    }
    uv_timer_init(loop, &server->tick);
    server->tick.data = server;
    server->handles = 1;
    *out = server;
    return 0;
}

void h2_destroy(struct h2_server *server, void (*closed)(void *arg), void *arg)
{
    server->destroyed = true;
    server->closed = closed;
    server->closed_arg = arg;
    while (server->all)
        h2_conn_end(server->all, false);
    uv_close((uv_handle_t *)&server->tick, on_closed);
}

size_t h2_count(const struct h2_server *server)
{
    return server->count;
}

size_t h2_count_all(const struct h2_server *server)
{
    return server->count + server->lingering;
}

/* Those that become due meanwhile are for the next turn. */
bool h2_run(struct h2_server *server)
{
    struct h2_conn *last = server->due_last, *conn = NULL;
    while (conn != last && (conn = server->due_first)) {
        server->due_first = conn->due_next;
        if (!server->due_first)
            server->due_last = NULL;
        conn->due = false;
        h2_conn_run(conn);
    }
    return server->due_first != NULL;
}

void h2_end(struct h2_server *server, const struct http_door *door)
{
    for (struct h2_conn *conn = server->all; conn; conn = conn->next)
        if (!door || conn->door == door)
            h2_conn_notice(conn);
}

void h2_cut(struct h2_server *server, const struct http_door *door)
{
    for (struct h2_conn *conn = server->all; conn; conn = conn->next) {
        if (conn->lingering || (door && conn->door != door))
            continue;
        conn->dead = true;
        h2_conn_due(conn);
    }
}
