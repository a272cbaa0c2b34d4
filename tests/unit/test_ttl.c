/*
 * Ttls as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/topic.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *text;
    struct ttl ttl;
} known[] = {
    {"forever", {TTL_FOREVER, 0}},
    {"ephemeral", {TTL_EPHEMERAL, 0}},
    {"time:0", {TTL_TIME, 0}},
    {"time:5000", {TTL_TIME, 5000}},
    {"time:18446744073709551615", {TTL_TIME, UINT64_MAX}},
    {"last:1", {TTL_LAST, 1}},
    {"last:4294967295", {TTL_LAST, UINT32_MAX}},
};

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        struct ttl ttl;
        char text[TTL_TEXT_MAX];
        assert_int_equal(ttl_parse(&ttl, span_str(known[i].text), false, NULL), 0);
        assert_int_equal(ttl.kind, known[i].ttl.kind);
        assert_true(ttl.value == known[i].ttl.value);
        assert_int_equal(ttl_format(text, ttl), strlen(known[i].text));
        assert_string_equal(text, known[i].text);
    }
    char text[TTL_TEXT_MAX];
    assert_int_equal(ttl_format(text, (struct ttl){TTL_NULL, 0}), 4);
    assert_string_equal(text, "null");
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "null",
                                      "Forever",
                                      "forever ",
                                      "forevers",
                                      "temporary",
                                      "ephemerals",
                                      "time",
                                      "time:",
                                      "time:abc",
                                      "time:-1",
                                      "time:+1",
                                      "time: 1",
                                      "time:1 ",
                                      "time:1.5",
                                      "TIME:1",
                                      "last",
                                      "last:",
                                      "last:0",
                                      "last:-1",
                                      "last:4294967296",
                                      "last:1x",
                                      "head:1",
                                      "1000",
                                      "time:18446744073709551616",
                                      "last:18446744073709551617"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct ttl ttl = {TTL_LAST, 77};
        struct err err = ERR_INIT;
        if (ttl_parse(&ttl, span_str(bad[i]), false, &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, "forever, ephemeral, time:MILLISECONDS or last:N"));
        assert_true(ttl.kind == TTL_LAST && ttl.value == 77);
    }
    assert_int_equal(ttl_parse(&(struct ttl){0}, (struct span){NULL, 0}, true, NULL), ERR_INVALID);
}

static void test_old_words(void **state)
{
    (void)state;
    struct ttl ttl;
    assert_int_equal(ttl_parse(&ttl, span_str("head:7"), true, NULL), 0);
    assert_true(ttl.kind == TTL_LAST && ttl.value == 7);
    assert_int_equal(ttl_parse(&ttl, span_str("last:8"), true, NULL), 0);
    assert_true(ttl.kind == TTL_LAST && ttl.value == 8);
    assert_int_equal(ttl_parse(&ttl, span_str("head:0"), true, NULL), ERR_INVALID);
}

static void test_long_text_is_named_in_part(void **state)
{
    (void)state;
    char text[1000];
    struct ttl ttl;
    struct err err = ERR_INIT;
    memset(text, 'x', sizeof(text));
    assert_int_equal(ttl_parse(&ttl, span_of(text, sizeof(text)), false, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "4294967295"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_old_words),
        cmocka_unit_test(test_long_text_is_named_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
