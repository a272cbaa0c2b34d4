/*
 * One LMDB transaction that carries its first error: after it every call does nothing, so that a
 * run of calls needs one check at its end. And the form of a stored value.
 *
 * Every value ends in 8 bytes, big-endian: XXH3-64 of the value before them, seeded with the
 * XXH3-64 of the key, which is seeded with the table's number. So it covers table, key and value.
 *
 * Inside a write transaction a span that came from it dies with the next put or del.
 */
#ifndef STORE_INDEX_TXN_H
#define STORE_INDEX_TXN_H

#include <lmdb.h>

#include <weir/err.h>
#include <weir/span.h>

struct index;

/** Tables. The numbers are part of every checksum: never renumber. */
enum index_table {
    TABLE_META = 0,   /**< name -> see store/index.c */
    TABLE_FRAMES = 1, /**< id 16 -> frame record */
    TABLE_TOPICS = 2, /**< topic number 4 -> row, see store/index_topic.c */
    TABLE_NAMES =
        3, /**< first 511 bytes of a name -> topic numbers, 4 each, in byte order of the names */
    TABLE_BY_TOPIC =
        4,         /**< topic number 4, seq 8 -> id 16, S2 timestamp 8, content and meta size 4 */
    TABLE_OLD = 5, /**< topic number 4, id 16 -> nothing: frames without seq */
    TABLE_CONTENT = 6, /**< first 8 bytes of a digest, id 16 -> nothing */
    TABLE_LOOSE = 7,   /**< digest 32 -> time 8, bytes: content that no frame carries */
    TABLE_EXPIRY = 8,  /**< deadline 8, id 16 -> nothing */
    TABLE_KEYS = 9, /**< topic number 4, key -> time 8, request digest 32, first id 16, count 4 */
    TABLE_KEY_AGE = 10, /**< time 8, topic number 4, key -> nothing */
    TABLE_MARKS = 11,   /**< name -> mark number 4, low id 16 */
    TABLE_MARK_ROWS = 12, /**< mark number 4 -> name length 2, name, config */
    TABLE_ACKED = 13,   /**< mark number 4, id 16 -> nothing: acknowledged, above the low id */
    TABLE_PURGE = 14,   /**< topic number 4 -> seq 8: frames below are to be removed; highest = the whole topic */
    TABLES = 15,
};

#define SEAL_SIZE 8       /**< checksum behind every value */
#define INDEX_KEY_MAX 511 /**< LMDB's longest key */
#define INDEX_GROW                                                                                 \
    1 /**< in `rc`: the map is full; abort, grow, begin again. Never leaves the room */

struct index_txn {
    struct index *index;
    MDB_txn *mdb;
    MDB_cursor *cursor[TABLES]; /**< opened at first use */
    int rc;                     /**< the first error, or INDEX_GROW */
    struct err *err;            /**< gets its text; may be NULL */
};

/** The name of a table, for error texts. */
const char *index_table_name(enum index_table table);

/** Begins a write transaction; the result is in txn->rc as well. */
int index_txn_begin(struct index_txn *txn, struct index *index, struct err *err);
/** Closes the cursors and leaves the transaction open: the end of a call that only read. Returns
 * txn->rc. */
int index_txn_finish(struct index_txn *txn);
/** Commits, or aborts when there was an error. Returns txn->rc. */
int index_txn_end(struct index_txn *txn);

/** Notes what LMDB answered; 0 and later errors change nothing. Returns txn->rc. */
int index_txn_note(struct index_txn *txn, int mdb_rc, const char *what);
/** Notes an error of ours; only the first counts. Returns txn->rc. */
int index_txn_fail(struct index_txn *txn, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/** Notes ERR_DAMAGED naming table and key. Returns txn->rc. */
int index_txn_damaged(struct index_txn *txn, enum index_table table, struct span key,
                      const char *what);

/** Looks a key up and checks the seal. False when there is none, or with an error. */
bool index_txn_get(struct index_txn *txn, enum index_table table, struct span key,
                   struct span *value);
/** Whether a key is there; its value is not looked at. */
bool index_txn_has(struct index_txn *txn, enum index_table table, struct span key);
/** Stores value and seal. flags: 0 or MDB_APPEND for a key above all others. */
void index_txn_put(struct index_txn *txn, enum index_table table, struct span key,
                   struct span value, unsigned flags);
/** Removes a key; false when it was not there. */
bool index_txn_del(struct index_txn *txn, enum index_table table, struct span key);

/**
 * The first entry with a key >= `key` that begins with its first `prefix_len` bytes, seal checked.
 * False when there is none, or with an error.
 */
bool index_txn_seek(struct index_txn *txn, enum index_table table, struct span key,
                    size_t prefix_len, struct span *found, struct span *value);
/** The entry with the highest key, seal checked. False when there is none, or with an error. */
bool index_txn_last(struct index_txn *txn, enum index_table table, struct span *found,
                    struct span *value);
/** The entry behind the one found last, same prefix rule; only between reads. */
bool index_txn_next(struct index_txn *txn, enum index_table table, size_t prefix_len,
                    struct span *found, struct span *value);

/** Takes the seal off a raw value. False when it does not fit. */
bool index_unseal(enum index_table table, struct span key, struct span raw, struct span *value);

#endif
