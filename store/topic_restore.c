/*
 * Topics' rows as a dump has them, restored behind its frames.
 */
#include "store/group.h"
#include "store/record.h"

#define SEQ_MAX (UINT64_MAX >> 1) /* so that counting on from it never ends */

static int check(const struct store_topic *to, struct err *err)
{
    struct topic_make make = {to->rules, to->note};
    if (to->name.len == 0 || to->name.len > TOPIC_MAX)
        return err_set(err, ERR_INVALID, "a topic has 1 to %d bytes, this has %zu", TOPIC_MAX, to->name.len);
    if (to->token.len > TOKEN_MAX || to->trim > to->next_seq || to->next_seq > SEQ_MAX)
        return err_set(err, ERR_INVALID, "topic %.*s: its token, trim point or next seq is out of range",
                       SPAN_ARG(to->name));
    return topic_check_make(&make, err);
}

/* Loads the heads, so that nothing fails once something was changed. */
int topic_check_restore(struct group *group, struct store_op *op)
{
    struct head *head;
    int r = 0;
    for (size_t i = 0; i < op->topic_count && r == 0; i++) {
        r = check(&op->topics[i], &op->err);
        if (r == 0)
            r = group_head(group, op->topics[i].name, &head, &op->err);
    }
    return r;
}

static int restore_rules(struct group *group, struct head *head, const struct store_topic *to)
{
    bool set = topic_is_set(head, &to->rules, to->note);
    uint64_t revision = head->revision < to->revision ? to->revision : head->revision + !set;
    if (set && head->created_ms == to->created_ms && head->revision == revision)
        return 0;
    int r = head_set_note(head, to->note);
    if (r != 0)
        return r;
    head->rules = to->rules;
    head->created_ms = to->created_ms;
    head->revision = revision;
    return topic_put_set(group, head);
}

static int restore_end(struct group *group, struct head *head, const struct store_topic *to)
{
    if (to->next_seq <= head->next_seq && to->last_stamp <= head->last_stamp)
        return 0;
    if (to->next_seq > head->next_seq)
        head->next_seq = to->next_seq;
    if (to->last_stamp > head->last_stamp)
        head->last_stamp = to->last_stamp;
    head->changed = group->number;
    return op_put_topic_raise(&group->ops, head->no, to->next_seq, to->last_stamp);
}

static int restore_token(struct group *group, struct head *head, const struct store_topic *to)
{
    if (span_eq(span_of(head->token, head->token_len), to->token))
        return 0;
    head_set_token(head, to->token);
    head->changed = group->number;
    return op_put_token(&group->ops, head->no, to->token);
}

int topic_restore(struct group *group, const struct store_topic *to, struct err *err)
{
    struct head *head;
    int r = group_head(group, to->name, &head, err);
    if (r == 0)
        r = group_number_topic(group, head);
    if (r == 0)
        r = restore_rules(group, head, to);
    if (r == 0)
        r = restore_end(group, head, to);
    if (r == 0)
        r = restore_token(group, head, to);
    /* Frames that were here before have seqs of their own, which the trim never meant. */
    return r == 0 ? topic_trim_empty(group, head, to->trim, err) : r;
}
