/*
 * Records of the log become tables: one transaction a move.
 *
 * Applying depends on nothing but the tables and the operations, so the same records give the same
 * tables however they are cut into moves. Secondary entries wait in batches until the end of the
 * move; an operation that must read a table has its batch written first.
 */
#include <stdlib.h>

#include "store/index_apply.h"

/* --- adding ----------------------------------------------------------------------------------- */

static void row_add(struct index_row *row, const struct frame *frame, size_t size)
{
    struct index_topic *t = &row->topic;
    if (frame->has_seq) {
        if (t->live_seq == 0 || frame->seq < t->first_seq) {
            t->first_seq = frame->seq;
            row->seek_first = false;
        }
        if (frame->seq > t->next_seq) /* none may be below but those that a purge is at */
            row->seek_first = true;
        if (frame->seq >= t->next_seq)
            t->next_seq = frame->seq + 1;
        t->live_seq++;
    }
    t->live++;
    t->bytes += size;
    if (id_cmp(frame->id, t->last_id) > 0)
        t->last_id = frame->id;
    if (frame->has_seq && frame->stamp > t->last_stamp)
        t->last_stamp = frame->stamp;
    if (t->created_ms == 0)
        t->created_ms = id_time_ms(frame->id);
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
    if (index_txn_has(&a->txn, TABLE_BY_TOPIC, apply_by_topic_key(key, frame)))
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
    apply_entries(a, frame, true);
    if (above)
        a->state.newest = frame->id;
    a->state.frames++;
    a->state.bytes += record.len;
}

/* A frame that a purge is at makes way: it is gone for everybody but the tables. */
static bool makes_way(struct apply *a, struct frame_id id)
{
    struct index_txn probe = {.index = a->txn.index, .mdb = a->txn.mdb};
    struct frame frame;
    if (a->state.purges == 0 || !index_frame_get(&probe, id, &frame) ||
        !index_hides(&a->txn, &a->hidden, &frame))
        return false;
    apply_remove_frame(a, id, NULL);
    return true;
}

static bool is_there(struct apply *a, struct frame_id id)
{
    uint8_t key[ID_SIZE];
    id_put(key, id);
    return id_cmp(id, a->state.newest) <= 0 &&
           index_txn_has(&a->txn, TABLE_FRAMES, span_of(key, sizeof key)) && !makes_way(a, id);
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

/* The row that an operation speaks of; NULL when it is not there, or dead. */
static struct index_row *live_row(struct apply *a, uint32_t no)
{
    struct index_row *row = index_rows_get(&a->rows, &a->txn, no);
    return row && !row->topic.dead ? row : NULL;
}

static void apply_topic_set(struct apply *a, const struct op *op)
{
    struct index_row *row = live_row(a, op->topic_no);
    if (!row)
        return;
    row->topic.created_ms = op->topic.created_ms;
    row->topic.revision = op->topic.revision;
    row->topic.rules = op->topic.rules;
    row->topic.note = op->topic.note;
    row->dirty = true;
}

static void apply_token(struct apply *a, const struct op *op)
{
    struct index_row *row = live_row(a, op->topic_no);
    if (!row)
        return;
    row->topic.token = op->text;
    row->dirty = true;
}

static void apply_topic_raise(struct apply *a, const struct op *op)
{
    struct index_row *row = live_row(a, op->topic_no);
    if (!row)
        return;
    struct index_topic *t = &row->topic;
    if (op->seq > t->next_seq) {
        t->next_seq = op->seq;
        row->seek_first = true; /* none may be left: then it is the next */
    }
    if (op->stamp > t->last_stamp)
        t->last_stamp = op->stamp;
    row->dirty = true;
}

static void apply_trim(struct apply *a, const struct op *op)
{
    struct index_row *row = live_row(a, op->topic_no);
    if (!row || op->seq <= row->topic.trim)
        return;
    row->topic.trim = op->seq;
    row->dirty = true;
    if (row->topic.first_seq < op->seq) {
        row->topic.first_seq = op->seq;
        row->seek_first = true;
    }
    apply_purge_below(a, row, op->seq);
}

static void apply_topic_drop(struct apply *a, const struct op *op)
{
    struct index_row *row = live_row(a, op->topic_no);
    if (!row)
        return;
    index_name_remove(&a->txn, row->topic.name, op->topic_no);
    row->topic.dead = row->dirty = true;
    a->state.topics -= a->state.topics > 0;
    apply_purge_below(a, row, UINT64_MAX);
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
    [OP_TOPIC_SET] = apply_topic_set, [OP_TOKEN] = apply_token, [OP_TRIM] = apply_trim,
    [OP_TOPIC_DROP] = apply_topic_drop, [OP_TOPIC_RAISE] = apply_topic_raise,
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

void apply_begin(struct apply *a, struct index *index, struct err *err)
{
    *a = (struct apply){.purge_left = 4 * index->purge_slice};
    index_batch_init(&a->by_topic, TABLE_BY_TOPIC, BY_TOPIC_KEY, BY_TOPIC_VALUE);
    index_batch_init(&a->old, TABLE_OLD, OLD_KEY, 0);
    index_batch_init(&a->content, TABLE_CONTENT, PAIR_KEY, 0);
    index_batch_init(&a->expiry, TABLE_EXPIRY, PAIR_KEY, 0);
    if (index_txn_begin(&a->txn, index, err) == 0)
        index_state_get(&a->txn, &a->state);
    a->hidden.any = a->state.purges > 0;
}

int apply_end(struct apply *a, struct buf *freed)
{
    write_all(a);
    find_freed(a, freed);
    struct index *index = a->txn.index;
    int rc = index_txn_end(&a->txn);
    if (rc == 0)
        atomic_store(&index->purges, a->state.purges > 0);
    index_rows_finish(&a->rows);
    index_batch_finish(&a->by_topic);
    index_batch_finish(&a->old);
    index_batch_finish(&a->content);
    index_batch_finish(&a->expiry);
    buf_finish(&a->gone);
    return rc;
}

static int move_once(struct index *index, const struct index_record *records, size_t count,
                     struct buf *freed, struct err *err)
{
    struct apply a;
    apply_begin(&a, index, err);
    for (size_t i = 0; i < count && a.txn.rc == 0; i++)
        apply_record(&a, &records[i]);
    return apply_end(&a, freed);
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
