/*
 * A stream: the request it brings, the body piece by piece, its clock, its end.
 */
#include "daemon/h2/h2_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* --- the clock ---------------------------------------------------------------------------------- */

static void untime(struct h2_stream *s)
{
    struct h2_timed *list = s->timed;
    if (!list)
        return;
    *(s->timed_prev ? &s->timed_prev->timed_next : &list->first) = s->timed_next;
    *(s->timed_next ? &s->timed_next->timed_prev : &list->last) = s->timed_prev;
    s->timed = NULL;
}

void h2_stream_time(struct h2_stream *s, struct h2_timed *list)
{
    untime(s);
    if (!list)
        return;
    s->timed = list;
    s->stamp_ms = uv_now(s->conn->server->loop);
    s->timed_next = NULL;
    s->timed_prev = list->last;
    *(list->last ? &list->last->timed_next : &list->first) = s;
    list->last = s;
    h2_start_tick(s->conn->server);
}

/* The route has not answered and will not be asked any more. */
static void too_late(struct h2_stream *s)
{
    s->failed = true;
    http_reply_error(&s->base, 408, "invalid", "the request was not sent in time");
    s->late = true;
}

static void leave(struct h2_stream *s)
{
    nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    h2_conn_due(s->conn);
}

static void expire(struct h2_timed *list, uint64_t now, void (*expired)(struct h2_stream *))
{
    while (list->first && list->first->stamp_ms + list->span_ms <= now) {
        struct h2_stream *s = list->first;
        untime(s);
        expired(s);
    }
}

void h2_stream_tick(struct h2_server *server, uint64_t now_ms)
{
    expire(&server->idle, now_ms, too_late);
    expire(&server->leaving, now_ms, leave);
}

/* --- the head ------------------------------------------------------------------------------------ */

struct h2_stream *h2_stream_open(struct h2_conn *conn, int32_t id)
{
    struct h2_stream *s = calloc(1, sizeof(*s));
    if (!s || nghttp2_session_set_stream_user_data(conn->session, id, s) != 0) {
        free(s);
        return NULL;
    }
    s->base.ops = &h2_ops;
    s->base.door = conn->door;
    s->conn = conn;
    s->id = id;
    s->next = conn->streams;
    if (conn->streams)
        conn->streams->prev = s;
    conn->streams = s;
    return s;
}

/* The authority is the Host; who sends both sends the same. */
static bool is_host_again(const struct h2_stream *s, struct span name, struct span value)
{
    struct span host = h2_head_find(&s->head, "host");
    return span_is(name, "host") && host.ptr && span_eq(host, value);
}

int h2_stream_field(struct h2_stream *s, struct span name, struct span value)
{
    bool host = span_is(name, ":authority");
    if (s->too_large || is_host_again(s, name, value))
        return 0;
    if (s->head.cost + name.len + value.len + H2_FIELD_COST > HTTP_HEAD_MAX) {
        s->too_large = true;
        return 0;
    }
    if (h2_head_add(&s->head, host ? span_str("host") : name, value) < 0)
        return -ENOMEM;
    uint32_t at = s->head.fields[s->head.count - 1].value;
    if (span_is(name, ":method"))
        s->method = at;
    else if (span_is(name, ":path"))
        s->target = at;
    if (!host && name.ptr[0] == ':')
        s->head.count--; /* the text stays */
    return 0;
}

/* What no route should have to think of. True: answered. */
static bool refused(struct h2_stream *s)
{
    struct http_counts counts = {0};
    for (size_t i = 0; i < s->head.count; i++)
        http_count_field(&counts, h2_head_name(&s->head, i));
    const char *why = http_head_fault(&counts, false, s->base.door->via == HTTP_VIA_TCP);
    if (s->too_large)
        http_reply_error(&s->base, 431, "too_large", "the head of the request is over 64 KiB");
    else if (why)
        http_reply_error(&s->base, 400, "invalid", why);
    return s->answered;
}

static uint64_t body_length(const struct h2_stream *s, bool ended)
{
    uint64_t length;
    struct span text = h2_head_find(&s->head, "content-length");
    if (ended)
        return 0;
    return text.ptr && text_u64(text, &length) == 0 ? length : UINT64_MAX;
}

static void read_head(struct h2_stream *s, bool ended)
{
    const char *text = (const char *)s->head.text.ptr;
    s->base.method_text = s->method ? text + s->method : "";
    s->base.method = http_method_of(s->base.method_text);
    s->base.target = span_str(s->target ? text + s->target : "");
    uri_split(s->base.target, &s->base.path, &s->base.query);
    s->base.body_length = body_length(s, ended);
}

/* The client holds its body back until told to go on. */
static void say_continue(struct h2_stream *s)
{
    static uint8_t name[] = ":status", value[] = "100";
    const nghttp2_nv nv = {name, value, sizeof(name) - 1, sizeof(value) - 1, NGHTTP2_NV_FLAG_NONE};
    if (!s->answered && s->base.body_length > 0 && h2_head_find(&s->head, "expect").ptr)
        nghttp2_submit_headers(s->conn->session, NGHTTP2_FLAG_NONE, s->id, NULL, &nv, 1, NULL);
}

void h2_stream_begin(struct h2_stream *s, bool ended)
{
    const struct http_door *door = s->base.door;
    read_head(s, ended);
    if (!refused(s)) {
        s->begun = true;
        door->handler->begin(door->arg, &s->base);
    }
    if (ended) {
        h2_stream_ended(s);
        return;
    }
    say_continue(s);
    if (!s->answered)
        h2_stream_time(s, &s->conn->server->idle);
}

/* --- the body ------------------------------------------------------------------------------------- */

static void consume(struct h2_stream *s, size_t len)
{
    if (len == 0)
        return;
    nghttp2_session_consume(s->conn->session, s->id, len);
    h2_conn_due(s->conn);
}

/* Nobody wants the rest. */
static bool unwanted(const struct h2_stream *s)
{
    return s->whole || s->ended || s->aborted || s->failed;
}

/* It is read, so that the client gets to reading, but not for ever: then the stream's window stays shut. */
static void discard(struct h2_stream *s, size_t len)
{
    s->pending += len;
    if (s->pending <= HTTP_UNWANTED_BYTES) {
        consume(s, len);
        return;
    }
    nghttp2_session_consume_connection(s->conn->session, len);
    if (s->sent)
        leave(s);
    h2_conn_due(s->conn);
}

/* See note_progress of http_req.c. */
static void note_progress(struct h2_stream *s, size_t taken)
{
    s->pending += taken;
    if (s->answered || (s->pending < HTTP_PROGRESS && s->base.body_length != UINT64_MAX))
        return;
    s->pending = 0;
    h2_stream_time(s, &s->conn->server->idle);
}

/* Returns how many bytes are dealt with. */
static size_t offer(struct h2_stream *s, struct span bytes)
{
    const struct http_door *door = s->base.door;
    size_t taken = 0;
    while (!unwanted(s) && taken < bytes.len) {
        s->resume = false;
        taken += door->handler->body(door->arg, &s->base, span_of(bytes.ptr + taken, bytes.len - taken));
        if (!s->resume)
            break;
    }
    consume(s, taken);
    if (unwanted(s)) {
        discard(s, bytes.len - taken);
        return bytes.len;
    }
    if (taken == bytes.len)
        note_progress(s, taken);
    return taken;
}

static void keep(struct h2_stream *s, struct span bytes)
{
    if (buf_add_span(&s->kept, bytes) < 0)
        http_abort(&s->base); /* its bytes are lost, so it cannot go on */
}

void h2_stream_body(struct h2_stream *s, struct span bytes)
{
    if (s->kept.len > 0) {
        keep(s, bytes);
        return;
    }
    size_t taken = offer(s, bytes);
    if (taken == bytes.len)
        return;
    s->paused = true;
    h2_stream_time(s, NULL);
    keep(s, span_of(bytes.ptr + taken, bytes.len - taken));
}

static void tell_end(struct h2_stream *s)
{
    const struct http_door *door = s->base.door;
    if (s->end_told)
        return;
    s->end_told = true;
    h2_stream_time(s, NULL);
    if (!unwanted(s) && s->begun)
        door->handler->end(door->arg, &s->base);
}

void h2_stream_ended(struct h2_stream *s)
{
    s->remote_ended = true;
    if (s->kept.len == 0)
        tell_end(s);
}

static void offer_kept(struct h2_stream *s)
{
    s->paused = false;
    s->kept_at += offer(s, span_of(s->kept.ptr + s->kept_at, s->kept.len - s->kept_at));
    if (s->kept_at < s->kept.len) {
        s->paused = true;
        h2_stream_time(s, NULL);
        if (s->kept_at > s->kept.len / 2) {
            buf_consume(&s->kept, s->kept_at);
            s->kept_at = 0;
        }
        return;
    }
    buf_finish(&s->kept);
    s->kept_at = 0;
    if (s->remote_ended)
        tell_end(s);
}

/* --- later in the turn ----------------------------------------------------------------------------- */

void h2_stream_due(struct h2_stream *s)
{
    s->due = s->conn->stream_due = true;
    h2_conn_due(s->conn);
}

void h2_stream_run(struct h2_stream *s)
{
    if (!s->due)
        return;
    s->due = false;
    if (s->aborted) {
        nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
        h2_stream_over(s);
        return;
    }
    if (s->woken && s->waiting) {
        s->woken = s->waiting = false;
        nghttp2_session_resume_data(s->conn->session, s->id);
    }
    if (s->kept.len > 0 && (s->resume || unwanted(s)))
        offer_kept(s);
}

void h2_stream_sent(struct h2_stream *s)
{
    s->sent = true;
    if (!s->remote_ended)
        h2_stream_time(s, &s->conn->server->leaving);
}

void h2_stream_over(struct h2_stream *s)
{
    struct h2_conn *conn = s->conn;
    const struct http_door *door = s->base.door;
    untime(s);
    nghttp2_session_set_stream_user_data(conn->session, s->id, NULL);
    *(s->prev ? &s->prev->next : &conn->streams) = s->next;
    if (s->next)
        s->next->prev = s->prev;
    if (s->kept.len > s->kept_at)
        nghttp2_session_consume_connection(conn->session, s->kept.len - s->kept_at);
    if (s->begun)
        door->handler->gone(door->arg, &s->base, s->sent && !s->failed && !s->aborted);
    h2_reply_finish(s);
    buf_finish(&s->kept);
    h2_head_finish(&s->head);
    http_req_finish(&s->base);
    free(s);
}
