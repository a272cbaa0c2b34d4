/*
 * A definition: what a frame that defines a program asks for, parsed from its topic and meta. Its content, the program, is not here.
 *
 * Unknown keys are ignored (people keep their own things in meta); a known key with a wrong value makes the definition invalid and is named.
 */
#ifndef DAEMON_RUN_DEFINITION_H
#define DAEMON_RUN_DEFINITION_H

#include <weir/err.h>

#include "base/topic.h"
#include "daemon/run/spawn.h"
#include "daemon/run/words.h"

enum handler_mode { MODE_STREAM, MODE_EACH };                            /**< "mode" */
enum handler_start { START_NEW, START_FIRST, START_AFTER, START_RESUME }; /**< "start"; seed key "run-from": tail, start, id */
enum output_form { OUTPUT_AUTO, OUTPUT_RAW, OUTPUT_FRAMES };             /**< "output" */
enum error_rule { ERROR_SKIP, ERROR_RETRY, ERROR_STOP };                 /**< "on_error": a word, or {"retry":{"times":N,"backoff_ms":MS}} */
enum restart_policy { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER }; /**< "restart": a word or {"policy":..,"backoff_ms":..,...} */
enum return_target { TARGET_CONTENT, TARGET_META };                      /**< "return_options"."target": "cas" (default), "meta" */

struct definition {
    struct frame_id id;       /**< the defining frame */
    enum program_kind kind;
    enum program_words words;
    char name[PROGRAM_NAME_MAX + 1];

    /* all kinds */
    char *suffix;             /**< "return_options"."suffix"; default .recv, .out, .response */
    struct ttl ttl;           /**< "return_options"."ttl" of what it prints; default forever */
    enum return_target target;
    enum output_form output;
    bool binary;              /**< "binary": stdout is not cut into lines; each chunk read (up to 64 KiB) is a content */
    bool exec;                /**< "exec": what it prints has exec authority */
    bool confine;             /**< "confine" */
    struct spawn_limits limits; /**< "limits": {"memory": bytes or "64M", "cpu_s", "processes"} */
    uint64_t timeout_ms;      /**< "timeout_ms": of one run (each, actions) ; 0 = none; actions: default 60 000 */
    char **env;               /**< "env": NAME=VALUE, NULL-terminated, or NULL; names that begin with WEIR_ are refused */

    /* services */
    bool duplex;              /**< "duplex" */
    enum restart_policy restart; /**< default always */
    uint64_t backoff_ms;      /**< first wait after a failure; default 1 000, doubled each time */
    uint64_t max_backoff_ms;  /**< default 60 000 */
    uint64_t max_restarts;    /**< "max": failures in a row that are retried; with "restart" default UINT64_MAX, without it 0: a failure is fin.error */
    bool has_restart;         /**< "restart" was given; without it a clean end restarts after 1 s and a failure is fin.error, as the peer's */

    /* handlers */
    enum handler_mode mode;
    bool content;             /**< "content": contents inline in the JSON lines */
    enum handler_start start;
    struct frame_id after;    /**< START_AFTER */
    struct pattern_list topics; /**< "topics": list or comma text; default all */
    uint64_t pulse_ms;        /**< "pulse"; 0 = none */
    enum error_rule on_error; /**< default skip */
    unsigned retry_times;     /**< ERROR_RETRY; default 3 */
    uint64_t retry_backoff_ms; /**< default 1 000 */

    /* actions */
    unsigned concurrency;     /**< "concurrency": calls at once; default 16 */
};

/**
 * Keys of meta that hold options, by kind; others are the user's own. null is as if the key were not there.
 *
 *   all       return_options output binary exec confine limits timeout_ms env
 *   service   duplex restart
 *   handler   mode content start run-from topics pulse on_error
 *   action    concurrency
 *
 * Integers are digits alone, at most 2^53. Sizes are integers or texts of digits and K, M, G or T (powers of 1 024).
 */

/** Parses a defining frame (its topic says EVENT_CREATE in `words`). ERR_INVALID names key and fault; -ENOMEM. On failure nothing needs to be finished. */
int definition_parse(struct definition *out, const struct words *words, const struct frame *frame, struct err *err);
void definition_finish(struct definition *definition);

/** What the first bytes of a content are to the daemon. */
enum program_form { FORM_NONE, FORM_SCRIPT, FORM_ELF, FORM_OTHER };
/** FORM_NONE: empty; FORM_SCRIPT: `#!`; FORM_ELF. In seed words only SCRIPT and ELF define; in newer words OTHER is run by /bin/sh. */
enum program_form definition_form(struct span first_bytes);

#endif
