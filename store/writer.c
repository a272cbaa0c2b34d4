/*
 * The writer: takes what is queued, forms a group, writes it with one sync, makes it visible,
 * answers. While it syncs the next group gathers; an idle writer takes the first append at once.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/group.h"

#define INDEX_NOW_BYTES                                                                            \
    (1024 * 1024) /* more than this is moved at once: each move syncs, beside the journal */
#define INDEX_LATER_US 1000000 /* how long the index may lag while little is waiting for it */

static int judge(struct group *group, struct store_op *op)
{
    if (op->mark_count > 0 && op->kind != STORE_APPEND && op->kind != STORE_IMPORT) {
        op->result = err_set(&op->err, ERR_INVALID, "marks change with appends and imports only");
        return 0;
    }
    switch (op->kind) {
    case STORE_APPEND:
        return judge_append(group, op);
    case STORE_IMPORT:
        return judge_import(group, op);
    case STORE_REMOVE:
        return judge_remove(group, op);
    case STORE_TOPIC:
        return judge_topic(group, op);
    case STORE_CONTENT:
        return judge_content(group, op);
    }
    return ERR_INVALID;
}

/* Whether an operation before it in its chain was refused. */
static bool chain_broken(struct store_op *op)
{
    if (!op->chain || !op->chain->broken)
        return false;
    op->result = err_set(&op->err, ERR_UNAVAILABLE, "one before it was refused");
    return true;
}

static void note_refusal(struct store_op *op)
{
    if (op->chain && op->result != 0)
        op->chain->broken = true;
}

static struct store_op *take(struct store *store)
{
    pthread_mutex_lock(&store->lock);
    struct store_op *op = store->queue;
    if (op) {
        store->queue = op->next;
        if (!store->queue)
            store->queue_end = &store->queue;
        op->next = NULL;
        store->writing = true;
    }
    pthread_mutex_unlock(&store->lock);
    return op;
}

static void put_back(struct store *store, struct store_op *op)
{
    pthread_mutex_lock(&store->lock);
    op->next = store->queue;
    store->queue = op;
    if (!op->next)
        store->queue_end = &op->next;
    pthread_mutex_unlock(&store->lock);
}

static void refuse(struct store_op *op, int code, const char *text)
{
    op->result = err_set(&op->err, code, "%s", text);
    op->number = 0;
    note_refusal(op);
    op->done(op);
}

/* Whether the operation must find every frame where it looks: frames of imports are nowhere until
 * they are indexed. */
static bool looks_at_imports(const struct store_op *op)
{
    bool looks = op->kind == STORE_IMPORT || op->kind == STORE_REMOVE;
    for (size_t i = 0; op->kind == STORE_APPEND && !op->stream && i < op->count && !looks; i++)
        looks = op->frames[i].ttl.kind == TTL_LAST;
    return looks;
}

/* Whether the operation changes nothing: it is answered by a store that is full or read-only too. */
static bool only_looks(const struct store_op *op)
{
    return op->kind == STORE_TOPIC && op->topic->deed == TOPIC_LOOK && !op->topic->make;
}

/* Whether it makes room, or is to have what is kept back. */
static bool may_use_reserve(const struct store_op *op)
{
    return op->kind == STORE_REMOVE || op->urgent || only_looks(op) ||
           (op->kind == STORE_TOPIC && op->topic->deed == TOPIC_DROP);
}

/* Why nothing can be taken now, 0 when it can. ERR_UNAVAILABLE and ERR_FULL answer; ERR_END waits.
 */
static int obstacle(const struct group *group, struct store *store, const struct store_op *op,
                    char text[static ERR_TEXT_SIZE])
{
    int r = 0;
    bool over = tail_unindexed(&store->tail) > store->options.unindexed_max;
    pthread_mutex_lock(&store->lock);
    memcpy(text, store->reason, ERR_TEXT_SIZE);
    if (store->read_only && !only_looks(op))
        r = ERR_UNAVAILABLE;
    else if (store->reserve_used && !may_use_reserve(op))
        r = ERR_FULL;
    else if (over && !only_looks(op))
        r = store->index_error ? ERR_FULL : ERR_END;
    else if (store->resync)
        r = store->index_error ? ERR_FULL : ERR_END;
    else if ((group->imports || store->last_import > atomic_load(&store->indexed)) &&
             looks_at_imports(op))
        r = ERR_END;
    pthread_mutex_unlock(&store->lock);
    return r;
}

/* After a record that was not written the heads are wrong; they are loaded anew once the index is
 * level. */
static int resync(struct store *store)
{
    struct index_snap *snap;
    struct index_totals totals;
    if (!store->resync || atomic_load(&store->indexed) < store->tail.number)
        return 0;
    int r = index_snap_begin(store->index, &snap, NULL);
    if (r != 0)
        return r;
    r = index_totals(snap, &totals, NULL);
    index_snap_end(snap);
    if (r != 0)
        return r;
    heads_clear(&store->heads);
    store->heads.topic_last = (uint32_t)totals.topic_last;
    store->last_stored = totals.newest;
    store->resync = false;
    return 0;
}

/* Judges queued operations into the group until it is full. False: the group must be given up. */
static bool gather(struct group *group, bool *parked)
{
    struct store *store = group->store;
    struct store_op *op;
    char text[ERR_TEXT_SIZE];
    *parked = false;
    while (group_size(group) < GROUP_BYTES && group->frame_count < GROUP_FRAMES &&
           group->marks < GROUP_MARKS && (op = take(store))) {
        int r = obstacle(group, store, op, text);
        if (r == ERR_END) {
            put_back(store, op);
            *parked = true;
            return true;
        }
        if (r != 0) {
            refuse(op, r, text);
            continue;
        }
        op->repeated = false;
        op->number = 0;
        *group->taken_end = op;
        group->taken_end = &op->next;
        r = chain_broken(op) ? 0 : judge(group, op);
        if (r != 0) {
            op->result = r;
            return false;
        }
        note_refusal(op);
    }
    return true;
}

static void answer(struct group *group)
{
    struct store_op *op = group->taken;
    while (op) {
        struct store_op *next = op->next;
        op->next = NULL;
        op->done(op);
        op = next;
    }
}

/* The outcome of a group that did not reach the log: everybody in it gets the error. */
static void give_up(struct group *group, struct store *store, const struct err *err)
{
    keys_undo(&store->keys, group->number);
    store->resync = true;
    pthread_mutex_lock(&store->gen_lock);
    store->inflight = ID_MIN;
    pthread_mutex_unlock(&store->gen_lock);
    for (struct store_op *op = group->taken; op; op = op->next) {
        op->result = err->code;
        op->err = *err;
        note_refusal(op);
    }
    if (err->code == ERR_UNKNOWN || err->code == ERR_UNAVAILABLE)
        store_fail(store, err);
    if (err->code == ERR_FULL)
        store_use_reserve(store);
    answer(group);
    workers_index(store, 0);
}

static int build(struct group *group, struct tail_group **out)
{
    struct tail_group *built = tail_group_create(group->frame_count);
    if (!built)
        return -ENOMEM;
    buf_trim(&group->ops);
    buf_trim(&group->ephemeral);
    built->ops = group->ops;
    built->ephemeral = group->ephemeral;
    group->ops = group->ephemeral = BUF_INIT;
    built->stored = built->ops.len > 0;
    built->number = group->number;
    built->last_id = group->highest;
    for (size_t i = 0; i < group->frame_count; i++) {
        const struct group_frame *frame = &group->frames[i];
        const uint8_t *base = frame->ephemeral ? built->ephemeral.ptr : built->ops.ptr;
        built->frames[i] = (struct tail_frame){.id = frame->id,
                                               .record = span_of(base + frame->at, frame->len),
                                               .topic_no = frame->topic_no,
                                               .ephemeral = frame->ephemeral};
        built->ephemerals += frame->ephemeral;
    }
    built->count = group->frame_count;
    *out = built;
    return 0;
}

static int write_group(struct store *store, struct tail_group *built, struct err *err)
{
    uint64_t number;
    if (!built->stored)
        return 0;
    int r = store->engine->ops->append(store->engine, buf_span(&built->ops), built->number - 1,
                                       &number, err);
    if (r != 0)
        return r;
    atomic_fetch_add(&store->groups, 1);
    atomic_fetch_add(&store->syncs, 1);
    return 0;
}

static void publish(struct group *group, struct store *store, struct tail_group *built)
{
    atomic_fetch_add(&store->appended, built->count);
    /* Both under gen_lock: see store_synthetic_id. */
    pthread_mutex_lock(&store->gen_lock);
    tail_publish(&store->tail, built, group->hides, group->hide_count); /* room was reserved */
    store->inflight = ID_MIN;
    pthread_mutex_unlock(&store->gen_lock);
}

/* Imports and loose contents are answered by the index thread; the rest now. */
static void finish(struct group *group, struct store *store, bool stored, bool shown)
{
    for (struct store_op *op = group->taken; op; op = op->next)
        if (op->result == 0 && !op->repeated)
            op->number = stored ? group->number : 0;
    if (group->imports && stored)
        store->last_import = group->number;
    if (group->deferred && stored) {
        pthread_mutex_lock(&store->lock);
        struct store_op **end = &store->waiting;
        while (*end)
            end = &(*end)->next;
        for (struct store_op *op = group->taken; op; op = op->next)
            op->number = group->number;
        *end = group->taken;
        pthread_mutex_unlock(&store->lock);
        group->taken = NULL;
        workers_index(store, 0);
    }
    answer(group);
    if (stored && !group->deferred)
        workers_index(store, tail_unindexed(&store->tail) > INDEX_NOW_BYTES ? 0 : INDEX_LATER_US);
    if (shown && store->options.published)
        store->options.published(store->options.arg);
}

static void commit(struct group *group, struct store *store)
{
    struct err err = ERR_INIT;
    struct tail_group *built = NULL;
    int r = tail_reserve(&store->tail, group->frame_count, group->hide_count);
    if (r == 0)
        r = build(group, &built);
    if (r != 0)
        err_set(&err, r, "no memory for the append");
    else
        r = write_group(store, built, &err);
    if (r != 0) {
        tail_group_destroy(built);
        give_up(group, store, &err);
        return;
    }
    bool stored = built->stored, shown = built->count || stored;
    if (shown)
        publish(group, store, built);
    else
        tail_group_destroy(built);
    finish(group, store, stored, shown);
}

bool writer_step(struct store *store)
{
    struct group group;
    bool parked;
    keys_forget(&store->keys, atomic_load(&store->indexed));
    heads_trim(&store->heads, atomic_load(&store->indexed));
    resync(store);
    group_begin(&group, store);
    bool good = gather(&group, &parked) && group_close_marks(&group) == 0;
    group_release(&group);
    if (!good) {
        struct err err = ERR_INIT;
        for (struct store_op *op = group.taken; op; op = op->next)
            if (op->result != 0 && !op->next)
                err = op->err;
        if (err.code == 0)
            err_set(&err, -ENOMEM, "no memory for the append");
        give_up(&group, store, &err);
    } else if (group.taken) {
        commit(&group, store);
    }
    group_finish(&group);
    if (parked)
        workers_index(store, 0);
    pthread_mutex_lock(&store->lock);
    bool more = store->queue != NULL && !parked;
    store->writing = false;
    pthread_cond_broadcast(&store->changed);
    pthread_mutex_unlock(&store->lock);
    return more;
}
