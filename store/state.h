/*
 * The store's own state, shared by the files of store/ above tail and index.
 *
 * Who may touch what: `queue` and what is beside it under `lock`; heads, keys, last_stored,
 * last_import and resync by the writer thread; gen and inflight under gen_lock; waiting and index_*
 * by the index thread (waiting also under lock).
 */
#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/store.h>

#include "store/engine.h"
#include "store/heads.h"
#include "store/index.h"
#include "store/keys.h"
#include "store/tail.h"

#define STORE_FORMAT 3

struct store {
    struct store_options options;
    char *path;
    int dirfd;
    int lockfd;
    uint8_t uuid[16];
    struct engine *engine;
    struct index *index;
    struct tail tail;

    pthread_mutex_t gen_lock;
    struct id_gen gen;
    struct frame_id inflight; /**< lowest id given and not visible yet; ID_MIN = none */

    struct heads heads;
    struct keys keys;
    struct frame_id last_stored; /**< newest id with a record */
    uint64_t last_import;        /**< newest record with frames that only the index has */
    bool resync;                 /**< heads are not to be trusted until the index has caught up */

    pthread_mutex_t lock;
    pthread_cond_t changed; /**< the index moved, or the queue emptied */
    struct store_op *queue, **queue_end;
    bool writing;             /**< the writer has taken operations and not answered them */
    struct store_op *waiting; /**< written, answered once indexed */
    bool read_only;
    bool closing;
    bool sweep_wanted; /**< the index thread is to sweep, and says so by taking this back */
    uint64_t sweep_before_ms;
    struct err sweep_err;       /**< how it went; code 0 = well */
    int index_error;            /**< last index_move failed so; 0 = fine */
    char reason[ERR_TEXT_SIZE]; /**< why read_only, or of index_error */
    bool tail_wide;     /**< the index thread let the tail keep more than its budget, since much is appended */
    size_t moved_bytes; /**< by the index thread since it last gave memory back */
    bool reserve_used; /**< the disk was full: only removals until there is room */

    /* The workers' side, under their lock. */
    struct store *next_store;
    struct store *next_ready;
    bool ready, busy;
    uint64_t index_due_us; /**< monotonic; 0 = nothing to do */
    bool index_running;

    atomic_uint_fast64_t indexed; /**< newest record in the index */
    atomic_bool expiring;         /**< a removal of expired frames is under way */
    atomic_uint_fast64_t expired; /**< record of the last such removal */
    atomic_uint_fast64_t appended, groups, syncs;
};

/** Wall clock of the store. */
static inline uint64_t store_now(const struct store *store)
{
    return store->options.now_ms();
}

/* workers.c */
void workers_add(struct store *store);
/** Waits until neither thread is at the store, and forgets it. */
void workers_remove(struct store *store);
/** The queue has something. */
void workers_write(struct store *store);
/** The index thread is to look at the store in so many microseconds at the latest. */
void workers_index(struct store *store, uint64_t in_us);

/* writer.c */
/** One group: judge, write, publish, answer. True when more is queued and may be taken at once. */
bool writer_step(struct store *store);

/* indexer.c */
/** Moves what is due, expires, answers. Returns microseconds until it is due again, 0 = not before
 * asked. */
uint64_t indexer_step(struct store *store);
/** The disk is full: gives the reserve up. True when that made room. */
bool store_use_reserve(struct store *store);
/** Marks the store read-only (fail stop). */
void store_fail(struct store *store, const struct err *why);

#endif
