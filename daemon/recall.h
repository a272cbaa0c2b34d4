/*
 * The seqs of frames that an earlier request with the same key appended: its answer is given again,
 * whole.
 */
#ifndef DAEMON_RECALL_H
#define DAEMON_RECALL_H

#include <weir/store.h>

#include "daemon/pool.h"

struct recall {
    struct job job;
    struct store *store;
    struct store_frame *frames; /**< ids in, seqs out; a frame that is gone meanwhile has none */
    size_t count;
    void (*done)(struct recall *recall); /**< on the loop */
};

/** Looks the frames up on the pool; the struct must stay until `done`. */
void recall_start(struct recall *recall, uv_loop_t *loop);

#endif
