#include "base/json.h"

#include "base/json_run.h"
#include "base/text.h"
#include "base/utf8.h"

#define ESCAPE_MAX 6 /* \u00XX */

static size_t escape(uint8_t *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letters[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f',
                                   ['\r'] = 'r', ['"'] = '"',  ['\\'] = '\\'};
    out[0] = '\\';
    if (c < sizeof(letters) && letters[c]) {
        out[1] = (uint8_t)letters[c];
        return 2;
    }
    memcpy(out + 1, "u00", 3);
    out[4] = (uint8_t)hex[c >> 4];
    out[5] = (uint8_t)hex[c & 15];
    return ESCAPE_MAX;
}

/* One character that is not plain, from `text` into out; returns how many bytes of text it took. */
static size_t put_special(struct buf *out, struct span text)
{
    uint8_t c = text.ptr[0];
    if (c < 0x80) {
        out->len += escape(out->ptr + out->len, c);
        return 1;
    }
    size_t len = utf8_length(text.ptr, text.len);
    if (len == 0) {
        out->len += utf8_put(out->ptr + out->len, 0xfffd);
        return 1;
    }
    memcpy(out->ptr + out->len, text.ptr, len);
    out->len += len;
    return len;
}

int json_put_string(struct buf *out, struct span text)
{
    size_t before = out->len;
    const uint8_t *p = text.ptr;
    const uint8_t *end = text.len > 0 ? text.ptr + text.len : text.ptr;
    int rc = buf_reserve(out, text.len + 2);
    if (rc < 0)
        return rc;
    buf_put(out, '"');
    while (p < end) {
        const uint8_t *run = p;
        p = json_run_end(p, end);
        /* What is left, an escape and the closing quote fit, so the loop never runs out of room. */
        rc = buf_reserve(out, (size_t)(end - run) + ESCAPE_MAX + 1);
        if (rc < 0) {
            out->len = before;
            return rc;
        }
        buf_add(out, run, (size_t)(p - run));
        if (p < end)
            p += put_special(out, span_of(p, (size_t)(end - p)));
    }
    buf_put(out, '"');
    return 0;
}

int json_put_u64(struct buf *out, uint64_t value)
{
    char digits[U64_TEXT_MAX];
    return buf_add(out, digits, text_format_u64(digits, value));
}
