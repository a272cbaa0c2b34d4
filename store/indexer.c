/*
 * The index thread's work on one store: move records from the tail into the index, give the
 * journal's room back, answer what waited for that, remove what expired.
 */
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "store/reserve.h"
#include "store/state.h"

/*
 * Records moved in one transaction, about. LMDB keeps memory for its dirty pages for good, so it is little while little waits.
 * Where appends come faster than that can be moved, much at once dirties far fewer pages for each: contents are keyed by their hashes.
 */
#define MOVE_BYTES (1024 * 1024)
#define MOVE_MOST (16 * MOVE_BYTES)
#define BACKLOG (4 * MOVE_BYTES) /* waiting: from here on all of it is moved at once */
#define MOVE_RECORDS 1024
#define RETRY_US 1000000
#define TRIM_BYTES (4 * 1024 * 1024) /* moved between two times that free memory is given back */
#define EXPIRE_AT_ONCE 1000

void store_fail(struct store *store, const struct err *why)
{
    pthread_mutex_lock(&store->lock);
    if (!store->read_only)
        snprintf(store->reason, sizeof store->reason, "%s", why->text);
    store->read_only = true;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

bool store_use_reserve(struct store *store)
{
    if (!store->options.reserve || !reserve_release(store->dirfd))
        return false;
    pthread_mutex_lock(&store->lock);
    store->reserve_used = true;
    snprintf(store->reason, sizeof store->reason, "the disk is full; make room, or remove frames");
    pthread_mutex_unlock(&store->lock);
    return true;
}

/* Room again? Then the reserve first, and writing goes on. */
static bool refill_reserve(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    bool used = store->reserve_used;
    pthread_mutex_unlock(&store->lock);
    if (!used)
        return true;
    if (!reserve_make(store->dirfd, store->options.reserve))
        return false;
    pthread_mutex_lock(&store->lock);
    store->reserve_used = false;
    pthread_mutex_unlock(&store->lock);
    return true;
}

/* How much to move now. While much is appended the tail keeps more, too: readers that are a moment behind stay in memory. */
static size_t move_size(struct store *store)
{
    size_t waiting = tail_unindexed(&store->tail);
    bool many = waiting > BACKLOG;
    if (many && !store->tail_wide && store->options.tail_bytes < MOVE_MOST) {
        store->tail_wide = true;
        tail_keep(&store->tail, MOVE_MOST);
    }
    return !many ? MOVE_BYTES : waiting < MOVE_MOST ? waiting : MOVE_MOST;
}

/* Records of the tail above the index's last one; they stay where they are, being unindexed. */
static size_t collect(struct store *store, struct index_record *records)
{
    struct tail_pin pin;
    size_t most = move_size(store);
    size_t count = 0, bytes = 0;
    uint64_t indexed = atomic_load(&store->indexed);
    tail_pin(&store->tail, &pin);
    for (uint64_t o = tail_after(&store->tail, &pin, indexed);
         o <= pin.last && count < MOVE_RECORDS && bytes < most; o++) {
        const struct tail_group *group = tail_at(&store->tail, o);
        if (!group->stored)
            continue;
        records[count++] = (struct index_record){group->number, buf_span(&group->ops)};
        bytes += group->ops.len;
    }
    tail_unpin(&store->tail, &pin);
    return count;
}

static void tell_freed(struct store *store, const struct buf *freed)
{
    for (size_t at = 0; store->options.freed && at + DIGEST_SIZE <= freed->len; at += DIGEST_SIZE)
        store->options.freed(store->options.arg, freed->ptr + at);
}

/* Up to which record readers must look in the index alone: that of the newest import, whose frames
 * are not in the tail. Loose contents are looked for in both. */
static uint64_t newest_import(const struct store_op *op)
{
    uint64_t number = 0;
    for (; op; op = op->next)
        if (op->kind == STORE_IMPORT && op->result == 0)
            number = op->number;
    return number;
}

/* Operations that waited for the index. Ephemeral frames that are held go before an import is
 * answered: what the reads of others see wins. */
static void answer_waiting(struct store *store, uint64_t indexed)
{
    pthread_mutex_lock(&store->lock);
    struct store_op *ready = store->waiting, **end = &ready;
    while (*end && (*end)->number <= indexed)
        end = &(*end)->next;
    store->waiting = *end;
    *end = NULL;
    pthread_mutex_unlock(&store->lock);
    uint64_t import = newest_import(ready);
    if (import > 0)
        tail_evict(&store->tail, import);
    while (ready) {
        struct store_op *next = ready->next;
        ready->next = NULL;
        if (ready->result != 0 || ready->repeated)
            ready->number = 0; /* it was there to wait by */
        ready->done(ready);
        ready = next;
    }
}

static void fail_waiting(struct store *store, const struct err *err)
{
    pthread_mutex_lock(&store->lock);
    struct store_op *op = store->waiting;
    store->waiting = NULL;
    pthread_mutex_unlock(&store->lock);
    while (op) {
        struct store_op *next = op->next;
        op->next = NULL;
        op->result = ERR_UNKNOWN;
        op->err = *err;
        op->done(op);
        op = next;
    }
}

static void moved(struct store *store, uint64_t number)
{
    atomic_store(&store->indexed, number);
    tail_indexed(&store->tail, number);
    store->engine->ops->release(store->engine, number);
    if (store->options.indexed)
        store->options.indexed(store->options.arg, number);
    answer_waiting(store, number);
    pthread_mutex_lock(&store->lock);
    store->index_error = 0;
    bool queued = store->queue != NULL;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    if (queued)
        workers_write(store);
}

/* No room: the log holds everything, so appends go on until the tail is full. Anything else is for
 * good. */
static void not_moved(struct store *store, const struct err *err)
{
    bool for_good = err->code != ERR_FULL && err->code != -ENOMEM;
    pthread_mutex_lock(&store->lock);
    bool closing = store->closing;
    pthread_mutex_unlock(&store->lock);
    if (for_good)
        store_fail(store, err);
    if (for_good || closing)
        fail_waiting(store, err);
    pthread_mutex_lock(&store->lock);
    store->index_error = err->code;
    snprintf(store->reason, sizeof store->reason, "%s", err->text);
    bool queued = store->queue != NULL;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    if (queued)
        workers_write(store);
}

static int move_all(struct store *store, size_t *bytes)
{
    struct index_record *records = malloc(MOVE_RECORDS * sizeof *records);
    int r = records ? 0 : -ENOMEM;
    size_t count;
    while (r == 0 && (count = collect(store, records)) > 0) {
        struct err err = ERR_INIT;
        CLEAN_BUF freed = BUF_INIT;
        r = index_move(store->index, records, count, &freed, &err);
        for (size_t i = 0; i < count; i++)
            *bytes += records[i].bytes.len;
        if (r == 0) {
            moved(store, records[count - 1].number);
            tell_freed(store, &freed);
        } else if (r == ERR_FULL && store_use_reserve(store)) {
            r = 0; /* once more, with the room that gave */
        } else {
            not_moved(store, &err);
        }
    }
    free(records);
    return r;
}

/* Removes a slice of what trims and drops left behind. Returns microseconds until the next, 0 = nothing is left; errors are as those of
 * a move. */
static uint64_t purge(struct store *store)
{
    struct err err = ERR_INIT;
    CLEAN_BUF freed = BUF_INIT;
    bool more = false;
    if (!index_has_purges(store->index))
        return 0;
    int r = index_purge(store->index, &more, &freed, &err);
    if (r == ERR_FULL && store_use_reserve(store))
        return 1;
    if (r != 0) {
        not_moved(store, &err);
        return RETRY_US;
    }
    tell_freed(store, &freed);
    return more ? 1 : 0;
}

/* --- expiry ------------------------------------------------------------------------------- */

struct expiry {
    struct store_op op;
    struct store *store;
    struct frame_id ids[EXPIRE_AT_ONCE];
};

static void expiry_done(struct store_op *op)
{
    struct expiry *expiry = op->owner;
    struct store *store = expiry->store;
    uint64_t number = op->number;
    bool good = op->result == 0;
    if (good)
        atomic_store(&store->expired, number);
    pthread_mutex_lock(&store->lock);
    atomic_store(&store->expiring, false);
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    workers_index(store, good ? 0 : RETRY_US);
    free(expiry);
}

/* Submits the removal of what is over. Returns microseconds until the next deadline, 0 = none
 * known. */
static uint64_t expire(struct store *store)
{
    struct index_snap *snap;
    struct expiry *expiry;
    uint64_t next_ms = 0, now = store_now(store);
    size_t count = 0;
    pthread_mutex_lock(&store->lock);
    bool stopped = store->closing || store->read_only;
    pthread_mutex_unlock(&store->lock);
    /* What a purge is at is gone, but its deadlines are still there. */
    if (stopped || index_has_purges(store->index) || atomic_load(&store->expiring) ||
        atomic_load(&store->expired) > atomic_load(&store->indexed))
        return 0;
    if (!(expiry = calloc(1, sizeof *expiry)))
        return RETRY_US;
    if (index_snap_begin(store->index, &snap, NULL) != 0) {
        free(expiry);
        return RETRY_US;
    }
    index_expired(snap, now, expiry->ids, EXPIRE_AT_ONCE, &count, &next_ms, NULL);
    index_snap_end(snap);
    if (count == 0) {
        free(expiry);
        uint64_t ms = next_ms > now ? next_ms - now : 0;
        return next_ms == 0 ? 0 : (ms > 3600000 ? 3600000 : ms + 1) * 1000;
    }
    expiry->store = store;
    expiry->op = (struct store_op){.kind = STORE_REMOVE,
                                   .authority = AUTHORITY_DAEMON,
                                   .ids = expiry->ids,
                                   .count = count,
                                   .done = expiry_done,
                                   .owner = expiry};
    atomic_store(&store->expiring, true);
    store_submit(store, &expiry->op);
    return 0;
}

/* The index is written to by one thread alone, so store_sweep asks and waits. */
static void sweep(struct store *store)
{
    struct err err = ERR_INIT;
    uint64_t dropped;
    pthread_mutex_lock(&store->lock);
    bool wanted = store->sweep_wanted;
    uint64_t before_ms = store->sweep_before_ms;
    pthread_mutex_unlock(&store->lock);
    if (!wanted)
        return;
    err.code = index_sweep(store->index, before_ms, &dropped, &err);
    pthread_mutex_lock(&store->lock);
    store->sweep_err = err;
    store->sweep_wanted = false;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
}

/* Groups come and go by the million: free memory is given back after some MiB, and when the work
 * pauses. */
static void give_back(struct store *store, size_t moved_before)
{
    bool pause = (store->moved_bytes > 0 || store->tail_wide) && store->moved_bytes == moved_before;
    if (store->moved_bytes < TRIM_BYTES && !pause)
        return;
    if (pause && store->tail_wide) {
        store->tail_wide = false;
        tail_keep(&store->tail, store->options.tail_bytes);
    }
    malloc_trim(0);
    store->moved_bytes = 0;
}

/* When to look again: at the next deadline, and within a second while something is left to do. */
static uint64_t next_look(struct store *store, uint64_t due)
{
    bool soon = !refill_reserve(store) || store->moved_bytes > 0 || store->tail_wide;
    return soon && (due == 0 || due > RETRY_US) ? RETRY_US : due;
}

uint64_t indexer_step(struct store *store)
{
    struct err err = ERR_INIT;
    sweep(store);
    pthread_mutex_lock(&store->lock);
    bool failed = store->read_only && store->index_error != 0;
    bool closing = store->closing;
    pthread_mutex_unlock(&store->lock);
    if (failed)
        return 0;
    size_t moved_before = store->moved_bytes;
    if (move_all(store, &store->moved_bytes) != 0)
        return RETRY_US;
    uint64_t again = closing ? 0 : purge(store); /* it goes on at the next start */
    tail_trim(&store->tail);
    give_back(store, moved_before);
    store->engine->ops->prepare(store->engine, &err);
    pthread_mutex_lock(&store->lock);
    bool queued = store->queue != NULL; /* parked for the index, which is level now */
    pthread_mutex_unlock(&store->lock);
    if (queued)
        workers_write(store);
    return again ? again : next_look(store, expire(store));
}
