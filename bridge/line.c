/* A line as a message. */
#include "bridge/line.h"

#include "base/text.h"
#include "base/utf8.h"

#define PARTS_MAX 4

/* --- white space, as Unicode has it; the text is well-formed UTF-8 ------------------------------ */

static inline bool is_ascii_white(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* U+0085, U+00A0. */
static bool is_white_2(const uint8_t *p)
{
    return p[0] == 0xc2 && (p[1] == 0x85 || p[1] == 0xa0);
}

/* U+1680, U+2000 to U+200A, U+2028, U+2029, U+202F, U+205F, U+3000. */
static bool is_white_3(const uint8_t *p)
{
    uint32_t c = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
    return c == 0xe19a80 || (c >= 0xe28080 && c <= 0xe2808a) || c == 0xe280a8 || c == 0xe280a9 || c == 0xe280af || c == 0xe2819f ||
           c == 0xe38080;
}

/* Length of the white space character that `s` begins with; 0 when there is none. */
static inline size_t white_front(struct span s)
{
    if (s.len == 0)
        return 0;
    if (s.ptr[0] < 0x80)
        return is_ascii_white(s.ptr[0]);
    if (s.len >= 2 && is_white_2(s.ptr))
        return 2;
    return s.len >= 3 && is_white_3(s.ptr) ? 3 : 0;
}

static inline size_t white_back(struct span s)
{
    if (s.len == 0)
        return 0;
    if (s.ptr[s.len - 1] < 0x80)
        return is_ascii_white(s.ptr[s.len - 1]);
    if (s.len >= 2 && is_white_2(s.ptr + s.len - 2))
        return 2;
    return s.len >= 3 && is_white_3(s.ptr + s.len - 3) ? 3 : 0;
}

static inline struct span skip_white(struct span s)
{
    for (size_t n; (n = white_front(s)) > 0;)
        s = span_of(s.ptr + n, s.len - n);
    return s;
}

static inline struct span trim(struct span s)
{
    s = skip_white(s);
    for (size_t n; (n = white_back(s)) > 0;)
        s.len -= n;
    return s;
}

bool ss_line_blank(struct span text)
{
    return skip_white(text).len == 0;
}

/* --- what stands between the brackets ----------------------------------------------------------- */

/* Cuts at '|'. How many parts there are; above PARTS_MAX: too many. */
static size_t cut(struct span meta, struct span parts[static PARTS_MAX])
{
    size_t count = 0;
    for (;;) {
        const uint8_t *bar = memchr(meta.ptr, '|', meta.len);
        size_t len = bar ? (size_t)(bar - meta.ptr) : meta.len;
        if (count < PARTS_MAX)
            parts[count] = trim(span_of(meta.ptr, len));
        count++;
        if (!bar || count > PARTS_MAX)
            return count;
        meta = span_of(bar + 1, meta.len - len - 1);
    }
}

/* A "+" may stand before the digits. */
static int read_number(struct span text, const char *what, uint64_t *out, struct err *err)
{
    if (text.len > 1 && text.ptr[0] == '+')
        text = span_of(text.ptr + 1, text.len - 1);
    return text_u64(text, out) == 0
               ? 0
               : err_set(err, ERR_INVALID, "the %s in [...] is no number from 0 to 18446744073709551615", what);
}

/* What looks like a time is one that is wrong; other text in brackets is mostly meant as a payload. */
static int refuse_key(struct span part, struct err *err)
{
    if (part.len > 10 && memchr(part.ptr, ':', part.len) && memchr(part.ptr, '-', part.len))
        return err_set(err, ERR_INVALID,
                       "[...] has no time such as 2022-01-01T00:00:00.123 (UTC, no zone, from 1970 on), and no key there");
    err_prefix(err, "[...] is none of [TIME | KEY | SEQUENCE | SHARD] (a payload may begin so behind [KEY])");
    return ERR_INVALID;
}

static int read_key(struct ss_message *out, struct span part, struct err *err)
{
    if (ss_key_check(part, err) != 0)
        return refuse_key(part, err);
    out->key = part;
    out->no_key = false;
    return 0;
}

/* Only the first part may be a time. */
static int read_meta(struct ss_message *out, struct span meta, struct err *err)
{
    struct span parts[PARTS_MAX];
    size_t count = cut(meta, parts);
    size_t at = 0;
    if (count > PARTS_MAX)
        return err_set(err, ERR_INVALID, "[...] has more parts than TIME, KEY, SEQUENCE and SHARD");
    if (ss_time_parse(parts[0], &out->time_ms, &out->time_ns) == 0) {
        out->no_time = false;
        at++;
    }
    if (count - at > 3)
        return err_set(err, ERR_INVALID,
                       "the first of four parts in [...] is no time such as 2022-01-01T00:00:00.123 (UTC, no zone)");
    int rc = at < count ? read_key(out, parts[at++], err) : 0;
    if (rc == 0 && at < count) {
        out->no_seq = false;
        rc = read_number(parts[at++], "sequence", &out->seq, err);
    }
    return rc == 0 && at < count ? read_number(parts[at], "shard", &out->shard, err) : rc;
}

/* --- the line ----------------------------------------------------------------------------------- */

static int refuse_bytes(struct span line, struct err *err)
{
    size_t at = 0;
    for (size_t n; (n = utf8_length(line.ptr + at, line.len - at)) > 0;)
        at += n;
    return err_set(err, ERR_INVALID, "it is no UTF-8 (byte %zu)", at + 1);
}

int ss_line_parse(struct ss_message *out, struct span line, struct err *err)
{
    struct ss_message m = {.key = {(const uint8_t *)SS_KEY_BROADCAST, sizeof(SS_KEY_BROADCAST) - 1},
                           .payload = line,
                           .no_key = true,
                           .no_seq = true,
                           .no_time = true};
    if (!utf8_valid(line))
        return refuse_bytes(line, err);
    const uint8_t *end = line.len > 0 && line.ptr[0] == '[' ? memchr(line.ptr, ']', line.len) : NULL;
    size_t inner = end ? (size_t)(end - line.ptr) - 1 : 0;
    if (inner > 0) {
        int rc = read_meta(&m, span_of(line.ptr + 1, inner), err);
        if (rc != 0)
            return rc;
        struct span behind = span_of(end + 1, line.len - inner - 2);
        m.payload = skip_white(behind);
        if (m.payload.len == 0)
            m.payload = behind; /* nothing but blanks: they are the payload */
    }
    *out = m;
    return 0;
}
