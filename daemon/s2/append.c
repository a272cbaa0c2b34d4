/*
 * Appends of one request: read, checked, one operation, one answer.
 */
#include "daemon/s2/append.h"

#include <errno.h>
#include <sodium.h>
#include <stddef.h>

#include "base/s2/json.h"
#include "base/s2/proto.h"
#include "base/text.h"

static struct append *append_of(struct exchange *x)
{
    return (struct append *)x;
}

static struct append_gate *gate_of(struct append *a)
{
    return &a->s.x.daemon->append_gate;
}

/* --- the stream ------------------------------------------------------------------------------------------ */

int append_stream_of(struct append *a, struct err *err)
{
    a->stream.name = buf_span(&a->s.stream);
    a->stream.authority = exchange_authority(&a->s.x);
    return exchange_origin(&a->s.x, &a->stream.origin, err);
}

bool append_stream_looked(struct append *a, const struct store_topic *topic)
{
    struct s2_stream_note note;
    struct err err = ERR_INIT;
    int rc = s2_stream_note_read(&note, topic->note, &err);
    if (rc < 0) {
        s2_fail_err(&a->s, rc, &err);
        return false;
    }
    a->stream.no = topic->no;
    a->stream.created_ms = topic->created_ms;
    rc = s2_key(&a->s, note.cipher, a->stream.key);
    a->stream.sealed = rc == 1;
    return rc >= 0;
}

/* --- the answer -------------------------------------------------------------------------------------------- */

static void answer(struct append *a)
{
    CLEAN_BUF body = BUF_INIT;
    bool proto = a->s.accept == S2_TYPE_PROTO;
    struct s2_ack ack = append_batch_ack(&a->batch);
    int rc = proto ? s2_proto_put_ack(&body, &ack) : s2_json_put_ack(&body, &ack);
    if (rc < 0)
        s2_fail(&a->s, S2_OTHER, "no memory for the answer");
    else
        s2_reply(&a->s, 200, proto ? "application/protobuf" : "application/json", buf_span(&body), NULL);
    s2_count_append(&a->s, a->batch.input.count, a->batch.metered, (double)(time_mono_us() - a->ended_us) / 1e6);
}

static void submit(struct append *a);

/* Its records are encrypted: once more, with its key. */
static void looked(struct s2_request *s, const struct store_topic *topic)
{
    struct append *a = (struct append *)s;
    struct err err = ERR_INIT;
    if (!append_stream_looked(a, topic))
        return;
    int rc = append_batch_frames(&a->batch, &a->stream, &err);
    if (rc < 0)
        s2_fail_err(s, rc, &err);
    else
        submit(a);
}

static void done(struct submission *submission)
{
    struct append *a = (struct append *)((char *)submission - offsetof(struct append, batch.submission));
    gate_leave(gate_of(a), a->wait.bytes);
    if (submission->op.result == 0)
        answer(a);
    else if (a->batch.needs_key && exchange_open(&a->s.x))
        s2_look(&a->s, S2_AUTO_APPEND, looked);
    else
        s2_refused(&a->s, &submission->op);
    exchange_drop(&a->s.x);
}

/* --- on its way --------------------------------------------------------------------------------------------- */

static void admitted(struct gate_wait *wait)
{
    struct append *a = (struct append *)((char *)wait - offsetof(struct append, wait));
    s2_count_permit((double)(time_mono_us() - a->submitted_us) / 1e6);
    append_batch_op(&a->batch, a->make, NULL);
    a->batch.submission.after = done;
    exchange_hold(&a->s.x);
    submit_op(&a->s.x.site->source, &a->batch.submission);
}

static void submit(struct append *a)
{
    a->submitted_us = time_mono_us();
    a->wait.bytes = a->batch.held;
    a->wait.admitted = admitted;
    if (gate_enter(gate_of(a), &a->wait))
        admitted(&a->wait);
}

static enum s2_code code_of(const struct append *a)
{
    return a->s.content == S2_TYPE_PROTO ? S2_BAD_PROTO : S2_BAD_JSON;
}

/* What a failed step is to the client. */
static bool fine(struct append *a, int rc, enum s2_code malformed, const struct err *err)
{
    if (rc == ERR_FORMAT)
        s2_fail(&a->s, malformed, "%s", err->text);
    else if (rc < 0)
        s2_fail_err(&a->s, rc, err);
    return rc == 0;
}

/* --- reading it --------------------------------------------------------------------------------------------- */

/* Any thread. */
static void read_input(struct append *a)
{
    struct err *err = &a->err;
    struct span body;
    int rc = s2_body_unpack(&a->s, a->coding, &body, err);
    if (rc == 0 && a->s.content == S2_TYPE_PROTO)
        rc = s2_proto_read_input(&a->batch.input, body, err);
    else if (rc == 0)
        rc = s2_json_read_input(&a->batch.input, body, a->format, err);
    if (rc == 0)
        rc = append_batch_check(&a->batch, err);
    if (rc == 0)
        rc = append_batch_frames(&a->batch, &a->stream, err);
    a->result = rc == ERR_TOO_LARGE ? ERR_FORMAT : rc;
}

/* With a key at hand the stream is looked at first; mostly there is none, and none is needed. */
static void go_on(struct append *a)
{
    if (a->result == 0)
        a->result = append_allowed(&a->s, &a->batch, &a->err);
    if (!fine(a, a->result, code_of(a), &a->err) || s2_making(&a->s, S2_AUTO_APPEND, &a->making, &a->make) < 0)
        return;
    if (http_header(a->s.x.req, "s2-encryption-key").ptr)
        s2_look(&a->s, S2_AUTO_APPEND, looked);
    else
        submit(a);
}

static void read_work(struct job *job)
{
    read_input((struct append *)((char *)job - offsetof(struct append, job)));
}

static void read_done(struct job *job)
{
    struct append *a = (struct append *)((char *)job - offsetof(struct append, job));
    if (exchange_open(&a->s.x))
        go_on(a);
    exchange_drop(&a->s.x);
}

static bool take_headers(struct append *a)
{
    if (!s2_format_parse(&a->format, http_header(a->s.x.req, "s2-format"))) {
        s2_fail(&a->s, S2_BAD_HEADER, "s2-format is raw or base64");
        return false;
    }
    if (a->s.content != S2_TYPE_PROTO && a->s.content != S2_TYPE_JSON) {
        s2_fail(&a->s, S2_BAD_JSON, "expected a body with content-type application/json");
        return false;
    }
    return s2_body_coding(&a->s, code_of(a), &a->coding);
}

/* Large bodies are read by the pool: others wait for the loop. */
static void work(struct append *a)
{
    a->ended_us = time_mono_us();
    if (!take_headers(a))
        return;
    if (a->s.body.len > APPEND_INLINE || a->coding != CODING_NONE) {
        a->job = (struct job){.work = read_work, .after = read_done};
        exchange_hold(&a->s.x);
        exchange_job(&a->s.x, &a->job);
        return;
    }
    read_input(a);
    go_on(a);
}

/* --- the route ------------------------------------------------------------------------------------------------ */

static void entered(struct s2_request *s)
{
    struct append *a = (struct append *)s;
    struct err err = ERR_INIT;
    if (!fine(a, append_stream_of(a, &err), S2_OTHER, &err))
        return;
    if (s->basin && basin_deleting(s->basin))
        s2_fail(s, S2_BASIN_DELETION_PENDING, "the basin is being deleted");
    else if (s->content == S2_TYPE_SESSION)
        append_session_begin(a);
}

static int begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, S2_NEED_BASIN | S2_OWN_STORE | S2_NEED_STREAM, AUTH_APPEND, entered);
}

static size_t body(struct exchange *x, struct span bytes)
{
    struct append *a = append_of(x);
    return a->session ? append_session_body(a->session, bytes) : s2_body_take(x, bytes);
}

static void end(struct exchange *x)
{
    struct append *a = append_of(x);
    if (a->session)
        append_session_end(a->session);
    else
        work(a);
}

static void gone(struct exchange *x)
{
    struct append *a = append_of(x);
    gate_cancel(gate_of(a), &a->wait);
    if (a->session)
        append_session_gone(a->session);
}

static void finish(struct exchange *x)
{
    struct append *a = append_of(x);
    append_session_finish(a->session);
    append_batch_finish(&a->batch);
    s2_making_finish(&a->making);
    sodium_memzero(a->stream.key, sizeof(a->stream.key));
    s2_finish(&a->s);
}

const struct route s2_route_append = {
    .size = sizeof(struct append), .begin = begin, .body = body, .end = end, .gone = gone, .finish = finish};
