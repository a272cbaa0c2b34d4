#include "daemon/pump.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/feed.h"
#include "daemon/pool.h"

#define BATCH_BYTES (256 * 1024) /* looked at in one slice */
#define BATCH_FRAMES 2048        /* copied in one slice, at most about */
#define SLICES_A_TURN 4

/*
 * A slice of the read is copied into a batch, on the loop when it lies in memory, else by the pool. The taker is then
 * offered the batch, frame by frame; the next slice is read when all of it is taken.
 */
struct pump {
    struct pump_options options;
    struct store_cursor *cursor;
    struct follower follower;
    struct job job;
    struct frame *frames; /* spans are offsets into bytes until the batch is read whole */
    size_t count, cap;
    size_t given; /* of the batch */
    struct buf bytes;
    struct frame_id position; /* see pump_position */
    enum store_step step;
    uint64_t lost;
    int result;
    struct err err;
    bool busy;      /* a job has cursor and batch */
    bool stuck;     /* the taker said no */
    bool resumed;   /* pump_resume came, maybe while the taker was saying no */
    bool offering;  /* within offer */
    bool ended;
    bool destroyed;
};

static void go_on(struct pump *pump);

/* --- filling a batch ------------------------------------------------------------------------------ */

static struct frame *add_frame(struct pump *pump)
{
    if (pump->count == pump->cap) {
        size_t cap = pump->cap ? pump->cap * 2 : 16;
        struct frame *frames = realloc(pump->frames, cap * sizeof(*frames));
        if (!frames)
            return NULL;
        pump->frames = frames;
        pump->cap = cap;
    }
    return &pump->frames[pump->count++];
}

/* The bytes move while the batch grows, so a span's place is kept as an offset. */
static struct span keep(struct buf *bytes, struct span span)
{
    struct span kept = {(const uint8_t *)(uintptr_t)bytes->len, span.len};
    if (span.len > 0)
        buf_add_span(bytes, span); /* room was reserved */
    return kept;
}

static long take(void *arg, const struct store_item *item)
{
    struct pump *pump = arg;
    const struct frame *in = item->frame;
    bool content = pump->options.contents && in->has_content;
    size_t len = in->topic.len + in->meta.len + in->origin.len + (content ? in->content.len : 0);
    if (pump->options.filter && !pump->options.filter(pump->options.arg, in))
        return 64; /* looking costs too, so that a slice ends */
    struct frame *frame = buf_reserve(&pump->bytes, len) == 0 ? add_frame(pump) : NULL;
    if (!frame)
        return -ENOMEM;
    *frame = *in;
    frame->topic = keep(&pump->bytes, in->topic);
    frame->meta = keep(&pump->bytes, in->meta);
    frame->origin = keep(&pump->bytes, in->origin);
    frame->has_content = content;
    frame->content = content ? keep(&pump->bytes, in->content) : (struct span){0};
    return (long)(len + BATCH_BYTES / BATCH_FRAMES);
}

static struct span placed(const struct buf *bytes, struct span kept)
{
    return (struct span){kept.len ? bytes->ptr + (uintptr_t)kept.ptr : NULL, kept.len};
}

static void fill(struct pump *pump, bool may_block)
{
    pump->count = pump->given = 0;
    buf_reset(&pump->bytes);
    pump->result = store_cursor_read(pump->cursor, BATCH_BYTES, may_block, take, pump, &pump->step,
                                     &pump->err);
    pump->lost += store_cursor_lost(pump->cursor);
    for (size_t i = 0; i < pump->count; i++) {
        struct frame *frame = &pump->frames[i];
        frame->topic = placed(&pump->bytes, frame->topic);
        frame->meta = placed(&pump->bytes, frame->meta);
        frame->origin = placed(&pump->bytes, frame->origin);
        frame->content = placed(&pump->bytes, frame->content);
    }
}

/* --- the pool's part ------------------------------------------------------------------------------ */

static void free_pump(struct pump *pump)
{
    store_cursor_close(pump->cursor);
    buf_finish(&pump->bytes);
    free(pump->frames);
    free(pump);
}

static struct pump *pump_of(struct job *job)
{
    return (struct pump *)((char *)job - offsetof(struct pump, job));
}

static void work(struct job *job)
{
    fill(pump_of(job), true);
}

static void after(struct job *job)
{
    struct pump *pump = pump_of(job);
    struct submit_source *source = &pump->options.site->source;
    pump->busy = false;
    submit_release(source);
    if (pump->destroyed)
        free_pump(pump);
    else
        go_on(pump);
}

static void read_on_pool(struct pump *pump)
{
    pump->busy = true;
    submit_hold(&pump->options.site->source); /* the store must stay open */
    pump->job = (struct job){.work = work, .after = after};
    pool_submit(pump->options.site->daemon->loop, &pump->job);
}

/* --- giving --------------------------------------------------------------------------------------- */

static void end(struct pump *pump, const struct err *err)
{
    pump->ended = true;
    feed_remove(pump->options.site->feed, &pump->follower);
    if (pump->options.ended)
        pump->options.ended(pump->options.arg, err);
}

/* True: the batch is taken whole, and the pump still there. */
static bool give(struct pump *pump)
{
    while (!pump->destroyed && pump->given < pump->count) {
        const struct frame *frame = &pump->frames[pump->given];
        struct frame_id id = frame->id;
        pump->resumed = false;
        if (!pump->options.frame(pump->options.arg, frame)) {
            pump->stuck = !pump->resumed;
            if (pump->resumed && !pump->destroyed)
                feed_later(pump->options.site->feed, &pump->follower);
            return false;
        }
        pump->position = id;
        pump->given++;
    }
    if (pump->destroyed)
        return false;
    pump->position = store_cursor_position(pump->cursor);
    return true;
}

static bool tell_lost(struct pump *pump)
{
    uint64_t lost = pump->lost;
    pump->lost = 0;
    if (lost > 0 && pump->options.lost)
        pump->options.lost(pump->options.arg, lost);
    return !pump->destroyed;
}

/* A frame that could not be read is passed over; anything else ends the pump. */
static bool read_well(struct pump *pump)
{
    int result = pump->result;
    pump->result = 0;
    if (result >= 0)
        return true;
    log_say(pump->options.site->daemon->log, LOG_ERROR, "read", "%s=\"%s\"",
            result == ERR_DAMAGED ? "damaged" : "error", pump->err.text);
    if (result == ERR_DAMAGED) {
        pump->step = STORE_MORE;
        return true;
    }
    end(pump, &pump->err);
    return false;
}

/* What the last read came to. True: the next slice can be read at once. */
static bool settle(struct pump *pump)
{
    if (!read_well(pump))
        return false;
    switch (pump->step) {
    case STORE_MORE:
        return true;
    case STORE_THRESHOLD:
        if (pump->options.threshold)
            pump->options.threshold(pump->options.arg);
        return !pump->destroyed;
    case STORE_DISK:
        read_on_pool(pump);
        return false;
    case STORE_IDLE:
        if (!feed_ending(pump->options.site->feed)) {
            pump->follower.waiting = true;
            return false;
        }
        break;
    case STORE_DONE:
        break;
    }
    end(pump, NULL);
    return false;
}

/* A few slices a turn of the loop, in turns with the others. */
static void offer(struct pump *pump)
{
    for (int i = 0; i < SLICES_A_TURN; i++) {
        if (!give(pump) || !tell_lost(pump) || !settle(pump))
            return;
        fill(pump, false);
    }
    feed_later(pump->options.site->feed, &pump->follower);
}

static void go_on(struct pump *pump)
{
    if (pump->busy || pump->stuck || pump->ended || pump->offering)
        return;
    pump->offering = true;
    offer(pump);
    pump->offering = false;
    if (pump->destroyed && !pump->busy)
        free_pump(pump);
}

static void wake(struct follower *follower)
{
    struct pump *pump = (struct pump *)((char *)follower - offsetof(struct pump, follower));
    if (!pump->busy && pump->step == STORE_IDLE)
        pump->step = STORE_MORE;
    go_on(pump);
}

void pump_resume(struct pump *pump)
{
    pump->resumed = true;
    if (!pump->stuck)
        return;
    pump->stuck = false;
    feed_later(pump->options.site->feed, &pump->follower);
}

/* --- life ----------------------------------------------------------------------------------------- */

int pump_create(struct pump **out, const struct pump_options *options, struct err *err)
{
    static const struct pattern_list all = {.all = true};
    struct store_query query = options->query;
    const struct pattern_list *topics = query.topics ? query.topics : &all;
    struct pump *pump = calloc(1, sizeof(*pump));
    if (!pump)
        return err_set(err, -ENOMEM, "no memory for the reader");
    query.want_lines = false;
    pump->options = *options;
    int rc = store_cursor_open(&pump->cursor, options->site->store, &query, err);
    pump->follower.wake = wake;
    pump->follower.own = true;
    if (rc == 0 && feed_add(options->site->feed, &pump->follower, topics, query.stream) < 0)
        rc = err_set(err, -ENOMEM, "no memory for the reader");
    if (rc < 0) {
        store_cursor_close(pump->cursor);
        free(pump);
        return rc;
    }
    pump->options.query = (struct store_query){0}; /* it was borrowed */
    pump->position = store_cursor_position(pump->cursor);
    feed_later(options->site->feed, &pump->follower);
    *out = pump;
    return 0;
}

struct frame_id pump_position(const struct pump *pump)
{
    return pump->position;
}

struct frame_id pump_synthetic_id(const struct pump *pump)
{
    if (pump->busy || pump->given < pump->count)
        return id_succ(pump->position);
    return store_synthetic_id(pump->options.site->store, pump->cursor);
}

void pump_destroy(struct pump *pump)
{
    if (!pump || pump->destroyed)
        return;
    pump->destroyed = true;
    feed_remove(pump->options.site->feed, &pump->follower);
    if (!pump->busy && !pump->offering)
        free_pump(pump);
}
