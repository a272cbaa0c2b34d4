#include "daemon/groups/group_bury.h"

#include <inttypes.h>

#include "base/json.h"

/* --- the pool's part -------------------------------------------------------------------------- */

static int write_meta(struct group_bury *bury, const struct frame *frame)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, frame->id);
    int rc = buf_addf(&bury->meta, "{\"group\":\"%.*s\",\"frame_id\":\"%s\",\"topic\":",
                      SPAN_ARG(bury->group), id);
    if (rc == 0)
        rc = json_put_string(&bury->meta, frame->topic);
    if (rc == 0)
        rc = buf_addf(&bury->meta, ",\"attempts\":%" PRIu64 "}", bury->attempts);
    return rc;
}

static long take(void *arg, const struct store_item *item)
{
    struct group_bury *bury = arg;
    const struct frame *in = item->frame;
    bury->frame.has_hash = in->has_hash;
    bury->frame.content_size = in->content_size;
    memcpy(bury->frame.digest, in->digest, DIGEST_SIZE);
    buf_reset(&bury->meta);
    int rc = write_meta(bury, in);
    return rc < 0 ? rc : 1;
}

static int look(struct group_bury *bury)
{
    return store_get(bury->site->store, bury->id, take, bury, &bury->err);
}

/* A blob is pinned before anybody looks whether its frame is there, so it stays while that is. */
static int take_blob(struct group_bury *bury)
{
    int rc = cas_pin(bury->site->cas, bury->frame.digest);
    if (rc < 0)
        return err_set(&bury->err, rc, "no memory to pin a content");
    bury->pinned = true;
    return look(bury);
}

static int take_content(struct group_bury *bury)
{
    struct store_frame *frame = &bury->frame;
    enum store_place place;
    if (!frame->has_hash)
        return 0;
    buf_reset(&bury->content);
    int rc = store_content(bury->site->store, frame->digest, &place, &bury->content, &bury->err);
    if (rc == 0 && place == STORE_BLOB)
        return take_blob(bury);
    frame->has_hash = frame->has_content = rc == 0;
    frame->content = buf_span(&bury->content);
    return rc == ERR_NOT_FOUND ? 0 : rc; /* it is missing from the frame as well */
}

static struct group_bury *bury_of_job(struct job *job)
{
    return (struct group_bury *)((char *)job - offsetof(struct group_bury, job));
}

static void work(struct job *job)
{
    struct group_bury *bury = bury_of_job(job);
    buf_reset(&bury->topic);
    bury->result = buf_addf(&bury->topic, "%.*s.dead", SPAN_ARG(bury->group));
    if (bury->result == 0)
        bury->result = look(bury);
    if (bury->result == 0)
        bury->result = take_content(bury);
    bury->gone = bury->result == ERR_NOT_FOUND;
    if (bury->gone)
        bury->result = 0;
}

/* --- the loop's part -------------------------------------------------------------------------- */

static void end(struct group_bury *bury, uint64_t number)
{
    if (bury->pinned && number > 0)
        held_keep(&bury->site->held, number, bury->frame.digest);
    else if (bury->pinned)
        cas_unpin(bury->site->cas, bury->frame.digest);
    bury->pinned = false;
    bury->busy = false;
    submit_release(&bury->site->source);
    bury->after(bury);
}

static void submitted(struct submission *submission)
{
    struct group_bury *bury =
        (struct group_bury *)((char *)submission - offsetof(struct group_bury, submission));
    bury->result = submission->op.result;
    bury->err = submission->op.err;
    end(bury, submission->op.number);
}

static void submit(struct group_bury *bury)
{
    bury->ack = (struct store_mark){.kind = STORE_MARK_ACK,
                                    .name = bury->mark,
                                    .low = bury->low,
                                    .acked = &bury->id,
                                    .acked_count = 1};
    bury->frame.topic = buf_span(&bury->topic);
    bury->frame.meta = buf_span(&bury->meta);
    bury->frame.ttl = (struct ttl){.kind = TTL_FOREVER};
    bury->submission = (struct submission){.op = {.kind = STORE_APPEND,
                                                  .authority = AUTHORITY_NONE,
                                                  .frames = &bury->frame,
                                                  .count = 1,
                                                  .marks = &bury->ack,
                                                  .mark_count = 1},
                                           .after = submitted};
    submit_op(&bury->site->source, &bury->submission);
}

static void after(struct job *job)
{
    struct group_bury *bury = bury_of_job(job);
    if (bury->result < 0 || bury->gone || bury->cancelled)
        end(bury, 0);
    else
        submit(bury);
}

void group_bury_start(struct group_bury *bury)
{
    bury->busy = true;
    bury->gone = bury->cancelled = false;
    bury->result = 0;
    bury->err = ERR_INIT;
    bury->frame = (struct store_frame){0};
    submit_hold(&bury->site->source);
    bury->job = (struct job){.work = work, .after = after};
    pool_submit(bury->site->daemon->loop, &bury->job);
}

void group_bury_finish(struct group_bury *bury)
{
    buf_finish(&bury->topic);
    buf_finish(&bury->meta);
    buf_finish(&bury->content);
}
