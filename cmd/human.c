#include "cmd/human.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <weir/frame.h>
#include <weir/id.h>

#include "base/json.h"
#include "base/text.h"

#define TOPIC_WIDTH 20
#define DIM "2"
#define BOLD "1"
#define CYAN "36"
#define YELLOW "33"

static bool look_for_colour(void)
{
    const char *off = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && !(off && off[0]) && !(term && strcmp(term, "dumb") == 0);
}

bool human_colour(void)
{
    static int known = -1;
    if (known < 0)
        known = look_for_colour();
    return known;
}

int human_count(struct buf *out, uint64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0 && buf_add(out, ",", 1) != 0)
            return -1;
        if (buf_add(out, &digits[i], 1) != 0)
            return -1;
    }
    return 0;
}

int human_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    return buf_addf(out, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static int duration(struct buf *out, uint64_t ms)
{
    uint64_t s = ms / 1000;
    if (s >= 86400)
        return buf_addf(out, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
    if (s >= 3600)
        return buf_addf(out, "%" PRIu64 "h %" PRIu64 "m", s / 3600, s / 60 % 60);
    if (s >= 60)
        return buf_addf(out, "%" PRIu64 "m %" PRIu64 "s", s / 60, s % 60);
    return buf_addf(out, "%" PRIu64 ".%" PRIu64 " s", s, ms % 1000 / 100);
}

/* Text in a colour (NULL: none), when colours are wanted; padded on the right to `width` bytes. */
static int put(struct buf *out, const char *colour, struct span text, size_t width)
{
    CLEAN_BUF safe = BUF_INIT;
    bool on = colour && human_colour();
    int rc = text_neutralise(&safe, text);
    if (rc == 0 && on)
        rc = buf_addf(out, "\033[%sm", colour);
    if (rc == 0)
        rc = buf_add_span(out, buf_span(&safe));
    if (rc == 0 && on)
        rc = buf_add_str(out, "\033[0m");
    for (size_t n = safe.len; rc == 0 && n < width; n++)
        rc = buf_add_str(out, " ");
    return rc;
}

static int local_time(struct buf *out, const char *colour, uint64_t ms)
{
    struct tm tm;
    time_t seconds = (time_t)(ms / 1000);
    char text[64];
    if (!localtime_r(&seconds, &tm))
        return put(out, colour, span_str("?"), 0);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(text + len, sizeof(text) - len, ".%03u", (unsigned)(ms % 1000));
    return put(out, colour, span_str(text), 0);
}

int human_time(struct buf *out, struct span id)
{
    struct frame_id parsed;
    return id_parse(&parsed, id, NULL) == 0 ? local_time(out, DIM, id_time_ms(parsed)) : put(out, DIM, id, 0);
}

/* A frame's members as they stand in its JSON; strings without their quotes. */
struct shown {
    struct span topic, id, hash, meta, ttl, seq;
    uint64_t ms;
};

static struct span unquoted(const struct json_value *value)
{
    if (value->type == JSON_STRING && value->raw.len >= 2)
        return span_of(value->raw.ptr + 1, value->raw.len - 2);
    return value->type == JSON_NULL ? span_of(NULL, 0) : value->raw;
}

static bool take(struct shown *f, struct span json)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    struct frame_id id;
    *f = (struct shown){.ms = 0};
    if (json_validate(json, META_DEPTH + 1, NULL, NULL) != 0 || json_type_of(json) != JSON_OBJECT ||
        json_iter_init(&it, json) != 0)
        return false;
    const struct {
        const char *name;
        struct span *into;
    } keys[] = {{"topic", &f->topic},
                {"id", &f->id},
                {"hash", &f->hash},
                {"ttl", &f->ttl},
                {"seq", &f->seq}};
    while (json_iter_next(&it, &key, &value)) {
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
            if (json_string_is(key, keys[i].name))
                *keys[i].into = unquoted(&value);
        }
        if (json_string_is(key, "meta") && value.type != JSON_NULL)
            f->meta = value.raw;
    }
    if (f->topic.len == 0 || id_parse(&id, f->id, NULL) != 0)
        return false;
    f->ms = id_time_ms(id);
    return true;
}

static int line_end(struct buf *out)
{
    while (out->len > 0 && out->ptr[out->len - 1] == ' ')
        out->len--;
    return buf_add_str(out, "\n");
}

static int spaced(struct buf *out, const char *colour, struct span text, size_t width)
{
    if (text.len == 0 && width == 0)
        return 0;
    return put(out, colour, text, width) != 0 ? -1 : buf_add_str(out, "  ");
}

/* Marks of the reader's own stream, without a place in the log. */
static bool synthetic(struct span topic)
{
    return span_is(topic, "xs.threshold") || span_is(topic, "xs.pulse");
}

int human_frame(struct buf *out, struct span json)
{
    struct shown f;
    if (!take(&f, json))
        return put(out, NULL, json, 0) != 0 ? -1 : buf_add_str(out, "\n");
    const char *topic_colour = synthetic(f.topic) ? DIM : BOLD;
    int rc = local_time(out, DIM, f.ms);
    if (rc == 0)
        rc = buf_add_str(out, "  ");
    if (rc == 0)
        rc = spaced(out, CYAN, f.id, ID_TEXT_LEN);
    if (rc == 0)
        rc = spaced(out, topic_colour, f.topic, TOPIC_WIDTH);
    if (rc == 0 && f.seq.len > 0)
        rc = spaced(out, DIM, f.seq, 8);
    if (rc == 0)
        rc = spaced(out, NULL, f.meta, 0);
    if (rc == 0 && f.ttl.len > 0 && !span_is(f.ttl, "forever"))
        rc = spaced(out, YELLOW, f.ttl, 0);
    if (rc == 0)
        rc = spaced(out, DIM, f.hash, 0);
    return rc == 0 ? line_end(out) : rc;
}

static int block_row(struct buf *out, const char *name, const char *colour, struct span text)
{
    if (text.len == 0)
        return 0;
    if (put(out, DIM, span_str(name), 6) != 0 || put(out, colour, text, 0) != 0)
        return -1;
    return buf_add_str(out, "\n");
}

int human_frame_block(struct buf *out, struct span json)
{
    struct shown f;
    if (!take(&f, json))
        return human_frame(out, json);
    int rc = block_row(out, "topic", BOLD, f.topic);
    if (rc == 0)
        rc = block_row(out, "id", CYAN, f.id);
    if (rc == 0)
        rc = put(out, DIM, span_str("time"), 6);
    if (rc == 0)
        rc = local_time(out, NULL, f.ms);
    if (rc == 0)
        rc = buf_add_str(out, "\n");
    if (rc == 0)
        rc = block_row(out, "hash", NULL, f.hash);
    if (rc == 0)
        rc = block_row(out, "meta", NULL, f.meta);
    if (rc == 0)
        rc = block_row(out, "ttl", NULL, f.ttl);
    return rc == 0 ? block_row(out, "seq", NULL, f.seq) : rc;
}

static bool ends_with(struct span text, const char *end)
{
    size_t len = strlen(end);
    return text.len >= len && memcmp(text.ptr + text.len - len, end, len) == 0;
}

static int member(struct buf *out, struct span key, const struct json_value *value)
{
    uint64_t n;
    if (value->type != JSON_NUMBER || json_u64(value->raw, &n) != 0)
        return put(out, NULL, value->type == JSON_NULL ? span_str("-") : unquoted(value), 0);
    if (ends_with(key, "bytes"))
        return human_size(out, n);
    if (ends_with(key, "_ms"))
        return duration(out, n);
    return ends_with(key, "pid") ? buf_addf(out, "%" PRIu64, n) : human_count(out, n);
}

static int object(struct buf *out, struct span json, int depth)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_iter_init(&it, json) != 0)
        return put(out, NULL, json, 0);
    while (json_iter_next(&it, &key, &value)) {
        key = key.len >= 2 ? span_of(key.ptr + 1, key.len - 2) : key;
        bool nested = value.type == JSON_OBJECT && depth < 4;
        /* The value brings its unit. */
        struct span label = ends_with(key, "_ms") ? span_of(key.ptr, key.len - 3) : key;
        int rc = buf_addf(out, "%*s", depth * 2, "");
        if (rc == 0)
            rc = put(out, DIM, label, nested ? 0 : (size_t)(14 - depth * 2));
        if (rc == 0 && nested)
            rc = buf_add_str(out, "\n");
        if (rc == 0)
            rc = nested ? object(out, value.raw, depth + 1) : member(out, key, &value);
        if (rc == 0 && !nested)
            rc = buf_add_str(out, "\n");
        if (rc != 0)
            return rc;
    }
    return 0;
}

int human_object(struct buf *out, struct span json)
{
    if (json_validate(json, META_DEPTH, NULL, NULL) != 0 || json_type_of(json) != JSON_OBJECT)
        return put(out, NULL, json, 0) != 0 ? -1 : buf_add_str(out, "\n");
    return object(out, json, 0);
}

int human_bytes(struct buf *out, struct span bytes)
{
    size_t from = 0;
    for (size_t i = 0; i <= bytes.len; i++) {
        if (i < bytes.len && bytes.ptr[i] != '\n' && bytes.ptr[i] != '\t')
            continue;
        if (text_neutralise(out, span_of(bytes.ptr + from, i - from)) != 0)
            return -1;
        if (i < bytes.len && buf_add(out, bytes.ptr + i, 1) != 0)
            return -1;
        from = i + 1;
    }
    return 0;
}
