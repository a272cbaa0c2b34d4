/*
 * A frame as the line a program gets: the JSON of frame_json(), with a few keys more at its end.
 *
 *   {"topic":..,"id":..,"hash":..,"meta":..,"ttl":..}
 *   {..,"attempt":2}                    it was given before, and the program ended before it was done
 *   {..,"content":"text"}               "content": true, and the bytes are UTF-8
 *   {..,"content_base64":"..."}         and they are not
 *   {..,"content":null}                 the frame has none, or its content is no longer there
 *   {..,"content_too_large":true}       it is above FEED_CONTENT_MAX; `weir cas HASH` has it
 *
 * Pure: no I/O, no clock. Any thread.
 */
#ifndef DAEMON_RUN_FEED_LINE_H
#define DAEMON_RUN_FEED_LINE_H

#include <weir/frame.h>

#include "base/buf.h"

#define FEED_CONTENT_MAX (1024 * 1024) /**< bytes of a content that is put into a line */

enum feed_content {
    FEED_CONTENT_NO,    /**< not asked for: no key */
    FEED_CONTENT_NONE,  /**< there is none: null */
    FEED_CONTENT_BYTES, /**< `bytes` */
    FEED_CONTENT_LARGE, /**< it is there, and too large */
};

/** What a line has beside the frame. Zeroed: nothing. */
struct feed_more {
    unsigned attempt; /**< 0 = not written */
    enum feed_content content;
    struct span bytes;
};

/** Appends the line with its newline. -ENOMEM, and then unchanged. */
int feed_line(struct buf *out, const struct frame *frame, const struct feed_more *more);

#endif
