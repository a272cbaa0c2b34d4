/* weir s2: access tokens and locations. */
#include "base/json.h"
#include "base/text.h"
#include "cmd/s2/names.h"

enum {
    EXPIRES_IN = 1,
    EXPIRES_AT,
    AUTO_PREFIX,
    BASINS_PREFIX,
    BASINS_EXACT,
    STREAMS_PREFIX,
    STREAMS_EXACT,
    TOKENS_PREFIX,
    TOKENS_EXACT,
    GROUPS,
    OPS
};

static const struct option_row issue_options[] = {
    {.id = EXPIRES_IN, .name = "expires-in", .arg = "TIME", .help = "30d, 24h ..."},
    {.id = EXPIRES_AT, .name = "expires-at", .arg = "RFC3339", .help = "the moment it ends"},
    {.id = AUTO_PREFIX,
     .name = "auto-prefix-streams",
     .help = "names of streams get the prefix by themselves"},
    {.id = BASINS_PREFIX,
     .name = "basins-prefix",
     .arg = "TEXT",
     .help = "basins it may use; \"\" is all"},
    {.id = BASINS_EXACT, .name = "basins-exact", .arg = "NAME", .help = "the basin it may use"},
    {.id = STREAMS_PREFIX,
     .name = "streams-prefix",
     .arg = "TEXT",
     .help = "streams it may use; \"\" is all"},
    {.id = STREAMS_EXACT, .name = "streams-exact", .arg = "NAME", .help = "the stream it may use"},
    {.id = TOKENS_PREFIX,
     .name = "access-tokens-prefix",
     .arg = "TEXT",
     .help = "tokens it may issue and revoke"},
    {.id = TOKENS_EXACT, .name = "access-tokens-exact", .arg = "ID", .help = "the same, one token"},
    {.id = GROUPS,
     .name = "op-group-perms",
     .arg = "PERMS",
     .help = "such as account=rw,basin=r,stream=rw"},
    {.id = OPS, .name = "ops", .arg = "OP,OP", .help = "operations: append,read,check-tail ..."},
    {.name = NULL},
};

/* A scope's set: {"prefix":..} or {"exact":..}. */
static int put_set(const struct args *args, struct buf *out, const char *name, int prefix,
                   int exact)
{
    const char *text = args_value(args, exact) ? args_value(args, exact) : args_value(args, prefix);
    if (!text)
        return 0;
    int rc = buf_addf(out, "%s\"%s\":{\"%s\":", out->ptr[out->len - 1] == '{' ? "" : ",", name,
                      args_value(args, exact) ? "exact" : "prefix");
    if (rc == 0)
        rc = json_put_string(out, span_str(text));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

/* account=rw,basin=r */
static int put_groups(const struct args *args, struct buf *out, int *bad)
{
    const char *rest = args_value(args, GROUPS);
    int rc =
        rest ? buf_addf(out, "%s\"op_groups\":{", out->ptr[out->len - 1] == '{' ? "" : ",") : 0;
    for (bool first = true; rc == 0 && rest && *rest; first = false) {
        size_t len = strcspn(rest, ",");
        const char *equals = memchr(rest, '=', len);
        if (!equals) {
            *bad = args_usage(
                args, "--op-group-perms is like account=rw,basin=r,stream=w, not `%s'", rest);
            return 0;
        }
        size_t rights = len - (size_t)(equals - rest) - 1;
        rc =
            buf_addf(out, "%s\"%.*s\":{\"read\":%s,\"write\":%s}", first ? "" : ",",
                     (int)(equals - rest), rest, memchr(equals + 1, 'r', rights) ? "true" : "false",
                     memchr(equals + 1, 'w', rights) ? "true" : "false");
        rest += len + (rest[len] == ',');
    }
    return rc == 0 && rest ? buf_add_str(out, "}") : rc;
}

static int put_ops(const struct args *args, struct buf *out)
{
    const char *rest = args_value(args, OPS);
    int rc = rest ? buf_addf(out, "%s\"ops\":[", out->ptr[out->len - 1] == '{' ? "" : ",") : 0;
    for (bool first = true; rc == 0 && rest && *rest; first = false) {
        size_t len = strcspn(rest, ",");
        size_t begin = out->len + (first ? 0 : 1);
        rc = buf_addf(out, "%s\"%.*s\"", first ? "" : ",", (int)len, rest);
        for (size_t i = begin; rc == 0 && i < out->len; i++)
            out->ptr[i] = out->ptr[i] == '_' ? '-' : out->ptr[i];
        rest += len + (rest[len] == ',');
    }
    return rc == 0 && rest ? buf_add_str(out, "]") : rc;
}

static int put_scope(const struct args *args, struct buf *out, int *bad)
{
    int rc = buf_add_str(out, "\"scope\":{");
    if (rc == 0)
        rc = put_set(args, out, "basins", BASINS_PREFIX, BASINS_EXACT);
    if (rc == 0)
        rc = put_set(args, out, "streams", STREAMS_PREFIX, STREAMS_EXACT);
    if (rc == 0)
        rc = put_set(args, out, "access_tokens", TOKENS_PREFIX, TOKENS_EXACT);
    if (rc == 0)
        rc = put_groups(args, out, bad);
    if (rc == 0)
        rc = put_ops(args, out);
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static int put_expiry(const struct args *args, struct buf *out, int *bad)
{
    uint64_t ms = 0;
    bool has;
    char text[TIME_TEXT_MAX];
    const char *at = args_value(args, EXPIRES_AT);
    *bad = args_duration(args, EXPIRES_IN, &ms, &has);
    if (has) {
        time_format(text, time_now_ms() + ms);
        at = text;
    }
    int rc = at ? buf_add_str(out, ",\"expires_at\":") : 0;
    return rc == 0 && at ? json_put_string(out, span_str(at)) : rc;
}

static int issue(struct args *args)
{
    CLEAN_BUF json = BUF_INIT;
    int bad = 0;
    int rc = buf_add_str(&json, "{\"id\":");
    if (rc == 0)
        rc = json_put_string(&json, span_str(args_operand(args, 0)));
    if (rc == 0)
        rc = buf_add_str(&json, ",");
    if (rc == 0)
        rc = put_scope(args, &json, &bad);
    if (rc == 0 && bad == 0)
        rc = put_expiry(args, &json, &bad);
    if (rc == 0 && args_has(args, AUTO_PREFIX))
        rc = buf_add_str(&json, ",\"auto_prefix_streams\":true");
    if (rc == 0)
        rc = buf_add_str(&json, "}");
    if (rc != 0 || !buf_cstr(&json))
        return args_failf(args, "out of memory");
    rc = bad == 0 ? args_open(args, NULL) : bad;
    if (rc != 0)
        return rc;
    return args_call(args, &(struct weir_s2_request){.method = "POST",
                                                     .collection = "access-tokens",
                                                     .json = (char *)json.ptr});
}

static int list(struct args *args)
{
    int rc = args_open(args, NULL);
    return rc == 0 ? names_list(args, &(struct names){.collection = "access-tokens",
                                                      .items = "access_tokens",
                                                      .member = "id"})
                   : rc;
}

static int revoke(struct args *args)
{
    int rc = args_open(args, NULL);
    if (rc != 0)
        return rc;
    return args_call(args, &(struct weir_s2_request){.method = "DELETE",
                                                     .collection = "access-tokens",
                                                     .name = args_operand(args, 0)});
}

static int locations(struct args *args)
{
    int rc = args_open(args, NULL);
    return rc == 0 ? args_call(args, &(struct weir_s2_request){.method = "GET",
                                                               .collection = "locations"})
                   : rc;
}

const struct verb verb_issue_token = {
    .name = "issue-access-token",
    .operands = "ID",
    .about = "issue an access token; its secret is printed, once\n",
    .options = issue_options,
    .min = 1,
    .max = 1,
    .exec = issue,
};

const struct verb verb_list_tokens = {
    .name = "list-access-tokens",
    .operands = "",
    .about = "list access tokens\n",
    .options = names_options,
    .exec = list,
};

const struct verb verb_revoke_token = {
    .name = "revoke-access-token",
    .operands = "ID",
    .about = "revoke an access token\n",
    .min = 1,
    .max = 1,
    .exec = revoke,
};

const struct verb verb_list_locations = {
    .name = "list-locations",
    .operands = "",
    .about = "list locations\n",
    .exec = locations,
};
