/*
 * Tokens made and revoked: one record of marks each, in force in memory once it is durable.
 */
#include <errno.h>
#include <sodium.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/auth/auth_impl.h"
#include "daemon/auth/token_json.h"

#define SECRET_PREFIX "weir_"

/* --- one record ---------------------------------------------------------------------------------------------- */

/* The names of all marks lie in one buffer, with room for them from the beginning. */
static struct span put_name(struct auth_change *c, const char *prefix, struct span rest)
{
    size_t begin = c->names.len;
    buf_add_str(&c->names, prefix);
    buf_add_span(&c->names, rest);
    return span_of(c->names.ptr + begin, c->names.len - begin);
}

static struct span put_gone_name(struct auth_change *c, const uint8_t hash[static AUTH_HASH_SIZE])
{
    size_t begin = c->names.len;
    buf_add_str(&c->names, AUTH_GONE_MARK);
    b64_encode(&c->names, span_of(hash, AUTH_HASH_SIZE));
    return span_of(c->names.ptr + begin, c->names.len - begin);
}

static void add_mark(struct auth_change *c, enum store_mark_kind kind, struct span name, struct span config)
{
    struct store_op *op = &c->submission.op;
    c->marks[op->mark_count++] = (struct store_mark){.kind = kind, .name = name, .config = config};
    op->marks = c->marks;
}

/* The old secret is remembered as one that went, for the one that went first. */
static int add_gone(struct auth_change *c)
{
    size_t begin = c->record.len;
    struct grant *oldest = auth_oldest_gone(c->auth);
    int rc = json_put_u64(&c->record, time_now_ms());
    if (rc < 0)
        return rc;
    add_mark(c, STORE_MARK_SET, put_gone_name(c, c->old->hash), span_of(c->record.ptr + begin, c->record.len - begin));
    if (oldest) {
        memcpy(c->forgotten, oldest->hash, AUTH_HASH_SIZE);
        c->forgets = true;
        add_mark(c, STORE_MARK_DROP, put_gone_name(c, oldest->hash), (struct span){0});
    }
    return 0;
}

/* A change has up to three names and one record, which are not to move. */
static int set_up(struct auth_change *c, struct auth *auth)
{
    void (*done)(struct auth_change *change) = c->done;
    *c = (struct auth_change){.done = done, .auth = auth};
    int rc = buf_reserve(&c->names, 1024);
    return rc == 0 ? buf_reserve(&c->record, 16 * 1024) : rc;
}

static void clear(struct auth_change *c)
{
    buf_finish(&c->names);
    buf_finish(&c->record);
    grant_drop(c->old);
    grant_drop(c->fresh);
    c->old = c->fresh = NULL;
}

static void submit(struct auth_change *c, void (*after)(struct submission *submission))
{
    struct store_op *op = &c->submission.op;
    op->kind = STORE_APPEND;
    op->authority = AUTHORITY_DAEMON;
    op->urgent = true; /* also on a full disk a token can be revoked */
    c->submission.after = after;
    submit_op(&c->auth->site->source, &c->submission);
}

/* The old one does not count any more. */
static void settle_old(struct auth_change *c)
{
    struct grant *forgotten = c->forgets ? auth_by_hash(c->auth, c->forgotten) : NULL;
    if (forgotten && forgotten->state == GRANT_GONE)
        auth_forget(c->auth, forgotten);
    if (c->old && c->old->state == GRANT_LIVE)
        auth_bury(c->auth, c->old, time_now_ms());
}

static struct auth_change *change_of(struct submission *submission)
{
    return (struct auth_change *)((char *)submission - offsetof(struct auth_change, submission));
}

static void tell(struct auth_change *c)
{
    c->result = c->submission.op.result;
    c->err = c->submission.op.err;
    clear(c);
    c->done(c);
}

/* --- issuing --------------------------------------------------------------------------------------------------- */

static void make_secret(struct auth_change *c)
{
    uint8_t random[32];
    size_t len = sizeof(SECRET_PREFIX) - 1;
    randombytes_buf(random, sizeof(random));
    memcpy(c->secret, SECRET_PREFIX, len);
    sodium_bin2base64(c->secret + len, sizeof(c->secret) - len, random, sizeof(random), sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(random, sizeof(random));
    auth_hash(c->fresh->hash, span_str(c->secret));
}

/* The slot of the id is the new one's from now on; the old one works on until the change is made. */
static int take_slot(struct auth_change *c)
{
    bool there;
    size_t at = auth_place(c->auth, c->fresh->token.id, &there);
    if (!there)
        return auth_add(c->auth, c->fresh);
    c->old = grant_hold(c->auth->by_id[at]);
    c->auth->by_id[at] = c->fresh;
    return 0;
}

static void give_slot_back(struct auth_change *c)
{
    bool there;
    size_t at = auth_place(c->auth, c->fresh->token.id, &there);
    if (c->old && c->old->state == GRANT_LIVE)
        c->auth->by_id[at] = c->old;
    else
        auth_take_out(c->auth, c->fresh);
}

static void issued(struct submission *submission)
{
    struct auth_change *c = change_of(submission);
    if (submission->op.result < 0) {
        sodium_memzero(c->secret, sizeof(c->secret));
        give_slot_back(c);
    } else {
        c->fresh->state = GRANT_LIVE;
        auth_hash_in(c->auth, grant_hold(c->fresh));
        settle_old(c);
        if (c->fresh->token.root)
            auth_close(c->auth);
    }
    tell(c);
}

static int issue(struct auth *auth, struct auth_change *c, const struct auth_token *token)
{
    int rc = set_up(c, auth);
    c->fresh = rc == 0 ? grant_make(token, GRANT_PENDING) : NULL;
    if (!c->fresh) {
        clear(c);
        return -ENOMEM;
    }
    c->fresh->made_ms = time_now_ms();
    make_secret(c);
    rc = token_record_put(&c->record, c->fresh);
    if (rc == 0)
        rc = take_slot(c);
    if (rc == 0) {
        add_mark(c, STORE_MARK_SET, put_name(c, AUTH_MARK, c->fresh->token.id), buf_span(&c->record));
        rc = c->old ? add_gone(c) : 0;
        if (rc < 0)
            give_slot_back(c);
    }
    if (rc < 0) {
        clear(c);
        return rc;
    }
    submit(c, issued);
    return 0;
}

static int check_issuer(struct auth_token *token, const struct grant *issuer, struct err *err)
{
    const struct auth_token *own = &issuer->token;
    if (!token->has_expiry) {
        token->has_expiry = own->has_expiry;
        token->expires_ms = own->expires_ms;
    }
    if (!grant_allows_token(issuer, AUTH_ISSUE_TOKEN, token->id))
        return err_set(err, ERR_FORBIDDEN, "your token does not allow to issue a token of this id");
    if (own->has_expiry && token->expires_ms > own->expires_ms)
        return err_set(err, ERR_FORBIDDEN, "your own token expires before");
    return auth_scope_within(&token->scope, &own->scope, err) ? 0 : ERR_FORBIDDEN;
}

static int check_free(const struct auth *auth, struct span id, struct err *err)
{
    const struct grant *same = auth_find(auth, id);
    if (same && (same->state == GRANT_PENDING || grant_holds(same, time_now_ms())))
        return err_set(err, ERR_CONFLICT, "there is a token of this id; revoke it first");
    if (!same && auth->count >= AUTH_TOKENS_MAX)
        return err_set(err, ERR_FULL, "there are %d tokens; revoke some first", AUTH_TOKENS_MAX);
    return 0;
}

int auth_issue(struct auth *auth, struct auth_change *change, const struct auth_token *asked, struct grant *issuer, struct err *err)
{
    struct auth_token token = *asked;
    token.root = false;
    int rc = issuer ? check_issuer(&token, issuer, err) : 0;
    if (rc < 0)
        return rc;
    if (span_is(token.id, AUTH_ROOT_ID))
        return err_set(err, ERR_INVALID, "the id %s is kept for the root token", AUTH_ROOT_ID);
    if (token.auto_prefix && token.scope.sets[AUTH_STREAMS].how != AUTH_PREFIX)
        return err_set(err, ERR_INVALID, "auto_prefix_streams needs a prefix as scope of streams");
    if (token.has_expiry && token.expires_ms <= time_now_ms())
        return err_set(err, ERR_INVALID, "expires_at is over");
    rc = check_free(auth, token.id, err);
    return rc == 0 ? issue(auth, change, &token) : rc;
}

int auth_issue_root(struct auth *auth, struct auth_change *change, struct err *err)
{
    const struct auth_token token = {.id = span_str(AUTH_ROOT_ID), .scope = auth_scope_all(true), .root = true};
    const struct grant *same = auth_find(auth, token.id);
    if (same && same->state == GRANT_PENDING)
        return err_set(err, ERR_CONFLICT, "the root token is just being made");
    return issue(auth, change, &token);
}

/* --- revoking --------------------------------------------------------------------------------------------------- */

static void revoked(struct submission *submission)
{
    struct auth_change *c = change_of(submission);
    if (submission->op.result == 0)
        settle_old(c);
    tell(c);
}

int auth_revoke(struct auth *auth, struct auth_change *change, struct span id, struct grant *issuer, struct err *err)
{
    struct grant *grant = auth_find(auth, id);
    if (issuer && !grant_allows_token(issuer, AUTH_REVOKE_TOKEN, id))
        return err_set(err, ERR_FORBIDDEN, "your token does not allow to revoke this one");
    if (!grant || grant->state != GRANT_LIVE)
        return err_set(err, ERR_NOT_FOUND, "there is no token of this id");
    if (grant->token.root)
        return err_set(err, ERR_FORBIDDEN, "the root token is not revoked but replaced: weir token root");
    int rc = set_up(change, auth);
    if (rc == 0) {
        change->old = grant_hold(grant);
        add_mark(change, STORE_MARK_DROP, put_name(change, AUTH_MARK, id), (struct span){0});
        rc = add_gone(change);
    }
    if (rc < 0) {
        clear(change);
        return rc;
    }
    submit(change, revoked);
    return 0;
}
