/*
 * What trims and drops left behind: hidden from every read, removed bit by bit.
 *
 * The table `purge` says of a topic below which seq its frames are to be removed; the highest seq stands for the whole topic, with
 * its frames without seq, its idempotency keys and its row.
 */
#include "base/bytes.h"
#include "store/index_apply.h"

#define NUMBER_SIZE 4
#define BELOW_SIZE 8

/* --- hiding ------------------------------------------------------------------------------------- */

static uint64_t read_below(struct index_txn *txn, uint32_t no)
{
    uint8_t bytes[NUMBER_SIZE];
    struct span value, key = span_of(bytes, sizeof bytes);
    put_be32(bytes, no);
    if (!index_txn_get(txn, TABLE_PURGE, key, &value))
        return 0;
    if (value.len == BELOW_SIZE)
        return get_be64(value.ptr);
    index_txn_damaged(txn, TABLE_PURGE, key, "has another length");
    return 0;
}

uint64_t index_hidden_below(struct index_txn *txn, struct index_hidden *hidden, uint32_t no)
{
    if (!hidden->any)
        return 0;
    if (!hidden->known || hidden->no != no)
        *hidden = (struct index_hidden){true, true, no, read_below(txn, no)};
    return hidden->below;
}

bool index_hides(struct index_txn *txn, struct index_hidden *hidden, const struct frame *frame)
{
    uint64_t below = index_hidden_below(txn, hidden, frame->topic_no);
    return below == UINT64_MAX || (frame->has_seq && frame->seq < below);
}

/* --- removing ----------------------------------------------------------------------------------- */

/* The first entry of the table. */
static bool first_entry(struct apply *a, uint32_t *no, uint64_t *below)
{
    struct span key, value;
    if (!index_txn_seek(&a->txn, TABLE_PURGE, (struct span){0}, 0, &key, &value))
        return false;
    if (key.len != NUMBER_SIZE || value.len != BELOW_SIZE) {
        index_txn_damaged(&a->txn, TABLE_PURGE, key, "has another length");
        return false;
    }
    *no = get_be32(key.ptr);
    *below = get_be64(value.ptr);
    return true;
}

static int purge_once(struct index *index, bool *more, struct buf *freed, struct err *err)
{
    struct apply a;
    uint32_t no;
    uint64_t below;
    apply_begin(&a, index, err);
    a.purge_left = index->purge_slice;
    while (a.purge_left > 0 && first_entry(&a, &no, &below) && apply_purge(&a, no, below))
        ;
    *more = a.state.purges > 0;
    return apply_end(&a, freed);
}

int index_purge(struct index *index, bool *more, struct buf *freed, struct err *err)
{
    size_t freed_before = freed ? freed->len : 0;
    int rc;
    while ((rc = purge_once(index, more, freed, err)) == INDEX_GROW) {
        if (freed)
            freed->len = freed_before;
        if ((rc = index_grow(index, err)) != 0)
            break;
    }
    if (rc != 0 && freed)
        freed->len = freed_before;
    return rc;
}

bool index_has_purges(const struct index *index)
{
    return atomic_load(&index->purges);
}
