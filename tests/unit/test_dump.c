/* Dumps: what is written is read again; what is cut, changed or out of order is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/dump.h"

static const uint8_t uuid[16] = {1, 2, 3};

static struct frame sample(uint64_t n)
{
    struct frame f = {.id = {UINT64_C(1700000000000) << 16, n},
                      .topic = span_str("a.b"),
                      .meta = span_str("{\"k\":1}"),
                      .origin = span_str("me"),
                      .ttl = {.kind = TTL_TIME, .value = 5000},
                      .authority = AUTHORITY_EXEC,
                      .has_hash = true,
                      .has_content = true,
                      .has_seq = true,
                      .command = true,
                      .content_size = 5,
                      .content = span_str("hello"),
                      .seq = n,
                      .stamp = 77,
                      .deadline_ms = UINT64_C(1700000005000)};
    memset(f.digest, 0xab, DIGEST_SIZE);
    return f;
}

/* Two frames, a content between them, the end. */
static struct buf make_dump(void)
{
    struct dump_writer *w;
    struct buf out = BUF_INIT;
    struct frame first = sample(1), second = sample(2);
    uint8_t digest[DIGEST_SIZE] = {9};
    second.has_content = false;
    second.content_size = 7;
    assert_int_equal(dump_writer_create(&w), 0);
    assert_int_equal(dump_put_head(w, &out, uuid, false, false), 0);
    assert_int_equal(dump_put_frame(w, &out, &first, false), 0);
    assert_int_equal(dump_put_blob(w, &out, digest, 7), 0);
    assert_int_equal(dump_put_data(w, &out, span_str("abc")), 0);
    assert_int_equal(dump_put_data(w, &out, span_str("defg")), 0);
    assert_int_equal(dump_put_frame(w, &out, &second, true), 0);
    assert_int_equal(dump_put_end(w, &out), 0);
    dump_writer_destroy(w);
    return out;
}

/* A frame, and two marks, the second with more ids than one item takes. */
#define MANY (2 * MARK_ACKED_MAX + 5)
static struct frame_id many[MANY];

static struct buf make_marked(bool head, const char *first, const char *second, bool frame_behind)
{
    struct dump_writer *w;
    struct buf out = BUF_INIT, items = BUF_INIT;
    struct frame frame = sample(1), behind = sample(2);
    for (size_t i = 0; i < MANY; i++)
        many[i] = (struct frame_id){9, i};
    struct store_mark_view a = {.name = span_str(first), .config = span_str("{}"), .low = {8, 0}};
    struct store_mark_view b = {.name = span_str(second), .acked = many, .acked_count = MANY};
    assert_int_equal(dump_writer_create(&w), 0);
    assert_int_equal(dump_put_head(w, &out, uuid, head, false), 0);
    assert_int_equal(dump_put_frame(w, &out, &frame, false), 0);
    assert_int_equal(dump_mark_items(&items, &a), 0);
    assert_int_equal(dump_mark_items(&items, &b), 0);
    for (size_t at = 0; at < items.len; at += 1000) /* in pieces as they come */
        assert_int_equal(dump_put_rest(w, &out, span_of(items.ptr + at, items.len - at < 1000 ? items.len - at : 1000)), 0);
    if (frame_behind)
        assert_int_equal(dump_put_frame(w, &out, &behind, false), 0);
    assert_int_equal(dump_put_end(w, &out), 0);
    dump_writer_destroy(w);
    buf_finish(&items);
    return out;
}

/* Reads to the end or the fault. */
static int read_all(struct span bytes, bool *ended)
{
    struct dump_reader *r;
    struct dump_item item;
    struct err err = ERR_INIT;
    int rc;
    assert_int_equal(dump_reader_create(&r), 0);
    while ((rc = dump_next(r, &bytes, &item, &err)) == 0)
        ;
    *ended = dump_ended(r);
    dump_reader_destroy(r);
    return rc;
}

static void test_round_trip(void **state)
{
    struct buf dump = make_dump();
    struct span rest = buf_span(&dump);
    struct dump_reader *r;
    struct dump_item item;
    struct frame want = sample(1);
    (void)state;
    assert_int_equal(dump_reader_create(&r), 0);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_int_equal(item.type, DUMP_FRAME);
    assert_int_equal(id_cmp(item.frame.id, want.id), 0);
    assert_true(span_eq(item.frame.topic, want.topic) && span_eq(item.frame.meta, want.meta));
    assert_true(span_eq(item.frame.origin, want.origin) &&
                span_eq(item.frame.content, want.content));
    assert_true(item.frame.has_seq && item.frame.command && item.frame.has_hash &&
                item.frame.has_content);
    assert_int_equal(item.frame.seq, 1);
    assert_int_equal(item.frame.ttl.kind, TTL_TIME);
    assert_int_equal(item.frame.ttl.value, 5000);
    assert_int_equal(item.frame.stamp, 77);
    assert_true(item.frame.deadline_ms == want.deadline_ms);
    assert_int_equal(item.frame.authority, AUTHORITY_EXEC);
    assert_memory_equal(item.frame.digest, want.digest, DIGEST_SIZE);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(item.type == DUMP_BLOB && item.size == 7 && item.digest[0] == 9 && !item.whole);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(item.type == DUMP_DATA && span_is(item.bytes, "abc") && !item.whole);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(item.type == DUMP_DATA && span_is(item.bytes, "defg") && item.whole);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(item.type == DUMP_FRAME && item.missing && !item.frame.has_content);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_int_equal(item.type, DUMP_END);
    assert_true(dump_ended(r));
    dump_reader_destroy(r);
    buf_finish(&dump);
}

static void test_marks_round_trip(void **state)
{
    struct buf dump = make_marked(true, "a", "ab", false);
    struct span rest = buf_span(&dump);
    struct dump_reader *r;
    struct dump_item item;
    size_t ids = 0, items = 0;
    (void)state;
    assert_int_equal(dump_reader_create(&r), 0);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_int_equal(item.type, DUMP_FRAME);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(item.type == DUMP_MARK && !item.more && span_is(item.name, "a"));
    assert_true(span_is(item.config, "{}") && item.low.hi == 8 && item.acked.len == 0);
    while (dump_next(r, &rest, &item, NULL) == 0 && item.type == DUMP_MARK) {
        assert_true(span_is(item.name, "ab") && item.more == (items > 0));
        assert_int_equal(id_cmp(item.low, ID_MIN), 0);
        for (size_t at = 0; at < item.acked.len; at += ID_SIZE)
            assert_int_equal(id_cmp(id_get(item.acked.ptr + at), many[ids++]), 0);
        items++;
    }
    assert_int_equal(ids, MANY);
    assert_int_equal(items, 3);
    assert_true(item.type == DUMP_END && dump_ended(r));
    dump_reader_destroy(r);
    buf_finish(&dump);
}

static void test_marks_that_are_refused(void **state)
{
    struct buf dumps[] = {make_marked(false, "a", "ab", false), make_marked(true, "ab", "a", false),
                          make_marked(true, "a", "a", false), make_marked(true, "", "a", false),
                          make_marked(true, "a", "b", true)};
    static const char *const why[] = {"unknown type", "order", "order", "add up", "behind a mark"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct span rest = buf_span(&dumps[i]);
        struct dump_reader *r;
        struct dump_item item;
        struct err err = ERR_INIT;
        int rc;
        assert_int_equal(dump_reader_create(&r), 0);
        while ((rc = dump_next(r, &rest, &item, &err)) == 0)
            ;
        assert_int_equal(rc, ERR_INVALID);
        assert_non_null(strstr(err.text, why[i]));
        dump_reader_destroy(r);
        buf_finish(&dumps[i]);
    }
}

/* A frame of a stream, as large as they get, two topics, a mark. */
static struct store_topic topic_sample(const char *name)
{
    return (struct store_topic){.name = span_str(name),
                                .created_ms = 11,
                                .rules = {.retention_ms = 12, .stamp_mode = STAMP_ARRIVAL, .uncapped = true, .empty_after_ms = 13},
                                .note = span_str("a note"),
                                .revision = 14,
                                .next_seq = 15,
                                .last_stamp = 16,
                                .trim = 9,
                                .token = span_str("token")};
}

static struct buf make_topics(bool head, const char *first, const char *second, bool behind_mark)
{
    struct dump_writer *w;
    struct buf out = BUF_INIT, items = BUF_INIT;
    struct frame frame = sample(1);
    CLEAN_BUF content = BUF_INIT;
    struct store_topic a = topic_sample(first), b = topic_sample(second);
    struct store_mark_view mark = {.name = span_str("a"), .config = span_str("{}"), .low = {8, 0}};
    assert_int_equal(buf_reserve(&content, RECORD_CONTENT_MAX), 0);
    memset(content.ptr, 'x', RECORD_CONTENT_MAX);
    frame.content = span_of(content.ptr, RECORD_CONTENT_MAX);
    frame.content_size = RECORD_CONTENT_MAX;
    assert_int_equal(dump_writer_create(&w), 0);
    assert_int_equal(dump_put_head(w, &out, uuid, true, head), 0);
    assert_int_equal(dump_put_frame(w, &out, &frame, false), 0);
    assert_int_equal(dump_topic_item(&items, &a), 0);
    if (!behind_mark)
        assert_int_equal(dump_topic_item(&items, &b), 0);
    assert_int_equal(dump_mark_items(&items, &mark), 0);
    if (behind_mark)
        assert_int_equal(dump_topic_item(&items, &b), 0);
    assert_int_equal(dump_put_rest(w, &out, buf_span(&items)), 0);
    assert_int_equal(dump_put_end(w, &out), 0);
    dump_writer_destroy(w);
    buf_finish(&items);
    return out;
}

static void test_topics(void **state)
{
    struct buf dump = make_topics(true, "a", "ab", false);
    struct span rest = buf_span(&dump);
    struct dump_reader *r;
    struct dump_item item;
    (void)state;
    assert_int_equal(dump_reader_create(&r), 0);
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_int_equal(item.frame.content.len, RECORD_CONTENT_MAX);
    for (size_t i = 0; i < 2; i++) {
        struct store_topic want = topic_sample(i ? "ab" : "a");
        const struct store_topic *got = &item.topic;
        assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
        assert_int_equal(item.type, DUMP_TOPIC);
        assert_true(span_eq(got->name, want.name) && span_eq(got->note, want.note) && span_eq(got->token, want.token));
        assert_int_equal(got->created_ms, 11);
        assert_int_equal(got->rules.retention_ms, 12);
        assert_int_equal(got->rules.empty_after_ms, 13);
        assert_true(got->rules.uncapped && got->rules.stamp_mode == STAMP_ARRIVAL);
        assert_int_equal(got->revision, 14);
        assert_int_equal(got->next_seq, 15);
        assert_int_equal(got->last_stamp, 16);
        assert_int_equal(got->trim, 9);
    }
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(item.type == DUMP_MARK && span_is(item.name, "a")); /* its names begin anew */
    assert_int_equal(dump_next(r, &rest, &item, NULL), 0);
    assert_true(dump_ended(r));
    dump_reader_destroy(r);
    buf_finish(&dump);
}

static int read_fault(struct buf *dump, char text[static ERR_TEXT_SIZE])
{
    struct span rest = buf_span(dump);
    struct dump_reader *r;
    struct dump_item item;
    struct err err = ERR_INIT;
    int rc;
    assert_int_equal(dump_reader_create(&r), 0);
    while ((rc = dump_next(r, &rest, &item, &err)) == 0)
        ;
    memcpy(text, err.text, ERR_TEXT_SIZE);
    dump_reader_destroy(r);
    return rc;
}

static void test_topics_that_are_refused(void **state)
{
    struct buf dumps[] = {make_topics(false, "a", "b", false), make_topics(true, "b", "a", false),
                          make_topics(true, "a", "a", false), make_topics(true, "", "a", false),
                          make_topics(true, "a", "b", true)};
    static const char *const why[] = {"unknown type", "topics out of order", "topics out of order", "does not fit",
                                      "topics behind a mark"};
    static const struct {
        size_t at;
        uint8_t value;
    } faults[] = {{2, TOKEN_MAX + 1}, {3, 9}, {4, 2}, {5, 1}, {6, 0xff}, {56, 0xff}};
    char text[ERR_TEXT_SIZE];
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(read_fault(&dumps[i], text), ERR_INVALID);
        assert_non_null(strstr(text, why[i]));
        buf_finish(&dumps[i]);
    }
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct buf dump = make_topics(true, "a", "b", false);
        uint8_t *item = memmem(dump.ptr, dump.len, "a note", 6);
        assert_non_null(item);
        item -= 5 + 1 + 64; /* token, name, head */
        item[faults[i].at] = faults[i].value;
        assert_int_equal(read_fault(&dump, text), ERR_INVALID);
        assert_non_null(strstr(text, "does not fit"));
        buf_finish(&dump);
    }
}

static void test_cut_anywhere_has_no_end(void **state)
{
    struct buf dump = make_dump();
    bool ended;
    (void)state;
    for (size_t len = 0; len < dump.len; len++) {
        assert_int_equal(read_all(span_of(dump.ptr, len), &ended), ERR_END);
        assert_false(ended);
    }
    assert_int_equal(read_all(buf_span(&dump), &ended), ERR_END);
    assert_true(ended);
    buf_finish(&dump);
}

/* A byte that is changed is noticed, at the latest by the checksum at the end. */
static void test_any_changed_byte_is_noticed(void **state)
{
    struct buf dump = make_dump();
    bool ended;
    (void)state;
    for (size_t i = 0; i < dump.len; i++) {
        dump.ptr[i] ^= 0x10;
        read_all(buf_span(&dump), &ended);
        assert_false(ended);
        dump.ptr[i] ^= 0x10;
    }
    buf_finish(&dump);
}

static void test_bytes_behind_the_end(void **state)
{
    struct buf dump = make_dump();
    bool ended;
    (void)state;
    assert_int_equal(buf_add_str(&dump, "x"), 0);
    assert_int_equal(read_all(buf_span(&dump), &ended), ERR_INVALID);
    buf_finish(&dump);
}

static void test_frames_out_of_order(void **state)
{
    struct dump_writer *w;
    CLEAN_BUF out = BUF_INIT;
    struct frame first = sample(2), second = sample(1);
    bool ended;
    (void)state;
    assert_int_equal(dump_writer_create(&w), 0);
    assert_int_equal(dump_put_head(w, &out, uuid, false, false), 0);
    assert_int_equal(dump_put_frame(w, &out, &first, false), 0);
    assert_int_equal(dump_put_frame(w, &out, &second, false), 0);
    dump_writer_destroy(w);
    assert_int_equal(read_all(buf_span(&out), &ended), ERR_INVALID);
}

static void test_newer_versions_say_so(void **state)
{
    struct buf dump = make_dump();
    struct span rest = buf_span(&dump);
    struct dump_reader *r;
    struct dump_item item;
    struct err err = ERR_INIT;
    (void)state;
    dump.ptr[11] = 4;
    assert_int_equal(dump_reader_create(&r), 0);
    assert_int_equal(dump_next(r, &rest, &item, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "version 4"));
    dump_reader_destroy(r);
    buf_finish(&dump);
}

static void test_a_frame_over_the_limit(void **state)
{
    struct dump_writer *w;
    CLEAN_BUF out = BUF_INIT;
    struct frame f = sample(1);
    uint8_t *large = calloc(1, DUMP_BODY_MAX);
    (void)state;
    assert_non_null(large);
    f.meta = span_of(large, DUMP_BODY_MAX);
    assert_int_equal(dump_writer_create(&w), 0);
    assert_int_equal(dump_put_frame(w, &out, &f, false), ERR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    dump_writer_destroy(w);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_marks_round_trip),
        cmocka_unit_test(test_marks_that_are_refused),
        cmocka_unit_test(test_cut_anywhere_has_no_end),
        cmocka_unit_test(test_any_changed_byte_is_noticed),
        cmocka_unit_test(test_bytes_behind_the_end),
        cmocka_unit_test(test_frames_out_of_order),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_topics_that_are_refused),
        cmocka_unit_test(test_newer_versions_say_so),
        cmocka_unit_test(test_a_frame_over_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
