#include "daemon/run/tail_lines.h"

#include "base/utf8.h"

/* --- what is kept ------------------------------------------------------------------------------- */

static void forget_first(struct tail_lines *t)
{
    const uint8_t *end = memchr(t->kept, '\n', t->kept_len);
    size_t gone = end ? (size_t)(end - t->kept) + 1 : t->kept_len;
    memmove(t->kept, t->kept + gone, t->kept_len - gone);
    t->kept_len -= gone;
    t->kept_lines--;
}

static void keep(struct tail_lines *t, struct span line)
{
    while (t->kept_lines > 0 &&
           (t->kept_lines == TAIL_KEEP_LINES || t->kept_len + 1 + line.len > sizeof(t->kept)))
        forget_first(t);
    if (t->kept_lines > 0)
        t->kept[t->kept_len++] = '\n';
    if (line.len > 0)
        memcpy(t->kept + t->kept_len, line.ptr, line.len);
    t->kept_len += line.len;
    t->kept_lines++;
}

struct span tail_lines_kept(const struct tail_lines *tail)
{
    return span_of(tail->kept, tail->kept_len);
}

/* --- lines -------------------------------------------------------------------------------------- */

static void hand_out(struct tail_lines *t)
{
    struct span line = span_of(t->begun, t->begun_len);
    t->begun_len = 0;
    keep(t, line);
    if (t->line)
        t->line(t->arg, line);
}

/* Whole characters only, so a long line is never cut within one. */
static void add(struct tail_lines *t, const uint8_t *text, size_t len)
{
    if (t->begun_len + len > sizeof(t->begun))
        hand_out(t);
    memcpy(t->begun + t->begun_len, text, len);
    t->begun_len += len;
}

static void add_replacement(struct tail_lines *t)
{
    add(t, (const uint8_t *)"\xef\xbf\xbd", 3);
}

/* --- characters ----------------------------------------------------------------------------------- */

/* How many bytes a character that begins so has; 0 when none does. */
static size_t announced(uint8_t first)
{
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

static void take_byte(struct tail_lines *t, uint8_t byte);

/* The bytes gathered will never be a character: the first is replaced, the others are looked at anew. */
static void give_up_partial(struct tail_lines *t)
{
    uint8_t rest[sizeof(t->partial)];
    size_t len = t->partial_len - 1;
    memcpy(rest, t->partial + 1, len);
    t->partial_len = 0;
    add_replacement(t);
    for (size_t i = 0; i < len; i++)
        take_byte(t, rest[i]);
}

static void take_partial(struct tail_lines *t, uint8_t byte)
{
    t->partial[t->partial_len++] = byte;
    size_t want = announced(t->partial[0]);
    if (want == 0 || (t->partial_len > 1 && !utf8_is_tail(byte))) {
        give_up_partial(t);
    } else if (t->partial_len == want && utf8_length(t->partial, want) == want) {
        t->partial_len = 0;
        add(t, t->partial, want);
    } else if (t->partial_len == want) {
        give_up_partial(t);
    }
}

static void take_byte(struct tail_lines *t, uint8_t byte)
{
    if (t->partial_len > 0 || byte >= 0x80)
        take_partial(t, byte);
    else if (byte == '\n')
        hand_out(t);
    else
        add(t, &byte, 1);
}

void tail_lines_take(struct tail_lines *tail, struct span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        take_byte(tail, bytes.ptr[i]);
}

void tail_lines_end(struct tail_lines *tail)
{
    while (tail->partial_len > 0)
        give_up_partial(tail);
    if (tail->begun_len > 0)
        hand_out(tail);
}
