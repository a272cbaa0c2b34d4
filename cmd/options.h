/*
 * The option parser and the texts made from the option tables.
 */
#ifndef CMD_OPTIONS_H
#define CMD_OPTIONS_H

#include <stdio.h>

#include "cmd/call.h"

/**
 * Parses the arguments after the verb: options anywhere, `--` ends them, --name=value and -nVALUE
 * are understood. Fills given and operands (both calloc'd here, freed by call_finish). 0, or
 * EXIT_USAGE after a message on stderr.
 */
int call_parse(struct call *call, int argc, char *const argv[]);
void call_finish(struct call *call);

/** The text of `PROGRAM --help`. */
void usage_program(FILE *out, const char *program);
/** The text of `PROGRAM VERB --help`. */
void usage_verb(FILE *out, const struct call *call);
/** The usage line alone. */
void usage_line(FILE *out, const struct call *call);

/** The verb nearest to a mistyped one, or NULL when none is near. */
const char *suggest_verb(const char *name);
/** The long option nearest to a mistyped one (without dashes), or NULL. */
const char *suggest_option(const struct cmd *cmd, const char *name);

#endif
