/* Query strings: keys, values, faults, bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/frame_json.h"
#include "daemon/query.h"

#define NOW_MS UINT64_C(1700000000000)
#define ID_A "03d4q1qhbiv09ovtuhokw5yxv"

static struct query parse_as(const char *raw, uint64_t keys)
{
    struct query q;
    struct err err = ERR_INIT;
    int rc = query_parse(&q, span_str(raw), keys, NOW_MS, &err);
    if (rc != 0)
        fail_msg("%s: %s", raw, err.text);
    return q;
}

static struct query parse(const char *raw)
{
    return parse_as(raw, QUERY_READ);
}

static void assert_refused(const char *raw, uint64_t keys, const char *word)
{
    struct query q = {.limit = 77};
    struct err err = ERR_INIT;
    assert_int_equal(query_parse(&q, span_str(raw), keys, NOW_MS, &err), ERR_INVALID);
    assert_int_equal(q.limit, 77); /* untouched */
    if (!strstr(err.text, word))
        fail_msg("%s: \"%s\" does not say %s", raw, err.text, word);
}

static void test_runs(void **state)
{
    static const struct {
        const char *raw;
        uint64_t memory;
    } memories[] = {{"memory=0", 0},
                    {"memory=4096", 4096},
                    {"memory=3K", 3072},
                    {"memory=64M", 64 << 20},
                    {"memory=17179869183G", UINT64_C(17179869183) << 30}};
    (void)state;
    for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++) {
        struct query q = parse_as(memories[i].raw, QUERY_RUN);
        assert_int_equal(q.memory, memories[i].memory);
        query_finish(&q);
    }
    struct query q = parse_as("timeout_ms=5&cpu_s=6&processes=7&confine&arg=a+b&arg=&arg=%26", QUERY_RUN);
    assert_int_equal(q.timeout_ms, 5);
    assert_int_equal(q.cpu_s, 6);
    assert_int_equal(q.processes, 7);
    assert_true(q.confine);
    assert_int_equal(q.args.len, 7);
    assert_memory_equal(q.args.ptr, "a b\0\0&", 7);
    query_finish(&q);
    q = parse_as("confine=no", QUERY_RUN);
    assert_false(q.confine);
    query_finish(&q);
    static const char *const bad[] = {"memory=17179869184G", "memory=K", "memory=1T", "memory=",
                                      "timeout_ms=1s", "timeout_ms=1099511627777", "cpu_s=-1",
                                      "processes=x", "confine=maybe", "confine=on", "cpu_s=1&cpu_s=1",
                                      "arg=%00"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char word[16];
        snprintf(word, sizeof(word), "%.*s", (int)strcspn(bad[i], "="), bad[i]);
        assert_refused(bad[i], QUERY_RUN, word);
    }
}

static void test_nothing_given(void **state)
{
    (void)state;
    struct query q = parse("");
    assert_int_equal(q.given, 0);
    assert_false(q.follow || q.fresh || q.reverse || q.count);
    assert_true(q.topics.all);
    query_finish(&q);
}

static void test_follow_forms(void **state)
{
    static const struct {
        const char *raw;
        bool follow;
        uint64_t pulse;
    } cases[] = {
        {"follow", true, 0},         {"follow=", true, 0},
        {"follow=yes", true, 0},     {"follow=true", true, 0},
        {"follow=no", false, 0},     {"follow=false", false, 0},
        {"follow=0", true, 0},       {"follow=10", true, 10},
        {"follow=1500", true, 1500}, {"follow=18446744073709551615", true, UINT64_C(1) << 40}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query q = parse(cases[i].raw);
        assert_int_equal(q.follow, cases[i].follow);
        assert_int_equal(q.pulse_ms, cases[i].pulse);
        query_finish(&q);
    }
}

static void test_flags_can_be_off(void **state)
{
    (void)state;
    struct query q = parse("new=0&with-timestamp=false&with-seq&reverse=no&count=1");
    assert_false(q.fresh);
    assert_false(q.with_timestamp);
    assert_true(q.with_seq);
    assert_false(q.reverse);
    assert_true(q.count);
    query_finish(&q);
}

static void test_aliases(void **state)
{
    (void)state;
    struct query q = parse("tail&last-id=" ID_A);
    assert_true(q.fresh);
    assert_true(q.given & QUERY_AFTER);
    query_finish(&q);
    assert_refused("new&tail", QUERY_READ, "twice");
    assert_refused("after=" ID_A "&last-id=" ID_A, QUERY_READ, "twice");
}

static void test_faults_name_their_key(void **state)
{
    (void)state;
    assert_refused("after=123", QUERY_READ, "after");
    assert_refused("from=", QUERY_READ, "from");
    assert_refused("limit=x", QUERY_READ, "limit");
    assert_refused("limit=-1", QUERY_READ, "limit");
    assert_refused("last=18446744073709551616", QUERY_READ, "last");
    assert_refused("follow=maybe", QUERY_READ, "follow");
    assert_refused("follow=9", QUERY_READ, "10 ms");
    assert_refused("topic=a*", QUERY_READ, "topic");
    assert_refused("topic=,", QUERY_READ, "topic");
    assert_refused("since=yesterdayish", QUERY_READ, "since");
    assert_refused("stream=", QUERY_READ, "stream");
    assert_refused("limit=1&limit=1", QUERY_READ, "twice");
    assert_refused("limit=%zz", QUERY_READ, "limit");
    assert_refused("ttl=head:3", QUERY_TTL, "ttl");
    assert_refused("key=", QUERY_CONDITIONS, "key");
    assert_refused("key=0123456789012345678901234567890123456789012345678901234567890123x",
                   QUERY_CONDITIONS, "64");
}

static void test_what_is_shown(void **state)
{
    (void)state;
    struct query q = parse_as("with-content&with-stamp=no&from-seq=18446744073709551615", QUERY_READ);
    assert_true(q.with_content && !q.with_stamp && q.from_seq == UINT64_MAX);
    assert_true(q.given == (QUERY_CONTENT | QUERY_STAMP | QUERY_FROM_SEQ));
    assert_int_equal(query_shown(&q), FRAME_JSON_CONTENT);
    query_finish(&q);
    q = parse_as("stream=cursors&brief", QUERY_STREAM_FLAG | QUERY_BRIEF);
    assert_true(q.lines && q.cursors && q.brief);
    query_finish(&q);
    q = parse_as("stream", QUERY_STREAM_FLAG | QUERY_BRIEF);
    assert_true(q.lines && !q.cursors && !q.brief);
    query_finish(&q);
    assert_refused("from-seq=-1", QUERY_READ, "from-seq");
    assert_refused("with-content&with-content", QUERY_READ, "twice");
}

static void test_foreign_keys_are_ignored(void **state)
{
    (void)state;
    struct query q = parse_as("ttl=nonsense&foo=bar&limit=x&with-seq", QUERY_SEQ);
    assert_int_equal(q.given, QUERY_SEQ);
    query_finish(&q);
}

static void test_values_are_decoded_once(void **state)
{
    (void)state;
    struct query q = parse("topic=a.%2a%2Cb&stream=x%2520y+z");
    assert_int_equal(q.topics.count, 2);
    assert_true(pattern_match(&q.topics, span_str("a.c")));
    assert_true(span_is(buf_span(&q.stream), "x%20y z"));
    query_finish(&q);
}

static void test_stream_is_a_flag_elsewhere(void **state)
{
    (void)state;
    struct query q = parse_as("stream", QUERY_STREAM_FLAG);
    assert_true(q.lines);
    assert_int_equal(q.stream.len, 0);
    query_finish(&q);
}

static void test_old_ttl_word(void **state)
{
    (void)state;
    struct query q = parse_as("ttl=head:3", QUERY_TTL_OLD);
    assert_int_equal(q.ttl.kind, TTL_LAST);
    assert_int_equal(q.ttl.value, 3);
    query_finish(&q);
}

static void test_conditions(void **state)
{
    (void)state;
    struct query q =
        parse_as("expect-seq=18446744073709551615&expect-last=0000000000000000000000000&key=k%20",
                 QUERY_CONDITIONS);
    assert_true(q.expect_seq == UINT64_MAX);
    assert_true(id_is_zero(q.expect_last));
    assert_true(span_is(buf_span(&q.key), "k "));
    query_finish(&q);
}

/* --- bounds
 * ------------------------------------------------------------------------------------------- */

static bool bounds_of(const char *raw, struct frame_id *low, struct frame_id *high)
{
    struct query q = parse(raw);
    bool any = query_bounds(&q, low, high);
    query_finish(&q);
    return any;
}

static struct frame_id id_a(void)
{
    struct frame_id id = ID_MIN;
    assert_int_equal(id_parse(&id, span_str(ID_A), NULL), 0);
    return id;
}

static void test_bounds_of_ids(void **state)
{
    struct frame_id low, high;
    (void)state;
    assert_true(bounds_of("", &low, &high));
    assert_int_equal(id_cmp(low, ID_MIN), 0);
    assert_int_equal(id_cmp(high, ID_MAX), 0);
    assert_true(bounds_of("after=" ID_A, &low, &high));
    assert_int_equal(id_cmp(low, id_succ(id_a())), 0);
    assert_true(bounds_of("after=0000000000000000000000000&from=" ID_A, &low, &high));
    assert_int_equal(id_cmp(low, id_a()), 0);
    assert_true(bounds_of("before=" ID_A, &low, &high));
    assert_int_equal(id_cmp(high, id_pred(id_a())), 0);
    assert_false(bounds_of("before=0000000000000000000000000", &low, &high));
    assert_false(bounds_of("after=" ID_A "&before=" ID_A, &low, &high));
    assert_false(bounds_of("after=f5lxx1zz5pnorynqglhzmsp33", &low, &high)); /* the highest id */
}

static void test_bounds_of_moments(void **state)
{
    struct frame_id low, high;
    (void)state;
    assert_true(bounds_of("since=10m&until=@1700000000", &low, &high));
    assert_int_equal(id_cmp(low, id_at_time(NOW_MS - 600000)), 0);
    assert_true(id_time_ms(high) == NOW_MS); /* inclusive: the whole millisecond */
    assert_int_equal(id_cmp(id_succ(high), id_at_time(NOW_MS + 1)), 0);
    assert_false(bounds_of("since=1m&until=2m", &low, &high));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_follow_forms),
        cmocka_unit_test(test_flags_can_be_off),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_faults_name_their_key),
        cmocka_unit_test(test_what_is_shown), cmocka_unit_test(test_foreign_keys_are_ignored),
        cmocka_unit_test(test_values_are_decoded_once),
        cmocka_unit_test(test_stream_is_a_flag_elsewhere),
        cmocka_unit_test(test_old_ttl_word),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_bounds_of_ids),
        cmocka_unit_test(test_bounds_of_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
