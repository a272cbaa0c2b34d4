/*
 * A frame's JSON taken apart, and questions to its meta.
 */
#ifndef CMD_FRAME_PARTS_H
#define CMD_FRAME_PARTS_H

#include <weir/span.h>

#include "base/buf.h"
#include "base/json.h"

/** Members as they stand in the JSON; strings without their quotes. Empty: null or not there. */
struct frame_parts {
    struct span topic, id, hash;
    struct span meta; /**< JSON */
    struct span authority; /**< where it was asked for */
};

/** False: `json` is no frame. Spans borrow from it. */
bool frame_parts_take(struct frame_parts *out, struct span json);

/** A member of a meta that is an object. False: there is none, or it is null. */
bool meta_member(struct span meta, const char *key, struct json_value *out);
/** Whether that member is exactly this text. */
bool meta_is(struct span meta, const char *key, const char *text);
/** Appends that member's text, decoded; a value that is no string as it stands. False: there is none, or no memory. */
bool meta_text(struct span meta, const char *key, struct buf *out);
/** That member as a number. False: it is none. */
bool meta_u64(struct span meta, const char *key, uint64_t *out);

#endif
