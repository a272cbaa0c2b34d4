/*
 * What operations do to marks, in the forming group.
 *
 * Acknowledgements of one mark commute, so they are gathered and become one operation of the
 * record; before a mark is set or dropped, what was gathered for it is written out.
 */
#include <stdlib.h>

#include "store/group.h"
#include "store/record.h"

/* --- what is refused ---------------------------------------------------------------------- */

static int check_mark(const struct store_mark *mark, struct err *err)
{
    if (mark->kind > STORE_MARK_DROP)
        return err_set(err, ERR_INVALID, "change %d of a mark is not known", (int)mark->kind);
    if (mark->name.len == 0 || mark->name.len > MARK_NAME_MAX)
        return err_set(err, ERR_INVALID, "a mark's name has 1 to %d bytes, this has %zu",
                       MARK_NAME_MAX, mark->name.len);
    if (mark->kind == STORE_MARK_SET && mark->config.len > MARK_CONFIG_MAX)
        return err_set(err, ERR_TOO_LARGE, "the config of a mark has %zu bytes, more than %d",
                       mark->config.len, MARK_CONFIG_MAX);
    if (mark->kind != STORE_MARK_DROP && mark->acked_count > MARK_ACKED_MAX)
        return err_set(err, ERR_TOO_LARGE, "%zu acknowledged frames at once, the most is %d",
                       mark->acked_count, MARK_ACKED_MAX);
    return 0;
}

int group_check_marks(struct store_op *op)
{
    int r = 0;
    for (size_t i = 0; i < op->mark_count && r == 0; i++)
        r = check_mark(&op->marks[i], &op->err);
    return r;
}

/* --- ids ---------------------------------------------------------------------------------- */

static int add_ids(struct buf *out, const struct store_mark *mark)
{
    int r = mark->acked_count ? buf_reserve(out, mark->acked_count * ID_SIZE) : 0;
    for (size_t i = 0; i < mark->acked_count && r == 0; i++) {
        id_put(out->ptr + out->len, mark->acked[i]);
        out->len += ID_SIZE;
    }
    return r;
}

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, ID_SIZE);
}

/* Puts ids in order, each once, and leaves out those at or below low. */
static void order_ids(struct buf *ids, struct frame_id low)
{
    uint8_t key[ID_SIZE];
    const uint8_t *before = key;
    size_t end = 0;
    id_put(key, low);
    if (ids->len > ID_SIZE)
        qsort(ids->ptr, ids->len / ID_SIZE, ID_SIZE, by_id);
    for (size_t at = 0; at < ids->len; at += ID_SIZE) {
        if (by_id(ids->ptr + at, before) <= 0)
            continue;
        memmove(ids->ptr + end, ids->ptr + at, ID_SIZE);
        before = ids->ptr + end;
        end += ID_SIZE;
    }
    ids->len = end;
}

/* --- gathered acknowledgements ------------------------------------------------------------- */

/* Writes one out and takes it off the list. */
static int close_ack(struct group *group, size_t i)
{
    struct group_ack *ack = &group->acks[i];
    group->ack_bytes -= ack->acked.len;
    order_ids(&ack->acked, ack->low);
    struct op_mark mark = {.name = ack->name, .low = ack->low, .acked = buf_span(&ack->acked)};
    int r = op_put_mark(&group->ops, OP_MARK_ACK, &mark);
    buf_finish(&ack->acked);
    group->ack_count--;
    memmove(ack, ack + 1, (group->ack_count - i) * sizeof *ack);
    return r;
}

static size_t find_ack(const struct group *group, struct span name)
{
    size_t i = 0;
    while (i < group->ack_count && !span_eq(group->acks[i].name, name))
        i++;
    return i;
}

static int gather_ack(struct group *group, const struct store_mark *mark)
{
    size_t i = find_ack(group, mark->name);
    int r = 0;
    if (i < group->ack_count &&
        group->acks[i].acked.len / ID_SIZE + mark->acked_count > MARK_ACKED_MAX) {
        r = close_ack(group, i);
        i = group->ack_count;
    }
    if (i == GROUP_ACKS) {
        r = close_ack(group, 0);
        i = group->ack_count;
    }
    if (r != 0)
        return r;
    struct group_ack *ack = &group->acks[i];
    if (i == group->ack_count) {
        *ack = (struct group_ack){.name = mark->name};
        group->ack_count++;
    }
    if (id_cmp(mark->low, ack->low) > 0)
        ack->low = mark->low;
    group->ack_bytes += mark->acked_count * ID_SIZE;
    return add_ids(&ack->acked, mark);
}

/* Sets or drops a mark, behind what was gathered for it. */
static int change(struct group *group, const struct store_mark *mark)
{
    CLEAN_BUF ids = BUF_INIT;
    size_t i = find_ack(group, mark->name);
    int r = i < group->ack_count ? close_ack(group, i) : 0;
    struct op_mark out = {.name = mark->name, .config = mark->config, .low = mark->low};
    if (r == 0 && mark->kind == STORE_MARK_SET)
        r = add_ids(&ids, mark);
    if (r != 0)
        return r;
    order_ids(&ids, mark->low);
    out.acked = buf_span(&ids);
    return op_put_mark(&group->ops, mark->kind == STORE_MARK_SET ? OP_MARK_SET : OP_MARK_DROP, &out);
}

int group_put_marks(struct group *group, const struct store_op *op)
{
    int r = 0;
    for (size_t i = 0; i < op->mark_count && r == 0; i++) {
        const struct store_mark *mark = &op->marks[i];
        r = mark->kind == STORE_MARK_ACK ? gather_ack(group, mark) : change(group, mark);
    }
    group->marks += op->mark_count;
    return r;
}

int group_close_marks(struct group *group)
{
    int r = 0;
    while (r == 0 && group->ack_count > 0)
        r = close_ack(group, 0);
    return r;
}

size_t group_size(const struct group *group)
{
    return group->ops.len + group->ephemeral.len + group->ack_bytes;
}
