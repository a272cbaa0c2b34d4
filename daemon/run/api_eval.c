/*
 * POST /eval, POST /pipe/ID: the requests and their answers. The program itself is in eval_run.c.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "daemon/run/eval.h"

/* --- the answer --------------------------------------------------------------------------------- */

bool eval_failure(const struct eval *e, const struct process_end *end, struct buf *text)
{
    const struct child_end *c = &end->child;
    if (end->timed_out)
        buf_addf(text, "the program ran longer than %llu ms and was ended",
                 (unsigned long long)e->x.query.timeout_ms);
    else if (c->signalled)
        buf_addf(text, "the program was ended by signal %d, %s", c->code, strsignal(c->code));
    else if (c->code != 0)
        buf_addf(text, "the program exited with %d", c->code);
    return end->timed_out || c->signalled || c->code != 0;
}

static int put_end(struct buf *body, const struct process_end *end)
{
    int rc = buf_addf(body, ",\"%s\":%d", end->child.signalled ? "signal" : "exit_code",
                      end->child.code);
    if (rc == 0 && end->timed_out)
        rc = buf_add_str(body, ",\"timed_out\":true");
    if (rc == 0 && end->last_stderr.len > 0)
        rc = buf_add_str(body, ",\"stderr\":");
    return rc == 0 && end->last_stderr.len > 0 ? json_put_string(body, end->last_stderr) : rc;
}

void eval_refuse(struct eval *e, const char *message, const struct process_end *end)
{
    CLEAN_BUF body = BUF_INIT;
    int rc = buf_add_str(&body, "{\"error\":\"program\",\"message\":");
    if (rc == 0)
        rc = json_put_string(&body, span_str(message));
    if (rc == 0 && end)
        rc = put_end(&body, end);
    if (rc == 0)
        rc = buf_add_str(&body, "}\n");
    if (rc < 0)
        exchange_fail(&e->x, -ENOMEM, NULL, NULL);
    else
        exchange_reply(&e->x, 422, "application/json", buf_span(&body), NULL);
}

/* The end of the body: how the program ended, where the client can be told. */
static long tell_end(struct eval *e, struct http_req *req)
{
    char code[16];
    const struct child_end *end = &e->end.child;
    bool failed = end->signalled || end->code != 0 || e->end.timed_out;
    snprintf(code, sizeof(code), "%d", end->code);
    int rc = http_add_trailer(req, end->signalled ? "Weir-Signal" : "Weir-Exit", code);
    if (rc == 0 && failed && e->last_error[0])
        rc = http_add_trailer(req, "Weir-Error", e->last_error);
    return rc < 0 ? HTTP_ABORT : 0;
}

static long read_out(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct eval *e = http_state(req);
    size_t held = e->out.len - e->out_at;
    size_t len = held < room ? held : room;
    (void)arg;
    if (len == 0 && e->over)
        return e->broken ? HTTP_ABORT : tell_end(e, req);
    if (len == 0)
        return HTTP_WAIT;
    memcpy(into, e->out.ptr + e->out_at, len);
    e->out_at += len;
    if (e->out_at == e->out.len) {
        buf_reset(&e->out);
        e->out_at = 0;
    }
    if (e->process && e->out.len - e->out_at <= EVAL_OUT_MAX / 2)
        process_resume(e->process);
    return (long)len;
}

void eval_answer(struct eval *e)
{
    const struct http_field fields[] = {{"Trailer", "Weir-Exit, Weir-Signal, Weir-Error"},
                                        {e->notes ? "Weir-Notes" : NULL, e->notes},
                                        {NULL, NULL}};
    if (!e->streaming)
        e->streaming = exchange_stream(&e->x, "application/octet-stream", UINT64_MAX, read_out,
                                       fields);
    else
        exchange_wake(&e->x);
}

/* --- the request ---------------------------------------------------------------------------------- */

static void prepare_work(struct job *job)
{
    struct eval *e = (struct eval *)((char *)job - offsetof(struct eval, job));
    e->result = eval_prepare(e, &e->err);
}

static void prepare_after(struct job *job)
{
    struct eval *e = (struct eval *)((char *)job - offsetof(struct eval, job));
    e->busy = false;
    if (e->result == 0 && e->x.daemon->ending)
        e->result = err_set(&e->err, ERR_UNAVAILABLE, "the daemon is stopping");
    if (e->result == 0 && exchange_open(&e->x))
        e->result = eval_start(e, &e->err);
    if (e->result < 0)
        exchange_fail(&e->x, e->result, &e->err, NULL);
    exchange_drop(&e->x);
}

static int check_head(struct exchange *x, struct err *err)
{
    uint64_t length = http_body_length(x->req);
    if (exchange_authority(x) != AUTHORITY_EXEC)
        return err_set(err, ERR_FORBIDDEN, "programs are run over the store's own socket only, or with an access token for exec");
    if (x->daemon->ending)
        return err_set(err, ERR_UNAVAILABLE, "the daemon is stopping");
    if (length == 0)
        return err_set(err, ERR_INVALID, "the body is empty; it is the program to be run");
    if (length != UINT64_MAX && length > EVAL_PROGRAM_MAX)
        return err_set(err, ERR_TOO_LARGE, "a program has at most %d bytes", EVAL_PROGRAM_MAX);
    return exchange_query(x, QUERY_RUN, err);
}

static int begin_eval(struct exchange *x, struct err *err)
{
    return check_head(x, err);
}

static int begin_pipe(struct exchange *x, struct err *err)
{
    struct eval *e = (struct eval *)x;
    CLEAN_BUF text = BUF_INIT;
    e->piped = true;
    int rc = check_head(x, err);
    if (rc == 0)
        rc = exchange_operand(x, &text, err);
    return rc == 0 ? id_parse(&e->id, buf_span(&text), err) : rc; /* whose content it may see is asked for with the frame */
}

static size_t eval_body(struct exchange *x, struct span bytes)
{
    struct eval *e = (struct eval *)x;
    struct err err = ERR_INIT;
    if (bytes.len > EVAL_PROGRAM_MAX - e->program.len)
        err_set(&err, ERR_TOO_LARGE, "a program has at most %d bytes", EVAL_PROGRAM_MAX);
    else if (buf_add_span(&e->program, bytes) < 0)
        err_set(&err, -ENOMEM, "no memory for the program");
    if (err.code < 0)
        exchange_fail(x, err.code, &err, NULL);
    return bytes.len;
}

static void eval_end(struct exchange *x)
{
    struct eval *e = (struct eval *)x;
    struct err err = ERR_INIT;
    if (e->program.len == 0) {
        err_set(&err, ERR_INVALID, "the body is empty; it is the program to be run");
        exchange_fail(x, ERR_INVALID, &err, NULL);
        return;
    }
    e->busy = true;
    exchange_hold(x);
    e->job = (struct job){.work = prepare_work, .after = prepare_after};
    exchange_job(x, &e->job);
}

static void eval_gone(struct exchange *x)
{
    struct eval *e = (struct eval *)x;
    if (!e->busy || e->process) /* what is being prepared goes when that is done */
        eval_stop(e);
}

static void finish(struct exchange *x)
{
    eval_finish((struct eval *)x);
}

const struct route route_eval = {.size = sizeof(struct eval),
                                 .op = AUTH_EXEC,
                                 .begin = begin_eval,
                                 .body = eval_body,
                                 .end = eval_end,
                                 .gone = eval_gone,
                                 .finish = finish};
const struct route route_pipe = {.size = sizeof(struct eval),
                                 .op = AUTH_EXEC,
                                 .begin = begin_pipe,
                                 .body = eval_body,
                                 .end = eval_end,
                                 .gone = eval_gone,
                                 .finish = finish};
