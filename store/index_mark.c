/*
 * Marks: durable cursors, by name.
 *
 * The name leads to a number and the low id, which are all that an acknowledgement rewrites; the
 * config lies in a row under the number, and each acknowledged id above the low one in an entry of
 * its own. A number is one above the highest in use.
 */
#include "base/bytes.h"
#include "store/index_impl.h"
#include "store/record.h"

#define MARK_VALUE 20
#define ROW_HEAD 2
#define NUMBER_SIZE 4

/* --- tables ----------------------------------------------------------------------------------- */

bool index_mark_get(struct index_txn *txn, struct span name, struct index_mark *out)
{
    struct span value;
    if (!index_txn_get(txn, TABLE_MARKS, name, &value))
        return false;
    if (value.len != MARK_VALUE) {
        index_txn_damaged(txn, TABLE_MARKS, name, "has another length");
        return false;
    }
    *out = (struct index_mark){
        .name = name, .no = get_be32(value.ptr), .low = id_get(value.ptr + NUMBER_SIZE)};
    return true;
}

static void mark_put(struct index_txn *txn, const struct index_mark *mark)
{
    uint8_t value[MARK_VALUE];
    put_be32(value, mark->no);
    id_put(value + NUMBER_SIZE, mark->low);
    index_txn_put(txn, TABLE_MARKS, mark->name, span_of(value, sizeof value), 0);
}

bool index_mark_row(struct index_txn *txn, uint32_t no, struct index_mark *out)
{
    uint8_t key[NUMBER_SIZE];
    struct span value;
    put_be32(key, no);
    if (!index_txn_get(txn, TABLE_MARK_ROWS, span_of(key, sizeof key), &value))
        return false;
    size_t name = value.len < ROW_HEAD ? 0 : get_be16(value.ptr);
    if (value.len < ROW_HEAD + name) {
        index_txn_damaged(txn, TABLE_MARK_ROWS, span_of(key, sizeof key), "has another length");
        return false;
    }
    out->no = no;
    out->name = span_of(value.ptr + ROW_HEAD, name);
    out->config = span_of(value.ptr + ROW_HEAD + name, value.len - ROW_HEAD - name);
    return true;
}

static void row_put(struct index_txn *txn, const struct index_mark *mark)
{
    CLEAN_BUF value = BUF_INIT;
    uint8_t key[NUMBER_SIZE], head[ROW_HEAD];
    put_be32(key, mark->no);
    put_be16(head, (uint16_t)mark->name.len);
    int rc = buf_add(&value, head, sizeof head);
    if (rc == 0)
        rc = buf_add_span(&value, mark->name);
    if (rc == 0)
        rc = buf_add_span(&value, mark->config);
    if (rc == 0)
        index_txn_put(txn, TABLE_MARK_ROWS, span_of(key, sizeof key), buf_span(&value), 0);
    else
        index_txn_fail(txn, rc, "index: out of memory");
}

/* One above the highest in use. */
static uint32_t free_number(struct index_txn *txn)
{
    struct span key, value;
    if (!index_txn_last(txn, TABLE_MARK_ROWS, &key, &value))
        return 1;
    if (key.len != NUMBER_SIZE || get_be32(key.ptr) == UINT32_MAX) {
        index_txn_damaged(txn, TABLE_MARK_ROWS, key, "is no number that another follows");
        return 0;
    }
    return get_be32(key.ptr) + 1;
}

/* --- acknowledged ids ------------------------------------------------------------------------- */

static struct span acked_key(uint8_t out[static ACKED_KEY], uint32_t no, struct frame_id id)
{
    put_be32(out, no);
    id_put(out + NUMBER_SIZE, id);
    return span_of(out, ACKED_KEY);
}

/* The first entry of the mark from `id` on. */
static bool next_acked(struct index_txn *txn, uint32_t no, struct frame_id *id)
{
    uint8_t key[ACKED_KEY];
    struct span found, value;
    if (!index_txn_seek(txn, TABLE_ACKED, acked_key(key, no, *id), NUMBER_SIZE, &found, &value))
        return false;
    if (found.len != ACKED_KEY) {
        index_txn_damaged(txn, TABLE_ACKED, found, "has another length");
        return false;
    }
    *id = id_get(found.ptr + NUMBER_SIZE);
    return true;
}

static void forget_acked(struct index_txn *txn, uint32_t no, struct frame_id upto)
{
    uint8_t key[ACKED_KEY];
    struct frame_id id = ID_MIN;
    while (next_acked(txn, no, &id) && id_cmp(id, upto) <= 0)
        index_txn_del(txn, TABLE_ACKED, acked_key(key, no, id));
}

static void add_acked(struct index_txn *txn, const struct index_mark *mark, struct span ids)
{
    uint8_t key[ACKED_KEY];
    for (size_t at = 0; at < ids.len; at += ID_SIZE) {
        struct frame_id id = id_get(ids.ptr + at);
        if (id_cmp(id, mark->low) > 0)
            index_txn_put(txn, TABLE_ACKED, acked_key(key, mark->no, id), (struct span){0}, 0);
    }
}

/* --- applying --------------------------------------------------------------------------------- */

void index_mark_ack(struct index_txn *txn, const struct op *op)
{
    struct index_mark mark;
    bool known = index_mark_get(txn, op->mark.name, &mark);
    if (!known) {
        mark = (struct index_mark){.name = op->mark.name, .no = free_number(txn)};
        row_put(txn, &mark);
    }
    bool moves = id_cmp(op->mark.low, mark.low) > 0;
    if (moves)
        mark.low = op->mark.low;
    if (moves && known)
        forget_acked(txn, mark.no, mark.low);
    if (moves || !known)
        mark_put(txn, &mark);
    add_acked(txn, &mark, op->mark.acked);
}

void index_mark_set(struct index_txn *txn, const struct op *op)
{
    struct index_mark mark;
    if (index_mark_get(txn, op->mark.name, &mark))
        forget_acked(txn, mark.no, ID_MAX);
    else
        mark.no = free_number(txn);
    mark.name = op->mark.name;
    mark.config = op->mark.config;
    mark.low = op->mark.low;
    row_put(txn, &mark);
    mark_put(txn, &mark);
    add_acked(txn, &mark, op->mark.acked);
}

void index_mark_drop(struct index_txn *txn, const struct op *op)
{
    struct index_mark mark;
    uint8_t key[NUMBER_SIZE];
    if (!index_mark_get(txn, op->mark.name, &mark))
        return;
    forget_acked(txn, mark.no, ID_MAX);
    put_be32(key, mark.no);
    index_txn_del(txn, TABLE_MARK_ROWS, span_of(key, sizeof key));
    index_txn_del(txn, TABLE_MARKS, op->mark.name);
}

/* --- reading ---------------------------------------------------------------------------------- */

static int read_acked(struct index_txn *txn, uint32_t no, struct buf *out)
{
    struct frame_id id = ID_MIN;
    int rc = 0;
    for (bool more = next_acked(txn, no, &id); more && rc == 0; more = next_acked(txn, no, &id)) {
        rc = buf_add(out, &id, sizeof id);
        if (id_cmp(id, ID_MAX) == 0)
            break;
        id = id_succ(id);
    }
    if (rc != 0)
        index_txn_fail(txn, rc, "index: out of memory");
    return txn->rc;
}

/* Gives a mark of which name, number and low id are known. Its config is needed too. */
static int give(struct index_txn *txn, const struct index_mark *known,
                int (*each)(void *arg, const struct index_mark *mark), void *arg)
{
    CLEAN_BUF acked = BUF_INIT;
    struct index_mark mark = {0};
    if (!index_mark_row(txn, known->no, &mark) && txn->rc == 0)
        index_txn_damaged(txn, TABLE_MARKS, known->name, "its row is missing");
    if (txn->rc == 0 && !span_eq(mark.name, known->name))
        index_txn_damaged(txn, TABLE_MARKS, known->name, "its row is another mark's");
    if (txn->rc != 0 || read_acked(txn, known->no, &acked) != 0)
        return 0;
    mark.low = known->low;
    mark.acked = (const struct frame_id *)(const void *)acked.ptr;
    mark.acked_count = acked.len / sizeof *mark.acked;
    return each(arg, &mark);
}

int index_marks(struct index_snap *snap, struct span prefix,
                int (*each)(void *arg, const struct index_mark *mark), void *arg, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct span name, value;
    int stop = 0;
    if (prefix.len > INDEX_KEY_MAX)
        return 0;
    bool found = index_txn_seek(&txn, TABLE_MARKS, prefix, prefix.len, &name, &value);
    while (found && stop == 0) {
        struct index_mark mark;
        if (index_mark_get(&txn, name, &mark))
            stop = give(&txn, &mark, each, arg);
        found = stop == 0 && index_txn_next(&txn, TABLE_MARKS, prefix.len, &name, &value);
    }
    index_txn_finish(&txn);
    return stop != 0 ? stop : txn.rc;
}

int index_mark(struct index_snap *snap, struct span name,
               int (*take)(void *arg, const struct index_mark *mark), void *arg, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct index_mark mark;
    int stop = 0;
    if (index_mark_get(&txn, name, &mark))
        stop = give(&txn, &mark, take, arg);
    else
        index_txn_fail(&txn, ERR_NOT_FOUND, "there is no mark of this name");
    index_txn_finish(&txn);
    return stop != 0 ? stop : txn.rc;
}
