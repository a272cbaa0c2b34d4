/*
 * Where a read by seq or by timestamp begins. In a topic ids, seqs and timestamps rise together, and the index holds the older part of
 * the log: what it has at or above the value is the first; else it is in the tail, or not there yet.
 */
#include "store/record.h"
#include "store/state.h"

struct seek {
    struct store *store;
    struct tail_pin pin;
    uint32_t no;
    enum store_seek by;
    uint64_t value;
    uint64_t now_ms;
    struct frame_id found;
};

static bool is_shown(const struct seek *seek, const struct frame *frame)
{
    return !tail_hides(&seek->store->tail, &seek->pin, frame);
}

static int take_place(void *arg, const struct index_place *place)
{
    struct seek *seek = arg;
    struct frame frame = {.id = place->id, .topic_no = seek->no, .has_seq = true, .seq = place->seq};
    if (!is_shown(seek, &frame))
        return 0;
    seek->found = place->id;
    return 1;
}

/* 1: found. 0: not in the index; `number` is what that holds. */
static int seek_index(struct seek *seek, uint64_t *number, struct err *err)
{
    struct index_snap *snap;
    uint64_t from = seek->value;
    int r = index_snap_begin(seek->store->index, &snap, err);
    if (r != 0)
        return r;
    *number = index_snap_number(snap);
    if (seek->by == SEEK_STAMP)
        r = index_seq_of_stamp(snap, seek->no, seek->value, &from, err);
    if (r == 0)
        r = index_places(snap, seek->no, from, take_place, seek, err);
    index_snap_end(snap);
    return r;
}

/* Whether a frame of the tail is the one. */
static bool fits(const struct seek *seek, const struct tail_frame *entry)
{
    struct frame frame;
    if (entry->topic_no != seek->no || entry->ephemeral || record_get_frame(&frame, entry->record, NULL) != 0)
        return false;
    uint64_t at = seek->by == SEEK_SEQ ? frame.seq : frame.stamp;
    bool over = frame.deadline_ms != 0 && frame.deadline_ms <= seek->now_ms;
    return frame.has_seq && at >= seek->value && !over && is_shown(seek, &frame);
}

static bool seek_tail(struct seek *seek, uint64_t number)
{
    struct tail *tail = &seek->store->tail;
    for (uint64_t o = tail_after(tail, &seek->pin, number); o <= seek->pin.last; o++) {
        const struct tail_group *group = tail_at(tail, o);
        for (size_t i = 0; i < group->count; i++)
            if (fits(seek, &group->frames[i])) {
                seek->found = group->frames[i].id;
                return true;
            }
    }
    return false;
}

int store_seek(struct store *store, uint32_t no, enum store_seek by, uint64_t value, struct frame_id *out, struct err *err)
{
    struct seek seek = {.store = store, .no = no, .by = by, .value = value, .now_ms = store_now(store)};
    uint64_t number = 0;
    tail_pin(&store->tail, &seek.pin);
    int r = seek_index(&seek, &number, err);
    if (r == 0 && !seek_tail(&seek, number))
        seek.found = id_succ(seek.pin.end);
    tail_unpin(&store->tail, &seek.pin);
    if (r < 0)
        return r;
    *out = seek.found;
    return 0;
}
