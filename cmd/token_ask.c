/* What `weir token issue' asks for. */
#include "cmd/token.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

/* NAME, or PREFIX* */
static int put_set(struct buf *out, const char *key, const char *text, const char *otherwise)
{
    struct span name = span_str(text ? text : otherwise);
    bool prefix = name.len > 0 && name.ptr[name.len - 1] == '*';
    if (name.len == 0)
        return buf_addf(out, "\"%s\":null,", key);
    name.len -= prefix;
    int rc = buf_addf(out, "\"%s\":{\"%s\":", key, prefix ? "prefix" : "exact");
    if (rc == 0)
        rc = json_put_string(out, name);
    return rc == 0 ? buf_add_str(out, "},") : rc;
}

/* Each name of each --op, as an element with a comma in front. */
static int put_names(struct buf *out, struct span list, bool *first)
{
    int rc = 0;
    while (rc == 0 && list.len > 0) {
        const uint8_t *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (len > 0) {
            rc = buf_add_str(out, *first ? "" : ",");
            if (rc == 0)
                rc = json_put_string(out, span_of(list.ptr, len));
            *first = false;
        }
        list = span_of(list.ptr + len + (comma != NULL), list.len - len - (comma != NULL));
    }
    return rc;
}

static int put_ops(struct buf *out, const struct call *call)
{
    bool first = true;
    int rc = buf_add_str(out, "\"ops\":[");
    for (size_t i = 0; rc == 0 && i < call->given_count; i++) {
        const struct given *g = &call->given[i];
        if (g->option->id == TOKEN_OP)
            rc = put_names(out, span_str(g->value), &first);
        else if (g->option->id == TOKEN_EXEC)
            rc = put_names(out, span_str("exec"), &first);
    }
    return rc == 0 ? buf_add_str(out, "]") : rc;
}

static int put_scope(struct buf *out, const struct call *call)
{
    const char *read = call_has(call, TOKEN_READ) ? "true" : "false";
    const char *write = call_has(call, TOKEN_WRITE) ? "true" : "false";
    int rc = put_set(out, "basins", call_value(call, TOKEN_BASIN), "*");
    if (rc == 0)
        rc = put_set(out, "streams", call_value(call, TOKEN_STREAM), "*");
    if (rc == 0)
        rc = put_set(out, "access_tokens", call_value(call, TOKEN_TOKEN), "");
    if (rc == 0)
        rc = buf_addf(out,
                      "\"op_groups\":{\"account\":{\"read\":%s},\"basin\":{\"read\":%s,\"write\":%s},"
                      "\"stream\":{\"read\":%s,\"write\":%s}},",
                      read, read, write, read, write);
    return rc == 0 ? put_ops(out, call) : rc;
}

/* A time from now on, or a moment. */
static int put_expiry(struct buf *out, const struct call *call)
{
    char shown[TIME_TEXT_MAX];
    uint64_t now = time_now_ms(), ms = 0;
    const char *text = call_value(call, TOKEN_EXPIRES);
    if (!text)
        return 0;
    if (time_parse_duration(span_str(text), &ms, NULL) == 0)
        ms += now;
    else if (time_parse_moment(span_str(text), now, &ms, NULL) != 0)
        return call_usage(call, "--expires: \"%.60s\" is no time: such as 30d, 2030-01-31 or 2030-01-31T12:00:00Z", text);
    time_format(shown, ms);
    return buf_addf(out, ",\"expires_at\":\"%s\"", shown);
}

int token_ask(struct buf *out, const struct call *call, const char *id)
{
    if (!call_has(call, TOKEN_READ) && !call_has(call, TOKEN_WRITE) && !call_has(call, TOKEN_OP) && !call_has(call, TOKEN_EXEC))
        return call_usage(call, "say what the token is for: --read, --write, --op or --exec");
    int rc = buf_add_str(out, "{\"id\":");
    if (rc == 0)
        rc = json_put_string(out, span_str(id));
    if (rc == 0)
        rc = buf_add_str(out, ",\"scope\":{");
    if (rc == 0)
        rc = put_scope(out, call);
    if (rc == 0)
        rc = buf_addf(out, "},\"auto_prefix_streams\":%s", call_has(call, TOKEN_AUTO_PREFIX) ? "true" : "false");
    if (rc == 0)
        rc = put_expiry(out, call);
    if (rc == 0)
        rc = buf_add_str(out, "}");
    return rc == -ENOMEM ? call_failf(call, "out of memory") : rc;
}
