/*
 * Times: writing, durations, moments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "base/text.h"

#define NOW UINT64_C(1785966646158)

static void check_format(uint64_t ms, const char *expected)
{
    char text[TIME_TEXT_MAX];
    time_format(text, ms);
    assert_string_equal(text, expected);
}

static void test_format(void **state)
{
    (void)state;
    check_format(0, "1970-01-01T00:00:00+00:00");
    check_format(1, "1970-01-01T00:00:00.001+00:00");
    check_format(1767323045678, "2026-01-02T03:04:05.678+00:00");
    check_format(1767323045000, "2026-01-02T03:04:05+00:00");
    check_format(1767323045010, "2026-01-02T03:04:05.010+00:00");
    check_format(951782400000, "2000-02-29T00:00:00+00:00");
    check_format(951868799999, "2000-02-29T23:59:59.999+00:00");
    check_format(4107542400000, "2100-03-01T00:00:00+00:00");
    check_format(253402300799999, "9999-12-31T23:59:59.999+00:00");
    check_format(253402300800000, "+10000-01-01T00:00:00+00:00");
    check_format((UINT64_C(1) << 48) - 1, "+10889-08-02T05:31:50.655+00:00");
}

static void test_format_agrees_with_libc(void **state)
{
    (void)state;
    for (uint64_t day = 0; day < 60000; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        char expected[TIME_TEXT_MAX];
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S+00:00", &tm);
        check_format((uint64_t)seconds * 1000, expected);
    }
}

static void test_longest_fits(void **state)
{
    (void)state;
    char text[TIME_TEXT_MAX];
    time_format(text, UINT64_MAX);
    assert_true(strlen(text) < TIME_TEXT_MAX);
    assert_int_equal(text[0], '+');
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {
        {"0s", 0},
        {"500ms", 500},
        {"90s", 90000},
        {"10m", 600000},
        {"2h", 7200000},
        {"1d", 86400000},
        {"1w", 604800000},
        {"1h30m", 5400000},
        {"1m500ms", 60500},
        {"1d2h3m4s5ms", 93784005},
        {"18446744073709551615ms", UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t ms = 1;
        assert_int_equal(time_parse_duration(span_str(good[i].text), &ms, NULL), 0);
        assert_true(ms == good[i].ms);
    }
    static const char *const bad[] = {"",
                                      "10",
                                      "m",
                                      "10 m",
                                      "-1m",
                                      "+1m",
                                      "1.5h",
                                      "10M",
                                      "10min",
                                      "1h30",
                                      "1h-30m",
                                      " 1m",
                                      "1m ",
                                      "1y",
                                      "18446744073709551616ms",
                                      "30500568904944w",
                                      "18446744073709551615ms1ms"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ms = 1;
        struct err err = ERR_INIT;
        if (time_parse_duration(span_str(bad[i]), &ms, &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, "1h30m"));
        assert_true(ms == 1);
    }
}

static void check_moment(const char *text, uint64_t expected)
{
    uint64_t ms = 1;
    struct err err = ERR_INIT;
    if (time_parse_moment(span_str(text), NOW, &ms, &err) != 0)
        fail_msg("refused: %s: %s", text, err.text);
    if (ms != expected)
        fail_msg("%s: %llu, not %llu", text, (unsigned long long)ms, (unsigned long long)expected);
}

static void test_moment(void **state)
{
    (void)state;
    check_moment("now", NOW);
    check_moment("10m", NOW - 600000);
    check_moment("0s", NOW);
    check_moment("100000w", 0);
    check_moment("@0", 0);
    check_moment("@1700000000", 1700000000000);
    check_moment("@1700000000.5", 1700000000500);
    check_moment("@1700000000.123456789", 1700000000123);
    check_moment("2026-01-02T03:04:05.678Z", 1767323045678);
    check_moment("2026-01-02t03:04:05.6789z", 1767323045678);
    check_moment("2026-01-02 03:04:05Z", 1767323045000);
    check_moment("2026-01-02T03:04:05.678+00:00", 1767323045678);
    check_moment("2026-01-02T05:34:05+02:30", 1767323045000);
    check_moment("2026-01-01T22:04:05-05:00", 1767323045000);
    check_moment("2026-01-02T03:04Z", 1767323040000);
    check_moment("2016-12-31T23:59:60Z", 1483228800000);
    check_moment("2000-02-29T00:00:00Z", 951782400000);
    check_moment("1970-01-01T00:00:00Z", 0);
    check_moment("1969-12-31T23:00:00-01:00", 0);
    check_moment("9999-12-31T23:59:59.999Z", 253402300799999);
}

static void set_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

static void test_local_time(void **state)
{
    (void)state;
    set_zone("UTC0");
    check_moment("2026-01-02", 1767312000000);
    check_moment("2026-01-02T03:04:05", 1767323045000);
    /* An hour east of Greenwich, two in summer. */
    set_zone("CET-1CEST,M3.5.0,M10.5.0/3");
    check_moment("2026-01-02", 1767308400000);
    check_moment("2026-01-02 04:04:05.5", 1767323045500);
    check_moment("2026-07-01T12:00", 1782900000000);
    set_zone("UTC0");
}

static void test_moment_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "yesterday",
        "Now",
        "1700000000",
        "@",
        "@-1",
        "@1.",
        "@1.5x",
        "@18446744073709551615",
        "2026",
        "2026-01",
        "2026-1-2",
        "2026-13-01",
        "2026-00-01",
        "2026-01-00",
        "2026-01-32",
        "2026-02-29",
        "1900-02-29",
        "2026-01-02T",
        "2026-01-02T03",
        "2026-01-02T24:00Z",
        "2026-01-02T03:60Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05+2:00",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05Z ",
        "2026-01-02T03:04:05ZZ",
        "2026-01-02Z",
        "20260102",
        "1969-12-31T00:00:00Z",
        "1970-01-01T00:00:00+01:00",
        "-10m",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ms = 1;
        struct err err = ERR_INIT;
        if (time_parse_moment(span_str(bad[i]), NOW, &ms, &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, "such as"));
        assert_true(ms == 1);
    }
}

static void test_format_comes_back(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < UINT64_C(253402300800000); ms += UINT64_C(2534023007) * 100 + 77) {
        char text[TIME_TEXT_MAX];
        time_format(text, ms);
        check_moment(text, ms);
    }
}

static void test_clocks(void **state)
{
    (void)state;
    uint64_t mono = time_mono_us();
    assert_true(time_now_ms() > UINT64_C(1700000000000));
    assert_true(time_mono_us() >= mono);
    assert_true((uint64_t)time(NULL) * 1000 <= time_now_ms() + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),         cmocka_unit_test(test_format_agrees_with_libc),
        cmocka_unit_test(test_longest_fits),   cmocka_unit_test(test_duration),
        cmocka_unit_test(test_moment),         cmocka_unit_test(test_local_time),
        cmocka_unit_test(test_moment_refused), cmocka_unit_test(test_format_comes_back),
        cmocka_unit_test(test_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
