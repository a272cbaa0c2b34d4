/*
 * Contents of frames that were read.
 */
#ifndef CMD_CONTENT_H
#define CMD_CONTENT_H

#include "cmd/call.h"

/** Asks for the content of that hash, which then is the body of the answer. 0 or a negative code. */
int content_open(struct weir *w, struct span hash, struct err *err);
/** Appends it whole. 0, ERR_TOO_LARGE above `max` bytes, or a negative code. */
int content_read(struct weir *w, struct span hash, size_t max, struct buf *out, struct err *err);

#endif
