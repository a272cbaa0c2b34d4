#include "daemon/auth/grant.h"

#include <stdlib.h>

#include "base/text.h"

static struct span copy_text(uint8_t **at, struct span text)
{
    struct span copy = {*at, text.len};
    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return copy;
}

struct grant *grant_make(const struct auth_token *token, enum grant_state state)
{
    size_t bytes = token->id.len;
    for (int i = 0; i < AUTH_SETS; i++)
        bytes += token->scope.sets[i].text.len;
    struct grant *grant = calloc(1, sizeof(*grant) + bytes);
    if (!grant)
        return NULL;
    uint8_t *at = grant->texts;
    grant->refs = 1;
    grant->state = state;
    grant->token = *token;
    grant->token.id = copy_text(&at, token->id);
    for (int i = 0; i < AUTH_SETS; i++)
        grant->token.scope.sets[i].text = copy_text(&at, token->scope.sets[i].text);
    grant->ops = auth_scope_ops(&token->scope);
    atomic_init(&grant->over, state == GRANT_GONE);
    return grant;
}

struct grant *grant_hold(struct grant *grant)
{
    if (grant)
        grant->refs++;
    return grant;
}

void grant_drop(struct grant *grant)
{
    if (grant && --grant->refs == 0)
        free(grant);
}

bool grant_holds(const struct grant *grant, uint64_t now_ms)
{
    return !atomic_load(&grant->over) && !(grant->token.has_expiry && grant->token.expires_ms <= now_ms);
}

/* The clock is asked only where it matters. */
static bool holds_now(const struct grant *grant)
{
    return grant_holds(grant, grant->token.has_expiry ? time_now_ms() : 0);
}

bool grant_allows(const struct grant *grant, enum auth_op op, struct span basin, struct span stream)
{
    if (!grant)
        return op != AUTH_EXEC;
    const struct auth_set *sets = grant->token.scope.sets;
    return holds_now(grant) && (op == AUTH_NONE || grant->ops & AUTH_OP_BIT(op)) &&
           (basin.len == 0 || auth_set_has(&sets[AUTH_BASINS], basin)) &&
           (stream.len == 0 || auth_set_has(&sets[AUTH_STREAMS], stream));
}

bool grant_allows_token(const struct grant *grant, enum auth_op op, struct span id)
{
    return grant_allows(grant, op, (struct span){0}, (struct span){0}) &&
           (!grant || auth_set_has(&grant->token.scope.sets[AUTH_TOKENS], id));
}

struct span grant_prefix(const struct grant *grant)
{
    return grant && grant->token.auto_prefix ? grant->token.scope.sets[AUTH_STREAMS].text : (struct span){0};
}

const struct auth_scope *grant_scope(const struct grant *grant)
{
    return grant ? &grant->token.scope : NULL;
}

bool grant_sees_all(const struct grant *grant)
{
    return !grant || auth_set_is_all(&grant->token.scope.sets[AUTH_STREAMS]);
}
