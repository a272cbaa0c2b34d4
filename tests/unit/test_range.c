/*
 * HTTP byte ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"

static const struct {
    const char *text;
    uint64_t size;
    int rc;
    uint64_t start;
    uint64_t len;
} cases[] = {
    {"bytes=0-0", 10, 0, 0, 1},
    {"bytes=0-9", 10, 0, 0, 10},
    {"bytes=0-10", 10, 0, 0, 10},
    {"bytes=2-5", 10, 0, 2, 4},
    {"bytes=9-9", 10, 0, 9, 1},
    {"bytes=3-", 10, 0, 3, 7},
    {"bytes=0-", 1, 0, 0, 1},
    {"bytes=-3", 10, 0, 7, 3},
    {"bytes=-10", 10, 0, 0, 10},
    {"bytes=-11", 10, 0, 0, 10},
    {"bytes=-99999999999999999999999", 10, 0, 0, 10},
    {"bytes=5-99999999999999999999999", 10, 0, 5, 5},
    {"Bytes=2-5", 10, 0, 2, 4},
    {" bytes= 2-5 ", 10, 0, 2, 4},
    {"bytes=1-18446744073709551615", UINT64_MAX, 0, 1, UINT64_MAX - 1},
    {"bytes=18446744073709551614-", UINT64_MAX, 0, UINT64_MAX - 1, 1},
    {"bytes=10-", 10, ERR_RANGE, 0, 0},
    {"bytes=10-20", 10, ERR_RANGE, 0, 0},
    {"bytes=99999999999999999999999-", 10, ERR_RANGE, 0, 0},
    {"bytes=-0", 10, ERR_RANGE, 0, 0},
    {"bytes=-1", 0, ERR_RANGE, 0, 0},
    {"bytes=0-", 0, ERR_RANGE, 0, 0},
    {"bytes=0-0", 0, ERR_RANGE, 0, 0},
    {"", 10, ERR_INVALID, 0, 0},
    {"bytes", 10, ERR_INVALID, 0, 0},
    {"bytes=", 10, ERR_INVALID, 0, 0},
    {"bytes=-", 10, ERR_INVALID, 0, 0},
    {"bytes=5", 10, ERR_INVALID, 0, 0},
    {"bytes=5-2", 10, ERR_INVALID, 0, 0},
    {"bytes=20-15", 10, ERR_INVALID, 0, 0},
    {"bytes=a-b", 10, ERR_INVALID, 0, 0},
    {"bytes=1-b", 10, ERR_INVALID, 0, 0},
    {"bytes=1 - 2", 10, ERR_INVALID, 0, 0},
    {"bytes=--1", 10, ERR_INVALID, 0, 0},
    {"bytes=1--2", 10, ERR_INVALID, 0, 0},
    {"bytes=+1-2", 10, ERR_INVALID, 0, 0},
    {"bytes=0-1,3-4", 10, ERR_INVALID, 0, 0},
    {"bytes=0-1,", 10, ERR_INVALID, 0, 0},
    {"bytes 0-1", 10, ERR_INVALID, 0, 0},
    {"lines=0-1", 10, ERR_INVALID, 0, 0},
    {"0-1", 10, ERR_INVALID, 0, 0},
};

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t start = 77;
        uint64_t len = 78;
        int rc = range_parse(span_str(cases[i].text), cases[i].size, &start, &len);
        if (rc != cases[i].rc)
            fail_msg("%s over %llu: %d", cases[i].text, (unsigned long long)cases[i].size, rc);
        assert_true(start == (rc == 0 ? cases[i].start : 77));
        assert_true(len == (rc == 0 ? cases[i].len : 78));
    }
}

/* Every small range against a count done by hand. */
static void test_small_ranges(void **state)
{
    (void)state;
    for (uint64_t size = 1; size <= 6; size++) {
        for (uint64_t a = 0; a <= 8; a++) {
            for (uint64_t b = a; b <= 8; b++) {
                char text[64];
                snprintf(text, sizeof(text), "bytes=%d-%d", (int)a, (int)b);
                uint64_t expected = 0;
                for (uint64_t at = 0; at < size; at++)
                    expected += at >= a && at <= b;
                uint64_t start = 0;
                uint64_t len = 0;
                int rc = range_parse(span_str(text), size, &start, &len);
                assert_int_equal(rc, expected > 0 ? 0 : ERR_RANGE);
                assert_true(len == expected && (rc < 0 || start == a));
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_small_ranges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
