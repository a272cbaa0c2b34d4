/*
 * Imports: frames that come with their ids, and topics as a dump has them.
 */
#include "store/group.h"
#include "store/record.h"

#define SEQ_MAX (UINT64_MAX >> 1) /* so that counting on from it never ends */
#define IMPORT_AHEAD_MS 10000

static bool same_ttl(struct ttl a, struct ttl b)
{
    return a.kind == b.kind && a.value == b.value;
}

/* 0: the id is free (or in->existed set: the same frame is there). */
static int judge_existing(struct group *group, struct store_op *op, size_t i)
{
    struct store_frame *in = &op->frames[i];
    struct frame was;
    char text[ID_TEXT_LEN + 1];
    int r = group_find(group, in->id, &was, &op->err);
    if (r == ERR_NOT_FOUND)
        return 0;
    if (r != 0)
        return r;
    if (span_eq(was.topic, in->topic) && span_eq(was.meta, in->meta) &&
        same_ttl(was.ttl, in->ttl) && was.has_hash == in->has_hash &&
        (!in->has_hash || memcmp(was.digest, in->digest, DIGEST_SIZE) == 0)) {
        in->existed = true;
        in->has_seq = was.has_seq;
        in->seq = was.seq;
        return 0;
    }
    id_format(text, in->id);
    return err_set(&op->err, ERR_CONFLICT, "frame %s is there already with other contents", text);
}

static int judge_import_frame(struct group *group, struct store_op *op, size_t i,
                              struct frame_id *highest)
{
    struct store_frame *in = &op->frames[i];
    char text[ID_TEXT_LEN + 1];
    struct head *head;
    in->existed = in->gone = false;
    id_format(text, in->id);
    if (id_is_zero(in->id) || (in->has_seq && in->seq > SEQ_MAX))
        return err_set(&op->err, ERR_INVALID, "frame %s: its %s is out of range", text,
                       id_is_zero(in->id) ? "id" : "seq");
    if (in->ttl.kind == TTL_EPHEMERAL)
        return err_set(&op->err, ERR_INVALID, "frame %s is ephemeral and cannot be imported", text);
    if (id_time_ms(in->id) > group->now_ms + IMPORT_AHEAD_MS)
        return err_set(&op->err, ERR_INVALID,
                       "frame %s lies more than 10 s ahead of this machine's clock", text);
    if (id_cmp(in->id, *highest) <= 0)
        for (size_t k = 0; k < i; k++)
            if (id_cmp(op->frames[k].id, in->id) == 0)
                return err_set(&op->err, ERR_INVALID, "frame %s comes twice in one import", text);
    if (id_cmp(in->id, *highest) > 0)
        *highest = in->id;
    int r = judge_existing(group, op, i);
    return r == 0 ? group_head(group, in->topic, &head, &op->err) : r;
}

/* Whether the id is above all that was given, so that the frame takes the ordinary path through the
 * tail. */
static bool raise_ids(struct group *group, struct frame_id id)
{
    struct store *store = group->store;
    pthread_mutex_lock(&store->gen_lock);
    bool above = id_cmp(id, store->gen.last) > 0;
    if (above) {
        id_gen_raise(&store->gen, id);
        if (id_is_zero(store->inflight))
            store->inflight = id;
    }
    pthread_mutex_unlock(&store->gen_lock);
    if (id_cmp(id, store->last_stored) > 0)
        store->last_stored = id;
    return above;
}

static int import_frame(struct group *group, struct store_op *op, size_t i)
{
    struct store_frame *in = &op->frames[i];
    struct head *head;
    struct frame frame;
    int r = group_head(group, in->topic, &head, &op->err);
    if (r == 0)
        r = group_number_topic(group, head);
    if (r != 0)
        return r;
    bool newest_of_topic = id_cmp(in->id, head->last_id) > 0;
    if (!newest_of_topic || !in->has_seq || in->seq < head->next_seq)
        in->seq = newest_of_topic ? head->next_seq : 0;
    in->has_seq = newest_of_topic;
    judge_frame(&frame, in, op);
    frame.topic_no = head->no;
    r = judge_take(group, head, &frame);
    if (r != 0)
        return r;
    bool above = raise_ids(group, in->id);
    group->imports |= !above;
    r = group_add_frame(group, &frame, !above);
    return r == 0 ? cut_after_import(group, head, op, i) : r;
}

int judge_import(struct group *group, struct store_op *op)
{
    struct frame_id highest = ID_MIN;
    if (!judge_limits(op))
        return 0;
    op->result = topic_check_restore(group, op);
    for (size_t i = 0; i < op->count && op->result == 0; i++)
        op->result = judge_import_frame(group, op, i, &highest);
    if (op->result != 0)
        return 0;
    group->deferred = true;
    for (size_t i = 0; i < op->count; i++) {
        int r = op->frames[i].existed ? 0 : import_frame(group, op, i);
        if (r != 0)
            return r;
    }
    for (size_t i = 0; i < op->topic_count; i++) {
        int r = topic_restore(group, &op->topics[i], &op->err);
        if (r != 0)
            return r;
    }
    return group_put_marks(group, op);
}
