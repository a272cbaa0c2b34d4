/*
 * What a frame's meta keeps of a message that came from elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "bridge/meta.h"

#define DAY_2022 UINT64_C(1640995200000)

static struct ss_message silent(const char *meta)
{
    return (struct ss_message){.key = span_str("k"), .meta = span_str(meta), .no_seq = true, .no_time = true};
}

static struct ss_message saying(const char *meta, uint64_t seq, uint64_t shard, uint64_t ms)
{
    struct ss_message m = silent(meta);
    m.no_seq = m.no_time = false;
    m.seq = seq;
    m.shard = shard;
    m.time_ms = ms;
    return m;
}

static void check_write(struct ss_message m, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(buf_add_str(&out, "x"), 0);
    assert_int_equal(ss_meta_write(&out, &m), 0);
    struct span added = span_of(out.ptr + 1, out.len - 1);
    if (!span_is(added, expected))
        fail_msg("%.*s, not %s", SPAN_ARG(added), expected);
    assert_true(added.len == 0 || json_validate(added, 1024, NULL, NULL) == 0);
}

#define THREE "\"ss-seq\":\"5\",\"ss-shard\":\"4\",\"ss-time\":\"2022-01-01T00:00:00.123\"}"

static void test_write(void **state)
{
    (void)state;
    check_write(silent(NULL), "");
    check_write(silent("null"), "");
    check_write(silent("{\"a\":1}"), "{\"a\":1}");
    check_write(silent("[1]"), "[1]");
    check_write(saying(NULL, 5, 4, DAY_2022 + 123), "{" THREE);
    check_write(saying("null", 5, 4, DAY_2022 + 123), "{" THREE);
    check_write(saying("{}", 5, 4, DAY_2022 + 123), "{" THREE);
    check_write(saying("{\"a\":{\"ss-seq\":1}}", 5, 4, DAY_2022 + 123), "{\"a\":{\"ss-seq\":1}," THREE);
    check_write(saying("{\"ss-seq\":\"9\",\"a\":1,\"ss-time\":[],\"ss-shard\":{}}", 5, 4, DAY_2022 + 123), "{\"a\":1," THREE);
    check_write(saying("{\"\\u0073s-seq\":\"9\"}", 5, 4, DAY_2022 + 123), "{" THREE);
    check_write(saying("[1,2]", 5, 4, DAY_2022 + 123), "{\"xs-meta\":[1,2]," THREE);
    check_write(saying("\"t\"", 5, 4, DAY_2022 + 123), "{\"xs-meta\":\"t\"," THREE);
    check_write(saying(NULL, UINT64_MAX, 0, 0), "{\"ss-seq\":\"18446744073709551615\",\"ss-time\":\"1970-01-01T00:00:00.0\"}");
}

static void test_write_parts(void **state)
{
    (void)state;
    struct ss_message m = silent("{\"ss-seq\":\"7\"}");
    m.no_time = false;
    m.time_ms = DAY_2022;
    m.time_ns = 5;
    check_write(m, "{\"ss-seq\":\"7\",\"ss-time\":\"2022-01-01T00:00:00.000000005\"}");
    m = silent(NULL);
    m.shard = 3;
    check_write(m, "{\"ss-shard\":\"3\"}");
    m = silent(NULL);
    m.no_seq = false;
    check_write(m, "{\"ss-seq\":\"0\"}");
}

static void check_read(const char *meta, const char *left, uint64_t seq, uint64_t shard, uint64_t ms)
{
    CLEAN_BUF scratch = BUF_INIT;
    struct ss_message m = silent(NULL);
    m.seq = 77;
    m.time_ms = 99;
    assert_int_equal(buf_add_str(&scratch, "of another message"), 0);
    assert_int_equal(ss_meta_read(&m, span_str(meta), &scratch), 0);
    if (!span_is(m.meta, left))
        fail_msg("%s: %.*s is left", meta, SPAN_ARG(m.meta));
    if (m.seq != seq || m.shard != shard || m.time_ms != ms || m.no_seq != (seq == 77) || m.no_time != (ms == 99))
        fail_msg("%s: %llu %llu %llu", meta, (unsigned long long)m.seq, (unsigned long long)m.shard, (unsigned long long)m.time_ms);
}

static void test_read(void **state)
{
    (void)state;
    check_read("", "", 77, 0, 99);
    check_read("null", "", 77, 0, 99);
    check_read("[\"ss-seq\"]", "[\"ss-seq\"]", 77, 0, 99);
    check_read("{\"a\":1}", "{\"a\":1}", 77, 0, 99);
    check_read("{" THREE, "", 5, 4, DAY_2022 + 123);
    check_read("{\"a\":\"b\"," THREE, "{\"a\":\"b\"}", 5, 4, DAY_2022 + 123);
    check_read("{\"ss-seq\":\"18446744073709551615\",\"z\":[1,{}]}", "{\"z\":[1,{}]}", UINT64_MAX, 0, 99);
    check_read("{\"xs-meta\":[1,2]," THREE, "[1,2]", 5, 4, DAY_2022 + 123);
    check_read("{\"xs-meta\":{}," THREE, "{\"xs-meta\":{}}", 5, 4, DAY_2022 + 123);
    check_read("{\"xs-meta\":[1]}", "{\"xs-meta\":[1]}", 77, 0, 99);
    check_read("{\"xs-meta\":[\"\\n\"]}", "{\"xs-meta\":[\"\\n\"]}", 77, 0, 99);
    check_read("{\"\\u0073s-seq\":\"5\"}", "", 5, 0, 99);
    check_read("{\"ss-seq\":\"5\",\"ss-seq\":\"6\"}", "", 6, 0, 99);
}

/* What is not well-formed stays meta. */
static void test_read_odd(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "{\"ss-seq\":5}", "{\"ss-seq\":\"\"}", "{\"ss-seq\":\"-1\"}", "{\"ss-seq\":\"18446744073709551616\"}", "{\"ss-seq\":null}",
        "{\"ss-shard\":\"x\"}", "{\"ss-time\":\"2022-01-01\"}", "{\"ss-time\":[\"2022-01-01T00:00:00\"]}", "{\"ss-sequence\":\"5\"}",
        "{\"x\":{\"ss-seq\":\"5\"}}",
    };
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        check_read(odd[i], odd[i], 77, 0, 99);
    check_read("{\"ss-seq\":5,\"ss-shard\":\"2\"}", "{\"ss-seq\":5}", 77, 2, 99);
}

static void test_comes_back(void **state)
{
    (void)state;
    static const char *const metas[] = {"", "{\"a\":1,\"b\":\"c\"}", "[1]", "\"x\"", "7", "true"};
    for (size_t i = 0; i < sizeof(metas) / sizeof(metas[0]); i++) {
        CLEAN_BUF out = BUF_INIT;
        CLEAN_BUF scratch = BUF_INIT;
        struct ss_message m = saying(metas[i], i * 1000, i, DAY_2022 + i);
        struct ss_message again = silent(NULL);
        m.time_ns = (uint32_t)i;
        assert_int_equal(ss_meta_write(&out, &m), 0);
        assert_int_equal(ss_meta_read(&again, buf_span(&out), &scratch), 0);
        assert_true(again.seq == m.seq && again.shard == m.shard && again.time_ms == m.time_ms && again.time_ns == m.time_ns);
        assert_true(span_eq(again.meta, m.meta) && !again.no_seq && !again.no_time);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write),    cmocka_unit_test(test_write_parts), cmocka_unit_test(test_read),
        cmocka_unit_test(test_read_odd), cmocka_unit_test(test_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
