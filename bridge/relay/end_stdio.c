/* Lines: standard input as a source, standard output as a sink. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/text.h"
#include "bridge/relay/end.h"

#define READ_ROOM ((size_t)256 * 1024)
#define WRITE_ROOM ((size_t)256 * 1024)
#define REST_MAX ((size_t)1024 * 1024) /* of a line that a signal cut, byte by byte */
/* What follows a line of this size is a fault of the writer's, no message. */
#define LINE_MAX_BYTES ((size_t)1024 * 1024 * 1024)

/* --- source -------------------------------------------------------------------------------------- */

struct lines_in {
    struct relay_source base;
    struct buf in;
    size_t at;      /* of the next line */
    size_t scanned; /* bytes behind `at` that have no newline */
    uint64_t line;  /* number of the last */
    uint64_t now_ms;
    bool ended, passing; /* passing: what is left of a line that was too long */
    char **keys;
    size_t key_count;
    struct ss_counters counters;
};

static bool wanted(const struct lines_in *l, const struct ss_message *m)
{
    return l->key_count == 0 || m->no_key || ss_keys_have(l->keys, l->key_count, m->key);
}

static int take_line(struct lines_in *l, struct span line, struct relay_batch *into)
{
    struct ss_message m;
    struct err why = ERR_INIT;
    l->line++;
    if (ss_line_parse(&m, line, &why) != 0) {
        l->base.bad++;
        relay_say("line %llu: %s; skipped", (unsigned long long)l->line, why.text);
        return 0;
    }
    if (!wanted(l, &m))
        return 0;
    if (m.no_time)
        m.time_ms = l->now_ms;
    int rc = ss_counters_give(&l->counters, &m, NULL);
    return rc == 0 ? relay_batch_add(into, &m) : rc;
}

static void pass_over(struct lines_in *l)
{
    relay_say("line %llu: it is longer than %zu bytes; skipped", (unsigned long long)++l->line, LINE_MAX_BYTES);
    l->base.bad++;
    l->passing = true;
    buf_finish(&l->in);
    l->at = l->scanned = 0;
}

/* The next line in the buffer, without its newline. At the end of input what is left counts as one. */
static bool next_line(struct lines_in *l, struct span *line)
{
    const uint8_t *from = l->in.ptr + l->at;
    size_t left = l->in.len - l->at;
    const uint8_t *end = left > l->scanned ? memchr(from + l->scanned, '\n', left - l->scanned) : NULL;
    if (!end && !(l->ended && left > 0)) {
        l->scanned = left;
        return false;
    }
    size_t len = end ? (size_t)(end - from) : left;
    *line = span_of(from, len);
    l->at += end ? len + 1 : len;
    l->scanned = 0;
    return true;
}

static bool has_line(const struct lines_in *l)
{
    size_t left = l->in.len - l->at;
    return left > l->scanned && memchr(l->in.ptr + l->at + l->scanned, '\n', left - l->scanned);
}

static int take_lines(struct lines_in *l, struct relay_batch *into)
{
    struct span line;
    while (!relay_batch_full(into) && next_line(l, &line)) {
        if (l->passing) {
            l->passing = false;
            continue;
        }
        int rc = take_line(l, line, into);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Reads what is there; all lines of the buffer are taken. */
static int read_more(struct lines_in *l, struct err *err)
{
    buf_consume(&l->in, l->at);
    l->at = 0;
    if (l->in.len > LINE_MAX_BYTES && !l->passing)
        pass_over(l);
    if (l->passing)
        buf_reset(&l->in);
    if (l->passing)
        l->scanned = 0;
    if (buf_reserve(&l->in, READ_ROOM) != 0)
        return err_set(err, -ENOMEM, "a line of more than %zu bytes: out of memory", l->in.len);
    ssize_t n = read(STDIN_FILENO, l->in.ptr + l->in.len, l->in.cap - l->in.len);
    if (n < 0 && errno != EINTR && errno != EAGAIN)
        return err_sys(err, errno, "read standard input");
    l->ended = n == 0;
    l->in.len += n > 0 ? (size_t)n : 0;
    l->base.done += n > 0 ? (uint64_t)n : 0;
    l->now_ms = time_now_ms();
    return 0;
}

/* A signal came within a line: what is here of its rest is taken too, and nothing behind it, which the next reader of a pipe gets. */
static int finish_line(struct lines_in *l, struct relay_batch *into)
{
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    uint8_t byte = 0;
    for (size_t i = 0; i < REST_MAX && l->in.len > l->at && byte != '\n'; i++) {
        if (poll(&p, 1, 0) != 1 || read(STDIN_FILENO, &byte, 1) != 1)
            break;
        if (buf_add(&l->in, &byte, 1) != 0)
            return -ENOMEM;
    }
    int rc = take_lines(l, into);
    if (rc == 0 && l->in.len > l->at)
        relay_say("line %llu: only its beginning was here; it is lost", (unsigned long long)l->line + 1);
    return rc;
}

static int in_fill(struct relay_source *s, struct relay_batch *into, int wait_ms, struct err *err)
{
    struct lines_in *l = (struct lines_in *)s;
    for (;;) {
        if (take_lines(l, into) != 0)
            return err_set(err, -ENOMEM, "out of memory");
        l->base.holds = has_line(l);
        if (relay_batch_full(into))
            return 0;
        if (l->ended)
            return ERR_END;
        int rc = relay_poll(STDIN_FILENO, POLLIN, into->count > 0 ? 0 : wait_ms);
        if (rc < 0 && rc != -EINTR && rc != -EPIPE)
            return err_sys(err, -rc, "wait for standard input");
        if (rc == -EINTR && finish_line(l, into) != 0)
            return err_set(err, -ENOMEM, "out of memory");
        if (rc <= 0)
            return rc;
        rc = read_more(l, err);
        if (rc != 0)
            return rc;
    }
}

static void in_close(struct relay_source *s)
{
    struct lines_in *l = (struct lines_in *)s;
    buf_finish(&l->in);
    ss_counters_finish(&l->counters);
    ss_keys_free(l->keys, l->key_count);
    free(l);
}

static const struct relay_source_ops in_ops = {.fill = in_fill, .close = in_close};

static int check_in(const struct relay_options *o, struct err *err)
{
    if (o->cursor)
        return err_set(err, ERR_INVALID,
                       "--cursor: lines of standard input cannot be read again, so there is no place to come back to");
    if (o->start == RELAY_SEQ || o->start == RELAY_TIME)
        return err_set(err, ERR_INVALID, "--offset: standard input can only be read from where it is");
    if (o->mode == SS_RESUMABLE)
        return err_set(err, ERR_INVALID, "--mode resumable: standard input remembers no place");
    if (o->mode == SS_BALANCED && !o->group)
        return err_set(err, ERR_INVALID, "--mode balanced needs --group with lines");
    return 0;
}

int relay_stdio_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    int rc = check_in(o, err);
    if (rc != 0)
        return rc;
    struct lines_in *l = calloc(1, sizeof(*l));
    if (!l || ss_keys_copy(&l->keys, url) != 0) {
        free(l);
        return err_set(err, -ENOMEM, "out of memory");
    }
    l->base.ops = &in_ops;
    l->key_count = url->key_count;
    l->now_ms = time_now_ms();
    *out = &l->base;
    return 0;
}

/* --- sink ---------------------------------------------------------------------------------------- */

struct lines_out {
    struct relay_sink base;
    struct buf out;
    struct ss_counters counters;
    struct ss_line_form form;
};

static int write_out(struct lines_out *l, struct err *err)
{
    size_t at = 0;
    while (at < l->out.len) {
        ssize_t n = write(STDOUT_FILENO, l->out.ptr + at, l->out.len - at);
        if (n < 0 && errno == EAGAIN) {
            struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
            (void)poll(&p, 1, -1);
        } else if (n < 0 && errno != EINTR)
            return err_sys(err, errno, "write standard output");
        at += n > 0 ? (size_t)n : 0;
    }
    buf_reset(&l->out);
    return 0;
}

static void refuse(struct lines_out *l, const struct ss_message *m, const struct err *why)
{
    l->base.refused++;
    relay_say("a message of key %.*s does not go over: %s%s", SPAN_ARG(m->key), why->text,
              l->form.odd == SS_ODD_REFUSE ? " (--odd raw or json lets payloads go)" : "");
}

/* Numbers count what is printed: one that was refused gives its number back. */
static int put_one(struct lines_out *l, struct ss_message m, struct err *err)
{
    struct err why = ERR_INIT;
    bool counted = !l->form.exact;
    if (counted && m.payload.len == 0)
        return 0;
    if (counted && ss_counters_next(&l->counters, m.key, 0, &m.seq) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    int rc = ss_line_write(&l->out, &m, l->form, &why);
    if (rc == 0)
        return 0;
    if (rc != ERR_INVALID)
        return err_set(err, rc, "%s", why.text);
    refuse(l, &m, &why);
    m.no_seq = false;
    return counted && ss_counters_give(&l->counters, &m, NULL) != 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

static int out_put(struct relay_sink *s, const struct relay_batch *batch, struct err *err)
{
    struct lines_out *l = (struct lines_out *)s;
    for (size_t i = 0; i < batch->count; i++) {
        int rc = put_one(l, batch->list[i], err);
        if (rc == 0 && l->out.len >= WRITE_ROOM)
            rc = write_out(l, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int out_flush(struct relay_sink *s, const char *cursor, struct span position, struct err *err)
{
    (void)cursor;
    (void)position;
    return write_out((struct lines_out *)s, err);
}

static int out_watch(struct relay_sink *s)
{
    (void)s;
    return STDOUT_FILENO;
}

static void out_close(struct relay_sink *s)
{
    struct lines_out *l = (struct lines_out *)s;
    buf_finish(&l->out);
    ss_counters_finish(&l->counters);
    free(l);
}

static const struct relay_sink_ops out_ops = {.put = out_put, .flush = out_flush, .watch = out_watch, .close = out_close};

int relay_stdio_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    (void)url;
    struct lines_out *l = calloc(1, sizeof(*l));
    if (!l)
        return err_set(err, -ENOMEM, "out of memory");
    l->base.ops = &out_ops;
    l->form = (struct ss_line_form){.exact = o->preserve, .odd = o->odd};
    *out = &l->base;
    return 0;
}
