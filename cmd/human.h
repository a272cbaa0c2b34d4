/*
 * What a terminal gets: aligned, coloured, local times. Everything that came from a store goes
 * through text_neutralise, so no frame can steer the terminal.
 */
#ifndef CMD_HUMAN_H
#define CMD_HUMAN_H

#include <weir/err.h>
#include <weir/span.h>

#include "base/buf.h"

/** Whether colours are wanted: stdout is a terminal, NO_COLOR is empty, TERM is not "dumb". */
bool human_colour(void);

/** Appends a frame (its JSON) as one line with newline; JSON that is no frame is shown as it is. */
int human_frame(struct buf *out, struct span json);
/** Appends a frame as a block, one key a line. */
int human_frame_block(struct buf *out, struct span json);
/** Appends a JSON object's members, one a line, nested ones indented; knows bytes and durations. */
int human_object(struct buf *out, struct span json);
/** Appends the local time of an id (its text), dimmed where colours are wanted. */
int human_time(struct buf *out, struct span id);
/** Appends bytes for a terminal: newlines and tabs stay, the rest is neutralised. */
int human_bytes(struct buf *out, struct span bytes);

/** "1,234,567". */
int human_count(struct buf *out, uint64_t n);
/** "1.5 MiB". */
int human_size(struct buf *out, uint64_t bytes);

#endif
