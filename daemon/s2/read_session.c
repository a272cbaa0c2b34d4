/*
 * Reads that go on: server-sent events and S2S sessions. Catching up in batches, then live, with heartbeats, until a limit is
 * reached, `wait` is over, or an end comes.
 *
 * The transport pulls: while it does not, nothing is read but the one batch that the pool makes ahead, so a client that does not
 * take what it asked for holds back only itself. At the tail the read waits for its topic and holds nothing but its place.
 */
#include "daemon/s2/read.h"

#include <sodium.h>
#include <stddef.h>

#include "base/s2/frame.h"
#include "base/text.h"

#define BEAT_MIN_MS 5000 /* of silence, then a heartbeat */
#define BEAT_MAX_MS 14000
#define KEEP_IDLE 4096

/* --- what is being sent -------------------------------------------------------------------------------------- */

enum { PART_HEAD, PART_BATCH, PART_FOOT, PARTS };

static struct span part_of(const struct s2_read *r, size_t part)
{
    if (part == PART_HEAD)
        return buf_span(&r->head);
    if (part == PART_BATCH)
        return r->sending ? buf_span(&r->sending->batch.bytes) : (struct span){0};
    return span_str(r->foot);
}

static size_t send_some(struct s2_read *r, uint8_t *into, size_t room)
{
    size_t done = 0;
    while (r->part < PARTS) {
        struct span part = part_of(r, r->part);
        size_t left = part.len - r->at, n = left < room - done ? left : room - done;
        if (n > 0)
            memcpy(into + done, part.ptr + r->at, n);
        done += n;
        r->at += n;
        if (r->at < part.len)
            return done;
        r->part++;
        r->at = 0;
    }
    return done;
}

static void sent(struct s2_read *r)
{
    read_piece_drop(r->sending);
    r->sending = NULL;
    r->foot = NULL;
    if (r->head.cap > KEEP_IDLE)
        buf_finish(&r->head);
    buf_reset(&r->head);
}

/* --- ends ---------------------------------------------------------------------------------------------------- */

static void end_well(struct s2_read *r)
{
    r->ending = true;
    if (r->how == READ_EVENTS)
        r->foot = r->sending ? READ_EVENT_END READ_EVENT_DONE : READ_EVENT_DONE;
}

/* An end with its reason, which the client can act on. 1: it is to be sent; HTTP_ABORT. */
static long end_badly(struct s2_read *r, enum s2_code code, const char *message)
{
    CLEAN_BUF json = BUF_INIT;
    r->ending = true;
    int rc = s2_error_put(&json, code, message);
    if (rc == 0)
        rc = r->how == READ_EVENTS ? read_event_error(&r->head, buf_span(&json))
                                   : s2s_put_terminal(&r->head, (unsigned)s2_status(code), buf_span(&json));
    return rc < 0 ? HTTP_ABORT : 1;
}

static long fail(struct s2_read *r)
{
    const char *message;
    enum s2_code code = read_failure(r, &message);
    return end_badly(r, code, message);
}

/* --- time ---------------------------------------------------------------------------------------------------- */

static uint64_t now_ms(const struct s2_read *r)
{
    return uv_now(r->s.x.daemon->loop);
}

static uint64_t later(uint64_t now, uint64_t ms)
{
    return ms > UINT64_MAX - now ? UINT64_MAX : now + ms;
}

static void put_off(struct s2_read *r, bool wait_too)
{
    r->beat_ms = now_ms(r) + BEAT_MIN_MS + randombytes_uniform(BEAT_MAX_MS - BEAT_MIN_MS);
    if (wait_too)
        r->wait_ms = later(now_ms(r), r->plan.wait_ms);
}

static bool gave_up(const struct s2_read *r)
{
    return r->plan.has_wait && r->live && now_ms(r) >= r->wait_ms;
}

static void looked(struct s2_read *r)
{
    r->beat_due = true;
    exchange_wake(&r->s.x);
}

/* The timer may be early, since batches put off what it waits for; at rest it is set anew. */
static void tick(uv_timer_t *timer)
{
    struct s2_read *r = timer->data;
    if (!r->s.x.req || !r->follower.waiting || r->looking)
        return;
    if (now_ms(r) >= r->beat_ms && !gave_up(r))
        read_look(r, looked);
    else
        exchange_wake(&r->s.x);
}

static void set_timer(struct s2_read *r)
{
    uint64_t now = now_ms(r), due = r->beat_ms;
    if (r->plan.has_wait && r->wait_ms < due)
        due = r->wait_ms;
    read_timer(r);
    if (!uv_is_active((uv_handle_t *)&r->timer))
        uv_timer_start(&r->timer, tick, due > now ? due - now : 0, 0);
}

/* --- at the tail --------------------------------------------------------------------------------------------- */

static long beat(struct s2_read *r)
{
    struct read_batch none = {.form = r->form, .coding = CODING_NONE};
    int rc;
    if (r->how == READ_EVENTS) {
        rc = read_event_ping(&r->head, time_now_ms(), &r->tail);
    } else {
        rc = read_batch_end(&none, &r->tail, feed_ending(r->s.x.site->feed));
        if (rc == 0)
            rc = buf_add_span(&r->head, buf_span(&none.bytes));
        read_batch_finish(&none);
    }
    r->told_tail = true;
    r->beat_due = false;
    put_off(r, false);
    return rc < 0 ? HTTP_ABORT : 1;
}

/* Everything was handed out. 1: something is to be sent about that. */
static long rest(struct s2_read *r)
{
    if (feed_ending(r->s.x.site->feed))
        return end_badly(r, S2_UNAVAILABLE, "the store is closing: come again");
    if (!r->live)
        put_off(r, true);
    r->live = true;
    if (gave_up(r)) {
        end_well(r);
        return 1;
    }
    if (!r->told_tail || r->beat_due)
        return beat(r);
    read_source_rest(&r->src);
    r->follower.waiting = true;
    set_timer(r);
    return HTTP_WAIT;
}

static void checked(struct s2_read *r)
{
    r->checked = true;
    r->ready = true;
    exchange_wake(&r->s.x);
}

/* Everything that was there was read. A stream that is gone must not look like its end. */
static long all_read(struct s2_read *r)
{
    if (r->plan.follow)
        return rest(r);
    if (!r->checked && r->reached < r->goal) {
        read_look(r, checked);
        return HTTP_WAIT;
    }
    end_well(r);
    return 1;
}

/* --- from a fill to what is sent ----------------------------------------------------------------------------- */

static void filled(struct s2_read *r);

static int hand_out(struct s2_read *r)
{
    struct read_piece *piece = r->next;
    const struct read_batch *batch = &piece->batch;
    int rc = 0;
    r->next = NULL;
    r->sending = piece;
    if (r->how == READ_EVENTS) {
        r->events_count += batch->count;
        r->events_bytes += batch->metered;
        r->foot = READ_EVENT_END;
        rc = read_event_batch(&r->head, batch->last.seq_num, r->events_count, r->events_bytes);
    } else if (piece->refs == 1 && feed_ending(r->s.x.site->feed)) {
        piece->batch.bytes.ptr[3] |= READ_RECONNECT;
    }
    r->told_tail = piece->told_tail;
    r->beat_due = false;
    put_off(r, true);
    read_handed_out(r, batch);
    return rc;
}

static bool may_read(struct s2_read *r)
{
    return grant_allows(r->s.x.grant, AUTH_READ, r->s.basin_name, buf_span(&r->s.stream));
}

/* Nothing was found. */
static long none_found(struct s2_read *r)
{
    read_piece_drop(r->next);
    r->next = NULL;
    if (r->step == READ_LAST)
        return all_read(r);
    if (r->step == READ_ENDED) {
        end_well(r);
        return 1;
    }
    feed_later(r->s.x.site->feed, &r->follower);
    return HTTP_WAIT;
}

/* What a fill came to. 1: there is something to send. */
static long settle(struct s2_read *r)
{
    r->ready = false;
    if (r->deleted || r->result < 0)
        return fail(r);
    if (!may_read(r))
        return end_badly(r, S2_AUTHN, "the access token does not hold any more");
    if (!r->next || r->next->batch.count == 0)
        return none_found(r);
    enum read_step step = r->step;
    if (hand_out(r) < 0)
        return HTTP_ABORT;
    if (step == READ_ENDED)
        end_well(r);
    else if (step == READ_CUT && r->by_pool && !feed_ending(r->s.x.site->feed))
        read_fill_later(r, filled); /* the next one is made while this one is sent */
    return 1;
}

/* --- fills --------------------------------------------------------------------------------------------------- */

/* Whether others may want the same bytes: of live followers with no end in sight. */
static bool shares(const struct s2_read *r)
{
    return r->live && !r->src.sealed && !r->next && !read_limited(&r->src.limits);
}

static void share(struct s2_read *r)
{
    bool whole = r->result == 0 && r->next && r->next->batch.count > 0 && (r->step == READ_LAST || r->step == READ_CUT);
    if (whole)
        read_pieces_share(&r->key, r->next);
    if (r->making)
        read_pieces_made(&r->key);
    r->making = false;
}

static void filled(struct s2_read *r)
{
    if (r->making)
        share(r);
    r->ready = r->by_pool = true;
    exchange_wake(&r->s.x);
}

static void turn_came(struct read_turn *turn)
{
    struct s2_read *r = (struct s2_read *)((char *)turn - offsetof(struct s2_read, turn));
    exchange_wake(&r->s.x);
}

/* Another follower's piece. 1: taken; 0: there is none; HTTP_WAIT: it is being made. */
static long borrow(struct s2_read *r)
{
    struct read_piece *piece = read_pieces_find(&r->key);
    if (piece) {
        r->next = piece;
        read_source_move(&r->src, piece->end);
        r->step = piece->cut ? READ_CUT : READ_LAST;
        r->result = 0;
        return 1;
    }
    r->turn.ready = turn_came;
    return read_pieces_wait(&r->key, &r->turn) ? HTTP_WAIT : 0;
}

/* Reads what comes next. 1: `next`, `step` and `result` are there. */
static long gather(struct s2_read *r)
{
    bool common = shares(r);
    r->key = (struct read_key){r->s.x.site, r->topic_no, r->src.topic.created_ms, r->src.next, r->form, r->coding};
    long rc = common ? borrow(r) : 0;
    r->by_pool = false;
    if (rc != 0)
        return rc;
    read_fill_now(r);
    if (r->result == 0 && r->step == READ_DISK) {
        r->making = common && read_pieces_make(&r->key);
        read_fill_later(r, filled);
        return HTTP_WAIT;
    }
    if (common)
        share(r);
    return 1;
}

/* 1: there is something to send. Else what the transport is to be told. */
static long next_bytes(struct s2_read *r)
{
    if (r->ending)
        return 0;
    if (r->busy || r->looking || read_turn_waits(&r->turn))
        return HTTP_WAIT;
    if (!r->ready && !r->live && feed_ending(r->s.x.site->feed))
        return end_badly(r, S2_UNAVAILABLE, "the store is closing: come again");
    r->follower.waiting = false;
    long rc = r->ready || r->deleted ? 1 : gather(r);
    return rc == 1 ? settle(r) : rc;
}

static long read_bytes(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct s2_read *r = http_state(req);
    (void)arg;
    for (;;) {
        size_t n = send_some(r, into, room);
        if (n > 0)
            return (long)n;
        sent(r);
        long rc = next_bytes(r);
        if (rc != 1)
            return rc;
        r->part = r->at = 0;
    }
}

/* --- the begin ----------------------------------------------------------------------------------------------- */

static void wake(struct follower *follower)
{
    struct s2_read *r = (struct s2_read *)((char *)follower - offsetof(struct s2_read, follower));
    exchange_wake(&r->s.x);
}

static void start(struct s2_read *r)
{
    s2_stream(&r->s, r->how == READ_EVENTS ? "text/event-stream" : "s2s/proto", read_bytes);
}

/* The client is told why, instead of being cut off. */
static void token_over(struct auth_watch *watch)
{
    struct s2_read *r = (struct s2_read *)((char *)watch - offsetof(struct s2_read, s.x.watch));
    exchange_wake(&r->s.x);
}

/* Errors that are known before the first byte are plain answers. */
void read_session_filled(struct s2_read *r)
{
    const char *message;
    if (r->deleted || r->result < 0) {
        enum s2_code code = read_failure(r, &message);
        s2_fail(&r->s, code == S2_UNAVAILABLE ? S2_STREAM_NOT_FOUND : code, "%s", message);
        return;
    }
    r->follower.wake = wake;
    if (r->plan.follow && read_follow(r, wake) < 0) {
        s2_fail(&r->s, S2_OTHER, "no memory for the follower");
        return;
    }
    r->ready = r->by_pool = true;
    r->part = PARTS; /* nothing is to be sent yet */
    r->s.x.watch.ended = token_over;
    start(r);
}

void read_session_nothing(struct s2_read *r)
{
    end_well(r);
    start(r);
}

void read_session_deleted(struct s2_read *r)
{
    exchange_wake(&r->s.x);
}
