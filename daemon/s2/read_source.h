/*
 * Records of one stream, in order, a batch at a time: frames of the store as records.
 *
 * Holds a place, not a queue. Contents that lie elsewhere, and everything that left memory, need the disk: that part of the work is
 * the pool's. Thread rule: one thread at a time.
 */
#ifndef DAEMON_S2_READ_SOURCE_H
#define DAEMON_S2_READ_SOURCE_H

#include <weir/cas.h>
#include <weir/store.h>

#include "daemon/s2/read_batch.h"
#include "daemon/s2/read_plan.h"
#include "daemon/s2/s2.h"

/** Where a fill ended. */
enum read_step {
    READ_CUT,   /**< the batch is full, or time is up after some records: there may be more */
    READ_LAST,  /**< everything that is visible was looked at */
    READ_DISK,  /**< the rest of this batch needs the pool */
    READ_AGAIN, /**< time is up and nothing was found yet */
    READ_ENDED, /**< the read's own limits are reached */
};

/** Zeroed, then set by the owner down to `next`. */
struct read_source {
    struct store *store;
    struct cas *cas;
    struct store_topic topic; /**< name (borrowed), number and birth; the rest is not looked at */
    bool sealed;              /**< its records may be encrypted, with `key` */
    uint8_t key[S2_KEY_SIZE];
    struct read_caps caps;
    struct read_limits limits; /**< what is left */
    struct frame_id next;      /**< everything of the stream below was looked at; set by read_source_seek */

    struct store_cursor *cursor;
    struct read_batch *batch; /* the fill's */
    struct s2_headers headers;
    struct s2_header *more; /* headers of a record with those that stand for its content */
    size_t more_cap;
    struct buf room, blob;
    struct frame_id blob_of; /* the frame whose content is in `blob`, or is to be fetched */
    uint8_t blob_digest[DIGEST_SIZE];
    uint64_t blob_size;
    bool has_blob;
    int stop; /* why the sink said no */
    struct err why;
};

/** Finds where to begin. May block. As store_seek. */
int read_source_seek(struct read_source *src, const struct read_plan *plan, struct err *err);
/**
 * Adds records to the batch. Without may_block only what is in memory. 0 and *step. ERR_NOT_FOUND: the stream is gone, and maybe
 * another one there. ERR_FORBIDDEN: a record was encrypted with another key. ERR_DAMAGED, -errno. Records may have been added
 * before an error.
 */
int read_source_fill(struct read_source *src, struct read_batch *batch, bool may_block, enum read_step *step, struct err *err);
/** Goes on there: what lies before was read elsewhere. */
void read_source_move(struct read_source *src, struct frame_id next);
/** Gives back what a read at rest does not need. */
void read_source_rest(struct read_source *src);
void read_source_finish(struct read_source *src);

#endif
