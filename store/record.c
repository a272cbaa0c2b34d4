/*
 * Operations and frame records: the byte tables are in record.h.
 */
#include "store/record.h"

#include <assert.h>

#include "base/bytes.h"

#define OP_HEAD 5
#define CUT_SIZE 12
#define CONTENT_HEAD 40
#define TOPIC_HEAD 4
#define KEY_HEAD 64

#define FLAGS_KNOWN (RECORD_HASH | RECORD_INLINE | RECORD_SEQ | RECORD_COMMAND)

enum {
    AT_VERSION = 0,
    AT_FLAGS = 1,
    AT_AUTHORITY = 2,
    AT_TTL_KIND = 3,
    AT_TOPIC_NO = 4,
    AT_ID = 8,
    AT_SEQ = 24,
    AT_TTL_VALUE = 32,
    AT_DEADLINE = 40,
    AT_STAMP = 48,
    AT_CONTENT_SIZE = 56,
    AT_DIGEST = 64,
    AT_META_LEN = 96,
    AT_TOPIC_LEN = 100,
    AT_ORIGIN_LEN = 102,
};

/* --- frames ----------------------------------------------------------------------------------- */

static uint8_t frame_flags(const struct frame *frame)
{
    return (uint8_t)((frame->has_hash ? RECORD_HASH : 0) |
                     (frame->has_content ? RECORD_INLINE : 0) | (frame->has_seq ? RECORD_SEQ : 0) |
                     (frame->command ? RECORD_COMMAND : 0));
}

static bool ttl_has_value(unsigned kind)
{
    return kind == TTL_TIME || kind == TTL_LAST;
}

static int frame_check(const struct frame *frame)
{
    if (frame->has_content && (!frame->has_hash || frame->content.len != frame->content_size))
        return ERR_INVALID;
    if (frame->topic.len > UINT16_MAX || frame->origin.len > UINT16_MAX ||
        frame->meta.len > UINT32_MAX)
        return ERR_TOO_LARGE;
    if (frame->has_content && frame->content.len > UINT32_MAX)
        return ERR_TOO_LARGE;
    return record_frame_size(frame) > UINT32_MAX ? ERR_TOO_LARGE : 0;
}

static void put_head(uint8_t *p, const struct frame *frame)
{
    memset(p, 0, RECORD_HEAD);
    p[AT_VERSION] = 1;
    p[AT_FLAGS] = frame_flags(frame);
    p[AT_AUTHORITY] = (uint8_t)frame->authority;
    p[AT_TTL_KIND] = (uint8_t)frame->ttl.kind;
    put_be32(p + AT_TOPIC_NO, frame->topic_no);
    id_put(p + AT_ID, frame->id);
    put_be64(p + AT_SEQ, frame->has_seq ? frame->seq : 0);
    put_be64(p + AT_TTL_VALUE, ttl_has_value(frame->ttl.kind) ? frame->ttl.value : 0);
    put_be64(p + AT_DEADLINE, frame->deadline_ms);
    put_be64(p + AT_STAMP, frame->stamp);
    if (frame->has_hash) {
        put_be64(p + AT_CONTENT_SIZE, frame->content_size);
        memcpy(p + AT_DIGEST, frame->digest, DIGEST_SIZE);
    }
    put_be32(p + AT_META_LEN, (uint32_t)frame->meta.len);
    put_be16(p + AT_TOPIC_LEN, (uint16_t)frame->topic.len);
    put_be16(p + AT_ORIGIN_LEN, (uint16_t)frame->origin.len);
}

/* For bytes whose room is reserved already. */
static void put_span(struct buf *out, struct span s)
{
    if (s.len == 0)
        return;
    memcpy(out->ptr + out->len, s.ptr, s.len);
    out->len += s.len;
}

size_t record_frame_size(const struct frame *frame)
{
    return RECORD_HEAD + frame->topic.len + frame->meta.len + frame->origin.len +
           (frame->has_content ? frame->content.len : 0);
}

int record_put_frame(struct buf *out, const struct frame *frame)
{
    int rc = frame_check(frame);
    if (rc == 0)
        rc = buf_reserve(out, record_frame_size(frame));
    if (rc != 0)
        return rc;
    put_head(out->ptr + out->len, frame);
    out->len += RECORD_HEAD;
    put_span(out, frame->topic);
    put_span(out, frame->meta);
    put_span(out, frame->origin);
    if (frame->has_content)
        put_span(out, frame->content);
    return 0;
}

static bool all_zero(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] != 0)
            return false;
    return true;
}

/* Refuses a head that the encoder cannot have made (inv 2 to 4). */
static int check_head(const uint8_t *p, struct err *err)
{
    unsigned flags = p[AT_FLAGS];
    if (p[AT_VERSION] != 1)
        return err_set(err, ERR_DAMAGED, "frame record: version %u is not known", p[AT_VERSION]);
    if (flags & ~FLAGS_KNOWN)
        return err_set(err, ERR_DAMAGED, "frame record: flags 0x%02x are not known", flags);
    if (p[AT_AUTHORITY] > AUTHORITY_DAEMON)
        return err_set(err, ERR_DAMAGED, "frame record: authority %u is not known",
                       p[AT_AUTHORITY]);
    if (p[AT_TTL_KIND] > TTL_LAST)
        return err_set(err, ERR_DAMAGED, "frame record: ttl kind %u is not known", p[AT_TTL_KIND]);
    if ((flags & RECORD_INLINE) && !(flags & RECORD_HASH))
        return err_set(err, ERR_DAMAGED, "frame record: content without a hash");
    if (!(flags & RECORD_HASH) && !all_zero(p + AT_CONTENT_SIZE, 8 + DIGEST_SIZE))
        return err_set(err, ERR_DAMAGED, "frame record: a hash or size where none is flagged");
    if (!(flags & RECORD_SEQ) && get_be64(p + AT_SEQ) != 0)
        return err_set(err, ERR_DAMAGED, "frame record: a seq where none is flagged");
    if (!ttl_has_value(p[AT_TTL_KIND]) && get_be64(p + AT_TTL_VALUE) != 0)
        return err_set(err, ERR_DAMAGED, "frame record: a ttl value for a kind without one");
    return 0;
}

static struct span take(struct span *rest, size_t len)
{
    struct span taken = {rest->ptr, len};
    rest->ptr += len;
    rest->len -= len;
    return taken;
}

/* Fills the spans; the lengths must add up exactly (inv 1). */
static int get_spans(struct frame *f, struct span bytes, struct err *err)
{
    const uint8_t *head = bytes.ptr;
    uint64_t topic = get_be16(head + AT_TOPIC_LEN);
    uint64_t meta = get_be32(head + AT_META_LEN);
    uint64_t origin = get_be16(head + AT_ORIGIN_LEN);
    uint64_t named = RECORD_HEAD + topic + meta + origin;
    uint64_t content = f->has_content ? f->content_size : 0;
    if (named > bytes.len || content != bytes.len - named)
        return err_set(err, ERR_DAMAGED,
                       "frame record: %zu bytes, but its lengths ask for %llu and %llu of content",
                       bytes.len, (unsigned long long)named, (unsigned long long)content);
    take(&bytes, RECORD_HEAD);
    f->topic = take(&bytes, topic);
    f->meta = take(&bytes, meta);
    f->origin = take(&bytes, origin);
    if (f->has_content)
        f->content = bytes;
    return 0;
}

int record_get_frame(struct frame *out, struct span bytes, struct err *err)
{
    if (bytes.len < RECORD_HEAD)
        return err_set(err, ERR_DAMAGED, "frame record: %zu bytes are too few", bytes.len);
    const uint8_t *p = bytes.ptr;
    int rc = check_head(p, err);
    if (rc != 0)
        return rc;
    unsigned flags = p[AT_FLAGS];
    struct frame f = {
        .id = id_get(p + AT_ID),
        .ttl = {(enum ttl_kind)p[AT_TTL_KIND], get_be64(p + AT_TTL_VALUE)},
        .authority = (enum authority)p[AT_AUTHORITY],
        .has_hash = flags & RECORD_HASH,
        .has_content = flags & RECORD_INLINE,
        .has_seq = flags & RECORD_SEQ,
        .command = flags & RECORD_COMMAND,
        .content_size = get_be64(p + AT_CONTENT_SIZE),
        .seq = get_be64(p + AT_SEQ),
        .stamp = get_be64(p + AT_STAMP),
        .deadline_ms = get_be64(p + AT_DEADLINE),
        .topic_no = get_be32(p + AT_TOPIC_NO),
    };
    memcpy(f.digest, p + AT_DIGEST, DIGEST_SIZE);
    rc = get_spans(&f, bytes, err);
    if (rc == 0)
        *out = f;
    return rc;
}

/* --- operations: writing ---------------------------------------------------------------------- */

/* Makes room for an operation of `len` body bytes and writes its head. */
static int put_op(struct buf *out, enum op_type type, size_t len)
{
    if (len > UINT32_MAX)
        return ERR_TOO_LARGE;
    int rc = buf_reserve(out, OP_HEAD + len);
    if (rc != 0)
        return rc;
    out->ptr[out->len] = (uint8_t)type;
    put_be32(out->ptr + out->len + 1, (uint32_t)len);
    out->len += OP_HEAD;
    return 0;
}

int op_put_frame(struct buf *out, enum op_type type, const struct frame *frame)
{
    assert(type == OP_FRAME || type == OP_IMPORT);
    size_t before = out->len;
    int rc = frame_check(frame);
    if (rc == 0)
        rc = put_op(out, type, record_frame_size(frame));
    if (rc == 0)
        rc = record_put_frame(out, frame);
    if (rc != 0)
        out->len = before;
    return rc;
}

int op_put_remove(struct buf *out, struct frame_id id)
{
    int rc = put_op(out, OP_REMOVE, ID_SIZE);
    if (rc != 0)
        return rc;
    id_put(out->ptr + out->len, id);
    out->len += ID_SIZE;
    return 0;
}

int op_put_cut(struct buf *out, uint32_t topic_no, uint64_t seq)
{
    int rc = put_op(out, OP_CUT, CUT_SIZE);
    if (rc != 0)
        return rc;
    put_be32(out->ptr + out->len, topic_no);
    put_be64(out->ptr + out->len + 4, seq);
    out->len += CUT_SIZE;
    return 0;
}

/* Body length of a fixed head and a text; SIZE_MAX (too large for any operation) when it overflows.
 */
static size_t body_len(size_t head, struct span text)
{
    return text.len > UINT32_MAX ? SIZE_MAX : head + text.len;
}

int op_put_content(struct buf *out, const uint8_t digest[static DIGEST_SIZE], uint64_t time_ms,
                   struct span bytes)
{
    int rc = put_op(out, OP_CONTENT, body_len(CONTENT_HEAD, bytes));
    if (rc != 0)
        return rc;
    memcpy(out->ptr + out->len, digest, DIGEST_SIZE);
    put_be64(out->ptr + out->len + DIGEST_SIZE, time_ms);
    out->len += CONTENT_HEAD;
    put_span(out, bytes);
    return 0;
}

int op_put_topic(struct buf *out, uint32_t topic_no, struct span name)
{
    int rc = put_op(out, OP_TOPIC, body_len(TOPIC_HEAD, name));
    if (rc != 0)
        return rc;
    put_be32(out->ptr + out->len, topic_no);
    out->len += TOPIC_HEAD;
    put_span(out, name);
    return 0;
}

int op_put_key(struct buf *out, uint32_t topic_no, struct span key, uint64_t time_ms,
               const uint8_t digest[static DIGEST_SIZE], struct frame_id first, uint32_t count)
{
    int rc = put_op(out, OP_KEY, body_len(KEY_HEAD, key));
    if (rc != 0)
        return rc;
    uint8_t *p = out->ptr + out->len;
    put_be32(p, topic_no);
    put_be64(p + 4, time_ms);
    memcpy(p + 12, digest, DIGEST_SIZE);
    id_put(p + 44, first);
    put_be32(p + 60, count);
    out->len += KEY_HEAD;
    put_span(out, key);
    return 0;
}

/* --- operations: reading ---------------------------------------------------------------------- */

static struct span text_after(struct span body, size_t head)
{
    take(&body, head);
    return body;
}

/* Each reads a body whose length was checked against op_kinds. */
static void get_remove(struct op *op)
{
    op->id = id_get(op->body.ptr);
}

static void get_cut(struct op *op)
{
    op->topic_no = get_be32(op->body.ptr);
    op->seq = get_be64(op->body.ptr + 4);
}

static void get_content(struct op *op)
{
    op->digest = op->body.ptr;
    op->time_ms = get_be64(op->body.ptr + DIGEST_SIZE);
    op->text = text_after(op->body, CONTENT_HEAD);
}

static void get_topic(struct op *op)
{
    op->topic_no = get_be32(op->body.ptr);
    op->text = text_after(op->body, TOPIC_HEAD);
}

static void get_key(struct op *op)
{
    const uint8_t *p = op->body.ptr;
    op->topic_no = get_be32(p);
    op->time_ms = get_be64(p + 4);
    op->digest = p + 12;
    op->id = id_get(p + 44);
    op->count = get_be32(p + 60);
    op->text = text_after(op->body, KEY_HEAD);
}

static const struct op_kind {
    const char *name;
    size_t min; /* body bytes at least */
    bool exact; /* and not one more */
    void (*get)(struct op *op);
    bool (*read)(struct op *op); /* likewise, of a body whose form must be checked */
} op_kinds[] = {
    [OP_FRAME] = {"frame", RECORD_HEAD, false, NULL, NULL},
    [OP_IMPORT] = {"import", RECORD_HEAD, false, NULL, NULL},
    [OP_REMOVE] = {"remove", ID_SIZE, true, get_remove, NULL},
    [OP_CUT] = {"cut", CUT_SIZE, true, get_cut, NULL},
    [OP_CONTENT] = {"content", CONTENT_HEAD, false, get_content, NULL},
    [OP_TOPIC] = {"topic", TOPIC_HEAD, false, get_topic, NULL},
    [OP_KEY] = {"key", KEY_HEAD, false, get_key, NULL},
    [OP_MARK_ACK] = {"mark ack", 0, false, NULL, op_mark_read},
    [OP_MARK_SET] = {"mark set", 0, false, NULL, op_mark_read},
    [OP_MARK_DROP] = {"mark drop", 0, false, NULL, op_mark_read},
    [OP_TOPIC_SET] = {"topic set", 0, false, NULL, op_topic_read},
    [OP_TOKEN] = {"token", 0, false, NULL, op_topic_read},
    [OP_TRIM] = {"trim", 0, false, NULL, op_topic_read},
    [OP_TOPIC_DROP] = {"topic drop", 0, false, NULL, op_topic_read},
    [OP_TOPIC_RAISE] = {"topic raise", 0, false, NULL, op_topic_read},
};

static const struct op_kind *find_kind(uint8_t type)
{
    if (type >= sizeof op_kinds / sizeof op_kinds[0] || !op_kinds[type].name)
        return NULL;
    return &op_kinds[type];
}

int op_next(struct op *out, struct span *rest, struct err *err)
{
    struct span left = *rest;
    if (left.len == 0)
        return ERR_END;
    if (left.len < OP_HEAD)
        return err_set(err, ERR_DAMAGED, "operation: %zu bytes are no head", left.len);
    struct op op = {.type = (enum op_type)left.ptr[0]};
    size_t len = get_be32(left.ptr + 1);
    const struct op_kind *kind = find_kind(left.ptr[0]);
    if (!kind)
        return err_set(err, ERR_DAMAGED, "operation: type %u is not known", left.ptr[0]);
    take(&left, OP_HEAD);
    if (len > left.len)
        return err_set(err, ERR_DAMAGED, "operation %s: %zu bytes, but only %zu follow", kind->name,
                       len, left.len);
    if (len < kind->min || (kind->exact && len != kind->min))
        return err_set(err, ERR_DAMAGED, "operation %s: %zu bytes where %zu belong", kind->name,
                       len, kind->min);
    op.body = take(&left, len);
    if (kind->get)
        kind->get(&op);
    if (kind->read && !kind->read(&op))
        return err_set(err, ERR_DAMAGED, "operation %s: what it says does not fit", kind->name);
    *out = op;
    *rest = left;
    return 0;
}
