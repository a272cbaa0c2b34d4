#include "daemon/passing.h"

#include <stdlib.h>

#include "daemon/pool.h"

struct passing {
    struct job job;
    struct site *site;
    struct frame_id id;
    uint8_t digest[DIGEST_SIZE];
};

bool passing_is(const struct frame *frame)
{
    return frame->ttl.kind == TTL_EPHEMERAL && frame->has_hash && !frame->has_content;
}

static struct passing *passing_of(struct job *job)
{
    return (struct passing *)((char *)job - offsetof(struct passing, job));
}

static void work(struct job *job)
{
    struct passing *p = passing_of(job);
    held_remove_passed(&p->site->held, p->site->store, p->digest, p->id, NULL);
}

static void after(struct job *job)
{
    struct passing *p = passing_of(job);
    submit_release(&p->site->source);
    free(p);
}

void passing_discard(struct site *site, const uint8_t digest[static DIGEST_SIZE], struct frame_id id)
{
    struct passing *p = calloc(1, sizeof(*p));
    if (!p)
        return;
    p->site = site;
    p->id = id;
    memcpy(p->digest, digest, DIGEST_SIZE);
    submit_hold(&site->source);
    p->job = (struct job){.work = work, .after = after};
    pool_submit(site->daemon->loop, &p->job);
}
