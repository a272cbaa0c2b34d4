/*
 * A place in a .ss file, as a cursor keeps it: text, "NAME=NUMBER ...".
 *
 *   offset                 of the next message
 *   created                of the file, ms: another one under the same path has another
 *   last seq time          where the message before it begins, and what it is: whether the file still is what it was is seen there
 *   from-seq | from-time   the start that was asked for, which streams not seen yet still have to reach
 *
 * It never goes behind an end mark, since a writer that goes on takes that away.
 */
#ifndef BRIDGE_RELAY_END_FILE_PLACE_H
#define BRIDGE_RELAY_END_FILE_PLACE_H

#include <weir/err.h>

#include "base/buf.h"

struct file_place {
    uint64_t offset, created;
    uint64_t last, seq, time; /**< last 0: nothing is known of the message before */
    uint64_t from_seq, from_time;
    bool has_offset, has_created, has_from_seq, has_from_time; /**< has_offset is of parsing alone */
};

/** Appends the text. -ENOMEM. */
int file_place_format(const struct file_place *place, struct buf *out);
/** ERR_INVALID: it is no such text. */
int file_place_parse(struct file_place *out, struct span text);

#endif
