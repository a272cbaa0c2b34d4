/*
 * Printing frames that came in an answer.
 */
#ifndef CMD_FRAMES_H
#define CMD_FRAMES_H

#include "cmd/call.h"

/** Prints one frame: a line of JSON, or the form for people. Returns an exit status. */
int frames_print(const struct call *call, struct span json);

/**
 * Sends GET `target` and prints the frames of the answer, one JSON object or NDJSON. None at all,
 * or a 404: "none: TEXT" on stderr. With `follow` the answer may go on for ever. Returns an exit
 * status; closes `w`.
 */
int frames_get(const struct call *call, struct weir *w, const char *target, bool follow,
               const char *none);

/** Prints the frames of the answer whose head was taken. Returns an exit status. */
int frames_body(const struct call *call, struct weir *w);

/**
 * All of a verb whose operands are a topic pattern and a count in any order (NULL: not given), which `make_target` makes a request target
 * of: 0, or an exit status after a message. `follow` as for frames_get. To be called before call_operands.
 */
int frames_verb(struct call *call,
                int (*make_target)(const struct call *call, const char *pattern, const char *count,
                                   struct buf *target),
                bool follow);

#endif
