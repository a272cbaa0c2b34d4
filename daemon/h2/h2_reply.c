/*
 * Answers: whole ones and those that come by and by; and the calls of routes on a request.
 *
 * nghttp2 asks for bytes only as far as the client's windows go. An answer gives up to H2_READ at a time into a buffer that the streams pass
 * on among themselves; only one that is stopped in its middle holds its own.
 */
#include "daemon/h2/h2_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- the head ------------------------------------------------------------------------------------ */

/* What is of one connection has no place in HTTP/2. */
static bool is_hop(const char *name)
{
    static const char *const names[] = {"connection", "transfer-encoding", "keep-alive", "upgrade", "proxy-connection"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static int put(struct h2_head *head, const char *name, const char *value)
{
    return is_hop(name) ? 0 : h2_head_add(head, span_str(name), span_str(value));
}

static int put_number(struct h2_head *head, const char *name, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return put(head, name, text);
}

static int put_head(struct h2_head *head, const struct h2_stream *s, int status, const char *type, const struct http_field *fields)
{
    int rc = put_number(head, ":status", (uint64_t)status);
    if (rc == 0 && type)
        rc = put(head, "content-type", type);
    if (rc == 0 && s->size != UINT64_MAX && status != 204 && status != 304)
        rc = put_number(head, "content-length", s->size);
    for (; rc == 0 && fields && fields->name; fields++)
        rc = put(head, fields->name, fields->value);
    for (const struct http_extra *e = s->base.extras; rc == 0 && e; e = e->next)
        rc = put(head, e->name, e->value);
    return rc;
}

static int submit(struct h2_stream *s, int status, const char *type, const struct http_field *fields)
{
    struct h2_head head = {0};
    const nghttp2_data_provider body = {.read_callback = h2_reply_read};
    bool bare = status == 204 || status == 304 || s->base.method == HTTP_HEAD || s->size == 0;
    int rc = put_head(&head, s, status, type, fields);
    nghttp2_nv *nv = rc == 0 ? h2_head_nv(&head) : NULL;
    rc = nv && nghttp2_submit_response(s->conn->session, s->id, nv, head.count, bare ? NULL : &body) == 0 ? 0 : -ENOMEM;
    free(nv);
    h2_head_finish(&head);
    return rc;
}

/* Without memory for an answer the client is cut off, and knows that it has none. */
static void answer(struct h2_stream *s, int status, const char *type, const struct http_field *fields)
{
    s->answered = true;
    if (!s->remote_ended)
        h2_stream_time(s, NULL);
    if (submit(s, status, type, fields) < 0)
        http_abort(&s->base);
    else if (s->kept.len > 0 && s->whole)
        h2_stream_due(s);
    h2_conn_due(s->conn);
}

static void reply(struct http_req *base, int status, const char *content_type, struct span body, const struct http_field *fields)
{
    struct h2_stream *s = h2_stream_of(base);
    assert(!s->answered || s->late);
    if (s->answered || s->aborted)
        return;
    s->whole = s->ended = true;
    s->pending = 0;
    s->size = body.len;
    if (base->method != HTTP_HEAD && buf_add_span(&s->out, body) < 0)
        http_abort(base);
    else
        answer(s, status, content_type, fields);
}

static void reply_stream(struct http_req *base, int status, const char *content_type, uint64_t size, http_read_fn read,
                         const struct http_field *fields)
{
    struct h2_stream *s = h2_stream_of(base);
    assert(!s->answered || s->late);
    if (s->answered || s->aborted)
        return;
    s->read = read;
    s->size = size;
    answer(s, status, content_type, fields);
}

/* --- its bytes ------------------------------------------------------------------------------------ */

/* The stream's buffer is empty: the next one may have it. */
static void give_back(struct h2_stream *s)
{
    struct buf *spare = &s->conn->server->spare;
    buf_reset(&s->out);
    s->out_at = 0;
    if (!spare->ptr && s->read) {
        *spare = s->out;
        s->out = BUF_INIT;
    }
    buf_finish(&s->out);
}

static int take_room(struct h2_stream *s)
{
    struct buf *spare = &s->conn->server->spare;
    if (!s->out.ptr) {
        s->out = *spare;
        *spare = BUF_INIT;
    }
    return buf_reserve(&s->out, H2_READ);
}

/* 0, HTTP_WAIT or HTTP_ABORT; at the end nothing is there, and s->ended says so. */
static long fill(struct h2_stream *s)
{
    uint64_t left = s->size - s->produced;
    size_t room = left < H2_READ ? (size_t)left : H2_READ;
    if (take_room(s) < 0)
        return HTTP_ABORT;
    s->reading = true;
    s->woken = false;
    long n = s->read(s->base.door->arg, &s->base, s->out.ptr, room);
    s->reading = false;
    bool short_of = n == 0 && s->size != UINT64_MAX;
    if (n == HTTP_WAIT)
        return n;
    if (n < 0 || (size_t)n > room || short_of || s->aborted)
        return HTTP_ABORT;
    s->out.len = (size_t)n;
    s->produced += (uint64_t)n;
    s->ended = n == 0 || s->produced == s->size;
    return 0;
}

static ssize_t wait_for_wake(struct h2_stream *s)
{
    give_back(s);
    s->waiting = true;
    if (s->woken)
        h2_stream_due(s);
    return NGHTTP2_ERR_DEFERRED;
}

/* With trailers it is they that end the stream. */
static int end_with(nghttp2_session *session, struct h2_stream *s, uint32_t *flags)
{
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->trailers.count == 0)
        return 0;
    nghttp2_nv *nv = h2_head_nv(&s->trailers);
    int rc = nv ? nghttp2_submit_trailer(session, s->id, nv, s->trailers.count) : NGHTTP2_ERR_NOMEM;
    free(nv);
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return rc;
}

ssize_t h2_reply_read(nghttp2_session *session, int32_t id, uint8_t *into, size_t room, uint32_t *flags, nghttp2_data_source *source,
                      void *user)
{
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)into, (void)source, (void)user;
    if (!s || s->aborted)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    long rc = s->out_at == s->out.len && !s->ended ? fill(s) : 0;
    if (rc == HTTP_WAIT)
        return wait_for_wake(s);
    if (rc < 0) {
        s->failed = true;
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    size_t left = s->out.len - s->out_at;
    s->sending = left < room ? left : room;
    if (s->ended && s->sending == left && end_with(session, s, flags) != 0)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)s->sending;
}

int h2_reply_send(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length, nghttp2_data_source *source, void *user)
{
    struct h2_conn *conn = user;
    struct h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    struct buf *out = &conn->server->out;
    (void)source;
    if (!s || s->aborted)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (out->len >= H2_SEND)
        return NGHTTP2_ERR_WOULDBLOCK; /* it comes again with the next send */
    if (s->sending != length || buf_reserve(out, 9 + length) < 0)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    buf_add(out, head, 9);
    buf_add(out, s->out.ptr ? s->out.ptr + s->out_at : head, length);
    s->out_at += length;
    if (s->out_at == s->out.len)
        give_back(s);
    return 0;
}

void h2_reply_finish(struct h2_stream *s)
{
    buf_finish(&s->out);
    h2_head_finish(&s->trailers);
}

/* --- the other calls ------------------------------------------------------------------------------ */

static int add_trailer(struct http_req *base, const char *name, const char *value)
{
    struct h2_stream *s = h2_stream_of(base);
    if (!http_fits_a_field(value))
        return ERR_INVALID;
    if (!s->answered || s->whole || s->size != UINT64_MAX || base->method == HTTP_HEAD)
        return 0;
    return h2_head_add(&s->trailers, span_str(name), span_str(value));
}

static void wake(struct http_req *base)
{
    struct h2_stream *s = h2_stream_of(base);
    if (s->reading) {
        s->woken = true;
    } else if (s->waiting) {
        s->waiting = false;
        nghttp2_session_resume_data(s->conn->session, s->id);
        h2_conn_due(s->conn);
    }
}

static void resume_body(struct http_req *base)
{
    struct h2_stream *s = h2_stream_of(base);
    s->resume = true;
    if (s->paused)
        h2_stream_due(s);
}

static void cut(struct http_req *base)
{
    struct h2_stream *s = h2_stream_of(base);
    s->aborted = true;
    h2_stream_due(s);
}

static struct span header(const struct http_req *base, const char *name)
{
    return h2_head_find(&h2_stream_of(base)->head, name);
}

static void each_header(const struct http_req *base, void (*each)(void *arg, struct span name, struct span value), void *arg)
{
    const struct h2_head *head = &h2_stream_of(base)->head;
    for (size_t i = 0; i < head->count; i++)
        each(arg, h2_head_name(head, i), h2_head_value(head, i));
}

static bool peer(const struct http_req *base, struct http_peer *out)
{
    const struct h2_conn *conn = h2_stream_of(base)->conn;
    if (!conn->has_peer)
        return http_peer_of(conn->fd, out);
    *out = conn->peer;
    return true;
}

const struct http_ops h2_ops = {.header = header,
                                .each_header = each_header,
                                .peer = peer,
                                .resume_body = resume_body,
                                .reply = reply,
                                .reply_stream = reply_stream,
                                .abort = cut,
                                .add_trailer = add_trailer,
                                .wake = wake,
                                .duplex = true};
