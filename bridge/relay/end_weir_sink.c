/*
 * A weir store as a sink: each flush is one atomic batch, its last line the cursor. It carries a key, so that sending it again after a lost
 * answer appends nothing twice.
 *
 * With a cursor the key is made of what the cursor was before. So of two batches that go on from one place only one is taken: also when a relay
 * was killed and its last batch is stored a moment after the next relay looked at the cursor.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include <sodium.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "bridge/meta.h"
#include "bridge/relay/weir_store.h"

#define INLINE_CONTENT ((size_t)1024 * 1024) /* larger ones are stored first, and named */
#define FULL_LINES 5000                      /* with another batch it is within what the store takes at once: 10 000 lines, */
#define FULL_BYTES ((size_t)3 * 1024 * 1024) /* 8 MiB, also with the longest of keys */
#define ANSWER_MAX ((size_t)64 * 1024)
#define TARGET_MAX 128

struct weir_out {
    struct relay_sink base;
    struct relay_store store;
    const char *key; /* of everything; NULL: each its own */
    struct buf body; /* lines */
    size_t *ends;    /* of each line */
    size_t lines, cap;
    uint64_t batch;  /* number of the next, and */
    char run[33];    /* what makes its key one of ours; or, with a cursor, */
    bool repeated;    /* the batch was there already, with its cursor */
    struct buf place; /* its position, and */
    char time[RELAY_STORE_TIME]; /* when it was set */
};

/* --- lines --------------------------------------------------------------------------------------- */

/* Text as it is, unless escapes make it longer than base64. */
static int add_text(struct buf *out, struct span payload)
{
    size_t before = out->len;
    int rc = buf_add_str(out, ",\"content\":");
    if (rc == 0)
        rc = json_put_string(out, payload);
    if (rc == 0 && out->len - before <= payload.len + payload.len / 3 + 64)
        return 0;
    out->len = before;
    return rc == 0 ? ERR_RANGE : rc;
}

static int add_base64(struct buf *out, struct span payload)
{
    int rc = buf_add_str(out, ",\"content_base64\":\"");
    if (rc == 0)
        rc = b64_encode(out, payload);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

/* Stored before the line that names it, so it is there when the frame is. */
static int add_named(struct weir_out *out, struct span payload, struct err *err)
{
    char hash[SRI_TEXT_LEN + 1];
    int rc;
    while ((rc = weir_cas_post(out->store.w, payload, hash, err)) < 0 && (rc = relay_store_again(&out->store, rc, err)) == 0)
        ;
    if (rc < 0)
        return rc;
    relay_store_answered(&out->store);
    return buf_addf(&out->body, ",\"hash\":\"%s\"", hash);
}

static int add_payload(struct weir_out *out, struct span payload, struct err *err)
{
    if (payload.len == 0)
        return 0;
    if (payload.len > INLINE_CONTENT)
        return add_named(out, payload, err);
    int rc = utf8_valid(payload) ? add_text(&out->body, payload) : ERR_RANGE;
    return rc == ERR_RANGE ? add_base64(&out->body, payload) : rc;
}

/* What the message says itself beside its payload goes into meta, and its time is the frame's timestamp. */
static int add_said(struct weir_out *out, const struct ss_message *m)
{
    struct buf *body = &out->body;
    size_t before = body->len;
    int rc = m->no_time ? 0 : buf_addf(body, ",\"stamp\":%" PRIu64, m->time_ms);
    if (rc == 0)
        rc = buf_add_str(body, ",\"meta\":");
    size_t meta = body->len;
    if (rc == 0)
        rc = ss_meta_write(body, m);
    if (rc == 0 && body->len == meta)
        body->len = meta - (sizeof(",\"meta\":") - 1);
    if (rc < 0)
        body->len = before;
    return rc;
}

static int note_line(struct weir_out *out)
{
    if (out->lines == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 1024;
        size_t *ends = realloc(out->ends, cap * sizeof(*ends));
        if (!ends)
            return -ENOMEM;
        out->ends = ends;
        out->cap = cap;
    }
    out->ends[out->lines++] = out->body.len;
    return 0;
}

static int add_message(struct weir_out *out, const struct ss_message *m, struct err *err)
{
    size_t before = out->body.len;
    struct span key = out->key ? span_str(out->key) : m->key;
    int rc = buf_add_str(&out->body, "{\"stream\":");
    if (rc == 0)
        rc = json_put_string(&out->body, key);
    if (rc == 0)
        rc = add_said(out, m);
    if (rc == 0)
        rc = add_payload(out, m->payload, err);
    if (rc == 0)
        rc = buf_add_str(&out->body, "}\n");
    if (rc == 0)
        rc = note_line(out);
    if (rc < 0)
        out->body.len = before;
    return rc == -ENOMEM ? err_set(err, rc, "no memory for a batch") : rc;
}

/* --- an answer ----------------------------------------------------------------------------------- */

/* The number of the line that an error speaks of; 0: it speaks of none. */
static size_t line_of(struct span json, struct buf *message)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    uint64_t line = 0;
    if (json_validate(json, 8, NULL, NULL) != 0 || json_iter_init(&it, json) != 0)
        return 0;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "line"))
            json_u64(value.raw, &line);
        if (json_string_is(key, "message") && value.type == JSON_STRING)
            json_string_decode(value.raw, message, NULL);
    }
    return (size_t)line;
}

static void drop_line(struct weir_out *out, size_t line)
{
    size_t from = line > 1 ? out->ends[line - 2] : 0, end = out->ends[line - 1], len = end - from;
    memmove(out->body.ptr + from, out->body.ptr + end, out->body.len - end);
    out->body.len -= len;
    out->lines--;
    for (size_t i = line - 1; i < out->lines; i++)
        out->ends[i] = out->ends[i + 1] - len;
}

/* One message is refused, the others are not. 1: it was taken out. */
static int take_refusal(struct weir_out *out, const struct weir_response *res, struct err *err)
{
    CLEAN_FREE char *text = NULL;
    CLEAN_BUF message = BUF_INIT;
    size_t len = 0;
    if (res->status != 400 && res->status != 403 && res->status != 413)
        return weir_check(out->store.w, res, err);
    int rc = weir_read_all(out->store.w, &text, &len, ANSWER_MAX, err);
    if (rc < 0)
        return rc;
    size_t line = line_of(span_of(text, len), &message);
    const char *why = buf_cstr(&message) ? (const char *)message.ptr : "";
    int code = res->status == 413 ? ERR_TOO_LARGE : res->status == 403 ? ERR_FORBIDDEN : ERR_INVALID;
    if (line == 0 || line > out->lines)
        return err_set(err, code, "%s", why[0] ? why : err_code_text(code));
    drop_line(out, line);
    out->base.refused++;
    relay_say("a message is refused and skipped: %s", why);
    return 1;
}

/* --- sending ------------------------------------------------------------------------------------- */

/* When the cursor was set that came with the batch. */
static void take_time(struct weir_out *out, struct span json)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    if (json_validate(json, 4, NULL, NULL) != 0 || json_iter_init(&it, json) != 0)
        return;
    while (json_iter_next(&it, &key, &value)) {
        if (!json_string_is(key, "time") || value.raw.len - 2 >= sizeof(out->time))
            continue;
        memset(out->time, 0, sizeof(out->time));
        memcpy(out->time, value.raw.ptr + 1, value.raw.len - 2);
    }
}

static int send_batch(struct weir_out *out, const char *target, struct err *err)
{
    static const struct weir_header type = {"Content-Type", "application/x-ndjson"};
    CLEAN_FREE char *text = NULL;
    struct weir_response res;
    size_t len = 0;
    const struct weir_request req = {.method = "POST",
                                     .target = target,
                                     .headers = &type,
                                     .header_count = 1,
                                     .body = buf_span(&out->body),
                                     .has_body = true,
                                     .replay_safe = true};
    int rc = weir_request(out->store.w, &req, &res, err);
    if (rc < 0)
        return rc;
    if (res.status < 200 || res.status > 299)
        return take_refusal(out, &res, err);
    rc = weir_read_all(out->store.w, &text, &len, ANSWER_MAX, err);
    out->repeated = rc == 0 && weir_response_header(out->store.w, "weir-repeat");
    if (rc == 0)
        take_time(out, span_of(text, len));
    return rc;
}

static void hash_text(crypto_generichash_state *state, struct span text)
{
    uint64_t len = text.len;
    crypto_generichash_update(state, (const uint8_t *)&len, sizeof(len));
    crypto_generichash_update(state, text.ptr ? text.ptr : (const uint8_t *)"", text.len);
}

/* A cursor alone may be set twice, so it needs none. */
static void make_target(struct weir_out *out, const char *cursor, char target[static TARGET_MAX])
{
    uint8_t hash[16];
    char text[2 * sizeof(hash) + 1];
    crypto_generichash_state state;
    int len = snprintf(target, TARGET_MAX, "/append?brief");
    if (out->lines == 0)
        return;
    if (!cursor || !out->time[0]) {
        snprintf(target + len, TARGET_MAX - (size_t)len, "&key=%s%" PRIu64, out->run, out->batch++);
        return;
    }
    crypto_generichash_init(&state, NULL, 0, sizeof(hash));
    hash_text(&state, span_str(cursor));
    hash_text(&state, buf_span(&out->place));
    hash_text(&state, span_str(out->time));
    crypto_generichash_final(&state, hash, sizeof(hash));
    snprintf(target + len, TARGET_MAX - (size_t)len, "&key=relay-%s", sodium_bin2hex(text, sizeof(text), hash, sizeof(hash)));
}

/* Until it is stored. A batch that lost a line was refused whole, so its key is free. */
static int deliver(struct weir_out *out, const char *cursor, struct err *err)
{
    char target[TARGET_MAX];
    int rc = 1;
    out->repeated = false;
    make_target(out, cursor, target);
    while (rc == 1 && out->body.len > 0) {
        while ((rc = send_batch(out, target, err)) < 0 && (rc = relay_store_again(&out->store, rc, err)) == 0)
            ;
        if (rc >= 0)
            relay_store_answered(&out->store);
    }
    if (rc < 0 || !cursor || !out->repeated)
        return rc < 0 ? rc : 0;
    CLEAN_BUF place = BUF_INIT;
    return relay_store_kept(&out->store, cursor, &place, out->time, err);
}

/* Not counted among the lines: it cannot be left out. */
static int add_cursor(struct weir_out *out, const char *cursor, struct span position)
{
    int rc = buf_add_str(&out->body, "{\"cursor\":");
    if (rc == 0)
        rc = json_put_string(&out->body, span_str(cursor));
    if (rc == 0)
        rc = buf_add_str(&out->body, ",\"position\":");
    if (rc == 0)
        rc = json_put_string(&out->body, position);
    return rc == 0 ? buf_add_str(&out->body, "}\n") : rc;
}

static int flush(struct relay_sink *s, const char *cursor, struct span position, struct err *err)
{
    struct weir_out *out = (struct weir_out *)s;
    int rc = cursor ? add_cursor(out, cursor, position) : 0;
    if (rc < 0)
        return err_set(err, rc, "no memory for a batch");
    rc = deliver(out, cursor, err);
    if (rc == ERR_CONFLICT && cursor)
        err_set(err, rc, "cursor %s moved meanwhile: another relay has it, or one that was killed was still at work; start again", cursor);
    buf_reset(&out->body);
    buf_reset(&out->place);
    out->lines = 0;
    out->base.full = false;
    return rc == 0 ? buf_add_span(&out->place, position) : rc;
}

static int put(struct relay_sink *s, const struct relay_batch *batch, struct err *err)
{
    struct weir_out *out = (struct weir_out *)s;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++)
        rc = add_message(out, &batch->list[i], err);
    out->base.full = out->lines >= FULL_LINES || out->body.len >= FULL_BYTES;
    return rc;
}

static int kept(struct relay_sink *s, const char *cursor, struct buf *out, struct err *err)
{
    struct weir_out *sink = (struct weir_out *)s;
    int rc = relay_store_kept(&sink->store, cursor, out, sink->time, err);
    buf_reset(&sink->place);
    return rc == 0 ? buf_add_span(&sink->place, buf_span(out)) : rc;
}

/* --- life ---------------------------------------------------------------------------------------- */

static void close_out(struct relay_sink *s)
{
    struct weir_out *out = (struct weir_out *)s;
    relay_store_close(&out->store);
    buf_finish(&out->body);
    buf_finish(&out->place);
    free(out->ends);
    free(out);
}

static const struct relay_sink_ops ops = {put, flush, kept, NULL, NULL, close_out};

static int name_run(struct weir_out *out)
{
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -errno;
    snprintf(out->run, sizeof(out->run), "%016" PRIx64 "%015" PRIx64 "-", random[0], random[1] >> 4);
    return 0;
}

int relay_weir_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    struct weir_out *sink = calloc(1, sizeof(*sink));
    if (!sink)
        return err_set(err, -ENOMEM, "no memory for a store");
    sink->base.ops = &ops;
    sink->key = o->key;
    int rc = name_run(sink);
    if (rc < 0)
        err_set(err, rc, "getrandom: %s", err_code_text(rc));
    else
        rc = relay_store_open(&sink->store, url, err);
    if (rc == 0)
        rc = relay_store_greet(&sink->store, err);
    if (rc == 0)
        *out = &sink->base;
    else
        close_out(&sink->base);
    return rc;
}
