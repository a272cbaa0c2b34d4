/*
 * Topics' own rows: looked at, made, changed, dropped, in order with appends.
 */
#include <inttypes.h>

#include "store/group.h"
#include "store/record.h"

/* --- what is refused ------------------------------------------------------------------------- */

static int check(struct store_op *op)
{
    const struct store_topic_op *topic = op->topic;
    bool needs = topic->deed == TOPIC_CREATE || topic->deed == TOPIC_PUT || topic->deed == TOPIC_CHANGE;
    if (topic->name.len == 0 || topic->name.len > TOPIC_MAX)
        return err_set(&op->err, ERR_INVALID, "a topic has 1 to %d bytes, this has %zu", TOPIC_MAX, topic->name.len);
    if (topic->deed > TOPIC_DROP || (needs && !topic->make))
        return err_set(&op->err, ERR_INVALID, "what is to be done to the topic is not said");
    return topic->make ? topic_check_make(topic->make, &op->err) : 0;
}

static int no_topic(struct store_op *op)
{
    return err_set(&op->err, ERR_NOT_FOUND, "there is no topic %.*s", SPAN_ARG(op->topic->name));
}

/* --- deeds: a negative return gives the group up, op->result is the answer -------------------- */

static int make(struct group *group, struct store_op *op, struct head *head)
{
    op->topic->made = true;
    return topic_make(group, head, op->topic->make);
}

static int look(struct group *group, struct store_op *op, struct head *head)
{
    if (head->no != 0)
        return 0;
    if (op->topic->make)
        return make(group, op, head);
    op->result = no_topic(op);
    return 0;
}

static int create(struct group *group, struct store_op *op, struct head *head)
{
    if (head->no == 0)
        return make(group, op, head);
    op->result = err_set(&op->err, ERR_CONFLICT, "topic %.*s is there already", SPAN_ARG(op->topic->name));
    return 0;
}

static int replace(struct group *group, struct store_op *op, struct head *head)
{
    const struct topic_make *to = op->topic->make;
    if (topic_is_set(head, &to->rules, to->note))
        return 0;
    int r = head_set_note(head, to->note);
    if (r != 0)
        return r;
    head->rules = to->rules;
    head->revision++;
    op->topic->changed = true;
    return topic_put_set(group, head);
}

static int put(struct group *group, struct store_op *op, struct head *head)
{
    return head->no == 0 ? make(group, op, head) : replace(group, op, head);
}

static int change(struct group *group, struct store_op *op, struct head *head)
{
    op->actual_seq = head->revision;
    if (head->no == 0)
        op->result = no_topic(op);
    else if (op->has_expect_seq && op->expect_seq != head->revision)
        op->result = err_set(&op->err, ERR_CONDITION, "the revision of the topic is %" PRIu64 ", not %" PRIu64,
                             head->revision, op->expect_seq);
    else
        return replace(group, op, head);
    return 0;
}

/* Why the topic stays. */
static int judge_drop(struct group *group, struct store_op *op, struct head *head)
{
    op->actual_seq = head->next_seq;
    if (head->no == 0)
        return no_topic(op);
    if (op->has_expect_seq && op->expect_seq != head->next_seq)
        return err_set(&op->err, ERR_CONDITION, "the next seq of the topic is %" PRIu64 ", not %" PRIu64,
                       head->next_seq, op->expect_seq);
    int r = op->topic->only_empty ? topic_count(group, head, &op->err) : 0;
    if (r == 0 && op->topic->only_empty && head->live > 0)
        r = err_set(&op->err, ERR_CONDITION, "the topic has %" PRIu64 " frames", head->live);
    return r;
}

/* The view is of before. The head stays, as that of a topic that never was, until the index knows. */
static int drop(struct group *group, struct store_op *op, struct head *head)
{
    op->result = judge_drop(group, op, head);
    topic_view(group, head, op->topic->name, op->topic);
    if (op->result != 0)
        return 0;
    int r = group_put_drop(group, head->no);
    op->topic->changed = true;
    head_forget(head, group->number);
    return r;
}

/* --- the operation ----------------------------------------------------------------------------- */

static int (*const deeds[])(struct group *group, struct store_op *op, struct head *head) = {
    [TOPIC_LOOK] = look,     [TOPIC_CREATE] = create, [TOPIC_PUT] = put,
    [TOPIC_CHANGE] = change, [TOPIC_DROP] = drop,
};

int judge_topic(struct group *group, struct store_op *op)
{
    struct store_topic_op *topic = op->topic;
    struct head *head;
    topic->made = topic->changed = false;
    topic->view = (struct store_topic){.name = topic->name};
    op->result = check(op);
    if (op->result == 0)
        op->result = group_head(group, topic->name, &head, &op->err);
    if (op->result != 0)
        return 0;
    int r = deeds[topic->deed](group, op, head);
    if (r == 0 && topic->deed != TOPIC_DROP)
        topic_view(group, head, topic->name, topic);
    return r;
}
