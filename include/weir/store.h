/*
 * The store: one ordered log of frames in a directory, with its journal, tail and index.
 *
 *   append -> writer thread: group, one synced record -> tail (visible) -> done()
 *                                                     -> index thread: LMDB, in bulk
 *   read   <- tail (newest, memory) and index (the rest), joined without gap or repeat
 *
 * What was answered with success is durable and visible to the next read. Ids rise strictly in
 * commit order. Contents above INLINE_MAX lie elsewhere (weir/cas.h): the store keeps their hash.
 */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H

#include <weir/err.h>
#include <weir/frame.h>

struct store;
struct store_workers;
struct pattern_list;

/** The two threads (writer, index) that any number of stores share. */
int store_workers_create(struct store_workers **out, struct err *err);
/** Joins the threads; every store must be closed. Takes NULL. */
void store_workers_destroy(struct store_workers *workers);

struct store_options {
    struct store_workers *workers; /**< needed */
    uint64_t (*now_ms)(void);      /**< wall clock; NULL = the real one. For tests */
    size_t tail_bytes;             /**< tail budget beyond what is not indexed; 0 = 1 MiB */
    size_t unindexed_max;          /**< appends wait above this; 0 = 32 MiB */
    uint64_t segment_start, segment_max; /**< see store/journal.h; 0 = its defaults */
    uint64_t map_size;             /**< see store/index.h; 0 = its default */
    size_t purge_slice;            /**< likewise */
    uint64_t reserve;              /**< bytes of disk kept back, so that removals work when it is full; 0 = none */
    /** Called by the writer thread when something became visible. Must only wake somebody. */
    void (*published)(void *arg);
    /** Called by the index thread: every record up to `number` is in the index. May be NULL. */
    void (*indexed)(void *arg, uint64_t number);
    /** Called by the index thread when no frame names a content any more. May be NULL. */
    void (*freed)(void *arg, const uint8_t digest[static DIGEST_SIZE]);
    void *arg;
};

/**
 * Opens (creates) the store in the directory `path`: lock, format check, replay of the journal into the index.
 * ERR_LOCKED names the owner's pid and how to reach it; ERR_FORMAT for a newer format or a directory that is
 * something else. A damaged journal opens read-only (store_stat says why).
 */
int store_open(struct store **out, const char *path, const struct store_options *options, struct err *err);
/** Lets running operations end, moves the rest into the index, frees. Takes NULL. */
void store_close(struct store *store);
/** The store's directory, for content directory and socket. Borrowed. */
int store_dirfd(const struct store *store);

/* --- changing ------------------------------------------------------------------------------------------ */

/** How a topic's timestamps come about when a stream append does not restore them. */
enum stamp_mode {
    STAMP_PREFER,  /**< the client's, or the time of arrival */
    STAMP_REQUIRE, /**< the client's; none is ERR_INVALID */
    STAMP_ARRIVAL, /**< the time of arrival, whatever the client says */
};

/** What the store itself obeys of a topic's settings. Zeroed: those of a topic that another dialect's append made. */
struct topic_rules {
    uint64_t retention_ms; /**< stream appends get ttl time:this; 0 = forever */
    enum stamp_mode stamp_mode;
    bool uncapped;           /**< client timestamps may lie ahead of the clock */
    uint64_t empty_after_ms; /**< kept for the owner, who deletes empty topics; 0 = never */
};

#define TOPIC_NOTE_MAX 2048 /**< bytes of the owner's own note on a topic, opaque to the store */
#define TOKEN_MAX 36        /**< bytes of a fencing token */

/** A topic as it is. Spans live as long as what gave it says. */
struct store_topic {
    struct span name;
    uint32_t no;         /**< its number: another life of the same name has another one */
    uint64_t created_ms; /**< of the record that made it */
    struct topic_rules rules;
    struct span note;    /**< the owner's; len 0 = nobody ever said anything */
    uint64_t revision;   /**< rises with each change of rules or note; 0 = made by an append */
    uint64_t next_seq;   /**< the tail */
    uint64_t last_stamp; /**< timestamp of the newest record; 0 when there never was one */
    uint64_t trim;       /**< frames with a lower seq are gone, by trim or by last:N */
    uint64_t first_seq;  /**< no live frame has a lower seq; next_seq when none is left */
    uint64_t live;       /**< frames, with and without seq */
    uint64_t bytes;      /**< stored, of live frames. May lag by what is not in the index yet */
    struct frame_id last_id;
    struct span token;   /**< the fencing token; len 0 = none */
};

/** What STORE_TOPIC does. */
enum topic_deed {
    TOPIC_LOOK,   /**< nothing but look; ERR_NOT_FOUND. With `make`: makes it when it is not there */
    TOPIC_CREATE, /**< makes it; ERR_CONFLICT when it is there (the view is filled) */
    TOPIC_PUT,    /**< makes it, or replaces rules and note; nothing is written when they are equal */
    TOPIC_CHANGE, /**< replaces rules and note; ERR_NOT_FOUND; ERR_CONDITION when has_expect_seq and the REVISION is not expect_seq;
                       actual_seq is the revision then */
    TOPIC_DROP,   /**< the topic and all its frames are gone, its name is free, its next life begins at seq 0. ERR_NOT_FOUND;
                       ERR_CONDITION with only_empty when a frame is live, or when has_expect_seq and the next seq is not expect_seq */
};

/** What a new topic gets. */
struct topic_make {
    struct topic_rules rules;
    struct span note;
};

/** STORE_TOPIC's part of an operation. */
struct store_topic_op {
    enum topic_deed deed;
    struct span name;
    const struct topic_make *make; /**< CREATE, PUT, CHANGE: needed. LOOK: may be NULL */
    bool only_empty;               /**< DROP */
    struct store_topic view;       /**< out, also with ERR_CONFLICT and ERR_CONDITION: as it is then (DROP: as it was). The spans
                                        point into `room`; the name borrows from `name` */
    uint8_t room[TOPIC_NOTE_MAX + TOKEN_MAX];
    bool made, changed;            /**< out */
};

/** What a frame tells the store to do, in a stream append. */
enum store_command {
    COMMAND_NONE,
    COMMAND_FENCE, /**< content (up to TOKEN_MAX bytes) is the topic's token from the next operation on */
    COMMAND_TRIM,  /**< content is 8 bytes, big-endian: the first seq to keep, at most the frame's own + 1. Never moves back */
    COMMAND_PLAIN, /**< import: it was one; nothing is done */
};

enum store_op_kind {
    STORE_APPEND,  /**< frames, all or nothing */
    STORE_IMPORT,  /**< frames with their ids, all or nothing; answered once they are in the index */
    STORE_REMOVE,  /**< frames by id; 0 also when absent (found says whether any was there) */
    STORE_CONTENT, /**< a small content without frame: `content`, `digest` */
    STORE_TOPIC,   /**< a topic's own row: `topic`. Judged in order with appends, so what it sees is what all before it made, and
                        durable when it is answered. Reading alone costs no sync */
};

/** One frame of an operation. Spans must live until done. */
struct store_frame {
    struct span topic;
    struct span meta; /**< minified JSON; len 0 = null */
    struct ttl ttl;
    bool has_hash;
    bool has_content; /**< content <= INLINE_MAX travels along; else it is a blob elsewhere */
    uint8_t digest[DIGEST_SIZE];
    uint64_t content_size;
    struct span content;
    struct frame_id id; /**< import: its id. Else out */
    bool has_seq;       /**< import: restore this seq. Else out: a seq was given */
    uint64_t seq;
    bool has_stamp;     /**< import of our own dump: restore this S2 timestamp and deadline. Append: the client's timestamp, which
                             goes by the topic's rules */
    enum store_command command; /**< not NONE: an S2 command record */
    uint64_t stamp;     /**< also out of an append: the one it got */
    uint64_t deadline_ms;
    struct span origin; /**< who appended through a program's address; len 0 = none */
    bool existed;       /**< out, import: the same frame was there already */
    bool gone;          /**< out, import: not kept, its topic's newest frame has last:N */
};

/** What an operation does to a mark: a durable cursor, a reader's place kept in the store under a name. */
enum store_mark_kind {
    STORE_MARK_ACK,  /**< moves `low` forward and adds `acked`; makes the mark when it is new */
    STORE_MARK_SET,  /**< makes or replaces the whole mark: config, `low` (also backwards), `acked` */
    STORE_MARK_DROP, /**< forgets it; no error when there is none */
};

struct store_mark {
    enum store_mark_kind kind;
    struct span name;             /**< 1 to MARK_NAME_MAX bytes */
    struct frame_id low;          /**< everything up to here is done. ACK: a lower one than known is ignored */
    const struct frame_id *acked; /**< frames above `low` that are done as well; those at or below `low` are forgotten */
    size_t acked_count;           /**< at most MARK_ACKED_MAX */
    struct span config;           /**< SET: the owner's, opaque to the store, up to MARK_CONFIG_MAX bytes. ACK: not used */
};

#define MARK_NAME_MAX 400
#define MARK_CONFIG_MAX (64 * 1024)
#define MARK_ACKED_MAX 10000

/**
 * Operations of which each is applied only if all before it were: when one is refused, those handed over behind it are refused unseen
 * (ERR_UNAVAILABLE). Zeroed first; the owner's memory, which must stay until the last of them is done.
 */
struct store_chain {
    bool broken; /**< the writer's */
};

struct store_op {
    enum store_op_kind kind;
    enum authority authority;
    bool urgent; /**< APPEND: may use the room kept back for a full disk, as removals may. For small ones that make room */
    struct store_frame *frames;
    size_t count;
    /** APPEND, IMPORT: marks that change in the same record as the frames are stored in, all or nothing. `count` may then be 0.
     * Acks of one mark within a group collapse into one. Not applied when the op is refused or `repeated`. */
    struct store_mark *marks;
    size_t mark_count;
    /** IMPORT: topics as our own dump has them, made or made so behind the frames. Number, newest id and what counts frames are not looked at;
     * a tail, a last timestamp and a trim point never move back, and a trim point that would take a frame is left out. `count` may then be 0. */
    const struct store_topic *topics;
    size_t topic_count;
    /** APPEND: all frames are of one topic and go by that topic's rules: retention for ttl (each frame's ttl is then out), timestamps,
     * commands. The topic must be there (ERR_NOT_FOUND) unless `make` says how to make it. Contents up to RECORD_CONTENT_MAX and
     * metas up to RECORD_META_MAX travel along. Its view after the operation is in topic->view when `topic` is set (deed is not looked at). */
    bool stream;
    const struct topic_make *make;
    struct store_topic_op *topic; /**< TOPIC: needed. Stream APPEND: may be NULL */
    struct frame_id id;          /**< REMOVE: one frame, or */
    const struct frame_id *ids;  /**< REMOVE: `count` frames in one record; NULL for the one above */
    struct span content;         /**< CONTENT */
    uint8_t digest[DIGEST_SIZE]; /**< CONTENT */

    bool has_expect_seq; /**< condition: the next seq of the first frame's topic */
    uint64_t expect_seq;
    bool has_expect_token; /**< condition, looked at first: the topic's fencing token ("" = none) */
    struct span expect_token;
    bool has_expect_last; /**< condition: newest stored id of the store (ID_MIN: empty) */
    struct frame_id expect_last;
    struct span key; /**< idempotency key, 1-64 bytes, per topic of the first frame; len 0 = none */

    struct store_chain *chain; /**< NULL = it stands alone */
    /** Stream APPEND: asked by the writer thread before the conditions, with the topic as it is or as `make` would make it, without its counts.
     * Not 0: refused with that; may set op->err. Must be quick. The view and its spans live for the call. NULL: nobody is asked. */
    int (*admit)(struct store_op *op, const struct store_topic *topic);

    /** Called once, on a store thread, when the outcome is durable. The op is the caller's again from then on. */
    void (*done)(struct store_op *op);
    void *owner; /**< the caller's */

    int result; /**< out: 0 or code; with ERR_CONDITION actual_* are set */
    bool fenced; /**< out: it was the token; actual_token is the one in force */
    char actual_token[TOKEN_MAX + 1];
    struct err err;
    bool repeated; /**< the key was known with the same request: ids are the first answer's */
    bool found;    /**< REMOVE: the frame was there */
    uint64_t actual_seq;
    struct frame_id actual_last;
    uint64_t number; /**< record of the group it was judged in; 0 when that wrote nothing */
    struct store_op *next; /**< the store's, while it has the op */
};

/** Hands an operation over. Never blocks; any thread. `done` may run before it returns. */
void store_submit(struct store *store, struct store_op *op);
/** Submits and waits (op->done and op->owner are overwritten). Returns op->result. For tests and start-up. */
int store_run(struct store *store, struct store_op *op);

/* --- reading ------------------------------------------------------------------------------------------- */

/** What to read. Zeroed: everything, ascending, history only. */
struct store_query {
    const struct pattern_list *topics; /**< NULL: all. Copied */
    struct span stream;                /**< exact topic by name; len 0 = none. Wins over topics */
    struct frame_id from;              /**< lowest id, inclusive */
    struct frame_id until;             /**< highest id, inclusive; zero = none */
    bool reverse;
    bool has_limit;
    uint64_t limit; /**< frames, history and live together */
    bool has_last;
    uint64_t last; /**< the newest so many (within from and until), ascending */
    bool follow;   /**< go on with live frames */
    bool skip_history; /**< only frames appended after the cursor was opened */
    bool stored_only;  /**< only frames with a seq: neither ephemeral ones nor those imported below their topic's newest */
    bool want_lines;   /**< the reader copies rendered lines (struct store_item); worth it where several read the same */
};

struct store_cursor;

enum store_step {
    STORE_MORE = 0,      /**< frames were given (or time was up); call again */
    STORE_THRESHOLD = 1, /**< history is complete; what follows is live. Once, only with follow */
    STORE_IDLE = 2,      /**< nothing new; wait for `published` */
    STORE_DISK = 3,      /**< the next part is not in memory: call with may_block from another thread */
    STORE_DONE = 4,      /**< the read is complete */
};

/** One frame handed out. Spans live for the call. */
struct store_item {
    const struct frame *frame;
    struct span line; /**< the frame as a JSON line with newline, when it was rendered already; else len 0 */
};

/** Takes a frame; returns bytes it produced (counted against the slice) or a negative code that ends the slice. */
typedef long (*store_sink)(void *arg, const struct store_item *item);

/** Opens a cursor: fixes the end of history. Holds no lock, snapshot or memory of the tail between reads. Any thread. */
int store_cursor_open(struct store_cursor **out, struct store *store, const struct store_query *query, struct err *err);
void store_cursor_close(struct store_cursor *cursor);
/**
 * Reads a slice: until `budget` bytes were produced, about a millisecond passed, or a step ends. Without
 * may_block never touches the disk (STORE_DISK instead). Frames may have been given whatever step comes
 * back. ERR_DAMAGED: one frame could not be read; it is skipped by the next call. One thread at a time.
 */
int store_cursor_read(struct store_cursor *cursor, size_t budget, bool may_block, store_sink sink, void *arg,
                      enum store_step *step, struct err *err);
/** The id up to which everything was looked at: a safe bound to resume after. */
struct frame_id store_cursor_position(const struct store_cursor *cursor);
/** Ephemeral frames, of any topic, that left memory before this reader came to them, since the last call. */
uint64_t store_cursor_lost(struct store_cursor *cursor);

/** An id for a synthetic frame (threshold, pulse) of a reader at this cursor: not below what it was given, below
 * everything it was not given yet. Any thread. */
struct frame_id store_synthetic_id(struct store *store, const struct store_cursor *cursor);

/** One frame by id. May block on the disk. ERR_NOT_FOUND also when expired or removed. Spans live for the call of sink. */
int store_get(struct store *store, struct frame_id id, store_sink sink, void *arg, struct err *err);

/** Where a content is. */
enum store_place { STORE_INLINE, STORE_BLOB };
/**
 * Finds a content named by a live frame, or loose. Inline: appends its bytes to `out` (a struct buf). May block.
 * ERR_NOT_FOUND (a blob may still lie in the content directory, posted and not named yet).
 */
struct buf;
int store_content(struct store *store, const uint8_t digest[static DIGEST_SIZE], enum store_place *place, struct buf *out,
                  struct err *err);
/**
 * Whether a live frame names a content, or it is loose. `counts` (NULL = all do) says which frames count, ephemeral ones
 * among them; called under a lock, any thread. 0; ERR_NOT_FOUND. May block.
 */
int store_names(struct store *store, const uint8_t digest[static DIGEST_SIZE], bool (*counts)(void *arg, const struct frame *frame),
                void *arg, struct err *err);
/** The same, but a content that is only loose is not found. */
int store_shows(struct store *store, const uint8_t digest[static DIGEST_SIZE], bool (*counts)(void *arg, const struct frame *frame),
                void *arg, struct err *err);

/** Every topic with its counts, in byte order of names. each: 0 = go on. May block. Topics not in the index yet are flushed first. */
int store_topics(struct store *store, int (*each)(void *arg, struct span name, uint64_t live, uint64_t next_seq), void *arg,
                 struct err *err);

/**
 * Topics in byte order of their names: those that start with `prefix` and come after `after` (len 0 = from the first on), what was
 * answered included. each: 0 = go on; another value ends and is returned. The view and its spans live for the call. May block.
 */
int store_topic_list(struct store *store, struct span prefix, struct span after,
                     int (*each)(void *arg, const struct store_topic *topic), void *arg, struct err *err);

enum store_seek { SEEK_SEQ, SEEK_STAMP };
/**
 * The id from which on a read of the topic number `no` finds its frames with a seq, or a timestamp, of at least `value`: that of
 * the first such live frame, else one above everything visible now, so that a cursor that follows from there misses none. 0 in
 * both cases. May block.
 */
int store_seek(struct store *store, uint32_t no, enum store_seek by, uint64_t value, struct frame_id *out, struct err *err);

/** A mark as it is kept. Spans and ids live for the call. */
struct store_mark_view {
    struct span name, config;
    struct frame_id low;
    const struct frame_id *acked; /**< ascending, all above low */
    size_t acked_count;
    struct frame_id newest; /**< highest id ever stored when the mark was so: what came with it lies up to here */
};
/** Marks whose name starts with `prefix`, in byte order of names, what was answered included (flushes first). each: 0 = go
 * on; another value ends and is returned. May block. */
int store_marks(struct store *store, struct span prefix, int (*each)(void *arg, const struct store_mark_view *mark), void *arg,
                struct err *err);
/** One mark by its whole name: calls `take` once. ERR_NOT_FOUND. May block. */
int store_mark(struct store *store, struct span name, int (*take)(void *arg, const struct store_mark_view *mark), void *arg,
               struct err *err);

/**
 * A hold: ephemeral frames with an id from `from` on stay in memory, with their contents, while it is held, as long as the tail
 * is below 32 MiB. An import does not wait: it empties the tail, held or not, and cursors count what they lost.
 * The owner's memory; zeroed first, and not held any more when the store is closed.
 */
struct store_hold {
    struct frame_id from;
    struct store_hold *prev, *next;
};
/** Any thread. Frames that left memory before do not come back. One that is held already moves to `from`. */
void store_hold(struct store *store, struct store_hold *hold, struct frame_id from);
/** Takes one that is not held. Any thread. Frees nothing itself: the index thread does. */
void store_unhold(struct store *store, struct store_hold *hold);

struct store_stat {
    uint8_t uuid[16];
    unsigned format;
    uint64_t frames, topics, bytes;
    uint64_t journal_first, journal_last, journal_segments, journal_bytes;
    uint64_t index_last, index_bytes;
    uint64_t tail_bytes, tail_frames;
    uint64_t appended, groups, syncs; /**< since open: frames, records */
    bool read_only;
    char reason[ERR_TEXT_SIZE]; /**< why, when read_only */
    struct frame_id newest;     /**< newest visible id */
};
/** May block shortly. */
int store_stat(struct store *store, struct store_stat *out, struct err *err);

/** Waits until everything published so far is in the index. For tests, backup and close. */
int store_flush(struct store *store, struct err *err);
/** Drops loose contents and keys past their age. For a daily timer; blocks. */
int store_sweep(struct store *store, uint64_t loose_age_ms, struct err *err);

/* --- a store that nobody serves ---------------------------------------------------------------------------- */

/**
 * Checks every checksum and cross reference of index and journal; calls fault for each that is broken. `checked` counts
 * what was looked at. Returns 0 when the check could be made, whatever it found. ERR_LOCKED while a daemon has it.
 */
int store_verify(const char *path, void (*fault)(void *arg, const char *text), void *arg, uint64_t *checked,
                 struct err *err);

/** What a repair did. */
struct store_repair {
    bool damaged;        /**< there was something to repair */
    uint64_t kept;       /**< last record kept */
    uint64_t next_good;  /**< first readable record that was set aside; 0 = none */
};

/**
 * Keeps what is good before the damage in the journal and moves the rest into journal/damaged/. Nothing is deleted.
 * Changes nothing without damage. ERR_LOCKED while a daemon has it.
 */
int store_repair(const char *path, struct store_repair *out, struct err *err);

#endif
