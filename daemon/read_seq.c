#include "daemon/read_seq.h"

#include <errno.h>
#include <stdlib.h>

struct look {
    struct exchange *x;
    void (*found)(struct exchange *x, int result, struct frame_id from, const struct err *err);
    uint64_t seq;
    struct submission submission;
    struct store_topic_op topic;
    struct job job;
    struct frame_id from;
    int result;
    struct err err;
};

static void end(struct look *look)
{
    struct exchange *x = look->x;
    look->found(x, look->result, look->from, &look->err);
    free(look);
    exchange_drop(x);
}

static void seek_work(struct job *job)
{
    struct look *look = (struct look *)((char *)job - offsetof(struct look, job));
    look->result = store_seek(look->x->site->store, look->topic.view.no, SEEK_SEQ, look->seq, &look->from, &look->err);
}

static void seek_after(struct job *job)
{
    end((struct look *)((char *)job - offsetof(struct look, job)));
}

/* The number is the topic's, as all appends that were answered left it. */
static void looked(struct submission *submission)
{
    struct look *look = (struct look *)((char *)submission - offsetof(struct look, submission));
    look->err = submission->op.err;
    look->result = submission->op.result == ERR_NOT_FOUND ? 0 : submission->op.result;
    if (submission->op.result < 0) {
        end(look);
        return;
    }
    look->job = (struct job){.work = seek_work, .after = seek_after};
    exchange_job(look->x, &look->job);
}

int read_seq_start(struct exchange *x, struct span topic, uint64_t seq,
                   void (*found)(struct exchange *x, int result, struct frame_id from, const struct err *err))
{
    struct look *look = calloc(1, sizeof(*look));
    if (!look)
        return -ENOMEM;
    look->x = x;
    look->found = found;
    look->seq = seq;
    look->from = ID_MIN;
    look->topic.deed = TOPIC_LOOK;
    look->topic.name = topic;
    look->submission.op.kind = STORE_TOPIC;
    look->submission.op.topic = &look->topic;
    look->submission.after = looked;
    exchange_hold(x);
    submit_op(&x->site->source, &look->submission);
    return 0;
}
