/*
 * A connection: its socket, what is read and sent a turn, its end.
 */
#include "daemon/h2/h2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS 4 /* sends of one connection a turn */

static void on_ready(uv_poll_t *poll, int status, int events);

void h2_conn_due(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;
    if (conn->due || conn->lingering)
        return;
    conn->due = true;
    conn->due_next = NULL;
    *(server->due_last ? &server->due_last->due_next : &server->due_first) = conn;
    server->due_last = conn;
}

/* --- sending --------------------------------------------------------------------------------------- */

static void wait_for_room(struct h2_conn *conn, bool blocked)
{
    if (conn->blocked != blocked)
        uv_poll_start(&conn->poll, UV_READABLE | (blocked ? UV_WRITABLE : 0), on_ready);
    conn->blocked = blocked;
}

/* Returns how many bytes went; -1: the connection is lost. */
static ssize_t send_some(struct h2_conn *conn, struct span bytes)
{
    ssize_t n = send(conn->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

/* True when nothing of it is left. */
static bool send_left(struct h2_conn *conn)
{
    if (conn->out.len == 0)
        return true;
    ssize_t n = send_some(conn, buf_span(&conn->out));
    if (n < 0) {
        conn->dead = true;
        return false;
    }
    buf_consume(&conn->out, (size_t)n);
    wait_for_room(conn, conn->out.len > 0);
    if (conn->out.len > 0)
        return false;
    buf_finish(&conn->out);
    return true;
}

static int gather(struct h2_conn *conn)
{
    struct buf *out = &conn->server->out;
    const uint8_t *bytes;
    ssize_t n = 1;
    while (n > 0 && out->len < H2_SEND) {
        n = nghttp2_session_mem_send(conn->session, &bytes);
        if (n < 0 || (n > 0 && buf_add(out, bytes, (size_t)n) < 0))
            return -1;
    }
    return 0;
}

/* Sends once. True: there may be more to send. */
static bool send_round(struct h2_conn *conn)
{
    struct buf *out = &conn->server->out;
    buf_reset(out);
    if (gather(conn) < 0) {
        conn->dead = true;
        return false;
    }
    if (out->len == 0)
        return false;
    ssize_t n = send_some(conn, buf_span(out));
    if (n < 0 || (n < (ssize_t)out->len && buf_add(&conn->out, out->ptr + n, out->len - (size_t)n) < 0)) {
        conn->dead = true;
        return false;
    }
    if (conn->out.len > 0)
        wait_for_room(conn, true);
    return conn->out.len == 0;
}

static void send_all(struct h2_conn *conn)
{
    int round = 0;
    if (!send_left(conn))
        return;
    while (round < ROUNDS && send_round(conn))
        round++;
    if (round == ROUNDS)
        h2_conn_due(conn); /* the others first */
}

/* --- ending ---------------------------------------------------------------------------------------- */

void h2_conn_notice(struct h2_conn *conn)
{
    if (conn->noticed || conn->lingering)
        return;
    conn->noticed = true;
    conn->stamp_ms = uv_now(conn->server->loop);
    nghttp2_submit_shutdown_notice(conn->session);
    nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, NULL);
    h2_start_tick(conn->server);
    h2_conn_due(conn);
}

/* After the notice went round, or when nothing is under way: what came until now is the last. */
static void finish_notice(struct h2_conn *conn)
{
    if (!conn->noticed || conn->final || (conn->streams && conn->stamp_ms > 0))
        return;
    conn->final = true;
    nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(conn->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}

void h2_conn_tick(struct h2_conn *conn, uint64_t now_ms)
{
    if (conn->lingering) {
        if (conn->stamp_ms + H2_LINGER_MS <= now_ms)
            h2_conn_end(conn, false);
        return;
    }
    if (conn->noticed && !conn->final && conn->stamp_ms < now_ms) {
        conn->stamp_ms = 0;
        h2_conn_due(conn);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct h2_conn *conn = handle->data;
    struct h2_server *server = conn->server;
    close(conn->fd);
    free(conn);
    h2_handle_closed(server);
}

static void unlink_due(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;
    struct h2_conn *before = NULL;
    if (!conn->due)
        return;
    for (struct h2_conn *c = server->due_first; c != conn; c = c->due_next)
        before = c;
    *(before ? &before->due_next : &server->due_first) = conn->due_next;
    if (server->due_last == conn)
        server->due_last = before;
    conn->due = false;
}

static void leave_server(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;
    *(conn->prev ? &conn->prev->next : &server->all) = conn->next;
    if (conn->next)
        conn->next->prev = conn->prev;
    uv_poll_stop(&conn->poll);
    uv_close((uv_handle_t *)&conn->poll, on_closed);
}

static void end_protocol(struct h2_conn *conn)
{
    while (conn->streams)
        h2_stream_over(conn->streams);
    nghttp2_session_del(conn->session);
    conn->session = NULL;
    buf_finish(&conn->out);
    unlink_due(conn);
    conn->server->count--;
    conn->door->connections--;
    conn->door = NULL;
}

void h2_conn_end(struct h2_conn *conn, bool linger)
{
    if (!conn->lingering) {
        end_protocol(conn);
        conn->lingering = true;
        conn->server->lingering++;
    }
    if (linger && shutdown(conn->fd, SHUT_WR) == 0) {
        conn->stamp_ms = uv_now(conn->server->loop);
        conn->blocked = false;
        uv_poll_start(&conn->poll, UV_READABLE, on_ready);
        h2_start_tick(conn->server);
        return;
    }
    conn->server->lingering--;
    shutdown(conn->fd, SHUT_RDWR);
    leave_server(conn);
}

/* --- a turn ---------------------------------------------------------------------------------------- */

static void run_streams(struct h2_conn *conn)
{
    struct h2_stream *next;
    if (!conn->stream_due)
        return;
    conn->stream_due = false;
    for (struct h2_stream *s = conn->streams; s; s = next) {
        next = s->next;
        h2_stream_run(s);
    }
}

void h2_conn_run(struct h2_conn *conn)
{
    if (!conn->dead) {
        run_streams(conn);
        finish_notice(conn);
        send_all(conn);
    }
    if (conn->dead)
        h2_conn_end(conn, false);
    else if (conn->out.len == 0 && !nghttp2_session_want_read(conn->session) && !nghttp2_session_want_write(conn->session))
        h2_conn_end(conn, true);
}

static void drop_rest(struct h2_conn *conn, ssize_t n)
{
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        h2_conn_end(conn, false);
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct h2_conn *conn = poll->data;
    struct h2_server *server = conn->server;
    if (!conn->lingering)
        h2_conn_due(conn);
    if (status == 0 && !(events & UV_READABLE))
        return;
    ssize_t n = recv(conn->fd, server->in, H2_RECEIVE, MSG_DONTWAIT);
    if (conn->lingering) {
        drop_rest(conn, n);
        return;
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    /* A client that ends its side cannot take part any more: it is gone. */
    if (n <= 0 || nghttp2_session_mem_recv(conn->session, server->in, (size_t)n) < 0)
        conn->dead = true;
}

/* --- taking in ------------------------------------------------------------------------------------- */

static void enter_server(struct h2_conn *conn)
{
    struct h2_server *server = conn->server;
    conn->next = server->all;
    if (server->all)
        server->all->prev = conn;
    server->all = conn;
    server->count++;
    server->handles++;
    conn->door->connections++;
    conn->poll.data = conn;
    uv_poll_start(&conn->poll, UV_READABLE, on_ready);
    h2_conn_due(conn);
}

int h2_take(struct h2_server *server, int fd, struct http_door *door, const struct http_peer *peer)
{
    struct h2_conn *conn = calloc(1, sizeof(*conn));
    if (conn) {
        conn->server = server;
        conn->fd = fd;
        conn->door = door;
        conn->has_peer = peer != NULL;
        if (peer)
            conn->peer = *peer;
    }
    if (!conn || h2_session_start(conn) < 0 || uv_poll_init(server->loop, &conn->poll, fd) < 0) {
        if (conn)
            nghttp2_session_del(conn->session);
        free(conn);
        close(fd);
        return -ENOMEM;
    }
    enter_server(conn);
    if (door->ending)
        h2_conn_notice(conn);
    return 0;
}
