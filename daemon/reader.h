/*
 * A read as an answer: frames from a cursor into the answer's bytes, history and live.
 */
#ifndef DAEMON_READER_H
#define DAEMON_READER_H

#include "daemon/exchange.h"
#include "daemon/feed.h"
#include "daemon/frame_content.h"

struct reader {
    struct exchange x;
    struct store_cursor *cursor;
    struct follower follower;
    unsigned flags; /**< FRAME_JSON_... */
    struct frame_content content; /**< with FRAME_JSON_CONTENT: of a frame whose record does not hold it */
    bool wanting;                 /**< the slice ended since it has to be fetched */
    uint64_t least_seq; /**< frames of lower seqs are passed over */
    bool sse;       /**< events, else lines */
    bool follow;
    bool object;    /**< the one frame without newline, 404 when there is none */
    bool need_some; /**< 404 when there is none */

    struct buf out; /**< being sent, from `sent` on */
    size_t sent;
    struct buf next; /**< filled by the pool meanwhile */
    bool next_ready;
    bool busy; /**< a job has the cursor and `next` */
    struct job job;
    enum store_step step; /**< of the last read */
    int result;           /**< 0, or why the read ended */
    struct err err;
    struct err damage; /**< of a frame passed over, to be logged */
    bool done;
    bool started; /**< the answer has begun */
    uv_timer_t timer;
    bool has_timer, pulse_due;
};

/** Begins the answer to a read of `query`; x->req is there. Errors as store_cursor_open. */
int reader_start(struct reader *r, const struct store_query *query, struct err *err);
/** As of struct route. */
void reader_gone(struct exchange *x);
void reader_finish(struct exchange *x);

#endif
