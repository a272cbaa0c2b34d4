/*
 * Rows of the topics touched in one move: read once, changed in memory, written once.
 */
#ifndef STORE_INDEX_ROWS_H
#define STORE_INDEX_ROWS_H

#include "store/index_impl.h"

struct index_row {
    struct index_topic topic; /**< its texts point behind the row, or into what outlives it */
    bool dirty;
    bool gone;       /**< it is to be removed */
    bool seek_first; /**< the frame at first_seq went: the lowest live seq is above */
};

/** A hash table by topic number. Zeroed memory is an empty one. */
struct index_rows {
    struct index_row **slots;
    size_t cap, count;
};

void index_rows_finish(struct index_rows *rows);

/** The row of a topic if it is in memory, else NULL. */
struct index_row *index_rows_find(const struct index_rows *rows, uint32_t no);
/** The row of a topic, from the table if it is not here yet. NULL when there is none, or with an
 * error. */
struct index_row *index_rows_get(struct index_rows *rows, struct index_txn *txn, uint32_t no);
/** Adds a topic that has no row. NULL with an error. */
struct index_row *index_rows_new(struct index_rows *rows, struct index_txn *txn,
                                 const struct index_topic *topic);
/** Writes the changed ones in order of their numbers. by_topic must be complete in the transaction.
 */
void index_rows_write(struct index_rows *rows, struct index_txn *txn);

#endif
