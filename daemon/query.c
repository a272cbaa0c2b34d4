#include "daemon/query.h"

#include <errno.h>

#include "base/frame_json.h"
#include "base/text.h"

#define PULSE_MIN_MS 10
#define PULSE_MAX_MS (UINT64_C(1) << 40)
#define TIMEOUT_MAX_MS (UINT64_C(1) << 40)

/* One key being parsed: its value, decoded. */
struct parse {
    struct query *query;
    struct span value;
    bool has_value;
    uint64_t now_ms;
    struct err *err;
};

/* --- values --------------------------------------------------------------------------------------
 */

static bool is_off(struct span value)
{
    return span_is(value, "false") || span_is(value, "no") || span_is(value, "0");
}

static int take_id(struct parse *p, struct frame_id *out)
{
    return id_parse(out, p->value, p->err);
}

static int take_number(struct parse *p, uint64_t *out)
{
    if (text_u64(p->value, out) < 0)
        return err_set(p->err, ERR_INVALID, "not a number from 0 to 2^64-1");
    return 0;
}

static int take_follow(struct parse *p)
{
    struct query *q = p->query;
    uint64_t ms;
    q->follow = true;
    if (p->value.len == 0 || span_is(p->value, "yes") || span_is(p->value, "true"))
        return 0;
    if (span_is(p->value, "no") || span_is(p->value, "false")) {
        q->follow = false;
        return 0;
    }
    if (text_u64(p->value, &ms) < 0)
        return err_set(p->err, ERR_INVALID, "neither true, false nor milliseconds between pulses");
    if (ms > 0 && ms < PULSE_MIN_MS)
        return err_set(p->err, ERR_INVALID, "pulses come at least %d ms apart", PULSE_MIN_MS);
    q->pulse_ms = ms < PULSE_MAX_MS ? ms : PULSE_MAX_MS;
    return 0;
}

static int take_new(struct parse *p)
{
    p->query->fresh = !is_off(p->value);
    return 0;
}

static int take_after(struct parse *p)
{
    return take_id(p, &p->query->after);
}

static int take_from(struct parse *p)
{
    return take_id(p, &p->query->from);
}

static int take_before(struct parse *p)
{
    return take_id(p, &p->query->before);
}

static int take_since(struct parse *p)
{
    return time_parse_moment(p->value, p->now_ms, &p->query->since_ms, p->err);
}

static int take_until(struct parse *p)
{
    return time_parse_moment(p->value, p->now_ms, &p->query->until_ms, p->err);
}

static int take_limit(struct parse *p)
{
    return take_number(p, &p->query->limit);
}

static int take_last(struct parse *p)
{
    return take_number(p, &p->query->last);
}

static int take_topic(struct parse *p)
{
    return pattern_parse(&p->query->topics, p->value, p->err);
}

static int take_stream(struct parse *p)
{
    if (p->value.len == 0 || p->value.len > TOPIC_MAX)
        return err_set(p->err, ERR_INVALID, "a topic has 1 to %d bytes", TOPIC_MAX);
    return buf_add_span(&p->query->stream, p->value);
}

static int take_lines(struct parse *p)
{
    p->query->lines = !is_off(p->value);
    p->query->cursors = span_is(p->value, "cursors");
    return 0;
}

static int take_timestamp(struct parse *p)
{
    p->query->with_timestamp = !is_off(p->value);
    return 0;
}

static int take_seq(struct parse *p)
{
    p->query->with_seq = !is_off(p->value);
    return 0;
}

static int take_authority(struct parse *p)
{
    p->query->with_authority = !is_off(p->value);
    return 0;
}

static int take_stamp(struct parse *p)
{
    p->query->with_stamp = !is_off(p->value);
    return 0;
}

static int take_content(struct parse *p)
{
    p->query->with_content = !is_off(p->value);
    return 0;
}

static int take_brief(struct parse *p)
{
    p->query->brief = !is_off(p->value);
    return 0;
}

static int take_from_seq(struct parse *p)
{
    return take_number(p, &p->query->from_seq);
}

static int take_reverse(struct parse *p)
{
    p->query->reverse = !is_off(p->value);
    return 0;
}

static int take_count(struct parse *p)
{
    p->query->count = !is_off(p->value);
    return 0;
}

static int take_ttl(struct parse *p)
{
    return ttl_parse(&p->query->ttl, p->value, false, p->err);
}

static int take_ttl_old(struct parse *p)
{
    return ttl_parse(&p->query->ttl, p->value, true, p->err);
}

static int take_expect_seq(struct parse *p)
{
    return take_number(p, &p->query->expect_seq);
}

static int take_expect_last(struct parse *p)
{
    return take_id(p, &p->query->expect_last);
}

static int take_key(struct parse *p)
{
    if (p->value.len == 0 || p->value.len > QUERY_KEY_MAX)
        return err_set(p->err, ERR_INVALID, "a key has 1 to %d bytes", QUERY_KEY_MAX);
    return buf_add_span(&p->query->key, p->value);
}

static int take_allow_missing(struct parse *p)
{
    p->query->allow_missing = !is_off(p->value);
    return 0;
}

static int take_timeout(struct parse *p)
{
    int rc = take_number(p, &p->query->timeout_ms);
    if (rc == 0 && p->query->timeout_ms > TIMEOUT_MAX_MS)
        return err_set(p->err, ERR_INVALID, "over 2^40 ms");
    return rc;
}

static int take_memory(struct parse *p)
{
    static const char units[] = "KMG";
    struct span number = p->value;
    const char *unit = number.len > 0 ? strchr(units, number.ptr[number.len - 1]) : NULL;
    unsigned shift = unit && *unit ? 10 * ((unsigned)(unit - units) + 1) : 0;
    uint64_t n;
    if (shift > 0)
        number.len--;
    if (text_u64(number, &n) < 0 || n > UINT64_MAX >> shift)
        return err_set(p->err, ERR_INVALID, "neither bytes nor a number with K, M or G behind");
    p->query->memory = n << shift;
    return 0;
}

static int take_cpu(struct parse *p)
{
    return take_number(p, &p->query->cpu_s);
}

static int take_processes(struct parse *p)
{
    return take_number(p, &p->query->processes);
}

/* What keeps a program in must not be off, or on, by a slip. */
static int take_confine(struct parse *p)
{
    struct span v = p->value;
    p->query->confine = v.len == 0 || span_is(v, "true") || span_is(v, "yes") || span_is(v, "1");
    if (p->query->confine || is_off(v))
        return 0;
    return err_set(p->err, ERR_INVALID, "neither true nor false");
}

static int take_arg(struct parse *p)
{
    struct buf *args = &p->query->args;
    if (args->len + p->value.len >= QUERY_ARGS_MAX)
        return err_set(p->err, ERR_INVALID, "all together are over %d bytes", QUERY_ARGS_MAX);
    int rc = buf_add_span(args, p->value);
    return rc == 0 ? buf_add(args, "", 1) : rc;
}

/* It and what goes with it are taken by group_ask_parse. */
static int take_group(struct parse *p)
{
    (void)p;
    return 0;
}

/* --- keys ----------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    uint64_t key;
    int (*take)(struct parse *p);
} keys_known[] = {
    {"follow", QUERY_FOLLOW, take_follow},
    {"new", QUERY_NEW, take_new},
    {"tail", QUERY_NEW, take_new},
    {"after", QUERY_AFTER, take_after},
    {"last-id", QUERY_AFTER, take_after},
    {"from", QUERY_FROM, take_from},
    {"before", QUERY_BEFORE, take_before},
    {"since", QUERY_SINCE, take_since},
    {"until", QUERY_UNTIL, take_until},
    {"limit", QUERY_LIMIT, take_limit},
    {"last", QUERY_LAST, take_last},
    {"topic", QUERY_TOPIC, take_topic},
    {"stream", QUERY_STREAM, take_stream},
    {"stream", QUERY_STREAM_FLAG, take_lines},
    {"with-timestamp", QUERY_TIMESTAMP, take_timestamp},
    {"with-seq", QUERY_SEQ, take_seq},
    {"with-authority", QUERY_AUTHORITY, take_authority},
    {"with-stamp", QUERY_STAMP, take_stamp},
    {"with-content", QUERY_CONTENT, take_content},
    {"brief", QUERY_BRIEF, take_brief},
    {"from-seq", QUERY_FROM_SEQ, take_from_seq},
    {"reverse", QUERY_REVERSE, take_reverse},
    {"count", QUERY_COUNT, take_count},
    {"ttl", QUERY_TTL, take_ttl},
    {"ttl", QUERY_TTL_OLD, take_ttl_old},
    {"expect-seq", QUERY_EXPECT_SEQ, take_expect_seq},
    {"expect-last", QUERY_EXPECT_LAST, take_expect_last},
    {"key", QUERY_KEY, take_key},
    {"allow-missing", QUERY_ALLOW_MISSING, take_allow_missing},
    {"timeout_ms", QUERY_TIMEOUT, take_timeout},
    {"memory", QUERY_MEMORY, take_memory},
    {"cpu_s", QUERY_CPU, take_cpu},
    {"processes", QUERY_PROCESSES, take_processes},
    {"confine", QUERY_CONFINE, take_confine},
    {"arg", QUERY_ARG, take_arg},
    {"group", QUERY_GROUP, take_group},
};

#define KEYS_KNOWN (sizeof(keys_known) / sizeof(keys_known[0]))

static size_t find_key(struct span name, uint64_t keys)
{
    for (size_t i = 0; i < KEYS_KNOWN; i++)
        if (keys_known[i].key & keys && span_is(name, keys_known[i].name))
            return i;
    return KEYS_KNOWN;
}

/* One key=value. `scratch` keeps what is decoded while it is looked at. */
static int take_pair(struct parse *p, struct span raw_key, struct span raw_value, uint64_t keys,
                     struct buf *scratch)
{
    buf_reset(scratch);
    int rc = uri_decode(scratch, raw_key, true, p->err);
    if (rc < 0)
        return rc;
    size_t i = find_key(buf_span(scratch), keys);
    if (i == KEYS_KNOWN)
        return 0;
    buf_reset(scratch);
    if (p->query->given & keys_known[i].key & ~(uint64_t)QUERY_ARG)
        return err_set(p->err, ERR_INVALID, "%s: is there twice", keys_known[i].name);
    p->query->given |= keys_known[i].key;
    rc = uri_decode(scratch, raw_value, true, p->err);
    p->value = buf_span(scratch);
    if (rc == 0)
        rc = keys_known[i].take(p);
    if (rc < 0)
        err_prefix(p->err, "%s", keys_known[i].name);
    return rc;
}

int query_parse(struct query *out, struct span raw, uint64_t keys, uint64_t now_ms, struct err *err)
{
    struct query query = {.topics = PATTERN_ALL};
    struct parse p = {.query = &query, .now_ms = now_ms, .err = err};
    CLEAN_BUF scratch = BUF_INIT;
    struct span key, value;
    int rc = 0;
    while (rc == 0 && uri_query_next(&raw, &key, &value, &p.has_value))
        rc = take_pair(&p, key, value, keys, &scratch);
    if (rc < 0) {
        query_finish(&query);
        return rc == -ENOMEM ? err_set(err, rc, "no memory for the query") : rc;
    }
    *out = query;
    return 0;
}

void query_finish(struct query *query)
{
    pattern_finish(&query->topics);
    buf_finish(&query->stream);
    buf_finish(&query->key);
    buf_finish(&query->args);
}

unsigned query_shown(const struct query *query)
{
    return (query->with_timestamp ? FRAME_JSON_TIMESTAMP : 0) | (query->with_seq ? FRAME_JSON_SEQ : 0) |
           (query->with_authority ? FRAME_JSON_AUTHORITY : 0) | (query->with_stamp ? FRAME_JSON_STAMP : 0) |
           (query->with_content ? FRAME_JSON_CONTENT : 0);
}

/* --- bounds --------------------------------------------------------------------------------------
 */

static void raise_low(struct frame_id *low, struct frame_id id)
{
    if (id_cmp(id, *low) > 0)
        *low = id;
}

static void lower_high(struct frame_id *high, struct frame_id id)
{
    if (id_cmp(id, *high) < 0)
        *high = id;
}

/* The highest id of a moment, inclusive. */
static struct frame_id end_of_ms(uint64_t ms)
{
    return ms >= (UINT64_C(1) << 48) - 1 ? ID_MAX : id_pred(id_at_time(ms + 1));
}

bool query_bounds(const struct query *query, struct frame_id *low, struct frame_id *high)
{
    *low = ID_MIN;
    *high = ID_MAX;
    if (query->given & QUERY_FROM) {
        *low = query->from;
    } else if (query->given & QUERY_AFTER) {
        if (id_cmp(query->after, ID_MAX) == 0)
            return false;
        *low = id_succ(query->after);
    }
    if (query->given & QUERY_SINCE)
        raise_low(low, id_at_time(query->since_ms));
    if (query->given & QUERY_BEFORE) {
        if (id_is_zero(query->before))
            return false;
        lower_high(high, id_pred(query->before));
    }
    if (query->given & QUERY_UNTIL)
        lower_high(high, end_of_ms(query->until_ms));
    return id_cmp(*low, *high) <= 0 && !id_is_zero(*high); /* no frame has the id zero */
}
