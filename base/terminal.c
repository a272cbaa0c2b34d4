#include "base/text.h"

#include "base/utf8.h"

/* "\u{202e}" and such: the characters that change the direction of what stands around them. */
static bool is_direction(uint32_t code)
{
    return code == 0x061c || code == 0x200e || code == 0x200f ||
           (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static uint32_t code_point(const uint8_t *p, size_t len)
{
    if (len == 2)
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    if (len == 3)
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return p[0];
}

/* Adds the character at the front of `s`, whose length is returned through `used`. */
static int put_character(struct buf *out, struct span s, size_t *used)
{
    size_t len = utf8_length(s.ptr, s.len);
    *used = len > 0 ? len : 1;
    uint8_t c = s.ptr[0];
    if (len == 0 || (len == 1 && (c < 0x20 || c == 0x7f) && c != '\n' && c != '\t'))
        return buf_addf(out, "\\x%02x", c);
    uint32_t code = code_point(s.ptr, len);
    if (len > 1 && len < 4 && (code < 0xa0 || is_direction(code)))
        return buf_addf(out, "\\u%04x", code);
    return buf_add(out, s.ptr, len);
}

/* Most text is plain: runs of it go out in one piece. */
static size_t plain_run(struct span s)
{
    size_t n = 0;
    while (n < s.len &&
           ((s.ptr[n] >= 0x20 && s.ptr[n] < 0x7f) || s.ptr[n] == '\n' || s.ptr[n] == '\t'))
        n++;
    return n;
}

int text_neutralise(struct buf *out, struct span text)
{
    size_t before = out->len;
    while (text.len > 0) {
        size_t used = plain_run(text);
        int rc = used > 0 ? buf_add(out, text.ptr, used) : put_character(out, text, &used);
        if (rc < 0) {
            out->len = before;
            return rc;
        }
        text = (struct span){text.ptr + used, text.len - used};
    }
    return 0;
}
