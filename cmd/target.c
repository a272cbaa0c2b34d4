#include "cmd/target.h"

#include <string.h>

#include "base/text.h"

int target_segment(struct buf *target, const char *text)
{
    return uri_encode(target, span_str(text), "");
}

int target_add(struct buf *target, const char *key, const char *value)
{
    bool first = !memchr(target->ptr, '?', target->len);
    if (buf_add_str(target, first ? "?" : "&") != 0 || buf_add_str(target, key) != 0)
        return -1;
    if (!value)
        return 0;
    return buf_add_str(target, "=") != 0 ? -1 : uri_encode(target, span_str(value), "");
}

int target_option(struct buf *target, const struct call *call, int id, const char *key)
{
    return call_has(call, id) ? target_add(target, key, call_value(call, id)) : 0;
}

int target_moment(struct buf *target, const struct call *call, int id, const char *key)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, id);
    uint64_t ms;
    char stamp[TIME_TEXT_MAX];
    if (!text)
        return 0;
    if (time_parse_moment(span_str(text), time_now_ms(), &ms, &err) != 0)
        return call_usage(call, "--%s: %s", key, err.text);
    time_format(stamp, ms);
    return target_add(target, key, stamp) == 0 ? 0 : call_failf(call, "out of memory");
}

const char *target_text(struct buf *target)
{
    const char *text = buf_cstr(target);
    return text ? text : "";
}
