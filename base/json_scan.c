#include "base/json.h"

#include <errno.h>

#include "base/json_run.h"
#include "base/text.h"
#include "base/utf8.h"

/*
 * All texts here passed json_validate, so nothing is judged again; every step still stays inside
 * its span whatever the bytes are.
 */

static inline bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static struct span skip(struct span s, size_t n)
{
    return (struct span){s.len > 0 ? s.ptr + n : s.ptr, s.len - n};
}

static struct span skip_blanks(struct span s)
{
    size_t n = 0;
    while (n < s.len && is_blank(s.ptr[n]))
        n++;
    return skip(s, n);
}

static struct span trim(struct span s)
{
    s = skip_blanks(s);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

/* --- where a value ends
 * ---------------------------------------------------------------------------- */

static size_t string_length(struct span s)
{
    const uint8_t *end = s.ptr + s.len;
    size_t i = 1;
    while (i < s.len) {
        i = (size_t)(json_run_end(s.ptr + i, end) - s.ptr);
        if (i < s.len && s.ptr[i] == '"')
            return i + 1;
        i += i < s.len && s.ptr[i] == '\\' ? 2 : 1;
    }
    return s.len;
}

static size_t container_length(struct span s)
{
    size_t depth = 0;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t c = s.ptr[i];
        if (c == '"')
            i += string_length(skip(s, i)) - 1;
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return i + 1;
    }
    return s.len;
}

static size_t scalar_length(struct span s)
{
    size_t i = 0;
    while (i < s.len && !is_blank(s.ptr[i]) && s.ptr[i] != ',' && s.ptr[i] != ']' &&
           s.ptr[i] != '}')
        i++;
    return i;
}

static size_t value_length(struct span s)
{
    switch (s.ptr[0]) {
    case '"':
        return string_length(s);
    case '{':
    case '[':
        return container_length(s);
    default:
        return scalar_length(s);
    }
}

/* --- iteration
 * ---------------------------------------------------------------------------------------- */

enum json_type json_type_of(struct span raw)
{
    raw = skip_blanks(raw);
    if (raw.len == 0)
        return JSON_NULL;
    switch (raw.ptr[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

int json_iter_init(struct json_iter *it, struct span raw)
{
    raw = trim(raw);
    enum json_type type = json_type_of(raw);
    if (raw.len < 2 || (type != JSON_OBJECT && type != JSON_ARRAY))
        return ERR_INVALID;
    *it = (struct json_iter){
        .rest = {raw.ptr + 1, raw.len - 2},
        .array = type == JSON_ARRAY,
        .first = true,
    };
    return 0;
}

/* Takes one value and the blanks before it off the rest; an empty span when there is none. */
static struct span take(struct json_iter *it)
{
    it->rest = skip_blanks(it->rest);
    struct span found = it->rest;
    found.len = found.len > 0 ? value_length(found) : 0;
    it->rest = skip(it->rest, found.len);
    return found;
}

static bool take_byte(struct json_iter *it, uint8_t byte)
{
    it->rest = skip_blanks(it->rest);
    if (it->rest.len == 0 || it->rest.ptr[0] != byte)
        return false;
    it->rest = skip(it->rest, 1);
    return true;
}

bool json_iter_next(struct json_iter *it, struct span *key, struct json_value *value)
{
    if (!it->first && !take_byte(it, ','))
        return false;
    it->first = false;
    struct span name = {NULL, 0};
    if (!it->array) {
        name = take(it);
        if (name.len == 0 || !take_byte(it, ':'))
            return false;
    }
    struct span raw = take(it);
    if (raw.len == 0)
        return false;
    if (key)
        *key = name;
    *value = (struct json_value){json_type_of(raw), raw};
    return true;
}

/* --- strings
 * ----------------------------------------------------------------------------------------- */

static uint32_t hex4(const uint8_t *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | (uint32_t)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return v & 0xffff;
}

static uint8_t simple_escape(uint8_t c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

/*
 * Decodes the escape at the front of `s` (a backslash) into `out`. Returns the bytes written, sets
 * `used`; 0 for a surrogate without its other half.
 */
static size_t decode_escape(struct span s, uint8_t out[static 4], size_t *used)
{
    *used = s.len < 2 ? s.len : 2;
    if (s.len < 2 || s.ptr[1] != 'u') {
        out[0] = s.len < 2 ? '\\' : simple_escape(s.ptr[1]);
        return 1;
    }
    if (s.len < 6)
        return 0;
    *used = 6;
    uint32_t code = hex4(s.ptr + 2);
    if (code >= 0xd800 && code < 0xdc00) {
        if (s.len < 12 || s.ptr[6] != '\\' || s.ptr[7] != 'u')
            return 0;
        uint32_t low = hex4(s.ptr + 8);
        if (low < 0xdc00 || low > 0xdfff)
            return 0;
        *used = 12;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return 0;
    }
    return utf8_put(out, code);
}

static struct span unquote(struct span raw)
{
    raw = trim(raw);
    return raw.len < 2 ? (struct span){NULL, 0} : (struct span){raw.ptr + 1, raw.len - 2};
}

/* The bytes before the next backslash, taken off `s`. */
static struct span take_run(struct span *s)
{
    const uint8_t *slash = s->len > 0 ? memchr(s->ptr, '\\', s->len) : NULL;
    struct span run = {s->ptr, slash ? (size_t)(slash - s->ptr) : s->len};
    *s = skip(*s, run.len);
    return run;
}

static bool take_equal(struct span *rest, struct span part)
{
    if (rest->len < part.len || !span_eq((struct span){rest->ptr, part.len}, part))
        return false;
    *rest = skip(*rest, part.len);
    return true;
}

bool json_string_is(struct span raw, const char *text)
{
    struct span s = unquote(raw);
    struct span expected = span_str(text);
    for (;;) {
        if (!take_equal(&expected, take_run(&s)))
            return false;
        if (s.len == 0)
            return expected.len == 0;
        uint8_t bytes[4];
        size_t used;
        size_t len = decode_escape(s, bytes, &used);
        if (len == 0 || !take_equal(&expected, span_of(bytes, len)))
            return false;
        s = skip(s, used);
    }
}

int json_string_decode(struct span raw, struct buf *out, struct err *err)
{
    struct span s = unquote(raw);
    size_t before = out->len;
    /* No escape decodes to more bytes than it has. */
    if (buf_reserve(out, s.len) < 0)
        return err_set(err, -ENOMEM, "no memory for a string of %zu bytes", s.len);
    for (;;) {
        buf_add_span(out, take_run(&s));
        if (s.len == 0)
            return 0;
        uint8_t bytes[4];
        size_t used;
        size_t len = decode_escape(s, bytes, &used);
        if (len == 0) {
            out->len = before;
            return err_set(err, ERR_INVALID,
                           "a string has half a surrogate pair (%.*s), which is no character",
                           (int)(s.len < 6 ? s.len : 6), (const char *)s.ptr);
        }
        buf_add(out, bytes, len);
        s = skip(s, used);
    }
}

int json_u64(struct span raw, uint64_t *out)
{
    raw = trim(raw);
    if (raw.len > 1 && raw.ptr[0] == '0')
        return ERR_INVALID;
    return text_u64(raw, out);
}
