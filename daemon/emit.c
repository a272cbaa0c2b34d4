#include "daemon/emit.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/pool.h"

#define RETRY_MS 1000
#define PUT_OVERHEAD 256 /* counted for a put beside its bytes */

/* One operation under way: frames, mark and their bytes in one allocation. */
struct put {
    struct submission submission;
    struct job job; /* writes its large contents */
    struct put *next;
    struct emit *emit;
    void (*done)(void *arg, const struct emit_result *result);
    void *arg;
    size_t bytes;
    bool ready; /* large contents are blobs, pinned once each */
    bool blobs;
    bool stalled; /* there was no room for its large contents */
    int result;   /* of the job */
    struct store_mark mark;
    struct store_frame frames[];
};

struct emit {
    struct emit_options options;
    struct put *waiting, **waiting_end; /* not handed over yet, in order */
    struct put *again, **again_end;     /* refused for want of room, in order */
    size_t bytes, count;
    unsigned calling; /* `done` is under way */
    uv_timer_t retry;
    size_t stalled; /* puts whose large contents wait for room */
    unsigned holds; /* see emit_hold */
    bool let_go;    /* they do not count */
    bool has_timer, was_full, destroyed;
};

static struct put *put_of(struct submission *submission)
{
    return (struct put *)((char *)submission - offsetof(struct put, submission));
}

static struct site *site_of(const struct put *put)
{
    return put->emit->options.site;
}

static bool is_large(const struct store_frame *frame)
{
    return frame->content_size > INLINE_MAX;
}

/* --- the end of a put ------------------------------------------------------------------------------ */

static void timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void free_emit(struct emit *emit)
{
    if (emit->has_timer)
        uv_close((uv_handle_t *)&emit->retry, timer_closed);
    else
        free(emit);
}

/* A pin is kept until what names the blob is in the index. */
static void pass_pins_on(struct put *put)
{
    const struct store_op *op = &put->submission.op;
    for (size_t i = 0; put->blobs && i < op->count; i++) {
        if (!is_large(&put->frames[i]))
            continue;
        if (op->number > 0)
            held_keep(&site_of(put)->held, op->number, put->frames[i].digest);
        else
            cas_unpin(site_of(put)->cas, put->frames[i].digest);
    }
}

static void tell(struct put *put, int code, const struct err *err)
{
    size_t count = put->submission.op.count;
    struct frame_id few[16], *ids = few;
    if (!put->done || put->emit->destroyed)
        return;
    if (count > sizeof(few) / sizeof(few[0]) && !(ids = calloc(count, sizeof(*ids))))
        count = 0;
    for (size_t i = 0; i < count; i++)
        ids[i] = put->frames[i].id;
    put->done(put->arg, &(struct emit_result){.code = code, .err = err, .ids = ids, .count = count});
    if (ids != few)
        free(ids);
}

static bool is_held(const struct emit *emit)
{
    return emit->holds > 0 && !emit->let_go;
}

static void tell_room(struct emit *emit)
{
    bool full = emit->again || emit->stalled || is_held(emit) || emit->bytes >= EMIT_BUDGET / 2;
    if (!emit->was_full || full)
        return;
    emit->was_full = false;
    if (emit->options.room)
        emit->options.room(emit->options.arg);
}

static void finish(struct put *put, int code, const struct err *err)
{
    struct emit *emit = put->emit;
    pass_pins_on(put);
    emit->bytes -= put->bytes;
    emit->count--;
    emit->calling++; /* what is told may destroy the emit */
    tell(put, code, err);
    emit->calling--;
    submit_release(&emit->options.site->source);
    free(put);
    if (emit->destroyed) {
        if (emit->count == 0 && emit->calling == 0)
            free_emit(emit);
        return;
    }
    tell_room(emit);
}

/* --- handing over ----------------------------------------------------------------------------------- */

static void flush(struct emit *emit);
static void start_job(struct put *put);

static void try_again(uv_timer_t *timer)
{
    struct emit *emit = timer->data;
    *emit->again_end = emit->waiting;
    if (!emit->waiting)
        emit->waiting_end = emit->again_end;
    emit->waiting = emit->again;
    emit->again = NULL;
    emit->again_end = &emit->again;
    for (struct put *put = emit->waiting; put && emit->stalled > 0; put = put->next)
        if (put->stalled) {
            put->stalled = false;
            emit->stalled--;
            start_job(put);
        }
    flush(emit);
}

static void retry_later(struct emit *emit)
{
    emit->was_full = true;
    if (!emit->has_timer) {
        uv_timer_init(emit->options.site->daemon->loop, &emit->retry);
        emit->retry.data = emit;
        emit->has_timer = true;
    }
    if (!uv_is_active((uv_handle_t *)&emit->retry))
        uv_timer_start(&emit->retry, try_again, RETRY_MS, 0);
}

static void wait_for_room(struct put *put)
{
    struct emit *emit = put->emit;
    put->next = NULL;
    *emit->again_end = put;
    emit->again_end = &put->next;
    retry_later(emit);
}

/* Nobody will wait for room any more. */
static bool is_ending(const struct emit *emit)
{
    return emit->destroyed || emit->options.site->daemon->ending;
}

static void submitted(struct submission *submission)
{
    struct put *put = put_of(submission);
    const struct store_op *op = &submission->op;
    if (op->result == ERR_FULL && !is_ending(put->emit))
        wait_for_room(put);
    else
        finish(put, op->result, &op->err);
}

static struct put *take_first(struct emit *emit)
{
    struct put *put = emit->waiting;
    emit->waiting = put->next;
    if (!emit->waiting)
        emit->waiting_end = &emit->waiting;
    return put;
}

/* Hands over what is ready, in order; nothing passes one that waits for room. */
static void flush(struct emit *emit)
{
    while (!emit->again && emit->waiting && emit->waiting->ready) {
        struct put *put = take_first(emit);
        put->submission.after = submitted;
        submit_op(&emit->options.site->source, &put->submission);
    }
}

/* --- large contents (pool) -------------------------------------------------------------------------- */

static struct put *put_of_job(struct job *job)
{
    return (struct put *)((char *)job - offsetof(struct put, job));
}

static int write_blob(struct cas *cas, struct store_frame *frame, struct err *err)
{
    struct cas_put *blob = NULL;
    uint64_t size;
    int rc = cas_put_begin(cas, &blob, err);
    if (rc == 0)
        rc = cas_put_write(blob, frame->content, err);
    if (rc < 0) {
        cas_put_drop(blob);
        return rc;
    }
    return cas_put_finish(blob, frame->digest, &size, err);
}

static void write_blobs(struct job *job)
{
    struct put *put = put_of_job(job);
    struct store_op *op = &put->submission.op;
    size_t i = 0;
    put->result = 0;
    for (; i < op->count && put->result == 0; i++)
        if (is_large(&put->frames[i]))
            put->result = write_blob(site_of(put)->cas, &put->frames[i], &op->err);
    for (size_t k = 0; put->result < 0 && k + 1 < i; k++)
        if (is_large(&put->frames[k]))
            cas_unpin(site_of(put)->cas, put->frames[k].digest);
    put->blobs = put->result == 0;
}

/* It failed before it was handed over; the others go on. */
static void drop(struct put *put)
{
    struct emit *emit = put->emit;
    struct put **at = &emit->waiting;
    while (*at != put)
        at = &(*at)->next;
    *at = put->next;
    if (!*at)
        emit->waiting_end = at;
    bool last = emit->destroyed && emit->count == 1;
    finish(put, put->result, &put->submission.op.err);
    if (!last)
        flush(emit);
}

static void blobs_written(struct job *job)
{
    struct put *put = put_of_job(job);
    struct emit *emit = put->emit;
    put->ready = true;
    if (put->result == 0) {
        for (size_t i = 0; i < put->submission.op.count; i++)
            put->frames[i].has_content &= !is_large(&put->frames[i]);
        flush(emit);
        return;
    }
    if (put->result == ERR_FULL && !is_ending(emit)) {
        put->ready = false;
        put->stalled = true;
        emit->stalled++;
        retry_later(emit);
        return;
    }
    drop(put);
}

static void start_job(struct put *put)
{
    put->job = (struct job){.work = write_blobs, .after = blobs_written};
    pool_submit(site_of(put)->daemon->loop, &put->job);
}

/* --- putting ---------------------------------------------------------------------------------------- */

static struct span copy(uint8_t **to, struct span from)
{
    struct span made = {*to, from.len};
    if (from.len > 0)
        memcpy(*to, from.ptr, from.len);
    *to += from.len;
    return made;
}

static size_t bytes_of(const struct emit_frame *frames, size_t count, const struct store_mark *mark)
{
    size_t bytes = mark ? mark->name.len + mark->config.len : 0;
    for (size_t i = 0; i < count; i++)
        bytes += frames[i].topic.len + frames[i].meta.len + frames[i].origin.len +
                 (frames[i].has_content ? frames[i].content.len : 0);
    return bytes;
}

static void fill_frame(struct store_frame *out, const struct emit_frame *in, uint8_t **to)
{
    bool content = in->has_content && in->content.len > 0;
    *out = (struct store_frame){.topic = copy(to, in->topic),
                                .meta = copy(to, in->meta),
                                .origin = copy(to, in->origin),
                                .ttl = in->ttl,
                                .has_hash = content,
                                .has_content = content,
                                .content_size = content ? in->content.len : 0};
    if (!content)
        return;
    out->content = copy(to, in->content);
    if (!is_large(out))
        cas_digest(out->digest, out->content);
}

static struct put *make_put(const struct emit_frame *frames, size_t count,
                            const struct store_mark *mark)
{
    size_t head = sizeof(struct put) + count * sizeof(struct store_frame);
    size_t acked = mark ? mark->acked_count * sizeof(struct frame_id) : 0;
    size_t bytes = bytes_of(frames, count, mark);
    struct put *put = malloc(head + acked + bytes);
    if (!put)
        return NULL;
    *put = (struct put){.bytes = bytes + acked + PUT_OVERHEAD, .ready = true};
    uint8_t *to = (uint8_t *)put + head + acked;
    for (size_t i = 0; i < count; i++) {
        fill_frame(&put->frames[i], &frames[i], &to);
        put->ready &= !is_large(&put->frames[i]);
    }
    if (mark) {
        struct frame_id *ids = (struct frame_id *)(void *)((uint8_t *)put + head);
        put->mark = *mark;
        put->mark.name = copy(&to, mark->name);
        put->mark.config = copy(&to, mark->config);
        if (acked > 0)
            memcpy(ids, mark->acked, acked);
        put->mark.acked = ids;
    }
    return put;
}

int emit_put(struct emit *emit, const struct emit_frame *frames, size_t count,
             const struct store_mark *mark,
             void (*done)(void *arg, const struct emit_result *result), void *arg)
{
    struct put *put = make_put(frames, count, mark);
    if (!put)
        return -ENOMEM;
    put->emit = emit;
    put->done = done;
    put->arg = arg;
    put->submission.op = (struct store_op){.kind = STORE_APPEND,
                                           .authority = emit->options.authority,
                                           .urgent = emit->options.urgent,
                                           .frames = put->frames,
                                           .count = count,
                                           .marks = mark ? &put->mark : NULL,
                                           .mark_count = mark != NULL};
    emit->bytes += put->bytes;
    emit->count++;
    emit->was_full |= emit->bytes >= EMIT_BUDGET;
    submit_hold(&emit->options.site->source);
    *emit->waiting_end = put;
    emit->waiting_end = &put->next;
    if (put->ready) {
        flush(emit);
        return 0;
    }
    start_job(put);
    return 0;
}

bool emit_full(const struct emit *emit)
{
    return emit->bytes >= EMIT_BUDGET || emit->again || emit->stalled || is_held(emit);
}

void emit_hold(struct emit *emit, bool hold)
{
    emit->was_full |= hold;
    emit->holds = hold ? emit->holds + 1 : emit->holds - 1;
    tell_room(emit);
}

void emit_let_go(struct emit *emit)
{
    emit->let_go = true;
    tell_room(emit);
}

size_t emit_pending(const struct emit *emit)
{
    return emit->count;
}

int emit_create(struct emit **out, const struct emit_options *options, struct err *err)
{
    struct emit *emit = calloc(1, sizeof(*emit));
    if (!emit)
        return err_set(err, -ENOMEM, "no memory for appends");
    emit->options = *options;
    emit->waiting_end = &emit->waiting;
    emit->again_end = &emit->again;
    *out = emit;
    return 0;
}

/* What waits for room is tried once more, at once: an end is no time to wait. */
static void hurry(struct emit *emit)
{
    uv_timer_stop(&emit->retry);
    try_again(&emit->retry);
}

void emit_destroy(struct emit *emit)
{
    if (!emit)
        return;
    emit->destroyed = true;
    if (emit->count == 0 && emit->calling == 0)
        free_emit(emit);
    else if (emit->again || emit->stalled)
        hurry(emit);
}
