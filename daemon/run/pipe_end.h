/*
 * Our end of a pipe, watched by the loop.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_PIPE_END_H
#define DAEMON_RUN_PIPE_END_H

#include <uv.h>

struct pipe_end {
    uv_poll_t poll; /**< its data is the owner */
    int fd;         /**< -1: closed, or never open */
    int events;     /**< that are watched */
    uv_close_cb closed;
};

#define PIPE_END_NONE ((struct pipe_end){.fd = -1})

/** Takes the descriptor over, also on failure, and makes it non-blocking. `closed` comes once the end may be freed. A negative uv code. */
int pipe_end_open(struct pipe_end *end, uv_loop_t *loop, int fd, void *owner, uv_close_cb closed);
/** Watches for these events, 0 = none. Nothing happens when just these are watched, or when it is closed. */
void pipe_end_watch(struct pipe_end *end, int events, uv_poll_cb ready);
/** Takes one that is closed. */
void pipe_end_close(struct pipe_end *end);

#endif
