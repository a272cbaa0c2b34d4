/*
 * What a read of a stream asks for, and what comes of it against the stream's tail. Pure: no I/O.
 *
 * Start: at most one of seq_num, timestamp, tail_offset; none is tail_offset 0. End: count, bytes, until, wait.
 * Thread rule: any.
 */
#ifndef DAEMON_S2_READ_PLAN_H
#define DAEMON_S2_READ_PLAN_H

#include "base/s2/record.h"

/** The query as it stands. */
struct read_asked {
    bool has_seq, has_stamp, has_offset, clamp;
    uint64_t seq, stamp, offset;
    bool has_count, has_bytes, has_until;
    uint64_t count, bytes, until; /**< bytes are metered; until is exclusive */
    bool has_wait;
    uint64_t wait_s; /**< 0 = does not wait; a session that says so ends at the tail, though nothing else limits it */
};

/** Two starts, or one that is not before the end. ERR_INVALID (422). */
int read_check(const struct read_asked *asked, struct err *err);

/** Where an event stream was, as its ids say: the last seq_num, records and metered bytes since its first request. */
struct read_place {
    uint64_t seq, count, bytes;
};
/** "SEQ,COUNT,BYTES". ERR_INVALID. */
int read_place_parse(struct read_place *out, struct span text);
/** The rest of the read, from behind that place. */
void read_resume(struct read_asked *asked, const struct read_place *place);

/** What is left of a read. */
struct read_limits {
    uint64_t count, bytes; /**< UINT64_MAX = as many as there are */
    bool has_until;
    uint64_t until;
};

/** What a batch may hold, whatever the read asks for. Its first record it may always. */
struct read_caps {
    size_t count;
    uint64_t bytes;
};

enum read_fit {
    READ_FITS,
    READ_NEXT_BATCH, /**< the caps are reached */
    READ_OVER,       /**< the read's own limits are: it ends before this record */
};
/** Whether a record goes into a batch that holds `count` records and `bytes` metered bytes, all taken off the limits already. */
enum read_fit read_fit(const struct read_limits *limits, const struct read_caps *caps, size_t count, uint64_t bytes, uint64_t stamp,
                       uint64_t metered);
void read_took(struct read_limits *limits, uint64_t count, uint64_t bytes);
/** Nothing more can come. */
bool read_spent(const struct read_limits *limits);
/** Any limit at all. */
bool read_limited(const struct read_limits *limits);

enum read_begin {
    READ_NOTHING,      /**< 200 without records: a limit of 0 */
    READ_OUT_OF_RANGE, /**< 416 with the tail */
    READ_FROM_SEQ,     /**< from the first live record with a seq_num of at least `from` */
    READ_FROM_STAMP,   /**< from the first with such a timestamp; where there is none, from the tail (416 without follow) */
};

struct read_plan {
    enum read_begin begin;
    uint64_t from;
    bool follow;      /**< goes on with what is appended later */
    bool has_wait;    /**< ends when nothing came for wait_ms */
    uint64_t wait_ms;
    struct read_limits limits;
};

#define READ_WAIT_MAX_S 60 /**< of a unary read */

/** Against the durable tail; asked passed read_check. */
struct read_plan read_resolve(const struct read_asked *asked, const struct s2_position *tail, bool unary);

#endif
