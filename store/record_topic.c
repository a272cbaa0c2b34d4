/*
 * The operations of topics' rows: the byte tables are in record.h.
 */
#include "base/bytes.h"
#include "store/record.h"

#define OP_HEAD 5
#define NUMBER 4
#define SET_HEAD 40
#define TRIM_SIZE 12
#define RAISE_SIZE 20
#define FLAG_UNCAPPED 1u

/* --- writing ---------------------------------------------------------------------------------- */

/* The head of an operation, the topic's number, and a body that is `head` bytes and a text. */
static int put(struct buf *out, enum op_type type, uint32_t topic_no, struct span head, struct span text)
{
    size_t len = NUMBER + head.len + text.len;
    int rc = buf_reserve(out, OP_HEAD + len);
    if (rc != 0)
        return rc;
    uint8_t *p = out->ptr + out->len;
    p[0] = (uint8_t)type;
    put_be32(p + 1, (uint32_t)len);
    put_be32(p + OP_HEAD, topic_no);
    if (head.len > 0)
        memcpy(p + OP_HEAD + NUMBER, head.ptr, head.len);
    if (text.len > 0)
        memcpy(p + OP_HEAD + NUMBER + head.len, text.ptr, text.len);
    out->len += OP_HEAD + len;
    return 0;
}

int op_put_topic_set(struct buf *out, uint32_t topic_no, const struct op_topic *topic)
{
    const struct topic_rules *rules = &topic->rules;
    uint8_t head[SET_HEAD - NUMBER] = {(uint8_t)rules->stamp_mode, rules->uncapped ? FLAG_UNCAPPED : 0};
    if (topic->note.len > TOPIC_NOTE_MAX)
        return ERR_INVALID;
    put_be64(head + 4, topic->created_ms);
    put_be64(head + 12, topic->revision);
    put_be64(head + 20, rules->retention_ms);
    put_be64(head + 28, rules->empty_after_ms);
    return put(out, OP_TOPIC_SET, topic_no, span_of(head, sizeof head), topic->note);
}

int op_put_token(struct buf *out, uint32_t topic_no, struct span token)
{
    return token.len > TOKEN_MAX ? ERR_INVALID : put(out, OP_TOKEN, topic_no, (struct span){0}, token);
}

int op_put_trim(struct buf *out, uint32_t topic_no, uint64_t seq)
{
    uint8_t head[8];
    put_be64(head, seq);
    return put(out, OP_TRIM, topic_no, span_of(head, sizeof head), (struct span){0});
}

int op_put_topic_drop(struct buf *out, uint32_t topic_no)
{
    return put(out, OP_TOPIC_DROP, topic_no, (struct span){0}, (struct span){0});
}

int op_put_topic_raise(struct buf *out, uint32_t topic_no, uint64_t next_seq, uint64_t stamp)
{
    uint8_t head[16];
    put_be64(head, next_seq);
    put_be64(head + 8, stamp);
    return put(out, OP_TOPIC_RAISE, topic_no, span_of(head, sizeof head), (struct span){0});
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool read_set(struct op *op)
{
    const uint8_t *p = op->body.ptr;
    if (op->body.len < SET_HEAD || op->body.len > SET_HEAD + TOPIC_NOTE_MAX || p[4] > STAMP_ARRIVAL ||
        (p[5] & ~FLAG_UNCAPPED) != 0 || get_be16(p + 6) != 0)
        return false;
    op->topic = (struct op_topic){
        .created_ms = get_be64(p + 8),
        .revision = get_be64(p + 16),
        .rules = {.retention_ms = get_be64(p + 24),
                  .stamp_mode = (enum stamp_mode)p[4],
                  .uncapped = p[5] & FLAG_UNCAPPED,
                  .empty_after_ms = get_be64(p + 32)},
        .note = span_of(p + SET_HEAD, op->body.len - SET_HEAD),
    };
    return true;
}

static bool read_seq(struct op *op, size_t size)
{
    if (op->body.len != size)
        return false;
    op->seq = get_be64(op->body.ptr + NUMBER);
    if (size == RAISE_SIZE)
        op->stamp = get_be64(op->body.ptr + NUMBER + 8);
    return true;
}

bool op_topic_read(struct op *op)
{
    if (op->body.len < NUMBER)
        return false;
    op->topic_no = get_be32(op->body.ptr);
    switch (op->type) {
    case OP_TOPIC_SET:
        return read_set(op);
    case OP_TRIM:
        return read_seq(op, TRIM_SIZE);
    case OP_TOPIC_RAISE:
        return read_seq(op, RAISE_SIZE);
    case OP_TOKEN:
        op->text = span_of(op->body.ptr + NUMBER, op->body.len - NUMBER);
        return op->text.len <= TOKEN_MAX;
    default:
        return op->body.len == NUMBER;
    }
}
