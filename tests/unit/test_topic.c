/*
 * Topics and patterns over them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/topic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_topics(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a", "Z", "_", "_private", "user-123", "orders.2024.pending", "a.-b", "a-", "a_.9"};
    for (size_t i = 0; i < COUNT(good); i++)
        assert_int_equal(topic_check(span_str(good[i]), NULL), 0);
    static const char *const bad[] = {"",    ".a",  "-a",  "9a",  "123", "a.",        "a..b",
                                      "a b", "a*b", "a,b", "a/b", "a\n", "a\xc3\xa4", "\xc3\xa4",
                                      "a.*", ".",   "..",  "a@",  "a[",  "a`",        "a{"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err err = ERR_INIT;
        if (topic_check(span_str(bad[i]), &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, "topic"));
    }
    assert_int_equal(topic_check(span_of("a\0b", 3), NULL), ERR_INVALID);
}

static void test_topic_length(void **state)
{
    (void)state;
    char text[256];
    struct err err = ERR_INIT;
    memset(text, 'a', sizeof(text));
    assert_int_equal(topic_check(span_of(text, 255), NULL), 0);
    assert_int_equal(topic_check(span_of(text, 256), &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "255"));
}

static bool matches(const char *pattern, const char *topic)
{
    struct pattern_list list;
    assert_int_equal(pattern_parse(&list, span_str(pattern), NULL), 0);
    bool found = pattern_match(&list, span_str(topic));
    pattern_finish(&list);
    return found;
}

static void test_match(void **state)
{
    (void)state;
    assert_true(matches("a", "a"));
    assert_false(matches("a", "b"));
    assert_false(matches("a", "ab"));
    assert_false(matches("ab", "a"));
    assert_false(matches("a", "a.b"));
    assert_true(matches("user.*", "user.a"));
    assert_true(matches("user.*", "user.a.b.c"));
    assert_false(matches("user.*", "user"));
    assert_false(matches("user.*", "users.a"));
    assert_false(matches("user.*", "use.r"));
    assert_true(matches("a.b.*", "a.b.c"));
    assert_false(matches("a.b.*", "a.c.b"));
    assert_true(matches("*", "anything.at.all"));
    assert_true(matches("a,b.*", "a"));
    assert_true(matches("a,b.*", "b.c"));
    assert_false(matches("a,b.*", "b"));
    assert_true(matches(" a , b.* ,", "b.c"));
    assert_true(matches(",,a,,", "a"));
    assert_true(matches("a,*", "zzz"));
    assert_true(matches("\ta", "a"));
}

static void test_parsed_shape(void **state)
{
    (void)state;
    struct pattern_list list;
    assert_int_equal(pattern_parse(&list, span_str("a, b.* ,a"), NULL), 0);
    assert_false(list.all);
    assert_int_equal(list.count, 3);
    assert_true(span_is(list.items[0].text, "a") && !list.items[0].prefix);
    assert_true(span_is(list.items[1].text, "b.") && list.items[1].prefix);
    pattern_finish(&list);
    assert_int_equal(list.count, 0);
    assert_false(pattern_match(&list, span_str("a")));

    assert_int_equal(pattern_parse(&list, span_str("a,*"), NULL), 0);
    assert_true(list.all);
    assert_int_equal(list.count, 0);
    pattern_finish(&list);
}

static void test_patterns_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      " ",   ",",   " , ,", "a.*.b", "a*",
                                      "*a",    ".*",  "**",  "*.*",  "a..*",  "9.*",
                                      "a,b c", "a,9", "*,9", "a.",   "a/b"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct pattern_list list = {.count = 77};
        struct err err = ERR_INIT;
        if (pattern_parse(&list, span_str(bad[i]), &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, "pattern"));
        assert_int_equal(list.count, 77);
    }
    struct pattern_list list;
    assert_int_equal(pattern_parse(&list, (struct span){NULL, 0}, NULL), ERR_INVALID);
}

static void test_dup(void **state)
{
    (void)state;
    struct pattern_list list;
    struct pattern_list copy;
    assert_int_equal(pattern_parse(&list, span_str("a,b.*"), NULL), 0);
    assert_int_equal(pattern_dup(&copy, &list), 0);
    pattern_finish(&list);
    assert_true(pattern_match(&copy, span_str("a")));
    assert_true(pattern_match(&copy, span_str("b.x")));
    assert_false(pattern_match(&copy, span_str("c")));
    pattern_finish(&copy);

    /* A list not made by pattern_parse: a name that only S2 allows. */
    struct pattern item = {span_str("any name / at all"), false};
    struct pattern_list hand = {.count = 1, .items = &item};
    assert_int_equal(pattern_dup(&copy, &hand), 0);
    assert_true(pattern_match(&copy, span_str("any name / at all")));
    pattern_finish(&copy);

    assert_int_equal(pattern_dup(&copy, &PATTERN_ALL), 0);
    assert_true(pattern_match(&copy, span_str("x")));
    pattern_finish(&copy);
    pattern_finish(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_topic_length),
        cmocka_unit_test(test_match),
        cmocka_unit_test(test_parsed_shape),
        cmocka_unit_test(test_patterns_refused),
        cmocka_unit_test(test_dup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
