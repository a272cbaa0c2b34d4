/*
 * The store without its threads: this file stands in for store/workers.c, and the test calls the
 * writer's and the index thread's steps itself, so that it decides what happens between any two of
 * them.
 */
#ifndef TEST_STORE_STEPS_H
#define TEST_STORE_STEPS_H

#include "store/state.h"
#include "tests/store/play.h"

struct store_workers {
    int none;
};

int store_workers_create(struct store_workers **out, struct err *err)
{
    (void)err;
    *out = calloc(1, sizeof **out);
    return *out ? 0 : -1;
}

void store_workers_destroy(struct store_workers *workers)
{
    free(workers);
}

void workers_add(struct store *store)
{
    (void)store;
}

void workers_remove(struct store *store)
{
    (void)store;
}

void workers_write(struct store *store)
{
    (void)store;
}

void workers_index(struct store *store, uint64_t in_us)
{
    (void)store, (void)in_us;
}

static void op_answered(struct store_op *op)
{
    *(bool *)op->owner = true;
}

/* Queues an operation; *done becomes true when it is answered. */
static inline void step_submit(struct store *store, struct store_op *op, bool *done)
{
    *done = false;
    op->done = op_answered;
    op->owner = done;
    store_submit(store, op);
}

/* Steps both threads until everything is answered and indexed. */
static inline void step_settle(struct store *store)
{
    for (int i = 0; i < 10000; i++) {
        while (writer_step(store))
            ;
        indexer_step(store);
        if (!store->queue && !store->waiting && !store->expiring &&
            store->indexed == store->tail.number)
            return;
    }
    must(!"the store does not come to rest");
}

/* The same, until nothing is left of trims and drops either; only then goes what expired. */
static inline void step_settle_all(struct store *store)
{
    step_settle(store);
    for (int i = 0; i < 100000 && index_has_purges(store->index); i++)
        step_settle(store);
    must(!index_has_purges(store->index));
}

/* Runs one operation to its answer. */
static inline int step_run(struct store *store, struct store_op *op)
{
    bool done;
    step_submit(store, op, &done);
    for (int i = 0; !done && i < 10000; i++) {
        writer_step(store);
        if (!done)
            indexer_step(store);
    }
    must(done);
    return op->result;
}

static inline void step_close(struct play *play)
{
    step_settle(play->store);
    play_close(play);
}

#endif
