/*
 * An action: a program that is run once for each NAME.call, and its one answer.
 *
 *   called -> queue -> call (action_call.c) -> answer (action_answer.c): NAME.response or NAME.error
 *
 * The program has the call's content as stdin, the strings of meta's "args" (a list) as arguments, and
 *   WEIR_FRAME_FILE  a file with the frame as JSON, always
 *   WEIR_FRAME       the same text, up to 64 KiB
 *   WEIR_FRAME_ID    its id
 *   WEIR_TOPIC       its topic
 *   WEIR_META        its meta as JSON, up to 64 KiB; null when it has none
 *   WEIR_ARGS        meta's "args" as JSON, up to 64 KiB; not there when it has none
 * Exit 0: everything it printed is the answer. Anything else is an error.
 *
 * Every call is answered, by exactly one frame: also those that are stopped, those for which there is no room, and those that a killed
 * daemon left, once the action runs again (action_owed.c). Ephemeral calls end with the daemon.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_ACTION_H
#define DAEMON_RUN_ACTION_H

#include "daemon/pool.h"
#include "daemon/run/content.h"
#include "daemon/run/instance.h"
#include "daemon/run/kept_frame.h"
#include "daemon/run/output.h"
#include "daemon/run/owed.h"

#define ACTION_QUEUE_MAX 1000                        /**< calls that wait for their turn, */
#define ACTION_QUEUE_BYTES (64 * 1024 * 1024)        /**< and their bytes */
#define ACTION_OUTPUT_MAX (64 * 1024 * 1024)         /**< printed by one call, */
#define ACTION_COLLECTED_MAX (256 * 1024 * 1024)     /**< and by all that were not answered yet: later ones wait */

struct action;

/** One call that has its turn. */
struct call {
    struct call *next;
    struct action *action;
    struct kept_frame *frame;
    struct job job;
    int job_result;
    struct err job_err;
    struct buf json;       /**< the frame, until the program has it */
    char *file;            /**< WEIR_FRAME_FILE */
    struct content input;
    size_t sent;           /**< of input.part */
    bool reading;          /**< the job is on the pool */
    bool running;          /**< the process started */
    bool fed;              /**< nothing more goes to its stdin */
    bool paused;           /**< its output waits for room */
    bool over;             /**< the process is gone, or there will be none: to be answered */
    struct process *process;
    struct buf out;        /**< what it printed */
    const char *fault;     /**< why we ended it, or NULL */
    bool failed;           /**< `failure` says how */
    struct failure failure;
    struct buf failure_bytes;
};

/** An answer on its way into the log. */
struct answer {
    struct answer *next;
    struct action *action;
    struct frame_id call;
    bool is_error;
};

struct action {
    struct instance base;
    struct call *calls, **calls_end; /**< in the order they began */
    size_t call_count;
    struct kept_frame *queue, **queue_end;
    size_t queue_count, queue_bytes;
    size_t collected;        /**< bytes printed that were not answered yet */
    struct answer *answers;
    char mark[PROGRAM_NAME_MAX + 16]; /**< action/NAME */
    bool has_mark;           /**< there was one */
    struct owed owed;        /**< calls without an answer in the log; while starting, the job's */
    struct frame_id since;   /**< calls up to here are of an earlier life of the daemon, */
    struct frame_id earlier; /**< and up to here they were answered */
    struct job job;
    int job_result;
    struct err job_err;
    bool starting;           /**< the job is on the pool, or the mark on its way */
    bool stopping, ended;
    unsigned grace_ms;
};

/** Begins a call. Takes the frame over. False: no memory. */
bool call_begin(struct action *action, struct kept_frame *frame);
/** Ends it; its answer is the error `fault` (static). */
void call_stop(struct call *call, const char *fault, unsigned grace_ms);
/** Its failure, with copies of the texts. */
void call_fail(struct call *call, const struct failure *failure);
/** There is room for outputs again. */
void call_resume(struct call *call);
/** Removes its file; action_call_gone is called in the end. */
void call_clear(struct call *call);

/** Answers a call that is over. */
void action_answer(struct call *call);
/** An error frame for a call that had no turn. Errors are logged. */
void action_refuse(struct action *action, struct frame_id call, const char *text);
void action_forget_answers(struct action *action);

/** Sets name and bounds. */
void action_owed_begin(struct action *action);
/** Reads the mark, and the calls that were owed when the daemon began. No mark: the place is where this definition or this life began,
 * what is newer. On the pool. Errors as store_mark and store_cursor_read, -ENOMEM. */
int action_owed_find(struct action *action, struct err *err);
/** A call came. */
void action_owed_take(struct action *action, const struct frame *frame);
/** The mark that goes into the log with the answer of `call`, which it borrows. */
struct store_mark action_owed_mark(const struct action *action, const struct frame_id *call);
/** Answers calls of an earlier life, as far as the log has room. */
void action_owed_answer(struct action *action);

/** A call is over: it is answered as soon as the log has room. */
void action_call_over(struct action *action);
/** Whether there is room for so many bytes more of this call's output. The oldest program always has. */
bool action_has_room(const struct call *call, size_t bytes);
/** The call is to be freed. */
void action_call_gone(struct call *call);

#endif
