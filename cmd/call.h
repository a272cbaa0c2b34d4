/*
 * One invocation of a verb: what was given, how it fails, how it reaches the store.
 */
#ifndef CMD_CALL_H
#define CMD_CALL_H

#include <stdint.h>

#include <weir/client.h>

#include "base/buf.h"
#include "cmd/cmd.h"

#define EXIT_USAGE 2

/** One option as given, in the order of the command line. */
struct given {
    const struct option_row *option;
    const char *value; /**< NULL for a flag */
};

struct call {
    const char *program; /**< "weir" or "xs" */
    bool as_xs; /**< started as xs: ADDR is always the first operand, and output is always plain */
    const struct cmd *cmd;
    struct given *given;
    size_t given_count;
    const char **operands; /**< after call_operands: without ADDR */
    size_t operand_count;
    bool dashed;        /**< there was a `--', */
    size_t behind_dash; /**< and so many of the operands stand behind it */
    const char **operand_store; /**< what operands points into; call_finish frees it */
    const char *addr;           /**< ADDR as given, or NULL */
};

/** The last value given for option `id`, or NULL. */
const char *call_value(const struct call *call, int id);
/** Whether option `id` was given. */
bool call_has(const struct call *call, int id);
/** Operand `i`, or NULL when there are fewer. */
const char *call_operand(const struct call *call, size_t i);

/** Writes "PROGRAM VERB: TEXT" to stderr; returns EXIT_FAILURE. */
int call_fail(const struct call *call, const struct err *err);
int call_failf(const struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** The same with the usage line behind it; returns EXIT_USAGE. */
int call_usage(const struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** A note on stderr that is no failure. */
void call_note(const struct call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Whether stdout gets the form for people: a terminal, not as xs, and no --json. */
bool call_for_people(const struct call *call);

/* The checks of option values: 0, or the exit status after a message on stderr. A value not given
 * passes. */

/** An unsigned decimal number (exit 2). */
int call_check_number(const struct call *call, int id);
/** An id (exit 1, as for an id that does not exist). */
int call_check_id(const struct call *call, const char *what, const char *text);
/** A topic pattern list (exit 2). */
int call_check_pattern(const struct call *call, const char *text);
/** A topic (exit 2). */
int call_check_topic(const struct call *call, const char *text);

/**
 * Takes ADDR off the operands (see cmd/address.h) and checks that `min` to `max` remain. 0, or
 * EXIT_USAGE after a message. To be called before call_operand.
 */
int call_operands(struct call *call, size_t min, size_t max);

/** Opens the store that was meant. 0, or the exit status after a message on stderr. */
int call_open(const struct call *call, struct weir **out);

/**
 * Sends GET `target` and checks the status. 0, or a negative code with its text: ERR_NOT_FOUND for
 * a 404.
 */
int call_get(struct weir *w, const char *target, struct weir_response *res, struct err *err);

/**
 * Opens the store that was meant, sends GET `target` and gives the answer's body, up to `max`
 * bytes, without newlines at its end. The caller frees `json`. 0, or an exit status after a message.
 */
int call_fetch(const struct call *call, const char *target, size_t max, char **json, size_t *len);

#endif
