#include "base/text.h"

static struct span after(struct span s, size_t n)
{
    return (struct span){s.len > 0 ? s.ptr + n : s.ptr, s.len - n};
}

/* Index of the first byte that is in `set`, or the length. */
static size_t find(struct span s, const char *set)
{
    size_t i = 0;
    while (i < s.len && (s.ptr[i] == '\0' || !strchr(set, s.ptr[i])))
        i++;
    return i;
}

/* Absolute form is "scheme://authority" before what origin form has: takes that off. */
static struct span origin_form(struct span target)
{
    size_t colon = find(target, ":/?#");
    struct span rest = after(target, colon);
    if (colon == 0 || rest.len < 3 || memcmp(rest.ptr, "://", 3) != 0)
        return target;
    rest = after(rest, 3);
    return after(rest, find(rest, "/?#"));
}

void uri_split(struct span target, struct span *path, struct span *query)
{
    struct span origin = origin_form(target);
    origin.len = find(origin, "#");
    size_t mark = find(origin, "?");
    *path = (struct span){origin.ptr, mark};
    *query = mark < origin.len ? after(origin, mark + 1) : (struct span){NULL, 0};
    if (path->len == 0)
        *path = span_str("/");
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    int letter = (c | 0x20) - 'a';
    return letter >= 0 && letter < 6 ? letter + 10 : -1;
}

/* The byte of the escape at the front of `s` (a percent sign); 0 when it is broken or %00. */
static uint8_t unescape(struct span s)
{
    if (s.len < 3)
        return 0;
    int high = hex_value(s.ptr[1]);
    int low = hex_value(s.ptr[2]);
    if (high < 0 || low < 0)
        return 0;
    return (uint8_t)(high << 4 | low);
}

static int no_escape(struct span rest, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "\"%.*s\" is no percent escape: %%01 to %%ff are, %%25 for a %%",
                   (int)(rest.len < 3 ? rest.len : 3), (const char *)rest.ptr);
}

int uri_decode(struct buf *out, struct span text, bool plus, struct err *err)
{
    size_t before = out->len;
    int rc = buf_reserve(out, text.len);
    if (rc < 0)
        return err_set(err, rc, "no memory for %zu bytes of a request target", text.len);
    for (size_t i = 0; i < text.len; i++) {
        struct span rest = after(text, i);
        uint8_t c = *rest.ptr;
        if (c == '%') {
            c = unescape(rest);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        if (c == 0) { /* a broken escape, %00, or a NUL as it stands */
            out->len = before;
            return no_escape(rest, err);
        }
        buf_put(out, c);
    }
    return 0;
}

static bool is_unreserved(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int uri_encode(struct buf *out, struct span text, const char *keep)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t coded = 0;
    for (size_t i = 0; i < text.len; i++)
        coded += !is_unreserved(text.ptr[i]);
    int rc = buf_reserve(out, text.len + 2 * coded);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_unreserved(c) || (keep && c != '\0' && strchr(keep, c))) {
            buf_put(out, c);
            continue;
        }
        buf_put(out, '%');
        buf_put(out, (uint8_t)hex[c >> 4]);
        buf_put(out, (uint8_t)hex[c & 15]);
    }
    return 0;
}

bool uri_query_next(struct span *rest, struct span *key, struct span *value, bool *has_value)
{
    while (rest->len > 0 && *rest->ptr == '&')
        *rest = after(*rest, 1);
    if (rest->len == 0)
        return false;
    struct span item = {rest->ptr, find(*rest, "&")};
    *rest = after(*rest, item.len);
    size_t equals = find(item, "=");
    *has_value = equals < item.len;
    *key = (struct span){item.ptr, equals};
    *value = *has_value ? after(item, equals + 1) : (struct span){NULL, 0};
    return true;
}
