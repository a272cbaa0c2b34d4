/*
 * A program's stdin: a pipe with a bounded backlog behind it.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_INPUT_PIPE_H
#define DAEMON_RUN_INPUT_PIPE_H

#include "base/buf.h"
#include "daemon/run/pipe_end.h"

#define INPUT_BACKLOG (64 * 1024) /**< bytes behind the pipe above which none are taken */
#define INPUT_TAKE (1024 * 1024)  /**< bytes taken in one call at most */

struct input_pipe {
    struct pipe_end end; /**< first */
    struct buf waiting;  /**< behind the pipe, from `at` on */
    size_t at;
    bool refused; /**< less than all was taken: room is due */
    bool widened; /**< the pipe was made larger, or cannot be */
    bool ended;
    size_t unread; /**< once closed by deaf or input_pipe_close: bytes at the end of what was taken that nobody read */
    void (*room)(void *arg); /**< something is taken again; may be NULL */
    void (*deaf)(void *arg); /**< nobody reads it any more; may be NULL */
    void *arg;
};

/** Watches it once its callbacks are set. It may be closed from within them. */
void input_pipe_watch(struct input_pipe *pipe);
/** Returns how many bytes were taken; fewer than all: `room` comes, later. After the end or the last reader they are lost: all. */
size_t input_pipe_write(struct input_pipe *pipe, struct span bytes);
/** Closes it once all is written. */
void input_pipe_end(struct input_pipe *pipe);
/** Closes it now, and notes what was not read. Takes one that is closed. */
void input_pipe_close(struct input_pipe *pipe);
/** After `closed`. */
void input_pipe_finish(struct input_pipe *pipe);

#endif
