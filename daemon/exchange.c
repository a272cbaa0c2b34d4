#include "daemon/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/guarded.h"

void exchange_hold(struct exchange *x)
{
    x->holds++;
}

void exchange_drop(struct exchange *x)
{
    if (--x->holds > 0)
        return;
    if (x->route->finish)
        x->route->finish(x);
    query_finish(&x->query);
    free(x->origin);
    x->site->exchanges--;
    free(x);
}

int exchange_query(struct exchange *x, unsigned keys, struct err *err)
{
    struct span raw = http_query(x->req);
    return raw.len == 0 && !(keys & QUERY_TOPIC)
               ? 0
               : query_parse(&x->query, raw, keys, time_now_ms(), err);
}

int exchange_operand(struct exchange *x, struct buf *out, struct err *err)
{
    return uri_decode(out, x->operand, false, err);
}

enum authority exchange_authority(const struct exchange *x)
{
    return x->entrance ? x->entrance->authority : AUTHORITY_NONE;
}

void exchange_fail(struct exchange *x, int code, const struct err *err, const char *extra)
{
    if (!exchange_open(x))
        return;
    x->answered = true;
    reply_err(x->req, code, err, extra);
}

void exchange_refuse(struct exchange *x, const struct store_op *op)
{
    char extra[128] = "", id[ID_TEXT_LEN + 1];
    if (!exchange_open(x))
        return;
    if (op->result == ERR_CONDITION) {
        id_format(id, op->actual_last);
        snprintf(extra, sizeof(extra), ",\"next_seq\":%" PRIu64 ",\"last_id\":\"%s\"",
                 op->actual_seq, id);
    }
    bool reused = op->result == ERR_CONFLICT && op->kind == STORE_APPEND;
    x->answered = true;
    reply_named(x->req, op->result, reused ? "key_reused" : reply_code_name(op->result), &op->err,
                extra);
}

void exchange_conditions(struct exchange *x, struct store_op *op)
{
    const struct query *q = &x->query;
    op->authority = exchange_authority(x);
    op->has_expect_seq = q->given & QUERY_EXPECT_SEQ;
    op->expect_seq = q->expect_seq;
    op->has_expect_last = q->given & QUERY_EXPECT_LAST;
    op->expect_last = q->expect_last;
    op->key = buf_span(&q->key);
}

void exchange_reply(struct exchange *x, int status, const char *type, struct span body,
                    const struct http_field *fields)
{
    if (!exchange_open(x))
        return;
    x->answered = true;
    http_reply(x->req, status, type, body, fields);
}

bool exchange_stream(struct exchange *x, const char *type, uint64_t size,
                     long (*read)(void *arg, struct http_req *req, uint8_t *into, size_t room),
                     const struct http_field *fields)
{
    if (!exchange_open(x))
        return false;
    x->answered = true;
    http_reply_stream(x->req, 200, type, size, read, fields);
    return true;
}

void exchange_wake(struct exchange *x)
{
    if (x->req)
        http_wake(x->req);
}

void exchange_job(struct exchange *x, struct job *job)
{
    pool_submit(x->daemon->loop, job);
}

int exchange_origin(struct exchange *x, struct span *out, struct err *err)
{
    const struct origin *origin = x->entrance ? x->entrance->origin : NULL;
    if (origin && !x->origin && !(x->origin = strdup(origin->text)))
        return -ENOMEM;
    *out = x->origin ? span_str(x->origin) : (struct span){0};
    if (origin && origin->hops > HOPS_MAX)
        return err_set(err, ERR_FORBIDDEN,
                       "%s passes on what came through %d programs already: a circle?",
                       origin->text, HOPS_MAX);
    return 0;
}

int exchange_may_append(enum authority authority, struct span topic, struct err *err)
{
    return guarded_check(authority, topic, err);
}
