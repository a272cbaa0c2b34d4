#include <errno.h>

#include "base/bytes.h"
#include "bridge/io/ss_look.h"
#include "bridge/ss_parts.h"

#define STEP ((size_t)1024 * 1024)
#define SEARCH_STEP ((size_t)64 * 1024)
#define GUARDED ((size_t)16 * 1024 * 1024) /* more bytes for one message are read only when a beacon bears them out */
#define BEACONS_ASKED 3

int ss_view_begin(struct ss_view *v, const struct ss_bytes *file)
{
    *v = (struct ss_view){.file = *file};
    return ss_scan_begin(&v->scan, file->interval, SS_HEADER_SIZE, false);
}

void ss_view_finish(struct ss_view *v)
{
    ss_scan_finish(&v->scan);
    buf_finish(&v->bytes);
}

/* --- bytes ------------------------------------------------------------------------------------ */

static int read_on(struct ss_view *v, size_t room, struct err *err)
{
    if (buf_reserve(&v->bytes, room) != 0)
        return err_set(err, -ENOMEM, "no memory for %zu bytes", room);
    uint64_t left = v->file.size - v->at - v->bytes.len;
    long n = v->file.read(v->file.arg, v->at + v->bytes.len, v->bytes.ptr + v->bytes.len, room < left ? room : (size_t)left);
    if (n < 0)
        return err_sys(err, (int)-n, "read");
    v->bytes.len += (size_t)n;
    /* It became shorter: what is gone cannot be looked at. */
    if (n == 0)
        v->file.size = v->at + v->bytes.len;
    return 0;
}

int ss_view_get(struct ss_view *v, uint64_t offset, size_t need, struct span *out, struct err *err)
{
    if (offset < v->at || offset > v->at + v->bytes.len) {
        v->at = offset;
        v->bytes.len = 0;
    }
    while (v->at + v->bytes.len < offset + need && v->at + v->bytes.len < v->file.size) {
        buf_consume(&v->bytes, (size_t)(offset - v->at));
        v->at = offset;
        size_t missing = need - v->bytes.len;
        int rc = read_on(v, missing > STEP ? missing : STEP, err);
        if (rc != 0)
            return rc;
    }
    size_t skip = (size_t)(offset - v->at);
    *out = skip < v->bytes.len ? span_of(v->bytes.ptr + skip, v->bytes.len - skip) : span_of("", 0);
    return 0;
}

/* --- one message ------------------------------------------------------------------------------ */

/* A walk over a frame's bytes around the beacons. */
struct around {
    struct ss_view *v;
    uint64_t at;
    uint32_t remaining; /* what the beacon crossed last says */
};

/* Over the beacon that is due here. ERR_FORMAT: none stands there. */
static int cross(struct around *a, struct err *err)
{
    struct span bytes;
    size_t size = 0;
    int rc = ss_view_get(a->v, a->at, SS_BEACON_SIZE_MAX, &bytes, err);
    if (rc != 0)
        return rc;
    if (ss_beacon_size(bytes, &size, NULL) != 0 || size >= a->v->file.interval)
        return ERR_FORMAT;
    a->remaining = get_be32(bytes.ptr + 1);
    a->at += size;
    return 0;
}

/* The next `len` bytes of the frame into `into`. */
static int gather(struct around *a, uint8_t *into, size_t len, struct err *err)
{
    while (len > 0) {
        struct span bytes;
        uint64_t gap = ss_gap(a->at, a->v->file.interval);
        size_t part = gap < len ? (size_t)gap : len;
        int rc = gap == 0 ? cross(a, err) : ss_view_get(a->v, a->at, part, &bytes, err);
        if (rc != 0)
            return rc;
        if (gap == 0)
            continue;
        if (bytes.len < part)
            return ERR_FORMAT;
        memcpy(into, bytes.ptr, part);
        into += part;
        a->at += part;
        len -= part;
    }
    return 0;
}

/* Behind the head; how much of the frame is to come there. ERR_FORMAT: it cannot be read. */
static int over_head(struct around *a, uint64_t *left, struct err *err)
{
    uint8_t head[SS_HEAD_MAX];
    int rc = gather(a, head, 1, err);
    if (rc == 0)
        rc = head[0] <= SS_KEY_MAX ? gather(a, head + 1, (size_t)head[0] + SS_HEAD_FIXED, err) : ERR_FORMAT;
    if (rc == 0)
        *left = get_be32(head + 1 + head[0] + SS_HEAD_FIXED - 4) + (uint64_t)SS_TAIL;
    return rc;
}

/* At the next beacon, when the frame goes on behind it and the file as well. */
static bool to_beacon(struct around *a, uint64_t *left)
{
    uint64_t gap = ss_gap(a->at, a->v->file.interval);
    if (*left <= gap || a->at + gap >= a->v->file.size)
        return false;
    a->at += gap;
    *left -= gap;
    return true;
}

int ss_view_borne_out(struct ss_view *v, uint64_t offset, bool *yes, struct err *err)
{
    struct around a = {.v = v, .at = offset};
    uint64_t left = 0;
    *yes = false;
    int rc = over_head(&a, &left, err);
    for (int i = 0; rc == 0 && i < BEACONS_ASKED && !*yes && to_beacon(&a, &left); i++) {
        rc = cross(&a, err);
        *yes = rc == 0 && a.remaining == (uint32_t)left;
    }
    return rc == ERR_FORMAT ? 0 : rc;
}

int ss_view_check_large(struct ss_view *v, uint64_t offset, size_t need, struct err *err)
{
    bool yes;
    if (need < GUARDED || need < (uint64_t)v->file.interval * 2)
        return 0;
    int rc = ss_view_borne_out(v, offset, &yes, err);
    if (rc != 0 || yes)
        return rc;
    return err_set(err, ERR_FORMAT, "a message of %zu bytes, of which no beacon knows", need);
}

int ss_view_try(struct ss_view *v, uint64_t offset, struct ss_message *out, struct span *frame, struct err *err)
{
    size_t need = SS_HEAD_MAX;
    for (;;) {
        struct span bytes;
        size_t used = 0;
        int rc = need > v->file.size - offset ? 0 : ss_view_check_large(v, offset, need, err);
        if (rc == 0)
            rc = ss_view_get(v, offset, need, &bytes, err);
        if (rc != 0)
            return rc;
        v->scan.offset = offset;
        v->scan.ended = false;
        rc = ss_scan_next(&v->scan, bytes, out, &used, &need, err);
        *frame = span_of(bytes.ptr, used);
        if (rc != SS_MORE || need > v->file.size - offset || need <= bytes.len)
            return rc;
    }
}

/* --- the next one ----------------------------------------------------------------------------- */

/* Cheaply: whether a message may begin at the front of `bytes`, which no beacon cuts within `gap`. */
static bool may_begin(struct span bytes, uint64_t gap, uint64_t left)
{
    const uint8_t *p = bytes.ptr;
    size_t len = p[0], head = 1 + len + SS_HEAD_FIXED;
    if (gap == 0)
        return p[0] == SS_MARK;
    if (len == 0 || len > SS_KEY_MAX)
        return false;
    if (head > bytes.len || head > gap)
        return true;
    const uint8_t *time = p + 1 + len + 16;
    return time[0] == 0 && time[1] == 0 && SS_FRAME_FIXED + (uint64_t)len + get_be32(p + head - 4) <= left &&
           ss_key_check(span_of(p + 1, len), NULL) == 0;
}

/* Where a message may begin, of the first `count` offsets of `bytes`; `count` when nowhere. */
static size_t next_candidate(const struct ss_view *v, uint64_t offset, struct span bytes, size_t count)
{
    uint64_t gap = ss_gap(offset, v->file.interval);
    for (size_t i = 0; i < count; i++) {
        if (may_begin(span_of(bytes.ptr + i, bytes.len - i), gap, v->file.size - offset - i))
            return i;
        gap = gap == 0 ? v->file.interval - 1 : gap - 1;
    }
    return count;
}

int ss_view_search(struct ss_view *v, uint64_t from, uint64_t until, uint64_t *found, struct err *err)
{
    while (from < until && from < v->file.size) {
        struct span bytes, frame;
        struct ss_message m;
        int rc = ss_view_get(v, from, SEARCH_STEP, &bytes, err);
        if (rc != 0)
            return rc;
        size_t count = bytes.len < until - from ? bytes.len : (size_t)(until - from);
        size_t skip = next_candidate(v, from, bytes, count);
        from += skip;
        if (skip == count)
            continue;
        rc = ss_view_try(v, from, &m, &frame, NULL);
        bool whole = rc == 0 && frame.ptr[frame.len - 1] == SS_MARK;
        if (rc < 0 && rc != ERR_FORMAT && rc != ERR_DAMAGED)
            return err_set(err, rc, "%s", err_code_text(rc));
        if (whole)
            break;
        from++;
    }
    *found = from < until ? from : until;
    return 0;
}
