/*
 * A handler: a program that is given frames and answers with frames. What its two ways of being given frames share.
 *
 *   pump -> wanted? -> the way: a line to the one process (handler_stream.c), or a process for the frame (handler_each.c)
 *   what it prints -> output -> at once, or held until the frame is done (handler_hold.h) -> instance_print
 *
 * What a program is given:
 *   - Every frame of the log in order, ephemeral ones and what is told of other programs included; "topics" leaves the rest out.
 *   - Never what it made itself: frames with its origin or with its definition's id as handler_id or actor_id, the log's
 *     answers to its own definitions, and its own definitions up to the one that runs.
 *   - In a stream: xs.threshold when history is complete (not with "start":"new"), xs.pulse each "pulse" ms, xs.lost
 *     {"ephemeral":N} when so many ephemeral frames passed unseen. "topics" does not leave them out. With "each" only xs.pulse. With
 *     resume the threshold comes again after each start of the process. An ack of such a line means all frames before it.
 *
 * Which frame a printed line answers (frame_id in its meta):
 *   - the one its "frame_id" names; else
 *   - each: the frame of the run;
 *   - stream with "start":"resume": the one its own "ack" names, else the oldest that was given and is not acknowledged;
 *   - stream otherwise: the one given last. A program may be given many lines ahead of what it reads; one that cares prints frame_id.
 *
 * "start":"resume" keeps the mark `handler/NAME` in the store: everything up to it is done. It moves with an ack (stream) or exit 0
 * (each), in one record with what was printed for it: nothing printed is lost or there twice, whatever dies when. Without resume the
 * place is only in memory, and acks are ignored.
 *
 * Loops: what a program does is one hop further than the program whose frame it was given last; a frame without origin, or a minute
 * without any, starts over. A frame that is more than HOPS_MAX away is not handed over: an error frame says so.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_HANDLER_H
#define DAEMON_RUN_HANDLER_H

#include "daemon/pool.h"
#include "daemon/pump.h"
#include "daemon/run/content.h"
#include "daemon/run/feed_line.h"
#include "daemon/run/handler_hold.h"
#include "daemon/run/instance.h"
#include "daemon/run/output.h"

struct handler;

/** What differs between stream and each. */
struct handler_way {
    /** The pump is open: begins. */
    void (*begin)(struct handler *h);
    /** A frame that is wanted. False: not now. */
    bool (*frame)(struct handler *h, const struct frame *frame);
    /** xs.pulse, xs.threshold, xs.lost; the topic is static, meta may be empty. */
    void (*note)(struct handler *h, const char *topic, struct span meta);
    /** The wait after a failure is over. */
    void (*again)(struct handler *h);
    /** A line that was printed. 0, or -1: not now. */
    int (*printed)(struct handler *h, const struct printed *printed);
    /** The process runs. */
    void (*started)(struct handler *h, const char *notes);
    /** The process took no more, and does now. */
    void (*room)(struct handler *h);
    /** The process closed its stdin. */
    void (*deaf)(struct handler *h);
    /** The process is over, its output complete: `failure` says how (NULL: it exited with 0). It never ran: `code` is why, else 0. */
    void (*ended)(struct handler *h, const struct failure *failure, int code);
};

extern const struct handler_way handler_stream, handler_each;

/** stream: what is on its way to the program. */
struct handler_lines {
    struct buf bytes; /**< from `sent` on not written yet */
    size_t sent;
    bool deaf;        /**< the program closed its stdin */
    bool again;       /**< the next frame given is the one at which the last process ended */
    bool has_content;           /**< `input` has what could be read for content_of */
    struct frame_id content_of;
};

/** each: the frame of the run. */
struct handler_run {
    bool busy;           /**< there is one */
    bool is_pulse;       /**< and it is no frame of the log */
    bool pulse_due;      /**< one comes next */
    bool rerun;          /**< its program is to be started when the job is through */
    struct frame frame;  /**< spans into bytes */
    struct buf bytes;
    struct buf json;     /**< without newline */
    unsigned attempt;    /**< from 1 */
    char *file;          /**< WEIR_FRAME_FILE */
    size_t sent;         /**< of input.part */
    bool fed;            /**< its stdin was ended */
};

struct handler {
    struct instance base;
    const struct handler_way *way;
    struct span own;                          /**< the origin's text */
    char id[ID_TEXT_LEN + 1];                 /**< of the definition */
    char mark[PROGRAM_NAME_MAX + 16];         /**< handler/NAME */
    bool resumes;
    bool has_mark; /**< there was one */

    uv_timer_t pulse, again, settle, calm;
    uv_prepare_t flush;
    unsigned handles; /**< not closed yet */
    struct job job;
    bool working;     /**< the job is on the pool */
    int job_result;
    struct err job_err;
    struct content input; /**< content read from the store by the job */

    struct pump *pump;
    struct process *process;
    struct output *output;
    struct hold hold;
    bool running;     /**< the process started */
    bool ran;         /**< the log was told `active` */
    bool stopping;    /**< stop was called */
    bool ending;      /**< instance_ended is due when handles and job are through */
    bool draining;    /**< the process is gone: nothing is put off */
    bool print_waits; /**< its output waits for room in the log */
    bool pump_waits;  /**< frames do */
    bool blind;        /**< the log cannot be read */
    const char *fault; /**< why the process was ended by us, or NULL */

    struct frame_id suspect; /**< the frame at which the last process ended; zero = none */
    unsigned deaths;         /**< so many, there */
    uint64_t backoff_ms;     /**< the next wait */
    uint64_t started_ms;     /**< loop time */

    enum instance_how how;
    struct failure failure;
    struct buf failure_bytes;

    struct handler_lines lines;
    struct handler_run run;
};

/** The handler that an instance is. */
static inline struct handler *handler_of(struct instance *instance)
{
    return (struct handler *)instance;
}

/** Opens the pump where "start" says. As handler_read_from. */
bool handler_read_first(struct handler *h);
/** (Re)opens the pump so that what lies above `after` comes. Ends the handler when that fails. */
bool handler_read_from(struct handler *h, struct frame_id after);
/** Notes whose frame is handed over now. False: it came round too often, and is passed over. */
bool handler_hop(struct handler *h, const struct frame *frame);
/** Starts the program; what becomes of it reaches the way. Errors as instance_run. */
int handler_spawn(struct handler *h, uint64_t timeout_ms, const char *const *extra, struct err *err);
/** Frames into the log; with `upto` not NULL the mark moves there in the same record. */
void handler_print(struct handler *h, const struct printed *frames, size_t count, const struct frame_id *cause,
                   const struct frame_id *upto);
/** An error frame; with `upto` not NULL the mark moves there in the same record. */
void handler_error(struct handler *h, const struct failure *failure, const struct frame_id *upto);
/** The log takes no more now; output and pump go on when it does. */
bool handler_log_is_full(struct handler *h);
/** Something was given or done: the mark may follow what is passed over. */
void handler_stir(struct handler *h);
/** Runs `work` on the pool; `after` is called on the loop unless the handler is ending. */
void handler_work(struct handler *h, void (*work)(struct job *job), void (*after)(struct job *job));
/** In `after`: the job is through. False: the handler is stopping or ending, and may be gone. */
bool handler_worked(struct handler *h);
struct handler *handler_of_job(struct job *job);
/** The way's `again` is called after so long. */
void handler_wait(struct handler *h, uint64_t ms);
/** It is over. No process may be left. Calls instance_ended, later. */
void handler_end(struct handler *h, enum instance_how how, const struct failure *failure);

#endif
