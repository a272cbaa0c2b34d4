/*
 * Places of frames in their topic: seq, timestamp and id, from the table by_topic alone.
 */
#include "base/bytes.h"
#include "store/index_impl.h"

static bool read_place(struct index_txn *txn, struct span key, struct span value, struct index_place *out)
{
    if (key.len != BY_TOPIC_KEY || value.len != BY_TOPIC_VALUE) {
        index_txn_damaged(txn, TABLE_BY_TOPIC, key, "has another length");
        return false;
    }
    *out = (struct index_place){
        .seq = get_be64(key.ptr + 4), .stamp = get_be64(value.ptr + 16), .id = id_get(value.ptr)};
    return true;
}

/* The first place with a seq >= seq. */
static bool place_from(struct index_txn *txn, uint32_t no, uint64_t seq, struct index_place *out)
{
    uint8_t bytes[BY_TOPIC_KEY];
    struct span key, value;
    index_by_topic_key(bytes, no, seq);
    return index_txn_seek(txn, TABLE_BY_TOPIC, span_of(bytes, sizeof bytes), 4, &key, &value) &&
           read_place(txn, key, value, out);
}

int index_places(struct index_snap *snap, uint32_t topic_no, uint64_t from_seq,
                 int (*each)(void *arg, const struct index_place *place), void *arg, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    uint64_t below = index_hidden_below(&txn, &snap->hidden, topic_no);
    uint8_t bytes[BY_TOPIC_KEY];
    struct index_place place;
    struct span key, value;
    int stop = 0;
    index_by_topic_key(bytes, topic_no, from_seq > below ? from_seq : below);
    bool found = below < UINT64_MAX &&
                 index_txn_seek(&txn, TABLE_BY_TOPIC, span_of(bytes, sizeof bytes), 4, &key, &value);
    while (found && stop == 0 && read_place(&txn, key, value, &place)) {
        stop = each(arg, &place);
        found = stop == 0 && index_txn_next(&txn, TABLE_BY_TOPIC, 4, &key, &value);
    }
    index_txn_finish(&txn);
    return stop != 0 ? stop : txn.rc;
}

/* Timestamps never fall with the seq. */
int index_seq_of_stamp(struct index_snap *snap, uint32_t topic_no, uint64_t stamp, uint64_t *out, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct index_topic row = {0};
    struct index_place place;
    index_row_get(&txn, topic_no, &row);
    uint64_t low = row.first_seq, high = row.next_seq;
    while (low < high && txn.rc == 0) {
        uint64_t mid = low + (high - low) / 2;
        if (!place_from(&txn, topic_no, mid, &place) || place.stamp >= stamp)
            high = mid;
        else
            low = place.seq + 1;
    }
    *out = low;
    return index_txn_finish(&txn);
}
