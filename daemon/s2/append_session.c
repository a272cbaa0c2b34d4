/*
 * Append sessions: frames in, acks out, in order, many under way at once.
 *
 *   body bytes -> frames -> inputs, each an operation of its own -> acks as they become durable
 *
 * 1. What is not applied is never acked, and acks come in the order of the inputs.
 * 2. The first failure ends the session: what came before it is acked, what comes after it is not applied. Inputs are handed to
 *    the store without waiting for those before them; a chain sees to it that nothing behind a refused one is applied.
 * 3. Large or packed inputs are read by the pool, one at a time; the next waits for it.
 * 4. What is taken and not durable is bounded, for the session here and for all by the gate; the body waits meanwhile.
 *
 * Where an answer cannot begin before the request has ended (HTTP/1.1) the whole answer is sent then, or at the first failure.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/s2/proto.h"
#include "base/text.h"
#include "daemon/feed.h"
#include "daemon/s2/append.h"
#include "daemon/s2/append_input.h"

#define INFLIGHT_MAX (8 * 1024 * 1024) /* bytes of one session's inputs that are not durable */
#define INPUTS_MAX 10000               /* and so many of them */
#define ACKS_MAX (256 * 1024)          /* bytes of acks that the client does not read */
#define WHOLE_MAX (16 * 1024 * 1024)   /* bytes of an answer that waits for the request's end */

struct append_session {
    struct append *a;
    struct store_chain chain;
    struct follower end_of_site;
    struct s2_watch watch;
    bool watched;
    enum coding coding; /* of acks */
    bool duplex;
    bool ready;    /* the stream is known: frames are taken */
    bool ended;    /* no more body */
    bool stopped;  /* no more inputs are taken */
    bool failed;   /* a terminal frame was put or is to be put */
    bool finished; /* the answer's last byte is in `out` */
    struct buf in; /* taken, not made into inputs */
    struct append_input *first, **end;
    size_t inputs, inflight;
    struct gate_wait wait;
    struct append_input *waiting; /* at the gate */
    struct append_input *reading; /* with the pool; in nobody's list */
    struct buf out;
    size_t sent;
    unsigned status; /* of the terminal frame */
    struct buf terminal;
};

static void pump(struct append_session *session);

static struct append_gate *gate_of(struct append_session *session)
{
    return &session->a->s.x.daemon->append_gate;
}

/* --- the end ------------------------------------------------------------------------------------------------ */

static void reply_whole(struct append_session *session)
{
    static const struct http_field fields[] = {
        {"cache-control", "no-cache, no-transform"}, {"x-accel-buffering", "no"}, {NULL, NULL}};
    exchange_reply(&session->a->s.x, 200, "s2s/proto", buf_span(&session->out), fields);
}

/* No further input is taken. With a status the answer ends in a terminal frame, once what was taken before is acked. */
static void stop(struct append_session *session)
{
    session->stopped = true;
    buf_finish(&session->in);
}

static void fail(struct append_session *session, enum s2_code code, const char *message)
{
    if (session->failed)
        return;
    session->failed = true;
    session->status = (unsigned)s2_status(code);
    s2_error_put(&session->terminal, code, message);
    stop(session);
}

static void fail_refused(struct append_session *session, const struct store_op *op)
{
    if (session->finished)
        return;
    session->failed = true; /* in the place of one that is to come behind it */
    buf_reset(&session->terminal);
    s2_refusal_put(&session->terminal, &session->status, op);
    stop(session);
}

/* Puts the end of the answer; a client that cannot be told is cut off. */
static void finish(struct append_session *session)
{
    struct exchange *x = &session->a->s.x;
    session->finished = true;
    if (session->failed && s2s_put_terminal(&session->out, session->status, buf_span(&session->terminal)) < 0) {
        if (x->req)
            http_abort(x->req);
    } else if (session->duplex) {
        exchange_wake(x);
    } else {
        reply_whole(session);
    }
}

/* --- acks --------------------------------------------------------------------------------------------------- */

static void put_ack(struct append_session *session, const struct append_input *input)
{
    CLEAN_BUF message = BUF_INIT;
    struct s2_request *s = &session->a->s;
    struct s2_ack ack = append_batch_ack(&input->batch);
    int rc = s2_proto_put_ack(&message, &ack);
    if (rc == 0)
        rc = s2s_put(&session->out, buf_span(&message), session->coding, s->x.daemon->ending);
    if (rc < 0)
        fail(session, S2_OTHER, "no memory for the ack");
    s2_count_append(s, input->batch.input.count, input->batch.metered, (double)(time_mono_us() - input->taken_us) / 1e6);
}

static struct append_input *take_first(struct append_session *session)
{
    struct append_input *input = session->first;
    session->first = input->next;
    if (!session->first)
        session->end = &session->first;
    session->inputs--;
    session->inflight -= input->batch.held;
    return input;
}

/* Answers what is durable, in order, and goes on. */
static void settle(struct append_session *session)
{
    while (session->first && session->first->done) {
        struct append_input *input = take_first(session);
        const struct store_op *op = &input->batch.submission.op;
        if (!session->finished && op->result == 0)
            put_ack(session, input);
        else if (!session->finished) {
            fail_refused(session, op);
            finish(session);
        }
        append_input_destroy(input);
    }
    if (session->duplex)
        exchange_wake(&session->a->s.x);
    pump(session);
}

/* --- inputs ---------------------------------------------------------------------------------------------------- */

static void done(struct submission *submission)
{
    struct append_input *input = (struct append_input *)((char *)submission - offsetof(struct append_input, batch.submission));
    struct append_session *session = input->session;
    struct exchange *x = &session->a->s.x;
    input->done = true;
    gate_leave(gate_of(session), input->batch.held);
    settle(session);
    exchange_drop(x);
}

static void submit(struct append_session *session, struct append_input *input)
{
    struct exchange *x = &session->a->s.x;
    s2_count_permit((double)(time_mono_us() - input->taken_us) / 1e6);
    append_batch_op(&input->batch, NULL, &session->chain);
    input->batch.submission.after = done;
    exchange_hold(x);
    submit_op(&x->site->source, &input->batch.submission);
}

static void admitted(struct gate_wait *wait)
{
    struct append_session *session = (struct append_session *)((char *)wait - offsetof(struct append_session, wait));
    struct append_input *input = session->waiting;
    session->waiting = NULL;
    submit(session, input);
    pump(session);
}

static void add_input(struct append_session *session, struct append_input *input)
{
    *session->end = input;
    session->end = &input->next;
    session->inputs++;
    session->inflight += input->batch.held;
    session->wait.bytes = input->batch.held;
    session->waiting = input;
    if (gate_enter(gate_of(session), &session->wait)) {
        session->waiting = NULL;
        submit(session, input);
    }
}

static void fail_with(struct append_session *session, int rc, const struct err *err)
{
    enum s2_code code = rc == ERR_FORMAT ? S2_BAD_FRAME : s2_code_of(rc);
    fail(session, code, err->text[0] ? err->text : err_code_text(rc));
}

/* The input was read. */
static void take_input(struct append_session *session, struct append_input *input)
{
    struct append *a = session->a;
    struct span origin;
    int rc = input->result;
    if (rc == 0)
        rc = append_allowed(&a->s, &input->batch, &input->err);
    if (rc == 0)
        rc = exchange_origin(&a->s.x, &origin, &input->err);
    if (rc == 0) {
        add_input(session, input);
        return;
    }
    fail_with(session, rc, &input->err);
    append_input_destroy(input);
}

static void read_work(struct job *job)
{
    struct append_input *input = (struct append_input *)((char *)job - offsetof(struct append_input, job));
    append_input_read(input, &input->session->a->stream);
}

static void read_done(struct job *job)
{
    struct append_input *input = (struct append_input *)((char *)job - offsetof(struct append_input, job));
    struct append_session *session = input->session;
    struct exchange *x = &session->a->s.x;
    session->reading = NULL;
    if (session->stopped)
        append_input_destroy(input);
    else
        take_input(session, input);
    pump(session);
    exchange_drop(x);
}

static void read_elsewhere(struct append_session *session, struct append_input *input)
{
    struct exchange *x = &session->a->s.x;
    session->reading = input;
    input->job = (struct job){.work = read_work, .after = read_done};
    exchange_hold(x);
    exchange_job(x, &input->job);
}

static void take_frame(struct append_session *session, const struct s2s_frame *frame)
{
    struct append_input *input;
    if (append_input_create(&input, session, frame) < 0) {
        fail(session, S2_UNAVAILABLE, "no memory for the append");
    } else if (append_input_is_large(input)) {
        read_elsewhere(session, input);
    } else {
        append_input_read(input, &session->a->stream);
        take_input(session, input);
    }
}

/* --- going on ---------------------------------------------------------------------------------------------------- */

static bool blocked(const struct append_session *session)
{
    return !session->ready || session->waiting || session->reading || session->inflight >= INFLIGHT_MAX ||
           session->inputs >= INPUTS_MAX || (session->duplex && session->out.len - session->sent >= ACKS_MAX);
}

/* Makes inputs of the whole frames that came in, as far as there is room for them. */
static void take_frames(struct append_session *session)
{
    struct err err = ERR_INIT;
    struct span rest = buf_span(&session->in);
    struct s2s_frame frame;
    int rc = 0;
    while (rc == 0 && !session->stopped && !blocked(session)) {
        rc = s2s_next(&frame, &rest, &err);
        if (rc == 0 && frame.terminal)
            rc = err_set(&err, ERR_FORMAT, "a client sends no terminal frame");
        if (rc == 0)
            take_frame(session, &frame);
    }
    if (rc < 0 && rc != ERR_END)
        fail_with(session, rc, &err);
    else if (rc == ERR_END && session->ended && rest.len > 0)
        fail(session, S2_BAD_FRAME, "the request ends within a frame");
    if (!session->stopped)
        buf_consume(&session->in, session->in.len - rest.len);
}

/* The one place that decides what comes next. */
static void pump(struct append_session *session)
{
    struct exchange *x = &session->a->s.x;
    if (session->finished || !x->req)
        return;
    if (!session->stopped)
        take_frames(session);
    if (!session->duplex && session->out.len > WHOLE_MAX)
        fail(session, S2_INVALID, "too many inputs for a session over HTTP/1.1, which is answered at its end");
    if (session->ended && !blocked(session) && session->in.len == 0)
        session->stopped = true;
    if (session->stopped && !session->first)
        finish(session);
    if (!session->ended && (session->stopped || !blocked(session)))
        http_resume_body(x->req);
}

size_t append_session_body(struct append_session *session, struct span bytes)
{
    if (session->stopped)
        return bytes.len;
    if (blocked(session))
        return 0;
    if (buf_add_span(&session->in, bytes) < 0)
        fail(session, S2_OTHER, "no memory for the append");
    pump(session);
    return bytes.len;
}

void append_session_end(struct append_session *session)
{
    session->ended = true;
    pump(session);
}

static long read_acks(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct append_session *session = ((struct append *)http_state(req))->session;
    (void)arg;
    bool full = session->out.len - session->sent >= ACKS_MAX;
    size_t n = buf_copy(&session->out, &session->sent, into, room);
    if (session->sent == session->out.len || session->sent >= ACKS_MAX) {
        buf_consume(&session->out, session->sent);
        session->sent = 0;
    }
    if (full)
        pump(session);
    if (n > 0)
        return (long)n;
    return session->finished ? 0 : HTTP_WAIT;
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

/* What was taken is acked; the client sends the rest anew. */
static void go_away(struct append_session *session, const char *why)
{
    if (session->stopped)
        return;
    fail(session, S2_UNAVAILABLE, why);
    pump(session);
}

static void site_ends(struct follower *follower)
{
    struct append_session *session =
        (struct append_session *)((char *)follower - offsetof(struct append_session, end_of_site));
    follower->waiting = true;
    if (feed_ending(session->a->s.x.site->feed))
        go_away(session, "the server is stopping");
}

static void deleted(struct s2_watch *watch)
{
    go_away((struct append_session *)((char *)watch - offsetof(struct append_session, watch)), "the stream goes away");
}

/* Waits for the site's end alone: no topic has that name. */
static int watch_end(struct append_session *session)
{
    static const struct span no_topic = {(const uint8_t *)"", 1};
    session->end_of_site = (struct follower){.wake = site_ends, .waiting = true, .own = true};
    return feed_add(session->a->s.x.site->feed, &session->end_of_site, NULL, no_topic);
}

static void looked(struct s2_request *s, const struct store_topic *topic)
{
    struct append *a = (struct append *)s;
    struct append_session *session = a->session;
    if (!append_stream_looked(a, topic))
        return;
    if (watch_end(session) < 0) {
        s2_fail(s, S2_OTHER, "no memory for the session");
        return;
    }
    session->wait.admitted = admitted;
    session->watched = true;
    s2_watch(&session->watch, s->x.site, topic->no, deleted);
    session->coding = coding_choose(http_header(s->x.req, "accept-encoding"));
    session->duplex = http_is_duplex(s->x.req);
    session->ready = true;
    if (session->duplex) {
        s->x.duplex = true;
        s2_stream(s, "s2s/proto", read_acks);
    }
    pump(session);
}

void append_session_begin(struct append *a)
{
    struct append_session *session = calloc(1, sizeof(*session));
    if (!session) {
        s2_fail(&a->s, S2_OTHER, "no memory for the session");
        return;
    }
    session->a = a;
    session->end = &session->first;
    a->session = session;
    s2_look(&a->s, S2_AUTO_APPEND, looked);
}

/* What waits at the gate is in nobody's hands; what is with the store may still become durable. */
void append_session_gone(struct append_session *session)
{
    stop(session);
    session->finished = true;
    feed_remove(session->a->s.x.site->feed, &session->end_of_site);
    if (session->watched)
        s2_unwatch(&session->watch);
    session->watched = false;
    gate_cancel(gate_of(session), &session->wait);
    session->waiting = NULL;
}

void append_session_finish(struct append_session *session)
{
    if (!session)
        return;
    while (session->first)
        append_input_destroy(take_first(session));
    buf_finish(&session->in);
    buf_finish(&session->out);
    buf_finish(&session->terminal);
    free(session);
}
