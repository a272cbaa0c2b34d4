#include "daemon/auth/scope.h"

#include <errno.h>
#include <stdlib.h>

#include "base/json.h"

/* --- operations --------------------------------------------------------------------------------------------- */

static const char *const names[AUTH_OPS] = {
    [AUTH_LIST_BASINS] = "list-basins",
    [AUTH_CREATE_BASIN] = "create-basin",
    [AUTH_DELETE_BASIN] = "delete-basin",
    [AUTH_RECONFIGURE_BASIN] = "reconfigure-basin",
    [AUTH_GET_BASIN_CONFIG] = "get-basin-config",
    [AUTH_ISSUE_TOKEN] = "issue-access-token",
    [AUTH_REVOKE_TOKEN] = "revoke-access-token",
    [AUTH_LIST_TOKENS] = "list-access-tokens",
    [AUTH_LIST_STREAMS] = "list-streams",
    [AUTH_CREATE_STREAM] = "create-stream",
    [AUTH_DELETE_STREAM] = "delete-stream",
    [AUTH_GET_STREAM_CONFIG] = "get-stream-config",
    [AUTH_RECONFIGURE_STREAM] = "reconfigure-stream",
    [AUTH_CHECK_TAIL] = "check-tail",
    [AUTH_APPEND] = "append",
    [AUTH_READ] = "read",
    [AUTH_TRIM] = "trim",
    [AUTH_FENCE] = "fence",
    [AUTH_ACCOUNT_METRICS] = "account-metrics",
    [AUTH_BASIN_METRICS] = "basin-metrics",
    [AUTH_STREAM_METRICS] = "stream-metrics",
    [AUTH_LIST_LOCATIONS] = "list-locations",
    [AUTH_GET_LOCATION] = "get-default-location",
    [AUTH_SET_LOCATION] = "set-default-location",
    [AUTH_EXEC] = "exec",
};

#define B(op) AUTH_OP_BIT(AUTH_##op)

static const uint32_t grouped[AUTH_GROUPS] = {
    [AUTH_ACCOUNT_READ] = B(LIST_BASINS) | B(LIST_TOKENS) | B(ACCOUNT_METRICS) | B(LIST_LOCATIONS) | B(GET_LOCATION),
    [AUTH_ACCOUNT_WRITE] =
        B(CREATE_BASIN) | B(DELETE_BASIN) | B(RECONFIGURE_BASIN) | B(ISSUE_TOKEN) | B(REVOKE_TOKEN) | B(SET_LOCATION),
    [AUTH_BASIN_READ] = B(GET_BASIN_CONFIG) | B(LIST_STREAMS) | B(BASIN_METRICS),
    [AUTH_BASIN_WRITE] = B(CREATE_STREAM) | B(DELETE_STREAM) | B(RECONFIGURE_STREAM),
    [AUTH_STREAM_READ] = B(GET_STREAM_CONFIG) | B(CHECK_TAIL) | B(READ) | B(STREAM_METRICS),
    [AUTH_STREAM_WRITE] = B(APPEND) | B(TRIM) | B(FENCE),
};

const char *auth_op_name(enum auth_op op)
{
    return op < AUTH_OPS ? names[op] : NULL;
}

enum auth_op auth_op_of(struct span raw)
{
    for (int op = 1; op < AUTH_OPS; op++)
        if (json_string_is(raw, names[op]))
            return (enum auth_op)op;
    return AUTH_NONE;
}

uint32_t auth_group_ops(uint32_t groups)
{
    uint32_t ops = 0;
    for (int group = 0; group < AUTH_GROUPS; group++)
        if (groups & UINT32_C(1) << group)
            ops |= grouped[group];
    return ops;
}

uint32_t auth_scope_ops(const struct auth_scope *scope)
{
    return scope->ops | auth_group_ops(scope->groups);
}

struct auth_scope auth_scope_all(bool exec)
{
    const struct auth_set all = {AUTH_PREFIX, {NULL, 0}};
    return (struct auth_scope){.sets = {all, all, all},
                               .ops = exec ? AUTH_OP_BIT(AUTH_EXEC) : 0,
                               .groups = (UINT32_C(1) << AUTH_GROUPS) - 1};
}

/* --- sets ---------------------------------------------------------------------------------------------------- */

static bool begins_with(struct span text, struct span prefix)
{
    return text.len >= prefix.len && (prefix.len == 0 || memcmp(text.ptr, prefix.ptr, prefix.len) == 0);
}

bool auth_set_has(const struct auth_set *set, struct span name)
{
    switch (set->how) {
    case AUTH_EXACT:
        return set->text.len > 0 && span_eq(set->text, name);
    case AUTH_PREFIX:
        return begins_with(name, set->text);
    case AUTH_NO_NAME:
        break;
    }
    return false;
}

static bool is_none(const struct auth_set *set)
{
    return set->how == AUTH_NO_NAME || (set->how == AUTH_EXACT && set->text.len == 0);
}

bool auth_set_is_all(const struct auth_set *set)
{
    return set->how == AUTH_PREFIX && set->text.len == 0;
}

bool auth_set_within(const struct auth_set *inner, const struct auth_set *outer)
{
    if (is_none(inner))
        return true;
    return inner->how == AUTH_EXACT ? auth_set_has(outer, inner->text)
                                    : outer->how == AUTH_PREFIX && begins_with(inner->text, outer->text);
}

bool auth_scope_within(const struct auth_scope *inner, const struct auth_scope *outer, struct err *err)
{
    static const char *const sets[AUTH_SETS] = {"basins", "streams", "access tokens"};
    uint32_t more = auth_scope_ops(inner) & ~auth_scope_ops(outer);
    for (int op = 1; op < AUTH_OPS; op++)
        if (more & AUTH_OP_BIT(op)) {
            err_set(err, ERR_FORBIDDEN, "your own token does not allow %s", names[op]);
            return false;
        }
    for (int i = 0; i < AUTH_SETS; i++)
        if (!auth_set_within(&inner->sets[i], &outer->sets[i])) {
            err_set(err, ERR_FORBIDDEN, "your own token does not have all of these %s", sets[i]);
            return false;
        }
    return true;
}

/* --- patterns of topics --------------------------------------------------------------------------------------- */

static int add(struct pattern_list *list, struct span text, bool prefix)
{
    list->items[list->count++] = (struct pattern){text, prefix};
    return 0;
}

/* What of one pattern the set has: up to two patterns. */
static void add_part(struct pattern_list *part, const struct auth_set *set, const struct pattern *p)
{
    if (set->how == AUTH_EXACT) {
        struct pattern one = *p;
        struct pattern_list list = {.count = 1, .items = &one};
        if (pattern_match(&list, set->text))
            add(part, set->text, false);
    } else if (begins_with(p->text, set->text)) {
        add(part, p->text, p->prefix);
    } else if (p->prefix && begins_with(set->text, p->text)) {
        add(part, set->text, false);
        add(part, set->text, true);
    }
}

int auth_set_patterns(const struct auth_set *set, const struct pattern_list *list, struct pattern_list *out)
{
    struct pattern everything = {.prefix = true};
    if (auth_set_is_all(set))
        return pattern_dup(out, list);
    size_t count = list->all ? 1 : list->count;
    struct pattern_list part = {.items = calloc(2 * count + 1, sizeof(*part.items))};
    if (!part.items)
        return -ENOMEM;
    for (size_t i = 0; !is_none(set) && i < count; i++)
        add_part(&part, set, list->all ? &everything : &list->items[i]);
    int rc = pattern_dup(out, &part);
    free(part.items);
    return rc;
}

bool auth_set_has_patterns(const struct auth_set *set, const struct pattern_list *list)
{
    if (auth_set_is_all(set))
        return true;
    for (size_t i = 0; i < list->count; i++) {
        const struct pattern *p = &list->items[i];
        const struct auth_set one = {p->prefix ? AUTH_PREFIX : AUTH_EXACT, p->text};
        if (!auth_set_within(&one, set))
            return false;
    }
    return !list->all;
}
