/*
 * Query strings of the routes: which keys there are, and what their values may be.
 */
#ifndef DAEMON_QUERY_H
#define DAEMON_QUERY_H

#include <weir/frame.h>

#include "base/topic.h"

/** The keys. A route names those it takes; others are ignored. */
enum query_key {
    QUERY_FOLLOW = 1 << 0, /**< flag, or milliseconds between pulses (at least 10; 0 = none) */
    QUERY_NEW = 1 << 1,    /**< `new`, or its alias `tail` */
    QUERY_AFTER = 1 << 2,  /**< `after`, or its alias `last-id` */
    QUERY_FROM = 1 << 3,
    QUERY_BEFORE = 1 << 4,
    QUERY_SINCE = 1 << 5,
    QUERY_UNTIL = 1 << 6,
    QUERY_LIMIT = 1 << 7,
    QUERY_LAST = 1 << 8,
    QUERY_TOPIC = 1 << 9,
    QUERY_STREAM = 1 << 10,      /**< an exact topic */
    QUERY_STREAM_FLAG = 1 << 11, /**< `stream` of the routes that take lines: a flag, or `cursors` */
    QUERY_TIMESTAMP = 1 << 12,
    QUERY_SEQ = 1 << 13,
    QUERY_REVERSE = 1 << 14,
    QUERY_COUNT = 1 << 15,
    QUERY_TTL = 1 << 16,
    QUERY_TTL_OLD = 1 << 17, /**< a ttl where head:N is understood, too */
    QUERY_EXPECT_SEQ = 1 << 18,
    QUERY_EXPECT_LAST = 1 << 19,
    QUERY_KEY = 1 << 20,
    QUERY_ALLOW_MISSING = 1 << 21,
    QUERY_TIMEOUT = 1 << 22, /**< `timeout_ms`; 0 = none, as for the limits that follow */
    QUERY_MEMORY = 1 << 23,  /**< bytes, or with K, M or G behind */
    QUERY_CPU = 1 << 24,     /**< `cpu_s` */
    QUERY_PROCESSES = 1 << 25,
    QUERY_CONFINE = 1 << 26, /**< a flag: empty, true, yes, 1, false, no or 0 */
    QUERY_GROUP = 1 << 28,   /**< a group is read; see daemon/groups/group_config.h */
    QUERY_ARG = 1 << 27,     /**< an argument of a program; may be there many times */
    QUERY_AUTHORITY = 1 << 29,
    QUERY_CONTENT = 1 << 30,            /**< `with-content` */
    QUERY_STAMP = UINT64_C(1) << 32,    /**< `with-stamp` */
    QUERY_BRIEF = UINT64_C(1) << 33,    /**< a flag: counts instead of frames */
    QUERY_FROM_SEQ = UINT64_C(1) << 34, /**< a seq of the exact topic */
};

#define QUERY_READ                                                                                 \
    (QUERY_FOLLOW | QUERY_NEW | QUERY_AFTER | QUERY_FROM | QUERY_BEFORE | QUERY_SINCE |            \
     QUERY_UNTIL | QUERY_LIMIT | QUERY_LAST | QUERY_TOPIC | QUERY_STREAM | QUERY_TIMESTAMP |       \
     QUERY_SEQ | QUERY_AUTHORITY | QUERY_REVERSE | QUERY_COUNT | QUERY_STAMP | QUERY_CONTENT | QUERY_FROM_SEQ)
#define QUERY_SHOWN (QUERY_TIMESTAMP | QUERY_SEQ | QUERY_AUTHORITY | QUERY_STAMP | QUERY_CONTENT) /**< what frames are printed with */
#define QUERY_LAST_ROUTE (QUERY_FOLLOW | QUERY_LAST | QUERY_TIMESTAMP | QUERY_SEQ | QUERY_STAMP | QUERY_CONTENT)
#define QUERY_CONDITIONS (QUERY_EXPECT_SEQ | QUERY_EXPECT_LAST | QUERY_KEY)

#define QUERY_RUN                                                                                  \
    (QUERY_TIMEOUT | QUERY_MEMORY | QUERY_CPU | QUERY_PROCESSES | QUERY_CONFINE | QUERY_ARG)

#define QUERY_KEY_MAX 64            /**< bytes of an idempotency key */
#define QUERY_ARGS_MAX (256 * 1024) /**< bytes of all arguments of a program */

/** Values. Those of keys that were not given are zero. */
struct query {
    uint64_t given; /**< keys that were there, flags said off among them */
    bool follow;
    uint64_t pulse_ms; /**< 0 = no pulses */
    bool fresh;        /**< `new` */
    struct frame_id after, from, before;
    uint64_t since_ms, until_ms;
    uint64_t limit, last, from_seq;
    struct pattern_list topics;
    struct buf stream;
    bool lines;   /**< `stream` as a flag */
    bool cursors; /**< stream=cursors */
    bool with_timestamp, with_seq, with_authority, with_stamp, with_content, brief, reverse, count, allow_missing;
    struct ttl ttl;
    uint64_t expect_seq;
    struct frame_id expect_last;
    struct buf key;
    uint64_t timeout_ms, memory, cpu_s, processes;
    bool confine;
    struct buf args; /**< each with a NUL behind */
};

/**
 * Parses a raw query. `keys`: those the route takes; `now_ms`: for moments. ERR_INVALID names key
 * and fault; a key that is there twice (but `arg`) is one. -ENOMEM. On failure nothing needs to be finished.
 */
int query_parse(struct query *out, struct span raw, uint64_t keys, uint64_t now_ms,
                struct err *err);
void query_finish(struct query *query);

/** FRAME_JSON_... of what frames are to be printed with. */
unsigned query_shown(const struct query *query);

/** Lowest and highest id that after, from, before, since and until allow (from wins over after).
 * False: none is allowed. */
bool query_bounds(const struct query *query, struct frame_id *low, struct frame_id *high);

#endif
