/* The options of a definition as its meta. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weir/frame.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/program.h"

/* A meta on its way. */
struct maker {
    const struct call *call;
    struct buf *out;
    struct span given; /* --meta; its keys win */
};

/* Members of an object on its way; `out` ends with "{" or a member. */
static int put_key(struct buf *out, const char *key)
{
    bool first = out->ptr[out->len - 1] == '{';
    int rc = first ? 0 : buf_add_str(out, ",");
    if (rc == 0)
        rc = json_put_string(out, span_str(key));
    return rc == 0 ? buf_add_str(out, ":") : rc;
}

static int put_text(struct buf *out, const char *key, const char *text)
{
    int rc = text ? put_key(out, key) : 0;
    return text && rc == 0 ? json_put_string(out, span_str(text)) : rc;
}

static int put_u64(struct buf *out, const char *key, uint64_t n)
{
    int rc = put_key(out, key);
    return rc == 0 ? json_put_u64(out, n) : rc;
}

/* Whether the key of the meta is for the options to say. */
static bool is_ours(const struct maker *m, const char *key)
{
    struct json_iter it;
    struct span name;
    struct json_value value;
    if (m->given.len == 0 || json_iter_init(&it, m->given) != 0)
        return true;
    while (json_iter_next(&it, &name, &value)) {
        if (json_string_is(name, key))
            return false;
    }
    return true;
}

/* --- kinds of values ---------------------------------------------------------------------------------- */

static int put_flag(struct maker *m, int id, const char *key)
{
    if (!call_has(m->call, id) || !is_ours(m, key))
        return 0;
    int rc = put_key(m->out, key);
    return rc == 0 ? buf_add_str(m->out, "true") : rc;
}

static int put_word(struct maker *m, int id, const char *key)
{
    return is_ours(m, key) ? put_text(m->out, key, call_value(m->call, id)) : 0;
}

/* A negative code, 0, or an exit status after a message. */
static int put_number(struct maker *m, int id, const char *key)
{
    const char *text = call_value(m->call, id);
    uint64_t n;
    if (!text || !is_ours(m, key))
        return 0;
    if (text_u64(span_str(text), &n) != 0)
        return call_check_number(m->call, id);
    return put_u64(m->out, key, n);
}

static int duration(const struct maker *m, const char *option, const char *text, uint64_t *ms)
{
    struct err err = ERR_INIT;
    if (time_parse_duration(span_str(text), ms, &err) == 0)
        return 0;
    return call_usage(m->call, "--%s: %s", option, err.text);
}

static int put_duration(struct maker *m, int id, const char *option, const char *key)
{
    const char *text = call_value(m->call, id);
    uint64_t ms;
    if (!text || !is_ours(m, key))
        return 0;
    int rc = duration(m, option, text, &ms);
    return rc == 0 ? put_u64(m->out, key, ms) : rc;
}

/* --- objects ------------------------------------------------------------------------------------------ */

static bool has_any(const struct call *call, const int *ids, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (call_has(call, ids[i]))
            return true;
    }
    return false;
}

static int put_return_options(struct maker *m)
{
    static const int ids[] = {P_SUFFIX, P_TTL, P_TARGET};
    static const char *const keys[] = {"suffix", "ttl", "target"};
    if (!has_any(m->call, ids, 3) || !is_ours(m, "return_options"))
        return 0;
    int rc = put_key(m->out, "return_options");
    if (rc == 0)
        rc = buf_add_str(m->out, "{");
    for (size_t i = 0; rc == 0 && i < 3; i++)
        rc = put_text(m->out, keys[i], call_value(m->call, ids[i]));
    return rc == 0 ? buf_add_str(m->out, "}") : rc;
}

static int put_env_one(struct maker *m, const char *text)
{
    CLEAN_BUF name = BUF_INIT;
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return call_usage(m->call, "--env: `%s' is not NAME=TEXT", text);
    const char *key = buf_add(&name, text, (size_t)(equals - text)) == 0 ? buf_cstr(&name) : NULL;
    return key ? put_text(m->out, key, equals + 1) : -ENOMEM;
}

static int put_limit_one(struct maker *m, const char *text)
{
    static const char *const names[][2] = {{"memory=", "memory"}, {"cpu=", "cpu_s"},
                                           {"cpu_s=", "cpu_s"},   {"processes=", "processes"}};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i][0]);
        uint64_t n;
        if (strncmp(text, names[i][0], len) != 0)
            continue;
        if (text_u64(span_str(text + len), &n) == 0)
            return put_u64(m->out, names[i][1], n);
        return put_text(m->out, names[i][1], text + len); /* 64M; the daemon knows more of it */
    }
    return call_usage(m->call, "--limit: `%s' is none of memory=64M, cpu=SECONDS, processes=N", text);
}

/* The last of those with the same name counts. */
static bool is_said_again(const struct call *call, size_t i)
{
    const char *text = call->given[i].value;
    size_t len = strcspn(text, "=");
    for (size_t k = i + 1; k < call->given_count; k++) {
        if (call->given[k].option == call->given[i].option &&
            strncmp(call->given[k].value, text, len) == 0 && call->given[k].value[len] == '=')
            return true;
    }
    return false;
}

static int put_each(struct maker *m, int id, const char *key,
                    int (*one)(struct maker *m, const char *text))
{
    const struct call *call = m->call;
    if (!call_has(call, id) || !is_ours(m, key))
        return 0;
    int rc = put_key(m->out, key);
    if (rc == 0)
        rc = buf_add_str(m->out, "{");
    for (size_t i = 0; rc == 0 && i < call->given_count; i++) {
        if (call->given[i].option->id == id && !is_said_again(call, i))
            rc = one(m, call->given[i].value);
    }
    return rc == 0 ? buf_add_str(m->out, "}") : rc;
}

/* --- services and handlers ---------------------------------------------------------------------------- */

static int put_restart(struct maker *m)
{
    static const int ids[] = {P_RESTART, P_BACKOFF, P_MAX_RESTARTS};
    struct maker inner = {.call = m->call, .out = m->out};
    if (!has_any(m->call, ids, 3) || !is_ours(m, "restart"))
        return 0;
    int rc = put_key(m->out, "restart");
    if (rc == 0)
        rc = buf_add_str(m->out, "{");
    if (rc == 0)
        rc = put_word(&inner, P_RESTART, "policy");
    if (rc == 0)
        rc = put_duration(&inner, P_BACKOFF, "backoff", "backoff_ms");
    if (rc == 0)
        rc = put_number(&inner, P_MAX_RESTARTS, "max");
    return rc == 0 ? buf_add_str(m->out, "}") : rc;
}

/* skip, stop, retry, or retry:TIMES */
static int put_on_error(struct maker *m)
{
    const char *text = call_value(m->call, P_ON_ERROR);
    uint64_t times;
    if (!text || strncmp(text, "retry:", 6) != 0 || !is_ours(m, "on_error"))
        return put_word(m, P_ON_ERROR, "on_error");
    if (text_u64(span_str(text + 6), &times) != 0)
        return call_usage(m->call, "--on-error: `%s' is not retry:TIMES", text);
    int rc = put_key(m->out, "on_error");
    if (rc == 0)
        rc = buf_add_str(m->out, "{\"retry\":{\"times\":");
    if (rc == 0)
        rc = json_put_u64(m->out, times);
    return rc == 0 ? buf_add_str(m->out, "}}") : rc;
}

static int put_options(struct maker *m)
{
    static const struct {
        int id;
        const char *key;
        int (*put)(struct maker *m, int id, const char *key);
    } plain[] = {
        {P_OUTPUT, "output", put_word},   {P_BINARY, "binary", put_flag},
        {P_CONFINE, "confine", put_flag}, {P_EXEC, "exec", put_flag},
        {P_DUPLEX, "duplex", put_flag},   {P_MODE, "mode", put_word},
        {P_START, "start", put_word},     {P_TOPICS, "topics", put_word},
        {P_CONTENT, "content", put_flag}, {P_PULSE, "pulse", put_number},
        {P_CONCURRENCY, "concurrency", put_number},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(plain) / sizeof(plain[0]); i++)
        rc = plain[i].put(m, plain[i].id, plain[i].key);
    if (rc == 0)
        rc = put_duration(m, P_TIMEOUT, "timeout", "timeout_ms");
    if (rc == 0)
        rc = put_return_options(m);
    if (rc == 0)
        rc = put_each(m, P_ENV, "env", put_env_one);
    if (rc == 0)
        rc = put_each(m, P_LIMIT, "limits", put_limit_one);
    if (rc == 0)
        rc = put_restart(m);
    return rc == 0 ? put_on_error(m) : rc;
}

/* --- the whole ---------------------------------------------------------------------------------------- */

/* --meta without its white space, which must be an object. */
static int take_given(const struct call *call, struct buf *given)
{
    struct err err = ERR_INIT;
    const char *text = call_value(call, P_META);
    if (!text)
        return 0;
    if (json_validate(span_str(text), META_DEPTH, given, &err) != 0) {
        err_prefix(&err, "--meta");
        return call_fail(call, &err);
    }
    return given->ptr[0] == '{' ? 0 : call_usage(call, "--meta: the options of a program are an object");
}

static int put_given(struct maker *m)
{
    if (m->given.len <= 2)
        return 0;
    int rc = m->out->ptr[m->out->len - 1] == '{' ? 0 : buf_add_str(m->out, ",");
    return rc == 0 ? buf_add(m->out, m->given.ptr + 1, m->given.len - 2) : rc;
}

int program_meta(const struct call *call, struct buf *out)
{
    CLEAN_BUF given = BUF_INIT;
    int rc = take_given(call, &given);
    struct maker m = {.call = call, .out = out, .given = buf_span(&given)};
    if (rc == 0)
        rc = buf_add_str(out, "{");
    if (rc == 0)
        rc = put_options(&m);
    if (rc == 0)
        rc = put_given(&m);
    if (rc == 0)
        rc = buf_add_str(out, "}");
    if (rc == 0 && out->len == 2)
        buf_reset(out);
    return rc >= 0 ? rc : call_failf(call, "out of memory");
}
