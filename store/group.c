#include "store/group.h"

#include <errno.h>
#include <stdlib.h>

#include "store/record.h"
#include "store/shadow.h"

int group_begin(struct group *group, struct store *store)
{
    *group = (struct group){.store = store, .now_ms = store_now(store)};
    group->taken_end = &group->taken;
    tail_pin(&store->tail, &group->pin);
    group->number = group->pin.number + 1;
    return 0;
}

void group_release(struct group *group)
{
    if (!group->store)
        return;
    index_snap_end(group->snap);
    group->snap = NULL;
    tail_unpin(&group->store->tail, &group->pin);
    group->store = NULL;
}

void group_finish(struct group *group)
{
    group_release(group);
    buf_finish(&group->ops);
    buf_finish(&group->ephemeral);
    for (size_t i = 0; i < group->ack_count; i++)
        buf_finish(&group->acks[i].acked);
    free(group->frames);
    free(group->hides);
    shadow_destroy(group->shadow);
}

int group_snap(struct group *group, struct index_snap **out, struct err *err)
{
    if (!group->snap) {
        int r = index_snap_begin(group->store->index, &group->snap, err);
        if (r != 0)
            return r;
    }
    *out = group->snap;
    return 0;
}

static int grow(void **items, size_t *cap, size_t count, size_t size)
{
    if (count < *cap)
        return 0;
    size_t more = *cap ? *cap * 2 : 16;
    void *grown = realloc(*items, more * size);
    if (!grown)
        return -ENOMEM;
    *items = grown;
    *cap = more;
    return 0;
}

int group_add_frame(struct group *group, const struct frame *frame, bool import)
{
    bool ephemeral = frame->ttl.kind == TTL_EPHEMERAL;
    if (id_cmp(frame->id, group->highest) > 0)
        group->highest = frame->id;
    if (import)
        return op_put_frame(&group->ops, OP_IMPORT, frame);
    int r =
        grow((void **)&group->frames, &group->frame_cap, group->frame_count, sizeof *group->frames);
    if (r != 0)
        return r;
    r = ephemeral ? record_put_frame(&group->ephemeral, frame)
                  : op_put_frame(&group->ops, OP_FRAME, frame);
    if (r != 0)
        return r;
    size_t len = record_frame_size(frame);
    size_t end = ephemeral ? group->ephemeral.len : group->ops.len;
    group->frames[group->frame_count++] =
        (struct group_frame){frame->id, frame->topic_no, ephemeral, end - len, len};
    return 0;
}

static int add_hide(struct group *group, const struct tail_hide *hide)
{
    int r = grow((void **)&group->hides, &group->hide_cap, group->hide_count, sizeof *group->hides);
    if (r == 0 && !group->shadow && !(group->shadow = shadow_create()))
        r = -ENOMEM;
    if (r == 0)
        r = shadow_reserve(group->shadow, 1);
    if (r != 0)
        return r;
    group->hides[group->hide_count++] = *hide;
    shadow_add(group->shadow, group->number, hide);
    return 0;
}

bool group_hides(struct group *group, const struct frame *frame)
{
    if (group->shadow && shadow_hides(group->shadow, group->number, frame))
        return true;
    return tail_hides(&group->store->tail, &group->pin, frame);
}

int group_find(struct group *group, struct frame_id id, struct frame *out, struct err *err)
{
    struct span record;
    bool ephemeral;
    struct frame frame;
    int r;
    if (tail_find(&group->store->tail, &group->pin, id, &record, &ephemeral)) {
        r = ephemeral ? ERR_NOT_FOUND : record_get_frame(&frame, record, err);
    } else {
        struct index_snap *snap;
        r = group_snap(group, &snap, err);
        if (r == 0)
            r = index_frame(snap, id, &frame, err);
    }
    if (r == 0 && group_hides(group, &frame))
        r = ERR_NOT_FOUND;
    if (r == 0)
        *out = frame;
    return r;
}

static int head_from_row(struct head *head, const struct index_topic *row)
{
    head->no = row->no;
    head->next_seq = row->next_seq;
    head->last_id = row->last_id;
    head->last_stamp = row->last_stamp;
    head->live = row->live;
    head->live_seq = row->live_seq;
    head->first_seq = row->first_seq;
    head->trim = row->trim;
    head->uncounted = row->uncounted;
    head->created_ms = row->created_ms;
    head->revision = row->revision;
    head->rules = row->rules;
    head_set_token(head, row->token);
    return head_set_note(head, row->note);
}

int group_head(struct group *group, struct span name, struct head **out, struct err *err)
{
    struct heads *heads = &group->store->heads;
    struct index_snap *snap;
    struct index_topic row;
    if ((*out = heads_find(heads, name)))
        return 0;
    int r = group_snap(group, &snap, err);
    if (r == 0)
        r = index_topic_by_name(snap, name, &row, err);
    if (r != 0 && r != ERR_NOT_FOUND)
        return r;
    struct head *head = heads_add(heads, name);
    if (head && r == 0 && head_from_row(head, &row) != 0) {
        heads_remove(heads, head);
        head = NULL;
    }
    if (!head)
        return err_set(err, -ENOMEM, "no memory for topic %.*s", SPAN_ARG(name));
    *out = head;
    return 0;
}

int group_number_topic(struct group *group, struct head *head)
{
    if (head->no != 0)
        return 0;
    uint32_t no = group->store->heads.topic_last + 1;
    int r = op_put_topic(&group->ops, no, span_of(head->name, head->name_len));
    if (r != 0)
        return r;
    group->store->heads.topic_last = no;
    head->no = no;
    head->changed = group->number;
    return 0;
}

int group_put_remove(struct group *group, struct frame_id id)
{
    struct tail_hide hide = {.id = id};
    int r = op_put_remove(&group->ops, id);
    return r == 0 ? add_hide(group, &hide) : r;
}

int group_put_cut(struct group *group, uint32_t topic_no, uint64_t seq)
{
    struct tail_hide hide = {.cut = true, .topic_no = topic_no, .seq = seq};
    int r = op_put_cut(&group->ops, topic_no, seq);
    return r == 0 ? add_hide(group, &hide) : r;
}

int group_put_trim(struct group *group, uint32_t topic_no, uint64_t seq)
{
    struct tail_hide hide = {.cut = true, .strict = true, .topic_no = topic_no, .seq = seq};
    int r = op_put_trim(&group->ops, topic_no, seq);
    return r == 0 ? add_hide(group, &hide) : r;
}

int group_put_drop(struct group *group, uint32_t topic_no)
{
    struct tail_hide hide = {
        .cut = true, .strict = true, .drop = true, .topic_no = topic_no, .seq = UINT64_MAX};
    int r = op_put_topic_drop(&group->ops, topic_no);
    return r == 0 ? add_hide(group, &hide) : r;
}

int group_remove(struct group *group, struct head *head, const struct frame *frame)
{
    int r = group_put_remove(group, frame->id);
    if (r != 0)
        return r;
    head->changed = group->number;
    head->live--;
    if (frame->has_seq) {
        head->live_seq--;
        head_remove_recent(head, frame->seq);
        if (frame->seq == head->first_seq)
            head->first_seq++;
    }
    return 0;
}
