/*
 * Messages out of a file's bytes. A frame that no beacon cuts is given where it stands; one that beacons cut is put together,
 * but only once the window holds all of it, so that a length which lies costs nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/bytes.h"

#include "bridge/ss_parts.h"

#define WHOLE_STEP 4096
#define NO_BEACON SIZE_MAX

/* A walk over the frame's bytes of a window, around the beacons. */
struct walk {
    struct span window;
    uint64_t base; /* offset of the window in the file */
    uint32_t interval;
    size_t at;     /* in the window */
    size_t gap;    /* bytes of frames from there to the next beacon */
    size_t beacon; /* in the window: the beacon crossed last */
    uint64_t need; /* with SS_MORE */
    struct err *err;
};

/* Bytes of the file that `left` bytes of a frame take at least from `offset` on: beacons between them are empty at best. */
static uint64_t stretch(uint64_t offset, uint32_t interval, uint64_t left)
{
    uint64_t gap = ss_gap(offset, interval), room = interval - SS_BEACON_EMPTY;
    if (left <= gap)
        return left;
    return left + (left - gap + room - 1) / room * SS_BEACON_EMPTY;
}

/* --- the scan's own ----------------------------------------------------------------------------- */

int ss_scan_begin(struct ss_scan *s, uint32_t interval, uint64_t offset, bool want_beacons)
{
    *s = (struct ss_scan){.interval = interval, .offset = offset, .want_beacons = want_beacons};
    if (!want_beacons)
        return 0;
    s->beacon = malloc(sizeof *s->beacon);
    return s->beacon ? 0 : -ENOMEM;
}

void ss_scan_finish(struct ss_scan *s)
{
    buf_finish(&s->whole);
    free(s->beacon);
    s->beacon = NULL;
}

/* --- around the beacons ------------------------------------------------------------------------- */

/* Behind the beacon that is due. `left`: bytes of the frame to come at least, of which `*need` tells. */
static int cross(struct walk *w, uint64_t left)
{
    size_t size;
    struct span rest = span_of(w->window.ptr + w->at, w->window.len - w->at);
    int rc = ss_beacon_walk(rest, w->interval, NULL, &size, w->err);
    if (rc < 0) {
        err_prefix(w->err, "offset %" PRIu64, w->base + w->at);
        return rc;
    }
    if (rc == SS_MORE) {
        w->need = w->at + size + stretch(w->base + w->at + size, w->interval, left);
        return SS_MORE;
    }
    w->beacon = w->at;
    w->at += size;
    w->gap = w->interval - size;
    return 0;
}

/* Over `len` bytes of the frame, which go to `into` unless it is NULL; `left` of it come behind them at least. */
static int advance(struct walk *w, uint8_t *into, size_t len, uint64_t left)
{
    while (len > 0) {
        if (w->gap == 0) {
            int rc = cross(w, len + left);
            if (rc != 0)
                return rc;
        }
        size_t part = len < w->gap ? len : w->gap;
        if (w->window.len - w->at < part) {
            w->need = w->at + stretch(w->base + w->at, w->interval, len + left);
            return SS_MORE;
        }
        if (into) {
            memcpy(into, w->window.ptr + w->at, part);
            into += part;
        }
        w->at += part;
        w->gap -= part;
        len -= part;
    }
    return 0;
}

/* --- frames ------------------------------------------------------------------------------------- */

static size_t frame_size(const uint8_t *head)
{
    return SS_FRAME_FIXED + (size_t)head[0] + get_be32(head + 1 + head[0] + 24);
}

static int check_length(const struct walk *w, uint64_t at, uint8_t len)
{
    if (len > 0 && len <= SS_KEY_MAX)
        return 0;
    return err_set(w->err, ERR_FORMAT, "offset %" PRIu64 ": a key of %u bytes", at, len);
}

static int check_head(const struct walk *w, uint64_t at, const uint8_t *head)
{
    int rc = ss_check_key(span_of(head + 1, head[0]), at, w->err);
    return rc < 0 ? rc : ss_check_time(get_be64(head + 1 + head[0] + 16), at, w->err);
}

/* The head of a frame, wherever beacons cut it, into `head`. */
static int gather_head(struct walk *w, uint64_t at, uint8_t head[static SS_HEAD_MAX])
{
    int rc = advance(w, head, 1, SS_FRAME_FIXED);
    if (rc == 0)
        rc = check_length(w, at, head[0]);
    if (rc == 0)
        rc = advance(w, head + 1, head[0], SS_HEAD_FIXED + SS_TAIL);
    if (rc == 0) /* a bad key is one also where the frame is not whole */
        rc = ss_check_key(span_of(head + 1, head[0]), at, w->err);
    if (rc == 0)
        rc = advance(w, head + 1 + head[0], SS_HEAD_FIXED, SS_TAIL);
    return rc != 0 ? rc : check_head(w, at, head);
}

static int whole_room(struct buf *whole, size_t size)
{
    whole->len = 0;
    if (whole->ptr && size <= whole->cap)
        return 0;
    buf_finish(whole);
    size_t cap = (size + WHOLE_STEP - 1) / WHOLE_STEP * WHOLE_STEP;
    whole->ptr = malloc(cap);
    whole->cap = whole->ptr ? cap : 0;
    return whole->ptr ? 0 : -ENOMEM;
}

/* A frame that is cut, or goes on behind the window. Looks first whether all of it is there. */
static int frame_cut(struct ss_scan *s, struct walk *w, struct span *frame)
{
    uint8_t head[SS_HEAD_MAX];
    struct walk again = *w;
    int rc = gather_head(w, w->base + w->at, head);
    if (rc != 0)
        return rc;
    size_t size = frame_size(head);
    rc = advance(w, NULL, size - (1 + (size_t)head[0] + SS_HEAD_FIXED), 0);
    if (rc == 0)
        rc = whole_room(&s->whole, size);
    if (rc == 0)
        rc = advance(&again, s->whole.ptr, size, 0);
    if (rc != 0)
        return rc;
    s->whole.len = size;
    *frame = buf_span(&s->whole);
    return 0;
}

/* The frame at the walk's place, whole. */
static int frame_next(struct ss_scan *s, struct walk *w, struct span *frame)
{
    const uint8_t *p = w->window.ptr + w->at;
    size_t here = w->window.len - w->at;
    if (here > w->gap)
        here = w->gap;
    if (here == 0 || here < 1 + (size_t)p[0] + SS_HEAD_FIXED || p[0] == 0 || p[0] > SS_KEY_MAX)
        return frame_cut(s, w, frame);
    size_t size = frame_size(p);
    if (size > here)
        return frame_cut(s, w, frame);
    int rc = check_head(w, w->base + w->at, p);
    if (rc < 0)
        return rc;
    *frame = span_of(p, size);
    w->at += size;
    return 0;
}

static void take_message(struct ss_message *out, struct span frame)
{
    const uint8_t *p = frame.ptr;
    size_t len = p[0], head = 1 + len + SS_HEAD_FIXED;
    *out = (struct ss_message){.key = span_of(p + 1, len),
                               .shard = get_be64(p + 1 + len),
                               .seq = get_be64(p + 1 + len + 8),
                               .time_ms = get_be64(p + 1 + len + 16),
                               .payload = span_of(p + head, frame.len - head - SS_TAIL)};
}

/* --- a message ---------------------------------------------------------------------------------- */

bool ss_is_end(const struct ss_message *m)
{
    return span_is(m->payload, "EOS") && span_is(m->key, SS_KEY_INTERNAL);
}

static void note_beacon(struct ss_scan *s, const struct walk *w)
{
    s->has_beacon = w->beacon != NO_BEACON;
    if (!s->has_beacon)
        return;
    s->beacon_at = w->base + w->beacon;
    if (s->want_beacons) /* it was walked already */
        (void)ss_beacon_read(s->beacon, span_of(w->window.ptr + w->beacon, w->window.len - w->beacon), NULL);
}

static int check_sum(const struct ss_message *m, struct err *err)
{
    uint16_t stored = get_be16(m->payload.ptr + m->payload.len);
    uint16_t computed = ss_crc(SS_CRC_INIT, m->payload);
    if (stored == computed)
        return 0;
    return err_set(err, ERR_DAMAGED, "checksum error: received %u, computed %u", stored, computed);
}

/* To the frame's first byte: over a beacon that stands before it. */
static int walk_begin(struct walk *w)
{
    w->gap = ss_gap(w->base, w->interval);
    return w->gap == 0 ? cross(w, SS_FRAME_FIXED + 1) : 0;
}

int ss_scan_next(struct ss_scan *s, struct span window, struct ss_message *out, size_t *used, size_t *need,
                 struct err *err)
{
    struct walk w = {.window = window, .base = s->offset, .interval = s->interval, .beacon = NO_BEACON, .err = err};
    struct span frame;
    if (s->ended)
        return ERR_END;
    if (window.len == 0)
        w.window = span_str(""); /* a pointer to reckon with */
    int rc = walk_begin(&w);
    if (rc == 0)
        rc = frame_next(s, &w, &frame);
    if (rc == SS_MORE && need)
        *need = w.need;
    if (rc != 0)
        return rc;
    take_message(out, frame);
    note_beacon(s, &w);
    *used = w.at;
    s->offset += w.at;
    rc = check_sum(out, err);
    s->ended = rc == 0 && ss_is_end(out);
    return rc;
}
