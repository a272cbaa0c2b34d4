/* Usage by the minute, hour and day. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/s2/usage.h"

#define DAY0 UINT64_C(1700006400) /* a midnight */

struct sums {
    uint64_t at[64], sum[64];
    size_t count;
};

static int keep(void *arg, uint64_t at, uint64_t sum)
{
    struct sums *s = arg;
    assert_true(s->count < 64);
    s->at[s->count] = at;
    s->sum[s->count++] = sum;
    return 0;
}

static struct sums sums_of(const struct usage *u, unsigned series, uint64_t start, uint64_t end, uint32_t interval)
{
    struct sums s = {.count = 0};
    assert_int_equal(usage_each(u, series, start, end, interval, keep, &s), 0);
    return s;
}

static void test_minutes_and_hours(void **state)
{
    (void)state;
    struct usage u = {0};
    usage_add(&u, USAGE_APPEND_BYTES, 10, DAY0 + 5);
    usage_add(&u, USAGE_APPEND_BYTES, 20, DAY0 + 59);
    usage_add(&u, USAGE_APPEND_OPS, 1, DAY0 + 59);
    usage_add(&u, USAGE_APPEND_BYTES, 40, DAY0 + 60);
    usage_add(&u, USAGE_APPEND_BYTES, 80, DAY0 + 3600);
    usage_add(&u, USAGE_APPEND_BYTES, 160, DAY0 + 86400);
    struct sums m = sums_of(&u, USAGE_APPEND_BYTES, DAY0, DAY0 + 90000, USAGE_MINUTE);
    assert_int_equal(m.count, 4);
    assert_true(m.at[0] == DAY0 && m.sum[0] == 30);
    assert_true(m.at[1] == DAY0 + 60 && m.sum[1] == 40);
    assert_true(m.at[3] == DAY0 + 86400 && m.sum[3] == 160);
    struct sums h = sums_of(&u, USAGE_APPEND_BYTES, DAY0, DAY0 + 90000, USAGE_HOUR);
    assert_int_equal(h.count, 3);
    assert_true(h.at[0] == DAY0 && h.sum[0] == 70 && h.sum[1] == 80);
    struct sums d = sums_of(&u, USAGE_APPEND_BYTES, DAY0, DAY0 + 90000, USAGE_DAY);
    assert_int_equal(d.count, 2);
    assert_true(d.sum[0] == 150 && d.at[1] == DAY0 + 86400 && d.sum[1] == 160);
    assert_int_equal(sums_of(&u, USAGE_APPEND_OPS, DAY0, DAY0 + 90000, USAGE_DAY).sum[0], 1);
    assert_int_equal(sums_of(&u, USAGE_READ_UNARY, DAY0, DAY0 + 90000, USAGE_DAY).count, 0);
    usage_finish(&u);
}

static void test_range(void **state)
{
    (void)state;
    struct usage u = {0};
    for (uint64_t i = 0; i < 10; i++)
        usage_add(&u, 1, 1, DAY0 + i * 60);
    assert_int_equal(sums_of(&u, 1, DAY0 + 120, DAY0 + 240, USAGE_MINUTE).count, 3);
    assert_int_equal(sums_of(&u, 1, DAY0 + 150, DAY0 + 150, USAGE_MINUTE).count, 1); /* it lies in one */
    assert_int_equal(sums_of(&u, 1, DAY0 + 600, DAY0 + 900, USAGE_MINUTE).count, 0);
    assert_int_equal(sums_of(&u, 1, 0, DAY0 - 1, USAGE_MINUTE).count, 0);
    assert_true(usage_any(&u, DAY0, DAY0));
    assert_false(usage_any(&u, 0, DAY0 - 1));
    usage_finish(&u);
}

static void test_nothing(void **state)
{
    (void)state;
    struct usage u = {0};
    usage_add(&u, USAGE_SERIES, 1, DAY0); /* no such series */
    usage_add(&u, 1, 0, DAY0);
    assert_false(usage_any(&u, 0, UINT32_MAX));
    assert_int_equal(sums_of(&u, USAGE_SERIES, 0, UINT32_MAX, USAGE_DAY).count, 0);
    usage_finish(&u);
}

static void test_clock_put_back(void **state)
{
    (void)state;
    struct usage u = {0};
    usage_add(&u, 1, 1, DAY0 + 600);
    usage_add(&u, 1, 2, DAY0);
    struct sums m = sums_of(&u, 1, 0, DAY0 + 9000, USAGE_MINUTE);
    assert_int_equal(m.count, 1);
    assert_true(m.at[0] == DAY0 + 600 && m.sum[0] == 3);
    usage_finish(&u);
}

/* Three months of every minute: what is kept stays bounded, the newest is there, sums of hours go back further. */
static void test_bounds(void **state)
{
    (void)state;
    struct usage u = {0};
    uint64_t minutes = 95 * 24 * 60;
    for (uint64_t i = 0; i < minutes; i++)
        for (unsigned series = USAGE_OPS; series < USAGE_SERIES; series++)
            usage_add(&u, series, 1, DAY0 + i * 60);
    assert_true(u.minutes.cap <= USAGE_POINTS && u.hours.cap <= USAGE_POINTS);
    uint64_t end = DAY0 + minutes * 60;
    assert_int_equal(sums_of(&u, USAGE_READ_BYTES, end - 1800, end, USAGE_MINUTE).count, 30);
    struct sums d = sums_of(&u, USAGE_READ_BYTES, end - 48 * 86400, end, USAGE_DAY);
    assert_int_equal(d.count, 48);
    assert_int_equal(d.sum[0], 1440);
    usage_finish(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minutes_and_hours), cmocka_unit_test(test_range), cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_clock_put_back),    cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
