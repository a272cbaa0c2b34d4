/*
 * Operations and frame records: byte tables, round trips, and what a strict decoder refuses.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <weir/store.h>

#include "base/bytes.h"
#include "store/record.h"

static const uint8_t digest[DIGEST_SIZE] = {0xaa, 1, 2, 3, [31] = 0xbb};

static struct frame full_frame(void)
{
    struct frame f = {
        .id = {0x0102030405060708, 0x090a0b0c0d0e0f10},
        .topic = span_str("orders.new"),
        .meta = span_str("{\"a\":1}"),
        .origin = span_str("shop"),
        .ttl = {TTL_TIME, 5000},
        .authority = AUTHORITY_EXEC,
        .has_hash = true,
        .has_content = true,
        .has_seq = true,
        .command = true,
        .content_size = 5,
        .content = span_str("hello"),
        .seq = 77,
        .stamp = 1234567,
        .deadline_ms = 1239567,
        .topic_no = 9,
    };
    memcpy(f.digest, digest, DIGEST_SIZE);
    return f;
}

static void assert_frame_eq(const struct frame *a, const struct frame *b)
{
    assert_int_equal(id_cmp(a->id, b->id), 0);
    assert_true(span_eq(a->topic, b->topic));
    assert_true(span_eq(a->meta, b->meta));
    assert_true(span_eq(a->origin, b->origin));
    assert_int_equal(a->ttl.kind, b->ttl.kind);
    assert_int_equal(a->ttl.value, b->ttl.value);
    assert_int_equal(a->authority, b->authority);
    assert_int_equal(a->has_hash, b->has_hash);
    assert_int_equal(a->has_content, b->has_content);
    assert_int_equal(a->has_seq, b->has_seq);
    assert_int_equal(a->command, b->command);
    assert_memory_equal(a->digest, b->digest, DIGEST_SIZE);
    assert_int_equal(a->content_size, b->content_size);
    assert_true(span_eq(a->content, b->content));
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->stamp, b->stamp);
    assert_int_equal(a->deadline_ms, b->deadline_ms);
    assert_int_equal(a->topic_no, b->topic_no);
}

static void round_trip(const struct frame *f)
{
    CLEAN_BUF out = BUF_INIT;
    struct frame got;
    struct err err = ERR_INIT;
    assert_int_equal(record_put_frame(&out, f), 0);
    assert_int_equal(out.len, record_frame_size(f));
    assert_int_equal(record_get_frame(&got, buf_span(&out), &err), 0);
    assert_frame_eq(&got, f);
}

static void test_frames_come_back(void **state)
{
    (void)state;
    struct frame f = full_frame();
    round_trip(&f);

    f.has_content = false; /* content in a blob */
    f.content = (struct span){0};
    f.content_size = UINT64_MAX;
    round_trip(&f);

    struct frame bare = {.topic = span_str("t")};
    round_trip(&bare);
    bare.ttl = (struct ttl){TTL_LAST, UINT32_MAX};
    round_trip(&bare);
    bare.ttl = (struct ttl){TTL_EPHEMERAL, 0};
    bare.authority = AUTHORITY_DAEMON;
    round_trip(&bare);

    struct frame empty_content = full_frame();
    empty_content.content_size = 0;
    empty_content.content = (struct span){0};
    round_trip(&empty_content);
}

static void test_frame_layout(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct frame f = full_frame();
    assert_int_equal(record_put_frame(&out, &f), 0);
    const uint8_t *p = out.ptr;
    assert_int_equal(p[0], 1);
    assert_int_equal(p[1], RECORD_HASH | RECORD_INLINE | RECORD_SEQ | RECORD_COMMAND);
    assert_int_equal(p[2], AUTHORITY_EXEC);
    assert_int_equal(p[3], TTL_TIME);
    assert_int_equal(get_be32(p + 4), 9);
    assert_int_equal(get_be64(p + 8), 0x0102030405060708);
    assert_int_equal(get_be64(p + 16), 0x090a0b0c0d0e0f10);
    assert_int_equal(get_be64(p + 24), 77);
    assert_int_equal(get_be64(p + 32), 5000);
    assert_int_equal(get_be64(p + 40), 1239567);
    assert_int_equal(get_be64(p + 48), 1234567);
    assert_int_equal(get_be64(p + 56), 5);
    assert_memory_equal(p + 64, digest, DIGEST_SIZE);
    assert_int_equal(get_be32(p + 96), 7);
    assert_int_equal(get_be16(p + 100), 10);
    assert_int_equal(get_be16(p + 102), 4);
    assert_memory_equal(p + 104, "orders.new{\"a\":1}shophello", 26);
    assert_int_equal(out.len, 104 + 26);
}

static void test_unused_fields_are_written_as_zero(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct frame got, f = full_frame();
    f.has_hash = f.has_content = f.has_seq = false;
    f.ttl.kind = TTL_FOREVER;
    assert_int_equal(record_put_frame(&out, &f), 0);
    assert_int_equal(record_get_frame(&got, buf_span(&out), NULL), 0);
    assert_int_equal(got.seq, 0);
    assert_int_equal(got.content_size, 0);
    assert_int_equal(got.ttl.value, 0);
    assert_int_equal(got.digest[0], 0);
    assert_int_equal(got.content.len, 0);
}

static void test_frames_that_cannot_be_stored(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct frame f = full_frame();
    static const uint8_t big[UINT16_MAX + 1];

    f.has_hash = false;
    assert_int_equal(record_put_frame(&out, &f), ERR_INVALID);
    f = full_frame();
    f.content_size = 4;
    assert_int_equal(record_put_frame(&out, &f), ERR_INVALID);
    f = full_frame();
    f.topic = span_of(big, sizeof big);
    assert_int_equal(record_put_frame(&out, &f), ERR_TOO_LARGE);
    assert_int_equal(op_put_frame(&out, OP_FRAME, &f), ERR_TOO_LARGE);
    f = full_frame();
    f.origin = span_of(big, sizeof big);
    assert_int_equal(record_put_frame(&out, &f), ERR_TOO_LARGE);
    f = full_frame();
    f.meta = span_of(big, (size_t)UINT32_MAX + 1); /* refused before a byte of it is read */
    assert_int_equal(record_put_frame(&out, &f), ERR_TOO_LARGE);
    f.meta = span_of(big, (size_t)UINT32_MAX - 10);
    assert_int_equal(op_put_frame(&out, OP_FRAME, &f), ERR_TOO_LARGE);
    assert_int_equal(op_put_topic(&out, 1, span_of(big, (size_t)UINT32_MAX - 3)), ERR_TOO_LARGE);
    assert_int_equal(op_put_topic(&out, 1, span_of(big, SIZE_MAX)), ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
}

/* A frame with one byte set, as a decoder sees it. */
static int get_with(size_t at, uint8_t value, const struct frame *f)
{
    CLEAN_BUF out = BUF_INIT;
    struct err err = ERR_INIT;
    struct frame got, untouched;
    memset(&got, 0x5a, sizeof got);
    untouched = got;
    assert_int_equal(record_put_frame(&out, f), 0);
    assert_int_not_equal(out.ptr[at], value);
    out.ptr[at] = value;
    int rc = record_get_frame(&got, buf_span(&out), &err);
    if (rc != 0) {
        assert_int_equal(err.code, rc);
        assert_true(strlen(err.text) > 10);
        assert_memory_equal(&got, &untouched, sizeof got);
    }
    return rc;
}

static void test_broken_frames_are_refused(void **state)
{
    (void)state;
    struct frame f = full_frame();
    struct frame bare = {.topic = span_str("t")};
    assert_int_equal(get_with(0, 2, &f), ERR_DAMAGED);
    assert_int_equal(get_with(0, 0, &f), ERR_DAMAGED);
    assert_int_equal(get_with(1, 0x1f, &f), ERR_DAMAGED);                        /* flag */
    assert_int_equal(get_with(1, RECORD_INLINE | RECORD_SEQ, &f), ERR_DAMAGED);  /* inv 2 */
    assert_int_equal(get_with(1, RECORD_HASH | RECORD_INLINE, &f), ERR_DAMAGED); /* seq stays */
    assert_int_equal(get_with(1, RECORD_HASH | RECORD_SEQ, &f), ERR_DAMAGED);    /* inv 1 */
    assert_int_equal(get_with(2, 3, &f), ERR_DAMAGED);
    assert_int_equal(get_with(3, 5, &f), ERR_DAMAGED);
    assert_int_equal(get_with(3, TTL_FOREVER, &f), ERR_DAMAGED); /* value stays */
    assert_int_equal(get_with(63, 6, &f), ERR_DAMAGED);
    assert_int_equal(get_with(56, 0x80, &f), ERR_DAMAGED);
    assert_int_equal(get_with(96, 0xff, &f), ERR_DAMAGED);
    assert_int_equal(get_with(99, 8, &f), ERR_DAMAGED);
    assert_int_equal(get_with(101, 9, &f), ERR_DAMAGED);
    assert_int_equal(get_with(103, 5, &f), ERR_DAMAGED);
    assert_int_equal(get_with(24, 1, &bare), ERR_DAMAGED);
    assert_int_equal(get_with(32, 1, &bare), ERR_DAMAGED);
    assert_int_equal(get_with(56, 1, &bare), ERR_DAMAGED);
    assert_int_equal(get_with(95, 1, &bare), ERR_DAMAGED);
    assert_int_equal(get_with(20, 1, &bare), 0); /* an id: any bytes are one */
}

static void test_cut_and_padded_frames_are_refused(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct frame got, f = full_frame();
    assert_int_equal(record_put_frame(&out, &f), 0);
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(record_get_frame(&got, span_of(out.ptr, len), NULL), ERR_DAMAGED);
    assert_int_equal(buf_add(&out, "", 1), 0);
    assert_int_equal(record_get_frame(&got, buf_span(&out), NULL), ERR_DAMAGED);
}

/* Ids as a mark's operation has them; the low one is the first. */
static struct op_mark sample_mark(uint8_t ids[static 3 * ID_SIZE])
{
    for (uint64_t i = 0; i < 3; i++)
        id_put(ids + i * ID_SIZE, (struct frame_id){7, i});
    return (struct op_mark){.name = span_str("handler/a"),
                            .config = span_str("{}"),
                            .low = id_get(ids),
                            .acked = span_of(ids + ID_SIZE, 2 * ID_SIZE)};
}

static void put_one_of_each(struct buf *out)
{
    uint8_t ids[3 * ID_SIZE];
    struct op_mark mark = sample_mark(ids);
    struct frame f = full_frame();
    struct frame_id id = {1, 2};
    assert_int_equal(op_put_topic(out, 9, span_str("orders.new")), 0);
    assert_int_equal(op_put_frame(out, OP_FRAME, &f), 0);
    assert_int_equal(op_put_frame(out, OP_IMPORT, &f), 0);
    assert_int_equal(op_put_remove(out, id), 0);
    assert_int_equal(op_put_cut(out, 9, UINT64_MAX), 0);
    assert_int_equal(op_put_content(out, digest, 55, span_str("body")), 0);
    assert_int_equal(op_put_key(out, 9, span_str("k1"), 66, digest, id, 3), 0);
    assert_int_equal(op_put_mark(out, OP_MARK_ACK, &mark), 0);
    assert_int_equal(op_put_mark(out, OP_MARK_SET, &mark), 0);
    assert_int_equal(op_put_mark(out, OP_MARK_DROP, &mark), 0);
}

static void test_operations_come_back(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    put_one_of_each(&out);
    struct span rest = buf_span(&out);
    struct op op;
    struct frame got, f = full_frame();

    assert_int_equal(op_next(&op, &rest, NULL), 0);
    assert_int_equal(op.type, OP_TOPIC);
    assert_int_equal(op.topic_no, 9);
    assert_true(span_is(op.text, "orders.new"));
    for (int type = OP_FRAME; type <= OP_IMPORT; type++) {
        assert_int_equal(op_next(&op, &rest, NULL), 0);
        assert_int_equal(op.type, type);
        assert_int_equal(record_get_frame(&got, op.body, NULL), 0);
        assert_frame_eq(&got, &f);
    }
    assert_int_equal(op_next(&op, &rest, NULL), 0);
    assert_int_equal(op.type, OP_REMOVE);
    assert_int_equal(op.id.hi, 1);
    assert_int_equal(op.id.lo, 2);
    assert_int_equal(op_next(&op, &rest, NULL), 0);
    assert_int_equal(op.type, OP_CUT);
    assert_int_equal(op.topic_no, 9);
    assert_true(op.seq == UINT64_MAX);
    assert_int_equal(op_next(&op, &rest, NULL), 0);
    assert_int_equal(op.type, OP_CONTENT);
    assert_memory_equal(op.digest, digest, DIGEST_SIZE);
    assert_int_equal(op.time_ms, 55);
    assert_true(span_is(op.text, "body"));
    assert_int_equal(op_next(&op, &rest, NULL), 0);
    assert_int_equal(op.type, OP_KEY);
    assert_int_equal(op.topic_no, 9);
    assert_int_equal(op.time_ms, 66);
    assert_memory_equal(op.digest, digest, DIGEST_SIZE);
    assert_int_equal(op.id.lo, 2);
    assert_int_equal(op.count, 3);
    assert_true(span_is(op.text, "k1"));
    uint8_t ids[3 * ID_SIZE];
    struct op_mark mark = sample_mark(ids);
    for (int type = OP_MARK_ACK; type <= OP_MARK_DROP; type++) {
        bool drop = type == OP_MARK_DROP;
        assert_int_equal(op_next(&op, &rest, NULL), 0);
        assert_int_equal(op.type, type);
        assert_true(span_eq(op.mark.name, mark.name));
        assert_true(span_is(op.mark.config, type == OP_MARK_SET ? "{}" : ""));
        assert_int_equal(id_cmp(op.mark.low, drop ? ID_MIN : mark.low), 0);
        assert_true(drop ? op.mark.acked.len == 0 : span_eq(op.mark.acked, mark.acked));
    }
    assert_int_equal(op_next(&op, &rest, NULL), ERR_END);
}

static void test_cut_operations_are_refused(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    put_one_of_each(&out);
    size_t whole = 0;
    for (size_t len = 0; len < out.len; len++) {
        struct span rest = span_of(out.ptr, len);
        struct op op;
        struct err err = ERR_INIT;
        int rc;
        while ((rc = op_next(&op, &rest, &err)) == 0)
            ;
        whole += rc == ERR_END;
        if (rc != ERR_END) {
            assert_int_equal(rc, ERR_DAMAGED);
            assert_true(rest.len > 0 && rest.ptr + rest.len == out.ptr + len);
        }
    }
    assert_int_equal(whole, 10); /* only the ends of operations are clean ends */
}

static int next_of(const uint8_t *bytes, size_t len)
{
    struct span rest = span_of(bytes, len);
    struct op op;
    return op_next(&op, &rest, NULL);
}

static void test_odd_operations_are_refused(void **state)
{
    (void)state;
    static const uint8_t none[5] = {0};
    static const uint8_t after_last[5] = {11};
    static const uint8_t far[5] = {255};
    static const uint8_t long_remove[5 + 17] = {OP_REMOVE, 0, 0, 0, 17};
    static const uint8_t long_cut[5 + 13] = {OP_CUT, 0, 0, 0, 13};
    static const uint8_t short_key[5 + 63] = {OP_KEY, 0, 0, 0, 63};
    static const uint8_t short_frame[5 + 103] = {OP_FRAME, 0, 0, 0, 103};
    static const uint8_t endless[5 + 64] = {OP_TOPIC, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t no_name[5 + 4] = {OP_TOPIC, 0, 0, 0, 4};
    assert_int_equal(next_of(none, sizeof none), ERR_DAMAGED);
    assert_int_equal(next_of(after_last, sizeof after_last), ERR_DAMAGED);
    assert_int_equal(next_of(far, sizeof far), ERR_DAMAGED);
    assert_int_equal(next_of(long_remove, sizeof long_remove), ERR_DAMAGED);
    assert_int_equal(next_of(long_cut, sizeof long_cut), ERR_DAMAGED);
    assert_int_equal(next_of(short_key, sizeof short_key), ERR_DAMAGED);
    assert_int_equal(next_of(short_frame, sizeof short_frame), ERR_DAMAGED);
    assert_int_equal(next_of(endless, sizeof endless), ERR_DAMAGED);
    assert_int_equal(next_of(no_name, sizeof no_name), 0);
}

static void test_mark_layout(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    uint8_t ids[3 * ID_SIZE];
    struct op_mark mark = sample_mark(ids);
    assert_int_equal(op_put_mark(&out, OP_MARK_ACK, &mark), 0);
    assert_int_equal(out.len, 5 + 18 + 9 + 32);
    assert_int_equal(out.ptr[0], 8);
    assert_int_equal(get_be32(out.ptr + 1), 18 + 9 + 32);
    assert_int_equal(get_be16(out.ptr + 5), 9);
    assert_memory_equal(out.ptr + 7, ids, ID_SIZE);
    assert_memory_equal(out.ptr + 23, "handler/a", 9);
    assert_memory_equal(out.ptr + 32, ids + ID_SIZE, 2 * ID_SIZE);
    buf_reset(&out);
    assert_int_equal(op_put_mark(&out, OP_MARK_SET, &mark), 0);
    assert_int_equal(out.len, 5 + 22 + 9 + 2 + 32);
    assert_int_equal(get_be16(out.ptr + 5), 9);
    assert_int_equal(get_be32(out.ptr + 7), 2);
    assert_memory_equal(out.ptr + 11, ids, ID_SIZE);
    assert_memory_equal(out.ptr + 27, "handler/a{}", 11);
    assert_memory_equal(out.ptr + 38, ids + ID_SIZE, 2 * ID_SIZE);
    buf_reset(&out);
    assert_int_equal(op_put_mark(&out, OP_MARK_DROP, &mark), 0);
    assert_int_equal(out.len, 5 + 9);
    assert_memory_equal(out.ptr + 5, "handler/a", 9);
}

/* What was written with one byte of it set. */
static int next_with(enum op_type type, size_t at, uint8_t value)
{
    CLEAN_BUF out = BUF_INIT;
    uint8_t ids[3 * ID_SIZE];
    struct op_mark mark = sample_mark(ids);
    assert_int_equal(op_put_mark(&out, type, &mark), 0);
    assert_int_not_equal(out.ptr[at], value);
    out.ptr[at] = value;
    return next_of(out.ptr, out.len);
}

static void test_odd_marks_are_refused(void **state)
{
    (void)state;
    static char big[MARK_CONFIG_MAX + 1];
    static uint8_t ids[(MARK_ACKED_MAX + 1) * ID_SIZE];
    static const uint8_t no_name[5] = {OP_MARK_DROP};
    CLEAN_BUF out = BUF_INIT;
    struct op_mark good = {.name = span_str("n")}, mark;
    assert_int_equal(next_of(no_name, sizeof no_name), ERR_DAMAGED);
    assert_int_equal(next_with(OP_MARK_ACK, 6, 0), ERR_DAMAGED);   /* no name */
    assert_int_equal(next_with(OP_MARK_ACK, 6, 8), ERR_DAMAGED);   /* ids that are cut */
    assert_int_equal(next_with(OP_MARK_ACK, 5, 9), ERR_DAMAGED);   /* longer than the body */
    assert_int_equal(next_with(OP_MARK_ACK, 22, 1), ERR_DAMAGED);  /* low is one of the ids */
    assert_int_equal(next_with(OP_MARK_ACK, 63, 1), ERR_DAMAGED);  /* an id twice */
    assert_int_equal(next_with(OP_MARK_ACK, 63, 9), 0);
    assert_int_equal(next_with(OP_MARK_SET, 10, 1), ERR_DAMAGED);
    assert_int_equal(next_with(OP_MARK_SET, 7, 0xff), ERR_DAMAGED);
    assert_int_equal(next_with(OP_MARK_SET, 26, 1), ERR_DAMAGED);
    mark = (struct op_mark){.name = span_of(big, MARK_NAME_MAX + 1)};
    assert_int_equal(op_put_mark(&out, OP_MARK_DROP, &mark), ERR_INVALID);
    mark.name.len = 0;
    assert_int_equal(op_put_mark(&out, OP_MARK_DROP, &mark), ERR_INVALID);
    mark = good;
    mark.config = span_of(big, sizeof big);
    assert_int_equal(op_put_mark(&out, OP_MARK_SET, &mark), ERR_INVALID);
    assert_int_equal(op_put_mark(&out, OP_MARK_ACK, &mark), 0); /* which has no config */
    buf_reset(&out);
    for (size_t i = 0; i <= MARK_ACKED_MAX; i++)
        put_be64(ids + i * ID_SIZE, i + 1);
    mark = good;
    mark.acked = span_of(ids, sizeof ids);
    assert_int_equal(op_put_mark(&out, OP_MARK_ACK, &mark), ERR_INVALID);
    assert_int_equal(out.len, 0);
    mark.acked.len -= ID_SIZE;
    assert_int_equal(op_put_mark(&out, OP_MARK_ACK, &mark), 0);
    assert_int_equal(next_of(out.ptr, out.len), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_come_back),
        cmocka_unit_test(test_frame_layout),
        cmocka_unit_test(test_unused_fields_are_written_as_zero),
        cmocka_unit_test(test_frames_that_cannot_be_stored),
        cmocka_unit_test(test_broken_frames_are_refused),
        cmocka_unit_test(test_cut_and_padded_frames_are_refused),
        cmocka_unit_test(test_operations_come_back),
        cmocka_unit_test(test_cut_operations_are_refused),
        cmocka_unit_test(test_odd_operations_are_refused),
        cmocka_unit_test(test_mark_layout),
        cmocka_unit_test(test_odd_marks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
