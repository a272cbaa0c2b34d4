/*
 * Appending to a .ss file. What is put gathers in `out`, as bytes of the file from `end` on; a flush hands them over with one write.
 *
 *   1. `end` is a frame's end, or behind a beacon that follows it: what a kill leaves is whole up to there at least.
 *   2. A write that found no room is taken back to the last whole frame of it; `out` keeps the rest, so that a later
 *      flush goes on.
 *   3. After any other failed write, and after a failed sync, nothing is written any more (`spoilt`).
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/text.h"
#include "bridge/io/ss_writer_impl.h"
#include "bridge/ss_parts.h"

#define GATHER (1024 * 1024)
#define GATHER_KEPT (16 * GATHER) /* what one large message took goes again */
#define SEARCHES_SINGLE 2         /* of streams that no beacon near the end lists */

/* --- writing ---------------------------------------------------------------------------------- */

static int spoil(struct ss_writer *w, int code)
{
    w->spoilt = code;
    return code;
}

static int check_usable(const struct ss_writer *w, struct err *err)
{
    if (w->spoilt)
        return err_set(err, ERR_UNAVAILABLE, "%s is not written any more after an error (%s)", w->path, err_code_text(w->spoilt));
    return 0;
}

/* Programs that do not lock, and a file that goes while it is written, are seen here. */
static int check_alone(struct ss_writer *w, struct err *err)
{
    struct stat st;
    if (fstat(w->fd, &st) != 0)
        return spoil(w, err_sys(err, errno, "look at %s", w->path));
    if ((uint64_t)st.st_size != w->end)
        return spoil(w, err_set(err, ERR_CONFLICT, "%s was changed by another program while it was written", w->path));
    if (st.st_nlink == 0)
        return spoil(w, err_set(err, ERR_CONFLICT, "%s was removed while it was written", w->path));
    return 0;
}

/* How many of the first `len` bytes of `out` are whole frames with their beacons. */
static size_t whole_part(const struct ss_writer *w, size_t len)
{
    struct ss_scan scan;
    struct ss_message m;
    size_t at = 0, used;
    int r = ss_scan_begin(&scan, w->pack.interval, w->end, false);
    while (r == 0 && at < len) {
        used = 0;
        r = ss_scan_next(&scan, span_of(w->out.ptr + at, len - at), &m, &used, NULL, NULL);
        if (r == 0)
            at += used;
    }
    ss_scan_finish(&scan);
    return w->end + at < SS_HEADER_SIZE ? 0 : at;
}

static bool is_no_room(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/* A write ended after `wrote` bytes. */
static int write_failed(struct ss_writer *w, size_t wrote, int error, struct err *err)
{
    size_t keep = is_no_room(error) && w->end >= SS_HEADER_SIZE ? whole_part(w, wrote) : 0;
    int r = err_sys(err, error, "write %s", w->path);
    if (ss_place_calls.ftruncate(w->fd, (off_t)(w->end + keep)) != 0)
        return spoil(w, r);
    buf_consume(&w->out, keep);
    w->end += keep;
    return is_no_room(error) ? r : spoil(w, r);
}

static int write_out(struct ss_writer *w, struct err *err)
{
    int r = check_alone(w, err);
    size_t at = 0;
    while (r == 0 && at < w->out.len) {
        ssize_t n = ss_place_calls.pwrite(w->fd, w->out.ptr + at, w->out.len - at, (off_t)(w->end + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return write_failed(w, at, n < 0 ? errno : ENOSPC, err);
        at += (size_t)n;
    }
    if (r != 0)
        return r;
    w->end += w->out.len;
    buf_reset(&w->out);
    if (w->out.cap > GATHER_KEPT)
        buf_finish(&w->out);
    return 0;
}

int ss_writer_flush(struct ss_writer *w, bool sync, struct err *err)
{
    int r = check_usable(w, err);
    if (r == 0 && w->out.len > 0)
        r = write_out(w, err);
    if (r == 0 && sync && ss_place_calls.fdatasync(w->fd) != 0)
        r = spoil(w, err_sys(err, errno, "sync %s", w->path));
    return r;
}

/* --- messages --------------------------------------------------------------------------------- */

static bool is_stream(const struct ss_stream *s, const struct ss_message *m)
{
    return s->shard == m->shard && s->key_len == m->key.len && memcmp(s->key, m->key.ptr, m->key.len) == 0;
}

/* In the table of all streams; it is made by reading the file once. */
static int look_up(struct ss_writer *w, const struct ss_bytes *f, struct ss_stream *io, struct err *err)
{
    size_t place;
    int r = w->has_before ? 0 : ss_find_all(f, w->old, &w->before, err);
    w->has_before = r == 0;
    if (r != 0) {
        ss_pack_finish(&w->before);
        return r;
    }
    if (!ss_stream_place(&w->before, span_of(io->key, io->key_len), io->shard, &place))
        return ERR_NOT_FOUND;
    *io = *w->before.streams[place];
    return 0;
}

/* A search may cost a scan of the file, so many streams are not searched for one by one. */
static int find_old(struct ss_writer *w, struct ss_stream *io, struct err *err)
{
    struct ss_bytes f = ss_place_bytes(&w->fd, w->old, w->pack.interval);
    if (w->old <= SS_HEADER_SIZE)
        return ERR_NOT_FOUND;
    return w->searches++ < SEARCHES_SINGLE ? ss_find_last(&f, w->old, io, err) : look_up(w, &f, io, err);
}

/* A stream that this writer has not written yet goes on where the file left it. */
static int find_stream(struct ss_writer *w, const struct ss_message *m, struct err *err)
{
    struct ss_stream was = {.key_len = (uint8_t)m->key.len, .shard = m->shard};
    size_t place;
    if (ss_stream_place(&w->pack, m->key, m->shard, &place)) {
        w->last = w->pack.streams[place];
        return 0;
    }
    memcpy(was.key, m->key.ptr, m->key.len);
    int r = find_old(w, &was, err);
    if (r != 0 && r != ERR_NOT_FOUND) {
        err_prefix(err, "%s: find the last message of %.*s", w->path, SPAN_ARG(m->key));
        return r;
    }
    struct ss_stream *s = ss_pack_stream(&w->pack, m->key, m->shard, NULL);
    if (!s)
        return err_set(err, -ENOMEM, "no memory");
    if (r == 0) {
        s->seq = was.seq;
        s->time_ms = was.time_ms;
        s->running = was.running;
    }
    w->last = s;
    return 0;
}

static int give_number(struct ss_writer *w, struct ss_message *m, struct err *err)
{
    int r = w->last && is_stream(w->last, m) ? 0 : find_stream(w, m, err);
    if (r == 0 && w->last->seq == UINT64_MAX)
        r = err_set(err, ERR_RANGE, "%s: the sequences of %.*s are used up", w->path, SPAN_ARG(m->key));
    if (r == 0)
        m->seq = w->last->seq + 1;
    return r;
}

/* Beacons take less than their interval's half, so what is far from the limit need not be reckoned exactly. */
static int check_room(const struct ss_writer *w, const struct ss_message *m, struct err *err)
{
    uint64_t frame = SS_FRAME_FIXED + (uint64_t)m->key.len + m->payload.len;
    if (w->pack.offset + 3 * frame + w->pack.interval <= w->limit || w->pack.offset + ss_pack_size(&w->pack, m) <= w->limit)
        return 0;
    return err_set(err, ERR_FULL, "File Limit Exceeded: %s may have %llu bytes", w->path, (unsigned long long)w->limit);
}

/* Everything that can be wrong with it is found here, before the writer changes. */
static int check_message(struct ss_writer *w, const struct ss_message *m, struct err *err)
{
    int r = ss_key_check(m->key, err);
    if (r != 0)
        return r;
    if (m->time_ms > SS_TIME_MAX)
        return err_set(err, ERR_INVALID, "a time behind the end of year 9999");
    if (m->payload.len > UINT32_MAX)
        return err_set(err, ERR_TOO_LARGE, "a payload of 4 GiB or more; a file holds less");
    if (ss_is_end(m))
        return err_set(err, ERR_INVALID, "an end mark as a message would end the file for its readers");
    return check_room(w, m, err);
}

static int check_open(struct ss_writer *w, struct err *err)
{
    if (w->ended)
        return err_set(err, ERR_INVALID, "%s has its end mark already", w->path);
    int r = check_usable(w, err);
    return r == 0 && w->out.len >= GATHER ? ss_writer_flush(w, false, err) : r;
}

int ss_writer_put(struct ss_writer *w, struct ss_message *m, bool number, struct err *err)
{
    int r = check_open(w, err);
    if (r == 0)
        r = check_message(w, m, err);
    if (r == 0 && number)
        r = give_number(w, m, err);
    return r == 0 ? ss_pack_message(&w->pack, m, &w->out, err) : r;
}

static int put_end(struct ss_writer *w, struct err *err)
{
    struct ss_message mark = {.key = span_str(SS_KEY_INTERNAL), .payload = span_str("EOS")};
    int r = check_open(w, err);
    if (r == 0)
        r = check_room(w, &mark, err);
    if (r == 0)
        r = ss_pack_end(&w->pack, time_now_ms(), &w->out, err);
    w->ended = r == 0;
    return r;
}

int ss_writer_end(struct ss_writer *w, struct err *err)
{
    int r = w->ended ? 0 : put_end(w, err);
    return r == 0 ? ss_writer_flush(w, true, err) : r;
}
