/*
 * Idempotency keys in memory: found by topic and text, forgotten from the old end, undone from the
 * new one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/keys.h"

static const uint8_t digest[DIGEST_SIZE] = {1, 2, 3};

static void add(struct keys *keys, uint64_t number, uint32_t topic_no, const char *text)
{
    assert_int_equal(
        keys_add(keys, number, topic_no, span_str(text), digest, (struct frame_id){number, 7}, 3),
        0);
}

static bool has(const struct keys *keys, uint32_t topic_no, const char *text)
{
    return keys_find(keys, topic_no, span_str(text)) != NULL;
}

static void test_find(void **state)
{
    (void)state;
    struct keys keys = {0};
    assert_false(has(&keys, 1, "a"));
    keys_forget(&keys, 10);
    keys_undo(&keys, 1);
    add(&keys, 5, 1, "a");
    add(&keys, 5, 2, "b");
    const struct key_entry *entry = keys_find(&keys, 1, span_str("a"));
    assert_non_null(entry);
    assert_memory_equal(entry->digest, digest, DIGEST_SIZE);
    assert_int_equal(entry->first.hi, 5);
    assert_int_equal(entry->count, 3);
    assert_false(has(&keys, 2, "a"));
    assert_false(has(&keys, 1, "b"));
    assert_false(has(&keys, 1, "aa"));
    keys_finish(&keys);
    assert_false(has(&keys, 1, "a"));
}

static void test_forget_and_undo(void **state)
{
    (void)state;
    struct keys keys = {0};
    char text[16];
    for (uint64_t i = 0; i < 3000; i++) {
        snprintf(text, sizeof text, "key %d", (int)i);
        add(&keys, i / 10, 1, text);
    }
    keys_forget(&keys, 99);
    assert_false(has(&keys, 1, "key 999"));
    assert_true(has(&keys, 1, "key 1000"));
    keys_undo(&keys, 200);
    assert_true(has(&keys, 1, "key 1999"));
    assert_false(has(&keys, 1, "key 2000"));
    add(&keys, 200, 1, "again");
    assert_true(has(&keys, 1, "again"));
    keys_forget(&keys, 199);
    assert_false(has(&keys, 1, "key 1999"));
    assert_true(has(&keys, 1, "again"));
    keys_undo(&keys, 200);
    assert_false(has(&keys, 1, "again"));
    add(&keys, 201, 1, "after all were gone");
    assert_true(has(&keys, 1, "after all were gone"));
    keys_finish(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_forget_and_undo),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
