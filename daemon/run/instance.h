/*
 * One definition in force: what is common to services, handlers and actions. programs.c owns instances and tells the log of their life;
 * service.c, handler.c and action.c are what they do.
 *
 * An instance begins when its directory STORE/run/ID/ holds the program, and ends when the kind has told instance_ended. At most one instance
 * of a kind and name runs at a time: programs.c starts the next when the last has ended.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_INSTANCE_H
#define DAEMON_RUN_INSTANCE_H

#include "daemon/emit.h"
#include "daemon/run/definition.h"
#include "daemon/run/process.h"

struct instance;
struct instance_state;

/** What a kind does. */
struct kind_ops {
    size_t size; /**< of the kind's struct, which begins with struct instance and is zeroed behind it */
    /**
     * Begins. Tells instance_active when it runs, or instance_ended (INSTANCE_INVALID) when it cannot be run; now or later. Frames appended after
     * `active` must reach it: a subscription is opened before instance_active is called. A negative return is INSTANCE_INVALID, and then nothing is left.
     */
    int (*start)(struct instance *instance, struct err *err);
    /** Ends everything, SIGKILL after `grace_ms`; tells instance_ended (INSTANCE_STOPPED) when no process of it is left. May be called before active. */
    void (*stop)(struct instance *instance, unsigned grace_ms);
    /** A frame on a topic the kind asked for by name (action: NAME.call), live only. May be NULL. */
    void (*called)(struct instance *instance, const struct frame *frame);
    /** Frees what the kind's struct owns, after it ended. */
    void (*finish)(struct instance *instance);
    /** emit_full(instance->out) has become false again: emit_options.room of `out`. May be NULL. */
    void (*room)(struct instance *instance);
};

extern const struct kind_ops service_ops, handler_ops, action_ops;

enum instance_how {
    INSTANCE_STOPPED, /**< since stop was called */
    INSTANCE_INVALID, /**< it never ran: could not be started */
    INSTANCE_FIN_OK,  /**< it ended by itself, for good */
    INSTANCE_FIN_ERROR,
};

/** Why and how something went wrong, for meta of error frames: only what applies is written. */
struct failure {
    struct span error;       /**< text */
    bool has_exit;           /**< exit_code, */
    bool has_signal;         /**< or signal */
    int code;
    struct span last_stderr; /**< "stderr" */
    bool has_frame;          /**< "frame_id": the frame that was being handled */
    struct frame_id frame;
    unsigned attempt;        /**< 0 = not written */
    uint64_t next_ms;        /**< 0 = not written */
};

struct instance {
    struct site *site;
    struct programs *programs;
    const struct kind_ops *ops;
    struct definition def;
    const char *directory; /**< STORE/run/ID, absolute */
    const char *program;   /**< the file in it, to be executed */
    struct emit *out;      /**< what it prints and what is told of it, in one order; authority as the definition says is applied by instance_emit */
    struct origin origin;  /**< KIND/NAME; hops are kept by the kind as it hands frames over */
    struct entrance entrance; /**< its own address, WEIR_ADDR; unless confined */
    struct listener *listener;
    char *notes;           /**< of the first process: limits that are not kept, or NULL */
    struct instance_state *state; /**< instance.c's and programs.c's own */
    struct instance *next;
};

/** It runs: the log is told `active`, again each time (a service's restart). `notes` of process_options.started go along. */
void instance_active(struct instance *instance, const char *notes);
/** It is over; the last call for it. `failure` for INVALID and FIN_ERROR, else NULL. The instance may be gone when this returns. */
void instance_ended(struct instance *instance, enum instance_how how, const struct failure *failure);
/** It failed and will be run again (failure.attempt, next_ms): xs.KIND.NAME.retry with ttl last:20; nothing in seed words. */
void instance_retrying(struct instance *instance, const struct failure *failure);

/** Starts a run of the program with the instance's directory, limits, environment (WEIR_ADDR, WEIR_KIND, WEIR_NAME, WEIR_ID, PATH, HOME, LANG,
 * TZ of the daemon, the definition's env, then `extra`, NULL-terminated NAME=VALUE or NULL). Sets program, envp, name, directory, limits, confine, runner,
 * loop and, unless it is set, error_line (log and ephemeral NAME.log frames) in `options`. options.argv, when set, are the arguments
 * behind the program's name. */
int instance_run(struct instance *instance, struct process **out, struct process_options *options, const char *const *extra, struct err *err);

/** Appends to `out` the meta of a frame of this instance: pointer keys (service_id ...; in newer words the peer's too), then frame_id when not NULL, then
 * the members of `own` (a JSON object, or empty) but for those keys. -ENOMEM. */
int instance_meta(struct instance *instance, struct buf *out, const struct frame_id *cause, struct span own);
/** Writes the failure's members as a JSON object. -ENOMEM. */
int failure_put(struct buf *out, const struct failure *failure);

/** Copies a failure, its texts to `bytes`, which must outlive `out`; without memory they are empty. `out` may be `failure`. */
void failure_keep(struct failure *out, struct buf *bytes, const struct failure *failure);

/** The failure of an ended process: exit code or signal, "timed out", its last stderr; a text in `text` says it for people. Returns false when it exited with 0. */
bool failure_of(struct failure *out, char *text, size_t text_size, const struct process_end *end);

/** Frames `NAME.error` {pointer, frame_id, error ...} by the daemon, in order with what the program printed. */
int instance_error(struct instance *instance, const struct failure *failure);
/** The same, and `mark` (may be NULL) changes in the same record. */
int instance_error_at(struct instance *instance, const struct failure *failure, const struct store_mark *mark);
/** The same, and `done` as for emit_put. -ENOMEM. */
int instance_error_put(struct instance *instance, const struct failure *failure, const struct store_mark *mark,
                       void (*done)(void *arg, const struct emit_result *result), void *arg);

/** Appends frames the program printed: their authority is exec only where the definition says so; topics that need it are an error frame instead. */
struct printed;
int instance_print(struct instance *instance, const struct printed *frames, size_t count, const struct frame_id *cause, const struct store_mark *mark,
                   void (*done)(void *arg, const struct emit_result *result), void *arg);

#endif
