/*
 * /v1/access-tokens: list, issue, revoke.
 */
#include "base/text.h"
#include "daemon/auth/token_json.h"
#include "daemon/s2/s2.h"

#define PAGE_MAX 1000

struct tokens {
    struct s2_request s;
    struct auth_change change;
};

/* What a refusal is in this API. */
static enum s2_code code_of(int code)
{
    switch (code) {
    case ERR_FORBIDDEN:
        return S2_PERMISSION_DENIED;
    case ERR_CONFLICT:
        return S2_ALREADY_EXISTS;
    case ERR_INVALID:
        return S2_INVALID;
    case ERR_FORMAT:
        return S2_BAD_JSON;
    case ERR_NOT_FOUND:
        return S2_TOKEN_NOT_FOUND;
    default:
        return s2_code_of(code);
    }
}

static void fail(struct tokens *t, int code, const struct err *err)
{
    s2_fail(&t->s, code_of(code), "%s", err->code == code && err->text[0] ? err->text : err_code_text(code));
}

static void finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

/* --- list ------------------------------------------------------------------------------------------------------ */

struct page {
    const struct tokens *tokens;
    struct buf out;
    uint64_t count, limit;
    bool has_more;
    int result;
};

static bool put_one(void *arg, const struct auth_token *token)
{
    struct page *page = arg;
    if (!grant_allows_token(page->tokens->s.x.grant, AUTH_LIST_TOKENS, token->id))
        return true;
    page->has_more = page->count == page->limit;
    if (page->has_more)
        return false;
    page->result = page->count++ > 0 ? buf_add_str(&page->out, ",") : 0;
    if (page->result == 0)
        page->result = token_put(&page->out, token, false);
    return page->result == 0;
}

static void list(struct tokens *t, struct span prefix, struct span after, uint64_t limit)
{
    struct page page = {.tokens = t, .limit = limit == 0 || limit > PAGE_MAX ? PAGE_MAX : limit};
    page.result = buf_add_str(&page.out, "{\"access_tokens\":[");
    if (page.result == 0)
        auth_each(t->s.x.daemon->auth, prefix, after, put_one, &page);
    if (page.result == 0)
        page.result = buf_addf(&page.out, "],\"has_more\":%s}", page.has_more ? "true" : "false");
    if (page.result < 0)
        s2_fail(&t->s, S2_UNAVAILABLE, "no memory for the answer");
    else
        s2_reply(&t->s, 200, "application/json", buf_span(&page.out), NULL);
    buf_finish(&page.out);
}

static void list_entered(struct s2_request *s)
{
    char prefix_room[S2_TOKEN_ID_MAX + 1], after_room[S2_TOKEN_ID_MAX + 1];
    struct span prefix = {0}, after = {0};
    uint64_t limit = 0;
    s2_count_op(s, AUTH_LIST_TOKENS);
    if (s2_query_text(s, "prefix", prefix_room, sizeof(prefix_room), &prefix) >= 0 &&
        s2_query_text(s, "start_after", after_room, sizeof(after_room), &after) >= 0 && s2_query_u64(s, "limit", &limit) >= 0)
        list((struct tokens *)s, prefix, after, limit);
}

static int begin_list(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_LIST_TOKENS, list_entered);
}

const struct route s2_route_tokens_list = {.size = sizeof(struct tokens), .begin = begin_list, .finish = finish};

/* --- issue ------------------------------------------------------------------------------------------------------ */

static void issued(struct auth_change *change)
{
    static const struct http_field secret[] = {{"Cache-Control", "no-store"}, {NULL, NULL}};
    struct tokens *t = (struct tokens *)((char *)change - offsetof(struct tokens, change));
    CLEAN_BUF body = BUF_INIT;
    if (change->result < 0)
        fail(t, change->result, &change->err);
    else if (buf_addf(&body, "{\"access_token\":\"%s\"}", change->secret) < 0)
        s2_fail(&t->s, S2_OTHER, "no memory for the answer");
    else
        s2_reply(&t->s, 201, "application/json", buf_span(&body), secret);
    exchange_drop(&t->s.x);
}

static void entered(struct s2_request *s)
{
    s2_count_op(s, AUTH_ISSUE_TOKEN);
}

static int begin_issue(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_ISSUE_TOKEN, entered);
}

static void end_issue(struct exchange *x)
{
    struct tokens *t = (struct tokens *)x;
    struct err err = ERR_INIT;
    CLEAN_BUF room = BUF_INIT;
    struct auth_token token;
    struct span body;
    if (!s2_body(&t->s, S2_BAD_JSON, &body))
        return;
    if (t->s.content != S2_TYPE_JSON) {
        s2_fail(&t->s, S2_BAD_JSON, "the body is to be application/json");
        return;
    }
    int rc = token_read(&token, body, &room, false, &err);
    t->change.done = issued;
    exchange_hold(x);
    if (rc == 0)
        rc = auth_issue(x->daemon->auth, &t->change, &token, x->grant, &err);
    if (rc == 0)
        return;
    fail(t, rc, &err);
    exchange_drop(x);
}

const struct route s2_route_tokens_post = {
    .size = sizeof(struct tokens), .begin = begin_issue, .body = s2_body_take, .end = end_issue, .finish = finish};

/* --- revoke ------------------------------------------------------------------------------------------------------ */

static void revoked(struct auth_change *change)
{
    struct tokens *t = (struct tokens *)((char *)change - offsetof(struct tokens, change));
    if (change->result < 0)
        fail(t, change->result, &change->err);
    else
        s2_reply(&t->s, 204, NULL, (struct span){0}, NULL);
    exchange_drop(&t->s.x);
}

static void revoke_entered(struct s2_request *s)
{
    struct tokens *t = (struct tokens *)s;
    struct exchange *x = &s->x;
    struct err err = ERR_INIT;
    CLEAN_BUF id = BUF_INIT;
    s2_count_op(s, AUTH_REVOKE_TOKEN);
    if (uri_decode(&id, x->operand, false, &err) < 0 || s2_token_id(buf_span(&id), &err) < 0) {
        s2_fail(s, S2_BAD_PATH, "%s", err.text);
        return;
    }
    t->change.done = revoked;
    exchange_hold(x);
    int rc = auth_revoke(x->daemon->auth, &t->change, buf_span(&id), x->grant, &err);
    if (rc == 0)
        return;
    fail(t, rc, &err);
    exchange_drop(x);
}

static int begin_revoke(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, 0, AUTH_REVOKE_TOKEN, revoke_entered);
}

const struct route s2_route_token_delete = {.size = sizeof(struct tokens), .begin = begin_revoke, .finish = finish};
