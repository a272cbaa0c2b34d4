/*
 * Opening and closing a store, and its queue.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "store/journal.h"
#include "store/place.h"
#include "store/reserve.h"
#include "store/state.h"

#define TAIL_BYTES (1024 * 1024)
#define UNINDEXED_MAX (32u * 1024 * 1024)
#define REPLAY_BYTES (8u * 1024 * 1024)

/* --- replay: what the journal has and the index has not ----------------------------------- */

struct replay {
    struct store *store;
    struct buf bytes;
    struct index_record *records;
    size_t *at; /* offset of each record in bytes */
    size_t count, cap;
    struct err *err;
};

static int replay_move(struct replay *replay)
{
    for (size_t i = 0; i < replay->count; i++)
        replay->records[i].bytes.ptr = replay->bytes.ptr + replay->at[i];
    int r = replay->count ? index_move(replay->store->index, replay->records, replay->count, NULL,
                                       replay->err)
                          : 0;
    if (r == 0 && replay->count)
        atomic_store(&replay->store->indexed, replay->records[replay->count - 1].number);
    replay->count = 0;
    buf_reset(&replay->bytes);
    return r;
}

static int replay_grow(struct replay *replay)
{
    if (replay->count < replay->cap)
        return 0;
    size_t cap = replay->cap ? replay->cap * 2 : 256;
    struct index_record *records = realloc(replay->records, cap * sizeof *records);
    if (records)
        replay->records = records;
    size_t *at = realloc(replay->at, cap * sizeof *at);
    if (at)
        replay->at = at;
    if (!records || !at)
        return err_set(replay->err, -ENOMEM, "no memory for the replay of the journal");
    replay->cap = cap;
    return 0;
}

static int replay_record(void *arg, uint64_t number, struct span record)
{
    struct replay *replay = arg;
    if (number <= atomic_load(&replay->store->indexed))
        return 0;
    int r = replay_grow(replay);
    if (r == 0 && buf_add_span(&replay->bytes, record) != 0)
        r = err_set(replay->err, -ENOMEM, "no memory for the replay of the journal");
    if (r != 0)
        return r;
    replay->at[replay->count] = replay->bytes.len - record.len;
    replay->records[replay->count++] = (struct index_record){number, {NULL, record.len}};
    return replay->bytes.len > REPLAY_BYTES ? replay_move(replay) : 0;
}

static int replay(struct store *store, struct err *err)
{
    struct replay replay = {.store = store, .err = err};
    struct engine_stat stat;
    store->engine->ops->stat(store->engine, &stat);
    uint64_t from = atomic_load(&store->indexed) + 1;
    int r = 0;
    if (stat.last >= from)
        r = store->engine->ops->read(store->engine, from, replay_record, &replay, err);
    if (r == 0)
        r = replay_move(&replay);
    if (r == 0)
        store->engine->ops->release(store->engine, atomic_load(&store->indexed));
    buf_finish(&replay.bytes);
    free(replay.records);
    free(replay.at);
    return r;
}

/* --- opening ------------------------------------------------------------------------------ */

static int open_parts(struct store *store, struct err *err)
{
    struct index_options index_options = {.map_size = store->options.map_size,
                                          .purge_slice = store->options.purge_slice};
    struct journal_options journal_options = {.segment_start = store->options.segment_start,
                                              .segment_max = store->options.segment_max};
    struct journal_report report = {0};
    struct index_snap *snap;
    memcpy(index_options.uuid, store->uuid, sizeof store->uuid);
    memcpy(journal_options.uuid, store->uuid, sizeof store->uuid);
    int r = index_open(&store->index, store->dirfd, "index", &index_options, err);
    if (r != 0 || (r = index_snap_begin(store->index, &snap, err)) != 0)
        return r;
    journal_options.released = index_snap_number(snap);
    index_snap_end(snap);
    atomic_store(&store->indexed, journal_options.released);
    r = journal_open(&store->engine, store->dirfd, "journal", &journal_options, &report, err);
    if (r == 0 && report.damaged) {
        struct err why = ERR_INIT;
        err_set(&why, ERR_UNAVAILABLE,
                "the journal is damaged from record %" PRIu64 " to before %" PRIu64
                " (%s at %" PRIu64 "); read-only until weird --repair",
                report.first_bad, report.next_good, report.segment, report.offset);
        store_fail(store, &why);
    }
    return r;
}

/* The writer's starting point: everything is in the index now. */
static int load(struct store *store, struct err *err)
{
    struct index_snap *snap;
    struct index_totals totals;
    int r = index_snap_begin(store->index, &snap, err);
    if (r != 0)
        return r;
    r = index_totals(snap, &totals, err);
    index_snap_end(snap);
    if (r != 0)
        return r;
    store->last_stored = totals.newest;
    id_gen_init(&store->gen, totals.newest);
    if (heads_init(&store->heads, (uint32_t)totals.topic_last) != 0 ||
        tail_init(&store->tail, store->options.tail_bytes, atomic_load(&store->indexed),
                  totals.newest) != 0)
        return err_set(err, -ENOMEM, "no memory for the store");
    return 0;
}

static void destroy(struct store *store)
{
    struct place place = {.dirfd = store->dirfd, .lockfd = store->lockfd};
    if (store->engine)
        store->engine->ops->close(store->engine);
    index_close(store->index);
    tail_finish(&store->tail);
    heads_finish(&store->heads);
    keys_finish(&store->keys);
    place_close(&place);
    pthread_mutex_destroy(&store->lock);
    pthread_mutex_destroy(&store->gen_lock);
    pthread_cond_destroy(&store->changed);
    free(store->path);
    free(store);
}

static struct store *create(const char *path, const struct store_options *options)
{
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return NULL;
    store->options = *options;
    if (!store->options.now_ms)
        store->options.now_ms = time_now_ms;
    if (!store->options.tail_bytes)
        store->options.tail_bytes = TAIL_BYTES;
    if (!store->options.unindexed_max)
        store->options.unindexed_max = UNINDEXED_MAX;
    store->dirfd = store->lockfd = -1;
    store->queue_end = &store->queue;
    pthread_mutex_init(&store->lock, NULL);
    pthread_mutex_init(&store->gen_lock, NULL);
    pthread_cond_init(&store->changed, NULL);
    store->path = strdup(path);
    if (!store->path) {
        destroy(store);
        return NULL;
    }
    return store;
}

int store_open(struct store **out, const char *path, const struct store_options *options,
               struct err *err)
{
    struct place place;
    struct store *store = create(path, options);
    if (!store)
        return err_set(err, -ENOMEM, "no memory for the store");
    int r = place_open(&place, path, err);
    if (r == 0) {
        store->dirfd = place.dirfd;
        store->lockfd = place.lockfd;
        memcpy(store->uuid, place.uuid, sizeof store->uuid);
        r = open_parts(store, err);
    }
    if (r == 0)
        r = replay(store, err);
    if (r == 0)
        r = load(store, err);
    if (r != 0) {
        destroy(store);
        return r;
    }
    if (store->options.reserve)
        reserve_make(store->dirfd, store->options.reserve);
    workers_add(store);
    workers_index(store, 0);
    *out = store;
    return 0;
}

/* Nothing queued, nothing waiting for the index, nothing being removed by age. */
static bool idle(const struct store *store)
{
    return !store->queue && !store->writing && !store->waiting && !atomic_load(&store->expiring);
}

void store_close(struct store *store)
{
    if (!store)
        return;
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    while (!idle(store))
        pthread_cond_wait(&store->changed, &store->lock);
    pthread_mutex_unlock(&store->lock);
    store_flush(store, NULL);
    workers_remove(store);
    destroy(store);
}

int store_dirfd(const struct store *store)
{
    return store->dirfd;
}

/* --- the queue ---------------------------------------------------------------------------- */

void store_submit(struct store *store, struct store_op *op)
{
    op->next = NULL;
    op->result = 0;
    op->err.code = 0;
    pthread_mutex_lock(&store->lock);
    bool first = !store->queue;
    *store->queue_end = op;
    store->queue_end = &op->next;
    pthread_mutex_unlock(&store->lock);
    if (first)
        workers_write(store);
}

struct wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
};

static void wake(struct store_op *op)
{
    struct wait *wait = op->owner;
    pthread_mutex_lock(&wait->lock);
    wait->done = true;
    pthread_cond_signal(&wait->cond);
    pthread_mutex_unlock(&wait->lock);
}

int store_run(struct store *store, struct store_op *op)
{
    struct wait wait = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    op->done = wake;
    op->owner = &wait;
    store_submit(store, op);
    pthread_mutex_lock(&wait.lock);
    while (!wait.done)
        pthread_cond_wait(&wait.cond, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    return op->result;
}

/* --- the rest ----------------------------------------------------------------------------- */

int store_flush(struct store *store, struct err *err)
{
    struct tail_pin pin;
    tail_pin(&store->tail, &pin);
    tail_unpin(&store->tail, &pin);
    int r = 0;
    pthread_mutex_lock(&store->lock);
    store->index_error = 0;
    while (atomic_load(&store->indexed) < pin.number && r == 0) {
        workers_index(store, 0);
        pthread_cond_wait(&store->changed, &store->lock);
        if (store->index_error)
            r = err_set(err, store->index_error, "%s", store->reason);
    }
    pthread_mutex_unlock(&store->lock);
    return r;
}

static int stat_index(struct store *store, struct store_stat *out, struct err *err)
{
    struct index_snap *snap;
    struct index_totals totals;
    int r = index_snap_begin(store->index, &snap, err);
    if (r != 0)
        return r;
    r = index_totals(snap, &totals, err);
    out->index_last = index_snap_number(snap);
    index_snap_end(snap);
    out->frames = totals.frames;
    out->topics = totals.topics;
    out->bytes = totals.bytes;
    out->index_bytes = totals.disk;
    return r;
}

int store_stat(struct store *store, struct store_stat *out, struct err *err)
{
    struct store_stat stat = {.format = STORE_FORMAT};
    struct engine_stat engine;
    int r = store_flush(
        store, NULL); /* so that counts include what was answered; a failing index says so below */
    r = stat_index(store, &stat, err);
    if (r != 0)
        return r;
    memcpy(stat.uuid, store->uuid, sizeof stat.uuid);
    store->engine->ops->stat(store->engine, &engine);
    stat.journal_first = engine.first;
    stat.journal_last = engine.last;
    stat.journal_segments = engine.segments;
    stat.journal_bytes = engine.bytes;
    stat.appended = atomic_load(&store->appended);
    stat.groups = atomic_load(&store->groups);
    stat.syncs = atomic_load(&store->syncs);
    pthread_mutex_lock(&store->tail.lock);
    stat.tail_bytes = store->tail.bytes;
    stat.tail_frames = store->tail.frames;
    stat.newest = store->tail.end;
    pthread_mutex_unlock(&store->tail.lock);
    pthread_mutex_lock(&store->lock);
    stat.read_only = store->read_only;
    memcpy(stat.reason, store->reason, sizeof stat.reason);
    pthread_mutex_unlock(&store->lock);
    *out = stat;
    return 0;
}

void store_hold(struct store *store, struct store_hold *hold, struct frame_id from)
{
    if (tail_hold(&store->tail, hold, from))
        workers_index(store, 0); /* which frees what was held, so that this thread need not */
}

void store_unhold(struct store *store, struct store_hold *hold)
{
    if (tail_unhold(&store->tail, hold))
        workers_index(store, 0);
}

int store_sweep(struct store *store, uint64_t loose_age_ms, struct err *err)
{
    uint64_t now = store_now(store);
    pthread_mutex_lock(&store->lock);
    while (store->sweep_wanted)
        pthread_cond_wait(&store->changed, &store->lock);
    store->sweep_wanted = true;
    store->sweep_before_ms = now > loose_age_ms ? now - loose_age_ms : 0;
    workers_index(store, 0);
    while (store->sweep_wanted)
        pthread_cond_wait(&store->changed, &store->lock);
    int r = store->sweep_err.code;
    if (r != 0)
        err_set(err, r, "%s", store->sweep_err.text);
    pthread_mutex_unlock(&store->lock);
    return r;
}
