/*
 * ttl last:N: which frames of a topic go when one comes. What survives is exact at every reader's
 * view; the work is one step a frame that goes, or a walk of the survivors when those are fewer.
 */
#include "store/group.h"

/* Walks `steps` visible frames of the index scan; `out` gets the seq of the one after them. A
 * damaged frame was counted when it came, so it is a step; where the walk would end on it, it ends
 * on the next. */
static int walk(struct group *group, struct index_scan *scan, uint64_t steps, uint64_t *out,
                struct err *err)
{
    struct frame frame;
    int r;
    while ((r = index_scan_next(scan, &frame, err)) == 0 || r == ERR_DAMAGED) {
        if (r == 0 && group_hides(group, &frame))
            continue;
        if (r == 0)
            *out = frame.seq;
        if (steps == 0 && r == 0)
            return 0;
        steps -= steps > 0;
    }
    return r == ERR_END
               ? err_set(err, ERR_DAMAGED,
                         "a topic has fewer frames than its count says; run weird --verify")
               : r;
}

/* Seq of the oldest frame that stays, when the newest `keep` do. The head's frames all have seqs.
 */
static int first_survivor(struct group *group, struct head *head, uint64_t keep, uint64_t excess,
                          uint64_t *out, struct err *err)
{
    struct index_snap *snap;
    struct index_scan *scan = NULL;
    if (keep <= head->recent_count) {
        *out = head->recent[head->recent_at + head->recent_count - keep].seq;
        return 0;
    }
    int r = group_snap(group, &snap, err);
    if (r != 0)
        return r;
    head_drop_recent(head, index_snap_number(snap));
    if (keep <= head->recent_count) {
        *out = head->recent[head->recent_at + head->recent_count - keep].seq;
        return 0;
    }
    uint64_t from_new = keep - head->recent_count;
    if (from_new < excess) {
        r = index_topic_scan_begin(snap, &scan, head->no, ID_MAX, true, err);
        if (r == 0)
            r = walk(group, scan, from_new - 1, out, err);
    } else {
        r = index_seq_scan_begin(snap, &scan, head->no, head->first_seq, err);
        if (r == 0)
            r = walk(group, scan, excess, out, err);
    }
    index_scan_end(scan);
    return r;
}

/* Cuts the oldest frames that the index has not yet; they all have seqs. The newest stays. */
static int cut_recent(struct group *group, struct head *head, uint64_t excess)
{
    if (excess == 0 || head->recent_count < 2)
        return 0;
    size_t n = excess < head->recent_count ? (size_t)excess : head->recent_count - 1;
    uint64_t cut = head->recent[head->recent_at + n].seq;
    int r = group_put_cut(group, head->no, cut);
    if (r != 0)
        return r;
    head_cut_recent(head, cut);
    head->first_seq = head->trim = cut;
    head->live -= n;
    head->live_seq -= n;
    return 0;
}

/* Frames without seq (imports below their topic's newest) are in no seq order: remove one by one,
 * by id. */
static int remove_oldest(struct group *group, struct head *head, uint64_t excess, struct err *err)
{
    struct index_snap *snap;
    struct index_scan *scan = NULL;
    struct frame frame;
    int r = group_snap(group, &snap, err);
    if (r == 0)
        r = index_topic_scan_begin(snap, &scan, head->no, ID_MIN, false, err);
    while (r == 0 && excess > 0) {
        r = index_scan_next(scan, &frame, err);
        if (r == ERR_DAMAGED) { /* counted, and left for weird --verify */
            r = 0;
            excess--;
        } else if (r == 0 && !group_hides(group, &frame)) {
            r = group_remove(group, head, &frame);
            excess--;
        }
    }
    index_scan_end(scan);
    return r != 0 && r != ERR_END ? r : cut_recent(group, head, excess);
}

int cut_topic(struct group *group, struct head *head, uint64_t keep, struct err *err)
{
    uint64_t cut;
    int r = head->live > keep ? topic_count(group, head, err) : 0;
    if (r != 0 || head->live <= keep)
        return r;
    uint64_t excess = head->live - keep;
    head->changed = group->number;
    if (head->live != head->live_seq)
        return remove_oldest(group, head, excess, err);
    r = first_survivor(group, head, keep, excess, &cut, err);
    if (r != 0)
        return r;
    r = group_put_cut(group, head->no, cut);
    if (r != 0)
        return r;
    head_cut_recent(head, cut);
    head->first_seq = head->trim = cut;
    head->live = head->live_seq = keep;
    return 0;
}

/* --- imports ------------------------------------------------------------------------------------
 */

/* Whether it is one of the topic that this import brought. Those are in no snapshot yet. */
static bool is_brought(const struct store_frame *in, const struct head *head)
{
    return !in->existed && !in->gone &&
           span_eq(in->topic, span_of((const uint8_t *)head->name, head->name_len));
}

/* How many frames the topic's newest one lets stay; 0: as many as there are. */
static int newest_keeps(struct group *group, const struct head *head, struct store_op *op, size_t i,
                        uint64_t *out)
{
    struct frame newest;
    *out = 0;
    for (size_t k = i + 1; k-- > 0;) {
        const struct store_frame *in = &op->frames[k];
        if (is_brought(in, head) && id_cmp(in->id, head->last_id) == 0) {
            *out = in->ttl.kind == TTL_LAST ? in->ttl.value : 0;
            return 0;
        }
    }
    int r = group_find(group, head->last_id, &newest, &op->err);
    if (r == 0 && newest.ttl.kind == TTL_LAST)
        *out = newest.ttl.value;
    return r == ERR_NOT_FOUND || r == ERR_DAMAGED ? 0 : r;
}

/* The oldest frame without seq that this import brought, if it is older than `oldest`; else NULL.
 */
static struct store_frame *oldest_brought(const struct head *head, struct store_op *op, size_t i,
                                          struct frame *oldest)
{
    struct store_frame *found = NULL;
    for (size_t k = 0; k <= i; k++) {
        struct store_frame *in = &op->frames[k];
        if (!in->has_seq && id_cmp(in->id, oldest->id) < 0 && is_brought(in, head)) {
            *oldest = (struct frame){.id = in->id, .topic_no = head->no};
            found = in;
        }
    }
    return found;
}

/* The topic's oldest frame of those that the index has, and those that it has not yet. */
static int find_oldest(struct group *group, struct head *head, struct frame *out, struct err *err)
{
    struct index_snap *snap;
    struct index_scan *scan = NULL;
    int r = group_snap(group, &snap, err);
    if (r == 0)
        r = index_topic_scan_begin(snap, &scan, head->no, ID_MIN, false, err);
    while (r == 0 && (r = index_scan_next(scan, out, err)) == 0 && group_hides(group, out))
        ;
    index_scan_end(scan);
    if (r == ERR_END)
        *out = (struct frame){.id = ID_MAX, .topic_no = head->no};
    else if (r != 0)
        return r;
    head_drop_recent(head, index_snap_number(snap));
    const struct head_recent *recent = head->recent + head->recent_at;
    if (head->recent_count > 0 && id_cmp(recent->id, out->id) < 0)
        *out = (struct frame){
            .id = recent->id, .topic_no = head->no, .has_seq = true, .seq = recent->seq};
    return 0;
}

int cut_after_import(struct group *group, struct head *head, struct store_op *op, size_t i)
{
    uint64_t keep;
    struct frame oldest;
    int r = newest_keeps(group, head, op, i, &keep);
    if (r == 0 && keep > 0)
        r = topic_count(group, head, &op->err);
    if (r == 0 && keep > 0 && head->live == head->live_seq)
        return cut_topic(group, head, keep, &op->err);
    while (r == 0 && keep > 0 && head->live > keep) {
        r = find_oldest(group, head, &oldest, &op->err);
        if (r != 0)
            break;
        struct store_frame *brought = oldest_brought(head, op, i, &oldest);
        if (brought)
            brought->gone = true;
        r = group_remove(group, head, &oldest);
    }
    return r == ERR_DAMAGED ? 0 : r; /* left for weird --verify */
}
