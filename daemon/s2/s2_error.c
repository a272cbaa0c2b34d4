/*
 * Errors of the S2 API: codes, statuses, bodies.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "daemon/s2/s2.h"

static const struct {
    const char *name;
    int status;
} codes[S2_CODES] = {
    [S2_BAD_HEADER] = {"bad_header", 400},
    [S2_BAD_JSON] = {"bad_json", 400},
    [S2_BAD_PATH] = {"bad_path", 400},
    [S2_BAD_PROTO] = {"bad_proto", 400},
    [S2_BAD_QUERY] = {"bad_query", 400},
    [S2_BAD_FRAME] = {"bad_frame", 400},
    [S2_DECRYPTION_FAILED] = {"decryption_failed", 400},
    [S2_AUTHN] = {"authn", 401},
    [S2_PERMISSION_DENIED] = {"permission_denied", 403},
    [S2_BASIN_NOT_FOUND] = {"basin_not_found", 404},
    [S2_STREAM_NOT_FOUND] = {"stream_not_found", 404},
    [S2_TOKEN_NOT_FOUND] = {"access_token_not_found", 404},
    [S2_ALREADY_EXISTS] = {"resource_already_exists", 409},
    [S2_BASIN_DELETION_PENDING] = {"basin_deletion_pending", 409},
    [S2_CONFLICT] = {"transaction_conflict", 409},
    [S2_INVALID] = {"invalid", 422},
    [S2_STORAGE] = {"storage", 500},
    [S2_OTHER] = {"other", 500},
    [S2_NOT_IMPLEMENTED] = {"not_implemented", 501},
    [S2_UNAVAILABLE] = {"unavailable", 503},
};

int s2_status(enum s2_code code)
{
    return codes[code].status;
}

int s2_error_put(struct buf *out, enum s2_code code, const char *message)
{
    const size_t before = out->len;
    int rc = buf_addf(out, "{\"code\":\"%s\",\"message\":", codes[code].name);
    if (rc == 0)
        rc = json_put_string(out, span_str(message));
    if (rc == 0)
        rc = buf_add_str(out, "}");
    if (rc < 0)
        out->len = before;
    return rc;
}

int s2_fail(struct s2_request *s, enum s2_code code, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (!exchange_open(&s->x))
        return 0;
    CLEAN_BUF body = BUF_INIT;
    s2_error_put(&body, code, text);
    s2_reply(s, s2_status(code), "application/json", buf_span(&body), NULL);
    return 0;
}

int s2_fail_err(struct s2_request *s, int code, const struct err *err)
{
    return s2_fail(s, s2_code_of(code), "%s", err && err->text[0] ? err->text : err_code_text(code));
}

enum s2_code s2_code_of(int code)
{
    switch (code) {
    case ERR_INVALID:
    case ERR_TOO_LARGE:
    case ERR_RANGE:
        return S2_INVALID;
    case ERR_FORMAT:
        return S2_BAD_JSON;
    case ERR_AUTH:
        return S2_AUTHN;
    case ERR_FORBIDDEN:
        return S2_PERMISSION_DENIED;
    case ERR_NOT_FOUND:
        return S2_STREAM_NOT_FOUND;
    case ERR_CONFLICT:
        return S2_ALREADY_EXISTS;
    case ERR_UNAVAILABLE:
    case -ENOMEM:
        return S2_UNAVAILABLE;
    case ERR_FULL:
    case -ENOSPC:
    case -EDQUOT:
    case ERR_DAMAGED:
        return S2_STORAGE;
    default:
        return S2_OTHER; /* what was asked for may have become durable */
    }
}

/* --- operations the store refused -------------------------------------------------------------------- */

static int put_condition(struct buf *out, const struct store_op *op)
{
    if (!op->fenced)
        return buf_addf(out, "{\"seq_num_mismatch\":%llu}", (unsigned long long)op->actual_seq);
    int rc = buf_add_str(out, "{\"fencing_token_mismatch\":");
    if (rc == 0)
        rc = json_put_string(out, span_str(op->actual_token));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static const char *text_of(const struct store_op *op)
{
    switch (op->result) {
    case ERR_NOT_FOUND:
        return "there is no such stream: create it first, or have the basin do so (create_stream_on_append, create_stream_on_read)";
    case ERR_UNKNOWN:
        return "whether this was stored is not known";
    case ERR_FULL:
    case -ENOSPC:
    case -EDQUOT:
        return "the disk is full; nothing was stored";
    default:
        return op->err.text[0] ? op->err.text : err_code_text(op->result);
    }
}

int s2_refusal_put(struct buf *out, unsigned *status, const struct store_op *op)
{
    if (op->result == ERR_CONDITION) {
        *status = 412;
        return put_condition(out, op);
    }
    const enum s2_code code = s2_code_of(op->result);
    *status = (unsigned)s2_status(code);
    return s2_error_put(out, code, text_of(op));
}

int s2_refused(struct s2_request *s, const struct store_op *op)
{
    CLEAN_BUF body = BUF_INIT;
    unsigned status;
    if (!exchange_open(&s->x))
        return 0;
    s2_refusal_put(&body, &status, op);
    s2_reply(s, (int)status, "application/json", buf_span(&body), NULL);
    return 0;
}

int s2_out_of_range(struct s2_request *s, const struct s2_position *tail)
{
    CLEAN_BUF body = BUF_INIT;
    s2_json_put_tail(&body, tail);
    s2_reply(s, 416, "application/json", buf_span(&body), NULL);
    return 0;
}
