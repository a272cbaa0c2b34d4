/*
 * GET /cursors, GET|PUT|DELETE /cursors/NAME.
 *
 * A narrow access token has the cursors whose names are in its set of streams, and others are not there for it.
 */
#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/cursor_mark.h"
#include "daemon/exchange.h"

#define BODY_MAX (6 * CURSOR_POSITION_MAX + 4096) /* every byte an escape, and some blanks */

struct asked {
    struct exchange x;
    struct buf name; /* empty: all of them */
    struct buf mark; /* its whole name */
    enum auth_op op; /* what of it has to be allowed */
    struct buf body, scratch, out;
    struct cursor_mark cursor;
    struct store_mark change;
    struct submission submission;
    struct job job;
    int result;
    struct err err;
};

static struct asked *asked_of_job(struct job *job)
{
    return (struct asked *)((char *)job - offsetof(struct asked, job));
}

static int take_name(struct asked *a, struct err *err)
{
    int rc = exchange_operand(&a->x, &a->name, err);
    if (rc == 0)
        rc = cursor_name_check(buf_span(&a->name), err);
    return rc == 0 ? cursor_mark_name(&a->mark, buf_span(&a->name)) : rc;
}

static void finish(struct exchange *x)
{
    struct asked *a = (struct asked *)x;
    buf_finish(&a->name);
    buf_finish(&a->mark);
    buf_finish(&a->body);
    buf_finish(&a->scratch);
    buf_finish(&a->out);
}

/* --- GET -------------------------------------------------------------------------------------------------- */

static int put_cursor(void *arg, const struct store_mark_view *view)
{
    struct asked *a = arg;
    struct cursor_mark cursor;
    int rc = cursor_mark_read(&cursor, view);
    if (rc < 0)
        return err_set(&a->err, rc, "the mark %.*s is no cursor", SPAN_ARG(view->name));
    if (!exchange_allows(&a->x, a->op, cursor.name))
        return a->name.len > 0 ? ERR_NOT_FOUND : 0;
    rc = cursor_mark_json(&a->out, &cursor);
    return rc == 0 && a->name.len == 0 ? buf_add_str(&a->out, "\n") : rc;
}

static void look_work(struct job *job)
{
    struct asked *a = asked_of_job(job);
    struct store *store = a->x.site->store;
    a->result = a->name.len > 0 ? store_mark(store, buf_span(&a->mark), put_cursor, a, &a->err)
                                : store_marks(store, span_str(CURSOR_PREFIX), put_cursor, a, &a->err);
}

static void fail(struct asked *a, int code)
{
    if (code == ERR_NOT_FOUND)
        err_set(&a->err, code, "no cursor of that name");
    exchange_fail(&a->x, code, &a->err, NULL);
}

static void look_after(struct job *job)
{
    struct asked *a = asked_of_job(job);
    const char *type = a->name.len > 0 ? "application/json" : "application/x-ndjson";
    if (a->result == 0)
        exchange_reply(&a->x, 200, type, buf_span(&a->out), NULL);
    else
        fail(a, a->result);
    exchange_drop(&a->x);
}

static void look(struct asked *a, void (*after)(struct job *job))
{
    exchange_hold(&a->x);
    a->job = (struct job){.work = look_work, .after = after};
    exchange_job(&a->x, &a->job);
}

static int begin_look(struct exchange *x, struct err *err)
{
    struct asked *a = (struct asked *)x;
    int rc = x->operand.len > 0 ? take_name(a, err) : 0;
    a->op = AUTH_READ;
    if (rc == 0)
        look(a, look_after);
    return rc;
}

const struct route route_cursors = {
    .size = sizeof(struct asked), .op = AUTH_READ, .begin = begin_look, .finish = finish};

/* --- PUT, DELETE ------------------------------------------------------------------------------------------- */

static void changed(struct submission *submission)
{
    struct asked *a = (struct asked *)((char *)submission - offsetof(struct asked, submission));
    bool set = a->change.kind == STORE_MARK_SET;
    int rc = submission->op.result;
    buf_reset(&a->out);
    if (rc == 0 && set)
        rc = cursor_mark_json(&a->out, &a->cursor);
    if (submission->op.result < 0)
        exchange_refuse(&a->x, &submission->op);
    else if (rc < 0)
        exchange_fail(&a->x, rc, NULL, NULL);
    else
        exchange_reply(&a->x, set ? 200 : 204, set ? "application/json" : NULL, buf_span(&a->out), NULL);
    exchange_drop(&a->x);
}

static void change(struct asked *a)
{
    a->submission.op.kind = STORE_APPEND;
    a->submission.op.marks = &a->change;
    a->submission.op.mark_count = 1;
    a->submission.after = changed;
    exchange_hold(&a->x);
    submit_op(&a->x.site->source, &a->submission);
}

static int begin_change(struct exchange *x, struct err *err)
{
    struct asked *a = (struct asked *)x;
    int rc = take_name(a, err);
    a->op = AUTH_APPEND;
    return rc == 0 ? exchange_check(x, AUTH_APPEND, buf_span(&a->name), err) : rc;
}

static size_t take_body(struct exchange *x, struct span bytes)
{
    struct asked *a = (struct asked *)x;
    struct err err = ERR_INIT;
    int rc = bytes.len > BODY_MAX - a->body.len ? err_set(&err, ERR_TOO_LARGE, "the body is over %d bytes", BODY_MAX)
                                                : buf_add_span(&a->body, bytes);
    if (rc < 0)
        exchange_fail(x, rc, &err, NULL);
    return bytes.len;
}

/* {"position":TEXT}. What a GET answers may come back. */
static int take_position(struct asked *a, struct err *err)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    bool found = false;
    int rc = json_validate(buf_span(&a->body), 4, NULL, err);
    if (rc == 0 && json_iter_init(&it, buf_span(&a->body)) < 0)
        rc = ERR_INVALID;
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "name") || json_string_is(key, "time"))
            continue;
        if (!json_string_is(key, "position") || value.type != JSON_STRING || found)
            rc = ERR_INVALID;
        else
            rc = json_string_decode(value.raw, &a->scratch, err);
        found = true;
    }
    return rc == ERR_INVALID || (rc == 0 && !found)
               ? err_set(err, ERR_INVALID, "a cursor is put as {\"position\":TEXT}")
               : rc;
}

static int put(struct asked *a, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = take_position(a, err);
    if (rc < 0)
        return rc;
    text = a->scratch;
    a->scratch = BUF_INIT;
    a->cursor = (struct cursor_mark){buf_span(&a->name), buf_span(&text), time_now_ms()};
    rc = cursor_mark_check(&a->cursor, err);
    if (rc == 0)
        rc = cursor_mark_set(&a->change, &a->cursor, &a->scratch);
    if (rc < 0)
        return rc;
    const struct store_mark_view view = {.name = a->change.name, .config = a->change.config};
    cursor_mark_read(&a->cursor, &view); /* its spans live with the change */
    change(a);
    return 0;
}

static void end_put(struct exchange *x)
{
    struct err err = ERR_INIT;
    int rc = put((struct asked *)x, &err);
    if (rc < 0)
        exchange_fail(x, rc, &err, NULL);
}

const struct route route_cursors_put = {.size = sizeof(struct asked),
                                        .op = AUTH_APPEND,
                                        .begin = begin_change,
                                        .body = take_body,
                                        .end = end_put,
                                        .finish = finish};

static void found_after(struct job *job)
{
    struct asked *a = asked_of_job(job);
    if (a->result == 0 && exchange_open(&a->x)) {
        a->change = (struct store_mark){.kind = STORE_MARK_DROP, .name = buf_span(&a->mark)};
        change(a);
    } else if (a->result < 0) {
        fail(a, a->result);
    }
    exchange_drop(&a->x);
}

/* Whether it is there is looked up first, so that a name that is mistyped is told. */
static int begin_remove(struct exchange *x, struct err *err)
{
    struct asked *a = (struct asked *)x;
    int rc = begin_change(x, err);
    if (rc == 0)
        look(a, found_after);
    return rc;
}

const struct route route_cursors_remove = {
    .size = sizeof(struct asked), .op = AUTH_APPEND, .begin = begin_remove, .finish = finish};
