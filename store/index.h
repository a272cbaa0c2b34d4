/*
 * The index: everything stored, in LMDB. The only files that say mdb_* are store/index*.c.
 *
 * It lags behind the log by what the tail holds. Records are moved in whole, in order, in fully
 * synced transactions that also store the number of the last record moved, so that a snapshot knows
 * exactly which records it holds.
 *
 * Invariants:
 *  1. Every stored value ends in an XXH3-64 over table, key and value; lengths are checked before
 *     use. What does not fit is ERR_DAMAGED, naming table and key (for a frame: its id).
 *  2. A frame in `frames` has exactly one entry in `by_topic` (with seq) or `old` (without), one
 *     pair in `content` if it has a hash, one entry in `expiry` if it has a deadline; and is
 *     counted in its topic's row.
 *  3. A mark's name leads to its number and the number's row back to the name; an entry of `acked`
 *     has the number of a mark and an id above its low id.
 *  4. What a trim or a drop took and a move did not remove at once is named by an entry of `purge`, and no read shows it; index_purge
 *     removes it bit by bit. A topic's row counts what is still there.
 *  5. A snapshot or transaction lives shortly: no socket, no other lock is waited for inside it. A
 *     thread has at most one snapshot, and none in index_move: growing the map waits until all have
 *     ended, and new ones wait for it.
 *
 * Thread rule: index_move by one thread at a time; snapshots by any thread, each used by the thread
 * that began it.
 */
#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <weir/frame.h>
#include <weir/store.h>

#include "base/buf.h"

struct index;
struct index_snap;

#define INDEX_FORMAT 3 /**< format version of the tables, kept in the table `meta` */

struct index_options {
    uint64_t map_size; /**< bytes of address space to start with; 0 = 1 GiB. Grows by doubling */
    size_t purge_slice; /**< frames that index_purge removes at once, and four times as many a move; 0 = 1000 */
    uint8_t uuid[16];  /**< stored at creation, compared later (ERR_FORMAT when another) */
};

/** Opens (creates, 0700/0600) the directory `name` below dirfd. One of an older format becomes this
 * one. ERR_FORMAT when made by a newer weir. */
int index_open(struct index **out, int dirfd, const char *name, const struct index_options *options,
               struct err *err);
/** No snapshot may be left. Takes NULL. */
void index_close(struct index *index);

/* --- moving records in (index thread) -------------------------------------------------------- */

/** One record of the log. */
struct index_record {
    uint64_t number;
    struct span bytes; /**< operations, see store/record.h */
};

/**
 * Applies records (dense, the first being the last moved plus 1; older ones are skipped) in one
 * synced transaction. All or nothing. Grows the map as needed. `freed` (may be NULL) gets the
 * 32-byte digests of contents whose last frame went away, one after the other. ERR_FULL: no room on
 * disk, try again later; ERR_DAMAGED; ERR_UNAVAILABLE after a failed sync or meta write (LMDB
 * panic): nothing more will be moved.
 */
int index_move(struct index *index, const struct index_record *records, size_t count,
               struct buf *freed, struct err *err);

/**
 * Removes some of what trims and drops left behind, purge_slice frames, in one synced transaction. `more`: whether something is
 * left. For the index thread, between moves. `freed` and errors as index_move.
 */
int index_purge(struct index *index, bool *more, struct buf *freed, struct err *err);
/** Whether the last move or purge left something. Any thread; costs nothing. */
bool index_has_purges(const struct index *index);

/**
 * Drops what is older than before_ms: loose contents (OP_CONTENT) that no frame names, and
 * idempotency keys beyond the newest million. For a daily sweep with now - 24 h, by the index
 * thread. `dropped` counts both. Errors as index_move.
 */
int index_sweep(struct index *index, uint64_t before_ms, uint64_t *dropped, struct err *err);

/* --- snapshots ------------------------------------------------------------------------------- */

/** Opens a read transaction. Heals a full reader table once. */
int index_snap_begin(struct index *index, struct index_snap **out, struct err *err);
/** Every span that came from the snapshot dies here. Takes NULL. */
void index_snap_end(struct index_snap *snap);
/** Number of the last record this snapshot holds; 0 = none. */
uint64_t index_snap_number(const struct index_snap *snap);

struct index_totals {
    uint64_t frames;
    uint64_t topics;        /**< topics with a row, also those without live frames */
    uint64_t topic_last;    /**< highest topic number given */
    uint64_t bytes;         /**< stored frame records, live */
    uint64_t disk;          /**< bytes of the data file in use */
    struct frame_id newest; /**< highest id ever indexed (also removed ones); ID_MIN when none */
    uint64_t purges;        /**< topics of which something is still to be removed */
};
int index_totals(struct index_snap *snap, struct index_totals *out, struct err *err);

/** A frame by id; spans into the snapshot. ERR_NOT_FOUND, ERR_DAMAGED. Expired frames are still
 * found. */
int index_frame(struct index_snap *snap, struct frame_id id, struct frame *out, struct err *err);

/**
 * Frames by id. Ascending from the first id >= `from`, or descending from the last id <= `from`.
 * A damaged frame makes next answer ERR_DAMAGED once; the following call goes on behind it.
 */
struct index_scan;
int index_scan_begin(struct index_snap *snap, struct index_scan **out, struct frame_id from,
                     bool reverse, struct err *err);
int index_scan_next(struct index_scan *scan, struct frame *out, struct err *err); /**< ERR_END */
/** The same one frame at a time, also those that trims and drops took and no purge has removed yet (`hidden`), so that the caller may
 * stop among them. */
int index_scan_step(struct index_scan *scan, struct frame *out, bool *hidden, struct err *err);
void index_scan_end(struct index_scan *scan);

/** As above, the frames of one topic (by_topic and old merged by id). An unknown topic has none. */
int index_topic_scan_begin(struct index_snap *snap, struct index_scan **out, uint32_t topic_no,
                           struct frame_id from, bool reverse, struct err *err);

/** A frame's place in its topic. */
struct index_place {
    uint64_t seq, stamp;
    struct frame_id id;
};
/** The places of a topic's frames with a seq >= from_seq, ascending, their records not looked at. each: 0 = go on; another value ends and
 * is returned. */
int index_places(struct index_snap *snap, uint32_t topic_no, uint64_t from_seq, int (*each)(void *arg, const struct index_place *place),
                 void *arg, struct err *err);
/** The lowest seq from which on all frames of the topic have a timestamp of at least `stamp`; the next seq when none has. */
int index_seq_of_stamp(struct index_snap *snap, uint32_t topic_no, uint64_t stamp, uint64_t *out, struct err *err);

/** Frames of a topic by seq >= from_seq, ascending (by_topic only). */
int index_seq_scan_begin(struct index_snap *snap, struct index_scan **out, uint32_t topic_no,
                         uint64_t from_seq, struct err *err);

/** A topic's row. name: span into the snapshot. */
struct index_topic {
    uint32_t no;
    struct span name;
    uint64_t next_seq;
    uint64_t live;           /**< frames with and without seq */
    uint64_t live_seq;       /**< frames with seq */
    uint64_t first_seq;      /**< the lowest live seq; next_seq when there is none */
    struct frame_id last_id; /**< highest id appended or imported, also when removed since */
    uint64_t last_stamp;
    uint64_t bytes;
    uint64_t created_ms, revision;
    uint64_t trim; /**< frames with a lower seq were trimmed or cut */
    struct topic_rules rules;
    struct span note, token;
    bool dead;     /**< dropped, and not removed whole yet: never given out by a snapshot */
    bool uncounted; /**< live, live_seq and bytes count frames that a trim took */
};
int index_topic_by_name(struct index_snap *snap, struct span name, struct index_topic *out,
                        struct err *err);
int index_topic_by_no(struct index_snap *snap, uint32_t no, struct index_topic *out,
                      struct err *err);
/** Topics whose name starts with prefix and comes behind `after`, in byte order of names (all with the empty prefix, from the first on
 * with an empty `after`). each: 0 = go on. */
int index_topics(struct index_snap *snap, struct span prefix, struct span after,
                 int (*each)(void *arg, const struct index_topic *topic), void *arg,
                 struct err *err);

/** Where a content is. */
struct index_content {
    bool has_bytes; /**< it lies in a frame's record or loose: `bytes` into the snapshot */
    struct span bytes;
    bool is_loose; /**< it lies loose too: it is there whatever becomes of the frame */
    bool is_blob; /**< a frame names it and its bytes are in the content directory */
    uint64_t size;
    struct frame_id id; /**< a frame that names it; ID_MIN for loose content */
};
/** Finds a content by its whole hash. ERR_NOT_FOUND when no frame names it and it is not loose. */
int index_content(struct index_snap *snap, const uint8_t digest[static DIGEST_SIZE],
                  struct index_content *out, struct err *err);
/** Frames that name a content, oldest first. each: 0 = go on. */
int index_content_frames(struct index_snap *snap, const uint8_t digest[static DIGEST_SIZE],
                         int (*each)(void *arg, struct frame_id id), void *arg, struct err *err);

/** An idempotency key. ERR_NOT_FOUND. */
struct index_key {
    uint8_t digest[DIGEST_SIZE]; /**< of the request that took it */
    uint64_t time_ms;
    struct frame_id first;
    uint32_t count;
};
int index_key(struct index_snap *snap, uint32_t topic_no, struct span key, struct index_key *out,
              struct err *err);

/** A mark. Spans and ids live for the call that gets it. */
struct index_mark {
    uint32_t no;
    struct span name, config;
    struct frame_id low;
    const struct frame_id *acked; /**< ascending, all above low */
    size_t acked_count;
};
/** Marks whose name starts with prefix, in byte order of names. each: 0 = go on. */
int index_marks(struct index_snap *snap, struct span prefix,
                int (*each)(void *arg, const struct index_mark *mark), void *arg, struct err *err);
/** The mark of that very name: what `take` says. ERR_NOT_FOUND. */
int index_mark(struct index_snap *snap, struct span name,
               int (*take)(void *arg, const struct index_mark *mark), void *arg, struct err *err);

/**
 * Ids whose deadline is <= now_ms, oldest deadline first, up to `room`. `next_ms` gets the deadline
 * behind them (0 = none).
 */
int index_expired(struct index_snap *snap, uint64_t now_ms, struct frame_id *ids, size_t room,
                  size_t *count, uint64_t *next_ms, struct err *err);

/**
 * Checks invariants 1 to 4 over everything; calls fault for each that is broken (a text naming
 * it). For `weird --verify`.
 */
int index_verify(struct index *index, void (*fault)(void *arg, const char *text), void *arg,
                 uint64_t *checked, struct err *err);

#endif
