/* Streams of an S2 endpoint as a source: a read session each. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/s2/headers.h"
#include "base/text.h"
#include "bridge/meta.h"
#include "bridge/relay/s2_place.h"

#define TURN_RECORDS 256 /* of one stream, then it is the next one's turn */
#define RETRY_MS 50      /* while a connection is missing */
#define LISTEN_MS 1000   /* sessions look at their clocks that often */

struct s2_in_stream {
    char *name;
    struct weir_s2_reader *reader; /* opened at the first fill */
    uint64_t next;                 /* seq_num behind the last record given */
    uint64_t tail;                 /* when it was opened: without follow it ends there */
    bool missing;                  /* then; a read tells, or makes it */
    bool ended;
};

struct s2_in {
    struct relay_source base;
    struct relay_s2 place;
    struct s2_in_stream *streams;
    size_t count, turn;
    bool follow;
    int epoll_fd;
    struct buf meta, scratch;
};

/* --- where to begin ------------------------------------------------------------------------------ */

static struct weir_s2_stream name_of(const struct s2_in *in, const struct s2_in_stream *s)
{
    return (struct weir_s2_stream){.basin = in->place.basin, .stream = s->name};
}

/* The seq_num of the first record later than a time, or the tail. */
static int find_time(struct s2_in *in, struct s2_in_stream *s, uint64_t ms, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    struct weir_s2_batch batch = {0};
    struct weir_s2_read what = {
        .from = WEIR_S2_FROM_TIMESTAMP, .start = ms == UINT64_MAX ? ms : ms + 1, .clamp = true, .has_count = true, .count = 1};
    int rc = weir_s2_read(in->place.quick, name_of(in, s), &what, &batch, &why);
    if (rc == ERR_RANGE) {
        s->next = s->tail;
        return 0;
    }
    if (rc != 0)
        return relay_s2_fail(err, &why, s->name);
    s->next = batch.count > 0 ? batch.records[0].seq_num : s->tail;
    weir_s2_batch_finish(&batch);
    return 0;
}

/* A stream that is not there begins at 0: a read makes it where the basin does so, else it fails. */
static int find_start(struct s2_in *in, struct s2_in_stream *s, const struct relay_options *o, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    struct s2_position tail = {0};
    if (o->make_stream && weir_s2_stream_ensure(in->place.quick, in->place.basin, s->name, NULL, &why) != 0)
        return relay_s2_fail(err, &why, s->name);
    int rc = weir_s2_tail(in->place.quick, name_of(in, s), &tail, &why);
    if (rc != 0 && why.what != WEIR_S2_STREAM_NOT_FOUND)
        return relay_s2_fail(err, &why, s->name);
    s->tail = tail.seq_num;
    s->missing = rc != 0;
    if (o->start == RELAY_END)
        s->next = s->tail;
    if (o->start == RELAY_SEQ)
        s->next = o->value;
    return o->start == RELAY_TIME && rc == 0 ? find_time(in, s, o->value, err) : 0;
}

/* --- records ------------------------------------------------------------------------------------- */

static bool is_command(const struct s2_record *r)
{
    return r->header_count == 1 && r->headers[0].name.len == 0;
}

/* A content that the API does not show has its hash in place of it. */
static bool is_hidden(const struct s2_record *r)
{
    bool found = false;
    for (size_t i = 0; r->body.len == 0 && !found && i < r->header_count; i++)
        found = span_is(r->headers[i].name, "weir-hash");
    return found;
}

static int add_record(struct s2_in *in, const struct s2_in_stream *s, const struct s2_record *r, struct relay_batch *into)
{
    struct ss_message m = {.key = span_str(s->name), .seq = r->seq_num, .time_ms = r->timestamp, .payload = r->body};
    int rc = 0;
    if (r->header_count > 0) {
        buf_reset(&in->meta);
        rc = s2_headers_to_meta(&in->meta, r->headers, r->header_count);
        if (rc == 0)
            rc = ss_meta_read(&m, buf_span(&in->meta), &in->scratch);
    }
    return rc == 0 ? relay_batch_add(into, &m) : rc;
}

static int take_record(struct s2_in *in, struct s2_in_stream *s, const struct s2_record *r, struct relay_batch *into)
{
    int rc = 0;
    if (is_hidden(r)) {
        in->base.bad++;
        relay_say("record %llu of stream %s has a content that the S2 API does not give; read it by weir://; skipped",
                  (unsigned long long)r->seq_num, s->name);
    } else if (!is_command(r))
        rc = add_record(in, s, r, into);
    if (rc == 0)
        s->next = r->seq_num + 1;
    return rc;
}

static int open_reader(struct s2_in *in, struct s2_in_stream *s, struct weir_s2_err *why)
{
    struct weir_s2_read what = {.from = WEIR_S2_FROM_SEQ_NUM, .start = s->next};
    what.has_wait = !in->follow;
    return weir_s2_reader_open(&s->reader, in->place.s2, name_of(in, s), &what, why);
}

/* What a stream has at once, up to its turn. `*some`: there was something. */
static int take_turn(struct s2_in *in, struct s2_in_stream *s, struct relay_batch *into, bool *some, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    struct s2_record record;
    int rc = s->reader ? 0 : open_reader(in, s, &why);
    for (size_t i = 0; rc == 0 && i < TURN_RECORDS && !relay_batch_full(into); i++) {
        if (!in->follow && !s->missing && s->next >= s->tail) {
            s->ended = true;
            return 0;
        }
        rc = weir_s2_reader_record(s->reader, &record, 0, &why);
        if (rc == 0 && take_record(in, s, &record, into) != 0)
            return err_set(err, -ENOMEM, "out of memory");
        *some = *some || rc == 0;
    }
    if (rc == ERR_END)
        s->ended = true;
    return rc == 0 || rc == -EAGAIN || rc == ERR_END ? 0 : relay_s2_fail(err, &why, s->name);
}

/* --- the source ---------------------------------------------------------------------------------- */

/* A descriptor for all sessions; `*missing`: one has no connection, so time must go by. */
static int gather(struct s2_in *in, bool *missing)
{
    int only = -1;
    for (size_t i = 0; i < in->count; i++) {
        struct s2_in_stream *s = &in->streams[i];
        int fd = s->ended ? -1 : weir_s2_reader_fd(s->reader);
        struct epoll_event event = {.events = EPOLLIN};
        *missing = *missing || (fd < 0 && !s->ended);
        if (in->count == 1)
            only = fd;
        else if (fd >= 0 && epoll_ctl(in->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0 && errno != EEXIST)
            *missing = true;
    }
    return in->count == 1 ? only : in->epoll_fd;
}

/* 1: look again. */
static int wait_for_more(struct s2_in *in, uint64_t deadline_us)
{
    bool missing = false;
    int fd = gather(in, &missing);
    uint64_t now = time_mono_us();
    if (now >= deadline_us)
        return 0;
    uint64_t left_ms = (deadline_us - now + 999) / 1000;
    uint64_t slice = missing ? RETRY_MS : LISTEN_MS;
    int rc = relay_poll(fd, POLLIN, (int)(left_ms < slice ? left_ms : slice));
    return rc < 0 ? rc : 1;
}

static bool all_ended(const struct s2_in *in)
{
    bool ended = true;
    for (size_t i = 0; i < in->count; i++)
        ended = ended && in->streams[i].ended;
    return ended;
}

static int in_fill(struct relay_source *source, struct relay_batch *into, int wait_ms, struct err *err)
{
    struct s2_in *in = (struct s2_in *)source;
    uint64_t deadline_us = wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
    for (;;) {
        bool some = false;
        for (size_t i = 0; i < in->count && !relay_batch_full(into); i++) {
            struct s2_in_stream *s = &in->streams[in->turn++ % in->count];
            int rc = s->ended ? 0 : take_turn(in, s, into, &some, err);
            if (rc != 0)
                return rc;
        }
        if (all_ended(in))
            return ERR_END;
        if (relay_batch_full(into) || (!some && into->count > 0))
            return 0;
        int rc = some ? 1 : wait_for_more(in, deadline_us);
        if (rc <= 0)
            return rc;
    }
}

/* "STREAM=SEQ,...", names percent-encoded. */
static int in_position(struct relay_source *source, struct buf *out)
{
    struct s2_in *in = (struct s2_in *)source;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < in->count; i++) {
        if (i > 0)
            rc = buf_add_str(out, ",");
        if (rc == 0)
            rc = uri_encode(out, span_str(in->streams[i].name), "");
        if (rc == 0)
            rc = buf_addf(out, "=%llu", (unsigned long long)in->streams[i].next);
    }
    return rc;
}

static int go_one(struct s2_in *in, struct span part, bool *found, struct err *err)
{
    CLEAN_BUF name = BUF_INIT;
    uint64_t seq;
    const uint8_t *equals = part.len > 0 ? memchr(part.ptr, '=', part.len) : NULL;
    size_t len = equals ? (size_t)(equals - part.ptr) : 0;
    if (!equals || text_u64(span_of(equals + 1, part.len - len - 1), &seq) != 0 ||
        uri_decode(&name, span_of(part.ptr, len), false, NULL) != 0)
        return ERR_INVALID;
    for (size_t i = 0; i < in->count; i++) {
        struct s2_in_stream *s = &in->streams[i];
        if (!span_eq(buf_span(&name), span_str(s->name)))
            continue;
        if (seq > s->tail)
            return err_set(err, ERR_RANGE, "stream %s ends at %llu, before the place of the cursor, %llu: it is another one", s->name,
                           (unsigned long long)s->tail, (unsigned long long)seq);
        s->next = seq;
        *found = true;
    }
    return 0;
}

static int in_go(struct relay_source *source, struct span position, struct err *err)
{
    struct s2_in *in = (struct s2_in *)source;
    bool found = false;
    int rc = 0;
    while (rc == 0 && position.len > 0) {
        const uint8_t *comma = memchr(position.ptr, ',', position.len);
        size_t len = comma ? (size_t)(comma - position.ptr) : position.len;
        rc = go_one(in, span_of(position.ptr, len), &found, err);
        len += comma ? 1 : 0;
        position = span_of(position.ptr + len, position.len - len);
    }
    if (rc == ERR_RANGE)
        return rc;
    return rc == 0 && found ? 0 : err_set(err, ERR_INVALID, "what it says is no place in these S2 streams");
}

static void in_close(struct relay_source *source)
{
    struct s2_in *in = (struct s2_in *)source;
    for (size_t i = 0; i < in->count; i++) {
        weir_s2_reader_close(in->streams[i].reader);
        free(in->streams[i].name);
    }
    if (in->epoll_fd >= 0)
        close(in->epoll_fd);
    relay_s2_close(&in->place);
    buf_finish(&in->meta);
    buf_finish(&in->scratch);
    free(in->streams);
    free(in);
}

static const struct relay_source_ops in_ops = {.fill = in_fill, .position = in_position, .go = in_go, .close = in_close};

static int check(const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    if (url->key_count == 0)
        return err_set(err, ERR_INVALID, "s2: --input must name the streams: s2://BASIN/STREAM,...");
    if (o->mode != SS_REALTIME || o->group || o->member || o->has_commit)
        return err_set(err, ERR_INVALID,
                       "--mode, --group: the S2 API has no groups; --cursor remembers a place, --share divides the work");
    return 0;
}

static int make(struct s2_in *in, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    in->streams = calloc(url->key_count, sizeof(*in->streams));
    if (!in->streams)
        return err_set(err, -ENOMEM, "out of memory");
    in->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    int rc = in->epoll_fd < 0 ? err_sys(err, errno, "epoll") : relay_s2_open(&in->place, url, o, err);
    for (size_t i = 0; rc == 0 && i < url->key_count; i++) {
        struct s2_in_stream *s = &in->streams[in->count++];
        s->name = strdup(url->keys[i]);
        rc = s->name ? find_start(in, s, o, err) : err_set(err, -ENOMEM, "out of memory");
    }
    return rc;
}

int relay_s2_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    int rc = check(url, o, err);
    if (rc != 0)
        return rc;
    struct s2_in *in = calloc(1, sizeof(*in));
    if (!in)
        return err_set(err, -ENOMEM, "out of memory");
    in->base.ops = &in_ops;
    in->follow = o->follow;
    in->epoll_fd = -1;
    rc = make(in, url, o, err);
    if (rc != 0) {
        in_close(&in->base);
        return rc;
    }
    *out = &in->base;
    return 0;
}
