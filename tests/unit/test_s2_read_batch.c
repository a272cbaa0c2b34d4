/* Batches in each form, events, and pieces that followers share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/s2/frame.h"
#include "base/s2/proto.h"
#include "daemon/s2/read_piece.h"

static const struct s2_header headers[] = {{{(const uint8_t *)"k", 1}, {(const uint8_t *)"v", 1}}};

static struct s2_record record(uint64_t seq, uint64_t stamp, const char *body)
{
    return (struct s2_record){.has_timestamp = true,
                              .timestamp = stamp,
                              .seq_num = seq,
                              .headers = headers,
                              .header_count = seq == 0 ? 1 : 0,
                              .body = span_str(body)};
}

static void add(struct read_batch *b, struct s2_record r)
{
    assert_int_equal(read_batch_add(b, &r, s2_metered(&r)), 0);
}

static void assert_text(const struct buf *buf, const char *want)
{
    if (!span_is(buf_span(buf), want))
        fail_msg("\"%.*s\" is not \"%s\"", (int)buf->len, (const char *)buf->ptr, want);
}

static void test_json(void **state)
{
    (void)state;
    struct read_batch b = {.form = READ_JSON_RAW};
    struct s2_position tail = {2, UINT64_MAX};
    add(&b, record(0, 5, "a"));
    add(&b, record(1, UINT64_MAX, ""));
    assert_true(b.count == 2 && b.metered == 13 + 8 && b.last.seq_num == 1);
    assert_int_equal(read_batch_end(&b, &tail, false), 0);
    assert_text(&b.bytes, "{\"records\":[{\"seq_num\":0,\"timestamp\":5,\"headers\":[[\"k\",\"v\"]],\"body\":\"a\"},"
                          "{\"seq_num\":1,\"timestamp\":18446744073709551615}],"
                          "\"tail\":{\"seq_num\":2,\"timestamp\":18446744073709551615}}");
    read_batch_finish(&b);
    struct read_batch none = {.form = READ_JSON_BASE64};
    assert_int_equal(read_batch_end(&none, NULL, false), 0);
    assert_text(&none.bytes, "{\"records\":[]}");
    read_batch_finish(&none);
    struct read_batch binary = {.form = READ_JSON_BASE64};
    add(&binary, record(7, 1, "\xff"));
    assert_int_equal(read_batch_end(&binary, NULL, false), 0);
    assert_text(&binary.bytes, "{\"records\":[{\"seq_num\":7,\"timestamp\":1,\"body\":\"/w==\"}]}");
    read_batch_finish(&binary);
}

static void test_proto(void **state)
{
    (void)state;
    struct read_batch b = {.form = READ_PROTO};
    struct s2_batch read = {0};
    struct s2_position tail = {9, 8};
    struct err err = ERR_INIT;
    add(&b, record(0, 5, "a"));
    add(&b, record(8, 6, "bc"));
    assert_int_equal(read_batch_end(&b, &tail, true), 0);
    assert_int_equal(s2_proto_read_batch(&read, buf_span(&b.bytes), &err), 0);
    assert_true(read.count == 2 && read.records[1].seq_num == 8 && read.records[0].header_count == 1);
    assert_true(read.has_tail && read.tail.seq_num == 9 && read.tail.timestamp == 8);
    s2_batch_finish(&read);
    read_batch_finish(&b);
}

/* The heartbeat of the wire's description, and the flag that asks to come again. */
static void test_frames(void **state)
{
    (void)state;
    static const uint8_t beat[] = {0, 0, 7, 0, 0x12, 4, 8, 5, 0x10, 7};
    struct read_batch b = {.form = READ_FRAME};
    struct s2_position tail = {5, 7};
    assert_int_equal(read_batch_end(&b, &tail, false), 0);
    assert_true(span_eq(buf_span(&b.bytes), span_of(beat, sizeof(beat))));
    read_batch_finish(&b);
    struct read_batch again = {.form = READ_FRAME};
    assert_int_equal(read_batch_end(&again, &tail, true), 0);
    assert_int_equal(again.bytes.ptr[3], 0x10);
    read_batch_finish(&again);
}

static void test_packed_frame(void **state)
{
    (void)state;
    struct read_batch b = {.form = READ_FRAME, .coding = CODING_ZSTD};
    struct s2s_frame frame;
    struct s2_batch read = {0};
    struct err err = ERR_INIT;
    CLEAN_BUF room = BUF_INIT;
    char body[4001];
    memset(body, 'x', 4000);
    body[4000] = '\0';
    add(&b, record(0, 5, body));
    assert_int_equal(read_batch_end(&b, NULL, false), 0);
    assert_true(b.bytes.len < 1000);
    struct span rest = buf_span(&b.bytes), message;
    assert_int_equal(s2s_next(&frame, &rest, &err), 0);
    assert_int_equal(rest.len, 0);
    assert_int_equal(s2s_message(&message, &frame, &room, &err), 0);
    assert_int_equal(s2_proto_read_batch(&read, message, &err), 0);
    assert_true(read.count == 1 && read.records[0].body.len == 4000 && !read.has_tail);
    s2_batch_finish(&read);
    read_batch_finish(&b);
}

static void test_events(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct s2_position tail = {3, 4};
    assert_int_equal(read_event_batch(&out, 1, 2, 18), 0);
    assert_text(&out, "event: batch\nid: 1,2,18\ndata: ");
    buf_reset(&out);
    assert_int_equal(read_event_ping(&out, 77, &tail), 0);
    assert_text(&out, "event: ping\ndata: {\"timestamp\":77,\"tail\":{\"seq_num\":3,\"timestamp\":4}}\n\n");
    buf_reset(&out);
    assert_int_equal(read_event_error(&out, span_str("{\"code\":\"x\"}")), 0);
    assert_text(&out, "event: error\ndata: {\"code\":\"x\"}\n\n");
}

/* --- shared pieces ------------------------------------------------------------------------------------------ */

static struct read_piece *piece_of(size_t len)
{
    struct read_piece *piece = read_piece_create(READ_PROTO, CODING_NONE);
    assert_non_null(piece);
    assert_int_equal(buf_reserve(&piece->batch.bytes, len), 0);
    memset(piece->batch.bytes.ptr, 1, len);
    piece->batch.bytes.len = len;
    return piece;
}

static struct read_key key_of(uint64_t from)
{
    return (struct read_key){.topic_no = 3, .from = {1, from}, .form = READ_PROTO};
}

static void share(uint64_t from, size_t len)
{
    struct read_key key = key_of(from);
    struct read_piece *piece = piece_of(len);
    read_pieces_share(&key, piece);
    read_piece_drop(piece);
}

static bool is_shared(struct read_key key)
{
    struct read_piece *piece = read_pieces_find(&key);
    read_piece_drop(piece);
    return piece != NULL;
}

static void test_sharing(void **state)
{
    (void)state;
    struct read_key other = key_of(1);
    share(1, 100);
    assert_true(is_shared(key_of(1)));
    assert_false(is_shared(key_of(2)));
    other.topic_no = 4;
    assert_false(is_shared(other));
    other = key_of(1);
    other.born_ms = 5;
    assert_false(is_shared(other));
    other = key_of(1);
    other.form = READ_FRAME;
    assert_false(is_shared(other));
    other = key_of(1);
    other.coding = CODING_ZSTD;
    assert_false(is_shared(other));
    read_pieces_clear();
    assert_false(is_shared(key_of(1)));
}

/* Many small ones and few large ones: the oldest go, the newest stays. */
static void test_sharing_is_bounded(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        share(i, 10);
        assert_true(is_shared(key_of(i)));
    }
    assert_false(is_shared(key_of(0)));
    assert_true(is_shared(key_of(470)));
    for (uint64_t i = 1000; i < 1020; i++) {
        share(i, 700 * 1024);
        assert_true(is_shared(key_of(i)));
    }
    assert_false(is_shared(key_of(1000)));
    share(2000, 3 * 1024 * 1024); /* too large to be kept */
    assert_false(is_shared(key_of(2000)));
    read_pieces_clear();
}

static size_t told;

static void ready(struct read_turn *turn)
{
    assert_false(read_turn_waits(turn));
    told++;
}

static void test_turns(void **state)
{
    (void)state;
    struct read_key key = key_of(5), other = key_of(6);
    struct read_turn turns[3] = {{.ready = ready}, {.ready = ready}, {.ready = ready}};
    assert_false(read_pieces_wait(&key, &turns[0]));
    assert_true(read_pieces_make(&key));
    assert_false(read_pieces_make(&key));
    assert_false(read_pieces_wait(&other, &turns[0]));
    for (size_t i = 0; i < 3; i++)
        assert_true(read_pieces_wait(&key, &turns[i]));
    assert_true(read_turn_waits(&turns[1]));
    read_turn_leave(&turns[1]);
    assert_false(read_turn_waits(&turns[1]));
    read_turn_leave(&turns[1]);
    told = 0;
    read_pieces_made(&key);
    assert_int_equal(told, 2);
    read_pieces_made(&key);
    assert_int_equal(told, 2);
    assert_true(read_pieces_make(&key)); /* and again */
    read_pieces_made(&key);
}

/* More than there are places for: the rest makes its own. */
static void test_turns_are_bounded(void **state)
{
    (void)state;
    size_t made = 0;
    for (uint64_t i = 0; i < 1000; i++) {
        struct read_key key = key_of(i);
        made += read_pieces_make(&key);
    }
    assert_true(made > 0 && made < 1000);
    for (uint64_t i = 0; i < 1000; i++) {
        struct read_key key = key_of(i);
        read_pieces_made(&key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),    cmocka_unit_test(test_proto),
        cmocka_unit_test(test_frames),  cmocka_unit_test(test_packed_frame),
        cmocka_unit_test(test_events),  cmocka_unit_test(test_sharing),
        cmocka_unit_test(test_sharing_is_bounded), cmocka_unit_test(test_turns),
        cmocka_unit_test(test_turns_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
