/*
 * The ends of a relay: sources that give messages in batches, sinks that make them durable. One file for each kind: end_stdio.c,
 * end_file.c, end_redis.c, end_weir.c, end_s2.c. Between them: pump.c.
 *
 * One thread. Waiting is done by relay_poll alone, so that a signal ends it.
 */
#ifndef BRIDGE_RELAY_END_H
#define BRIDGE_RELAY_END_H

#include "bridge/io/redis_consumer.h"
#include "bridge/line.h"
#include "bridge/url.h"

struct call;

/** Messages on their way. Payloads and keys lie in `bytes`; spans of `list` are good until the batch is changed. */
struct relay_batch {
    struct ss_message *list;
    size_t count, cap;
    struct buf bytes;
    size_t room;      /**< bytes above which a source stops adding; relay_batch_full. 0: 1 MiB */
    size_t count_max; /**< messages that it may hold, 4096 at most; 0: 4096 */
};
/** Copies a message in. -ENOMEM. */
int relay_batch_add(struct relay_batch *b, const struct ss_message *m);
/** Enough for now. A source never adds to a full batch: what it has in hand waits for the next fill, and its position is before that. */
bool relay_batch_full(const struct relay_batch *b);
void relay_batch_reset(struct relay_batch *b);
void relay_batch_finish(struct relay_batch *b);

enum relay_start { RELAY_END, RELAY_START, RELAY_SEQ, RELAY_TIME };

/** What a source and a sink are told. Texts are borrowed for the relay's life. */
struct relay_options {
    /* reading */
    enum relay_start start;
    uint64_t value;          /**< sequence, or ms */
    bool follow;             /**< else it ends at the end of what exists */
    bool has_until;
    uint64_t until_ms;       /**< the pump ends behind the last message of this time */
    bool strict;             /**< what was bad or refused is reported and skipped as ever, but shows in the exit status */
    enum ss_mode mode;
    enum ss_commit commit;
    bool has_commit;
    const char *group, *member;
    size_t share_index, share_count; /**< takes a message when its sequence modulo count is index; count 0: all */
    uint64_t limit;          /**< messages; 0: none */
    const char *(*rename)[2]; /**< pairs OLD, NEW */
    size_t rename_count;
    size_t keys;             /**< how many the source's URL names; 0: all */
    /* writing */
    const char *key;         /**< of everything written; NULL: each keeps its own */
    bool preserve;           /**< sequence, shard and time go over as they are, as far as the sink can */
    enum ss_line_odd odd;
    uint32_t interval;       /**< B of a new file */
    uint64_t size_limit;
    bool end_mark;
    unsigned shards;         /**< Redis: round robin over so many; 0: none */
    uint64_t max_len;        /**< Redis: trimmed to about so many; 0: not */
    /* servers */
    const char *field;       /**< of Redis entries; NULL: msg */
    const char *ca_file;
    bool insecure;
    bool make_stream;
    const char *cursor;      /**< NULL: nothing is remembered */
};

/** How a position is kept: opaque text of the source, up to RELAY_POSITION_MAX bytes. */
#define RELAY_POSITION_MAX (64 * 1024)

struct relay_source {
    const struct relay_source_ops *ops;
    uint64_t bad;     /**< bad lines, entries that were skipped with a diagnostic */
    uint64_t total, done; /**< bytes, when known: for progress; else 0 */
    bool holds;       /**< after a fill: it has messages in hand that nobody can read again, so a signal waits for them */
};
struct relay_source_ops {
    /**
     * Adds messages until the batch is full or nothing more is there at once; waits up to wait_ms (negative: without end) for the first.
     * 0, also with nothing; ERR_END: nothing will ever come; -EINTR: a signal asked to stop; -EPIPE: the sink's reader went away (both as
     * relay_poll says them). With any of these messages may have been added.
     */
    int (*fill)(struct relay_source *s, struct relay_batch *into, int wait_ms, struct err *err);
    /** Appends the place behind the last message given: text. NULL: a source that cannot be resumed. */
    int (*position)(struct relay_source *s, struct buf *out);
    /** All messages given are durable at the sink: acknowledges them where the source keeps count (groups). NULL: nothing to do. */
    int (*settle)(struct relay_source *s, struct err *err);
    /** Where the source itself can keep a cursor: durable when it returns; and finds it (ERR_NOT_FOUND). NULL: it cannot. */
    int (*keep)(struct relay_source *s, const char *cursor, struct span position, struct err *err);
    int (*kept)(struct relay_source *s, const char *cursor, struct buf *out, struct err *err);
    /** Goes to a position that it gave in another life, before the first fill. ERR_INVALID: it is none of this source. */
    int (*go)(struct relay_source *s, struct span position, struct err *err);
    void (*close)(struct relay_source *s);
};

struct relay_sink {
    const struct relay_sink_ops *ops;
    uint64_t refused; /**< messages that it cannot hold, skipped with a diagnostic */
    bool full;        /**< set by put: more would not fit one record, so it is to be flushed now */
};
struct relay_sink_ops {
    /** Takes all messages of the batch (it may keep copies; not durable yet). */
    int (*put)(struct relay_sink *s, const struct relay_batch *batch, struct err *err);
    /**
     * Everything put is durable (as far as the sink can know) when this returns 0. A sink with `kept` stores cursor and position (cursor NULL: none) in the same
     * record as what was put since the last flush.
     */
    int (*flush)(struct relay_sink *s, const char *cursor, struct span position, struct err *err);
    /** The position stored under the cursor: ERR_NOT_FOUND. NULL: the sink keeps none. */
    int (*kept)(struct relay_sink *s, const char *cursor, struct buf *out, struct err *err);
    /** At a clean end, after the last flush: an end mark and the like. NULL: nothing. */
    int (*end)(struct relay_sink *s, struct err *err);
    /** A descriptor whose reader may go away (stdout), to be watched while waiting; -1 or NULL: none. */
    int (*watch)(struct relay_sink *s);
    void (*close)(struct relay_sink *s);
};

/* Openers. Each kind of URL has its own; `url` is borrowed for the call. ERR_INVALID for options that do not fit, with a text that names them. */
int relay_stdio_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_file_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_redis_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_weir_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_s2_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_stdio_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_file_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_redis_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_weir_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err);
int relay_s2_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err);

/* --- what ends use ---------------------------------------------------------------------------- */

/** Said where a group's options come without its mode. */
#define RELAY_NEEDS_MODE "a group, a member and a commit mode need --mode resumable or --mode balanced"

/** Waits for `events` of fd (fd -1: only time). 1: something is there; 0: time is over; -EINTR: asked to stop; -EPIPE: the sink's reader
 * went away. Negative wait_ms: without end. */
int relay_poll(int fd, short events, int wait_ms);
/** Signals and the sink's descriptor that relay_poll heeds. SIGINT and SIGTERM ask to stop; a second one ends the process. */
int relay_stop_begin(struct err *err);
void relay_stop_watch(int sink_fd);
bool relay_stopped(void);
/** A diagnostic on stderr, "weir relay: TEXT"; wipes the progress line first. */
void relay_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
