#include "daemon/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/guarded.h"
#include "daemon/s2/basins.h"

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
    grant_drop(x->grant);
    x->site->exchanges--;
    free(x);
}

int exchange_query(struct exchange *x, uint64_t keys, struct err *err)
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
    const struct basin *basin = x->grant ? basins_of(x->daemon->basins, x->site) : NULL;
    struct span name = basin ? basin_name(basin) : (struct span){0};
    if (grant_allows(x->grant, AUTH_EXEC, name, (struct span){0}))
        return AUTHORITY_EXEC;
    return x->entrance && !x->grant ? x->entrance->authority : AUTHORITY_NONE;
}

bool exchange_allows(const struct exchange *x, enum auth_op op, struct span topic)
{
    return !x->grant || (topic.len > 0 && grant_allows(x->grant, op, (struct span){0}, topic));
}

int exchange_check(const struct exchange *x, enum auth_op op, struct span topic, struct err *err)
{
    if (exchange_allows(x, op, topic))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "your access token does not allow to %s %.*s", auth_op_name(op), SPAN_ARG(topic));
}

bool exchange_is_narrow(const struct exchange *x)
{
    return !grant_sees_all(x->grant);
}

int exchange_narrow(const struct exchange *x, struct store_query *query, struct pattern_list *room)
{
    if (!exchange_is_narrow(x))
        return 0;
    const struct auth_set *set = &grant_scope(x->grant)->sets[AUTH_STREAMS];
    if (query->stream.len > 0) {
        if (auth_set_has(set, query->stream))
            return 0;
        *room = (struct pattern_list){0};
        query->stream = (struct span){0};
    } else {
        const struct pattern_list all = PATTERN_ALL;
        int rc = auth_set_patterns(set, query->topics ? query->topics : &all, room);
        if (rc < 0)
            return rc;
    }
    query->topics = room;
    return 0;
}

static bool is_readable(void *arg, const struct frame *frame)
{
    return exchange_allows(arg, AUTH_READ, frame->topic);
}

int exchange_shows(const struct exchange *x, const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    if (!exchange_is_narrow(x))
        return 0;
    return store_shows(x->site->store, digest, is_readable, (void *)(uintptr_t)x, err);
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

int exchange_check_append(const struct exchange *x, enum authority authority, struct span topic, struct err *err)
{
    int rc = exchange_check(x, AUTH_APPEND, topic, err);
    return rc == 0 ? exchange_may_append(authority, topic, err) : rc;
}
