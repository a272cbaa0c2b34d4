#include "bridge/relay/weir_frame.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "bridge/meta.h"

#define SEALED "{\"s2.sealed\":\"aes-256-gcm\"}"

/* A string's text: as it stands, or decoded in scratch when it has escapes. */
static int take_text(struct buf *scratch, struct span raw, struct span *out)
{
    struct span inside = span_of(raw.ptr + 1, raw.len - 2);
    *out = inside;
    if (!memchr(inside.ptr, '\\', inside.len))
        return 0;
    buf_reset(scratch);
    int rc = json_string_decode(raw, scratch, NULL);
    *out = buf_span(scratch);
    return rc;
}

static int take_base64(struct buf *scratch, struct span raw, struct span *out)
{
    buf_reset(scratch);
    int rc = b64_decode(scratch, span_of(raw.ptr + 1, raw.len - 2), NULL);
    *out = buf_span(scratch);
    return rc;
}

/* The member's value as text; `found` notes a content. */
static int take_string(struct relay_frame *f, struct span key, struct span raw, bool *content)
{
    if (json_string_is(key, "topic"))
        return take_text(&f->topic, raw, &f->m.key);
    if (json_string_is(key, "id"))
        return id_parse(&f->id, span_of(raw.ptr + 1, raw.len - 2), NULL);
    if (json_string_is(key, "hash")) {
        f->hash = span_of(raw.ptr + 1, raw.len - 2);
        return 0;
    }
    bool plain = json_string_is(key, "content");
    if (!plain && !json_string_is(key, "content_base64"))
        return 0;
    *content = true;
    return plain ? take_text(&f->text, raw, &f->m.payload) : take_base64(&f->text, raw, &f->m.payload);
}

static int take_number(struct relay_frame *f, struct span key, struct span raw)
{
    if (json_string_is(key, "seq")) {
        f->m.no_seq = false;
        return json_u64(raw, &f->m.seq);
    }
    return json_string_is(key, "stamp") ? json_u64(raw, &f->m.time_ms) : 0;
}

static int take_members(struct relay_frame *f, struct span line, struct span *meta)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    bool content = false;
    int rc = json_validate(line, META_DEPTH + 1, NULL, NULL);
    if (rc == 0)
        rc = json_iter_init(&it, line);
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "meta"))
            *meta = value.type == JSON_NULL ? (struct span){0} : value.raw;
        else if (value.type == JSON_STRING)
            rc = take_string(f, key, value.raw, &content);
        else if (value.type == JSON_NUMBER)
            rc = take_number(f, key, value.raw);
    }
    f->fetch = f->hash.len > 0 && !content;
    return rc;
}

static bool is_command(struct span meta)
{
    static const char head[] = "{\"\":";
    return meta.len >= sizeof(head) - 1 && memcmp(meta.ptr, head, sizeof(head) - 1) == 0;
}

int relay_frame_read(struct relay_frame *f, struct span line, struct err *err)
{
    struct span meta = {0};
    f->m = (struct ss_message){.no_seq = true};
    f->hash = (struct span){0};
    int rc = take_members(f, line, &meta);
    if (rc == 0 && f->m.key.len == 0)
        rc = ERR_INVALID;
    if (rc < 0)
        return err_set(err, rc == -ENOMEM ? rc : ERR_INVALID, "the store sent a line that is no frame");
    f->command = is_command(meta);
    f->sealed = span_is(meta, SEALED);
    return ss_meta_read(&f->m, meta, &f->rest);
}

void relay_frame_finish(struct relay_frame *f)
{
    buf_finish(&f->topic);
    buf_finish(&f->text);
    buf_finish(&f->rest);
}
