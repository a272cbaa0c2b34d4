/*
 * Records of the log become tables: one transaction a move.
 *
 * Applying depends on nothing but the tables and the operations, so the same records give the same
 * tables however they are cut into moves. Secondary entries wait in batches until the end of the
 * move; an operation that must read a table has its batch written first.
 *
 * Removing works around damage: a record that cannot be read is the very thing one wants to remove.
 * What is known of it from elsewhere goes with it, the rest stays behind for index_verify to name.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "store/index_batch.h"
#include "store/index_rows.h"
#include "store/record.h"

struct apply {
    struct index_txn txn;
    struct index_state state;
    struct index_rows rows;
    struct index_batch by_topic, old, content, expiry;
    struct buf gone; /* digests of blobs that a removed frame named */
};

static void apply_init(struct apply *a)
{
    *a = (struct apply){0};
    index_batch_init(&a->by_topic, TABLE_BY_TOPIC, BY_TOPIC_KEY, BY_TOPIC_VALUE);
    index_batch_init(&a->old, TABLE_OLD, OLD_KEY, 0);
    index_batch_init(&a->content, TABLE_CONTENT, PAIR_KEY, 0);
    index_batch_init(&a->expiry, TABLE_EXPIRY, PAIR_KEY, 0);
}

static void apply_finish(struct apply *a)
{
    index_rows_finish(&a->rows);
    index_batch_finish(&a->by_topic);
    index_batch_finish(&a->old);
    index_batch_finish(&a->content);
    index_batch_finish(&a->expiry);
    buf_finish(&a->gone);
}

/* --- a frame's entries ------------------------------------------------------------------------ */

static struct span by_topic_key(uint8_t out[static BY_TOPIC_KEY], const struct frame *frame)
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

static void change_entries(struct apply *a, const struct frame *frame, bool add)
{
    uint8_t key[PAIR_KEY], value[BY_TOPIC_VALUE];
    if (frame->has_seq) {
        index_by_topic_value(value, frame);
        change(a, &a->by_topic, by_topic_key(key, frame).ptr, add, value);
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

/* --- adding ----------------------------------------------------------------------------------- */

static void row_add(struct index_row *row, const struct frame *frame, size_t size)
{
    struct index_topic *t = &row->topic;
    if (frame->has_seq) {
        if (t->live_seq == 0 || frame->seq < t->first_seq) {
            t->first_seq = frame->seq;
            row->seek_first = false;
        }
        if (frame->seq >= t->next_seq)
            t->next_seq = frame->seq + 1;
        t->live_seq++;
    }
    t->live++;
    t->bytes += size;
    if (id_cmp(frame->id, t->last_id) > 0)
        t->last_id = frame->id;
    if (frame->stamp > t->last_stamp)
        t->last_stamp = frame->stamp;
    row->dirty = true;
}

static int id_fail(struct apply *a, struct frame_id id, const char *what)
{
    char text[ID_TEXT_LEN + 1];
    id_format(text, id);
    return index_txn_fail(&a->txn, ERR_DAMAGED, "frame %s: %s", text, what);
}

/* A seq below the next one can only come with an import, and its place must be free. */
static int check_place(struct apply *a, const struct index_row *row, const struct frame *frame)
{
    uint8_t key[BY_TOPIC_KEY];
    if (!span_eq(row->topic.name, frame->topic))
        return id_fail(a, frame->id, "its topic's name is not that of its topic's number");
    if (!frame->has_seq || frame->seq >= row->topic.next_seq)
        return frame->seq == UINT64_MAX ? id_fail(a, frame->id, "its seq is out of range") : 0;
    index_batch_flush(&a->by_topic, &a->txn);
    if (index_txn_has(&a->txn, TABLE_BY_TOPIC, by_topic_key(key, frame)))
        return id_fail(a, frame->id, "another frame of its topic has its seq");
    return a->txn.rc;
}

static void put_frame(struct apply *a, const struct frame *frame, struct span record)
{
    uint8_t key[ID_SIZE];
    bool above = id_cmp(frame->id, a->state.newest) > 0;
    id_put(key, frame->id);
    index_txn_put(&a->txn, TABLE_FRAMES, span_of(key, sizeof key), record, above ? MDB_APPEND : 0);
    if (frame->has_hash && !frame->has_content) {
        index_batch_flush(&a->content, &a->txn);
        index_content_keep(&a->txn, frame->digest, id_time_ms(frame->id));
    }
    change_entries(a, frame, true);
    if (above)
        a->state.newest = frame->id;
    a->state.frames++;
    a->state.bytes += record.len;
}

static bool is_there(struct apply *a, struct frame_id id)
{
    uint8_t key[ID_SIZE];
    id_put(key, id);
    return id_cmp(id, a->state.newest) <= 0 &&
           index_txn_has(&a->txn, TABLE_FRAMES, span_of(key, sizeof key));
}

static void apply_frame(struct apply *a, const struct op *op)
{
    struct frame frame;
    a->txn.rc = record_get_frame(&frame, op->body, a->txn.err);
    if (a->txn.rc != 0 || is_there(a, frame.id))
        return;
    struct index_row *row = index_rows_get(&a->rows, &a->txn, frame.topic_no);
    if (!row) {
        id_fail(a, frame.id, "its topic has no row");
        return;
    }
    if (check_place(a, row, &frame) != 0)
        return;
    put_frame(a, &frame, op->body);
    row_add(row, &frame, op->body.len);
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
    return index_txn_get(&a->txn, TABLE_BY_TOPIC, by_topic_key(key, frame), &value) &&
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
    change_entries(a, frame, false);
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
static void remove_frame(struct apply *a, struct frame_id id, const struct frame *place)
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

static void apply_remove(struct apply *a, const struct op *op)
{
    remove_frame(a, op->id, NULL);
}

/* The first frame of a topic with a seq of at least place->seq: sets seq and id. */
static bool next_place(struct apply *a, struct frame *place)
{
    uint8_t key[BY_TOPIC_KEY];
    struct span found, value;
    if (!index_txn_seek(&a->txn, TABLE_BY_TOPIC, by_topic_key(key, place), 4, &found, &value))
        return false;
    if (found.len != BY_TOPIC_KEY || value.len != BY_TOPIC_VALUE) {
        index_txn_damaged(&a->txn, TABLE_BY_TOPIC, found, "has another length");
        return false;
    }
    place->seq = get_be64(found.ptr + 4);
    place->id = id_get(value.ptr);
    return true;
}

/* Of the frames without seq those older than `below`. */
static void cut_old(struct apply *a, uint32_t no, struct frame_id below)
{
    struct frame place = {.topic_no = no};
    uint8_t key[OLD_KEY];
    struct span found, value;
    index_batch_flush(&a->old, &a->txn);
    while (index_txn_seek(&a->txn, TABLE_OLD, old_key(key, &place), 4, &found, &value)) {
        if (found.len != OLD_KEY) {
            index_txn_damaged(&a->txn, TABLE_OLD, found, "has another length");
            return;
        }
        place.id = id_get(found.ptr + 4);
        if (id_cmp(place.id, below) >= 0)
            return;
        remove_frame(a, place.id, &place);
        if (id_cmp(place.id, ID_MAX) == 0)
            return;
        place.id = id_succ(place.id);
    }
}

static void apply_cut(struct apply *a, const struct op *op)
{
    struct index_row *row = index_rows_get(&a->rows, &a->txn, op->topic_no);
    if (!row)
        return;
    struct frame place = {.topic_no = op->topic_no, .has_seq = true, .seq = row->topic.first_seq};
    bool left;
    index_batch_flush(&a->by_topic, &a->txn);
    while ((left = next_place(a, &place)) && place.seq < op->seq) {
        remove_frame(a, place.id, &place);
        place.seq++;
    }
    cut_old(a, op->topic_no, left ? place.id : ID_MAX);
    if (left)
        row->topic.first_seq = place.seq;
}

/* --- the rest --------------------------------------------------------------------------------- */

static void apply_content(struct apply *a, const struct op *op)
{
    index_loose_add(&a->txn, op->digest, op->time_ms, op->text);
}

static void apply_topic(struct apply *a, const struct op *op)
{
    struct index_topic other;
    struct index_row *row = index_rows_get(&a->rows, &a->txn, op->topic_no);
    if (op->text.len == 0 || op->text.len > TOPIC_MAX) {
        index_txn_fail(&a->txn, ERR_DAMAGED, "operation topic: a name of %zu bytes", op->text.len);
        return;
    }
    if (row && span_eq(row->topic.name, op->text))
        return;
    if (row || index_name_get(&a->txn, op->text, &other)) {
        index_txn_fail(&a->txn, ERR_DAMAGED, "operation topic: number %u or its name is taken",
                       op->topic_no);
        return;
    }
    struct index_topic topic = {.no = op->topic_no, .name = op->text};
    /* Written at once: the table names is read together with rows. */
    index_row_put(&a->txn, &topic);
    index_name_add(&a->txn, op->text, op->topic_no);
    index_rows_new(&a->rows, &a->txn, &topic);
    a->state.topics++;
    if (op->topic_no > a->state.topic_last)
        a->state.topic_last = op->topic_no;
}

static void apply_key(struct apply *a, const struct op *op)
{
    index_key_put(&a->txn, op);
}

static void apply_mark_ack(struct apply *a, const struct op *op)
{
    index_mark_ack(&a->txn, op);
}

static void apply_mark_set(struct apply *a, const struct op *op)
{
    index_mark_set(&a->txn, op);
}

static void apply_mark_drop(struct apply *a, const struct op *op)
{
    index_mark_drop(&a->txn, op);
}

static void (*const appliers[])(struct apply *a, const struct op *op) = {
    [OP_FRAME] = apply_frame,     [OP_IMPORT] = apply_frame, [OP_REMOVE] = apply_remove,
    [OP_CUT] = apply_cut,         [OP_TOPIC] = apply_topic,  [OP_KEY] = apply_key,
    [OP_CONTENT] = apply_content, [OP_MARK_ACK] = apply_mark_ack,
    [OP_MARK_SET] = apply_mark_set, [OP_MARK_DROP] = apply_mark_drop,
};

/* --- the move --------------------------------------------------------------------------------- */

static void apply_record(struct apply *a, const struct index_record *record)
{
    struct span rest = record->bytes;
    struct op op;
    if (a->txn.rc != 0 || record->number <= a->state.number)
        return;
    if (record->number != a->state.number + 1) {
        index_txn_fail(&a->txn, ERR_INVALID, "record %llu does not follow %llu",
                       (unsigned long long)record->number, (unsigned long long)a->state.number);
        return;
    }
    while (a->txn.rc == 0) {
        int rc = op_next(&op, &rest, a->txn.err);
        if (rc == ERR_END)
            break;
        a->txn.rc = rc;
        if (rc == 0)
            appliers[op.type](a, &op);
    }
    if (a->txn.rc < 0)
        err_prefix(a->txn.err, "record %llu", (unsigned long long)record->number);
    a->state.number = record->number;
}

static int digest_cmp(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

/* Which of the blobs that lost a frame are named by none now. */
static void find_freed(struct apply *a, struct buf *freed)
{
    size_t n = a->gone.len / DIGEST_SIZE;
    if (n == 0 || !freed || a->txn.rc != 0)
        return;
    qsort(a->gone.ptr, n, DIGEST_SIZE, digest_cmp);
    for (size_t i = 0; i < n && a->txn.rc == 0; i++) {
        const uint8_t *digest = a->gone.ptr + i * DIGEST_SIZE;
        if (i > 0 && digest_cmp(digest - DIGEST_SIZE, digest) == 0)
            continue;
        if (index_content_named(&a->txn, digest) ||
            index_txn_has(&a->txn, TABLE_LOOSE, span_of(digest, DIGEST_SIZE)))
            continue;
        int rc = buf_add(freed, digest, DIGEST_SIZE);
        if (rc != 0)
            index_txn_fail(&a->txn, rc, "index: out of memory");
    }
}

static void write_all(struct apply *a)
{
    index_batch_flush(&a->by_topic, &a->txn);
    index_batch_flush(&a->old, &a->txn);
    index_batch_flush(&a->content, &a->txn);
    index_batch_flush(&a->expiry, &a->txn);
    index_rows_write(&a->rows, &a->txn);
    if (a->txn.rc == 0)
        index_state_put(&a->txn, &a->state);
}

static int move_once(struct index *index, const struct index_record *records, size_t count,
                     struct buf *freed, struct err *err)
{
    struct apply a;
    apply_init(&a);
    if (index_txn_begin(&a.txn, index, err) == 0)
        index_state_get(&a.txn, &a.state);
    for (size_t i = 0; i < count && a.txn.rc == 0; i++)
        apply_record(&a, &records[i]);
    write_all(&a);
    find_freed(&a, freed);
    int rc = index_txn_end(&a.txn);
    apply_finish(&a);
    return rc;
}

int index_move(struct index *index, const struct index_record *records, size_t count,
               struct buf *freed, struct err *err)
{
    size_t freed_before = freed ? freed->len : 0;
    int rc;
    while ((rc = move_once(index, records, count, freed, err)) == INDEX_GROW) {
        if (freed)
            freed->len = freed_before;
        if ((rc = index_grow(index, err)) != 0)
            break;
    }
    if (rc != 0 && freed)
        freed->len = freed_before;
    return rc;
}

static int sweep_once(struct index *index, uint64_t before_ms, uint64_t *dropped, struct err *err)
{
    struct index_txn txn;
    *dropped = 0;
    if (index_txn_begin(&txn, index, err) == 0) {
        index_loose_sweep(&txn, before_ms, dropped);
        index_key_sweep(&txn, before_ms, dropped);
    }
    return index_txn_end(&txn);
}

int index_sweep(struct index *index, uint64_t before_ms, uint64_t *dropped, struct err *err)
{
    uint64_t n = 0;
    int rc;
    while ((rc = sweep_once(index, before_ms, &n, err)) == INDEX_GROW)
        if ((rc = index_grow(index, err)) != 0)
            break;
    if (rc == 0)
        *dropped = n;
    return rc;
}
