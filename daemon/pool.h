/*
 * Work that may block on the disk: done by a few threads, finished on the loop.
 *
 * Thread rule: pool_submit and `after` on the loop thread; `work` on a thread of the pool.
 */
#ifndef DAEMON_POOL_H
#define DAEMON_POOL_H

#include <uv.h>

#define POOL_THREADS 3

struct job {
    uv_work_t request;
    void (*work)(struct job *job);  /**< must not touch what the loop touches meanwhile */
    void (*after)(struct job *job); /**< the job is the caller's again */
};

/** Says how many threads there are to be. Once, before the first job and before threads. */
void pool_prepare(void);

/** Hands a job over; its memory must stay until `after`, which always comes. */
void pool_submit(uv_loop_t *loop, struct job *job);

#endif
