/*
 * What the files of the index share. Nothing outside store/index*.c includes this.
 */
#ifndef STORE_INDEX_IMPL_H
#define STORE_INDEX_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "store/index.h"
#include "store/index_txn.h"

#define NAME_KEY_SIZE 16 /* room for the fixed keys of the table meta */

/** The row `state` of the table meta: what changes with every move. */
struct index_state {
    uint64_t number; /**< last record moved */
    uint64_t frames;
    uint64_t topics;
    uint64_t topic_last;
    uint64_t bytes;
    struct frame_id newest;
    uint64_t purges; /* entries of the table purge */
};

/* What is left to remove of topics, as far as a run of reads has met it. Zeroed: nothing. */
struct index_hidden {
    bool any;          /* there are entries in the table purge */
    bool known;        /* `no` and `below` hold the topic asked for last */
    uint32_t no;
    uint64_t below;
};

struct index_snap {
    struct index *index;
    struct index_hidden hidden;
    MDB_txn *mdb;
    struct index_state state;
    struct index_snap *next; /**< in the pool */
};

struct index {
    MDB_env *env;
    MDB_dbi dbi[TABLES];
    int fd;                    /**< of the data file; LMDB's */
    pthread_rwlock_t map_lock; /**< read: a transaction is open; write: the map is being changed */
    pthread_mutex_t pool_lock;
    struct index_snap *pool; /**< reset read transactions, used again */
    size_t purge_slice; /* frames and keys removed at once */
    atomic_bool purges; /* the table purge has entries */
    atomic_bool broken;      /**< a sync or meta write failed: nothing more is written (P7) */
    atomic_bool unmapped; /**< the map could not be changed nor put back: nothing is read either */
};

/** Doubles the map. No transaction of this thread may be open. */
int index_grow(struct index *index, struct err *err);

/** Of a topic: frames with a lower seq are hidden; UINT64_MAX: all are. 0 when nothing is, or with an error. */
uint64_t index_hidden_below(struct index_txn *txn, struct index_hidden *hidden, uint32_t no);
/** Whether a purge is to remove the frame. */
bool index_hides(struct index_txn *txn, struct index_hidden *hidden, const struct frame *frame);

/** The row `state`; zeroes in a new index. */
void index_state_get(struct index_txn *txn, struct index_state *out);
void index_state_put(struct index_txn *txn, const struct index_state *state);

/** A read "transaction object" over a snapshot, for one call. */
struct index_txn index_snap_txn(struct index_snap *snap, struct err *err);

/* --- frames ------------------------------------------------------------------------------------
 */

/** Decodes and checks a raw value of `frames`. 0 or ERR_DAMAGED naming the frame. */
int index_frame_read(struct frame *out, struct span key, struct span raw, struct err *err);
/** A frame by id. False when there is none, or with an error. */
bool index_frame_get(struct index_txn *txn, struct frame_id id, struct frame *out);

/** The keys of a frame's entries. Each writes all bytes of its array. */
#define BY_TOPIC_KEY 12
#define OLD_KEY 20
#define PAIR_KEY 24
#define BY_TOPIC_VALUE 28
void index_by_topic_key(uint8_t out[static BY_TOPIC_KEY], uint32_t no, uint64_t seq);
void index_by_topic_value(uint8_t out[static BY_TOPIC_VALUE], const struct frame *frame);
void index_old_key(uint8_t out[static OLD_KEY], uint32_t no, struct frame_id id);
/** Of content and expiry: 8 bytes, then the id. */
void index_pair_key(uint8_t out[static PAIR_KEY], uint64_t first, struct frame_id id);

/* --- topics ------------------------------------------------------------------------------------
 */

/** Reads a row; `name` points into the value. False when there is none, or with an error. */
bool index_row_get(struct index_txn *txn, uint32_t no, struct index_topic *out);
void index_row_put(struct index_txn *txn, const struct index_topic *row);
/** The topic of that very name. False when there is none, or with an error. */
bool index_name_get(struct index_txn *txn, struct span name, struct index_topic *out);
/** Adds a name whose row is stored already; removes one. */
void index_name_add(struct index_txn *txn, struct span name, uint32_t no);
void index_name_remove(struct index_txn *txn, struct span name, uint32_t no);
void index_row_del(struct index_txn *txn, uint32_t no);
/** Gives the rows of formats 1 and 2 the form of this one. */
void index_rows_upgrade(struct index_txn *txn);

/* --- content and keys --------------------------------------------------------------------------
 */

/** Whether a frame names the content. */
bool index_content_named(struct index_txn *txn, const uint8_t digest[static DIGEST_SIZE]);
/** Stores loose content; of what is there the time is renewed. */
void index_loose_add(struct index_txn *txn, const uint8_t digest[static DIGEST_SIZE],
                     uint64_t time_ms, struct span bytes);
/** Copies content that lies in a frame's record into `loose`, for a frame that only names it. */
void index_content_keep(struct index_txn *txn, const uint8_t digest[static DIGEST_SIZE],
                        uint64_t time_ms);
/** Sweeps; both count what they drop. */
void index_loose_sweep(struct index_txn *txn, uint64_t before_ms, uint64_t *dropped);
void index_key_sweep(struct index_txn *txn, uint64_t before_ms, uint64_t *dropped);

struct op;
void index_key_put(struct index_txn *txn, const struct op *op);
/** Removes up to *left keys of a topic, and counts *left down. */
void index_key_purge(struct index_txn *txn, uint32_t no, size_t *left);

/* --- marks -------------------------------------------------------------------------------------
 */

void index_mark_ack(struct index_txn *txn, const struct op *op);
void index_mark_set(struct index_txn *txn, const struct op *op);
void index_mark_drop(struct index_txn *txn, const struct op *op);

/** Name, number and low id of a mark. False when there is none, or with an error. */
bool index_mark_get(struct index_txn *txn, struct span name, struct index_mark *out);
/** Name and config of a number. False when there is none, or with an error. */
bool index_mark_row(struct index_txn *txn, uint32_t no, struct index_mark *out);
#define ACKED_KEY 20

#endif
