/* Messages, headers and beacons as `weir decode` prints them. */
#include "bridge/show.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

/* What a line has beside key and payload, at most. */
#define LINE_MAX_FIXED 192
#define BYTE_TEXT_MAX 4 /* "255," */

static inline uint8_t *put(uint8_t *p, const void *bytes, size_t len)
{
    memcpy(p, bytes, len);
    return p + len;
}

#define PUT(p, literal) put((p), (literal), sizeof(literal) - 1)

static inline uint8_t *put_time(uint8_t *p, uint64_t ms)
{
    return p + ss_time_write((char *)p, ms, 0);
}

/* What was written up to `end` counts; there was room. */
static inline void done(struct buf *out, const uint8_t *end)
{
    out->len = (size_t)(end - out->ptr);
}

static bool has_comments(enum ss_show form)
{
    return form == SS_SHOW_LOG || form == SS_SHOW_NDJSON;
}

static int comment_begin(struct buf *out, enum ss_show form)
{
    return buf_add_str(out, form == SS_SHOW_LOG ? "# " : "/* ");
}

static int comment_end(struct buf *out, enum ss_show form)
{
    return buf_add_str(out, form == SS_SHOW_LOG ? "\n" : " */\n");
}

/* --- the file's header ------------------------------------------------------------------------ */

static int header_json(struct buf *out, const struct ss_header *h)
{
    int rc = buf_add_str(out, "{\"file_name\":");
    if (rc == 0)
        rc = json_put_string(out, span_of(h->name, h->name_len));
    if (rc == 0)
        rc = buf_reserve(out, LINE_MAX_FIXED);
    if (rc != 0)
        return rc;
    uint8_t *p = out->ptr + out->len;
    p = put_time(PUT(p, ",\"created_at\":\""), h->created_ms);
    p = ss_put_number(PUT(p, "\",\"beacon_interval\":"), h->interval);
    done(out, PUT(p, "}"));
    return 0;
}

int ss_show_header(struct buf *out, enum ss_show form, const struct ss_header *h)
{
    if (!has_comments(form))
        return 0;
    size_t before = out->len;
    int rc = comment_begin(out, form);
    if (rc == 0)
        rc = header_json(out, h);
    if (rc == 0)
        rc = comment_end(out, form);
    if (rc != 0)
        out->len = before;
    return rc;
}

/* --- beacons ---------------------------------------------------------------------------------- */

/* Key, shard, sequence and time: where there is room. Keys have no character that JSON escapes. */
static uint8_t *put_head_json(uint8_t *p, struct span key, uint64_t shard, uint64_t seq, uint64_t ms)
{
    p = put(PUT(p, "{\"header\":{\"stream_key\":\""), key.ptr, key.len);
    p = ss_put_number(PUT(p, "\",\"shard_id\":"), shard);
    p = ss_put_number(PUT(p, ",\"sequence\":"), seq);
    p = put_time(PUT(p, ",\"timestamp\":\""), ms);
    return PUT(p, "\"}");
}

static int item_json(struct buf *out, const struct ss_item *item)
{
    int rc = buf_reserve(out, item->key_len + (size_t)LINE_MAX_FIXED);
    if (rc != 0)
        return rc;
    uint8_t *p = out->ptr + out->len;
    p = put_head_json(p, span_of(item->key, item->key_len), item->shard, item->seq, item->time_ms);
    p = ss_put_number(PUT(p, ",\"running_checksum\":"), item->running);
    done(out, PUT(p, "}"));
    return 0;
}

static int items_json(struct buf *out, const struct ss_beacon *b)
{
    int rc = buf_add_str(out, "[");
    for (size_t i = 0; rc == 0 && i < b->count; i++) {
        rc = i > 0 ? buf_add_str(out, ",") : 0;
        if (rc == 0)
            rc = item_json(out, &b->items[i]);
    }
    return rc == 0 ? buf_add_str(out, "]") : rc;
}

int ss_show_beacon(struct buf *out, enum ss_show form, const struct ss_beacon *b)
{
    if (!has_comments(form))
        return 0;
    size_t before = out->len;
    int rc = comment_begin(out, form);
    if (rc == 0)
        rc = items_json(out, b);
    if (rc == 0)
        rc = comment_end(out, form);
    if (rc != 0)
        out->len = before;
    return rc;
}

/* --- payloads --------------------------------------------------------------------------------- */

/* "0," to "255,", four bytes each. */
static char byte_texts[256][BYTE_TEXT_MAX];

__attribute__((constructor)) static void fill_byte_texts(void)
{
    for (unsigned byte = 0; byte < 256; byte++) {
        char *p = byte_texts[byte];
        p += text_format_u64(p, byte);
        *p = ',';
    }
}

int ss_show_bytes(struct buf *out, struct span bytes)
{
    int rc = buf_reserve(out, (bytes.len + 1) * BYTE_TEXT_MAX);
    if (rc != 0)
        return rc;
    uint8_t *p = PUT(out->ptr + out->len, "[");
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.ptr[i];
        put(p, byte_texts[byte], BYTE_TEXT_MAX);
        p += 2 + (byte > 9) + (byte > 99);
    }
    /* The last comma gives way to the bracket. */
    p -= bytes.len > 0;
    done(out, PUT(p, "]"));
    return 0;
}

/* As its value when it is JSON, else as a string, else as its bytes. */
static int put_value(struct buf *out, struct span payload)
{
    int rc = ss_json_again(out, payload);
    if (rc != ERR_INVALID)
        return rc;
    return utf8_valid(payload) ? json_put_string(out, payload) : ss_show_bytes(out, payload);
}

static int put_base64(struct buf *out, struct span payload)
{
    int rc = buf_add_str(out, "\"");
    if (rc == 0)
        rc = b64_encode(out, payload);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

/* Its name and the payload, so that every byte is told. */
static int put_exact(struct buf *out, struct span payload)
{
    bool text = utf8_valid(payload);
    int rc = buf_add_str(out, text ? ",\"payload\":" : ",\"payload_base64\":");
    if (rc != 0)
        return rc;
    return text ? json_put_string(out, payload) : put_base64(out, payload);
}

/* --- messages --------------------------------------------------------------------------------- */

static int message_log(struct buf *out, const struct ss_message *m, bool header_only)
{
    int rc = buf_reserve(out, m->key.len + m->payload.len + LINE_MAX_FIXED);
    if (rc != 0)
        return rc;
    uint8_t *p = PUT(out->ptr + out->len, "[");
    p = PUT(put_time(p, m->time_ms), " | ");
    p = PUT(put(p, m->key.ptr, m->key.len), " | ");
    p = PUT(ss_put_number(p, m->seq), " | ");
    p = PUT(ss_put_number(p, m->shard), "]");
    if (!header_only && !utf8_valid(m->payload)) {
        p = PUT(p, " <BINARY BLOB>");
    } else if (!header_only) {
        p = PUT(p, " ");
        p = m->payload.len > 0 ? put(p, m->payload.ptr, m->payload.len) : p;
    }
    done(out, PUT(p, "\n"));
    return 0;
}

static int payload_json(struct buf *out, enum ss_show form, struct span payload, bool header_only)
{
    if (header_only)
        return buf_add_str(out, ",\"payload\":null");
    if (form == SS_SHOW_EXACT)
        return put_exact(out, payload);
    int rc = buf_add_str(out, ",\"payload\":");
    return rc == 0 ? put_value(out, payload) : rc;
}

static int message_json(struct buf *out, enum ss_show form, const struct ss_message *m, bool header_only)
{
    size_t before = out->len;
    int rc = buf_reserve(out, m->key.len + m->payload.len + LINE_MAX_FIXED);
    if (rc == 0) {
        done(out, put_head_json(out->ptr + out->len, m->key, m->shard, m->seq, m->time_ms));
        rc = payload_json(out, form, m->payload, header_only);
    }
    if (rc == 0)
        rc = buf_add_str(out, "}\n");
    if (rc != 0)
        out->len = before;
    return rc;
}

int ss_show_message(struct buf *out, enum ss_show form, const struct ss_message *m, bool header_only)
{
    return form == SS_SHOW_LOG ? message_log(out, m, header_only) : message_json(out, form, m, header_only);
}
