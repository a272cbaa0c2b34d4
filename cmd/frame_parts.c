#include "cmd/frame_parts.h"

#include <weir/frame.h>

static struct span unquoted(const struct json_value *value)
{
    if (value->type == JSON_STRING && value->raw.len >= 2)
        return span_of(value->raw.ptr + 1, value->raw.len - 2);
    return span_of(NULL, 0);
}

static void take_member(struct frame_parts *out, struct span key, const struct json_value *value)
{
    if (json_string_is(key, "topic"))
        out->topic = unquoted(value);
    else if (json_string_is(key, "id"))
        out->id = unquoted(value);
    else if (json_string_is(key, "hash"))
        out->hash = unquoted(value);
    else if (json_string_is(key, "authority"))
        out->authority = unquoted(value);
    else if (json_string_is(key, "meta") && value->type != JSON_NULL)
        out->meta = value->raw;
}

bool frame_parts_take(struct frame_parts *out, struct span json)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    struct frame_id id;
    *out = (struct frame_parts){.topic = {0}};
    if (json_validate(json, META_DEPTH + 1, NULL, NULL) != 0 || json_type_of(json) != JSON_OBJECT ||
        json_iter_init(&it, json) != 0)
        return false;
    while (json_iter_next(&it, &key, &value))
        take_member(out, key, &value);
    return out->topic.len > 0 && id_parse(&id, out->id, NULL) == 0;
}

bool meta_member(struct span meta, const char *key, struct json_value *out)
{
    struct json_iter it;
    struct span name;
    if (meta.len == 0 || json_type_of(meta) != JSON_OBJECT || json_iter_init(&it, meta) != 0)
        return false;
    while (json_iter_next(&it, &name, out)) {
        if (json_string_is(name, key))
            return out->type != JSON_NULL;
    }
    return false;
}

bool meta_is(struct span meta, const char *key, const char *text)
{
    struct json_value value;
    return meta_member(meta, key, &value) && value.type == JSON_STRING &&
           json_string_is(value.raw, text);
}

bool meta_text(struct span meta, const char *key, struct buf *out)
{
    struct json_value value;
    if (!meta_member(meta, key, &value))
        return false;
    return (value.type == JSON_STRING ? json_string_decode(value.raw, out, NULL)
                                      : buf_add_span(out, value.raw)) == 0;
}

bool meta_u64(struct span meta, const char *key, uint64_t *out)
{
    struct json_value value;
    return meta_member(meta, key, &value) && json_u64(value.raw, out) == 0;
}
