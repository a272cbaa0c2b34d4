#include "client/s2/conn.h"

#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/s2/pipe.h"

#define READ_ROOM (256 * 1024)
#define TURN_READS 8 /* of READ_ROOM in one turn */
#define WRITE_GATHER (256 * 1024)
#define TAKEN_MAX (1024 * 1024) /* taken bytes that stay in front of the rest */

struct s2c_conn {
    struct s2c_pipe pipe;
    nghttp2_session *h2;
    struct buf out;
    size_t out_at;
    uint8_t *room;
    char *authority;
    bool https;
    bool going; /* the server takes no more requests */
    bool broken;
};

/* --- what nghttp2 tells ------------------------------------------------------------------------
 */

static struct s2c_flow *flow_of(nghttp2_session *h2, int32_t id)
{
    return id > 0 ? nghttp2_session_get_stream_user_data(h2, id) : NULL;
}

static bool is_name(const uint8_t *name, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(name, text, len) == 0;
}

static void copy_value(char *out, size_t room, const uint8_t *value, size_t len)
{
    snprintf(out, room, "%.*s", (int)(len < room ? len : room - 1), (const char *)value);
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t len, uint8_t flags, void *arg)
{
    struct s2c_flow *flow = flow_of(h2, frame->hd.stream_id);
    uint64_t n = 0;
    (void)flags;
    (void)arg;
    if (!flow || flow->head)
        return 0;
    if (is_name(name, name_len, ":status") && text_u64(span_of(value, len), &n) == 0 && n < 1000)
        flow->status = (int)n;
    else if (is_name(name, name_len, "content-type"))
        copy_value(flow->content_type, sizeof(flow->content_type), value, len);
    else if (is_name(name, name_len, "content-encoding"))
        copy_value(flow->encoding, sizeof(flow->encoding), value, len);
    else if (is_name(name, name_len, "s2-provision-result"))
        copy_value(flow->provision, sizeof(flow->provision), value, len);
    else if (is_name(name, name_len, "retry-after-ms"))
        (void)text_u64(span_of(value, len), &flow->retry_after_ms);
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *arg)
{
    struct s2c_conn *conn = arg;
    struct s2c_flow *flow = flow_of(h2, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        conn->going = true;
    if (!flow)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && flow->status >= 200)
        flow->head = true;
    if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        flow->ended = true;
    return 0;
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len,
                   void *arg)
{
    struct s2c_flow *flow = flow_of(h2, id);
    (void)flags;
    (void)arg;
    return !flow || buf_add(&flow->in, bytes, len) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *h2, int32_t id, uint32_t reason, void *arg)
{
    struct s2c_flow *flow = flow_of(h2, id);
    (void)arg;
    if (flow && !flow->ended) {
        flow->cut = true;
        flow->reason = reason;
    }
    return 0;
}

static ssize_t give_body(nghttp2_session *h2, int32_t id, uint8_t *into, size_t room,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    struct s2c_flow *flow = source->ptr;
    (void)h2;
    (void)id;
    (void)arg;
    size_t n = buf_copy(&flow->up, &flow->up_at, into, room);
    flow->sent += n;
    if (flow->up_at == flow->up.len) {
        buf_reset(&flow->up);
        flow->up_at = 0;
        if (flow->up_end)
            *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    flow->deferred = n == 0 && !flow->up_end;
    return flow->deferred ? NGHTTP2_ERR_DEFERRED : (ssize_t)n;
}

/* --- making one ---------------------------------------------------------------------------------
 */

static int make_session(struct s2c_conn *conn)
{
    nghttp2_session_callbacks *calls;
    nghttp2_settings_entry entries[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, S2C_WINDOW},
        {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, READ_ROOM},
    };
    if (nghttp2_session_callbacks_new(&calls) != 0)
        return -ENOMEM;
    nghttp2_session_callbacks_set_on_header_callback(calls, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(calls, on_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(calls, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(calls, on_close);
    int rc = nghttp2_session_client_new(&conn->h2, calls, conn);
    nghttp2_session_callbacks_del(calls);
    if (rc == 0)
        rc = nghttp2_submit_settings(conn->h2, NGHTTP2_FLAG_NONE, entries,
                                     sizeof(entries) / sizeof(entries[0]));
    if (rc == 0)
        rc = nghttp2_session_set_local_window_size(conn->h2, NGHTTP2_FLAG_NONE, 0, S2C_WINDOW);
    return rc == 0 ? 0 : -ENOMEM;
}

static char *authority_of(const struct s2c_place *place)
{
    const struct weir_addr *a = &place->addr;
    bool usual = strcmp(a->port, place->tls ? "443" : "80") == 0;
    char *out = NULL;
    if (a->kind == WEIR_UNIX)
        return strdup("localhost");
    bool bracket = strchr(a->host, ':') != NULL;
    if (asprintf(&out, "%s%s%s%s%s", bracket ? "[" : "", a->host, bracket ? "]" : "",
                 usual ? "" : ":", usual ? "" : a->port) < 0)
        return NULL;
    return out;
}

int s2c_conn_open(struct s2c_conn **out, const struct s2c_place *place,
                  const struct s2c_settings *set, uint64_t deadline, struct weir_s2_err *err)
{
    struct s2c_conn *conn = calloc(1, sizeof(*conn));
    if (!conn)
        return s2c_no_memory(err);
    conn->pipe = S2C_PIPE_INIT;
    conn->https = place->tls;
    conn->room = malloc(READ_ROOM);
    conn->authority = authority_of(place);
    int rc = conn->room && conn->authority && make_session(conn) == 0 ? 0 : s2c_no_memory(err);
    if (rc == 0)
        rc = s2c_pipe_open(&conn->pipe, place, set, deadline, err);
    if (rc != 0) {
        s2c_conn_close(conn);
        return rc;
    }
    *out = conn;
    return 0;
}

/* --- writing and reading -------------------------------------------------------------------------
 */

static int broken(struct s2c_conn *conn, int errnum, const char *what, struct weir_s2_err *err)
{
    conn->broken = true;
    if (errnum == 0)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_CUT, "the server closed the connection");
    return s2c_fail_sys(err, WEIR_S2_TRANSPORT, errnum, "%s", what);
}

/* Frames that are ready, until a good piece is gathered. */
static int gather(struct s2c_conn *conn)
{
    while (conn->out.len - conn->out_at < WRITE_GATHER) {
        const uint8_t *bytes;
        ssize_t n = nghttp2_session_mem_send(conn->h2, &bytes);
        if (n < 0)
            return -EPROTO;
        if (n == 0)
            return 0;
        if (buf_add(&conn->out, bytes, (size_t)n) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* 1: something went; 0: nothing to write or no room; negative: broken. */
static int write_out(struct s2c_conn *conn, struct weir_s2_err *err)
{
    int moved = 0;
    for (;;) {
        if (gather(conn) != 0)
            return broken(conn, EPROTO, "HTTP/2", err);
        if (conn->out_at == conn->out.len)
            return moved;
        ssize_t n =
            s2c_pipe_write(&conn->pipe, conn->out.ptr + conn->out_at, conn->out.len - conn->out_at);
        if (n == -EAGAIN)
            return moved;
        if (n < 0)
            return broken(conn, (int)-n, "send", err);
        moved = 1;
        conn->out_at += (size_t)n;
        if (conn->out_at == conn->out.len || conn->out_at > WRITE_GATHER) {
            buf_consume(&conn->out, conn->out_at);
            conn->out_at = 0;
        }
    }
}

/* 1: something came; 0: nothing there; negative: broken. */
static int read_in(struct s2c_conn *conn, struct weir_s2_err *err)
{
    int moved = 0;
    for (int i = 0; i < TURN_READS; i++) {
        ssize_t n = s2c_pipe_read(&conn->pipe, conn->room, READ_ROOM);
        if (n == -EAGAIN)
            return moved;
        if (n <= 0)
            return moved && n == 0 ? 1 : broken(conn, (int)-n, "receive", err);
        if (nghttp2_session_mem_recv(conn->h2, conn->room, (size_t)n) != n)
            return broken(conn, EPROTO, "HTTP/2", err);
        moved = 1;
        if (n < READ_ROOM && !conn->pipe.tls)
            return 1;
    }
    return moved;
}

int s2c_conn_turn(struct s2c_conn *conn, uint64_t deadline, struct weir_s2_err *err)
{
    if (conn->broken)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_CUT, "the connection is broken");
    int sent = write_out(conn, err);
    if (sent <
        0) { /* the answer may be there all the same, such as a refusal before the body was taken */
        (void)read_in(conn, NULL);
        return sent;
    }
    int got = read_in(conn, err);
    if (got < 0)
        return got;
    if (got == 0 && sent == 0 && !s2c_pipe_holds(&conn->pipe)) {
        short events = (short)(POLLIN | (s2c_conn_wants_write(conn) ? POLLOUT : 0));
        int rc = s2c_wait(conn->pipe.fd, events, deadline);
        if (rc == -ETIMEDOUT)
            return 0;
        if (rc != 0)
            return broken(conn, -rc, "poll", err);
        got = read_in(conn, err);
    }
    if (got >= 0 && write_out(conn, err) < 0)
        return ERR_CUT;
    return got < 0 ? got : 1;
}

int s2c_conn_fd(const struct s2c_conn *conn)
{
    return conn->pipe.fd;
}

bool s2c_conn_wants_write(const struct s2c_conn *conn)
{
    return conn->out_at < conn->out.len;
}

bool s2c_conn_usable(struct s2c_conn *conn)
{
    /* What came while nobody looked: a goodbye, a ping, the end. */
    if (conn->broken || read_in(conn, NULL) < 0 || write_out(conn, NULL) < 0)
        return false;
    return !conn->going && nghttp2_session_check_request_allowed(conn->h2);
}

void s2c_conn_close(struct s2c_conn *conn)
{
    if (!conn)
        return;
    if (conn->h2 && conn->pipe.fd >= 0 && !conn->broken) {
        (void)nghttp2_session_terminate_session(conn->h2, NGHTTP2_NO_ERROR);
        (void)write_out(conn, NULL);
    }
    nghttp2_session_del(conn->h2);
    s2c_pipe_close(&conn->pipe);
    buf_finish(&conn->out);
    free(conn->room);
    free(conn->authority);
    free(conn);
}

/* --- requests ------------------------------------------------------------------------------------
 */

void s2c_head_add(struct s2c_head *head, const char *name, const char *value)
{
    if (value && head->count < S2C_FIELDS)
        head->fields[head->count++] = (struct s2c_field){.name = name, .value = span_str(value)};
}

static nghttp2_nv field(const char *name, struct span value)
{
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .namelen = strlen(name),
                        .value = (uint8_t *)(uintptr_t)value.ptr,
                        .valuelen = value.len,
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

int s2c_flow_begin(struct s2c_conn *conn, struct s2c_flow *flow, const struct s2c_head *head,
                   bool body, struct weir_s2_err *err)
{
    nghttp2_nv all[S2C_FIELDS + 4];
    nghttp2_data_provider provider = {.source.ptr = flow, .read_callback = give_body};
    size_t count = 0;
    all[count++] = field(":method", span_str(head->method));
    all[count++] = field(":scheme", span_str(conn->https ? "https" : "http"));
    all[count++] = field(":authority", span_str(conn->authority));
    all[count++] = field(":path", head->path);
    for (size_t i = 0; i < head->count; i++)
        all[count++] = field(head->fields[i].name, head->fields[i].value);
    int32_t id = nghttp2_submit_request(conn->h2, NULL, all, count, body ? &provider : NULL, flow);
    if (id < 0)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_CUT, "HTTP/2: %s", nghttp2_strerror(id));
    flow->id = id;
    return 0;
}

static void resume(struct s2c_conn *conn, struct s2c_flow *flow)
{
    if (flow->deferred && flow->id > 0) {
        flow->deferred = false;
        (void)nghttp2_session_resume_data(conn->h2, flow->id);
    }
}

int s2c_flow_add(struct s2c_conn *conn, struct s2c_flow *flow, struct span bytes)
{
    if (flow->up_at > 0 && flow->up_at >= flow->up.len / 2) {
        buf_consume(&flow->up, flow->up_at);
        flow->up_at = 0;
    }
    int rc = buf_add_span(&flow->up, bytes);
    if (rc == 0)
        resume(conn, flow);
    return rc;
}

void s2c_flow_drop(struct s2c_conn *conn, struct s2c_flow *flow)
{
    if (conn && flow->id > 0) {
        (void)nghttp2_session_set_stream_user_data(conn->h2, flow->id, NULL);
        if (!flow->cut && !(flow->ended && flow->up_end && flow->up_at == flow->up.len))
            (void)nghttp2_submit_rst_stream(conn->h2, NGHTTP2_FLAG_NONE, flow->id, NGHTTP2_CANCEL);
        if (!conn->broken)
            (void)write_out(conn, NULL);
    }
    struct buf in = flow->in, up = flow->up;
    *flow = (struct s2c_flow){.in = in, .up = up};
    buf_reset(&flow->in);
    buf_reset(&flow->up);
}

void s2c_flow_finish(struct s2c_flow *flow)
{
    buf_finish(&flow->in);
    buf_finish(&flow->up);
}

struct span s2c_flow_rest(const struct s2c_flow *flow)
{
    return span_of(flow->in.ptr + flow->in_at, flow->in.len - flow->in_at);
}

void s2c_flow_take(struct s2c_flow *flow, size_t len)
{
    flow->in_at += len;
    if (flow->in_at == flow->in.len)
        buf_reset(&flow->in);
    else if (flow->in_at >= TAKEN_MAX)
        buf_consume(&flow->in, flow->in_at);
    else
        return;
    flow->in_at = 0;
}

size_t s2c_flow_waiting(const struct s2c_flow *flow)
{
    return flow->up.len - flow->up_at;
}

static int say_cut(const struct s2c_flow *flow, struct weir_s2_err *err)
{
    s2c_fail(err, WEIR_S2_TRANSPORT, ERR_CUT, "the server ended the request: %s",
             nghttp2_http2_strerror(flow->reason));
    if (err && flow->reason == NGHTTP2_REFUSED_STREAM)
        err->no_effect = true;
    return ERR_CUT;
}

int s2c_await_end(struct s2c_conn *conn, struct s2c_flow *flow, size_t max, uint64_t deadline,
                  struct weir_s2_err *err)
{
    while (!flow->ended) {
        if (flow->in.len > max)
            return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_TOO_LARGE,
                            "the answer is larger than %zu bytes", max);
        if (flow->cut)
            return say_cut(flow, err);
        int rc = s2c_conn_turn(conn, deadline, err);
        if (rc < 0 && !flow->ended)
            return rc;
        if (rc == 0)
            return s2c_fail(err, WEIR_S2_TIMEOUT, -ETIMEDOUT, "no whole answer in time");
    }
    return 0;
}
