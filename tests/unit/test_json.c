/*
 * JSON: what the validator accepts and refuses, what minifying keeps, the scanner and the writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/json.h"

/* A text that may hold NUL bytes. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct span accepted[] = {
    TEXT("null"),
    TEXT("true"),
    TEXT("false"),
    TEXT("0"),
    TEXT("-0"),
    TEXT("1"),
    TEXT("-1"),
    TEXT("42"),
    TEXT("0.5"),
    TEXT("-0.5"),
    TEXT("1e5"),
    TEXT("1E5"),
    TEXT("1e+5"),
    TEXT("1e-5"),
    TEXT("0e0"),
    TEXT("0E+00"),
    TEXT("1.5e300"),
    TEXT("123456789012345678901234567890"),
    TEXT("1e400"),
    TEXT("-1e-9999"),
    TEXT("9007199254740993"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\" \""),
    TEXT("\"\x7f\""),
    TEXT("\"/\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\""),
    TEXT("\"\\u0041\\uABcd\""),
    TEXT("\"\\ud83d\\ude00\""),
    TEXT("\"\\ud800\""),
    TEXT("\"\\udc00\\ud800\""),
    TEXT("\"\\uDFAA\""),
    TEXT("\"\xc3\xa4\""),
    TEXT("\"\xe2\x82\xac\""),
    TEXT("\"\xf0\x9f\x98\x80\""),
    TEXT("\"\xef\xbf\xbf\""),
    TEXT("\"\xed\x9f\xbf\xee\x80\x80\""),
    TEXT("\"\xf4\x8f\xbf\xbf\""),
    TEXT("\"\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80\""),
    TEXT("\"\xe2\x80\xa8\xe2\x80\xa9\""),
    TEXT("\"plain text long enough for the wide step of the scanner to be taken\""),
    TEXT("\"1234567\\n\""),
    TEXT("\"12345678\\n9\""),
    TEXT("\"123456\xc3\xa4"
         "89\""),
    TEXT("[]"),
    TEXT("[[]]"),
    TEXT("[1]"),
    TEXT("[1,2]"),
    TEXT("[null,1,\"1\",{}]"),
    TEXT("[\"\",0.1,\"\",true]"),
    TEXT("{}"),
    TEXT("{\"\":0}"),
    TEXT("{\"a\":1}"),
    TEXT("{\"a\":1,\"b\":[{}]}"),
    TEXT("{\"a\":1,\"a\":1}"),
    TEXT("{\"a\":\"b\",\"a\":\"c\"}"),
    TEXT("{\"\\u0000\":0}"),
    TEXT("{\"{\":\"}\",\"[\":\"]\"}"),
    TEXT(" 1 "),
    TEXT("\t1\r\n"),
    TEXT(" [ ] "),
    TEXT(" { } "),
    TEXT("[ 1 , 2 ]"),
    TEXT("{ \"a\" : 1 , \"b\" : 2 }"),
};

static const struct span refused[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\0"),
    TEXT("1\0"),
    TEXT("nul"),
    TEXT("nulll"),
    TEXT("Null"),
    TEXT("TRUE"),
    TEXT("tru"),
    TEXT("fals"),
    TEXT("truefalse"),
    TEXT("NaN"),
    TEXT("-NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("undefined"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("-"),
    TEXT("+1"),
    TEXT("--1"),
    TEXT("- 1"),
    TEXT("1."),
    TEXT("1.e1"),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1e-"),
    TEXT("1e1.5"),
    TEXT("1.5.5"),
    TEXT("0x1"),
    TEXT("1_000"),
    TEXT("1a"),
    TEXT("1 2"),
    TEXT("\xef\xbc\x91"),
    TEXT("\""),
    TEXT("\"a"),
    TEXT("\"\\\""),
    TEXT("\"\\"),
    TEXT("\"\\x41\""),
    TEXT("\"\\a\""),
    TEXT("\"\\'\""),
    TEXT("\"\\\0\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u0\""),
    TEXT("\"\\u004\""),
    TEXT("\"\\u004g\""),
    TEXT("\"\\u00"),
    TEXT("\"\\u 041\""),
    TEXT("\"\x01\""),
    TEXT("\"\0\""),
    TEXT("\"\t\""),
    TEXT("\"\n\""),
    TEXT("\"\x1f\""),
    TEXT("\"12345678\x1f\""),
    TEXT("'a'"),
    TEXT("\"a\" b"),
    TEXT("\"\x80\""),
    TEXT("\"\xff\""),
    TEXT("\"\xfe\xff\""),
    TEXT("\"\xc3\""),
    TEXT("\"\xc3("),
    TEXT("\"\xc0\x80\""),
    TEXT("\"\xc1\xbf\""),
    TEXT("\"\xe0\x80\x80\""),
    TEXT("\"\xe0\x9f\xbf\""),
    TEXT("\"\xe2\x82\""),
    TEXT("\"\xe2("),
    TEXT("\"\xed\xa0\x80\""),
    TEXT("\"\xed\xbf\xbf\""),
    TEXT("\"\xf0\x80\x80\x80\""),
    TEXT("\"\xf0\x8f\xbf\xbf\""),
    TEXT("\"\xf0\x9f\x98\""),
    TEXT("\"\xf4\x90\x80\x80\""),
    TEXT("\"\xf5\x80\x80\x80\""),
    TEXT("\"\xf8\x88\x80\x80\x80\""),
    TEXT("\"\xf0\x9f\x98"),
    TEXT("\xef\xbb\xbf{}"),
    TEXT("\xef\xbb\xbf"),
    TEXT("["),
    TEXT("]"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[,]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1:2]"),
    TEXT("[1}"),
    TEXT("[\"a\",\n4\n,1,"),
    TEXT("[[]"),
    TEXT("[]]"),
    TEXT("[a]"),
    TEXT("[1\x0c]"),
    TEXT("[\x0b]"),
    TEXT("[\xc2\xa0]"),
    TEXT("[\xe2\x81\xa0]"),
    TEXT("{"),
    TEXT("}"),
    TEXT("{\"a\""),
    TEXT("{\"a\":"),
    TEXT("{\"a\":1"),
    TEXT("{\"a\":1,"),
    TEXT("{\"a\":1,}"),
    TEXT("{,}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\",1}"),
    TEXT("{\"a\"::1}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\":}"),
    TEXT("{a:1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{'a':1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1]"),
    TEXT("{\"a\":1}}"),
    TEXT("{}{}"),
    TEXT("{\"a\":/* no */1}"),
    TEXT("{}// no"),
    TEXT("{}#"),
    TEXT("<.>"),
    TEXT("*"),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        struct err err = ERR_INIT;
        if (json_validate(accepted[i], 10, NULL, &err) != 0)
            fail_msg("refused: %.*s: %s", SPAN_ARG(accepted[i]), err.text);
    }
}

static void test_refused(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    buf_add_str(&out, "kept");
    for (size_t i = 0; i < COUNT(refused); i++) {
        struct err err = ERR_INIT;
        if (json_validate(refused[i], 10, &out, &err) != ERR_INVALID)
            fail_msg("accepted: number %zu, %.*s", i, SPAN_ARG(refused[i]));
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.text, "JSON"));
        assert_true(span_is(buf_span(&out), "kept"));
    }
    assert_int_equal(json_validate((struct span){NULL, 0}, 10, NULL, NULL), ERR_INVALID);
}

/* No strict prefix of an object is JSON, and none may be read beyond. */
static void test_every_cut_is_refused(void **state)
{
    (void)state;
    const char *text =
        "{\"a\":[1,-2.5e+3,\"\\u00e4\xc3\xa4\\n\",true,false,null],\"b\":{\"c\":{}}}";
    for (size_t len = 0; len < strlen(text); len++) {
        char *cut = malloc(len ? len : 1);
        assert_non_null(cut);
        memcpy(cut, text, len);
        assert_int_equal(json_validate(span_of(cut, len), 10, NULL, NULL), ERR_INVALID);
        free(cut);
    }
    assert_int_equal(json_validate(span_str(text), 10, NULL, NULL), 0);
}

static void test_fault_names_the_byte(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    json_validate(span_str("{\"a\":01}"), 10, NULL, &err);
    assert_non_null(strstr(err.text, "leading zero at byte 7"));
    json_validate(span_str("[1,2"), 10, NULL, &err);
    assert_non_null(strstr(err.text, "after 4 bytes"));
}

static char *nested(size_t depth, char open, char close)
{
    char *text = malloc(2 * depth + 1);
    assert_non_null(text);
    memset(text, open, depth);
    memset(text + depth, close, depth);
    text[2 * depth] = '\0';
    return text;
}

static void test_depth(void **state)
{
    (void)state;
    char *exact = nested(128, '[', ']');
    char *over = nested(129, '[', ']');
    assert_int_equal(json_validate(span_str(exact), 128, NULL, NULL), 0);
    struct err err = ERR_INIT;
    assert_int_equal(json_validate(span_str(over), 128, NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "128"));
    assert_int_equal(json_validate(span_str("1"), 0, NULL, NULL), 0);
    assert_int_equal(json_validate(span_str("[]"), 0, NULL, NULL), ERR_INVALID);
    /* Depth is what is open at once, not how many brackets there are. */
    assert_int_equal(json_validate(span_str("[[],[],{},{}]"), 2, NULL, NULL), 0);
    free(exact);
    free(over);

    char *huge = nested(1000000, '[', ']');
    assert_int_equal(json_validate(span_str(huge), 1 << 30, NULL, NULL), ERR_INVALID);
    free(huge);
}

static void test_minified(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"1", "1"},
        {" \t\r\n1\n", "1"},
        {"{ }", "{}"},
        {"[ ]", "[]"},
        {"[ 1 ,\n 2 ]", "[1,2]"},
        {"{ \"a b\" : \" c \\n \" , \"d\" : [ 1 , { } ] }", "{\"a b\":\" c \\n \",\"d\":[1,{}]}"},
        {"{\"n\":9007199254740993, \"x\":1.0e+00}", "{\"n\":9007199254740993,\"x\":1.0e+00}"},
        {"\"\\u00e4 \xc3\xa4\"", "\"\\u00e4 \xc3\xa4\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN_BUF out = BUF_INIT;
        buf_add_str(&out, ">");
        assert_int_equal(json_validate(span_str(cases[i].text), 10, &out, NULL), 0);
        assert_string_equal(buf_cstr(&out) + 1, cases[i].expected);
    }
}

/* --- scanner ------------------------------------------------------------------------------------
 */

static void test_iterate_object(void **state)
{
    (void)state;
    struct json_iter it;
    struct json_value value;
    struct span key;
    struct span text = span_str(" { \"a\" : 1 , \"b\\\"}\":\"x,]}\\\"\" "
                                ",\"c\":[1,[2],{\"z\":\"]\"}],\"d\":null ,\"e\":true,\"f\":{} } ");
    static const struct {
        const char *key;
        const char *raw;
        enum json_type type;
    } expected[] = {
        {"\"a\"", "1", JSON_NUMBER},
        {"\"b\\\"}\"", "\"x,]}\\\"\"", JSON_STRING},
        {"\"c\"", "[1,[2],{\"z\":\"]\"}]", JSON_ARRAY},
        {"\"d\"", "null", JSON_NULL},
        {"\"e\"", "true", JSON_BOOL},
        {"\"f\"", "{}", JSON_OBJECT},
    };
    assert_int_equal(json_iter_init(&it, text), 0);
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_true(json_iter_next(&it, &key, &value));
        assert_true(span_is(key, expected[i].key));
        assert_true(span_is(value.raw, expected[i].raw));
        assert_int_equal(value.type, expected[i].type);
    }
    assert_false(json_iter_next(&it, &key, &value));
    assert_false(json_iter_next(&it, &key, &value));
}

static void test_iterate_array(void **state)
{
    (void)state;
    struct json_iter it;
    struct json_value value;
    struct span key = span_str("untouched");
    assert_int_equal(json_iter_init(&it, span_str("[ \"a\", -1.5e3 ,false]")), 0);
    assert_true(json_iter_next(&it, &key, &value));
    assert_int_equal(key.len, 0);
    assert_true(span_is(value.raw, "\"a\""));
    assert_true(json_iter_next(&it, NULL, &value));
    assert_true(span_is(value.raw, "-1.5e3"));
    assert_true(json_iter_next(&it, NULL, &value));
    assert_true(span_is(value.raw, "false"));
    assert_false(json_iter_next(&it, NULL, &value));

    assert_int_equal(json_iter_init(&it, span_str(" [ ] ")), 0);
    assert_false(json_iter_next(&it, NULL, &value));
    assert_int_equal(json_iter_init(&it, span_str("12")), ERR_INVALID);
    assert_int_equal(json_iter_init(&it, span_str("\"[]\"")), ERR_INVALID);
    assert_int_equal(json_iter_init(&it, span_str("")), ERR_INVALID);
}

static void test_string_is(void **state)
{
    (void)state;
    assert_true(json_string_is(span_str("\"topic\""), "topic"));
    assert_true(json_string_is(span_str("\"t\\u006fpic\""), "topic"));
    assert_true(json_string_is(span_str("\"\\u00e4\""), "\xc3\xa4"));
    assert_true(json_string_is(span_str("\"\""), ""));
    assert_false(json_string_is(span_str("\"topi\""), "topic"));
    assert_false(json_string_is(span_str("\"topics\""), "topic"));
    assert_false(json_string_is(span_str("\"topic\\u0000\""), "topic"));
    assert_false(json_string_is(span_str("\"\\ud800\""), "?"));
    assert_false(json_string_is(span_str("\"\""), "topic"));
}

static void check_decode(const char *raw, const char *expected, size_t len)
{
    CLEAN_BUF out = BUF_INIT;
    buf_add_str(&out, "+");
    assert_int_equal(json_string_decode(span_str(raw), &out, NULL), 0);
    assert_int_equal(out.len, len + 1);
    assert_memory_equal(out.ptr + 1, expected, len);
}

static void test_string_decode(void **state)
{
    (void)state;
    check_decode("\"\"", "", 0);
    check_decode("\"plain\"", "plain", 5);
    check_decode("\"a\\\"\\\\\\/\\b\\f\\n\\r\\tz\"", "a\"\\/\b\f\n\r\tz", 10);
    check_decode("\"\\u0041\\u00e4\\u20AC\"", "A\xc3\xa4\xe2\x82\xac", 6);
    check_decode("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4);
    check_decode("\"\\udbff\\udfff\"", "\xf4\x8f\xbf\xbf", 4);
    check_decode("\"a\\u0000b\"", "a\0b", 3);
    check_decode("\"\xf0\x9f\x98\x80\"", "\xf0\x9f\x98\x80", 4);

    static const char *const lone[] = {"\"\\ud800\"",        "\"\\udc00\"",
                                       "\"\\ud800x\"",       "\"\\ud800\\n\"",
                                       "\"\\ud800\\ud800\"", "\"a\\udfff\\ud800\""};
    for (size_t i = 0; i < COUNT(lone); i++) {
        CLEAN_BUF out = BUF_INIT;
        buf_add_str(&out, "kept");
        struct err err = ERR_INIT;
        assert_int_equal(json_string_decode(span_str(lone[i]), &out, &err), ERR_INVALID);
        assert_int_equal(err.code, ERR_INVALID);
        assert_true(span_is(buf_span(&out), "kept"));
    }
}

static void test_u64(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_int_equal(json_u64(span_str("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(json_u64(span_str("9007199254740993"), &value), 0);
    assert_true(value == UINT64_C(9007199254740993));
    assert_int_equal(json_u64(span_str(" 0 "), &value), 0);
    assert_true(value == 0);
    static const char *const bad[] = {"18446744073709551616",
                                      "-1",
                                      "-0",
                                      "1.0",
                                      "1e2",
                                      "\"1\"",
                                      "null",
                                      "true",
                                      "00",
                                      "01",
                                      "",
                                      "[]",
                                      "99999999999999999999"};
    for (size_t i = 0; i < COUNT(bad); i++) {
        value = 7;
        assert_int_equal(json_u64(span_str(bad[i]), &value), ERR_INVALID);
        assert_true(value == 7);
    }
}

/* --- writer
 * --------------------------------------------------------------------------------------- */

static void check_put(struct span text, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    buf_add_str(&out, ">");
    assert_int_equal(json_put_string(&out, text), 0);
    assert_string_equal(buf_cstr(&out) + 1, expected);
    assert_int_equal(json_validate(span_of(out.ptr + 1, out.len - 1), 0, NULL, NULL), 0);
}

static void test_put_string(void **state)
{
    (void)state;
    check_put((struct span){NULL, 0}, "\"\"");
    check_put(span_str("plain"), "\"plain\"");
    check_put(span_str("\"\\/"), "\"\\\"\\\\/\"");
    check_put(span_str("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    check_put(span_of("\0\x01\x1f\x7f", 4), "\"\\u0000\\u0001\\u001f\x7f\"");
    check_put(span_str("\xc3\xa4\xf0\x9f\x98\x80"), "\"\xc3\xa4\xf0\x9f\x98\x80\"");
    check_put(span_str("a\xff"
                       "b"),
              "\"a\xef\xbf\xbd"
              "b\"");
    check_put(span_str("\xc3"), "\"\xef\xbf\xbd\"");
    check_put(span_str("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

/* All bytes, in all positions of the eight the wide step takes. */
static void test_put_string_every_byte(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 17; len++) {
        for (int byte = 0; byte < 128; byte++) {
            char text[17];
            memset(text, 'x', sizeof(text));
            text[len / 2] = (char)byte;
            CLEAN_BUF out = BUF_INIT;
            CLEAN_BUF back = BUF_INIT;
            assert_int_equal(json_put_string(&out, span_of(text, len)), 0);
            assert_int_equal(json_validate(buf_span(&out), 0, NULL, NULL), 0);
            assert_int_equal(json_string_decode(buf_span(&out), &back, NULL), 0);
            assert_true(span_eq(buf_span(&back), span_of(text, len)));
        }
    }
}

static void test_put_string_worst_growth(void **state)
{
    (void)state;
    char zeros[1000] = {0};
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(json_put_string(&out, span_of(zeros, sizeof(zeros))), 0);
    assert_int_equal(out.len, 6 * sizeof(zeros) + 2);
}

static void test_put_u64(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(json_put_u64(&out, 0), 0);
    buf_add_str(&out, " ");
    assert_int_equal(json_put_u64(&out, 1234567890), 0);
    buf_add_str(&out, " ");
    assert_int_equal(json_put_u64(&out, UINT64_MAX), 0);
    assert_string_equal(buf_cstr(&out), "0 1234567890 18446744073709551615");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_fault_names_the_byte),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_minified),
        cmocka_unit_test(test_iterate_object),
        cmocka_unit_test(test_iterate_array),
        cmocka_unit_test(test_string_is),
        cmocka_unit_test(test_string_decode),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_put_string),
        cmocka_unit_test(test_put_string_every_byte),
        cmocka_unit_test(test_put_string_worst_growth),
        cmocka_unit_test(test_put_u64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
