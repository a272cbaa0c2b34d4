/*
 * The word that says what a verb is to do, as `add' in `weir store add NAME'.
 */
#ifndef CMD_WORD_H
#define CMD_WORD_H

#include "cmd/call.h"

/** The first operand, or the one behind ADDR, when it is one of `words` (NULL at the end): takes it off the operands and returns its
 * place in `words`; -1: there is none. To be called before ADDR is taken. */
int word_take(struct call *call, const char *const *words);

#endif
