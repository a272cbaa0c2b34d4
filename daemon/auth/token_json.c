#include "daemon/auth/token_json.h"

#include <errno.h>

#include "base/json.h"
#include "base/s2/names.h"
#include "base/text.h"

#define DEPTH 16
#define LAST_MS UINT64_C(253402300799999) /* the last moment of the year 9999, behind which RFC 3339 has none */

static const char *const set_names[AUTH_SETS] = {"basins", "streams", "access_tokens"};
static const char *const group_names[] = {"account", "basin", "stream"};

/* --- reading ------------------------------------------------------------------------------------------------- */

/* Texts go into one buffer, which may move while it grows: what is kept at first is where they begin in it. */
struct reading {
    struct buf *room;
    bool exec;
    struct err *err;
};

static int bad(const struct reading *r, const char *what)
{
    return err_set(r->err, ERR_FORMAT, "%s", what);
}

static int take_text(const struct reading *r, struct json_value value, struct span *out, const char *what)
{
    size_t begin = r->room->len;
    if (value.type != JSON_STRING)
        return bad(r, what);
    int rc = json_string_decode(value.raw, r->room, r->err);
    *out = span_of(r->room->ptr + begin, r->room->len - begin);
    return rc == ERR_INVALID ? bad(r, what) : rc;
}

static int take_flag(const struct reading *r, struct json_value value, bool *out, const char *what)
{
    *out = span_is(value.raw, "true");
    return value.type == JSON_BOOL || value.type == JSON_NULL ? 0 : bad(r, what);
}

/* Names that are too long for what they name, or can be no part of it. */
static int check_set(const struct reading *r, int which, struct span text)
{
    struct err why = ERR_INIT;
    int rc = 0;
    if (which == AUTH_BASINS)
        rc = s2_basin_prefix(text, &why);
    else if (which == AUTH_STREAMS)
        rc = s2_stream_prefix(text, &why);
    else if (text.len > S2_TOKEN_ID_MAX)
        rc = err_set(&why, ERR_INVALID, "ids of tokens have at most %d bytes", S2_TOKEN_ID_MAX);
    return rc == 0 ? 0 : bad(r, why.text);
}

static int take_set(const struct reading *r, struct json_value value, int which, struct auth_set *out)
{
    static const char what[] = "a set of names is {\"exact\":TEXT}, {\"prefix\":TEXT} or null";
    struct json_iter it;
    struct span key;
    *out = (struct auth_set){AUTH_NO_NAME, {0}};
    if (value.type == JSON_NULL)
        return 0;
    if (value.type != JSON_OBJECT || json_iter_init(&it, value.raw) != 0)
        return bad(r, what);
    while (json_iter_next(&it, &key, &value)) {
        bool exact = json_string_is(key, "exact");
        if ((!exact && !json_string_is(key, "prefix")) || value.type == JSON_NULL)
            continue;
        if (out->how != AUTH_NO_NAME)
            return bad(r, what);
        int rc = take_text(r, value, &out->text, what);
        if (rc == 0)
            rc = check_set(r, which, out->text);
        if (rc < 0)
            return rc;
        out->how = exact ? AUTH_EXACT : AUTH_PREFIX;
    }
    return 0;
}

static int take_group(const struct reading *r, struct json_value value, int group, uint32_t *out)
{
    static const char what[] = "a group of operations is {\"read\":BOOL,\"write\":BOOL}";
    struct json_iter it;
    struct span key;
    bool on;
    if (value.type == JSON_NULL)
        return 0;
    if (value.type != JSON_OBJECT || json_iter_init(&it, value.raw) != 0)
        return bad(r, what);
    while (json_iter_next(&it, &key, &value)) {
        bool write = json_string_is(key, "write");
        if (!write && !json_string_is(key, "read"))
            continue;
        int rc = take_flag(r, value, &on, what);
        if (rc < 0)
            return rc;
        *out |= on ? UINT32_C(1) << (2 * group + write) : 0;
    }
    return 0;
}

static int take_groups(const struct reading *r, struct json_value value, uint32_t *out)
{
    struct json_iter it;
    struct span key;
    int rc = 0;
    if (value.type == JSON_NULL)
        return 0;
    if (value.type != JSON_OBJECT || json_iter_init(&it, value.raw) != 0)
        return bad(r, "op_groups is an object");
    while (rc == 0 && json_iter_next(&it, &key, &value))
        for (int group = 0; rc == 0 && group < 3; group++)
            if (json_string_is(key, group_names[group]))
                rc = take_group(r, value, group, out);
    return rc;
}

static int take_ops(const struct reading *r, struct json_value value, uint32_t *out)
{
    struct json_iter it;
    if (value.type == JSON_NULL)
        return 0;
    if (value.type != JSON_ARRAY || json_iter_init(&it, value.raw) != 0)
        return bad(r, "ops is an array of names");
    while (json_iter_next(&it, NULL, &value)) {
        enum auth_op op = value.type == JSON_STRING ? auth_op_of(value.raw) : AUTH_NONE;
        if (op == AUTH_NONE || (op == AUTH_EXEC && !r->exec))
            return err_set(r->err, ERR_FORMAT, "there is no operation %.*s", SPAN_ARG(value.raw));
        *out |= AUTH_OP_BIT(op);
    }
    return 0;
}

static int take_scope(const struct reading *r, struct json_value value, struct auth_scope *out)
{
    struct json_iter it;
    struct span key;
    int rc = 0;
    if (value.type != JSON_OBJECT || json_iter_init(&it, value.raw) != 0)
        return bad(r, "scope is an object");
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        for (int i = 0; rc == 0 && i < AUTH_SETS; i++)
            if (json_string_is(key, set_names[i]))
                rc = take_set(r, value, i, &out->sets[i]);
        if (rc == 0 && json_string_is(key, "op_groups"))
            rc = take_groups(r, value, &out->groups);
        else if (rc == 0 && json_string_is(key, "ops"))
            rc = take_ops(r, value, &out->ops);
    }
    return rc;
}

/* RFC 3339 with an offset; not the other forms of moments that people may write. */
static bool is_rfc3339(struct span text)
{
    return text.len >= 20 && text.ptr[4] == '-' && text.ptr[7] == '-' && strchr("Tt ", text.ptr[10]) && text.ptr[10] &&
           (text.ptr[text.len - 1] == 'Z' || text.ptr[text.len - 1] == 'z' || text.ptr[text.len - 6] == '+' ||
            text.ptr[text.len - 6] == '-');
}

static int take_expiry(const struct reading *r, struct json_value value, struct auth_token *out)
{
    static const char what[] = "expires_at is a time as RFC 3339 has it";
    struct span text;
    if (value.type == JSON_NULL)
        return 0;
    int rc = take_text(r, value, &text, what);
    if (rc == 0 && (!is_rfc3339(text) || time_parse_moment(text, time_now_ms(), &out->expires_ms, NULL) < 0 || out->expires_ms > LAST_MS))
        rc = bad(r, what);
    out->has_expiry = rc == 0;
    return rc;
}

static int take_members(const struct reading *r, struct span json, struct auth_token *out, bool *scoped)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    int rc = json_iter_init(&it, json) == 0 && json_type_of(json) == JSON_OBJECT ? 0 : bad(r, "a token is asked for by an object");
    while (rc == 0 && json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "id"))
            rc = take_text(r, value, &out->id, "id is a text");
        else if (json_string_is(key, "scope"))
            rc = take_scope(r, value, &out->scope), *scoped = true;
        else if (json_string_is(key, "expires_at"))
            rc = take_expiry(r, value, out);
        else if (json_string_is(key, "auto_prefix_streams"))
            rc = take_flag(r, value, &out->auto_prefix, "auto_prefix_streams is true or false");
    }
    return rc;
}

int token_read(struct auth_token *out, struct span json, struct buf *room, bool exec, struct err *err)
{
    const struct reading r = {.room = room, .exec = exec, .err = err};
    bool scoped = false;
    *out = (struct auth_token){0};
    int rc = json_validate(json, DEPTH, NULL, err);
    if (rc == ERR_INVALID)
        return err->code = ERR_FORMAT;
    if (rc == 0)
        rc = buf_reserve(room, json.len); /* decoded texts are no longer than they were, so spans into it stay good */
    if (rc == 0)
        rc = take_members(&r, json, out, &scoped);
    if (rc == 0 && (!out->id.ptr || !scoped))
        rc = bad(&r, "id and scope are needed");
    struct err why = ERR_INIT;
    return rc == 0 && s2_token_id(out->id, &why) < 0 ? bad(&r, why.text) : rc;
}

/* --- writing -------------------------------------------------------------------------------------------------- */

static int put_set(struct buf *out, const char *name, const struct auth_set *set)
{
    int rc = buf_addf(out, "\"%s\":", name);
    if (rc == 0 && set->how == AUTH_NO_NAME)
        return buf_add_str(out, "null,");
    if (rc == 0)
        rc = buf_add_str(out, set->how == AUTH_EXACT ? "{\"exact\":" : "{\"prefix\":");
    if (rc == 0)
        rc = json_put_string(out, set->text);
    return rc == 0 ? buf_add_str(out, "},") : rc;
}

static int put_groups(struct buf *out, uint32_t groups)
{
    int rc = buf_add_str(out, groups ? "\"op_groups\":{" : "\"op_groups\":null");
    for (int i = 0; rc == 0 && groups && i < 3; i++)
        rc = buf_addf(out, "%s\"%s\":{\"read\":%s,\"write\":%s}", i ? "," : "", group_names[i],
                      groups & UINT32_C(1) << 2 * i ? "true" : "false", groups & UINT32_C(2) << 2 * i ? "true" : "false");
    return rc == 0 && groups ? buf_add_str(out, "}") : rc;
}

static int put_ops(struct buf *out, uint32_t ops)
{
    bool first = true;
    int rc = buf_add_str(out, ",\"ops\":[");
    for (int op = 1; rc == 0 && op < AUTH_OPS; op++)
        if (ops & AUTH_OP_BIT(op)) {
            rc = buf_addf(out, "%s\"%s\"", first ? "" : ",", auth_op_name((enum auth_op)op));
            first = false;
        }
    return rc == 0 ? buf_add_str(out, "]") : rc;
}

static int put_expiry(struct buf *out, const struct auth_token *token)
{
    char text[TIME_TEXT_MAX];
    if (!token->has_expiry)
        return buf_add_str(out, ",\"expires_at\":null}");
    time_format(text, token->expires_ms);
    return buf_addf(out, ",\"expires_at\":\"%s\"}", text);
}

int token_put(struct buf *out, const struct auth_token *token, bool exec)
{
    const struct auth_scope *scope = &token->scope;
    int rc = buf_add_str(out, "{\"id\":");
    if (rc == 0)
        rc = json_put_string(out, token->id);
    if (rc == 0)
        rc = buf_add_str(out, ",\"scope\":{");
    for (int i = 0; rc == 0 && i < AUTH_SETS; i++)
        rc = put_set(out, set_names[i], &scope->sets[i]);
    if (rc == 0)
        rc = put_groups(out, scope->groups);
    if (rc == 0)
        rc = put_ops(out, exec ? scope->ops : scope->ops & ~AUTH_OP_BIT(AUTH_EXEC));
    if (rc == 0)
        rc = buf_addf(out, "},\"auto_prefix_streams\":%s", token->auto_prefix ? "true" : "false");
    return rc == 0 ? put_expiry(out, token) : rc;
}

/* --- as the store keeps it -------------------------------------------------------------------------------------- */

/* {"hash":BASE64,"root":BOOL,"made":MS,"token":{..}} */
int token_record_put(struct buf *out, const struct grant *grant)
{
    int rc = buf_add_str(out, "{\"hash\":\"");
    if (rc == 0)
        rc = b64_encode(out, span_of(grant->hash, AUTH_HASH_SIZE));
    if (rc == 0)
        rc = buf_addf(out, "\",\"root\":%s,\"made\":%llu,\"token\":", grant->token.root ? "true" : "false",
                      (unsigned long long)grant->made_ms);
    if (rc == 0)
        rc = token_put(out, &grant->token, true);
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

struct record {
    struct span hash, token;
    uint64_t made_ms;
    bool root;
};

static int read_record(struct record *out, struct span record, struct err *err)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    if (json_validate(record, DEPTH, NULL, err) != 0 || json_iter_init(&it, record) != 0)
        return ERR_DAMAGED;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "hash") && value.type == JSON_STRING)
            out->hash = span_of(value.raw.ptr + 1, value.raw.len - 2);
        else if (json_string_is(key, "root"))
            out->root = span_is(value.raw, "true");
        else if (json_string_is(key, "made"))
            json_u64(value.raw, &out->made_ms);
        else if (json_string_is(key, "token"))
            out->token = value.raw;
    }
    return 0;
}

int token_record_read(struct grant **out, struct span record, struct err *err)
{
    struct record r = {0};
    CLEAN_BUF room = BUF_INIT;
    struct auth_token token;
    uint8_t hash[AUTH_HASH_SIZE];
    size_t len = 0;
    struct err why = ERR_INIT;
    int rc = read_record(&r, record, &why);
    if (rc == 0 && (b64_decode_into(hash, sizeof(hash), r.hash, &len) != 0 || len != sizeof(hash)))
        rc = err_set(&why, ERR_DAMAGED, "it has no hash");
    if (rc == 0)
        rc = token_read(&token, r.token, &room, true, &why);
    if (rc == -ENOMEM)
        return rc;
    if (rc < 0)
        return err_set(err, ERR_DAMAGED, "%s", why.text);
    token.root = r.root;
    struct grant *grant = grant_make(&token, GRANT_LIVE);
    if (!grant)
        return -ENOMEM;
    memcpy(grant->hash, hash, sizeof(hash));
    grant->made_ms = r.made_ms;
    *out = grant;
    return 0;
}
