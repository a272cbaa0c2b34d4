/* A message as a line. */
#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "bridge/line.h"
#include "bridge/show.h"

/* Brackets, bars, blanks, newline, time, sequence and shard at their longest. */
#define FIXED_MAX (16 + SS_TIME_TEXT + 2 * U64_TEXT_MAX)

static inline uint8_t *put(uint8_t *p, struct span s)
{
    if (s.len > 0)
        memcpy(p, s.ptr, s.len);
    return p + s.len;
}

static inline uint8_t *put_bar(uint8_t *p)
{
    static const uint8_t bar[] = {' ', '|', ' '};
    memcpy(p, bar, sizeof bar);
    return p + sizeof bar;
}

/* "[...]", where there is room for it. */
static uint8_t *put_head(uint8_t *p, const struct ss_message *m, bool exact)
{
    *p++ = '[';
    p += exact ? ss_time_write((char *)p, m->time_ms, m->time_ns) : ss_time_write_seconds((char *)p, m->time_ms);
    p = put(put_bar(p), m->key);
    p = ss_put_number(put_bar(p), m->seq);
    if (exact)
        p = ss_put_number(put_bar(p), m->shard);
    *p++ = ']';
    return p;
}

static int put_json(struct buf *out, const struct ss_message *m, bool text, struct ss_line_form form, struct err *err)
{
    size_t before = out->len;
    int rc = buf_reserve(out, m->key.len + FIXED_MAX);
    if (rc == 0) {
        uint8_t *p = put_head(out->ptr + out->len, m, form.exact);
        *p++ = ' ';
        out->len = (size_t)(p - out->ptr);
        rc = text ? json_put_string(out, m->payload) : ss_show_bytes(out, m->payload);
    }
    if (rc == 0)
        rc = buf_add_str(out, "\n");
    if (rc == 0)
        return 0;
    out->len = before;
    return err_set(err, rc, "out of memory");
}

static int put_plain(struct buf *out, const struct ss_message *m, struct ss_line_form form, struct err *err)
{
    if (buf_reserve(out, m->key.len + m->payload.len + FIXED_MAX) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    uint8_t *p = put_head(out->ptr + out->len, m, form.exact);
    /* Readers take blanks with nothing behind them as the payload, so the exact form has no blank of its own there. */
    if (!form.exact || !ss_line_blank(m->payload))
        *p++ = ' ';
    p = put(p, m->payload);
    *p++ = '\n';
    out->len = (size_t)(p - out->ptr);
    return 0;
}

static int check(const struct ss_message *m, struct err *err)
{
    if (m->time_ms > SS_TIME_MAX)
        return err_set(err, ERR_INVALID, "its time lies behind the year 9999");
    return ss_key_check(m->key, err);
}

int ss_line_write(struct buf *out, const struct ss_message *m, struct ss_line_form form, struct err *err)
{
    struct span payload = m->payload;
    int rc = check(m, err);
    if (rc != 0 || (!form.exact && payload.len == 0))
        return rc;
    bool newline = payload.len > 0 && memchr(payload.ptr, '\n', payload.len);
    bool text = form.odd == SS_ODD_RAW || utf8_valid(payload);
    if (form.odd == SS_ODD_RAW || (text && !newline))
        return put_plain(out, m, form, err);
    if (form.odd == SS_ODD_JSON)
        return put_json(out, m, text, form, err);
    return err_set(err, ERR_INVALID, text ? "its payload has a newline, which a line cannot hold"
                                          : "its payload is no UTF-8, which a line must be");
}
