/* weir decode --follow and --offset: from some place of a file on, and on with what is appended. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "bridge/io/ss_file.h"
#include "cmd/decode.h"
#include "cmd/output.h"

/* Until there may be more. OUTPUT_GONE when nobody reads stdout any more. */
static int wait_for_growth(const struct ss_reader *r, struct err *err)
{
    struct pollfd fds[2] = {{.fd = ss_reader_fd(r), .events = POLLIN}, {.fd = STDOUT_FILENO}};
    while (poll(fds, 2, -1) < 0) {
        if (errno != EINTR)
            return err_sys(err, errno, "poll");
    }
    return (fds[1].revents & (POLLERR | POLLHUP)) && !isatty(STDOUT_FILENO) ? OUTPUT_GONE : 0;
}

static int show(struct decode_out *o, struct ss_reader *r, const struct ss_message *m, struct err *err)
{
    int rc = decode_message(o, m);
    const struct ss_beacon *beacon = ss_reader_beacon(r);
    if (rc == 0 && beacon)
        rc = decode_beacon(o, beacon);
    return rc == 0 ? decode_flush_much(o, err) : err_set(err, rc, "out of memory");
}

/* What is there is shown before anything is waited for. */
static int idle(struct decode_out *o, struct ss_reader *r, struct err *err)
{
    int rc = decode_flush(o, err);
    return rc == 0 ? wait_for_growth(r, err) : rc;
}

static int messages(struct decode_out *o, struct ss_reader *r, struct err *err)
{
    for (;;) {
        struct ss_message m;
        int rc = ss_reader_next(r, &m, err);
        if (rc == 0)
            rc = show(o, r, &m, err);
        else if (rc == -EAGAIN)
            rc = idle(o, r, err);
        if (rc != 0)
            return rc;
    }
}

/* Why it ended, where that is worth a word. */
static void say_end(const struct decode *d, const struct ss_reader *r)
{
    if (ss_reader_removed(r))
        call_note(d->call, "%s was removed or replaced", d->path);
    else if (ss_reader_rest(r) > 0)
        decode_say_torn(d, ss_reader_rest(r));
}

static int read_all(struct decode_out *o, struct ss_reader *r, struct err *err)
{
    struct err late = ERR_INIT;
    int rc = decode_header(o, ss_reader_header(r));
    rc = rc == 0 ? messages(o, r, err) : err_set(err, rc, "out of memory");
    int last = rc == OUTPUT_GONE ? 0 : decode_flush(o, &late);
    if (rc == ERR_END)
        say_end(o->d, r);
    return last < 0 && rc == ERR_END ? err_set(err, last, "%s", late.text) : rc;
}

int decode_follow(const struct decode *d)
{
    struct err err = ERR_INIT;
    struct decode_out out = {.d = d};
    struct ss_reader *r = NULL;
    const struct ss_reader_options options = {
        .from = d->from,
        .value = d->value,
        .key = d->stream_count > 0 ? span_str(d->streams[0]) : span_of(NULL, 0),
        .follow = d->follow,
        .want_beacons = true,
    };
    int rc = ss_reader_open(&r, d->path, &options, &err);
    if (rc == 0)
        rc = read_all(&out, r, &err);
    if (rc == ERR_RANGE || ((rc == ERR_FORMAT || rc == ERR_DAMAGED) && !strstr(err.text, d->path)))
        err_prefix(&err, "%s", d->path);
    int status = decode_status(d, rc, &err);
    ss_reader_close(r);
    decode_out_finish(&out);
    return status;
}
