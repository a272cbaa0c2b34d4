/*
 * Any text as a token that is asked for, and as the store's record of one: what is read is written and read again as the same, and
 * allows the same.
 */
#include <stdlib.h>

#include "base/json.h"
#include "daemon/auth/token_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void demand_same(const struct auth_token *a, const struct auth_token *b)
{
    demand(span_eq(a->id, b->id) && a->auto_prefix == b->auto_prefix && a->has_expiry == b->has_expiry);
    demand(a->expires_ms == b->expires_ms && auth_scope_ops(&a->scope) == auth_scope_ops(&b->scope));
    demand(auth_scope_within(&a->scope, &b->scope, NULL) && auth_scope_within(&b->scope, &a->scope, NULL));
}

static void try_token(struct span text, bool exec)
{
    struct err err = ERR_INIT;
    struct auth_token token, again;
    CLEAN_BUF room = BUF_INIT;
    CLEAN_BUF more = BUF_INIT;
    CLEAN_BUF out = BUF_INIT;
    int rc = token_read(&token, text, &room, exec, &err);
    demand(rc == 0 || (rc == ERR_FORMAT && err.text[0] != '\0'));
    if (rc < 0)
        return;
    demand(exec || !(auth_scope_ops(&token.scope) & AUTH_OP_BIT(AUTH_EXEC)));
    demand(token_put(&out, &token, true) == 0 && json_validate(buf_span(&out), 8, NULL, NULL) == 0);
    demand(token_read(&again, buf_span(&out), &more, true, NULL) == 0);
    demand_same(&token, &again);
}

static void try_record(struct span text)
{
    struct grant *grant = NULL, *again = NULL;
    CLEAN_BUF out = BUF_INIT;
    int rc = token_record_read(&grant, text, NULL);
    demand(rc == 0 || rc == ERR_DAMAGED);
    if (rc < 0)
        return;
    demand(token_record_put(&out, grant) == 0 && token_record_read(&again, buf_span(&out), NULL) == 0);
    demand(memcmp(grant->hash, again->hash, AUTH_HASH_SIZE) == 0 && grant->token.root == again->token.root);
    demand_same(&grant->token, &again->token);
    grant_drop(grant);
    grant_drop(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_token(span_of(data, size), false);
    try_token(span_of(data, size), true);
    try_record(span_of(data, size));
    return 0;
}
