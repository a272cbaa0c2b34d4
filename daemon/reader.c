#include "daemon/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/frame_json.h"

#define PART (256 * 1024)     /* what the pool reads at a time */
#define LOOP_PART (32 * 1024) /* what the loop reads at a time, without waiting */
#define LOOP_SLICES 2         /* of about a millisecond */
#define KEEP_IDLE 4096        /* buffers above this are given back while nothing comes */

/* --- frames into bytes (loop or pool, whoever has the cursor)
 * ---------------------------------------- */

static int put_frame(struct reader *r, struct buf *out, const struct frame *frame)
{
    char id[ID_TEXT_LEN + 1];
    size_t before = out->len;
    int rc = 0;
    if (r->sse) {
        id_format(id, frame->id);
        rc = buf_addf(out, "id: %s\ndata: ", id);
    }
    if (rc == 0)
        rc = frame_json(out, frame, r->flags);
    if (rc == 0)
        rc = buf_add_str(out, r->sse ? "\n\n" : "\n");
    if (rc < 0)
        out->len = before;
    return rc;
}

/* The content too, where it is asked for. ERR_END: it has to be fetched first. */
static int put_whole(struct reader *r, struct buf *out, const struct frame *frame)
{
    struct frame whole;
    if (!(r->flags & FRAME_JSON_CONTENT) || !frame_content_lacks(frame))
        return put_frame(r, out, frame);
    whole = *frame;
    if (frame_content_give(&r->content, &whole))
        return put_frame(r, out, &whole);
    frame_content_want(&r->content, frame);
    r->wanting = true;
    return ERR_END;
}

static int put_synthetic(struct reader *r, struct buf *out, const char *topic, const char *meta)
{
    struct frame frame = {.topic = span_str(topic),
                          .meta = span_str(meta),
                          .ttl = {.kind = TTL_EPHEMERAL},
                          .id = store_synthetic_id(r->x.site->store, r->cursor)};
    return put_frame(r, out, &frame);
}

/* Stored frames cannot be lost to a reader that is late, but ephemeral ones are gone when memory
 * is. */
static int put_lost(struct reader *r, struct buf *out)
{
    char meta[64];
    uint64_t lost = store_cursor_lost(r->cursor);
    if (lost == 0)
        return 0;
    snprintf(meta, sizeof(meta), "{\"ephemeral\":%" PRIu64 "}", lost);
    return put_synthetic(r, out, "xs.lost", meta);
}

struct taking {
    struct reader *reader;
    struct buf *out;
};

static long take(void *arg, const struct store_item *item)
{
    struct taking *t = arg;
    size_t before = t->out->len;
    if (item->frame->seq < t->reader->least_seq)
        return 1;
    bool as_is = item->line.len > 0 && t->reader->flags == 0 && !t->reader->sse;
    int rc = put_lost(t->reader, t->out);
    if (rc == 0)
        rc = as_is ? buf_add_span(t->out, item->line) : put_whole(t->reader, t->out, item->frame);
    return rc < 0 ? rc : (long)(t->out->len - before);
}

/* What the slice ended for: without the disk somebody else has to go on. A content that cannot be read is told of, and its frame printed
 * without. */
static int fetch_content(struct reader *r, bool may_block)
{
    struct err err = ERR_INIT;
    r->wanting = false;
    if (!may_block) {
        r->step = STORE_DISK;
        return 0;
    }
    int rc = frame_content_fetch(&r->content, r->x.site, &err);
    if (rc < 0)
        r->damage = err;
    return rc == -ENOMEM ? rc : 0;
}

/* One read; false when nothing more is to be had now. */
static bool fill_once(struct reader *r, struct buf *out, size_t budget, bool may_block)
{
    struct taking t = {r, out};
    struct err err = ERR_INIT;
    r->step = STORE_MORE;
    int rc = store_cursor_read(r->cursor, budget, may_block, take, &t, &r->step, &err);
    if (rc == ERR_DAMAGED) {
        r->damage = err;
        rc = 0;
    }
    if (rc == ERR_END && r->wanting)
        rc = fetch_content(r, may_block);
    if (rc == 0)
        rc = put_lost(r, out);
    if (rc == 0 && r->step == STORE_THRESHOLD) {
        r->step = STORE_MORE;
        rc = put_synthetic(r, out, "xs.threshold", NULL);
    }
    r->result = rc;
    r->err = err;
    return rc == 0 && r->step == STORE_MORE;
}

static void fill(struct reader *r, struct buf *out, size_t budget, bool may_block)
{
    int slices = may_block ? 4096 : LOOP_SLICES;
    size_t end = out->len + budget;
    while (fill_once(r, out, end - out->len, may_block) && out->len < end && --slices > 0)
        ;
}

/* --- reads by the pool
 * --------------------------------------------------------------------------------- */

static void begin_answer(struct reader *r);

static struct reader *reader_of_job(struct job *job)
{
    return (struct reader *)((char *)job - offsetof(struct reader, job));
}

static void work(struct job *job)
{
    struct reader *r = reader_of_job(job);
    fill(r, &r->next, PART, true);
}

/* What a read came to, on the loop. */
static void note_result(struct reader *r)
{
    if (r->damage.code)
        log_say(r->x.daemon->log, LOG_ERROR, "read", "damaged=\"%s\"", r->damage.text);
    r->damage.code = 0;
    if (r->result < 0)
        log_say(r->x.daemon->log, LOG_ERROR, "read", "error=\"%s\"", r->err.text);
    r->done = r->done || r->step == STORE_DONE;
}

static void start_job(struct reader *r);

static void add_pulse(struct reader *r, struct buf *out)
{
    if (!r->pulse_due || r->done || r->result < 0)
        return;
    r->pulse_due = false;
    r->result = put_synthetic(r, out, "xs.pulse", NULL);
}

static void after(struct job *job)
{
    struct reader *r = reader_of_job(job);
    r->busy = false;
    r->next_ready = true;
    if (r->x.req) {
        note_result(r);
        if (!r->started)
            begin_answer(r);
        else
            exchange_wake(&r->x);
    }
    exchange_drop(&r->x);
}

static void start_job(struct reader *r)
{
    r->busy = true;
    r->next_ready = false;
    buf_reset(&r->next);
    exchange_hold(&r->x);
    r->job = (struct job){.work = work, .after = after};
    exchange_job(&r->x, &r->job);
}

/* --- the answer's bytes
 * -------------------------------------------------------------------------------- */

static void swap_buffers(struct reader *r)
{
    struct buf empty = r->out;
    r->out = r->next;
    r->next = empty;
    r->next_ready = false;
    r->sent = 0;
}

static void shrink(struct buf *buf)
{
    if (buf->cap > KEEP_IDLE)
        buf_finish(buf);
}

/* The read goes on in the index: the next part is read while this one is sent. */
static bool more_on_disk(const struct reader *r)
{
    return !r->done && r->result == 0 && (r->step == STORE_MORE || r->step == STORE_DISK);
}

/* Nothing is there to be sent. 1: now there is. Else what the HTTP side is to be told. */
static long next_bytes(struct reader *r)
{
    if (r->next_ready) {
        bool full = r->next.len >= PART;
        swap_buffers(r);
        add_pulse(r, &r->out);
        if (full && more_on_disk(r))
            start_job(r);
        if (r->out.len > 0)
            return 1;
    }
    if (r->busy)
        return HTTP_WAIT;
    if (r->result < 0)
        return HTTP_ABORT;
    if (r->done)
        return 0;
    add_pulse(r, &r->out);
    fill(r, &r->out, LOOP_PART, false);
    note_result(r);
    if (r->out.len > 0)
        return 1;
    if (r->result < 0)
        return HTTP_ABORT;
    if (r->done || (r->step == STORE_IDLE && feed_ending(r->x.site->feed)))
        return 0;
    if (r->step == STORE_DISK)
        start_job(r);
    else if (r->step == STORE_IDLE)
        r->follower.waiting = true;
    else
        feed_later(r->x.site->feed, &r->follower);
    return HTTP_WAIT;
}

static long read_bytes(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct reader *r = http_state(req);
    (void)arg;
    if (r->sent == r->out.len) {
        buf_reset(&r->out);
        r->sent = 0;
        long rc = next_bytes(r);
        if (rc != 1) {
            shrink(&r->out);
            if (!r->busy) {
                shrink(&r->next);
                frame_content_finish(&r->content);
            }
            return rc;
        }
    }
    return (long)buf_copy(&r->out, &r->sent, into, room);
}

/* --- the answer's begin
 * ---------------------------------------------------------------------------------- */

static const char *content_type(const struct reader *r)
{
    return r->object ? "application/json" : r->sse ? "text/event-stream" : "application/x-ndjson";
}

static void answer_whole(struct reader *r)
{
    struct span body = buf_span(&r->out);
    if (r->object && body.len > 0)
        body.len--; /* an object stands alone, without newline */
    if (body.len == 0 && r->need_some)
        exchange_fail(&r->x, ERR_NOT_FOUND, NULL, NULL);
    else
        exchange_reply(&r->x, 200, content_type(r), body, NULL);
}

/* The first part is there, or (of a follower) known to be empty. */
static void begin_answer(struct reader *r)
{
    if (r->next_ready)
        swap_buffers(r);
    if (r->result < 0) {
        exchange_fail(&r->x, r->result, &r->err, NULL);
        return;
    }
    bool undecided = r->out.len == 0 && !r->done && r->step != STORE_IDLE;
    if (undecided || (r->object && !r->done)) {
        if (r->out.len == 0)
            start_job(r);
        else
            r->done = true;
        if (r->out.len == 0)
            return;
    }
    r->started = true;
    if (r->done && !r->follow)
        answer_whole(r);
    else
        exchange_stream(&r->x, content_type(r), UINT64_MAX, read_bytes, NULL);
}

static void wake(struct follower *follower)
{
    struct reader *r = (struct reader *)((char *)follower - offsetof(struct reader, follower));
    exchange_wake(&r->x);
}

/* --- pulses
 * --------------------------------------------------------------------------------------------- */

static void tick(uv_timer_t *timer)
{
    struct reader *r = timer->data;
    r->pulse_due = true;
    exchange_wake(&r->x);
}

static void timer_closed(uv_handle_t *handle)
{
    struct reader *r = handle->data;
    exchange_drop(&r->x);
}

static void start_pulses(struct reader *r)
{
    if (!r->follow || r->x.query.pulse_ms == 0)
        return;
    uv_timer_init(r->x.daemon->loop, &r->timer);
    r->timer.data = r;
    r->has_timer = true;
    exchange_hold(&r->x);
    uv_timer_start(&r->timer, tick, r->x.query.pulse_ms, r->x.query.pulse_ms);
}

/* --- life
 * ------------------------------------------------------------------------------------------------
 */

int reader_start(struct reader *r, const struct store_query *query, struct err *err)
{
    struct site *d = r->x.site;
    r->follow = query->follow;
    r->flags = query_shown(&r->x.query);
    int rc = store_cursor_open(&r->cursor, d->store, query, err);
    if (rc < 0)
        return rc;
    r->follower.wake = wake;
    if (r->follow && feed_add(d->feed, &r->follower, &r->x.query.topics, query->stream) < 0)
        return err_set(err, -ENOMEM, "no memory for the follower");
    start_pulses(r);
    fill(r, &r->out, LOOP_PART, false);
    note_result(r);
    if (r->result < 0)
        return r->result;
    if (r->out.len == 0 && r->step == STORE_DISK)
        start_job(r);
    else
        begin_answer(r);
    return 0;
}

void reader_gone(struct exchange *x)
{
    struct reader *r = (struct reader *)x;
    feed_remove(x->site->feed, &r->follower);
    if (r->has_timer)
        uv_close((uv_handle_t *)&r->timer, timer_closed);
}

void reader_finish(struct exchange *x)
{
    struct reader *r = (struct reader *)x;
    store_cursor_close(r->cursor);
    frame_content_finish(&r->content);
    buf_finish(&r->out);
    buf_finish(&r->next);
}
