/*
 * One line as a frame: which lines are meant so, and what their keys say.
 */
#include <errno.h>

#include "base/frame_json.h"
#include "base/json.h"
#include "daemon/run/output.h"

enum line_key {
    KEY_TOPIC = 1 << 0,
    KEY_CONTENT = 1 << 1,
    KEY_CONTENT_BASE64 = 1 << 2,
    KEY_META = 1 << 3,
    KEY_ACK = 1 << 4,
    KEY_TTL = 1 << 5,
    KEY_FRAME_ID = 1 << 6,
};

#define KEYS_OF_FRAME ((unsigned)(KEY_TOPIC | KEY_CONTENT | KEY_CONTENT_BASE64 | KEY_META))
#define KEYS_THAT_TELL (KEYS_OF_FRAME | KEY_ACK)

static const char *const key_names[] = {
    "topic", "content", "content_base64", "meta", "ack", "ttl", "frame_id",
};

#define KEY_COUNT (sizeof(key_names) / sizeof(key_names[0]))

/* The key's bit; 0 for one that is not known. */
static unsigned key_of(struct span raw)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (json_string_is(raw, key_names[i]))
            return 1u << i;
    }
    return 0;
}

/* The keys of an object; 0 when there is one that no frame line has. */
static unsigned keys_of(struct span object)
{
    unsigned keys = 0;
    struct json_iter it;
    struct span name;
    struct json_value value;
    if (json_iter_init(&it, object) < 0)
        return 0;
    while (json_iter_next(&it, &name, &value)) {
        unsigned key = key_of(name);
        if (key == 0)
            return 0;
        keys |= key;
    }
    return keys;
}

/* --- the keys that are not of frames that clients send ---------------------------------------- */

static int take_id(struct frame_id *out, struct json_value value, const char *key, struct err *err)
{
    char text[ID_TEXT_LEN];
    struct span plain = {value.raw.ptr + 1, value.raw.len - 2};
    if (value.type != JSON_STRING)
        return err_set(err, ERR_INVALID, "\"%s\" must be the id of a frame", key);
    /* An escape in an id is as good as its character; longer than that no id can be. */
    if (memchr(plain.ptr, '\\', plain.len)) {
        CLEAN_BUF decoded = BUF_INIT;
        int rc = json_string_decode(value.raw, &decoded, err);
        if (rc < 0)
            return rc;
        if (decoded.len != ID_TEXT_LEN)
            return err_set(err, ERR_INVALID, "\"%s\" is not the id of a frame", key);
        memcpy(text, decoded.ptr, ID_TEXT_LEN);
        plain = span_of(text, ID_TEXT_LEN);
    }
    int rc = id_parse(out, plain, err);
    if (rc < 0)
        err_prefix(err, "\"%s\"", key);
    return rc;
}

static int take_key(struct printed *out, unsigned key, struct json_value value, struct err *err)
{
    if (key == KEY_ACK) {
        out->has_ack = true;
        return take_id(&out->ack, value, "ack", err);
    }
    if (value.type == JSON_NULL)
        return 0;
    if (key == KEY_FRAME_ID) {
        out->has_cause = true;
        return take_id(&out->cause, value, "frame_id", err);
    }
    if (key == KEY_TOPIC && value.type == JSON_STRING && value.raw.len == 2)
        return err_set(err, ERR_INVALID, "\"topic\" is empty; leave it out for NAME and suffix");
    if (key == KEY_META && value.type != JSON_OBJECT)
        return err_set(err, ERR_INVALID, "\"meta\" must be a JSON object");
    return 0;
}

/* The keys that are ours alone, and what is stricter here than in an import. */
static int take_own_keys(struct printed *out, struct span line, struct err *err)
{
    unsigned seen = 0;
    struct json_iter it;
    struct span name;
    struct json_value value;
    json_iter_init(&it, line);
    while (json_iter_next(&it, &name, &value)) {
        unsigned key = key_of(name);
        if (seen & key & (KEY_ACK | KEY_FRAME_ID))
            return err_set(err, ERR_INVALID, "%.*s is there twice", SPAN_ARG(name));
        seen |= key;
        int rc = take_key(out, key, value, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* What an import reads of the line; it passes over the keys that are ours. */
static int take_frame_keys(struct printed *out, struct span line, struct buf *scratch,
                           struct err *err)
{
    struct frame_in in;
    int rc = frame_in_parse(&in, line, scratch, true, err);
    if (rc < 0)
        return rc;
    if (in.topic.len > 0 && topic_check(in.topic, err) < 0)
        return ERR_INVALID;
    out->topic = in.topic;
    out->meta = in.meta;
    out->has_content = in.has_content && in.content.len > 0;
    out->content = out->has_content ? in.content : (struct span){NULL, 0};
    out->has_ttl = in.has_ttl;
    out->ttl = in.ttl;
    return 0;
}

int output_frame_line(struct printed *out, struct span line, struct buf *scratch, struct err *err)
{
    if (json_type_of(line) != JSON_OBJECT || json_validate(line, JSON_DEPTH_MAX, NULL, NULL) < 0)
        return 0;
    unsigned keys = keys_of(line);
    if (!(keys & KEYS_THAT_TELL))
        return 0;
    struct printed frame = {.has_frame = (keys & KEYS_OF_FRAME) != 0};
    int rc = take_own_keys(&frame, line, err);
    if (rc == 0)
        rc = take_frame_keys(&frame, line, scratch, err);
    if (rc < 0)
        return rc;
    *out = frame;
    return 1;
}
