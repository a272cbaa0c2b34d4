/*
 * Sorted runs of secondary entries.
 */
#include "store/index_batch.h"

#include <errno.h>
#include <stdlib.h>

struct index_change {
    uint8_t key[PAIR_KEY];
    uint8_t value[BY_TOPIC_VALUE];
    uint32_t order; /* among the changes of a key the highest wins */
    bool removed;
};

void index_batch_init(struct index_batch *batch, enum index_table table, size_t key_len,
                      size_t value_len)
{
    *batch = (struct index_batch){
        .table = table, .key_len = key_len, .value_len = value_len, .sorted = true};
}

void index_batch_finish(struct index_batch *batch)
{
    free(batch->changes);
    batch->changes = NULL;
}

static bool make_room(struct index_batch *batch, struct index_txn *txn)
{
    if (batch->count == BATCH_MAX)
        index_batch_flush(batch, txn);
    if (batch->count < batch->cap)
        return txn->rc == 0;
    size_t cap = batch->cap ? 2 * batch->cap : 64;
    struct index_change *changes = realloc(batch->changes, cap * sizeof *changes);
    if (!changes) {
        index_txn_fail(txn, -ENOMEM, "index: out of memory");
        return false;
    }
    batch->changes = changes;
    batch->cap = cap;
    return txn->rc == 0;
}

static struct index_change *new_change(struct index_batch *batch, struct index_txn *txn,
                                       const uint8_t *key)
{
    if (!make_room(batch, txn))
        return NULL;
    struct index_change *c = &batch->changes[batch->count];
    memset(c, 0, sizeof *c);
    memcpy(c->key, key, batch->key_len);
    c->order = (uint32_t)batch->count;
    if (batch->count > 0 && memcmp(c[-1].key, c->key, batch->key_len) >= 0)
        batch->sorted = false;
    batch->count++;
    return c;
}

void index_batch_add(struct index_batch *batch, struct index_txn *txn, const uint8_t *key,
                     const uint8_t *value)
{
    struct index_change *c = new_change(batch, txn, key);
    if (c && batch->value_len > 0)
        memcpy(c->value, value, batch->value_len);
}

void index_batch_remove(struct index_batch *batch, struct index_txn *txn, const uint8_t *key)
{
    struct index_change *c = new_change(batch, txn, key);
    if (c)
        c->removed = true;
}

/* Unused key bytes are zero, so all of the array may be compared. */
static int change_cmp(const void *a, const void *b)
{
    const struct index_change *x = a, *y = b;
    int c = memcmp(x->key, y->key, sizeof x->key);
    return c != 0 ? c : (x->order > y->order) - (x->order < y->order);
}

void index_batch_flush(struct index_batch *batch, struct index_txn *txn)
{
    if (!batch->sorted)
        qsort(batch->changes, batch->count, sizeof *batch->changes, change_cmp);
    for (size_t i = 0; i < batch->count && txn->rc == 0; i++) {
        const struct index_change *c = &batch->changes[i];
        struct span key = span_of(c->key, batch->key_len);
        if (i + 1 < batch->count && memcmp(c->key, c[1].key, sizeof c->key) == 0)
            continue;
        if (c->removed)
            index_txn_del(txn, batch->table, key);
        else
            index_txn_put(txn, batch->table, key, span_of(c->value, batch->value_len), 0);
    }
    batch->count = 0;
    batch->sorted = true;
}
