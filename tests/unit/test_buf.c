/*
 * The growing buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <errno.h>

#include "base/buf.h"

static void test_starts_empty_and_grows(void **state)
{
    (void)state;
    CLEAN_BUF buf = BUF_INIT;
    for (int i = 0; i < 10000; i++) {
        uint8_t byte = (uint8_t)i;
        assert_int_equal(buf_add(&buf, &byte, 1), 0);
    }
    assert_int_equal(buf.len, 10000);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf.ptr[i], (uint8_t)i);
}

static void test_add_forms(void **state)
{
    (void)state;
    CLEAN_BUF buf = BUF_INIT;
    assert_int_equal(buf_add_str(&buf, "one "), 0);
    assert_int_equal(buf_add_span(&buf, span_str("two ")), 0);
    assert_int_equal(buf_add_span(&buf, (struct span){NULL, 0}), 0);
    assert_int_equal(buf_add(&buf, NULL, 0), 0);
    assert_int_equal(buf_addf(&buf, "%d %s", 3, "four"), 0);
    assert_string_equal(buf_cstr(&buf), "one two 3 four");
    assert_int_equal(buf.len, 14);
    assert_true(span_is(buf_span(&buf), "one two 3 four"));
}

static void test_addf_longer_than_the_room(void **state)
{
    (void)state;
    CLEAN_BUF buf = BUF_INIT;
    assert_int_equal(buf_addf(&buf, "%0500d", 7), 0);
    assert_int_equal(buf.len, 500);
    assert_int_equal(buf.ptr[499], '7');
}

static void test_trim(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    buf_trim(&buf); /* nothing to give back */
    assert_int_equal(buf_reserve(&buf, 4096), 0);
    assert_int_equal(buf_add_str(&buf, "kept"), 0);
    buf_trim(&buf);
    assert_int_equal(buf.cap, 4);
    assert_memory_equal(buf.ptr, "kept", 4);
    assert_int_equal(buf_add_str(&buf, " and more"), 0);
    assert_memory_equal(buf.ptr, "kept and more", 13);
    buf_finish(&buf);
}

static void test_consume(void **state)
{
    (void)state;
    CLEAN_BUF buf = BUF_INIT;
    buf_add_str(&buf, "abcdef");
    buf_consume(&buf, 0);
    buf_consume(&buf, 2);
    assert_true(span_is(buf_span(&buf), "cdef"));
    buf_consume(&buf, 4);
    assert_int_equal(buf.len, 0);
}

static void test_copy(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    char got[8] = "";
    size_t at = 0;
    assert_int_equal(buf_copy(&buf, &at, got, sizeof(got)), 0);
    assert_int_equal(buf_add_str(&buf, "abcde"), 0);
    assert_int_equal(buf_copy(&buf, &at, got, 3), 3);
    assert_int_equal(at, 3);
    assert_int_equal(buf_copy(&buf, &at, got + 3, 3), 2);
    assert_string_equal(got, "abcde");
    assert_int_equal(buf_copy(&buf, &at, got, 8), 0);
    buf_finish(&buf);
}

static void test_impossible_sizes_change_nothing(void **state)
{
    (void)state;
    CLEAN_BUF buf = BUF_INIT;
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -ENOMEM);
    assert_null(buf.ptr);
    buf_add_str(&buf, "kept");
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -ENOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 3), -ENOMEM);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2), -ENOMEM);
    assert_true(span_is(buf_span(&buf), "kept"));
}

static void test_reserve_lets_put_follow(void **state)
{
    (void)state;
    CLEAN_BUF buf = BUF_INIT;
    assert_int_equal(buf_reserve(&buf, 100), 0);
    const uint8_t *ptr = buf.ptr;
    for (int i = 0; i < 100; i++)
        buf_put(&buf, 'x');
    assert_ptr_equal(buf.ptr, ptr);
    assert_int_equal(buf.len, 100);
}

static void test_reset_keeps_finish_frees(void **state)
{
    (void)state;
    struct buf buf = BUF_INIT;
    buf_finish(&buf);
    buf_add_str(&buf, "text");
    size_t cap = buf.cap;
    buf_reset(&buf);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf.cap, cap);
    buf_finish(&buf);
    assert_null(buf.ptr);
    assert_int_equal(buf_add_str(&buf, "again"), 0);
    buf_finish(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_empty_and_grows),
        cmocka_unit_test(test_add_forms),
        cmocka_unit_test(test_addf_longer_than_the_room),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_consume),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_impossible_sizes_change_nothing),
        cmocka_unit_test(test_reserve_lets_put_follow),
        cmocka_unit_test(test_reset_keeps_finish_frees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
