/*
 * A verb of weir-s2 as data, and one invocation of it. Parser and help texts are made from the
 * tables.
 */
#ifndef CMD_S2_VERB_H
#define CMD_S2_VERB_H

#include <stdio.h>

#include <weir/s2.h>

#include "base/buf.h"
#include "cmd/cmd.h"

#define EXIT_WRONG_USAGE 2

/** Ids of options that every verb takes. */
enum {
    S2_OPT_SHARED = 200,
    S2_OPT_ENDPOINT = S2_OPT_SHARED,
    S2_OPT_COMPRESSION,
    S2_OPT_INSECURE,
    S2_OPT_CA,
    S2_OPT_ATTEMPTS,
    S2_OPT_HELP
};

struct args;

struct verb {
    const char *name, *alias;
    const char *operands; /**< as shown in the usage line */
    const char *about;    /**< first line: what it does; lines with newlines at their ends */
    const struct option_row *options;  /**< or NULL */
    const struct option_row *options2; /**< more, such as those of stream configs; or NULL */
    size_t min, max;                   /**< number of operands */
    int (*exec)(struct args *args);
};

/** All verbs; ends with NULL. */
extern const struct verb *const verb_table[];
const struct verb *verb_find(const char *name);

struct s2_given {
    const struct option_row *row;
    const char *value;
};

struct args {
    const struct verb *verb;
    struct s2_given *given;
    size_t given_count;
    const char **operands;
    size_t operand_count;
    struct weir_s2 *s2; /**< after args_open */
};

/** Parses what stands behind the verb. 0, or EXIT_WRONG_USAGE after a message. The caller calls
 * args_finish in any case. */
int args_parse(struct args *args, int argc, char *const argv[]);
/** Closes the endpoint too. */
void args_finish(struct args *args);
const char *args_value(const struct args *args, int id);
bool args_has(const struct args *args, int id);
/** Operand `i`, or NULL. */
const char *args_operand(const struct args *args, size_t i);

/** "weir s2 VERB: TEXT" on stderr; returns 1. */
int args_failf(const struct args *args, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int args_fail(const struct args *args, const struct weir_s2_err *err);
/** The same with the usage line; returns EXIT_WRONG_USAGE. */
int args_usage(const struct args *args, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** An unsigned number of an option: 0, or an exit status after a message. Not given: *out stays,
 * *has false (may be NULL). */
int args_u64(const struct args *args, int id, uint64_t *out, bool *has);
/** A duration such as 5ms, 10s, 1d in ms, the same way. */
int args_duration(const struct args *args, int id, uint64_t *out_ms, bool *has);

void usage_of_verb(FILE *out, const struct verb *verb);
void usage_of_all(FILE *out);

/**
 * Opens the endpoint: --endpoint, S2_ACCOUNT_ENDPOINT and S2_BASIN_ENDPOINT, WEIR_ADDR, last the
 * user's default store, whose daemon is started on demand. `stream_config`: JSON for streams that
 * are made by the way, or NULL. 0, or an exit status after a message.
 */
int args_open(struct args *args, const char *stream_config);

/** s2://BASIN/STREAM (or BASIN/STREAM). Points into `room`, which the caller finishes. 0, or an
 * exit status after a message. */
int args_stream(const struct args *args, const char *text, struct buf *room,
                struct weir_s2_stream *out);
/** s2://BASIN, s2://BASIN/REST or BASIN: *rest is "" without one. */
int args_basin(const struct args *args, const char *text, struct buf *room, const char **basin,
               const char **rest);

/** Sends a control request and prints the answer's JSON, if any. An exit status. */
int args_call(struct args *args, const struct weir_s2_request *request);
/** Appends {"KEY":"NAME","config":CONFIG}. 0, or an exit status after a message. */
int args_made(const struct args *args, struct buf *out, const char *key, const char *name,
              const struct buf *config);
/** Writes to stdout at once. An exit status; 0 also when its reader has gone away. */
int args_print(const struct args *args, struct span bytes);

#endif
