#include "daemon/serve/spent.h"

#include <stdlib.h>

#include "daemon/pool.h"

struct spent {
    struct job job;
    struct site *site;
    struct frame_id upto; /* requests and responses up to here are spent, or keep their content pinned */
    uint8_t digest[DIGEST_SIZE];
};

bool spent_can_be(const struct frame *frame)
{
    return frame->ttl.kind == TTL_EPHEMERAL && frame->has_hash && !frame->has_content;
}

static struct spent *spent_of(struct job *job)
{
    return (struct spent *)((char *)job - offsetof(struct spent, job));
}

static bool counts(void *arg, const struct frame *frame)
{
    const struct spent *s = arg;
    bool ours = span_is(frame->topic, "http.request") || span_is(frame->topic, "http.response");
    return !(ours && frame->ttl.kind == TTL_EPHEMERAL && id_cmp(frame->id, s->upto) <= 0);
}

static void work(struct job *job)
{
    struct spent *s = spent_of(job);
    held_remove_uncounted(&s->site->held, s->site->store, s->digest, counts, s, NULL);
}

static void after(struct job *job)
{
    struct spent *s = spent_of(job);
    submit_release(&s->site->source);
    free(s);
}

void spent_remove(struct serve *serve, const uint8_t digest[static DIGEST_SIZE], struct frame_id id)
{
    struct spent *s = calloc(1, sizeof(*s));
    if (!s)
        return;
    s->site = serve->site;
    s->upto = id_cmp(id, serve->seen) > 0 ? id : serve->seen;
    memcpy(s->digest, digest, DIGEST_SIZE);
    submit_hold(&s->site->source);
    s->job = (struct job){.work = work, .after = after};
    pool_submit(s->site->daemon->loop, &s->job);
}
