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

/** For verbs whose operands are a topic pattern and a count in any order. 0 or an exit status. */
int frames_operands(const struct call *call, const char **pattern, const char **count);
/** How many operands other than ADDR such a verb can use, given what they look like. */
size_t frames_operand_max(const struct call *call);

#endif
