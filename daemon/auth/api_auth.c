/*
 * GET /tokens, POST /tokens, DELETE /tokens/ID: as /v1/access-tokens, and what that cannot say: exec, and the root token.
 */
#include "base/json.h"
#include "daemon/auth/token_json.h"
#include "daemon/exchange.h"

#define BODY_MAX (64 * 1024)

struct asked {
    struct exchange x;
    struct auth_change change;
    struct buf body;
};

static void asked_finish(struct exchange *x)
{
    buf_finish(&((struct asked *)x)->body);
}

/* --- list ------------------------------------------------------------------------------------------------------ */

struct listing {
    const struct exchange *x;
    struct buf out;
    int result;
};

static bool put_line(void *arg, const struct auth_token *token)
{
    struct listing *l = arg;
    if (!grant_allows_token(l->x->grant, AUTH_LIST_TOKENS, token->id))
        return true;
    l->result = token_put(&l->out, token, true);
    if (l->result == 0)
        l->result = buf_add_str(&l->out, "\n");
    return l->result == 0;
}

static int begin_list(struct exchange *x, struct err *err)
{
    struct listing l = {.x = x};
    (void)err;
    auth_each(x->daemon->auth, (struct span){0}, (struct span){0}, put_line, &l);
    if (l.result == 0)
        exchange_reply(x, 200, "application/x-ndjson", buf_span(&l.out), NULL);
    buf_finish(&l.out);
    return l.result;
}

const struct route route_tokens = {.size = sizeof(struct exchange), .op = AUTH_LIST_TOKENS, .begin = begin_list};

/* --- issue ------------------------------------------------------------------------------------------------------ */

static struct asked *asked_of(struct auth_change *change)
{
    return (struct asked *)((char *)change - offsetof(struct asked, change));
}

static void issued(struct auth_change *change)
{
    static const struct http_field secret[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};
    struct asked *a = asked_of(change);
    CLEAN_BUF body = BUF_INIT;
    int rc = change->result;
    if (rc == 0)
        rc = buf_addf(&body, "{\"access_token\":\"%s\"}", change->secret);
    if (rc == 0)
        exchange_reply(&a->x, 201, "application/json", buf_span(&body), secret);
    else
        exchange_fail(&a->x, rc, &change->err, NULL);
    exchange_drop(&a->x);
}

static int begin_issue(struct exchange *x, struct err *err)
{
    (void)x, (void)err;
    return 0;
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

/* {"root":true} */
static bool asks_for_root(struct span body)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_validate(body, 16, NULL, NULL) != 0 || json_iter_init(&it, body) != 0)
        return false;
    return json_iter_next(&it, &key, &value) && json_string_is(key, "root") && span_is(value.raw, "true");
}

static int issue_root(struct asked *a, struct err *err)
{
    if (a->x.grant)
        return err_set(err, ERR_FORBIDDEN, "the root token is made over the store's own socket only");
    return auth_issue_root(a->x.daemon->auth, &a->change, err);
}

static int issue(struct asked *a, struct err *err)
{
    struct auth_token token;
    CLEAN_BUF room = BUF_INIT;
    int rc = token_read(&token, buf_span(&a->body), &room, true, err);
    if (rc == ERR_FORMAT)
        return err->code = ERR_INVALID;
    return rc == 0 ? auth_issue(a->x.daemon->auth, &a->change, &token, a->x.grant, err) : rc;
}

static void end_issue(struct exchange *x)
{
    struct asked *a = (struct asked *)x;
    struct err err = ERR_INIT;
    a->change.done = issued;
    exchange_hold(x);
    int rc = asks_for_root(buf_span(&a->body)) ? issue_root(a, &err) : issue(a, &err);
    if (rc == 0)
        return;
    exchange_fail(x, rc, &err, NULL);
    exchange_drop(x);
}

const struct route route_tokens_post = {.size = sizeof(struct asked),
                                        .op = AUTH_ISSUE_TOKEN,
                                        .begin = begin_issue,
                                        .body = take_body,
                                        .end = end_issue,
                                        .finish = asked_finish};

/* --- revoke ------------------------------------------------------------------------------------------------------ */

static void revoked(struct auth_change *change)
{
    struct asked *a = asked_of(change);
    if (change->result < 0)
        exchange_fail(&a->x, change->result, &change->err, NULL);
    else
        exchange_reply(&a->x, 204, NULL, (struct span){0}, NULL);
    exchange_drop(&a->x);
}

static int begin_revoke(struct exchange *x, struct err *err)
{
    struct asked *a = (struct asked *)x;
    CLEAN_BUF id = BUF_INIT;
    int rc = exchange_operand(x, &id, err);
    if (rc < 0)
        return rc;
    a->change.done = revoked;
    exchange_hold(x);
    rc = auth_revoke(x->daemon->auth, &a->change, buf_span(&id), x->grant, err);
    if (rc < 0)
        exchange_drop(x);
    return rc;
}

const struct route route_tokens_remove = {
    .size = sizeof(struct asked), .op = AUTH_REVOKE_TOKEN, .begin = begin_revoke, .finish = asked_finish};
