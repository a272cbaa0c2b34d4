/*
 * Which program an operand means: NAME, or KIND/NAME where several kinds have a program of that name.
 */
#ifndef CMD_WHICH_H
#define CMD_WHICH_H

#include "cmd/lives.h"

struct which {
    int kind; /**< enum life_kind; -1: any */
    const char *name;
};

/** Takes ADDR and `count` operands off, the last of which may be KIND/NAME. 0 or an exit status. */
int which_operands(struct call *call, size_t min, size_t max);
/** Reads an operand. 0 or an exit status. */
int which_parse(const struct call *call, struct which *out, const char *text);
/** Appends the patterns of all that is said of it (see life_patterns), of programs only. */
int which_patterns(struct buf *out, const struct which *which);

#endif
