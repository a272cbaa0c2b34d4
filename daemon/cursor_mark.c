#include "daemon/cursor_mark.h"

#include "base/bytes.h"
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

#define VERSION 1
#define PREFIX_LEN (sizeof(CURSOR_PREFIX) - 1)

/* C0, DEL and, in UTF-8 as C2 80 to C2 9F, C1. */
static bool has_control(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] < 0x20 || text.ptr[i] == 0x7f || (text.ptr[i] == 0xc2 && text.ptr[i + 1] < 0xa0))
            return true;
    return false;
}

int cursor_name_check(struct span name, struct err *err)
{
    if (name.len == 0 || name.len > CURSOR_NAME_MAX)
        return err_set(err, ERR_INVALID, "a cursor's name has 1 to %d bytes, this has %zu", CURSOR_NAME_MAX, name.len);
    if (!utf8_valid(name) || has_control(name))
        return err_set(err, ERR_INVALID, "a cursor's name is UTF-8 without control characters");
    return 0;
}

int cursor_mark_check(const struct cursor_mark *cursor, struct err *err)
{
    int rc = cursor_name_check(cursor->name, err);
    if (rc == 0 && cursor->position.len > CURSOR_POSITION_MAX)
        rc = err_set(err, ERR_TOO_LARGE, "a position has up to %d bytes, this has %zu", CURSOR_POSITION_MAX, cursor->position.len);
    if (rc == 0 && !utf8_valid(cursor->position))
        rc = err_set(err, ERR_INVALID, "a position is UTF-8");
    return rc;
}

int cursor_mark_name(struct buf *out, struct span name)
{
    int rc = buf_reserve(out, PREFIX_LEN + name.len);
    if (rc == 0)
        rc = buf_add(out, CURSOR_PREFIX, PREFIX_LEN);
    return rc == 0 ? buf_add_span(out, name) : rc;
}

int cursor_mark_set(struct store_mark *out, const struct cursor_mark *cursor, struct buf *room)
{
    uint8_t head[CURSOR_HEAD] = {VERSION};
    size_t name = PREFIX_LEN + cursor->name.len, config = CURSOR_HEAD + cursor->position.len;
    int rc = buf_reserve(room, name + config);
    if (rc < 0)
        return rc;
    const uint8_t *at = room->ptr + room->len;
    put_be64(head + 1, cursor->time_ms);
    cursor_mark_name(room, cursor->name);
    buf_add(room, head, CURSOR_HEAD);
    buf_add_span(room, cursor->position);
    *out = (struct store_mark){.kind = STORE_MARK_SET, .name = span_of(at, name), .config = span_of(at + name, config)};
    return 0;
}

int cursor_mark_read(struct cursor_mark *out, const struct store_mark_view *view)
{
    struct span config = view->config;
    if (view->name.len <= PREFIX_LEN || config.len < CURSOR_HEAD || config.ptr[0] != VERSION)
        return ERR_DAMAGED;
    *out = (struct cursor_mark){.name = span_of(view->name.ptr + PREFIX_LEN, view->name.len - PREFIX_LEN),
                                .position = span_of(config.ptr + CURSOR_HEAD, config.len - CURSOR_HEAD),
                                .time_ms = get_be64(config.ptr + 1)};
    return 0;
}

int cursor_mark_json(struct buf *out, const struct cursor_mark *cursor)
{
    char time[TIME_TEXT_MAX];
    time_format(time, cursor->time_ms);
    int rc = buf_add_str(out, "{\"name\":");
    if (rc == 0)
        rc = json_put_string(out, cursor->name);
    if (rc == 0)
        rc = buf_add_str(out, ",\"position\":");
    if (rc == 0)
        rc = json_put_string(out, cursor->position);
    return rc == 0 ? buf_addf(out, ",\"time\":\"%s\"}", time) : rc;
}
