/*
 * Snapshots: read transactions, reset and kept for the next reader.
 */
#include <errno.h>

#include "base/clean.h"
#include "store/index_impl.h"

struct index_txn index_snap_txn(struct index_snap *snap, struct err *err)
{
    return (struct index_txn){.index = snap->index, .mdb = snap->mdb, .err = err};
}

static struct index_snap *take_pooled(struct index *index)
{
    pthread_mutex_lock(&index->pool_lock);
    struct index_snap *snap = index->pool;
    if (snap)
        index->pool = snap->next;
    pthread_mutex_unlock(&index->pool_lock);
    return snap;
}

static void put_pooled(struct index_snap *snap)
{
    struct index *index = snap->index;
    pthread_mutex_lock(&index->pool_lock);
    snap->next = index->pool;
    index->pool = snap;
    pthread_mutex_unlock(&index->pool_lock);
}

/* A full reader table may be full of processes that died. */
static int begin_new(struct index *index, MDB_txn **out)
{
    int dead;
    int rc = mdb_txn_begin(index->env, NULL, MDB_RDONLY, out);
    if (rc != MDB_READERS_FULL)
        return rc;
    rc = mdb_reader_check(index->env, &dead);
    return rc == 0 ? mdb_txn_begin(index->env, NULL, MDB_RDONLY, out) : rc;
}

/* A snapshot whose transaction is open, or with an error NULL or one that has none. */
static struct index_snap *begin(struct index *index, struct index_txn *txn)
{
    if (index->unmapped) {
        index_txn_fail(txn, ERR_UNAVAILABLE, "index: not mapped; open the store anew");
        return NULL;
    }
    struct index_snap *snap = take_pooled(index);
    if (snap) {
        index_txn_note(txn, mdb_txn_renew(snap->mdb), "renew snapshot");
        return snap;
    }
    snap = calloc(1, sizeof *snap);
    if (!snap) {
        index_txn_note(txn, ENOMEM, "snapshot");
        return NULL;
    }
    snap->index = index;
    index_txn_note(txn, begin_new(index, &snap->mdb), "begin snapshot");
    return snap;
}

/* For one that could not begin: it does not go back to the pool. */
static void discard(struct index_snap *snap)
{
    if (snap && snap->mdb)
        mdb_txn_abort(snap->mdb);
    free(snap);
}

int index_snap_begin(struct index *index, struct index_snap **out, struct err *err)
{
    struct index_txn txn = {.index = index, .err = err};
    pthread_rwlock_rdlock(&index->map_lock);
    struct index_snap *snap = begin(index, &txn);
    if (snap && txn.rc == 0) {
        txn.mdb = snap->mdb;
        index_state_get(&txn, &snap->state);
        snap->hidden = (struct index_hidden){.any = snap->state.purges > 0};
    }
    if (txn.rc == 0) {
        *out = snap;
        return 0;
    }
    discard(snap);
    pthread_rwlock_unlock(&index->map_lock);
    return txn.rc;
}

void index_snap_end(struct index_snap *snap)
{
    if (!snap)
        return;
    struct index *index = snap->index;
    mdb_txn_reset(snap->mdb);
    put_pooled(snap);
    pthread_rwlock_unlock(&index->map_lock);
}

uint64_t index_snap_number(const struct index_snap *snap)
{
    return snap->state.number;
}

int index_totals(struct index_snap *snap, struct index_totals *out, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    MDB_envinfo info;
    MDB_stat pages;
    index_txn_note(&txn, mdb_env_info(snap->index->env, &info), "info");
    index_txn_note(&txn, mdb_env_stat(snap->index->env, &pages), "stat");
    if (txn.rc != 0)
        return txn.rc;
    const struct index_state *state = &snap->state;
    *out = (struct index_totals){
        .frames = state->frames,
        .topics = state->topics,
        .topic_last = state->topic_last,
        .bytes = state->bytes,
        .disk = (info.me_last_pgno + 1) * pages.ms_psize,
        .newest = state->newest,
        .purges = state->purges,
    };
    return 0;
}
