/*
 * Reading a file's messages in order, and single beacons of it.
 */
#include <inttypes.h>

#include "bridge/ss_parts.h"

#define STEP_FIRST (size_t)(16 * 1024)
#define STEP_MAX (size_t)(1024 * 1024)
#define BEACON_FIRST 512 /* holds most beacons */

/* Reads on into the buffer, which then has `want` bytes from `offset` on, or what the file has of them. */
static int load(const struct ss_bytes *f, uint64_t offset, size_t want, struct buf *into, struct err *err)
{
    uint64_t from = offset + into->len;
    if (want <= into->len || from >= f->size)
        return 0;
    uint64_t left = f->size - from;
    size_t room = want - into->len < left ? want - into->len : (size_t)left;
    int rc = buf_reserve(into, room);
    if (rc < 0)
        return err_sys(err, -rc, "reading at offset %" PRIu64, from);
    long n = f->read(f->arg, from, into->ptr + into->len, room);
    if (n < 0)
        return err_prefix(err, "reading at offset %" PRIu64, from), (int)n;
    into->len += (size_t)n;
    return 0;
}

/* --- single beacons ----------------------------------------------------------------------------- */

int ss_beacon_load(const struct ss_bytes *f, uint64_t offset, struct buf *into, size_t *size, struct err *err)
{
    size_t want = BEACON_FIRST, before;
    buf_reset(into);
    do {
        before = into->len;
        int rc = load(f, offset, want, into, err);
        if (rc < 0)
            return rc;
        rc = ss_beacon_walk(buf_span(into), f->interval, NULL, &want, err);
        if (rc < 0)
            err_prefix(err, "offset %" PRIu64, offset);
        if (rc == 0)
            *size = want;
        if (rc != SS_MORE)
            return rc;
    } while (into->len > before);
    return SS_MORE;
}

int ss_beacon_last(const struct ss_bytes *f, uint64_t *n, struct err *err)
{
    CLEAN_BUF bytes = BUF_INIT;
    size_t size;
    uint64_t last = f->size == 0 ? 0 : (f->size - 1) / f->interval;
    int rc = last == 0 ? 0 : ss_beacon_load(f, last * f->interval, &bytes, &size, err);
    if (rc < 0)
        return rc;
    *n = rc == SS_MORE ? last - 1 : last; /* the one before is whole: none fills its interval */
    return 0;
}

/* --- messages ----------------------------------------------------------------------------------- */

int ss_forward_begin(struct ss_forward *w, const struct ss_bytes *file, uint64_t offset)
{
    *w = (struct ss_forward){.file = file, .step = STEP_FIRST, .start = offset};
    return ss_scan_begin(&w->scan, file->interval, offset, false);
}

void ss_forward_finish(struct ss_forward *w)
{
    ss_scan_finish(&w->scan);
    buf_finish(&w->window);
}

static struct span window_of(const struct ss_forward *w)
{
    return w->window.len > w->at ? span_of(w->window.ptr + w->at, w->window.len - w->at) : span_of(NULL, 0);
}

/* At least `need` bytes from the scan's place on. ERR_END when the file has fewer. */
static int fill(struct ss_forward *w, size_t need, struct err *err)
{
    uint64_t offset = w->scan.offset;
    if (offset > w->file->size || need > w->file->size - offset)
        return ERR_END;
    buf_consume(&w->window, w->at);
    w->at = 0;
    int rc = load(w->file, offset, need > w->step ? need : w->step, &w->window, err);
    if (w->step < STEP_MAX)
        w->step *= 2;
    if (rc < 0)
        return rc;
    return w->window.len < need ? ERR_END : 0;
}

/* The frame's first byte: behind the beacon that stands before it. It was walked already. */
static uint64_t frame_start(const struct ss_forward *w, uint64_t offset, struct span window)
{
    size_t size = 0;
    if (offset % w->scan.interval == 0)
        (void)ss_beacon_size(window, &size, NULL);
    return offset + size;
}

int ss_forward_next(struct ss_forward *w, struct ss_message *out, struct err *err)
{
    for (;;) {
        struct span window = window_of(w);
        uint64_t offset = w->scan.offset;
        size_t used, need;
        int rc = ss_scan_next(&w->scan, window, out, &used, &need, err);
        if (rc == SS_MORE)
            rc = fill(w, need, err);
        else if (rc == 0 || rc == ERR_DAMAGED) {
            w->start = frame_start(w, offset, window);
            w->at += used;
            return rc;
        }
        if (rc < 0)
            return rc;
    }
}
