#include <weir/err.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Messages quote what users sent: control bytes would break the one-line promise (and terminals),
 * and a cut may have split a UTF-8 sequence. */
static void tidy(char *text)
{
    size_t len = strlen(text);
    if (len == ERR_TEXT_SIZE - 1) {
        size_t start = len;
        while (start > 0 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
            start--;
        if (start > 0 && (unsigned char)text[start - 1] >= 0xc0)
            text[start - 1] = '\0';
    }
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = '?';
    }
}

/* Arguments may point into err->text itself, so the new text is made beside it. */
__attribute__((format(printf, 3, 0))) static void put(struct err *err, int code, const char *fmt,
                                                      va_list args)
{
    char text[ERR_TEXT_SIZE];
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    tidy(text);
    err->code = code;
    memcpy(err->text, text, sizeof(text));
}

int err_set(struct err *err, int code, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        put(err, code, fmt, args);
        va_end(args);
    }
    return code;
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
    if (err) {
        va_list args;
        va_start(args, fmt);
        put(err, -errnum, fmt, args);
        va_end(args);
        char what[ERR_TEXT_SIZE];
        memcpy(what, err->text, sizeof(what));
        err_set(err, -errnum, "%s: %s", what, err_code_text(-errnum));
    }
    return -errnum;
}

void err_prefix(struct err *err, const char *fmt, ...)
{
    if (!err)
        return;
    char prefix[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(prefix, sizeof(prefix), fmt, args) < 0)
        prefix[0] = '\0';
    va_end(args);
    err_set(err, err->code, "%s: %s", prefix, err->text);
}

static const char *own_code_text(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
        return "invalid input";
    case ERR_NOT_FOUND:
        return "not found";
    case ERR_TOO_LARGE:
        return "too large";
    case ERR_CONFLICT:
        return "conflicts with what is stored";
    case ERR_CONDITION:
        return "condition does not hold";
    case ERR_FORBIDDEN:
        return "not allowed";
    case ERR_RANGE:
        return "outside the range";
    case ERR_DAMAGED:
        return "stored data is damaged";
    case ERR_FULL:
        return "no room left";
    case ERR_UNAVAILABLE:
        return "unavailable for now";
    case ERR_UNKNOWN:
        return "outcome unknown";
    case ERR_LOCKED:
        return "in use by another process";
    case ERR_FORMAT:
        return "unknown format";
    case ERR_END:
        return "end";
    case ERR_CUT:
        return "ended too early";
    case ERR_AUTH:
        return "no valid credentials";
    case ERR_REMOTE:
        return "the other side reported an error";
    }
    return "unknown error";
}

const char *err_code_text(int code)
{
    if (code == 0)
        return "success";
    if (code <= ERR_INVALID)
        return own_code_text((enum err_code)code);
    const char *text = code < 0 ? strerrordesc_np(-code) : NULL;
    return text ? text : "unknown error";
}
