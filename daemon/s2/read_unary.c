/*
 * A read with one answer: what is there now, or the first batch that comes within `wait`.
 */
#include "daemon/s2/read.h"

#include <stddef.h>

#include "base/text.h"

static void go_on(struct s2_read *r);

static const char *type_of(const struct s2_read *r)
{
    return r->form == READ_PROTO ? "application/protobuf" : "application/json";
}

static void stop_waiting(struct s2_read *r)
{
    r->follower.waiting = false;
    if (r->has_timer)
        uv_timer_stop(&r->timer);
}

static void answer(struct s2_read *r)
{
    stop_waiting(r);
    const struct http_field packed[] = {{"Content-Encoding", coding_name(r->coding)}, {NULL, NULL}};
    read_handed_out(r, &r->next->batch);
    exchange_reply(&r->s.x, 200, type_of(r), buf_span(&r->next->batch.bytes), r->packed ? packed : NULL);
}

static void fail(struct s2_read *r)
{
    const char *message;
    stop_waiting(r);
    if (!exchange_open(&r->s.x))
        return;
    enum s2_code code = read_failure(r, &message);
    s2_fail(&r->s, code == S2_UNAVAILABLE ? S2_STREAM_NOT_FOUND : code, "%s", message);
}

/* Everything was read, and it was less than expected. */
static void checked(struct s2_read *r)
{
    r->checked = true;
    if (r->deleted)
        fail(r);
    else
        answer(r);
}

/* --- waiting ------------------------------------------------------------------------------------------------- */

static void wake(struct follower *follower)
{
    struct s2_read *r = (struct s2_read *)((char *)follower - offsetof(struct s2_read, follower));
    r->woken = true;
    if (exchange_open(&r->s.x) && !r->busy && !r->looking)
        go_on(r);
}

/* The batch without records is the answer. */
static void time_up(uv_timer_t *timer)
{
    struct s2_read *r = timer->data;
    if (!exchange_open(&r->s.x))
        return;
    if (r->busy || r->looking || r->step == READ_AGAIN)
        r->plan.follow = false; /* what is found now is the answer, also nothing */
    else
        answer(r);
}

static void start_waiting(struct s2_read *r)
{
    read_timer(r);
    uv_timer_start(&r->timer, time_up, r->plan.wait_ms, 0);
    r->live = true;
    if (read_follow(r, wake) < 0)
        s2_fail(&r->s, S2_OTHER, "no memory for the follower");
    else
        feed_later(r->s.x.site->feed, &r->follower); /* something may have come meanwhile */
}

static void wait_on(struct s2_read *r)
{
    if (feed_ending(r->s.x.site->feed)) {
        stop_waiting(r);
        s2_fail(&r->s, S2_UNAVAILABLE, "the store is closing");
    } else if (!r->has_timer) {
        start_waiting(r);
    } else if (r->woken) {
        go_on(r);
    } else {
        read_source_rest(&r->src);
    }
}

/* An empty batch was ended; the next fill begins a new one. */
static void again(struct s2_read *r)
{
    read_piece_drop(r->next);
    r->next = NULL;
}

/* Fewer records than there were when the read began: holes at the end, or the stream is gone. */
static bool fell_short(const struct s2_read *r)
{
    const struct read_batch *batch = &r->next->batch;
    uint64_t come = batch->count > 0 ? batch->last.seq_num + 1 : r->reached;
    return r->step == READ_LAST && !r->checked && come < r->goal;
}

static void settle(struct s2_read *r)
{
    bool some = r->result == 0 && r->next->batch.count > 0;
    if (r->result < 0 || r->deleted)
        fail(r);
    else if (r->step == READ_AGAIN)
        feed_later(r->s.x.site->feed, &r->follower);
    else if (!some && r->step == READ_LAST && r->plan.follow)
        wait_on(r);
    else if (fell_short(r))
        read_look(r, checked);
    else
        answer(r);
}

static void filled(struct s2_read *r)
{
    if (exchange_open(&r->s.x))
        settle(r);
}

static void go_on(struct s2_read *r)
{
    if (r->next && r->step != READ_AGAIN)
        again(r);
    r->woken = false;
    r->follower.waiting = true; /* from before the pool looks, so that nothing falls between */
    read_fill_later(r, filled);
}

/* --- what read.c calls --------------------------------------------------------------------------------------- */

void read_unary_filled(struct s2_read *r)
{
    settle(r);
}

void read_unary_nothing(struct s2_read *r)
{
    r->next = read_piece_create(r->form, r->coding);
    if (r->next && read_batch_end(&r->next->batch, NULL, false) == 0)
        answer(r);
    else
        s2_fail(&r->s, S2_OTHER, "no memory for the answer");
}

void read_unary_deleted(struct s2_read *r)
{
    if (!r->busy && !r->looking)
        fail(r);
}
