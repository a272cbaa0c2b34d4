/* Append sessions: batches in flight, their acks, and what to do when the connection goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/s2/proto.h"
#include "base/text.h"
#include "client/s2/backoff.h"
#include "client/s2/records.h"
#include "client/s2/request.h"
#include "client/s2/session.h"

#define INFLIGHT_BYTES ((uint64_t)5 * 1024 * 1024)

/* A batch without an ack. */
struct entry {
    struct entry *next;
    struct buf message; /* AppendInput */
    uint64_t ticket, metered;
    bool has_match;
    uint64_t after;  /* match_seq_num behind it */
    uint64_t offset; /* of its frame in the session's body */
    bool placed;     /* handed to the session there is */
    bool doubtful;   /* handed to an earlier one, and nobody said what became of it */
};

struct answered {
    uint64_t ticket;
    struct s2_ack ack;
};

struct weir_s2_appender {
    const struct weir_s2 *s2;
    char *basin, *stream;
    struct buf path;
    struct weir_s2_appender_options limits;
    struct s2c_session session;
    struct s2c_backoff backoff;
    struct entry *first, *last;
    struct entry *fresh; /* the first that is not placed */
    size_t batches;
    uint64_t bytes, tickets;
    uint64_t placed_bytes; /* of frames, given to this session */
    uint64_t heard_us;     /* last ack, or when the oldest batch was placed */
    uint64_t retry_us;     /* no connection before */
    struct answered *acks; /* ring */
    size_t ack_at, ack_count, ack_cap;
    bool spoiled;
    struct weir_s2_err why;
};

/* --- the queue ----------------------------------------------------------------------------------
 */

static void push(struct weir_s2_appender *a, struct entry *e)
{
    if (a->last)
        a->last->next = e;
    else
        a->first = e;
    a->last = e;
    if (!a->fresh)
        a->fresh = e;
    a->batches++;
    a->bytes += e->metered;
}

static void pop(struct weir_s2_appender *a)
{
    struct entry *e = a->first;
    a->first = e->next;
    if (!a->first)
        a->last = NULL;
    if (a->fresh == e)
        a->fresh = e->next;
    a->batches--;
    a->bytes -= e->metered;
    buf_finish(&e->message);
    free(e);
}

/* The i-th ack that waits, or the place for one behind the last. */
static struct answered *ack_slot(const struct weir_s2_appender *a, size_t i)
{
    size_t at = a->ack_at + i;
    return &a->acks[at < a->ack_cap ? at : at - a->ack_cap];
}

static bool more_acks(struct weir_s2_appender *a)
{
    size_t cap = a->ack_cap ? a->ack_cap * 2 : 64;
    struct answered *acks = calloc(cap, sizeof(*acks));
    if (!acks)
        return false;
    for (size_t i = 0; i < a->ack_count; i++)
        acks[i] = *ack_slot(a, i);
    free(a->acks);
    a->acks = acks;
    a->ack_at = 0;
    a->ack_cap = cap;
    return true;
}

static int spoil(struct weir_s2_appender *a, const struct weir_s2_err *why)
{
    a->spoiled = true;
    a->why = *why;
    s2c_session_drop(&a->session);
    return a->why.err.code;
}

static int acked(struct weir_s2_appender *a, const struct s2_ack *ack)
{
    struct weir_s2_err why;
    if (!a->first || !a->first->placed) {
        s2c_fail(&why, WEIR_S2_TRANSPORT, ERR_REMOTE, "an ack came for nothing");
        why.retryable = false;
        return spoil(a, &why);
    }
    if (a->ack_count >= a->ack_cap && !more_acks(a)) {
        s2c_no_memory(&why);
        return spoil(a, &why);
    }
    *ack_slot(a, a->ack_count++) = (struct answered){a->first->ticket, *ack};
    pop(a);
    a->backoff.failed = 0;
    a->heard_us = time_mono_us();
    return 0;
}

/* --- when the connection goes --------------------------------------------------------------------
 */

/* The handle may be in use by another thread: lookups go over a connection of their own. */
static int look_up(struct weir_s2_appender *a, struct span message, struct s2_ack *ack,
                   struct weir_s2_err *err)
{
    struct weir_s2 own = *a->s2;
    own.kept = (struct s2c_kept){0};
    int rc = s2c_find_input(&own, (struct weir_s2_stream){a->basin, a->stream}, message, ack, err);
    s2c_conn_close(own.kept.conn);
    s2c_place_finish(&own.kept.place);
    return rc;
}

/* A mismatch for a batch that was sent before: what of it and its followers is in the stream has
 * its ack now. */
static int settle(struct weir_s2_appender *a, const struct weir_s2_err *why)
{
    struct weir_s2_err err;
    bool any = false;
    while (a->first && a->first->doubtful && a->first->has_match &&
           a->first->after <= why->seq_num) {
        struct s2_ack ack = {0};
        int rc = look_up(a, buf_span(&a->first->message), &ack, &err);
        if (rc < 0) {
            s2c_fail(&err, WEIR_S2_UNKNOWN_OUTCOME, ERR_UNKNOWN,
                     "it is not known whether a batch was appended: %s",
                     weir_s2_code_name(err.what));
            return spoil(a, &err);
        }
        if (rc == 0)
            return spoil(a, why);
        a->first->placed = true;
        rc = acked(a, &ack);
        if (rc != 0)
            return rc;
        any = true;
    }
    return any ? 0 : spoil(a, why);
}

/* What was handed over and is not certainly without effect is in doubt from now on. False: it may
 * not be sent again. */
static bool may_repeat(struct weir_s2_appender *a, const struct weir_s2_err *why)
{
    bool may = true;
    for (struct entry *e = a->first; e; e = e->next) {
        if (e->placed && e->offset < a->session.flow.sent && !why->no_effect)
            e->doubtful = true;
        if (e->doubtful && !e->has_match && a->s2->set.retry == WEIR_S2_RETRY_CERTAIN)
            may = false;
        e->placed = false;
    }
    a->fresh = a->first;
    a->placed_bytes = 0;
    return may;
}

/* The session failed. 0: it will be tried again; otherwise it is spoiled. */
static int lost(struct weir_s2_appender *a, const struct weir_s2_err *why)
{
    struct weir_s2_err unknown;
    uint64_t wait_us;
    bool settled = why->what == WEIR_S2_SEQ_NUM_MISMATCH && a->first && a->first->doubtful;
    bool may = may_repeat(a, why);
    s2c_session_drop(&a->session);
    a->retry_us = 0;
    if (settled)
        return settle(a, why);
    if (!why->retryable)
        return spoil(a, why);
    if (!may) {
        s2c_fail(&unknown, WEIR_S2_UNKNOWN_OUTCOME, ERR_UNKNOWN,
                 "batches without an ack may or may not be appended: %.160s", why->err.text);
        return spoil(a, &unknown);
    }
    if (!s2c_backoff_next(&a->backoff, &a->s2->set, why->retry_after_ms, &wait_us))
        return spoil(a, why);
    a->retry_us = time_mono_us() + wait_us;
    return 0;
}

/* --- turning
 * -------------------------------------------------------------------------------------- */

static int take_message(struct weir_s2_appender *a, struct span message)
{
    struct err bad = ERR_INIT;
    struct weir_s2_err why;
    struct s2_ack ack;
    if (s2_proto_read_ack(&ack, message, &bad) == 0)
        return acked(a, &ack);
    s2c_fail(&why, WEIR_S2_TRANSPORT, ERR_REMOTE, "an ack: %s", bad.text);
    return spoil(a, &why);
}

/* Takes what came. 0, or spoiled. Afterwards there may be no connection. */
static int take_all(struct weir_s2_appender *a)
{
    struct weir_s2_err why;
    struct span message;
    while (a->session.conn) {
        int rc = s2c_session_next(&a->session, &message, &why);
        if (rc == 0)
            break;
        if (rc == ERR_END)
            s2c_fail(&why, WEIR_S2_TRANSPORT, ERR_CUT, "the server ended the session");
        rc = rc == 1 ? take_message(a, message) : lost(a, &why);
        if (rc != 0)
            return rc;
    }
    if (a->session.reconnect && a->session.conn && (!a->first || !a->first->placed))
        s2c_session_drop(&a->session);
    return 0;
}

static int connect_now(struct weir_s2_appender *a, uint64_t deadline)
{
    struct weir_s2_err why;
    uint64_t now = time_mono_us();
    if (now < a->retry_us) {
        s2c_backoff_sleep((a->retry_us < deadline ? a->retry_us
                           : deadline > now       ? deadline
                                                  : now) -
                          now);
        if (time_mono_us() < a->retry_us)
            return 0;
    }
    int rc = s2c_session_open(&a->session, a->s2, a->basin, "POST", buf_span(&a->path), &why);
    if (rc != 0)
        return lost(a, &why);
    return 0;
}

static int place(struct weir_s2_appender *a)
{
    struct weir_s2_err why;
    if (a->fresh && a->fresh == a->first)
        a->heard_us = time_mono_us();
    for (; a->fresh && !a->session.reconnect; a->fresh = a->fresh->next) {
        struct entry *e = a->fresh;
        e->offset = a->session.flow.sent + s2c_flow_waiting(&a->session.flow);
        if (s2c_session_send(&a->session, buf_span(&e->message), a->s2->set.coding) != 0) {
            s2c_no_memory(&why);
            return spoil(a, &why);
        }
        e->placed = true;
    }
    return 0;
}

/* When the oldest batch has waited too long for its ack, or the session for its answer. */
static uint64_t patience(const struct weir_s2_appender *a)
{
    if (!a->first || !a->first->placed)
        return UINT64_MAX;
    uint64_t ack = a->heard_us + a->s2->set.ack_ms * UINT64_C(1000);
    uint64_t head = a->session.opened_us + a->s2->set.request_ms * UINT64_C(1000);
    return !a->session.flow.head && head < ack ? head : ack;
}

/* One go at it. 0 or spoiled. */
static int turn(struct weir_s2_appender *a, uint64_t deadline)
{
    struct weir_s2_err why;
    int rc = 0;
    if (a->spoiled)
        return a->why.err.code;
    if (a->session.conn &&
        a->fresh == a->first) { /* it idled: the server may have gone meanwhile */
        s2c_session_turn(&a->session, 0);
        rc = take_all(a);
    }
    if (rc == 0 && a->first && !a->session.conn)
        rc = connect_now(a, deadline);
    if (rc != 0 || !a->session.conn)
        return rc;
    rc = place(a);
    if (rc != 0)
        return rc;
    uint64_t end = patience(a);
    int moved = s2c_session_turn(&a->session, end < deadline ? end : deadline);
    rc = take_all(a);
    if (rc == 0 && moved == 0 && a->session.conn && time_mono_us() >= patience(a)) {
        s2c_fail(&why, WEIR_S2_TIMEOUT, -ETIMEDOUT, "no ack in time");
        rc = lost(a, &why);
    }
    return rc;
}

static uint64_t deadline_of(int wait_ms)
{
    return wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
}

static int say(const struct weir_s2_appender *a, struct weir_s2_err *err)
{
    return s2c_fail_again(err, &a->why);
}

/* --- the calls
 * ------------------------------------------------------------------------------------ */

int weir_s2_appender_open(struct weir_s2_appender **out, struct weir_s2 *s2,
                          struct weir_s2_stream to, const struct weir_s2_appender_options *options,
                          struct weir_s2_err *err)
{
    struct weir_s2_appender *a = calloc(1, sizeof(*a));
    if (!a)
        return s2c_no_memory(err);
    a->s2 = s2;
    if (options)
        a->limits = *options;
    if (a->limits.inflight_bytes == 0)
        a->limits.inflight_bytes = INFLIGHT_BYTES;
    if (a->limits.inflight_batches == 0)
        a->limits.inflight_batches = SIZE_MAX;
    a->basin = strdup(to.basin);
    a->stream = strdup(to.stream);
    if (!a->basin || !a->stream || s2c_stream_path(&a->path, to.stream, "/records") != 0) {
        weir_s2_appender_close(a);
        return s2c_no_memory(err);
    }
    *out = a;
    return 0;
}

static bool is_full(const struct weir_s2_appender *a, uint64_t metered)
{
    return a->first && (a->bytes + metered > a->limits.inflight_bytes ||
                        a->batches >= a->limits.inflight_batches);
}

static int wait_for_room(struct weir_s2_appender *a, uint64_t metered, struct weir_s2_err *err)
{
    while (is_full(a, metered)) {
        if (turn(a, a->limits.never_block ? 0 : UINT64_MAX) != 0)
            return say(a, err);
        if (a->limits.never_block && is_full(a, metered))
            return s2c_fail(err, WEIR_S2_LOCAL, -EAGAIN, "too much is in flight");
    }
    return 0;
}

static struct entry *make_entry(const struct weir_s2_input *input, struct weir_s2_err *err)
{
    struct entry *e = calloc(1, sizeof(*e));
    if (!e) {
        s2c_no_memory(err);
        return NULL;
    }
    if (s2c_encode_input(&e->message, input, &e->metered, err) != 0) {
        buf_finish(&e->message);
        free(e);
        return NULL;
    }
    e->has_match = input->has_match;
    e->after = input->match_seq_num + input->count;
    return e;
}

int weir_s2_appender_submit(struct weir_s2_appender *a, const struct weir_s2_input *input,
                            uint64_t *ticket, struct weir_s2_err *err)
{
    struct weir_s2_err own = WEIR_S2_ERR_INIT;
    err = err ? err : &own;
    if (a->spoiled)
        return say(a, err);
    struct entry *e = make_entry(input, err);
    if (!e)
        return err->err.code;
    int rc = wait_for_room(a, e->metered, err);
    if (rc != 0) {
        buf_finish(&e->message);
        free(e);
        return rc;
    }
    e->ticket = a->tickets++;
    if (ticket)
        *ticket = e->ticket;
    push(a, e);
    return turn(a, 0) == 0 ? 0 : say(a, err);
}

int weir_s2_appender_ack(struct weir_s2_appender *a, uint64_t *ticket, struct s2_ack *out,
                         int wait_ms, struct weir_s2_err *err)
{
    uint64_t deadline = deadline_of(wait_ms);
    while (a->ack_count == 0) {
        if (a->spoiled)
            return say(a, err);
        if (!a->first)
            return s2c_fail(err, WEIR_S2_OK, ERR_END, "no ack is owed");
        if (turn(a, deadline) != 0)
            continue;
        if (a->ack_count == 0 && time_mono_us() >= deadline)
            return s2c_fail(err, WEIR_S2_LOCAL, -EAGAIN, "no ack yet");
    }
    struct answered *first = &a->acks[a->ack_at];
    *ticket = first->ticket;
    *out = first->ack;
    a->ack_at = a->ack_at + 1 < a->ack_cap ? a->ack_at + 1 : 0;
    a->ack_count--;
    return 0;
}

int weir_s2_appender_flush(struct weir_s2_appender *a, struct weir_s2_err *err)
{
    while (a->first && !a->spoiled)
        (void)turn(a, UINT64_MAX);
    return a->spoiled ? say(a, err) : 0;
}

int weir_s2_appender_turn(struct weir_s2_appender *a, int wait_ms, struct weir_s2_err *err)
{
    return turn(a, deadline_of(wait_ms)) == 0 ? 0 : say(a, err);
}

int weir_s2_appender_fd(const struct weir_s2_appender *a, bool *wants_write)
{
    if (wants_write)
        *wants_write = a->session.conn && s2c_conn_wants_write(a->session.conn);
    return a->session.conn ? s2c_conn_fd(a->session.conn) : -1;
}

void weir_s2_appender_inflight(const struct weir_s2_appender *a, size_t *batches, uint64_t *bytes)
{
    *batches = a->batches;
    *bytes = a->bytes;
}

void weir_s2_appender_close(struct weir_s2_appender *a)
{
    if (!a)
        return;
    while (a->first)
        pop(a);
    s2c_session_finish(&a->session);
    buf_finish(&a->path);
    free(a->acks);
    free(a->basin);
    free(a->stream);
    free(a);
}
