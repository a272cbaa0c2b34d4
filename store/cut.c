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
    head->first_seq = cut;
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
    if (head->live <= keep)
        return 0;
    uint64_t excess = head->live - keep, cut;
    head->changed = group->number;
    if (head->live != head->live_seq)
        return remove_oldest(group, head, excess, err);
    int r = first_survivor(group, head, keep, excess, &cut, err);
    if (r != 0)
        return r;
    r = group_put_cut(group, head->no, cut);
    if (r != 0)
        return r;
    head_cut_recent(head, cut);
    head->first_seq = cut;
    head->live = head->live_seq = keep;
    return 0;
}
