/*
 * What a call of an action gives its program: arguments and variables.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/buf.h"
#include "daemon/run/call_env.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int make(struct call_env *env, const char *json, struct span meta, struct err *err)
{
    struct frame frame = {.id = {0, 0}, .topic = span_str("a.call"), .meta = meta};
    return call_env_make(env, "/d/f", span_str(json), &frame, err);
}

static const char *value(const struct call_env *env, const char *name)
{
    for (size_t i = 0; env->variables[i]; i++) {
        const char *text = env->variables[i];
        if (strncmp(text, name, strlen(name)) == 0 && text[strlen(name)] == '=')
            return text + strlen(name) + 1;
    }
    return NULL;
}

static void test_variables(void **state)
{
    (void)state;
    struct call_env env;
    assert_int_equal(make(&env, "{\"id\":1}", span_str("{\"x\":1,\"args\":{\"n\":5}}"), NULL), 0);
    assert_string_equal(value(&env, "WEIR_FRAME"), "{\"id\":1}");
    assert_string_equal(value(&env, "WEIR_FRAME_FILE"), "/d/f");
    assert_string_equal(value(&env, "WEIR_FRAME_ID"), "0000000000000000000000000");
    assert_string_equal(value(&env, "WEIR_TOPIC"), "a.call");
    assert_string_equal(value(&env, "WEIR_META"), "{\"x\":1,\"args\":{\"n\":5}}");
    assert_string_equal(value(&env, "WEIR_ARGS"), "{\"n\":5}");
    assert_null(env.argv[0]);
    call_env_finish(&env);
    assert_int_equal(make(&env, "{}", (struct span){0}, NULL), 0);
    assert_string_equal(value(&env, "WEIR_META"), "null");
    assert_null(value(&env, "WEIR_ARGS"));
    call_env_finish(&env);
}

static void test_large_values(void **state)
{
    (void)state;
    struct call_env env;
    CLEAN_BUF meta = BUF_INIT;
    buf_add_str(&meta, "{\"args\":\"");
    while (meta.len < CALL_ENV_MAX + 6)
        buf_add_str(&meta, "x");
    buf_add_str(&meta, "\"}");
    assert_int_equal(make(&env, "{}", buf_span(&meta), NULL), 0);
    assert_null(value(&env, "WEIR_META"));
    assert_non_null(value(&env, "WEIR_ARGS"));
    assert_string_equal(value(&env, "WEIR_FRAME_FILE"), "/d/f");
    call_env_finish(&env);
}

static void test_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        size_t count;
        const char *last;
    } cases[] = {
        {"{\"args\":[]}", 0, NULL},
        {"{\"args\":[\"\"]}", 1, ""},
        {"{\"args\":[\"--x\",\"two words\",\"\\u00e4\\n\"]}", 3, "\xc3\xa4\n"},
        {"{\"args\":[\"x\",5]}", 0, NULL},
        {"{\"args\":\"x\"}", 0, NULL},
        {"{\"args\":null}", 0, NULL},
        {"[\"args\"]", 0, NULL},
        {"\"args\"", 0, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct call_env env;
        assert_int_equal(make(&env, "{}", span_str(cases[i].meta), NULL), 0);
        size_t count = 0;
        while (env.argv[count])
            count++;
        assert_int_equal(count, cases[i].count);
        if (count > 0)
            assert_string_equal(env.argv[count - 1], cases[i].last);
        call_env_finish(&env);
    }
}

static void test_bad_arguments(void **state)
{
    (void)state;
    struct call_env env;
    struct err err = ERR_INIT;
    assert_int_equal(make(&env, "{}", span_str("{\"args\":[\"a\",\"x\\u0000\"]}"), &err),
                     ERR_INVALID);
    assert_string_equal(err.text, "\"args\": \"x\\u0000\" has a NUL");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_variables),
        cmocka_unit_test(test_large_values),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
