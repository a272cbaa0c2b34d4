/*
 * Topic heads: found, grown, trimmed; and the list of a topic's recent frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/heads.h"

static void test_find_and_add(void **state)
{
    (void)state;
    struct heads heads;
    char name[32];
    assert_int_equal(heads_init(&heads, 7), 0);
    assert_int_equal(heads.topic_last, 7);
    assert_null(heads_find(&heads, span_str("a")));
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "topic.%u", i);
        struct head *head = heads_add(&heads, span_str(name));
        assert_non_null(head);
        assert_int_equal(head->no, 0);
        head->no = i + 1;
    }
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "topic.%u", i);
        assert_int_equal(heads_find(&heads, span_str(name))->no, i + 1);
    }
    assert_null(heads_find(&heads, span_str("topic.")));
    heads_clear(&heads);
    assert_int_equal(heads.count, 0);
    assert_null(heads_find(&heads, span_str("topic.1")));
    heads_finish(&heads);
}

/* Only what the index knows whole is dropped, and only when there are too many. */
static void test_trim(void **state)
{
    (void)state;
    struct heads heads;
    char name[32];
    assert_int_equal(heads_init(&heads, 0), 0);
    for (uint32_t i = 0; i <= HEADS_MAX; i++) {
        snprintf(name, sizeof name, "%u", i);
        struct head *head = heads_add(&heads, span_str(name));
        assert_non_null(head);
        head->changed = i % 1000 == 0 ? 100 : 50;
        if (i == HEADS_MAX - 1) {
            heads_trim(&heads, 1000);
            assert_int_equal(heads.count, HEADS_MAX);
        }
    }
    heads_trim(&heads, 60);
    assert_int_equal(heads.count, HEADS_MAX / 1000 + 1);
    assert_non_null(heads_find(&heads, span_str("3000")));
    assert_null(heads_find(&heads, span_str("3001")));
    heads_finish(&heads);
}

static void expect_recent(const struct head *head, const uint64_t *seqs, size_t count)
{
    assert_int_equal(head->recent_count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(head->recent[head->recent_at + i].seq, seqs[i]);
}

static void test_recent(void **state)
{
    (void)state;
    struct heads heads;
    assert_int_equal(heads_init(&heads, 0), 0);
    struct head *head = heads_add(&heads, span_str("a"));
    head_remove_recent(head, 3);
    head_drop_recent(head, 10);
    head_cut_recent(head, 10);
    expect_recent(head, NULL, 0);
    for (uint64_t seq = 0; seq < 6; seq++)
        assert_int_equal(head_push_recent(head, ID_MIN, seq * 2, 100 + seq / 2), 0);
    head_remove_recent(head, 5); /* a hole */
    expect_recent(head, (uint64_t[]){0, 2, 4, 6, 8, 10}, 6);
    head_remove_recent(head, 4);
    head_remove_recent(head, 10);
    expect_recent(head, (uint64_t[]){0, 2, 6, 8}, 4);
    head_drop_recent(head, 100);
    expect_recent(head, (uint64_t[]){6, 8}, 2);
    head_cut_recent(head, 7);
    expect_recent(head, (uint64_t[]){8}, 1);
    head_cut_recent(head, 100);
    expect_recent(head, NULL, 0);
    heads_finish(&heads);
}

/* A topic that keeps 10 of very many uses memory for about 10. */
static void test_recent_stays_small(void **state)
{
    (void)state;
    struct heads heads;
    assert_int_equal(heads_init(&heads, 0), 0);
    struct head *head = heads_add(&heads, span_str("a"));
    for (uint64_t seq = 0; seq < 100000; seq++) {
        assert_int_equal(head_push_recent(head, ID_MIN, seq, seq), 0);
        if (seq >= 10)
            head_cut_recent(head, seq - 9);
        assert_int_equal(head->recent[head->recent_at + head->recent_count - 1].seq, seq);
    }
    assert_int_equal(head->recent_count, 10);
    assert_true(head->recent_cap <= 32);
    heads_finish(&heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_and_add),
        cmocka_unit_test(test_trim),
        cmocka_unit_test(test_recent),
        cmocka_unit_test(test_recent_stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
