#include "cmd/append_lines.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "bridge/line.h"
#include "bridge/meta.h"
#include "cmd/bulk.h"

#define LINE_MAX_BYTES ((size_t)8 * 1024 * 1024) /* of a line of input, and of the line of the request made of it */
#define READ_SIZE ((size_t)256 * 1024)

struct source {
    const struct call *call;
    struct weir *w;
    const struct append_lines *how;
    struct progress progress;
    struct buf in;       /* came in, not taken: the begin of a line */
    size_t searched;     /* of it, for a newline */
    bool skipping;       /* the line begun was told of as too long */
    bool ended;
    struct buf out;      /* the request's body, not sent yet from */
    size_t sent;         /* on */
    uint64_t lines, bad; /* of the input */
    struct ss_counters counters;
};

/* --- one line --------------------------------------------------------------------------------- */

/* The daemon counts lines and passes over empty ones, so that its numbers stay those of the input. */
static int skip(struct source *s, const char *why)
{
    s->bad++;
    if (s->progress.on)
        fputs("\r\033[K", stderr);
    call_note(s->call, "line %" PRIu64 ": %s", s->lines, why);
    return buf_add_str(&s->out, "\n");
}

static int put_meta(struct buf *out, const struct ss_message *m)
{
    size_t before = out->len;
    int rc = buf_add_str(out, ",\"meta\":");
    size_t begin = out->len;
    if (rc == 0)
        rc = ss_meta_write(out, m);
    if (out->len == begin)
        out->len = before; /* there is nothing to say */
    return rc;
}

static int put_head(struct source *s, const struct ss_message *m)
{
    struct buf *out = &s->out;
    int rc = buf_add_str(out, "{\"stream\":\"");
    if (rc == 0)
        rc = buf_add_span(out, m->key); /* no byte of a key needs an escape */
    if (rc == 0)
        rc = buf_add_str(out, "\"");
    if (rc == 0 && !m->no_time)
        rc = buf_add_str(out, ",\"stamp\":");
    if (rc == 0 && !m->no_time)
        rc = json_put_u64(out, m->time_ms);
    if (rc == 0 && s->how->ttl)
        rc = buf_addf(out, ",\"ttl\":\"%s\"", s->how->ttl);
    return rc == 0 ? put_meta(out, m) : rc;
}

static int put_content(struct buf *out, struct span payload, size_t begin)
{
    size_t before = out->len;
    int rc = buf_add_str(out, ",\"content\":");
    if (rc == 0)
        rc = json_put_string(out, payload);
    if (rc != 0 || out->len - begin + 2 <= LINE_MAX_BYTES)
        return rc;
    /* What is mostly escapes is shorter like this. */
    out->len = before;
    rc = buf_add_str(out, ",\"content_base64\":\"");
    if (rc == 0)
        rc = b64_encode(out, payload);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

static int put_frame(struct source *s, const struct ss_message *m)
{
    size_t begin = s->out.len;
    int rc = put_head(s, m);
    if (rc == 0 && m->payload.len > 0)
        rc = put_content(&s->out, m->payload, begin);
    if (rc == 0)
        rc = buf_add_str(&s->out, "}\n");
    if (rc != 0 || s->out.len - begin - 1 <= LINE_MAX_BYTES)
        return rc;
    s->out.len = begin;
    return skip(s, "it is over 8 MiB as a request's line");
}

int append_lines_check_key(struct span key, struct err *err)
{
    if (span_is(key, ".") || span_is(key, ".."))
        return err_set(err, ERR_INVALID, "a store has no stream %.*s", SPAN_ARG(key));
    return ss_key_check(key, err);
}

/* A sequence that neither this line nor one before it of its stream names is the store's to give. */
static int take_line(struct source *s, struct span line)
{
    struct ss_message m;
    struct err err = ERR_INIT;
    bool named;
    s->lines++;
    if (ss_line_parse(&m, line, &err) != 0)
        return skip(s, err.text);
    if (m.no_key && s->how->key)
        m.key = span_str(s->how->key);
    if (append_lines_check_key(m.key, &err) != 0)
        return skip(s, err.text);
    int rc = ss_counters_give(&s->counters, &m, &named);
    m.no_seq = !named;
    return rc == 0 ? put_frame(s, &m) : rc;
}

/* --- the input -------------------------------------------------------------------------------- */

/* Takes whole lines off the front. */
static int take_lines(struct source *s)
{
    size_t at = 0;
    int rc = 0;
    while (rc == 0) {
        const uint8_t *from = s->in.ptr + s->searched;
        const uint8_t *end = s->in.len > s->searched ? memchr(from, '\n', s->in.len - s->searched) : NULL;
        if (!end)
            break;
        struct span line = span_of(s->in.ptr + at, (size_t)(end - s->in.ptr) - at);
        rc = s->skipping ? 0 : take_line(s, line);
        s->skipping = false;
        at += line.len + 1;
        s->searched = at;
    }
    buf_consume(&s->in, at);
    s->searched = s->in.len;
    return rc;
}

/* What is left is the begin of a line, or at the end of the input the last one. */
static int take_rest(struct source *s)
{
    int rc = 0;
    if (s->skipping || s->in.len > LINE_MAX_BYTES) {
        if (!s->skipping) {
            s->lines++;
            rc = skip(s, "it is over 8 MiB");
        }
        s->skipping = true;
        buf_reset(&s->in);
    } else if (s->ended && s->in.len > 0) {
        rc = take_line(s, buf_span(&s->in));
        buf_reset(&s->in);
    }
    s->searched = s->in.len;
    return rc;
}

/* Waits for input. False when the daemon has answered meanwhile: it takes no more. */
static bool wait_for_input(const struct source *s)
{
    struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = weir_fd(s->w), .events = POLLIN}};
    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return fds[0].revents || !fds[1].revents;
}

static int fill(struct source *s)
{
    ssize_t n;
    if (!wait_for_input(s)) {
        s->ended = true;
        return 0;
    }
    if (buf_reserve(&s->in, READ_SIZE) != 0)
        return -ENOMEM;
    while ((n = read(STDIN_FILENO, s->in.ptr + s->in.len, READ_SIZE)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return -errno;
    s->in.len += (size_t)n;
    s->ended = n == 0;
    s->progress.bytes += (uint64_t)n;
    progress_tick(&s->progress);
    int rc = take_lines(s);
    return rc == 0 ? take_rest(s) : rc;
}

/* A weir_request.read: waits for a line, and hands out all that are there. */
static long read_body(void *arg, void *into, size_t room)
{
    struct source *s = arg;
    while (s->sent == s->out.len && !s->ended) {
        buf_reset(&s->out);
        s->sent = 0;
        int rc = fill(s);
        if (rc != 0)
            return rc;
    }
    return (long)buf_copy(&s->out, &s->sent, into, room);
}

int append_lines(const struct call *call, struct weir *w, const struct append_lines *how)
{
    const struct weir_header type = {"Content-Type", "application/x-ndjson"};
    struct source s = {.call = call, .w = w, .how = how};
    struct weir_request req = {.method = "POST",
                               .target = how->target,
                               .headers = &type,
                               .header_count = 1,
                               .has_body = true,
                               .read = read_body,
                               .read_arg = &s};
    progress_begin(&s.progress, "append", 0);
    int rc = bulk_send(call, w, &req, &s.progress, "appended");
    if (rc == 0 && s.bad > 0) {
        call_note(call, "%" PRIu64 " bad line%s skipped", s.bad, s.bad == 1 ? " was" : "s were");
        rc = how->strict ? EXIT_FAILURE : 0;
    }
    buf_finish(&s.in);
    buf_finish(&s.out);
    ss_counters_finish(&s.counters);
    return rc;
}
