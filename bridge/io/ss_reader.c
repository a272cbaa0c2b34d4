/*
 * Reading a .ss file forward, also while it grows.
 *
 *   1. The window always begins at the next frame and is read anew from there, in one go, whenever the frame goes on behind it; and only
 *      when the file has all the bytes that the frame needs. So bytes of an incomplete frame are never joined with what a writer
 *      puts in their place after it took them away.
 *   2. At the file's end nothing of the window is kept.
 *   3. While a file is followed, what looks damaged is read once more before it is called so: it may have been replaced in between.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/bytes.h"
#include "bridge/io/ss_place.h"
#include "bridge/io/ss_reader_impl.h"
#include "bridge/ss_parts.h"
#include "bridge/ss_rest.h"

#define WINDOW ((size_t)1024 * 1024)
#define WINDOW_KEPT (16 * WINDOW) /* a larger one goes when it is not needed any more */
#define AT_END 2                  /* the file has no whole frame more */

/* --- the window ------------------------------------------------------------------------------- */

static struct span window(const struct ss_reader *r)
{
    return r->len > r->at ? span_of(r->window + r->at, r->len - r->at) : (struct span){0};
}

static int make_room(struct ss_reader *r, size_t want, struct err *err)
{
    if (want <= r->cap && (r->cap <= WINDOW_KEPT || want > WINDOW))
        return 0;
    free(r->window);
    r->window = malloc(want);
    r->cap = r->window ? want : 0;
    return r->window ? 0 : err_set(err, -ENOMEM, "no memory for a message of %zu bytes", want);
}

/* AT_END when the file has not the `need` bytes. */
static int fill(struct ss_reader *r, uint64_t need, struct err *err)
{
    int rc = ss_place_size(r->fd, r->path, &r->size, err);
    if (rc != 0)
        return rc;
    if (r->size < r->scan.offset)
        return err_set(err, ERR_CUT, "%s became shorter while it was read: it has %" PRIu64 " bytes, %" PRIu64 " were read", r->path, r->size,
                       r->scan.offset);
    uint64_t there = r->size - r->scan.offset;
    if (there < need)
        return AT_END;
    size_t want = need > WINDOW ? (size_t)need : WINDOW;
    rc = make_room(r, want, err);
    if (rc != 0)
        return rc;
    r->at = r->len = 0;
    long got = fd_read_at(r->fd, r->scan.offset, r->window, there < want ? (size_t)there : want);
    if (got < 0)
        return err_sys(err, (int)-got, "read %s", r->path);
    r->len = (size_t)got;
    return r->len < need ? AT_END : 0;
}

/* --- the end ---------------------------------------------------------------------------------- */

/* Bytes of the frame at the window's front that come behind the beacon at `beacon`, by its own head; false when the head is not all before it. */
static bool left_behind(const struct ss_reader *r, uint64_t beacon, uint64_t *left)
{
    struct span have = window(r);
    if (!have.ptr || have.len == 0)
        return false;
    size_t head = 1 + (size_t)have.ptr[0] + SS_HEAD_FIXED;
    uint64_t before = beacon - r->scan.offset;
    if (have.len < head || before < head)
        return false;
    uint64_t size = head + get_be32(have.ptr + head - 4) + (SS_TAIL);
    *left = size - before;
    return size >= before;
}

/* An incomplete frame with a beacon behind it that knows another length: it is not incomplete, its length is wrong. */
static int check_length(const struct ss_reader *r, struct err *err)
{
    uint32_t interval = r->header.interval;
    uint64_t beacon = (r->scan.offset / interval + 1) * interval, left;
    uint8_t head[SS_BEACON_EMPTY];
    if (r->scan.offset % interval == 0 || beacon + sizeof head > r->size || !left_behind(r, beacon, &left))
        return 0;
    if (fd_read_at(r->fd, beacon, head, sizeof head) < (long)sizeof head)
        return 0;
    if (head[0] == SS_MARK && get_be32(head + 1) == left)
        return 0;
    return err_set(err, ERR_FORMAT, "offset %" PRIu64 ": a message of a wrong length: the beacon at %" PRIu64 " does not fit it", r->scan.offset,
                   beacon);
}

static int end_of_file(struct ss_reader *r, struct err *err)
{
    struct ss_bytes f = ss_place_bytes(&r->fd, r->size, r->header.interval);
    uint64_t behind = ss_place_behind(&f, r->scan.offset);
    r->rest = r->size > behind ? r->size - behind : 0;
    return err_set(err, ERR_END, "the end of %s", r->path);
}

/* No whole frame more. 0: look again. */
static int at_end(struct ss_reader *r, struct err *err)
{
    int rc = check_length(r, err);
    r->at = r->len = 0;
    if (rc != 0 || !r->follow)
        return rc != 0 ? rc : end_of_file(r, err);
    if (ss_watch_take(&r->watch, &r->doubt))
        return 0;
    if (r->gone)
        return err_set(err, ERR_END, "File Removed: %s", r->path);
    if (r->doubt) {
        r->doubt = false;
        r->gone = !ss_place_is(r->path, r->fd);
        if (r->gone)
            return 0;
    }
    return -EAGAIN;
}

/* --- messages --------------------------------------------------------------------------------- */

/* Whether it is to be read once more: then the scan stands where it stood. */
static bool once_more(struct ss_reader *r, uint64_t offset)
{
    if (!r->follow || r->second)
        return false;
    r->scan.offset = offset;
    r->at = r->len = 0;
    return r->second = true;
}

/* Damaged, twice. A file that begins otherwise than it did was written anew under the reader's hands. */
static int say_damage(struct ss_reader *r, int rc, uint64_t offset, struct err *err)
{
    struct ss_header now;
    r->second = false;
    if (r->follow && (ss_reader_header_read(r, r->fd, &now, NULL) != 0 || now.created_ms != r->header.created_ms || now.interval != r->header.interval))
        return err_set(err, ERR_CUT, "%s was written anew while it was read", r->path);
    if (rc == ERR_DAMAGED)
        err_prefix(err, "%s: offset %" PRIu64, r->path, offset);
    else
        err_prefix(err, "%s", r->path);
    return rc;
}

/* More of the file, or the end. 0: scan again. */
static int more(struct ss_reader *r, uint64_t need, struct err *err)
{
    uint64_t have = r->len - r->at;
    int rc = fill(r, need > have ? need : have + 1, err);
    return rc == AT_END ? at_end(r, err) : rc;
}

/* Behind the last frame there is what was left of an end mark. */
static bool at_mark_rest(struct ss_reader *r)
{
    struct span rest = window(r);
    return ss_is_mark_rest(rest) && fill(r, rest.len + 1, NULL) == AT_END;
}

int ss_reader_next(struct ss_reader *r, struct ss_message *out, struct err *err)
{
    int rc = r->fd < 0 ? ss_reader_start(r, err) : 0;
    while (rc == 0) {
        uint64_t offset = r->scan.offset;
        size_t used = 0, need = 0;
        rc = ss_scan_next(&r->scan, window(r), out, &used, &need, err);
        r->at += used;
        if (rc == 0) {
            r->second = false;
            return 0;
        }
        if (rc == SS_MORE)
            rc = more(r, need, err);
        else if (rc == ERR_FORMAT && at_mark_rest(r))
            rc = at_end(r, err);
        if (rc == ERR_END && r->scan.ended)
            return err_set(err, ERR_END, "%s has ended", r->path);
        if (rc == ERR_DAMAGED || rc == ERR_FORMAT)
            rc = once_more(r, offset) ? 0 : say_damage(r, rc, offset, err);
    }
    return rc;
}

/* --- what it knows ---------------------------------------------------------------------------- */

const struct ss_header *ss_reader_header(const struct ss_reader *r)
{
    return r->fd < 0 ? NULL : &r->header;
}

int ss_reader_fd(const struct ss_reader *r)
{
    return r->watch.fd;
}

const struct ss_beacon *ss_reader_beacon(struct ss_reader *r)
{
    if (!r->want_beacons || !r->scan.has_beacon)
        return NULL;
    r->scan.has_beacon = false;
    return r->scan.beacon;
}

bool ss_reader_removed(const struct ss_reader *r)
{
    return r->gone;
}

uint64_t ss_reader_size(const struct ss_reader *r)
{
    return r->size;
}

uint64_t ss_reader_offset(const struct ss_reader *r)
{
    return r->fd < 0 ? SS_HEADER_SIZE : r->scan.offset;
}

uint64_t ss_reader_rest(const struct ss_reader *r)
{
    return r->rest;
}
