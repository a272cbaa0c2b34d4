/*
 * Cursors of readers that live elsewhere: a position, opaque text, kept under a name. Each is a mark "cursor/NAME" whose config is
 *
 *   0  1  version, 1      1  8  when it was set, ms since 1970, big-endian      9  -  the position, UTF-8
 *
 * so it can change in the same record as frames, and travels in dumps.
 */
#ifndef DAEMON_CURSOR_MARK_H
#define DAEMON_CURSOR_MARK_H

#include <weir/store.h>

#include "base/buf.h"

#define CURSOR_PREFIX "cursor/"
#define CURSOR_NAME_MAX 255 /**< bytes */
#define CURSOR_HEAD 9
#define CURSOR_POSITION_MAX (MARK_CONFIG_MAX - CURSOR_HEAD) /**< bytes */

struct cursor_mark {
    struct span name, position;
    uint64_t time_ms;
};

/** ERR_INVALID for a name that is none: 1 to 255 bytes of UTF-8 without control characters. */
int cursor_name_check(struct span name, struct err *err);
/** ERR_INVALID, as the name; ERR_TOO_LARGE for the position, which is UTF-8. */
int cursor_mark_check(const struct cursor_mark *cursor, struct err *err);
/** Appends the mark's whole name. -ENOMEM. */
int cursor_mark_name(struct buf *out, struct span name);
/** Sets a change of a mark; what it points to is appended to `room`, which must not move before it is done: reserve before. -ENOMEM. */
int cursor_mark_set(struct store_mark *out, const struct cursor_mark *cursor, struct buf *room);
/** Reads a mark. Spans point into it. ERR_DAMAGED. */
int cursor_mark_read(struct cursor_mark *out, const struct store_mark_view *view);
/** Appends {"name":..,"position":..,"time":..}. -ENOMEM. */
int cursor_mark_json(struct buf *out, const struct cursor_mark *cursor);

#endif
