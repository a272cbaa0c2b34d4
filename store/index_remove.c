/*
 * A frame's entries in the tables, and how frames leave them.
 *
 * Removing works around damage: a record that cannot be read is the very thing one wants to remove.
 * What is known of it from elsewhere goes with it, the rest stays behind for index_verify to name.
 */
#include "base/bytes.h"
#include "store/index_apply.h"

/* --- a frame's entries ------------------------------------------------------------------------ */

struct span apply_by_topic_key(uint8_t out[static BY_TOPIC_KEY], const struct frame *frame)
{
    index_by_topic_key(out, frame->topic_no, frame->seq);
    return span_of(out, BY_TOPIC_KEY);
}

static struct span old_key(uint8_t out[static OLD_KEY], const struct frame *frame)
{
    index_old_key(out, frame->topic_no, frame->id);
    return span_of(out, OLD_KEY);
}

/* One change in a batch; value NULL = remove. */
static void change(struct apply *a, struct index_batch *batch, const uint8_t *key, bool add,
                   const uint8_t *value)
{
    if (add)
        index_batch_add(batch, &a->txn, key, value);
    else
        index_batch_remove(batch, &a->txn, key);
}

void apply_entries(struct apply *a, const struct frame *frame, bool add)
{
    uint8_t key[PAIR_KEY], value[BY_TOPIC_VALUE];
    if (frame->has_seq) {
        index_by_topic_value(value, frame);
        change(a, &a->by_topic, apply_by_topic_key(key, frame).ptr, add, value);
    } else {
        change(a, &a->old, old_key(key, frame).ptr, add, NULL);
    }
    if (frame->has_hash) {
        index_pair_key(key, get_be64(frame->digest), frame->id);
        change(a, &a->content, key, add, NULL);
    }
    if (frame->deadline_ms != 0) {
        index_pair_key(key, frame->deadline_ms, frame->id);
        change(a, &a->expiry, key, add, NULL);
    }
}

/* --- removing --------------------------------------------------------------------------------- */

static void row_remove(struct index_row *row, const struct frame *frame, size_t size)
{
    struct index_topic *t = &row->topic;
    t->live -= t->live > 0;
    t->bytes -= size < t->bytes ? size : t->bytes;
    if (frame->has_seq) {
        t->live_seq -= t->live_seq > 0;
        if (frame->seq == t->first_seq)
            row->seek_first = true;
    }
    row->dirty = true;
}

/* Whether the frame's topic names it: what a damaged record says of its place is true then. */
static bool place_is_true(struct apply *a, const struct frame *frame)
{
    uint8_t key[PAIR_KEY];
    struct span value;
    if (!frame->has_seq) {
        index_batch_flush(&a->old, &a->txn);
        return index_txn_has(&a->txn, TABLE_OLD, old_key(key, frame));
    }
    index_batch_flush(&a->by_topic, &a->txn);
    return index_txn_get(&a->txn, TABLE_BY_TOPIC, apply_by_topic_key(key, frame), &value) &&
           value.len == BY_TOPIC_VALUE && id_cmp(id_get(value.ptr), frame->id) == 0;
}

/* What is to be removed with the record at `key`. `place` (may be NULL) is known from its topic. */
static bool read_removed(struct apply *a, struct span key, struct span raw,
                         const struct frame *place, struct frame *out)
{
    if (index_frame_read(out, key, raw, NULL) == 0)
        return true;
    if (place) {
        *out = *place;
        return true;
    }
    struct frame guess;
    if (raw.len < SEAL_SIZE ||
        record_get_frame(&guess, span_of(raw.ptr, raw.len - SEAL_SIZE), NULL) != 0)
        return false;
    *out = guess;
    return id_cmp(guess.id, id_get(key.ptr)) == 0 && place_is_true(a, &guess);
}

static void note_blob(struct apply *a, const struct frame *frame)
{
    if (!frame->has_hash || frame->has_content)
        return;
    int rc = buf_add(&a->gone, frame->digest, DIGEST_SIZE);
    if (rc != 0)
        index_txn_fail(&a->txn, rc, "index: out of memory");
}

static void remove_entries(struct apply *a, const struct frame *frame, size_t size)
{
    struct index_row *row = index_rows_get(&a->rows, &a->txn, frame->topic_no);
    apply_entries(a, frame, false);
    note_blob(a, frame);
    if (row)
        row_remove(row, frame, size);
}

static bool raw_frame(struct apply *a, struct span key, struct span *raw)
{
    MDB_val v, k = {key.len, (void *)key.ptr};
    if (a->txn.rc != 0)
        return false;
    int rc = mdb_get(a->txn.mdb, a->txn.index->dbi[TABLE_FRAMES], &k, &v);
    if (rc == MDB_NOTFOUND || index_txn_note(&a->txn, rc, "read frame") != 0)
        return false;
    *raw = span_of(v.mv_data, v.mv_size);
    return true;
}

/* Removes a frame with all that names it. An absent one is removed already, except what `place`
 * says. */
void apply_remove_frame(struct apply *a, struct frame_id id, const struct frame *place)
{
    uint8_t bytes[ID_SIZE];
    struct span raw, key = span_of(bytes, ID_SIZE);
    struct frame frame;
    id_put(bytes, id);
    if (!raw_frame(a, key, &raw)) {
        if (place)
            remove_entries(a, place, 0);
        return;
    }
    size_t size = raw.len > SEAL_SIZE ? raw.len - SEAL_SIZE : 0;
    if (read_removed(a, key, raw, place, &frame))
        remove_entries(a, &frame, size);
    index_txn_del(&a->txn, TABLE_FRAMES, key);
    a->state.frames -= a->state.frames > 0;
    a->state.bytes -= size < a->state.bytes ? size : a->state.bytes;
}

void apply_remove(struct apply *a, const struct op *op)
{
    apply_remove_frame(a, op->id, NULL);
}

/* The first frame of a topic with a seq of at least place->seq: sets seq and id. */
static bool next_place(struct apply *a, struct frame *place)
{
    uint8_t key[BY_TOPIC_KEY];
    struct span found, value;
    if (!index_txn_seek(&a->txn, TABLE_BY_TOPIC, apply_by_topic_key(key, place), 4, &found, &value))
        return false;
    if (found.len != BY_TOPIC_KEY || value.len != BY_TOPIC_VALUE) {
        index_txn_damaged(&a->txn, TABLE_BY_TOPIC, found, "has another length");
        return false;
    }
    place->seq = get_be64(found.ptr + 4);
    place->id = id_get(value.ptr);
    return true;
}

/* Of the frames without seq up to *left of those older than `below`; *left counts down. */
static void remove_old(struct apply *a, uint32_t no, struct frame_id below, size_t *left)
{
    struct frame place = {.topic_no = no};
    uint8_t key[OLD_KEY];
    struct span found, value;
    index_batch_flush(&a->old, &a->txn);
    for (; *left > 0 && index_txn_seek(&a->txn, TABLE_OLD, old_key(key, &place), 4, &found, &value); --*left) {
        if (found.len != OLD_KEY) {
            index_txn_damaged(&a->txn, TABLE_OLD, found, "has another length");
            return;
        }
        place.id = id_get(found.ptr + 4);
        if (id_cmp(place.id, below) >= 0)
            return;
        apply_remove_frame(a, place.id, &place);
        if (id_cmp(place.id, ID_MAX) == 0)
            return;
        place.id = id_succ(place.id);
    }
}

void apply_cut(struct apply *a, const struct op *op)
{
    struct index_row *row = index_rows_get(&a->rows, &a->txn, op->topic_no);
    if (!row)
        return;
    struct frame place = {.topic_no = op->topic_no, .has_seq = true, .seq = row->topic.first_seq};
    bool left;
    size_t all = SIZE_MAX;
    index_batch_flush(&a->by_topic, &a->txn);
    while ((left = next_place(a, &place)) && place.seq < op->seq) {
        apply_remove_frame(a, place.id, &place);
        place.seq++;
    }
    remove_old(a, op->topic_no, left ? place.id : ID_MAX, &all);
    if (left)
        row->topic.first_seq = place.seq;
    if (op->seq > row->topic.trim)
        row->topic.trim = op->seq;
    row->dirty = true;
}

/* --- what trims and drops took ----------------------------------------------------------------- */

/* Of the frames with a seq below `below` up to *left; *left counts down. */
static void remove_below(struct apply *a, uint32_t no, uint64_t below, size_t *left)
{
    struct frame place = {.topic_no = no, .has_seq = true};
    index_batch_flush(&a->by_topic, &a->txn);
    for (; *left > 0 && next_place(a, &place) && place.seq < below; --*left) {
        apply_remove_frame(a, place.id, &place);
        place.seq++;
    }
}

static void note_purge(struct apply *a, uint32_t no, uint64_t below)
{
    uint8_t key[4], value[8];
    put_be32(key, no);
    put_be64(value, below);
    a->state.purges += !index_txn_has(&a->txn, TABLE_PURGE, span_of(key, sizeof key));
    index_txn_put(&a->txn, TABLE_PURGE, span_of(key, sizeof key), span_of(value, sizeof value), 0);
    a->hidden = (struct index_hidden){.any = true};
}

static void forget_purge(struct apply *a, uint32_t no)
{
    uint8_t key[4];
    put_be32(key, no);
    if (a->state.purges > 0 && index_txn_del(&a->txn, TABLE_PURGE, span_of(key, sizeof key)))
        a->state.purges--;
    a->hidden = (struct index_hidden){.any = a->state.purges > 0};
}

/* Something is left when the count came to its end: the next purge finds out whether that is so. */
bool apply_purge(struct apply *a, uint32_t no, uint64_t below)
{
    remove_below(a, no, below, &a->purge_left);
    if (below == UINT64_MAX) {
        remove_old(a, no, ID_MAX, &a->purge_left);
        index_key_purge(&a->txn, no, &a->purge_left);
    }
    if (a->purge_left == 0 || a->txn.rc != 0)
        return false;
    struct index_row *row = index_rows_get(&a->rows, &a->txn, no);
    if (row && row->topic.dead)
        row->gone = true;
    forget_purge(a, no);
    return true;
}

void apply_purge_below(struct apply *a, const struct index_row *row, uint64_t below)
{
    uint32_t no = row->topic.no;
    if (!apply_purge(a, no, below))
        note_purge(a, no, below);
}
