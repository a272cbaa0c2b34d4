#include "daemon/groups/group_fetch.h"

#include <errno.h>

#define BYTES_MAX (256 * 1024) /* read at a time */

struct taking {
    struct group_fetch *fetch;
    struct group_fetched *item;
};

/* The bytes move while they grow, so a span's place is kept as an offset until all are there. */
static struct span keep(struct buf *bytes, struct span span)
{
    struct span kept = {(const uint8_t *)(uintptr_t)bytes->len, span.len};
    if (span.len > 0)
        buf_add_span(bytes, span); /* room was reserved */
    return kept;
}

static struct span placed(const struct buf *bytes, struct span kept)
{
    return (struct span){kept.len ? bytes->ptr + (uintptr_t)kept.ptr : NULL, kept.len};
}

static long take(void *arg, const struct store_item *item)
{
    struct taking *t = arg;
    const struct frame *in = item->frame;
    struct buf *bytes = &t->fetch->bytes;
    struct frame *frame = &t->item->frame;
    bool content = t->fetch->contents && in->has_content;
    int rc = buf_reserve(bytes, in->topic.len + in->meta.len + in->origin.len + (content ? in->content.len : 0));
    if (rc < 0)
        return rc;
    *frame = *in;
    frame->topic = keep(bytes, in->topic);
    frame->meta = keep(bytes, in->meta);
    frame->origin = keep(bytes, in->origin);
    frame->has_content = content;
    frame->content = content ? keep(bytes, in->content) : (struct span){0};
    return 1;
}

static void fetch_one(struct group_fetch *fetch, struct group_fetched *item)
{
    struct taking t = {fetch, item};
    struct err err = ERR_INIT;
    if (fetch->bytes.len > BYTES_MAX) {
        item->result = -EAGAIN;
        return;
    }
    item->result = store_get(fetch->site->store, item->id, take, &t, &err);
    if (item->result < 0 && item->result != ERR_NOT_FOUND)
        fetch->err = err;
}

static struct group_fetch *fetch_of(struct job *job)
{
    return (struct group_fetch *)((char *)job - offsetof(struct group_fetch, job));
}

static void work(struct job *job)
{
    struct group_fetch *fetch = fetch_of(job);
    for (size_t i = 0; i < fetch->count; i++)
        fetch_one(fetch, &fetch->items[i]);
    for (size_t i = 0; i < fetch->count; i++) {
        struct frame *frame = &fetch->items[i].frame;
        if (fetch->items[i].result < 0)
            continue;
        frame->topic = placed(&fetch->bytes, frame->topic);
        frame->meta = placed(&fetch->bytes, frame->meta);
        frame->origin = placed(&fetch->bytes, frame->origin);
        frame->content = placed(&fetch->bytes, frame->content);
    }
}

static void after(struct job *job)
{
    struct group_fetch *fetch = fetch_of(job);
    fetch->busy = false;
    submit_release(&fetch->site->source);
    fetch->after(fetch);
}

void group_fetch_start(struct group_fetch *fetch)
{
    fetch->busy = true;
    fetch->err = ERR_INIT;
    buf_reset(&fetch->bytes);
    submit_hold(&fetch->site->source);
    fetch->job = (struct job){.work = work, .after = after};
    pool_submit(fetch->site->daemon->loop, &fetch->job);
}

void group_fetch_finish(struct group_fetch *fetch)
{
    buf_finish(&fetch->bytes);
}
