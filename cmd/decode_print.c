/* weir decode: an .ss file, or its bytes out of a pipe, from front to end. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/io/ss_look.h"
#include "bridge/io/ss_place.h"
#include "bridge/ss_rest.h"
#include "cmd/decode.h"
#include "cmd/output.h"

#define STEP ((size_t)1024 * 1024) /* read at once, where so much is there */

struct source {
    struct decode_out out;
    struct ss_scan scan;
    int fd;
    bool regular;   /* all is there already, so that nobody waits for what was read */
    bool over;      /* its end was read */
    struct buf in;  /* bytes of it, of which */
    size_t at;      /* so many are done with */
    size_t need;    /* so many in all are needed to go on */
};

/* --- bytes in --------------------------------------------------------------------------------- */

/* Shows what there is, then waits for more. OUTPUT_GONE when nobody reads stdout any more. */
static int wait_for_more(struct source *s, struct err *err)
{
    struct pollfd fds[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = STDOUT_FILENO}};
    int rc = decode_flush(&s->out, err);
    if (rc != 0)
        return rc;
    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR)
            return err_sys(err, errno, "poll");
    }
    return (fds[1].revents & (POLLERR | POLLHUP)) && !isatty(STDOUT_FILENO) ? OUTPUT_GONE : 0;
}

/* Reads once. What is done with goes first; the buffer grows with what comes, not with what a length says. */
static int read_more(struct source *s, struct err *err)
{
    int rc = s->regular ? 0 : wait_for_more(s, err);
    if (rc != 0)
        return rc;
    buf_consume(&s->in, s->at);
    s->at = 0;
    if (buf_reserve(&s->in, STEP) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    ssize_t n = read(s->fd, s->in.ptr + s->in.len, s->in.cap - s->in.len);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return err_sys(err, errno, "read %s", decode_name(s->out.d));
    s->over = n == 0;
    s->in.len += n > 0 ? (size_t)n : 0;
    return 0;
}

/* Until `need` bytes are there, or the end. */
static int fill(struct source *s, size_t need, struct err *err)
{
    int rc = 0;
    while (rc == 0 && !s->over && s->in.len - s->at < need)
        rc = read_more(s, err);
    return rc;
}

/* --- messages out ----------------------------------------------------------------------------- */

/* The peer tells of the last beacon crossed behind the message in which it was. */
static int show(struct source *s, const struct ss_message *m)
{
    int rc = decode_message(&s->out, m);
    if (rc == 0 && s->scan.has_beacon)
        rc = decode_beacon(&s->out, s->scan.beacon);
    return rc;
}

/* All messages that are in the buffer. SS_MORE, ERR_END, or why it does not go on. */
static int drain(struct source *s, struct err *err)
{
    struct ss_message m;
    int rc = 0;
    while (rc == 0) {
        size_t used = 0;
        uint64_t offset = s->scan.offset;
        rc = ss_scan_next(&s->scan, span_of(s->in.ptr + s->at, s->in.len - s->at), &m, &used, &s->need, err);
        if (rc == ERR_DAMAGED)
            err_prefix(err, "offset %" PRIu64, offset);
        if (rc != 0)
            break;
        s->at += used;
        rc = show(s, &m) == 0 ? 0 : err_set(err, -ENOMEM, "out of memory");
        if (rc == 0)
            rc = decode_flush_much(&s->out, err);
    }
    return rc;
}

/* What stands behind the last whole message: a beacon is nothing that is missing something. */
static uint64_t torn(const struct source *s)
{
    struct span rest = span_of(s->in.ptr + s->at, s->in.len - s->at);
    size_t beacon = 0;
    if (s->scan.offset % s->scan.interval == 0 && ss_beacon_size(rest, &beacon, NULL) != 0)
        beacon = 0;
    return rest.len - beacon;
}

/* What was left of an end mark, and nothing behind it. */
static bool at_mark_rest(struct source *s)
{
    struct span rest = span_of(s->in.ptr + s->at, s->in.len - s->at);
    return ss_is_mark_rest(rest) && fill(s, rest.len + 1, NULL) == 0 && s->over;
}

/*
 * Before much is read for one message: a length that is damaged must not cost memory. `*rest`: the file ends before the message does,
 * after so many bytes of it. Of a pipe nothing is known before the bytes have come.
 */
static int check_need(const struct source *s, uint64_t *rest, struct err *err)
{
    struct ss_view view;
    struct stat st;
    if (!s->regular || fstat(s->fd, &st) != 0)
        return 0;
    struct ss_bytes bytes = ss_place_bytes(&s->fd, (uint64_t)st.st_size, s->scan.interval);
    if (s->scan.offset + s->need > bytes.size) {
        *rest = bytes.size > s->scan.offset ? bytes.size - s->scan.offset : 0;
        return 0;
    }
    int rc = ss_view_begin(&view, &bytes);
    if (rc == 0)
        rc = ss_view_check_large(&view, s->scan.offset, s->need, err);
    ss_view_finish(&view);
    if (rc == ERR_FORMAT)
        err_prefix(err, "offset %" PRIu64, s->scan.offset);
    return rc;
}

static int say_end(struct source *s, uint64_t rest, struct err *err)
{
    int rc = decode_flush(&s->out, err);
    if (rc == 0 && rest > 0)
        decode_say_torn(s->out.d, rest);
    return rc;
}

static int messages(struct source *s, struct err *err)
{
    uint64_t rest = 0;
    for (;;) {
        int rc = drain(s, err);
        if (rc == ERR_FORMAT && at_mark_rest(s))
            rc = SS_MORE;
        if (rc == SS_MORE && s->over)
            return say_end(s, torn(s), err);
        if (rc != SS_MORE)
            return rc;
        size_t here = s->in.len - s->at;
        rc = s->need > s->in.cap ? check_need(s, &rest, err) : 0;
        if (rc == 0 && rest > 0)
            return say_end(s, rest, err);
        if (rc == 0)
            rc = fill(s, s->need > here ? s->need : here + 1, err);
        if (rc != 0)
            return rc;
    }
}

static int whole(struct source *s, struct err *err)
{
    struct ss_header h;
    int rc = fill(s, SS_HEADER_SIZE, err);
    if (rc == 0)
        rc = ss_header_read(&h, buf_span(&s->in), err);
    if (rc == 0 && (ss_scan_begin(&s->scan, h.interval, SS_HEADER_SIZE, true) != 0 || decode_header(&s->out, &h) != 0))
        rc = err_set(err, -ENOMEM, "out of memory");
    if (rc != 0)
        return rc;
    s->at = SS_HEADER_SIZE;
    return messages(s, err);
}

static int open_source(struct source *s, struct err *err)
{
    struct stat st;
    const char *path = s->out.d->path;
    s->fd = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (s->fd < 0)
        return err_sys(err, errno, "%s", path);
    s->regular = fstat(s->fd, &st) == 0 && S_ISREG(st.st_mode);
    if (s->regular)
        posix_fadvise(s->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

int decode_print(const struct decode *d)
{
    struct err err = ERR_INIT, late = ERR_INIT;
    struct source s = {.out = {.d = d}, .fd = -1};
    int rc = open_source(&s, &err);
    if (rc == 0) {
        rc = whole(&s, &err);
        if (rc == ERR_FORMAT || rc == ERR_DAMAGED)
            err_prefix(&err, "%s", decode_name(d));
    }
    /* What came before a fault is shown. */
    int last = rc == OUTPUT_GONE ? 0 : decode_flush(&s.out, &late);
    int status = decode_status(d, rc, &err);
    if (last < 0 && status == 0)
        status = decode_status(d, last, &late);
    ss_scan_finish(&s.scan);
    decode_out_finish(&s.out);
    buf_finish(&s.in);
    if (d->path && s.fd >= 0)
        close(s.fd);
    return status;
}
