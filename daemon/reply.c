#include "daemon/reply.h"

#include <errno.h>

#include "base/json.h"

int reply_status(int code)
{
    switch (code) {
    case ERR_INVALID:
        return 400;
    case ERR_AUTH:
        return 401;
    case ERR_FORBIDDEN:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_CONDITION:
        return 412;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_RANGE:
        return 416;
    case ERR_UNAVAILABLE:
    case -ENOMEM:
        return 503;
    case ERR_FULL:
    case -ENOSPC:
    case -EDQUOT:
        return 507;
    default:
        return 500;
    }
}

const char *reply_code_name(int code)
{
    switch (reply_status(code)) {
    case 400:
        return "invalid";
    case 401:
        return "unauthorized";
    case 403:
        return "forbidden";
    case 404:
        return "not_found";
    case 409:
        return "conflict";
    case 412:
        return "condition_failed";
    case 413:
        return "too_large";
    case 416:
        return "range";
    case 503:
        return "unavailable";
    case 507:
        return "full";
    default:
        return code == ERR_DAMAGED ? "damaged" : "internal";
    }
}

static int error_body(struct buf *body, const char *name, const char *text, const char *extra)
{
    int rc = buf_addf(body, "{\"error\":\"%s\",\"message\":", name);
    if (rc == 0)
        rc = json_put_string(body, span_str(text));
    if (rc == 0 && extra)
        rc = buf_add_str(body, extra);
    return rc == 0 ? buf_add_str(body, "}\n") : rc;
}

void reply_err(struct http_req *req, int code, const struct err *err, const char *extra)
{
    reply_named(req, code, reply_code_name(code), err, extra);
}

void reply_named(struct http_req *req, int code, const char *name, const struct err *err,
                 const char *extra)
{
    CLEAN_BUF body = BUF_INIT;
    const char *text = err && err->code == code && err->text[0] ? err->text : err_code_text(code);
    if (reply_status(code) == 404) {
        reply_not_found(req);
        return;
    }
    if (error_body(&body, name, text, extra) < 0)
        buf_reset(&body);
    http_reply(req, reply_status(code), "application/json", buf_span(&body), NULL);
}

void reply_not_found(struct http_req *req)
{
    http_reply(req, 404, NULL, (struct span){0}, NULL);
}

void reply_not_allowed(struct http_req *req, const char *allow)
{
    CLEAN_BUF body = BUF_INIT;
    const struct http_field fields[] = {{"Allow", allow}, {NULL, NULL}};
    error_body(&body, "invalid", "this path takes other methods; see the header Allow", NULL);
    http_reply(req, 405, "application/json", buf_span(&body), fields);
}

void reply_json(struct http_req *req, struct span body)
{
    http_reply(req, 200, "application/json", body, NULL);
}
