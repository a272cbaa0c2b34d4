/*
 * The operations of marks: the byte tables are in record.h.
 */
#include <weir/store.h>

#include "base/bytes.h"
#include "store/record.h"

#define OP_HEAD 5
#define ACK_HEAD 18
#define SET_HEAD 22

static size_t head_size(enum op_type type)
{
    return type == OP_MARK_ACK ? ACK_HEAD : type == OP_MARK_SET ? SET_HEAD : 0;
}

/* Whether ids rise strictly and lie above low. */
static bool ids_fit(struct frame_id low, struct span ids)
{
    uint8_t key[ID_SIZE];
    const uint8_t *before = key;
    if (ids.len % ID_SIZE != 0 || ids.len / ID_SIZE > MARK_ACKED_MAX)
        return false;
    id_put(key, low);
    for (size_t at = 0; at < ids.len; before = ids.ptr + at, at += ID_SIZE)
        if (memcmp(ids.ptr + at, before, ID_SIZE) <= 0)
            return false;
    return true;
}

static bool mark_fits(const struct op_mark *mark)
{
    return mark->name.len > 0 && mark->name.len <= MARK_NAME_MAX &&
           mark->config.len <= MARK_CONFIG_MAX && ids_fit(mark->low, mark->acked);
}

static struct span take(struct span *rest, size_t len)
{
    struct span taken = {rest->ptr, len};
    rest->ptr += len;
    rest->len -= len;
    return taken;
}

bool op_mark_read(struct op *op)
{
    struct op_mark mark = {0};
    struct span rest = op->body;
    size_t head = head_size(op->type), name = rest.len, config = 0;
    if (rest.len < head)
        return false;
    if (head > 0) {
        const uint8_t *p = take(&rest, head).ptr;
        name = get_be16(p);
        config = op->type == OP_MARK_SET ? get_be32(p + 2) : 0;
        mark.low = id_get(p + head - ID_SIZE);
    }
    if (name > rest.len || config > rest.len - name)
        return false;
    mark.name = take(&rest, name);
    mark.config = take(&rest, config);
    mark.acked = rest;
    op->mark = mark;
    return mark_fits(&mark);
}

static void put(struct buf *out, struct span s)
{
    if (s.len > 0)
        memcpy(out->ptr + out->len, s.ptr, s.len);
    out->len += s.len;
}

int op_put_mark(struct buf *out, enum op_type type, const struct op_mark *in)
{
    struct op_mark mark = {.name = in->name};
    size_t head = head_size(type);
    if (head > 0) {
        mark.low = in->low;
        mark.acked = in->acked;
    }
    if (type == OP_MARK_SET)
        mark.config = in->config;
    if (!mark_fits(&mark))
        return ERR_INVALID;
    size_t len = head + mark.name.len + mark.config.len + mark.acked.len;
    int rc = buf_reserve(out, OP_HEAD + len);
    if (rc != 0)
        return rc;
    uint8_t *p = out->ptr + out->len;
    p[0] = (uint8_t)type;
    put_be32(p + 1, (uint32_t)len);
    if (head > 0) {
        put_be16(p + OP_HEAD, (uint16_t)mark.name.len);
        id_put(p + OP_HEAD + head - ID_SIZE, mark.low);
    }
    if (type == OP_MARK_SET)
        put_be32(p + OP_HEAD + 2, (uint32_t)mark.config.len);
    out->len += OP_HEAD + head;
    put(out, mark.name);
    put(out, mark.config);
    put(out, mark.acked);
    return 0;
}
