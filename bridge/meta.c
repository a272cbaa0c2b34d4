#include "bridge/meta.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"

#define SEQ "ss-seq"
#define SHARD "ss-shard"
#define TIME "ss-time"
#define WHOLE "xs-meta" /* the member that carries meta which is no object, as for S2's headers */

/* --- writing ---------------------------------------------------------------------------------- */

struct saying {
    bool seq, shard, time;
};

static bool is_said(const struct saying *s, struct span key)
{
    return (s->seq && json_string_is(key, SEQ)) || (s->shard && json_string_is(key, SHARD)) ||
           (s->time && json_string_is(key, TIME));
}

/* Everything below appends where room was made. */
static void put(struct buf *out, struct span s)
{
    buf_add_span(out, s);
}

static void put_comma(struct buf *out)
{
    if (out->ptr[out->len - 1] != '{')
        buf_put(out, ',');
}

static void put_name(struct buf *out, const char *name)
{
    put_comma(out);
    buf_put(out, '"');
    put(out, span_str(name));
    put(out, span_str("\":\""));
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    char digits[U64_TEXT_MAX];
    put_name(out, name);
    put(out, span_of(digits, text_format_u64(digits, value)));
    buf_put(out, '"');
}

/* The members of `meta` that `s` says nothing of. */
static void put_others(struct buf *out, const struct saying *s, struct span meta)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_iter_init(&it, meta) != 0)
        return;
    while (json_iter_next(&it, &key, &value)) {
        if (is_said(s, key))
            continue;
        put_comma(out);
        put(out, key);
        buf_put(out, ':');
        put(out, value.raw);
    }
}

static void put_old(struct buf *out, const struct saying *s, struct span meta)
{
    if (json_type_of(meta) == JSON_OBJECT) {
        put_others(out, s, meta);
    } else if (json_type_of(meta) != JSON_NULL) {
        put(out, span_str("\"" WHOLE "\":"));
        put(out, meta);
    }
}

#define SAID_MAX 128 /* the three members, and the name of the old meta */

int ss_meta_write(struct buf *out, const struct ss_message *m)
{
    const struct saying s = {.seq = !m->no_seq, .shard = m->shard != 0, .time = !m->no_time};
    char text[SS_TIME_TEXT];
    if (!s.seq && !s.shard && !s.time)
        return json_type_of(m->meta) == JSON_NULL ? 0 : buf_add_span(out, m->meta);
    if (buf_reserve(out, m->meta.len + SAID_MAX + SS_TIME_TEXT + 2 * U64_TEXT_MAX) != 0)
        return -ENOMEM;
    buf_put(out, '{');
    put_old(out, &s, m->meta);
    if (s.seq)
        put_number(out, SEQ, m->seq);
    if (s.shard)
        put_number(out, SHARD, m->shard);
    if (s.time) {
        put_name(out, TIME);
        put(out, span_of(text, ss_time_write(text, m->time_ms, m->time_ns)));
        buf_put(out, '"');
    }
    buf_put(out, '}');
    return 0;
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Whether one of our names may stand there, also written with escapes. Most metas are done with here. */
static bool may_say(struct span meta)
{
    return meta.len > 0 && (memmem(meta.ptr, meta.len, "\"ss-", 4) || memchr(meta.ptr, '\\', meta.len));
}

/* What a string of these says needs no escapes, so one with escapes is none of ours. */
static struct span inner(const struct json_value *value)
{
    return value->type == JSON_STRING ? span_of(value->raw.ptr + 1, value->raw.len - 2) : span_of(NULL, 0);
}

/* Whether the member is one of ours; `m` then has it. */
static bool take(struct ss_message *m, struct span key, const struct json_value *value)
{
    struct span text = inner(value);
    if (json_string_is(key, SHARD))
        return text_u64(text, &m->shard) == 0;
    if (json_string_is(key, SEQ)) {
        if (text_u64(text, &m->seq) != 0)
            return false;
        m->no_seq = false;
        return true;
    }
    if (!json_string_is(key, TIME) || ss_time_parse(text, &m->time_ms, &m->time_ns) != 0)
        return false;
    m->no_time = false;
    return true;
}

/* What is left, in `rest` as an object: none, what was no object, or that. */
static struct span left(const struct buf *rest, size_t members, struct span whole)
{
    if (members == 1 && whole.len > 0 && json_type_of(whole) != JSON_OBJECT)
        return whole;
    return members > 0 ? buf_span(rest) : span_of(NULL, 0);
}

int ss_meta_read(struct ss_message *m, struct span meta, struct buf *scratch)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    struct span whole = {NULL, 0};
    size_t members = 0;
    size_t taken = 0;
    m->meta = json_type_of(meta) == JSON_NULL ? span_of(NULL, 0) : meta;
    if (!may_say(meta) || json_type_of(meta) != JSON_OBJECT || json_iter_init(&it, meta) != 0)
        return 0;
    buf_reset(scratch);
    if (buf_reserve(scratch, meta.len) != 0)
        return -ENOMEM;
    buf_put(scratch, '{');
    while (json_iter_next(&it, &key, &value)) {
        if (take(m, key, &value)) {
            taken++;
            continue;
        }
        if (members++ > 0)
            buf_put(scratch, ',');
        put(scratch, key);
        buf_put(scratch, ':');
        put(scratch, value.raw);
        if (json_string_is(key, WHOLE))
            whole = value.raw;
    }
    buf_put(scratch, '}');
    if (taken > 0)
        m->meta = left(scratch, members, whole);
    return 0;
}
