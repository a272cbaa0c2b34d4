/*
 * A write transaction of the index under way: rows in memory, entries gathered in batches. Nothing outside store/index*.c includes this.
 */
#ifndef STORE_INDEX_APPLY_H
#define STORE_INDEX_APPLY_H

#include "store/index_batch.h"
#include "store/index_rows.h"
#include "store/record.h"

struct apply {
    struct index_txn txn;
    struct index_state state;
    struct index_rows rows;
    struct index_batch by_topic, old, content, expiry;
    struct buf gone;            /* digests of blobs that a removed frame named */
    struct index_hidden hidden; /* what the table purge says */
    size_t purge_left;          /* frames and keys that trims and drops may still remove in this transaction */
};

/** Begins; the error is in a->txn.rc. apply_end must follow. */
void apply_begin(struct apply *a, struct index *index, struct err *err);
/** Writes all that waits and commits, or aborts after an error. `freed` (may be NULL) as of index_move. */
int apply_end(struct apply *a, struct buf *freed);

/** The key of a frame with seq in by_topic. */
struct span apply_by_topic_key(uint8_t out[static BY_TOPIC_KEY], const struct frame *frame);
/** Adds or removes the entries that name a frame. */
void apply_entries(struct apply *a, const struct frame *frame, bool add);
/** Removes a frame with all that names it. An absent one is removed already, except what `place` (may be NULL) says of it. */
void apply_remove_frame(struct apply *a, struct frame_id id, const struct frame *place);

void apply_remove(struct apply *a, const struct op *op);
void apply_cut(struct apply *a, const struct op *op);

/** Removes frames of a topic below a seq, as many as purge_left says; UINT64_MAX: all, with the dead row. True when none is left. */
bool apply_purge(struct apply *a, uint32_t no, uint64_t below);
/** The same, and what is left is noted for index_purge. */
void apply_purge_below(struct apply *a, const struct index_row *row, uint64_t below);

#endif
