/*
 * A SeaStreamer consumer of Redis streams: its modes, shards, commits, fail-over. Blocking; one thread at a time.
 */
#ifndef BRIDGE_IO_REDIS_CONSUMER_H
#define BRIDGE_IO_REDIS_CONSUMER_H

#include "bridge/io/redis_conn.h"

enum ss_mode { SS_REALTIME, SS_RESUMABLE, SS_BALANCED };
enum ss_commit {
    SS_COMMIT_DELAYED,   /**< acknowledged by itself, 5 s after reading */
    SS_COMMIT_IMMEDIATE, /**< NOACK: done when read */
    SS_COMMIT_ROLLING,   /**< by redis_consumer_ack; sent once a second at most */
    SS_COMMIT_DISABLED,  /**< by redis_consumer_ack and redis_consumer_commit */
};

struct redis_consumer_options {
    enum ss_mode mode;
    enum ss_commit commit;
    const char *group, *member;  /**< NULL: made up (HOST:r; HOST:s and HOST:PID:THREAD:NANOS) */
    bool from_start;             /**< else from the end; of a group that is there its place counts */
    bool has_after;              /**< instead: behind this entry */
    struct redis_id after;
    bool make_stream;            /**< MKSTREAM */
    const char *field;           /**< NULL: "msg" */
    unsigned batch;              /**< COUNT; 0: 100, of BALANCED 10 */
    unsigned claim_every_ms, claim_idle_ms; /**< 0: 30 000 and 60 000 */
    unsigned delay_ms;           /**< of DELAYED; 0: 5000 */
    bool careful;                /**< DELAYED: acknowledged when redis_consumer_ack was called, too */
    bool ends;                   /**< does not follow: see redis_consumer_at_end */
    unsigned retry_ms;           /**< how long a server that went away is tried again; 0: 30 000 */
    void (*note)(const char *text); /**< told once that it went away; may be NULL */
};

struct redis_consumer;

/**
 * `keys`: names without shards; shards are looked for once. Texts are copied. ERR_NOT_FOUND: a group's stream is missing without
 * make_stream; as redis_conn_open, the first connection is tried once.
 */
int redis_consumer_open(struct redis_consumer **out, const struct ss_redis_node *node, const struct redis_options *connect,
                        char *const *keys, size_t key_count, const struct redis_consumer_options *options, struct err *err);
/**
 * Calls `each` for what comes, waiting up to wait_ms for the first (negative: without end). `each` may give a positive number: what is left of
 * the answer is given by the next calls. 0, also when nothing came; what `each` returned when negative; ERR_RANGE; -EINTR of the
 * options' wait; when the server stays away the last error. Comes back after one answer of the server. Does what is due meanwhile:
 * acks, claims, connecting again.
 */
int redis_consumer_read(struct redis_consumer *c, int wait_ms, int (*each)(void *arg, const struct ss_message *m, struct redis_id id), void *arg,
                        struct err *err);
/** Gives out what the server counts as done with: the rest of an answer and what is on its way, with IMMEDIATE; else nothing. No
 * redis_consumer_read comes after it. */
int redis_consumer_stop(struct redis_consumer *c, int (*each)(void *arg, const struct ss_message *m, struct redis_id id), void *arg,
                        struct err *err);
/** More is there for sure: an answer is not given out yet, or the last one was full. */
bool redis_consumer_behind(const struct redis_consumer *c);
/** To poll after a call of read gave nothing; -1: it is not connected. And for how long at most, in ms: then something is due. */
int redis_consumer_fd(const struct redis_consumer *c);
int redis_consumer_due(const struct redis_consumer *c);
/** Everything given out so far is done with (ROLLING, DISABLED). */
int redis_consumer_ack(struct redis_consumer *c, struct err *err);
/** Sends acks that are due or, with `all`, all. */
int redis_consumer_commit(struct redis_consumer *c, bool all, struct err *err);
/**
 * REALTIME: every stream's place as text "KEY[:SHARD]=MS-N,..."; and back, before the first read: a stream that the text does not name
 * begins at its start. ERR_INVALID: no such text, or of other streams.
 */
int redis_consumer_place(const struct redis_consumer *c, struct buf *out);
int redis_consumer_go(struct redis_consumer *c, struct span place, struct err *err);
/** Seek to a time (messages strictly later than its millisecond), or behind the entry of a sequence. REALTIME; else ERR_INVALID. */
int redis_consumer_seek(struct redis_consumer *c, bool by_time, uint64_t value, struct err *err);
/** With `ends`: whether every stream was read up to where it ended when the consumer was opened. */
bool redis_consumer_at_end(const struct redis_consumer *c);
/** Entries that gave no message. */
uint64_t redis_consumer_skipped(const struct redis_consumer *c);
/** Sends acks that are owed, closes. The error is that of the acks. Takes NULL. */
int redis_consumer_close(struct redis_consumer *c, struct err *err);

#endif
