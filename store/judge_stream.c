/*
 * Stream appends: frames of one topic that go by its rules. Retention, timestamps, fencing token and trim commands.
 */
#include <errno.h>

#include "base/bytes.h"
#include "store/group.h"
#include "store/record.h"

/* --- what is refused before anything is looked at -------------------------------------------- */

static int check_command(const struct store_frame *frame, struct err *err)
{
    if (frame->command == COMMAND_FENCE &&
        ((frame->has_hash && !frame->has_content) || frame->content.len > TOKEN_MAX))
        return err_set(err, ERR_INVALID, "a fencing token has up to %d bytes", TOKEN_MAX);
    if (frame->command == COMMAND_TRIM && (!frame->has_content || frame->content.len != 8))
        return err_set(err, ERR_INVALID, "a trim command's content is a seq of 8 bytes");
    return 0;
}

static int check_stream(struct store_op *op)
{
    int r = op->make ? topic_check_make(op->make, &op->err) : 0;
    for (size_t i = 0; i < op->count && r == 0; i++) {
        if (!span_eq(op->frames[i].topic, op->frames[0].topic))
            return err_set(&op->err, ERR_INVALID, "the frames of a stream append are of one topic");
        r = check_command(&op->frames[i], &op->err);
    }
    return r;
}

/* --- timestamps ------------------------------------------------------------------------------ */

/* A topic that demands the client's timestamps gets one with each frame. */
static int check_stamps(struct store_op *op, const struct topic_rules *rules)
{
    for (size_t i = 0; i < op->count; i++)
        if (rules->stamp_mode == STAMP_REQUIRE && !op->frames[i].has_stamp)
            return err_set(&op->err, ERR_INVALID, "this topic wants a timestamp with each record");
    return 0;
}

uint64_t judge_stamp(const struct topic_rules *rules, const struct store_frame *in, uint64_t now)
{
    uint64_t stamp = in->has_stamp && rules->stamp_mode != STAMP_ARRIVAL ? in->stamp : now;
    return stamp > now && !rules->uncapped ? now : stamp;
}

/* --- frames ---------------------------------------------------------------------------------- */

static int obey(struct group *group, struct head *head, const struct store_frame *in, struct err *err)
{
    if (in->command == COMMAND_FENCE) {
        head_set_token(head, in->content);
        return op_put_token(&group->ops, head->no, in->content);
    }
    if (in->command != COMMAND_TRIM)
        return 0;
    uint64_t seq = get_be64(in->content.ptr);
    return topic_trim(group, head, seq <= in->seq ? seq : in->seq + 1, err);
}

static int append_record(struct group *group, struct store_op *op, struct head *head, size_t i)
{
    struct store_frame *in = &op->frames[i];
    const struct topic_rules *rules = &head->rules;
    struct frame frame;
    in->ttl = rules->retention_ms ? (struct ttl){TTL_TIME, rules->retention_ms} : (struct ttl){TTL_FOREVER, 0};
    in->id = judge_id(group, op, i);
    in->has_seq = true;
    in->seq = head->next_seq;
    judge_frame(&frame, in, op);
    frame.topic_no = head->no;
    frame.stamp = judge_stamp(rules, in, group->now_ms);
    frame.deadline_ms = judge_deadline(in->ttl, id_time_ms(in->id));
    int r = judge_take(group, head, &frame);
    in->stamp = frame.stamp;
    group->store->last_stored = in->id;
    if (r == 0)
        r = group_add_frame(group, &frame, false);
    return r == 0 ? obey(group, head, in, &op->err) : r;
}

/* --- the operation --------------------------------------------------------------------------- */

/* Whether the owner lets it in. What only the index counts is not looked up for this. */
static int ask_owner(struct store_op *op, const struct head *head)
{
    bool there = head->no != 0;
    const struct store_topic topic = {.name = op->frames[0].topic,
                                      .no = head->no,
                                      .created_ms = head->created_ms,
                                      .rules = there ? head->rules : op->make->rules,
                                      .note = there ? span_of(head->note, head->note_len) : op->make->note,
                                      .revision = head->revision,
                                      .next_seq = head->next_seq,
                                      .last_stamp = head->last_stamp,
                                      .trim = head->trim,
                                      .last_id = head->last_id,
                                      .token = span_of(head->token, head->token_len)};
    return op->admit ? op->admit(op, &topic) : 0;
}

/* 1: decided, op->result is set. 0: it goes on. */
static int judge_before(struct group *group, struct store_op *op, struct head *head, uint8_t digest[static DIGEST_SIZE])
{
    if (head->no == 0 && !op->make) {
        op->result = err_set(&op->err, ERR_NOT_FOUND, "there is no such topic");
        return 1;
    }
    op->result = ask_owner(op, head);
    if (op->result != 0)
        return 1;
    if (op->key.len && judge_key(group, op, head, digest))
        return 1;
    op->result = judge_conditions(group, op, head);
    if (op->result == 0)
        op->result = check_stamps(op, head->no ? &head->rules : &op->make->rules);
    return op->result != 0;
}

static int append_all(struct group *group, struct store_op *op, struct head *head, const uint8_t *digest)
{
    int r = head->no == 0 ? topic_make(group, head, op->make) : 0;
    for (size_t i = 0; i < op->count && r == 0; i++)
        r = append_record(group, op, head, i);
    if (r == 0 && op->key.len)
        r = judge_keep_key(group, op, head, digest);
    return r == 0 ? group_put_marks(group, op) : r;
}

int judge_stream(struct group *group, struct store_op *op)
{
    uint8_t digest[DIGEST_SIZE];
    struct head *head;
    int r = 0;
    if (op->topic)
        op->topic->made = op->topic->changed = false;
    for (size_t i = 0; i < op->count; i++)
        op->frames[i].ttl = (struct ttl){0}; /* out: what came in counts for nothing */
    if (!judge_limits(op))
        return 0;
    op->result = check_stream(op);
    if (op->result == 0)
        op->result = group_head(group, op->frames[0].topic, &head, &op->err);
    if (op->result != 0)
        return 0;
    bool there = head->no != 0;
    if (!judge_before(group, op, head, digest))
        r = append_all(group, op, head, digest);
    if (r == 0 && op->topic) {
        op->topic->made = !there && head->no != 0;
        topic_view(group, head, op->frames[0].topic, op->topic);
    }
    return r;
}
