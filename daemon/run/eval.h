/*
 * One run of a program for a request: POST /eval, POST /pipe/ID.
 *
 *   body -> program in memory -> private directory (pool) -> process -> stdout as the answer, its end as trailers
 *                                 content of the frame ----> stdin
 *
 * The request owns everything: when it is gone, the program's tree is ended and the directory removed.
 *
 * Thread rule: the loop thread, but eval_prepare.
 */
#ifndef DAEMON_EVAL_H
#define DAEMON_EVAL_H

#include "daemon/exchange.h"
#include "daemon/run/content.h"
#include "daemon/run/process.h"
#include "daemon/run/program_env.h"

#define EVAL_PROGRAM_MAX (8 * 1024 * 1024) /**< bytes of a program */
#define EVAL_ENV_MAX (64 * 1024)           /**< a frame or meta above this does not go into the environment */
#define EVAL_OUT_MAX (256 * 1024)          /**< of stdout that wait for the client; then the program waits */

struct eval {
    struct exchange x;
    bool piped;         /**< a frame's content is its stdin */
    struct frame_id id; /**< that frame */
    struct buf program;

    /* Made by eval_prepare. */
    char *directory;
    char *file; /**< the program in it */
    enum program_form form;
    struct program_env env;
    struct content content;
    bool has_content;
    int result;
    struct err err;

    struct job job;
    bool busy; /**< a job has `content` and `err` */
    struct process *process; /**< while it runs */
    pid_t pid;
    char *notes;  /**< limits that are not kept, or NULL */
    size_t fed;   /**< of content.part */
    bool deaf;    /**< it closed its stdin */
    struct buf out; /**< its stdout, from out_at on not sent */
    size_t out_at;
    bool streaming; /**< the answer has begun */
    bool over;      /**< it ended: `end` holds but for last_stderr, */
    bool broken;    /**< or was lost: the answer must not look complete */
    struct process_end end;
    char last_error[201]; /**< its last line of stderr, or what ended it */
};

/** Pool: makes directory, program file and environment, finds frame and content. Result as err; ERR_NOT_FOUND: no such frame. */
int eval_prepare(struct eval *e, struct err *err);

/** Starts the prepared program. The answer is given by and by. As process_start. */
int eval_start(struct eval *e, struct err *err);
/** The request is gone: ends the program. */
void eval_stop(struct eval *e);
/** Frees. */
void eval_finish(struct eval *e);

/** A program's end as an error: {"error":"program","message":...,"exit_code"|"signal":...,"stderr":...}. `end` NULL: it could not be started. */
void eval_refuse(struct eval *e, const char *message, const struct process_end *end);
/** Text for people of how it ended; false: it exited with 0. */
bool eval_failure(const struct eval *e, const struct process_end *end, struct buf *text);
/** Begins the answer with stdout as its body. */
void eval_answer(struct eval *e);

#endif
