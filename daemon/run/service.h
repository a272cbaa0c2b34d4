/*
 * A service: a program that runs all the time. What it prints become frames; with `duplex` the contents of NAME.send are its stdin.
 *
 *   start -> running -> ended -> pause -> running ...        (restart.h says which end leads where)
 *   NAME.send -> service_input.c -> stdin
 *
 * stdin is one stream of bytes over all runs: what one run did not read the next one gets, and nothing comes twice. It ends when the service is stopped.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_SERVICE_H
#define DAEMON_RUN_SERVICE_H

#include "daemon/pool.h"
#include "daemon/pump.h"
#include "daemon/run/content.h"
#include "daemon/run/instance.h"
#include "daemon/run/output.h"
#include "daemon/run/restart.h"

/** The way from NAME.send to stdin. */
struct service_input {
    struct pump *pump;
    bool pump_waits;        /**< it offered a frame that was not taken */
    struct content content; /**< of the frame under way, when it does not lie in the frame */
    struct frame_id frame;  /**< that frame */
    struct job job;         /**< reads it */
    bool reading;           /**< the job is on the pool */
    int read_result;
    struct err read_err;
    struct buf pending;     /**< to be written, from `sent` on */
    size_t sent;
    struct buf flight;      /**< the end of what the process took: it may not have read it */
    bool deaf;              /**< this run closed its stdin */
};

struct service {
    struct instance base;
    struct process *process;
    struct output *output;
    struct restart restart;
    struct service_input input;
    uv_timer_t pause, calm;
    unsigned handles;    /**< not closed yet */
    bool running;        /**< the process started */
    bool ran;            /**< a process started before */
    bool stopping;       /**< stop was called */
    bool ending;         /**< instance_ended is due when handles and job are through */
    bool over;           /**< the process is gone: nothing it printed is put off */
    bool print_waits;    /**< its output waits for room in the log */
    size_t past_full;    /**< bytes printed since it is to stop, while the log was full */
    struct err fault;    /**< why the process was ended by us; code 0 = it was not */
    uint64_t started_ms; /**< loop time */
    enum instance_how how;
    struct failure failure;
    struct buf failure_bytes;
};

/** Starts to listen to NAME.send: what is appended from now on reaches stdin. Errors as pump_create. */
int service_input_open(struct service *s, struct err *err);
/** Nothing more is taken; a read on its way ends later. */
void service_input_close(struct service *s);
void service_input_finish(struct service *s);
/** A process runs. */
void service_input_begin(struct service *s);
/** The process takes something again. */
void service_input_flush(struct service *s);
/** The process is gone, and did not read the last `unread` bytes. */
void service_input_end(struct service *s, size_t unread);

/** It cannot go on, and no process is left. */
void service_fail(struct service *s, const struct err *err);
/** A read on its way was the last thing waited for. */
void service_settle(struct service *s);

#endif
