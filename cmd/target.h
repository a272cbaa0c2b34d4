/*
 * Request targets: a path and a query put together with the right escapes.
 */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include "base/buf.h"
#include "cmd/call.h"

/** Appends `text` as one path segment. */
int target_segment(struct buf *target, const char *text);
/** Adds KEY, or KEY=VALUE when value is not NULL. */
int target_add(struct buf *target, const char *key, const char *value);
/** Adds KEY=VALUE when option `id` was given (for a flag: KEY). */
int target_option(struct buf *target, const struct call *call, int id, const char *key);
/**
 * Adds KEY=MOMENT when option `id` was given, as RFC 3339 in UTC, judged by this machine's clock
 * and zone. 0, or an exit status after a message.
 */
int target_moment(struct buf *target, const struct call *call, int id, const char *key);
/** The target as text; "" only without memory. */
const char *target_text(struct buf *target);

#endif
