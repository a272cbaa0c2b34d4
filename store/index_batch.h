/*
 * Entries to add and remove, collected through a move and written in key order.
 *
 * A B-tree insert per frame at a random place costs many times one beside its neighbour. So the
 * tables by_topic, old, content and expiry get theirs sorted, in runs. The last change of a key
 * wins.
 */
#ifndef STORE_INDEX_BATCH_H
#define STORE_INDEX_BATCH_H

#include "store/index_impl.h"

#define BATCH_MAX 65536 /**< changes kept in memory before they are written */

struct index_change;

struct index_batch {
    enum index_table table;
    size_t key_len;   /**< of every key of the table, up to PAIR_KEY */
    size_t value_len; /**< up to BY_TOPIC_VALUE */
    struct index_change *changes;
    size_t count, cap;
    bool sorted; /**< each key lies above the one before */
};

/** An empty batch for a table; nothing is allocated. */
void index_batch_init(struct index_batch *batch, enum index_table table, size_t key_len,
                      size_t value_len);
void index_batch_finish(struct index_batch *batch);

/** Notes a change. value NULL = remove the key if it is there. Writes when BATCH_MAX are waiting.
 */
void index_batch_add(struct index_batch *batch, struct index_txn *txn, const uint8_t *key,
                     const uint8_t *value);
void index_batch_remove(struct index_batch *batch, struct index_txn *txn, const uint8_t *key);
/** Writes what waits. */
void index_batch_flush(struct index_batch *batch, struct index_txn *txn);

#endif
