#include "daemon/recall.h"

static long take_seq(void *arg, const struct store_item *item)
{
    struct store_frame *frame = arg;
    frame->has_seq = item->frame->has_seq;
    frame->seq = item->frame->seq;
    return 0;
}

static void work(struct job *job)
{
    struct recall *r = (struct recall *)((char *)job - offsetof(struct recall, job));
    for (size_t i = 0; i < r->count; i++)
        store_get(r->store, r->frames[i].id, take_seq, &r->frames[i], NULL);
}

static void after(struct job *job)
{
    struct recall *r = (struct recall *)((char *)job - offsetof(struct recall, job));
    r->done(r);
}

void recall_start(struct recall *recall, uv_loop_t *loop)
{
    recall->job = (struct job){.work = work, .after = after};
    pool_submit(loop, &recall->job);
}
