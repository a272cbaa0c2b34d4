/*
 * UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <weir/span.h>

static inline int utf8_is_tail(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/** Length (1-4) of the well-formed sequence at p, of which `room` (>= 1) bytes may be read; 0 if
 * none. */
static inline size_t utf8_length(const uint8_t *p, size_t room)
{
    uint8_t c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xc2 || room < 2 || !utf8_is_tail(p[1]))
        return 0;
    if (c < 0xe0)
        return 2;
    if (room < 3 || !utf8_is_tail(p[2]))
        return 0;
    if (c < 0xf0) {
        int overlong = c == 0xe0 && p[1] < 0xa0;
        int surrogate = c == 0xed && p[1] >= 0xa0;
        return overlong || surrogate ? 0 : 3;
    }
    if (c > 0xf4 || room < 4 || !utf8_is_tail(p[3]))
        return 0;
    int overlong = c == 0xf0 && p[1] < 0x90;
    int above = c == 0xf4 && p[1] >= 0x90;
    return overlong || above ? 0 : 4;
}

/** The end of the run of ASCII bytes at p, or a little before it. Eight bytes at a step. */
static inline const uint8_t *utf8_ascii_run(const uint8_t *p, const uint8_t *end)
{
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        if (w & UINT64_C(0x8080808080808080))
            break;
        p += 8;
    }
    return p;
}

/** Whether all of the text is well formed; the empty one is. */
static inline bool utf8_valid(struct span text)
{
    for (size_t i = 0; i < text.len;) {
        if (text.ptr[i] < 0x80)
            i = (size_t)(utf8_ascii_run(text.ptr + i, text.ptr + text.len) - text.ptr);
        if (i == text.len)
            break;
        size_t len = utf8_length(text.ptr + i, text.len - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

/** Writes a code point (not a surrogate, at most U+10FFFF); returns its length 1-4. */
static inline size_t utf8_put(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

#endif
