/*
 * The log's own calls: append, read lines, get, remove, store content.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/client.h>
#include <weir/id.h>

#include "base/buf.h"
#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"

#define META_HEADER_MAX (12 * 1024)       /* encoded meta that still fits a request's head */
#define GATHER_MAX (64 * 1024)            /* content read before deciding how to send it */
#define BATCH_CONTENT_MAX (1024 * 1024)   /* content that goes into a batch line */
#define FRAME_ANSWER_MAX (4 * META_MAX)   /* a frame's JSON: meta and little else */
#define LINE_MAX_BYTES (16 * 1024 * 1024) /* one NDJSON line */

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory for a request");
}

/* --- building blocks -------------------------------------------------------------------------- */

static int add_option(struct buf *target, const char *name, const char *value)
{
    bool first = !memchr(target->ptr, '?', target->len);
    int rc;

    if (!value)
        return 0;
    rc = buf_addf(target, "%s%s=", first ? "?" : "&", name);
    return rc == 0 ? uri_encode(target, span_str(value), ":") : rc;
}

static int add_conditions(struct buf *target, const struct weir_append *a)
{
    int rc = add_option(target, "expect-seq", a->expect_seq);

    if (rc == 0)
        rc = add_option(target, "expect-last", a->expect_last);
    if (rc == 0)
        rc = add_option(target, "key", a->key);
    if (rc == 0 && a->with_timestamp)
        rc = add_option(target, "with-timestamp", "true");
    if (rc == 0 && a->with_seq)
        rc = add_option(target, "with-seq", "true");
    return rc;
}

/* Sends, and checks the status. 0: a 2xx answer, its body waits to be read. */
static int request_ok(struct weir *w, const struct weir_request *req, struct err *err)
{
    struct weir_response res;
    int rc = weir_request(w, req, &res, err);

    return rc == 0 ? weir_check(w, &res, err) : rc;
}

/* A 2xx answer's whole body, without the line end it may have. */
static int request_text(struct weir *w, const struct weir_request *req, char **out, struct err *err)
{
    char *text;
    size_t len;
    int rc = request_ok(w, req, err);

    if (rc == 0)
        rc = weir_read_all(w, &text, &len, FRAME_ANSWER_MAX, err);
    if (rc < 0)
        return rc;
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = '\0';
    *out = text;
    return 0;
}

/* --- content ---------------------------------------------------------------------------------- */

/* Content that begins with bytes already read and goes on with a caller's callback. */
struct source {
    struct span ahead;
    long (*read)(void *arg, void *into, size_t room);
    void *arg;
};

static long source_read(void *arg, void *into, size_t room)
{
    struct source *s = arg;
    size_t n = s->ahead.len < room ? s->ahead.len : room;

    if (n == 0)
        return s->read(s->arg, into, room);
    memcpy(into, s->ahead.ptr, n);
    s->ahead = span_of(s->ahead.ptr + n, s->ahead.len - n);
    return (long)n;
}

/*
 * Reads up to `max` bytes ahead. An append takes effect only at its end, so nothing is late by it,
 * and content that fits goes out with the head in one send. `whole` says that the end was reached.
 */
static int gather(const struct weir_append *a, struct buf *into, size_t max, bool *whole,
                  struct err *err)
{
    long n = 1;

    while (n > 0 && into->len < max) {
        size_t room = max - into->len < GATHER_MAX ? max - into->len : GATHER_MAX;
        if (buf_reserve(into, room) < 0)
            return no_memory(err);
        n = a->read(a->read_arg, into->ptr + into->len, room);
        into->len += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        return err_sys(err, (int)-n, "read the content to append");
    *whole = n == 0;
    return 0;
}

/* What an append sends: all of it in `span`, or from `source` when `streamed`. */
struct content {
    struct buf ahead;
    struct span span;
    struct source source;
    bool streamed;
};

static int content_init(struct content *c, const struct weir_append *a, size_t max, struct err *err)
{
    bool whole = true;
    int rc;

    *c = (struct content){.span = a->content};
    if (!a->read)
        return 0;
    rc = gather(a, &c->ahead, max, &whole, err);
    if (rc < 0) {
        buf_finish(&c->ahead);
        return rc;
    }
    c->span = buf_span(&c->ahead);
    c->source = (struct source){c->span, a->read, a->read_arg};
    c->streamed = !whole;
    return 0;
}

static void content_put(const struct content *c, struct weir_request *req)
{
    req->has_body = true;
    if (c->streamed) {
        req->read = source_read;
        req->read_arg = (void *)&c->source;
    } else {
        req->body = c->span;
    }
}

/* --- storing content -------------------------------------------------------------------------- */

static int cas_request(struct weir *w, struct weir_request *req, char hash[static 52],
                       struct err *err)
{
    CLEAN_FREE char *text = NULL;
    uint8_t digest[DIGEST_SIZE];
    int rc;

    req->method = "POST";
    req->target = "/cas";
    req->replay_safe = true;
    rc = request_text(w, req, &text, err);
    if (rc < 0)
        return rc;
    if (strlen(text) != SRI_TEXT_LEN || sri_parse(digest, span_str(text), NULL) < 0)
        return err_set(err, -EPROTO,
                       "the server answered POST /cas with something that is no hash");
    memcpy(hash, text, SRI_TEXT_LEN + 1);
    return 0;
}

int weir_cas_post(struct weir *w, struct span bytes, char hash[static 52], struct err *err)
{
    struct weir_request req = {.body = bytes, .has_body = true};

    return cas_request(w, &req, hash, err);
}

/* --- append ----------------------------------------------------------------------------------- */

static int append_target(struct buf *target, const struct weir_append *a)
{
    int rc = buf_add_str(target, "/append/");

    if (rc == 0)
        rc = uri_encode(target, span_str(a->topic), "");
    if (rc == 0 && a->stream)
        rc = add_option(target, "stream", "true");
    if (rc == 0)
        rc = add_option(target, "ttl", a->ttl);
    if (rc == 0)
        rc = add_conditions(target, a);
    return rc == 0 && !buf_cstr(target) ? -ENOMEM : rc;
}

/* One frame, meta (base64 text, or NULL) in the head. */
static int append_plain(struct weir *w, const struct weir_append *a, const char *meta, char **json,
                        struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    struct weir_header header = {"xs-meta", meta};
    struct content content;
    int rc;

    if (append_target(&target, a) < 0)
        return no_memory(err);
    rc = content_init(&content, a, GATHER_MAX, err);
    if (rc < 0)
        return rc;
    struct weir_request req = {.method = "POST",
                               .target = (const char *)target.ptr,
                               .headers = &header,
                               .header_count = meta ? 1 : 0,
                               .replay_safe = a->key != NULL};
    content_put(&content, &req);
    rc = request_text(w, &req, json, err);
    buf_finish(&content.ahead);
    return rc;
}

static int add_text_member(struct buf *line, const char *name, const char *text)
{
    int rc;

    if (!text)
        return 0;
    rc = buf_addf(line, ",\"%s\":", name);
    return rc == 0 ? json_put_string(line, span_str(text)) : rc;
}

/* Content in the line itself, or its hash when it is large and was stored first. */
static int add_content(struct weir *w, const struct content *c, struct buf *line, struct err *err)
{
    char hash[SRI_TEXT_LEN + 1];
    struct weir_request req = {0};
    int rc;

    if (!c->streamed && c->span.len == 0)
        return 0;
    if (c->streamed || c->span.len > BATCH_CONTENT_MAX) {
        content_put(c, &req);
        rc = cas_request(w, &req, hash, err);
        if (rc < 0)
            return rc;
        rc = add_text_member(line, "hash", hash);
    } else {
        rc = buf_add_str(line, ",\"content_base64\":\"");
        if (rc == 0)
            rc = b64_encode(line, c->span);
        if (rc == 0)
            rc = buf_add_str(line, "\"");
    }
    return rc < 0 ? no_memory(err) : 0;
}

static int batch_line(struct weir *w, const struct weir_append *a, struct buf *line,
                      struct err *err)
{
    struct content content;
    int rc = buf_add_str(line, "{\"topic\":");

    if (rc == 0)
        rc = json_put_string(line, span_str(a->topic));
    if (rc == 0)
        rc = add_text_member(line, "ttl", a->ttl);
    if (rc == 0)
        rc = buf_add_str(line, ",\"meta\":");
    if (rc < 0)
        return no_memory(err);
    /* Validation also takes out line ends, which would break the line in two. */
    rc = json_validate(span_str(a->meta), META_DEPTH, line, err);
    if (rc < 0) {
        err_prefix(err, "meta");
        return rc;
    }
    rc = content_init(&content, a, BATCH_CONTENT_MAX, err);
    if (rc < 0)
        return rc;
    rc = add_content(w, &content, line, err);
    buf_finish(&content.ahead);
    if (rc == 0 && buf_add_str(line, "}\n") < 0)
        return no_memory(err);
    return rc;
}

/* One frame whose meta is too large for a head: a batch of one. */
static int append_batch(struct weir *w, const struct weir_append *a, char **json, struct err *err)
{
    static const struct weir_header ndjson = {"Content-Type", "application/x-ndjson"};
    CLEAN_BUF target = BUF_INIT;
    CLEAN_BUF line = BUF_INIT;
    int rc = batch_line(w, a, &line, err);

    if (rc < 0)
        return rc;
    if (buf_add_str(&target, "/append") < 0 || add_conditions(&target, a) < 0 || !buf_cstr(&target))
        return no_memory(err);
    struct weir_request req = {.method = "POST",
                               .target = (const char *)target.ptr,
                               .headers = &ndjson,
                               .header_count = 1,
                               .body = buf_span(&line),
                               .has_body = true,
                               .replay_safe = a->key != NULL};
    return request_text(w, &req, json, err);
}

int weir_append(struct weir *w, const struct weir_append *a, char **json, struct err *err)
{
    CLEAN_BUF meta = BUF_INIT;
    size_t len = a->meta ? strlen(a->meta) : 0;

    if (!a->topic || !a->topic[0])
        return err_set(err, ERR_INVALID, "an append needs a topic");
    if (a->meta && len == 0)
        return err_set(err, ERR_INVALID,
                       "meta is empty; it is a JSON text such as {\"key\":\"value\"}");
    if ((len + 2) / 3 * 4 > META_HEADER_MAX)
        return append_batch(w, a, json, err);
    if (!a->meta)
        return append_plain(w, a, NULL, json, err);
    if (b64_encode(&meta, span_str(a->meta)) < 0 || !buf_cstr(&meta))
        return no_memory(err);
    return append_plain(w, a, (const char *)meta.ptr, json, err);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Hands out the complete lines of `held` and keeps the rest. `fresh` is where bytes not searched
 * yet begin. */
static int hand_out(struct buf *held, size_t fresh, int (*line)(void *arg, struct span text),
                    void *arg)
{
    size_t start = 0;
    const uint8_t *end;
    int rc = 0;

    while (rc == 0 && fresh < held->len &&
           (end = memchr(held->ptr + fresh, '\n', held->len - fresh)) != NULL) {
        struct span text = span_of(held->ptr + start, (size_t)(end - held->ptr) - start);
        start = fresh = (size_t)(end - held->ptr) + 1;
        if (text.len > 0)
            rc = line(arg, text);
    }
    buf_consume(held, start);
    return rc;
}

static int read_lines(struct weir *w, int (*line)(void *arg, struct span text), void *arg,
                      struct err *err)
{
    CLEAN_BUF held = BUF_INIT;
    int rc = 0;

    for (;;) {
        size_t fresh = held.len;
        if (fresh > LINE_MAX_BYTES)
            return err_set(err, ERR_TOO_LARGE, "the server sent a line over %d bytes",
                           LINE_MAX_BYTES);
        if (buf_reserve(&held, GATHER_MAX) < 0)
            return no_memory(err);
        long n = weir_read(w, held.ptr + held.len, GATHER_MAX, err);
        if (n < 0)
            return (int)n;
        held.len += (size_t)n;
        if (n == 0)
            break;
        rc = hand_out(&held, fresh, line, arg);
        if (rc != 0)
            return rc;
    }
    return held.len > 0 ? line(arg, buf_span(&held)) : 0;
}

int weir_each_line(struct weir *w, const char *target, int (*line)(void *arg, struct span text),
                   void *arg, struct err *err)
{
    struct weir_request req = {.method = "GET", .target = target, .replay_safe = true};
    int rc = request_ok(w, &req, err);

    return rc == 0 ? read_lines(w, line, arg, err) : rc;
}

/* --- single frames ---------------------------------------------------------------------------- */

static int id_target(char out[static ID_TEXT_LEN + 2], const char *id, struct err *err)
{
    struct frame_id parsed;
    int rc = id_parse(&parsed, span_str(id), err);

    if (rc < 0)
        return rc;
    out[0] = '/';
    id_format(out + 1, parsed);
    return 0;
}

static int not_found(int rc, const char *id, struct err *err)
{
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "no frame %s", id) : rc;
}

int weir_get(struct weir *w, const char *id, char **json, struct err *err)
{
    char target[ID_TEXT_LEN + 2];
    struct weir_request req = {.method = "GET", .target = target, .replay_safe = true};
    int rc = id_target(target, id, err);

    return rc == 0 ? not_found(request_text(w, &req, json, err), id, err) : rc;
}

int weir_remove(struct weir *w, const char *id, struct err *err)
{
    char target[ID_TEXT_LEN + 2];
    struct weir_request req = {.method = "DELETE", .target = target, .replay_safe = true};
    CLEAN_FREE char *body = NULL;
    int rc = id_target(target, id, err);

    return rc == 0 ? request_text(w, &req, &body, err) : rc;
}
