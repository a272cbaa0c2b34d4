/*
 * A group's settings: from JSON and queries, to JSON, compared.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/groups/group_config.h"

static int parse(struct group_config *config, const char *json, struct group_place *place)
{
    assert_int_equal(group_config_init(config), 0);
    return group_config_parse(config, span_str(json), place, NULL);
}

static void test_config_as_json(void **state)
{
    (void)state;
    struct group_config config, again;
    struct group_place place;
    struct buf json = BUF_INIT;
    assert_int_equal(parse(&config,
                           "{\"topics\":[\"b.*\",\"a\",\"a\"],\"order\":\"topic\",\"max\":0,"
                           "\"timeout_ms\":50,\"at\":\"new\"}",
                           &place),
                     0);
    assert_int_equal(place.start, GROUP_START_NEW);
    buf_add_str(&json, "{");
    assert_int_equal(group_config_json(&config, &json), 0);
    buf_add_str(&json, "}");
    assert_string_equal(buf_cstr(&json),
                        "{\"topics\":\"a,b.*\",\"order\":\"topic\",\"max\":0,\"timeout_ms\":50}");
    assert_int_equal(parse(&again, buf_cstr(&json), NULL), 0);
    assert_int_equal(group_config_fits(&config, &again, NULL), 0);
    again.rules.max = 1;
    assert_int_equal(group_config_fits(&config, &again, NULL), ERR_CONFLICT);
    assert_int_equal(group_config_apply(&config, &again), 0);
    assert_int_equal(config.rules.max, 1);
    group_config_finish(&config);
    group_config_finish(&again);
    buf_finish(&json);
}

static void test_config_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"[]",
                                      "{",
                                      "{\"order\":1}",
                                      "{\"order\":\"id\"}",
                                      "{\"max\":-1}",
                                      "{\"timeout_ms\":1}",
                                      "{\"topics\":[1]}",
                                      "{\"topics\":\"a b\"}",
                                      "{\"at\":\"then\"}",
                                      "{\"what\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct group_config config;
        struct group_place place;
        assert_int_equal(parse(&config, bad[i], &place), ERR_INVALID);
        group_config_finish(&config);
    }
}

static void test_ask(void **state)
{
    (void)state;
    struct group_ask ask;
    assert_int_equal(
        group_ask_parse(&ask, span_str("group=g&member=a%40b&ack=manual&window=7&x=1"), NULL), 0);
    assert_true(span_is(buf_span(&ask.group), "g"));
    assert_true(span_is(buf_span(&ask.member), "a@b"));
    assert_true(ask.by_hand);
    assert_int_equal(ask.window, 7);
    assert_int_equal(ask.config.given, 0);
    group_ask_finish(&ask);
    static const char *const bad[] = {
        "group=",    "group=1a",     "group=xs.g", "group=g&group=g", "member=a%20",
        "window=0",  "window=1001",  "ack=yes",    "max=x",           "timeout_ms=nan",
        "order=random", "grace_ms=", "upto=1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(group_ask_parse(&ask, span_str(bad[i]), NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_as_json),
        cmocka_unit_test(test_config_refused),
        cmocka_unit_test(test_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
