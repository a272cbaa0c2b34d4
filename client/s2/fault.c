#include "client/s2/fault.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"

enum { AGAIN = 1, NO_EFFECT = 2 };

/* Every code the API has, the status it comes with and what it means to who sent the request. */
static const struct row {
    enum weir_s2_code what;
    const char *name;
    int code;
    unsigned flags;
} rows[] = {
    {WEIR_S2_OK, "ok", 0, 0},
    {WEIR_S2_LOCAL, "local", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_CONNECT, "connect", ERR_UNAVAILABLE, AGAIN | NO_EFFECT},
    {WEIR_S2_TLS, "tls", ERR_AUTH, NO_EFFECT},
    {WEIR_S2_TRANSPORT, "transport", ERR_CUT, AGAIN},
    {WEIR_S2_TIMEOUT, "timeout", -ETIMEDOUT, AGAIN},
    {WEIR_S2_UNKNOWN_OUTCOME, "unknown_outcome", ERR_UNKNOWN, 0},
    {WEIR_S2_SEQ_NUM_MISMATCH, "seq_num_mismatch", ERR_CONDITION, NO_EFFECT},
    {WEIR_S2_TOKEN_MISMATCH, "fencing_token_mismatch", ERR_CONDITION, NO_EFFECT},
    {WEIR_S2_OUT_OF_RANGE, "out_of_range", ERR_RANGE, NO_EFFECT},
    {WEIR_S2_BAD_HEADER, "bad_header", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_BAD_JSON, "bad_json", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_BAD_PATH, "bad_path", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_BAD_PROTO, "bad_proto", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_BAD_QUERY, "bad_query", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_BAD_FRAME, "bad_frame", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_DECRYPTION_FAILED, "decryption_failed", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_AUTHN, "authn", ERR_AUTH, NO_EFFECT},
    {WEIR_S2_PERMISSION_DENIED, "permission_denied", ERR_FORBIDDEN, NO_EFFECT},
    {WEIR_S2_QUOTA_EXHAUSTED, "quota_exhausted", ERR_FULL, NO_EFFECT},
    {WEIR_S2_BASIN_NOT_FOUND, "basin_not_found", ERR_NOT_FOUND, NO_EFFECT},
    {WEIR_S2_STREAM_NOT_FOUND, "stream_not_found", ERR_NOT_FOUND, NO_EFFECT},
    {WEIR_S2_ACCESS_TOKEN_NOT_FOUND, "access_token_not_found", ERR_NOT_FOUND, NO_EFFECT},
    {WEIR_S2_REQUEST_TIMEOUT, "request_timeout", -ETIMEDOUT, AGAIN},
    {WEIR_S2_ALREADY_EXISTS, "resource_already_exists", ERR_CONFLICT, NO_EFFECT},
    {WEIR_S2_BASIN_DELETION_PENDING, "basin_deletion_pending", ERR_CONFLICT, NO_EFFECT},
    {WEIR_S2_STREAM_DELETION_PENDING, "stream_deletion_pending", ERR_CONFLICT, NO_EFFECT},
    {WEIR_S2_TRANSACTION_CONFLICT, "transaction_conflict", ERR_CONFLICT, AGAIN},
    {WEIR_S2_INVALID, "invalid", ERR_INVALID, NO_EFFECT},
    {WEIR_S2_RATE_LIMITED, "rate_limited", ERR_UNAVAILABLE, AGAIN | NO_EFFECT},
    {WEIR_S2_CLIENT_HANGUP, "client_hangup", ERR_REMOTE, 0},
    {WEIR_S2_STORAGE, "storage", ERR_REMOTE, AGAIN},
    {WEIR_S2_OTHER, "other", ERR_REMOTE, AGAIN},
    {WEIR_S2_NOT_IMPLEMENTED, "not_implemented", ERR_REMOTE, NO_EFFECT},
    {WEIR_S2_HOT_SERVER, "hot_server", ERR_UNAVAILABLE, AGAIN | NO_EFFECT},
    {WEIR_S2_UNAVAILABLE, "unavailable", ERR_UNAVAILABLE, AGAIN},
    {WEIR_S2_SERVER_DRAINING, "server_draining", ERR_UNAVAILABLE, AGAIN},
    {WEIR_S2_UPSTREAM_TIMEOUT, "upstream_timeout", -ETIMEDOUT, AGAIN},
    {WEIR_S2_SERVER, "server", ERR_REMOTE, 0},
};

static const struct row *row_of(enum weir_s2_code what)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].what == what)
            return &rows[i];
    }
    return &rows[0];
}

const char *weir_s2_code_name(enum weir_s2_code what)
{
    return row_of(what)->name;
}

static void begin(struct weir_s2_err *e, enum weir_s2_code what)
{
    const struct row *row = row_of(what);
    *e = (struct weir_s2_err){.what = what};
    e->retryable = row->flags & AGAIN;
    e->no_effect = row->flags & NO_EFFECT;
}

__attribute__((format(printf, 4, 0))) static int put(struct weir_s2_err *e, enum weir_s2_code what,
                                                     int code, const char *fmt, va_list args)
{
    if (e) {
        char text[ERR_TEXT_SIZE];
        vsnprintf(text, sizeof(text), fmt, args);
        begin(e, what);
        err_set(&e->err, code, "%s", text);
    }
    return code;
}

int s2c_fail(struct weir_s2_err *e, enum weir_s2_code what, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put(e, what, code, fmt, args);
    va_end(args);
    return code;
}

int s2c_fail_sys(struct weir_s2_err *e, enum weir_s2_code what, int errnum, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    put(e, what, -errnum, fmt, args);
    va_end(args);
    if (e) {
        char text[ERR_TEXT_SIZE];
        memcpy(text, e->err.text, sizeof(text));
        err_set(&e->err, -errnum, "%s: %s", text, err_code_text(-errnum));
    }
    return -errnum;
}

int s2c_fail_local(struct weir_s2_err *e, const struct err *err)
{
    return s2c_fail(e, WEIR_S2_LOCAL, err->code, "%s",
                    err->text[0] ? err->text : err_code_text(err->code));
}

int s2c_no_memory(struct weir_s2_err *e)
{
    return s2c_fail(e, WEIR_S2_LOCAL, -ENOMEM, "no memory");
}

int s2c_fail_again(struct weir_s2_err *e, const struct weir_s2_err *from)
{
    if (e)
        *e = *from;
    return from->err.code;
}

/* --- answers ---------------------------------------------------------------------------------- */

static enum weir_s2_code code_of(struct span name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].what >= WEIR_S2_BAD_HEADER && span_is(name, rows[i].name))
            return rows[i].what;
    }
    return WEIR_S2_SERVER;
}

/* The tail of a 416: {"tail":{"seq_num":..,"timestamp":..}}. */
static void read_tail(struct s2_position *out, struct span raw)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    if (json_iter_init(&it, raw) != 0)
        return;
    while (json_iter_next(&it, &key, &value)) {
        if (json_string_is(key, "seq_num"))
            (void)json_u64(value.raw, &out->seq_num);
        else if (json_string_is(key, "timestamp"))
            (void)json_u64(value.raw, &out->timestamp);
    }
}

static bool text_of(struct span raw, struct buf *out)
{
    buf_reset(out);
    return json_type_of(raw) == JSON_STRING && json_string_decode(raw, out, NULL) == 0;
}

struct parts {
    struct buf code, message, token;
    bool seq_mismatch, token_mismatch, has_tail;
    uint64_t seq_num;
    struct s2_position tail;
};

static void take_member(struct parts *p, struct span key, const struct json_value *value)
{
    if (json_string_is(key, "code"))
        text_of(value->raw, &p->code);
    else if (json_string_is(key, "message"))
        text_of(value->raw, &p->message);
    else if (json_string_is(key, "seq_num_mismatch"))
        p->seq_mismatch = json_u64(value->raw, &p->seq_num) == 0;
    else if (json_string_is(key, "fencing_token_mismatch"))
        p->token_mismatch = text_of(value->raw, &p->token);
    else if (json_string_is(key, "tail") && value->type == JSON_OBJECT) {
        p->has_tail = true;
        read_tail(&p->tail, value->raw);
    }
}

static void take_parts(struct parts *p, struct span body)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    if (json_validate(body, 32, NULL, NULL) != 0 || json_iter_init(&it, body) != 0 || it.array)
        return;
    while (json_iter_next(&it, &key, &value))
        take_member(p, key, &value);
}

static int say_mismatch(struct weir_s2_err *e, const struct parts *p)
{
    if (p->seq_mismatch)
        return s2c_fail(e, WEIR_S2_SEQ_NUM_MISMATCH, ERR_CONDITION,
                        "match_seq_num does not match: the next one is %llu",
                        (unsigned long long)p->seq_num);
    return s2c_fail(e, WEIR_S2_TOKEN_MISMATCH, ERR_CONDITION,
                    "the fencing token does not match: it is \"%.*s\"",
                    SPAN_ARG(buf_span(&p->token)));
}

static int code_for_status(enum weir_s2_code what, int status)
{
    if (what != WEIR_S2_SERVER)
        return row_of(what)->code;
    return status == 404   ? ERR_NOT_FOUND
           : status == 401 ? ERR_AUTH
           : status == 403 ? ERR_FORBIDDEN
                           : ERR_REMOTE;
}

static int say_status(struct weir_s2_err *e, const struct parts *p, int status)
{
    enum weir_s2_code what = code_of(buf_span(&p->code));
    int code = code_for_status(what, status);
    struct span text = p->message.len > 0 ? buf_span(&p->message) : span_str("no reason given");
    s2c_fail(e, what, code, "%d %.*s: %.*s", status, SPAN_ARG(buf_span(&p->code)), SPAN_ARG(text));
    if (p->code.len == 0)
        s2c_fail(e, what, code, "the server answered %d: %.*s", status, SPAN_ARG(text));
    return code;
}

/* By status where the code is not known, as other clients do. */
static bool status_is_retryable(int status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

int s2c_fail_answer(struct weir_s2_err *e, int status, struct span body, uint64_t retry_after_ms)
{
    struct weir_s2_err own = WEIR_S2_ERR_INIT;
    struct parts p = {0};
    int code;
    e = e ? e : &own;
    take_parts(&p, body);
    if (status == 412 && (p.seq_mismatch || p.token_mismatch))
        code = say_mismatch(e, &p);
    else if (status == 416 && p.has_tail)
        code =
            s2c_fail(e, WEIR_S2_OUT_OF_RANGE, ERR_RANGE, "nothing to read there: the tail is %llu",
                     (unsigned long long)p.tail.seq_num);
    else
        code = say_status(e, &p, status);
    e->status = status;
    e->retryable = e->retryable || status_is_retryable(status);
    e->no_effect = e->no_effect || (status >= 400 && status < 500 && status != 408 &&
                                    status != 409 && status != 499);
    e->retry_after_ms = retry_after_ms;
    e->seq_num = p.seq_num;
    e->tail = p.tail;
    snprintf(e->token, sizeof(e->token), "%.*s", SPAN_ARG(buf_span(&p.token)));
    buf_finish(&p.code);
    buf_finish(&p.message);
    buf_finish(&p.token);
    return code;
}
