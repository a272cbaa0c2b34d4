#include "base/frame_json.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "base/topic.h"

struct parse {
    struct frame_in frame;
    unsigned named, given; /* bits of keys: there, and not null */
    struct buf *scratch;
    bool import;
    struct err *err;
};

static int wrong_type(struct parse *p, const char *key)
{
    return err_set(p->err, ERR_INVALID, "\"%s\" must be a string or null", key);
}

/* The text of a JSON string: the bytes as they stand, or decoded in scratch when it has escapes. */
static int string_text(struct parse *p, struct json_value value, struct span *out)
{
    struct span inside = {value.raw.ptr + 1, value.raw.len - 2};
    if (inside.len == 0 || !memchr(inside.ptr, '\\', inside.len)) {
        *out = inside;
        return 0;
    }
    size_t start = p->scratch->len;
    int rc = json_string_decode(value.raw, p->scratch, p->err);
    if (rc < 0)
        return rc;
    *out = (struct span){p->scratch->ptr + start, p->scratch->len - start};
    return 0;
}

static int take_topic(struct parse *p, struct span text)
{
    p->frame.topic = text;
    return 0;
}

static int take_stream(struct parse *p, struct span text)
{
    p->frame.stream = true;
    return take_topic(p, text);
}

static int take_cursor(struct parse *p, struct span text)
{
    p->frame.is_cursor = true;
    p->frame.cursor = text;
    return 0;
}

static int take_position(struct parse *p, struct span text)
{
    p->frame.position = text;
    return 0;
}

static int take_id(struct parse *p, struct span text)
{
    p->frame.has_id = true;
    return id_parse(&p->frame.id, text, p->err);
}

static int take_hash(struct parse *p, struct span text)
{
    p->frame.has_hash = true;
    /* A well-formed hash of another algorithm is "not found" to a reader, but no input to keep. */
    return sri_parse(p->frame.digest, text, p->err) < 0 ? ERR_INVALID : 0;
}

static int take_ttl(struct parse *p, struct span text)
{
    p->frame.has_ttl = true;
    return ttl_parse(&p->frame.ttl, text, p->import, p->err);
}

static int take_content_bytes(struct parse *p, struct span bytes)
{
    if (p->frame.has_content)
        return err_set(p->err, ERR_INVALID, "give \"content\" or \"content_base64\", not both");
    p->frame.has_content = true;
    p->frame.content = bytes;
    return 0;
}

static int take_content_base64(struct parse *p, struct span text)
{
    size_t start = p->scratch->len;
    int rc = b64_decode(p->scratch, text, p->err);
    if (rc < 0)
        return rc;
    return take_content_bytes(p, span_of(p->scratch->ptr + start, p->scratch->len - start));
}

static int take_meta(struct parse *p, struct json_value value)
{
    size_t start = p->scratch->len;
    int rc = json_validate(value.raw, META_DEPTH, p->scratch, p->err);
    if (rc < 0)
        return rc;
    p->frame.meta = (struct span){p->scratch->ptr + start, p->scratch->len - start};
    if (p->frame.meta.len > META_MAX)
        return err_set(p->err, ERR_TOO_LARGE, "%zu bytes, at most %d are allowed",
                       p->frame.meta.len, META_MAX);
    return 0;
}

static int take_stamp(struct parse *p, struct json_value value)
{
    p->frame.has_stamp = true;
    if (value.type != JSON_NUMBER || json_u64(value.raw, &p->frame.stamp) < 0)
        return err_set(p->err, ERR_INVALID, "not a number of ms from 0 to 2^64-1");
    return 0;
}

/* The keys known, with what takes the text of a string, or any value. */
enum { TOPIC, ID, HASH, META, TTL, CONTENT, CONTENT_BASE64, STREAM, STAMP, CURSOR, POSITION, KEY_COUNT };
#define IMPORT_KEYS STREAM /* those before it are an import's as well */

static const struct key {
    const char *name;
    int (*take)(struct parse *p, struct span text);
    int (*take_any)(struct parse *p, struct json_value value);
} keys[KEY_COUNT] = {
    [TOPIC] = {"topic", take_topic, NULL},
    [ID] = {"id", take_id, NULL},
    [HASH] = {"hash", take_hash, NULL},
    [META] = {"meta", NULL, take_meta},
    [TTL] = {"ttl", take_ttl, NULL},
    [CONTENT] = {"content", take_content_bytes, NULL},
    [CONTENT_BASE64] = {"content_base64", take_content_base64, NULL},
    [STREAM] = {"stream", take_stream, NULL},
    [STAMP] = {"stamp", NULL, take_stamp},
    [CURSOR] = {"cursor", take_cursor, NULL},
    [POSITION] = {"position", take_position, NULL},
};

static size_t find_key(struct span name, bool import)
{
    size_t count = import ? IMPORT_KEYS : KEY_COUNT, i = 0;
    while (i < count && !json_string_is(name, keys[i].name))
        i++;
    return i < count ? i : KEY_COUNT;
}

static int take_value(struct parse *p, const struct key *key, struct json_value value)
{
    if (value.type == JSON_NULL)
        return 0;
    int rc;
    if (key->take_any) {
        rc = key->take_any(p, value);
    } else if (value.type != JSON_STRING) {
        return wrong_type(p, key->name);
    } else {
        struct span text;
        rc = string_text(p, value, &text);
        if (rc == 0)
            rc = key->take(p, text);
    }
    if (rc < 0)
        err_prefix(p->err, "\"%s\"", key->name);
    return rc;
}

/* A mistyped key of an append would lose what it holds. What reads print beside the keys may come
 * back. */
static int take_unknown(struct parse *p, struct span name)
{
    if (p->import || json_string_is(name, "timestamp") || json_string_is(name, "seq") || json_string_is(name, "size"))
        return 0;
    int shown = name.len < 60 ? (int)name.len : 60;
    return err_set(p->err, ERR_INVALID,
                   "the key %.*s is not known; there are topic or stream, meta, ttl, hash, content or content_base64, stamp; cursor "
                   "with position",
                   shown, (const char *)name.ptr);
}

/* A line is a frame or a cursor. */
static int check_keys(struct parse *p)
{
    const unsigned cursor = 1u << CURSOR | 1u << POSITION;
    if (p->given & 1u << TOPIC && p->given & 1u << STREAM)
        return err_set(p->err, ERR_INVALID, "give \"topic\" or \"stream\", not both");
    if (!(p->given & cursor))
        return 0;
    if ((p->given & cursor) != cursor)
        return err_set(p->err, ERR_INVALID, "\"cursor\" and \"position\" go together");
    if (p->given & ~cursor)
        return err_set(p->err, ERR_INVALID, "a line with \"cursor\" has \"position\" beside it and nothing else");
    return 0;
}

static int take_members(struct parse *p, struct json_iter *it)
{
    struct span name;
    struct json_value value;
    while (json_iter_next(it, &name, &value)) {
        size_t i = find_key(name, p->import);
        if (i == KEY_COUNT) {
            int unknown = take_unknown(p, name);
            if (unknown < 0)
                return unknown;
            continue;
        }
        if (p->named & 1u << i)
            return err_set(p->err, ERR_INVALID, "\"%s\" is there twice", keys[i].name);
        p->named |= 1u << i;
        p->given |= value.type == JSON_NULL ? 0 : 1u << i;
        int rc = take_value(p, &keys[i], value);
        if (rc < 0)
            return rc;
    }
    return check_keys(p);
}

int frame_in_parse(struct frame_in *out, struct span line, struct buf *scratch, bool import,
                   struct err *err)
{
    struct parse p = {.scratch = scratch, .import = import, .err = err};
    struct json_iter it;
    int rc = json_validate(line, META_DEPTH + 1, NULL, err);
    if (rc < 0)
        return rc;
    if (json_type_of(line) != JSON_OBJECT || json_iter_init(&it, line) < 0)
        return err_set(err, ERR_INVALID, "a frame must be a JSON object");
    /* Every byte of the line is decoded at most twice (an escaped string, then base64), so scratch
     * never moves below, and spans into it stay good. */
    if (line.len > SIZE_MAX / 4 || buf_reserve(scratch, 2 * line.len) < 0)
        return err_set(err, -ENOMEM, "no memory for a frame of %zu bytes", line.len);
    size_t before = scratch->len;
    rc = take_members(&p, &it);
    if (rc < 0) {
        scratch->len = before;
        return rc;
    }
    *out = p.frame;
    return 0;
}
