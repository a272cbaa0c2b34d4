/*
 * A topic's head in the forming group: made, trimmed, counted, shown.
 */
#include "store/group.h"
#include "store/record.h"

#define COUNT_MOST 16384 /* places looked at to count what a trim takes; beyond it stays uncounted */

int topic_check_make(const struct topic_make *make, struct err *err)
{
    if (make->note.len > TOPIC_NOTE_MAX)
        return err_set(err, ERR_TOO_LARGE, "a topic's note has up to %d bytes, this has %zu", TOPIC_NOTE_MAX,
                       make->note.len);
    if (make->rules.stamp_mode > STAMP_ARRIVAL)
        return err_set(err, ERR_INVALID, "mode %d of timestamps is not known", (int)make->rules.stamp_mode);
    return 0;
}

int topic_make(struct group *group, struct head *head, const struct topic_make *make)
{
    int r = head_set_note(head, make->note);
    if (r == 0)
        r = group_number_topic(group, head);
    if (r != 0)
        return r;
    head->rules = make->rules;
    head->created_ms = group->now_ms;
    head->revision = 1;
    return topic_put_set(group, head);
}

bool topic_is_set(const struct head *head, const struct topic_rules *rules, struct span note)
{
    const struct topic_rules *was = &head->rules;
    return was->retention_ms == rules->retention_ms && was->stamp_mode == rules->stamp_mode &&
           was->uncapped == rules->uncapped && was->empty_after_ms == rules->empty_after_ms &&
           span_eq(span_of(head->note, head->note_len), note);
}

int topic_put_set(struct group *group, struct head *head)
{
    struct op_topic set = {.created_ms = head->created_ms,
                           .revision = head->revision,
                           .rules = head->rules,
                           .note = span_of(head->note, head->note_len)};
    head->changed = group->number;
    return op_put_topic_set(&group->ops, head->no, &set);
}

/* --- counting ---------------------------------------------------------------------------------- */

struct count {
    struct group *group;
    const struct head *head;
    uint64_t below, most, n;
};

static int count_place(void *arg, const struct index_place *place)
{
    struct count *count = arg;
    struct frame frame = {
        .id = place->id, .topic_no = count->head->no, .has_seq = true, .seq = place->seq};
    if (place->seq >= count->below)
        return 1;
    count->n += !group_hides(count->group, &frame);
    return count->most-- == 0 ? ERR_TOO_LARGE : 0;
}

/* Live frames with a seq from `from` to before `below`: those of the index, and those it has not yet. ERR_TOO_LARGE: more than `most`
 * would have to be looked at. */
static int count_range(struct group *group, const struct head *head, uint64_t from, uint64_t below, uint64_t most,
                       uint64_t *out, struct err *err)
{
    struct count count = {group, head, below, most, 0};
    struct index_snap *snap;
    int r = group_snap(group, &snap, err);
    if (r == 0)
        r = index_places(snap, head->no, from, count_place, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < head->recent_count; i++) {
        const struct head_recent *recent = &head->recent[head->recent_at + i];
        count.n += recent->number > index_snap_number(snap) && recent->seq >= from && recent->seq < below;
    }
    *out = count.n;
    return 0;
}

static void set_live_seq(struct head *head, uint64_t live_seq)
{
    head->live -= head->live_seq - live_seq;
    head->live_seq = live_seq;
}

int topic_count(struct group *group, struct head *head, struct err *err)
{
    uint64_t n;
    if (!head->uncounted)
        return 0;
    int r = count_range(group, head, head->first_seq, UINT64_MAX, UINT64_MAX, &n, err);
    if (r != 0)
        return r;
    set_live_seq(head, n);
    head->uncounted = false;
    return 0;
}

/* How many frames with seq a trim leaves. Without holes that is arithmetic; else the shorter side is counted. */
static int count_left(struct group *group, struct head *head, uint64_t seq, uint64_t *left, struct err *err)
{
    uint64_t first = head->first_seq < seq ? head->first_seq : seq, most = head->next_seq - seq, n;
    bool lower = !head->uncounted && seq - first < most;
    *left = head->live_seq < most ? head->live_seq : most;
    if (seq == first || most == 0 || (!head->uncounted && head->live_seq == head->next_seq - head->first_seq))
        return 0;
    int r = count_range(group, head, lower ? first : seq, lower ? seq : UINT64_MAX, COUNT_MOST, &n, err);
    if (r == 0)
        *left = lower ? head->live_seq - n : n;
    head->uncounted = r == ERR_TOO_LARGE;
    return r == ERR_TOO_LARGE ? 0 : r;
}

/* --- trimming ---------------------------------------------------------------------------------- */

int topic_trim(struct group *group, struct head *head, uint64_t seq, struct err *err)
{
    uint64_t left;
    if (seq <= head->trim)
        return 0;
    int r = count_left(group, head, seq, &left, err);
    if (r == 0)
        r = group_put_trim(group, head->no, seq);
    if (r != 0)
        return r;
    head_cut_recent(head, seq);
    set_live_seq(head, left);
    if (head->first_seq < seq)
        head->first_seq = seq;
    head->trim = seq;
    head->changed = group->number;
    return 0;
}

int topic_trim_empty(struct group *group, struct head *head, uint64_t seq, struct err *err)
{
    uint64_t n = 0;
    int r = head->live_seq ? count_range(group, head, head->first_seq, seq, COUNT_MOST, &n, err) : 0;
    if (r == ERR_TOO_LARGE || n > 0)
        return 0;
    return r == 0 ? topic_trim(group, head, seq, err) : r;
}

/* --- showing ----------------------------------------------------------------------------------- */

static void put_texts(struct store_topic_op *out, const struct head *head)
{
    if (head->token_len > 0)
        memcpy(out->room, head->token, head->token_len);
    if (head->note_len > 0)
        memcpy(out->room + TOKEN_MAX, head->note, head->note_len);
    out->view.token = span_of(out->room, head->token_len);
    out->view.note = span_of(out->room + TOKEN_MAX, head->note_len);
}

/* What only the index counts; and what it has counted since. A row that cannot be read says nothing. */
static uint64_t ask_index(struct group *group, struct head *head)
{
    struct index_snap *snap;
    struct index_topic row;
    if (head->no == 0 || group_snap(group, &snap, NULL) != 0 || index_topic_by_no(snap, head->no, &row, NULL) != 0)
        return 0;
    if (head->uncounted && !row.uncounted && head->changed <= index_snap_number(snap)) {
        head->live = row.live;
        head->live_seq = row.live_seq;
        head->uncounted = false;
    }
    return row.bytes;
}

void topic_view(struct group *group, struct head *head, struct span name, struct store_topic_op *out)
{
    uint64_t bytes = ask_index(group, head);
    out->view = (struct store_topic){.name = name,
                                     .no = head->no,
                                     .created_ms = head->created_ms,
                                     .rules = head->rules,
                                     .revision = head->revision,
                                     .next_seq = head->next_seq,
                                     .last_stamp = head->last_stamp,
                                     .trim = head->trim,
                                     .first_seq = head->live_seq > 0 ? head->first_seq : head->next_seq,
                                     .live = head->live,
                                     .bytes = bytes,
                                     .last_id = head->last_id};
    put_texts(out, head);
}
