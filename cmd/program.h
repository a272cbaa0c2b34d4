/*
 * Defining programs: what `service add', `handler add' and `action add' share.
 */
#ifndef CMD_PROGRAM_H
#define CMD_PROGRAM_H

#include "cmd/call.h"
#include "cmd/lifecycle.h"

enum {
    P_META = 1,
    P_NO_WAIT,
    P_WAIT,
    P_OUTPUT,
    P_BINARY,
    P_SUFFIX,
    P_TTL,
    P_TARGET,
    P_ENV,
    P_LIMIT,
    P_TIMEOUT,
    P_CONFINE,
    P_EXEC,
    P_DUPLEX,
    P_RESTART,
    P_BACKOFF,
    P_MAX_RESTARTS,
    P_MODE,
    P_START,
    P_TOPICS,
    P_CONTENT,
    P_PULSE,
    P_ON_ERROR,
    P_CONCURRENCY,
};

extern const char *const program_words[];        /**< add */
extern const char *const program_outputs[];      /**< auto, raw, frames */
extern const char *const program_targets[];      /**< cas, meta */

/** Rows of the options that all kinds of programs have. */
/* clang-format off */
#define PROGRAM_OPTIONS \
    {.id = P_OUTPUT, .name = "output", .arg = "FORM", .help = "lines that are frames: auto, raw (none), frames (all)", .complete = COMPLETE_WORDS, .words = program_outputs}, \
    {.id = P_BINARY, .name = "binary", .help = "its output is not cut into lines"}, \
    {.id = P_SUFFIX, .name = "suffix", .arg = "TEXT", .help = "what it prints goes to NAME and this"}, \
    {.id = P_TTL, .name = "ttl", .arg = "TTL", .help = "how long what it prints is kept"}, \
    {.id = P_TARGET, .name = "target", .arg = "PLACE", .help = "what it prints is content (cas) or meta", .complete = COMPLETE_WORDS, .words = program_targets}, \
    {.id = P_ENV, .name = "env", .arg = "NAME=TEXT", .help = "a variable of its environment (repeatable)"}, \
    {.id = P_LIMIT, .name = "limit", .arg = "KEY=N", .help = "memory=64M, cpu=SECONDS, processes=N (repeatable)"}, \
    {.id = P_CONFINE, .name = "confine", .help = "no sockets; it writes only below its own directory"}, \
    {.id = P_EXEC, .name = "exec", .help = "what it prints may define programs"}, \
    {.id = P_META, .name = "meta", .arg = "JSON", .help = "further keys; they win over options"}, \
    {.id = P_WAIT, .name = "wait", .arg = "TIME", .help = "for the answer, at most so long (30s)"}, \
    {.id = P_NO_WAIT, .name = "no-wait", .help = "do not wait; print the defining frame"}
/* clang-format on */

/** `weir KIND add [ADDR] NAME FILE' and `... NAME -- CMD ARG...'. Returns an exit status. */
int program_exec(struct call *call, enum life_kind kind);

/** Appends the definition's meta, as the options say; nothing when there are none. 0 or an exit status. */
int program_meta(const struct call *call, struct buf *out);

/** Waits for the daemon's answer to the definition `id` and tells it. Returns an exit status. */
int program_await(const struct call *call, struct weir *w, enum life_kind kind, const char *name, const char *id);

#endif
