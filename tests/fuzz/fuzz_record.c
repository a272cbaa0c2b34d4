/*
 * Any bytes as operations: whatever decodes must encode to the same bytes.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int put_frame(struct buf *out, const struct op *op)
{
    struct frame frame;
    if (record_get_frame(&frame, op->body, NULL) != 0)
        return ERR_DAMAGED;
    if (record_frame_size(&frame) != op->body.len)
        abort();
    return op_put_frame(out, op->type, &frame);
}

static int put_op(struct buf *out, const struct op *op)
{
    switch (op->type) {
    case OP_FRAME:
    case OP_IMPORT:
        return put_frame(out, op);
    case OP_REMOVE:
        return op_put_remove(out, op->id);
    case OP_CUT:
        return op_put_cut(out, op->topic_no, op->seq);
    case OP_CONTENT:
        return op_put_content(out, op->digest, op->time_ms, op->text);
    case OP_TOPIC:
        return op_put_topic(out, op->topic_no, op->text);
    case OP_KEY:
        return op_put_key(out, op->topic_no, op->text, op->time_ms, op->digest, op->id, op->count);
    case OP_MARK_ACK:
    case OP_MARK_SET:
    case OP_MARK_DROP:
        return op_put_mark(out, op->type, &op->mark);
    case OP_TOPIC_SET:
        return op_put_topic_set(out, op->topic_no, &op->topic);
    case OP_TOKEN:
        return op_put_token(out, op->topic_no, op->text);
    case OP_TRIM:
        return op_put_trim(out, op->topic_no, op->seq);
    case OP_TOPIC_DROP:
        return op_put_topic_drop(out, op->topic_no);
    case OP_TOPIC_RAISE:
        return op_put_topic_raise(out, op->topic_no, op->seq, op->stamp);
    }
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size);
    struct span before = rest;
    struct op op;
    CLEAN_BUF out = BUF_INIT;
    while (op_next(&op, &rest, NULL) == 0) {
        buf_reset(&out);
        int rc = put_op(&out, &op);
        if (rc != 0 && rc != ERR_DAMAGED && rc != -ENOMEM)
            abort();
        if (rc == 0 && !span_eq(buf_span(&out), span_of(before.ptr, before.len - rest.len)))
            abort();
        before = rest;
    }
    return 0;
}
