/*
 * SeaStreamer's messages as entries of Redis streams: commands to send, replies read. No I/O; hiredis is the codec of the wire.
 */
#ifndef BRIDGE_REDIS_H
#define BRIDGE_REDIS_H

#include "bridge/message.h"

struct redisReader;
struct redisReply;

#define REDIS_FIELD "msg"          /**< field of an entry that holds the payload, unless another is wished */
#define REDIS_TIME_MAX ((UINT64_C(1) << 48) - 1) /**< ms part of an entry's id */

/** An entry's id: "MS-N". */
struct redis_id {
    uint64_t ms, n;
};
#define REDIS_ID_TEXT 42
/** Writes "MS-N" and a NUL; returns the length. */
size_t redis_id_format(char out[static REDIS_ID_TEXT], struct redis_id id);
/** "MS-N" or "MS". ERR_INVALID. */
int redis_id_parse(struct span text, struct redis_id *out);
/** Sequence of an entry: MS * 65536 + N. ERR_RANGE for N > 65535 or MS >= 2^48. */
int redis_id_to_seq(struct redis_id id, uint64_t *seq, struct err *err);
struct redis_id redis_id_of_seq(uint64_t seq);

/** Appends "KEY" or "KEY:SHARD" to `out`. */
int redis_name(struct buf *out, struct span key, bool sharded, uint64_t shard);
/** Splits what a scan for KEY:* found. False when the tail is no decimal number. */
bool redis_name_split(struct span name, struct span key, uint64_t *shard);
/** Appends the pattern of a scan for KEY:*, characters of the key taken as they are. -ENOMEM. */
int redis_pattern(struct buf *out, struct span key);

/** Appends a command of `count` words to `out` in the wire's form. -ENOMEM. */
int redis_command(struct buf *out, const struct span *words, size_t count);

/** A reader of a server's bytes: hiredis' own, which refuses arrays of absurd sizes before it makes room for them. NULL without memory;
 * redisReaderFree. */
struct redisReader *redis_reader_new(void);
/** The text of a string or status; else empty. */
struct span redis_text(const struct redisReply *reply);
/** What every reply of a command is tested with first: 0, or, for an error reply, as redis_refused. `what` says who was asked for what. */
int redis_check(const struct redisReply *reply, struct err *err, const char *what);
/**
 * The code for an error reply, with its text behind "WHAT: ": ERR_AUTH (NOAUTH, WRONGPASS), ERR_FORBIDDEN (NOPERM), ERR_FULL (OOM),
 * ERR_UNAVAILABLE (LOADING and others that pass), ERR_CONFLICT (BUSYGROUP), ERR_NOT_FOUND (NOGROUP), else ERR_REMOTE. A cluster's
 * refusals are said in plain words.
 */
int redis_refused(const struct redisReply *reply, struct err *err, const char *what);

/** Entry `i` of a reply of XREAD or XREADGROUP: a stream's name and its list. ERR_FORMAT. */
int redis_stream_at(const struct redisReply *reply, size_t i, struct span *name, const struct redisReply **list, struct err *err);
/** Id of the last entry of a list that has one; `*out` stays when there is none. ERR_FORMAT. */
int redis_entries_last(const struct redisReply *list, struct redis_id *out, struct err *err);

/**
 * Reads entries of a reply of XREAD, XREADGROUP, XRANGE or XCLAIM: a message for each field of that name. Entries without it are passed
 * over, and so are entries that were deleted meanwhile. Spans live as long as the reply.
 */
struct redis_entries {
    struct span field; /**< exact, case-sensitive */
    struct span key;   /**< of the messages */
    uint64_t shard;
    /** 0 = go on; positive: stop behind this entry; negative: an error. */
    int (*each)(void *arg, const struct ss_message *m, struct redis_id id);
    /** An entry is through, whether it gave a message or not; may be NULL. 0 or an error. */
    int (*done)(void *arg, struct redis_id id);
    void *arg;
    size_t next;               /**< in and out: where in the list it goes on */
    uint64_t entries, skipped; /**< out: entries read; those of them that have no such field */
};
/**
 * `list`: the array of entries. 0 at its end, 1 when `each` stopped it and entries are left; ERR_FORMAT for what is no such list, ERR_RANGE
 * for a message whose id has no sequence (the text names it), what `each` or `done` returned. After an error `next` stands at that entry.
 */
int redis_entries_read(struct redis_entries *e, const struct redisReply *list, struct err *err);

#endif
