/*
 * A program sent to the daemon and run there: what `eval` and `pipe` share.
 */
#ifndef CMD_RUN_H
#define CMD_RUN_H

#include "cmd/call.h"

/** What weir itself failed at; other statuses are the program's, 128 + N for signal N. */
#define EXIT_RUN 125

extern const struct option_row run_options[];

/**
 * Takes ADDR off the operands and checks that `count` of them, and the program's file unless -c gives a script, remain. 0 or an exit
 * status.
 */
int run_operands(struct call *call, size_t count);

/** Sends the program (the last operand's file, or -c's script) to `path`, copies what it prints to stdout. The exit status. */
int run_program(struct call *call, const char *path);

#endif
