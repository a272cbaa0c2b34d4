/*
 * Streams of an S2 endpoint as a sink: a producer each, whose batches say which seq_num they expect, so that one whose ack was
 * lost is there once. Where somebody else writes, too, that expectation fails before anything is appended: then what has no ack
 * is appended behind what they wrote. What was put since the last flush is kept for that.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/s2/headers.h"
#include "bridge/meta.h"
#include "bridge/relay/s2_place.h"

#define STREAMS_MAX 256
/* After so many failures in a row the expectation is given up: somebody writes all the time. */
#define CONTENDED 3

struct s2_out_stream {
    char *name;
    struct weir_s2_producer *producer;
    struct relay_batch kept; /* since the last flush */
    size_t skipped;          /* of them at the front: durable before this producer was opened */
    uint64_t flushed;        /* records that this producer had made durable at the last flush */
    unsigned mismatches;     /* in a row */
};

struct s2_out {
    struct relay_sink base;
    struct relay_s2 place;
    struct s2_out_stream *list[STREAMS_MAX];
    size_t count, last;
    bool preserve, make_stream;
    struct buf meta;
    struct s2_headers headers;
};

/* --- a record ------------------------------------------------------------------------------------ */

/* Spans point into the message and the sink's memory, until the next one. */
static int make_record(struct s2_out *o, struct s2_record *r, const struct ss_message *m)
{
    *r = (struct s2_record){.body = m->payload};
    if (!o->preserve)
        return 0;
    buf_reset(&o->meta);
    int rc = ss_meta_write(&o->meta, m);
    if (rc == 0)
        rc = s2_headers_from_meta(&o->headers, buf_span(&o->meta), false);
    r->headers = o->headers.items;
    r->header_count = o->headers.count;
    r->has_timestamp = !m->no_time;
    r->timestamp = m->time_ms;
    return rc;
}

/* --- a stream ------------------------------------------------------------------------------------ */

static int open_producer(struct s2_out *o, struct s2_out_stream *s, struct weir_s2_err *why)
{
    struct weir_s2_producer_options options = WEIR_S2_PRODUCER_INIT;
    options.idempotent = s->mismatches < CONTENDED;
    return weir_s2_producer_open(&s->producer, o->place.s2, (struct weir_s2_stream){.basin = o->place.basin, .stream = s->name},
                                 &options, why);
}

static int append_from(struct s2_out *o, struct s2_out_stream *s, size_t from, struct weir_s2_err *why)
{
    int rc = 0;
    for (size_t i = from; rc == 0 && i < s->kept.count; i++) {
        struct s2_record record;
        rc = make_record(o, &record, &s->kept.list[i]);
        if (rc != 0)
            return err_set(&why->err, rc, "out of memory");
        rc = weir_s2_producer_append(s->producer, &record, NULL, why);
    }
    return rc;
}

/* Somebody else appended: nothing of what has no ack is in the stream, so it goes behind theirs. */
static int again(struct s2_out *o, struct s2_out_stream *s, struct weir_s2_err *why)
{
    int rc;
    do {
        struct weir_s2_err dropped = WEIR_S2_ERR_INIT;
        (void)weir_s2_producer_flush(s->producer, &dropped); /* takes the acks that did come */
        size_t done = (size_t)(weir_s2_producer_durable(s->producer) - s->flushed);
        s->mismatches = done > 0 ? 1 : s->mismatches + 1;
        s->skipped += done;
        s->flushed = 0;
        weir_s2_producer_close(s->producer);
        s->producer = NULL;
        rc = open_producer(o, s, why);
        if (rc == 0)
            rc = append_from(o, s, s->skipped, why);
        if (rc == 0)
            rc = weir_s2_producer_flush(s->producer, why);
    } while (rc != 0 && s->producer && why->what == WEIR_S2_SEQ_NUM_MISMATCH);
    return rc;
}

static int heal(struct s2_out *o, struct s2_out_stream *s, int rc, struct weir_s2_err *why, struct err *err)
{
    if (rc != 0 && why->what == WEIR_S2_SEQ_NUM_MISMATCH)
        rc = again(o, s, why);
    return rc == 0 ? 0 : relay_s2_fail(err, why, s->name);
}

static void close_stream(struct s2_out_stream *s)
{
    weir_s2_producer_close(s->producer);
    relay_batch_finish(&s->kept);
    free(s->name);
    free(s);
}

static struct s2_out_stream *make_stream(struct s2_out *o, struct span key, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    if (o->count == STREAMS_MAX) {
        err_set(err, ERR_TOO_LARGE, "s2: more than %d streams at a time", STREAMS_MAX);
        return NULL;
    }
    struct s2_out_stream *s = calloc(1, sizeof(*s));
    if (s)
        s->name = strndup((const char *)key.ptr, key.len);
    if (!s || !s->name) {
        free(s);
        err_set(err, -ENOMEM, "out of memory");
        return NULL;
    }
    if ((o->make_stream && weir_s2_stream_ensure(o->place.s2, o->place.basin, s->name, NULL, &why) != 0) ||
        open_producer(o, s, &why) != 0) {
        relay_s2_fail(err, &why, s->name);
        close_stream(s);
        return NULL;
    }
    o->list[o->count++] = s;
    return s;
}

static struct s2_out_stream *stream_of(struct s2_out *o, struct span key, struct err *err)
{
    if (o->last < o->count && span_is(key, o->list[o->last]->name))
        return o->list[o->last];
    for (size_t i = 0; i < o->count; i++) {
        if (span_is(key, o->list[i]->name)) {
            o->last = i;
            return o->list[i];
        }
    }
    return make_stream(o, key, err);
}

/* --- the sink ------------------------------------------------------------------------------------ */

static int put_one(struct s2_out *o, const struct ss_message *m, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    struct s2_record record;
    if (make_record(o, &record, m) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    if (weir_s2_metered(&record) > S2_METERED_MAX) {
        o->base.refused++;
        relay_say("a message of key %.*s with %zu bytes does not go over: a record holds 1 MiB with its headers",
                  SPAN_ARG(m->key), m->payload.len);
        return 0;
    }
    struct s2_out_stream *s = stream_of(o, m->key, err);
    if (!s)
        return err ? err->code : -ENOMEM;
    if (relay_batch_add(&s->kept, m) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    return heal(o, s, weir_s2_producer_append(s->producer, &record, NULL, &why), &why, err);
}

static int out_put(struct relay_sink *sink, const struct relay_batch *batch, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++)
        rc = put_one((struct s2_out *)sink, &batch->list[i], err);
    return rc;
}

static int flush_stream(struct s2_out *o, struct s2_out_stream *s, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    int rc = heal(o, s, weir_s2_producer_flush(s->producer, &why), &why, err);
    if (rc == 0) {
        s->flushed = weir_s2_producer_durable(s->producer);
        s->skipped = 0;
        relay_batch_reset(&s->kept);
    }
    return rc;
}

static int out_flush(struct relay_sink *sink, const char *cursor, struct span position, struct err *err)
{
    struct s2_out *o = (struct s2_out *)sink;
    (void)cursor;
    (void)position;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->count; i++) {
        if (o->list[i]->kept.count > 0)
            rc = flush_stream(o, o->list[i], err);
    }
    return rc;
}

static void out_close(struct relay_sink *sink)
{
    struct s2_out *o = (struct s2_out *)sink;
    for (size_t i = 0; i < o->count; i++)
        close_stream(o->list[i]);
    relay_s2_close(&o->place);
    s2_headers_finish(&o->headers);
    buf_finish(&o->meta);
    free(o);
}

static const struct relay_sink_ops out_ops = {.put = out_put, .flush = out_flush, .close = out_close};

/* Before anything is taken from the input: whether there is an endpoint, and a basin. A stream that is missing may be made by the append. */
static int look(const struct s2_out *o, const char *key, struct err *err)
{
    struct weir_s2_err why = WEIR_S2_ERR_INIT;
    struct s2_position tail;
    if (!key || weir_s2_tail(o->place.quick, (struct weir_s2_stream){.basin = o->place.basin, .stream = key}, &tail, &why) == 0)
        return 0;
    bool gone = why.err.code == -ECONNREFUSED || why.err.code == -ENOENT || why.what == WEIR_S2_BASIN_NOT_FOUND;
    return gone ? relay_s2_fail(err, &why, key) : 0;
}

int relay_s2_sink(struct relay_sink **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    struct s2_out *sink = calloc(1, sizeof(*sink));
    if (!sink)
        return err_set(err, -ENOMEM, "out of memory");
    sink->base.ops = &out_ops;
    sink->preserve = o->preserve;
    sink->make_stream = o->make_stream;
    int rc = relay_s2_open(&sink->place, url, o, err);
    if (rc == 0)
        rc = look(sink, o->key, err);
    if (rc != 0) {
        out_close(&sink->base);
        return rc;
    }
    *out = &sink->base;
    return 0;
}
