/*
 * What is left of an end mark at a file's end: a frame over it that is shorter, of each size there can be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "bridge/ss_rest.h"
#include "tests/unit/ss_model.h"

#define MARK 56 /* bytes of an end mark */

/* A file whose end mark a frame with `size` bytes of payload was written over. `end`: where that frame ends. */
static void make(struct buf *out, size_t size, uint64_t *end)
{
    static const uint8_t payload[MARK];
    struct ss_pack p;
    struct ss_header h = {.interval = SS_INTERVAL_DEFAULT};
    struct ss_message m = {.key = span_str("k"), .seq = 1, .payload = span_str("first")};
    CLEAN_BUF second = BUF_INIT;
    ss_pack_begin(&p, h.interval, SS_HEADER_SIZE);
    assert_int_equal(ss_pack_header(&p, &h, out), 0);
    assert_int_equal(ss_pack_message(&p, &m, out, NULL), 0);
    uint64_t at = p.offset;
    assert_int_equal(ss_pack_end(&p, 1795290000000, out, NULL), 0);
    assert_int_equal(p.offset - at, MARK);
    m = (struct ss_message){.key = span_str("k"), .seq = 2, .payload = span_of(payload, size)};
    assert_int_equal(ss_pack_message(&p, &m, &second, NULL), 0);
    assert_true(second.len < MARK);
    memcpy(out->ptr + at, second.ptr, second.len);
    *end = at + second.len;
    ss_pack_finish(&p);
}

static void test_each_rest(void **state)
{
    (void)state;
    for (size_t size = 0; size < SS_MARK_REST; size++) {
        CLEAN_BUF file = BUF_INIT;
        uint64_t end, found;
        bool ended;
        make(&file, size, &end);
        struct model_bytes bytes = {.file = buf_span(&file)};
        struct ss_bytes f = model_file(&bytes, SS_INTERVAL_DEFAULT);
        assert_true(ss_ends_in_mark_rest(&f, end));
        assert_false(ss_ends_in_mark_rest(&f, end - 1 - (SS_MARK_REST - (file.len - end))));
        assert_int_equal(ss_find_end(&f, &found, &ended, NULL), 0);
        assert_int_equal(found, end);
        assert_false(ended);
    }
}

static void test_other_bytes(void **state)
{
    (void)state;
    static const uint8_t other[] = {0, 0, 0, 3, 'E', 'O', 'T', 0xed, 0x7c, 0x0d}, zeros[SS_MARK_REST];
    assert_false(ss_is_mark_rest((struct span){0}));
    assert_false(ss_is_mark_rest(span_of(other, sizeof other)));
    assert_false(ss_is_mark_rest(span_of(zeros, sizeof zeros)));
    assert_true(ss_is_mark_rest(span_of(other + 7, 3)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_rest),
        cmocka_unit_test(test_other_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
