#include "base/frame_json.h"

#include "base/json.h"
#include "base/text.h"
#include "base/topic.h"
#include "base/utf8.h"

/*
 * Written for speed: readers spend their time here. One reservation covers the longest line the
 * frame can give; after it every step is a copy of known length.
 */

/* Keys, nulls, id, hash, ttl, seq and timestamp at their longest, with room to spare. */
#define FIXED_MAX 512
#define ESCAPED_MAX 6 /* bytes that one byte may grow to when JSON escapes it */

static inline uint8_t *put(uint8_t *p, const void *bytes, size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)

/* Topics of the xs character set need no escapes; others, which only S2 allows, may. */
static bool is_xs_text(struct span text)
{
    static const bool allowed[256] = {
        ['-'] = true,         ['.'] = true,         ['_'] = true,
        ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
    };
    bool ok = true;
    for (size_t i = 0; i < text.len; i++)
        ok &= allowed[text.ptr[i]];
    return ok;
}

/* Most topics are short, and a copy of a length unknown to the compiler is a call. */
static inline uint8_t *put_text(uint8_t *p, struct span s)
{
    if (s.len >= 8 && s.len <= 16) {
        memcpy(p, s.ptr, 8);
        memcpy(p + s.len - 8, s.ptr + s.len - 8, 8);
        return p + s.len;
    }
    if (s.len >= 4 && s.len < 8) {
        memcpy(p, s.ptr, 4);
        memcpy(p + s.len - 4, s.ptr + s.len - 4, 4);
        return p + s.len;
    }
    return s.len > 0 ? put(p, s.ptr, s.len) : p;
}

/* A string with its quotes. */
static inline uint8_t *put_string(struct buf *out, uint8_t *p, struct span text)
{
    if (is_xs_text(text)) {
        *p++ = '"';
        p = put_text(p, text);
        *p++ = '"';
        return p;
    }
    out->len = (size_t)(p - out->ptr);
    json_put_string(out, text); /* the room for its longest form is there, so it cannot fail */
    return out->ptr + out->len;
}

/* The origin is no part of the meta as stored: it is shown as the first key where one fits. */
static uint8_t *put_meta_with_origin(struct buf *out, uint8_t *p, const struct frame *frame)
{
    struct span meta = frame->meta;
    if (meta.len > 0 && meta.ptr[0] != '{')
        return put_text(p, meta);
    p = PUT(p, "{\"origin\":");
    p = put_string(out, p, frame->origin);
    if (meta.len <= 2)
        return PUT(p, "}");
    *p++ = ',';
    return put_text(p, (struct span){meta.ptr + 1, meta.len - 1});
}

static inline uint8_t *put_meta(struct buf *out, uint8_t *p, const struct frame *frame)
{
    p = PUT(p, ",\"meta\":");
    if (frame->origin.len > 0)
        return put_meta_with_origin(out, p, frame);
    return frame->meta.len > 0 ? put_text(p, frame->meta) : PUT(p, "null");
}

static uint8_t *put_hash(uint8_t *p, const struct frame *frame)
{
    if (!frame->has_hash)
        return PUT(p, ",\"hash\":null");
    p = PUT(p, ",\"hash\":\"");
    sri_format((char *)p, frame->digest);
    p += SRI_TEXT_LEN;
    *p++ = '"';
    return p;
}

static uint8_t *put_ttl(uint8_t *p, struct ttl ttl)
{
    if (ttl.kind == TTL_FOREVER)
        return PUT(p, ",\"ttl\":\"forever\"");
    if (ttl.kind == TTL_NULL)
        return PUT(p, ",\"ttl\":null");
    p = PUT(p, ",\"ttl\":\"");
    p += ttl_format((char *)p, ttl);
    *p++ = '"';
    return p;
}

static uint8_t *put_seq(uint8_t *p, const struct frame *frame)
{
    if (!frame->has_seq)
        return PUT(p, ",\"seq\":null");
    p = PUT(p, ",\"seq\":");
    return p + text_format_u64((char *)p, frame->seq);
}

static uint8_t *put_timestamp(uint8_t *p, uint64_t ms)
{
    p = PUT(p, ",\"timestamp\":\"");
    time_format((char *)p, ms);
    p += strlen((char *)p);
    *p++ = '"';
    return p;
}

static uint8_t *put_authority(uint8_t *p, enum authority authority)
{
    if (authority == AUTHORITY_DAEMON)
        return PUT(p, ",\"authority\":\"daemon\"");
    return authority == AUTHORITY_EXEC ? PUT(p, ",\"authority\":\"exec\"")
                                       : PUT(p, ",\"authority\":\"none\"");
}

static uint8_t *put_stamp(uint8_t *p, uint64_t ms)
{
    p = PUT(p, ",\"stamp\":");
    return p + text_format_u64((char *)p, ms);
}

/* Everything after the topic, up to the content. */
static uint8_t *put_rest(struct buf *out, uint8_t *p, const struct frame *frame, unsigned flags)
{
    p = PUT(p, ",\"id\":\"");
    id_format((char *)p, frame->id);
    p += ID_TEXT_LEN;
    *p++ = '"';
    p = put_hash(p, frame);
    p = put_meta(out, p, frame);
    p = put_ttl(p, frame->ttl);
    if (flags & FRAME_JSON_SEQ)
        p = put_seq(p, frame);
    if (flags & FRAME_JSON_AUTHORITY)
        p = put_authority(p, frame->authority);
    if (flags & FRAME_JSON_TIMESTAMP)
        p = put_timestamp(p, id_time_ms(frame->id));
    if (flags & FRAME_JSON_STAMP)
        p = put_stamp(p, frame->stamp);
    return p;
}

static int put_size(struct buf *out, const struct frame *frame)
{
    int rc = buf_add_str(out, ",\"size\":");
    if (rc == 0 && frame->content_size == 0)
        return buf_add_str(out, "null");
    return rc == 0 ? json_put_u64(out, frame->content_size) : rc;
}

static int put_base64(struct buf *out, struct span bytes)
{
    int rc = buf_add_str(out, ",\"content_base64\":\"");
    if (rc == 0)
        rc = b64_encode(out, bytes);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

static int put_content(struct buf *out, const struct frame *frame)
{
    struct span bytes = frame->content;
    if (!frame->has_hash)
        return 0;
    if (!frame->has_content || bytes.len > FRAME_JSON_CONTENT_MAX)
        return put_size(out, frame);
    if (!utf8_valid(bytes))
        return put_base64(out, bytes);
    int rc = buf_add_str(out, ",\"content\":");
    return rc == 0 ? json_put_string(out, bytes) : rc;
}

static int put_content_and_end(struct buf *out, const struct frame *frame)
{
    int rc = put_content(out, frame);
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

int frame_json(struct buf *out, const struct frame *frame, unsigned flags)
{
    size_t texts = ESCAPED_MAX * (frame->topic.len + frame->origin.len) + frame->meta.len;
    size_t before = out->len;
    int rc = buf_reserve(out, FIXED_MAX + texts);
    if (rc < 0)
        return rc;
    uint8_t *p = PUT(out->ptr + out->len, "{\"topic\":");
    p = put_string(out, p, frame->topic);
    p = put_rest(out, p, frame, flags);
    if (!(flags & FRAME_JSON_CONTENT))
        *p++ = '}';
    out->len = (size_t)(p - out->ptr);
    rc = flags & FRAME_JSON_CONTENT ? put_content_and_end(out, frame) : 0;
    if (rc < 0)
        out->len = before;
    return rc;
}
