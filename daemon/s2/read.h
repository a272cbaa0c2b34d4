/*
 * A read of a stream as its parts see it.
 *
 *   begin -> s2_enter -> query, headers -> s2_look (tail, number) -> read_resolve -> pool: store_seek and a first batch
 *         -> unary: one answer, maybe after waiting; all of it by the pool (read_unary.c)
 *         -> events, session: batches, heartbeats, an end  (read_session.c)
 *
 * Thread rule: the loop thread. While `busy` the pool has `src`, `next`, `step`, `result` and `err`.
 */
#ifndef DAEMON_S2_READ_H
#define DAEMON_S2_READ_H

#include "daemon/feed.h"
#include "daemon/s2/read_piece.h"
#include "daemon/s2/read_source.h"

enum read_how { READ_UNARY, READ_EVENTS, READ_SESSION };

struct s2_read;

struct s2_read {
    struct s2_request s;
    enum read_how how;
    enum read_form form;
    enum coding coding;
    struct read_asked asked;
    struct read_plan plan;
    struct s2_position tail; /**< the newest known */
    uint64_t goal;           /**< the tail when the read began: a read without follow should come that far */
    uint64_t reached;        /**< behind the last record handed out */
    uint32_t topic_no;
    struct read_source src;

    /* one fill, by the loop or the pool */
    struct job job;
    bool busy;
    bool sought;             /**< src.next is set */
    bool live;               /**< the tail was reached once: batches come with it */
    bool making;             /**< others wait for this piece */
    struct read_key key;     /**< of the fill */
    struct read_piece *next; /**< what it brought */
    enum read_step step;
    int result;
    struct err err;
    bool woken;              /**< unary: something came since the fill began */
    bool packed;             /**< unary: the pool compressed the body by `coding` */
    void (*filled)(struct s2_read *r);

    struct follower follower;
    struct read_turn turn;
    struct s2_watch watch;
    bool watched, deleted;
    uv_timer_t timer;
    bool has_timer;
    bool looking;            /**< a look at the tail is under way */
    bool checked;            /**< the stream was still there after all was read */

    /* events and sessions: what is being sent is head, sending, foot */
    struct buf head;
    struct read_piece *sending;
    const char *foot;
    size_t part, at;         /**< which of the three, and how much of it was sent */
    bool ready;              /**< `next` is to be looked at */
    bool by_pool;            /**< the pool made it: the one after it can be made while this is sent */
    bool ending;             /**< nothing comes behind what is being sent */
    bool told_tail;          /**< nothing was handed out since the client was told the tail */
    bool beat_due;
    uint64_t beat_ms, wait_ms; /**< loop time of the next heartbeat, of giving up; 0 = not set yet */
    uint64_t events_count, events_bytes; /**< of the ids of events: since the first of the requests */
    uint64_t minute;         /**< the last one that was counted */
};

/** Fills from memory, on the loop: then next, step and result say what came. READ_DISK: read_fill_later is to go on. */
void read_fill_now(struct s2_read *r);
/** Goes on with the fill, or begins one, in the pool; then r->filled, also when the request is over. */
void read_fill_later(struct s2_read *r, void (*filled)(struct s2_read *r));
/** The code for a fill that failed. */
enum s2_code read_failure(const struct s2_read *r, const char **message);
/** Waits for frames of the stream; `wake` when some may be there. -ENOMEM. */
int read_follow(struct s2_read *r, void (*wake)(struct follower *follower));
/** One more look at the stream, in order with all appends: updates `tail`, or `deleted`; then `looked`, if the request is still
 * there. */
void read_look(struct s2_read *r, void (*looked)(struct s2_read *r));
/** A timer of the read, once. */
void read_timer(struct s2_read *r);
/** What was handed out, for the counts, and for where the read is. */
void read_handed_out(struct s2_read *r, const struct read_batch *batch);

/** The first fill is there. */
void read_unary_filled(struct s2_read *r);
void read_session_filled(struct s2_read *r);
/** The answers that need no fill. */
void read_unary_nothing(struct s2_read *r);
void read_session_nothing(struct s2_read *r);
/** The stream was deleted. */
void read_unary_deleted(struct s2_read *r);
void read_session_deleted(struct s2_read *r);

#endif
