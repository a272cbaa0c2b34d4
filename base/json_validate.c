#include "base/json.h"

#include <errno.h>

#include "base/json_run.h"
#include "base/utf8.h"

/*
 * A recursive walk over the text. Minifying costs nothing where there is no white space: [kept, at)
 * is a run that goes out as it stands, and is copied only when white space ends it.
 */
struct walk {
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end;
    const uint8_t *kept;
    struct buf *out; /* room for the whole text is reserved */
    int depth;       /* nesting still allowed */
    int depth_max;
    struct err *err;
};

static int value(struct walk *w);

static int fault(struct walk *w, const uint8_t *where, const char *what)
{
    return err_set(w->err, ERR_INVALID, "not JSON: %s at byte %zu", what,
                   (size_t)(where - w->begin) + 1);
}

static int unfinished(struct walk *w)
{
    return err_set(w->err, ERR_INVALID, "not JSON: it ends too early, after %zu bytes",
                   (size_t)(w->end - w->begin));
}

static int unexpected(struct walk *w, const char *expected)
{
    if (w->at == w->end)
        return unfinished(w);
    return fault(w, w->at, expected);
}

static void keep_run(struct walk *w)
{
    size_t len = (size_t)(w->at - w->kept);
    if (w->out && len > 0) {
        memcpy(w->out->ptr + w->out->len, w->kept, len);
        w->out->len += len;
    }
}

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline void skip_blanks(struct walk *w)
{
    if (w->at == w->end || !is_blank(*w->at))
        return;
    keep_run(w);
    while (w->at < w->end && is_blank(*w->at))
        w->at++;
    w->kept = w->at;
}

static bool is_digit(const struct walk *w)
{
    return w->at < w->end && *w->at >= '0' && *w->at <= '9';
}

static bool digits(struct walk *w)
{
    if (!is_digit(w))
        return false;
    while (is_digit(w))
        w->at++;
    return true;
}

static int number(struct walk *w)
{
    if (*w->at == '-')
        w->at++;
    if (w->at < w->end && *w->at == '0') {
        w->at++;
        if (is_digit(w))
            return fault(w, w->at, "a number with a leading zero");
    } else if (!digits(w)) {
        return unexpected(w, "no digit after the minus");
    }
    if (w->at < w->end && *w->at == '.') {
        w->at++;
        if (!digits(w))
            return unexpected(w, "no digit after the decimal point");
    }
    if (w->at < w->end && (*w->at | 0x20) == 'e') {
        w->at++;
        if (w->at < w->end && (*w->at == '+' || *w->at == '-'))
            w->at++;
        if (!digits(w))
            return unexpected(w, "no digit in the exponent");
    }
    return 0;
}

static bool is_hex(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* At the backslash. */
static int escape(struct walk *w)
{
    const uint8_t *start = w->at++;
    if (w->at == w->end)
        return unfinished(w);
    uint8_t c = *w->at++;
    if (c == 'u') {
        for (int i = 0; i < 4; i++, w->at++) {
            if (w->at == w->end)
                return unfinished(w);
            if (!is_hex(*w->at))
                return fault(w, start, "a \\u escape without four hex digits");
        }
        return 0;
    }
    if (c != '\0' && strchr("\"\\/bfnrt", c))
        return 0;
    return fault(w, start, "an unknown escape");
}

/* At the opening quote. */
static int string(struct walk *w)
{
    w->at++;
    for (;;) {
        w->at = json_run_end(w->at, w->end);
        if (w->at == w->end)
            return unfinished(w);
        uint8_t c = *w->at;
        if (c == '"') {
            w->at++;
            return 0;
        }
        if (c == '\\') {
            int rc = escape(w);
            if (rc < 0)
                return rc;
        } else if (c < 0x20) {
            return fault(w, w->at, "a raw control character in a string");
        } else {
            size_t len = utf8_length(w->at, (size_t)(w->end - w->at));
            if (len == 0)
                return fault(w, w->at, "bytes that are not UTF-8");
            w->at += len;
        }
    }
}

static int literal(struct walk *w, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(w->end - w->at) < len || memcmp(w->at, text, len) != 0)
        return fault(w, w->at, "an unknown word");
    w->at += len;
    return 0;
}

static int member(struct walk *w)
{
    if (w->at == w->end || *w->at != '"')
        return unexpected(w, "no quoted key");
    int rc = string(w);
    if (rc < 0)
        return rc;
    skip_blanks(w);
    if (w->at == w->end || *w->at != ':')
        return unexpected(w, "no colon after a key");
    w->at++;
    skip_blanks(w);
    return value(w);
}

/* At the bracket; `item` walks one member or element. */
static int container(struct walk *w, uint8_t close, int (*item)(struct walk *))
{
    if (w->depth == 0)
        return err_set(w->err, ERR_INVALID, "JSON nested more than %d deep at byte %zu",
                       w->depth_max, (size_t)(w->at - w->begin) + 1);
    w->depth--;
    w->at++;
    skip_blanks(w);
    bool empty = w->at < w->end && *w->at == close;
    while (!empty) {
        int rc = item(w);
        if (rc < 0)
            return rc;
        skip_blanks(w);
        if (w->at < w->end && *w->at == close)
            break;
        if (w->at == w->end || *w->at != ',')
            return unexpected(w, "no comma and no closing bracket");
        w->at++;
        skip_blanks(w);
    }
    w->at++;
    w->depth++;
    return 0;
}

static int value(struct walk *w)
{
    if (w->at == w->end)
        return unfinished(w);
    switch (*w->at) {
    case '{':
        return container(w, '}', member);
    case '[':
        return container(w, ']', value);
    case '"':
        return string(w);
    case 't':
        return literal(w, "true");
    case 'f':
        return literal(w, "false");
    case 'n':
        return literal(w, "null");
    default:
        if (*w->at == '-' || is_digit(w))
            return number(w);
        return fault(w, w->at, "no value");
    }
}

static int document(struct walk *w)
{
    skip_blanks(w);
    if (w->at == w->end)
        return err_set(w->err, ERR_INVALID, "not JSON: there is no value");
    int rc = value(w);
    if (rc < 0)
        return rc;
    skip_blanks(w);
    if (w->at < w->end)
        return fault(w, w->at, "more after the value");
    keep_run(w);
    return 0;
}

int json_validate(struct span text, int depth, struct buf *out, struct err *err)
{
    static const uint8_t nothing[1];
    if (depth > JSON_DEPTH_MAX)
        depth = JSON_DEPTH_MAX;
    if (out && buf_reserve(out, text.len) < 0)
        return err_set(err, -ENOMEM, "no memory for %zu bytes of JSON", text.len);
    const uint8_t *begin = text.len > 0 ? text.ptr : nothing;
    struct walk w = {
        .begin = begin,
        .at = begin,
        .end = begin + text.len,
        .kept = begin,
        .out = out,
        .depth = depth,
        .depth_max = depth,
        .err = err,
    };
    size_t len = out ? out->len : 0;
    int rc = document(&w);
    if (rc < 0 && out)
        out->len = len;
    return rc;
}
