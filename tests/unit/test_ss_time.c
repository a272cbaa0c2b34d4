/*
 * Times of the SeaStreamer dialect: writing, reading, both against each other and against the C library.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "bridge/message.h"

static void check_write(uint64_t ms, uint32_t ns, const char *expected)
{
    char text[SS_TIME_TEXT];
    size_t len = ss_time_write(text, ms, ns);
    assert_true(len <= sizeof(text));
    if (!span_is(span_of(text, len), expected))
        fail_msg("%.*s, not %s", (int)len, text, expected);
    assert_int_equal(ss_time_write_seconds(text, ms), 19);
    assert_memory_equal(text, expected, 19);
}

static void test_write(void **state)
{
    (void)state;
    check_write(0, 0, "1970-01-01T00:00:00.0");
    check_write(1640995200000, 0, "2022-01-01T00:00:00.0");
    check_write(1640995200500, 0, "2022-01-01T00:00:00.5");
    check_write(1640995200120, 0, "2022-01-01T00:00:00.12");
    check_write(1640995200007, 0, "2022-01-01T00:00:00.007");
    check_write(1640995200007, 1, "2022-01-01T00:00:00.007000001");
    check_write(1640995200000, 999999, "2022-01-01T00:00:00.000999999");
    check_write(1640995200000, 120000, "2022-01-01T00:00:00.00012");
    check_write(1640995200100, 500000, "2022-01-01T00:00:00.1005");
    check_write(951868799999, 999999, "2000-02-29T23:59:59.999999999");
    check_write(4107542400000, 0, "2100-03-01T00:00:00.0");
    check_write(SS_TIME_MAX, 0, "9999-12-31T23:59:59.999");
    /* Nothing later has a form; it stays what it can be. */
    check_write(UINT64_MAX, 0, "9999-12-31T23:59:59.999");
}

static void test_write_agrees_with_libc(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 2932896; day += 17) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char expected[40];
        char text[SS_TIME_TEXT];
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S", &tm);
        ss_time_write_seconds(text, (uint64_t)seconds * 1000 + 999);
        assert_memory_equal(text, expected, 19);
    }
}

static void check_parse(const char *text, uint64_t ms, uint32_t ns)
{
    uint64_t got_ms = 1;
    uint32_t got_ns = 1;
    if (ss_time_parse(span_str(text), &got_ms, &got_ns) != 0)
        fail_msg("refused: %s", text);
    if (got_ms != ms || got_ns != ns)
        fail_msg("%s: %llu ms, %u ns", text, (unsigned long long)got_ms, got_ns);
}

static void test_parse(void **state)
{
    (void)state;
    check_parse("1970-01-01T00:00:00", 0, 0);
    check_parse("2022-01-01T00:00:00", 1640995200000, 0);
    check_parse("+2022-01-01T00:00:00.0", 1640995200000, 0);
    check_parse("2022-01-01T00:00:00.5", 1640995200500, 0);
    check_parse("2022-01-01T00:00:00.123456789", 1640995200123, 456789);
    check_parse("2022-01-01T00:00:00.1234567899999999999999", 1640995200123, 456789);
    check_parse("2022-01-01T00:00:00.000000001", 1640995200000, 1);
    check_parse("2000-02-29T23:59:59.999", 951868799999, 0);
    check_parse("2024-02-29T00:00:00", 1709164800000, 0);
    check_parse("9999-12-31T23:59:59.999999999", SS_TIME_MAX, 999999);
}

static const char *const refused[] = {
    "", "+", "2022-01-01", "2022-01-01T00:00", "2022-01-01T00:00:0", "2022-01-01 00:00:00", "2022-01-01t00:00:00",
    "2022-01-01T00:00:00Z", "2022-01-01T00:00:00+00:00", "2022-01-01T00:00:00.", "2022-01-01T00:00:00.x", "2022-01-01T00:00:00.1x",
    "2022-01-01T00:00:00.1234567890x", "2022-01-01T00:00:00,5", " 2022-01-01T00:00:00", "2022-01-01T00:00:00 ", "2022-02-29T00:00:00",
    "2022-02-30T00:00:00", "1900-02-29T00:00:00", "2100-02-29T00:00:00", "2022-00-01T00:00:00", "2022-13-01T00:00:00", "2022-01-00T00:00:00",
    "2022-01-32T00:00:00", "2022-04-31T00:00:00", "2022-01-01T24:00:00", "2022-01-01T00:60:00", "2022-01-01T00:00:60",
    "2022-1-01T00:00:00", "2022-01-1T00:00:00", "2022-01-01T0:00:00", "20222-01-01T00:00:00", "-2022-01-01T00:00:00",
    "++2022-01-01T00:00:00", "1969-12-31T23:59:59", "0000-01-01T00:00:00", "2022/01/01T00:00:00", "2022-01/01T00:00:00",
    "2022-01-01T00-00:00", "2022-01-01T00:00-00", "202a-01-01T00:00:00", "2a22-01-01T00:00:00", "2022-0a-01T00:00:00",
    "2022-01-0aT00:00:00", "2022-01-01T0a:00:00", "2022-01-01T00:0a:00", "2022-01-01T00:00:0a", "99999999999999999999",
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        uint64_t ms = 1;
        uint32_t ns = 2;
        /* With another day kept before, and with the good one. */
        check_parse(i % 2 ? "2022-01-01T00:00:00" : "2021-01-01T00:00:00", i % 2 ? 1640995200000 : 1609459200000, 0);
        if (ss_time_parse(span_str(refused[i]), &ms, &ns) != ERR_INVALID)
            fail_msg("accepted: %s", refused[i]);
        assert_true(ms == 1 && ns == 2);
    }
}

static void test_comes_back(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms <= SS_TIME_MAX; ms += UINT64_C(2534023007) + 77) {
        char text[SS_TIME_TEXT];
        uint64_t again;
        uint32_t ns = (uint32_t)(ms % 1000000);
        uint32_t ns_again;
        size_t len = ss_time_write(text, ms, ns);
        assert_int_equal(ss_time_parse(span_of(text, len), &again, &ns_again), 0);
        assert_true(again == ms && ns_again == ns);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write), cmocka_unit_test(test_write_agrees_with_libc), cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
