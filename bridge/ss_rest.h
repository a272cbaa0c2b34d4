/*
 * What is left of an end mark at the end of a file: the peer writes over one without taking it away, and its shortest message is
 * shorter.
 */
#ifndef BRIDGE_SS_REST_H
#define BRIDGE_SS_REST_H

#include "bridge/ss.h"

#define SS_MARK_REST 23 /**< bytes it can have: those of an end mark but for a frame's least */

/** Whether these bytes, the last of a file, are such a rest: no message, and no damage. */
bool ss_is_mark_rest(struct span rest);
/** The same of a file's bytes from `offset` to its end. */
bool ss_ends_in_mark_rest(const struct ss_bytes *f, uint64_t offset);

#endif
