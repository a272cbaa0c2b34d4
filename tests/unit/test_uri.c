/*
 * Request targets, percent escapes, queries; and text made harmless for terminals.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/text.h"

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        const char *path;
        const char *query;
    } cases[] = {
        {"/", "/", ""},
        {"/a/b", "/a/b", ""},
        {"/a?x=1&y", "/a", "x=1&y"},
        {"/a?", "/a", ""},
        {"/a?x?y", "/a", "x?y"},
        {"/a%3Fb?c", "/a%3Fb", "c"},
        {"/cas/sha256-a/b+c=", "/cas/sha256-a/b+c=", ""},
        {"/?u=http://other/x", "/", "u=http://other/x"},
        {"/http://other/x", "/http://other/x", ""},
        {"http://localhost/?follow=true", "/", "follow=true"},
        {"http://localhost", "/", ""},
        {"http://localhost?x=1", "/", "x=1"},
        {"HTTPS://user@host:80/a/b?c", "/a/b", "c"},
        {"/a#part", "/a", ""},
        {"/a?b#part?c", "/a", "b"},
        {"*", "*", ""},
        {"", "/", ""},
        {"?x", "/", "x"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct span path;
        struct span query;
        uri_split(span_str(cases[i].target), &path, &query);
        if (!span_is(path, cases[i].path) || !span_is(query, cases[i].query))
            fail_msg("%s: path %.*s query %.*s", cases[i].target, SPAN_ARG(path), SPAN_ARG(query));
    }
}

static void test_decode(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(uri_decode(&out, span_str("a%20b+c%2fd%2B%25%ff"), false, NULL), 0);
    assert_string_equal(buf_cstr(&out), "a b+c/d+%\xff");
    buf_reset(&out);
    assert_int_equal(uri_decode(&out, span_str("a+b%2B"), true, NULL), 0);
    assert_string_equal(buf_cstr(&out), "a b+");
    buf_reset(&out);
    assert_int_equal(uri_decode(&out, (struct span){NULL, 0}, true, NULL), 0);
    assert_int_equal(out.len, 0);
}

static void test_decode_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"%",   "a%",    "%2",   "%zz", "%2g", "%g2",
                                      "%00", "a%00b", "%%20", "%-1", "% 1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEAN_BUF out = BUF_INIT;
        struct err err = ERR_INIT;
        buf_add_str(&out, "kept");
        assert_int_equal(uri_decode(&out, span_str(bad[i]), false, &err), ERR_INVALID);
        assert_int_equal(err.code, ERR_INVALID);
        assert_true(span_is(buf_span(&out), "kept"));
    }
}

static void test_decode_gives_no_nul(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(uri_decode(&out, span_of("a\0b", 3), false, NULL), ERR_INVALID);
    assert_int_equal(out.len, 0);
}

static void test_encode(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(uri_encode(&out, span_str("aZ09-._~ /?&=+%\xc3\xa4"), NULL), 0);
    assert_string_equal(buf_cstr(&out), "aZ09-._~%20%2F%3F%26%3D%2B%25%C3%A4");
    buf_reset(&out);
    assert_int_equal(uri_encode(&out, span_str("a/b c"), "/"), 0);
    assert_string_equal(buf_cstr(&out), "a/b%20c");
}

static void test_every_byte_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[255];
    for (int i = 0; i < 255; i++)
        bytes[i] = (uint8_t)(i + 1);
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF back = BUF_INIT;
    assert_int_equal(uri_encode(&text, span_of(bytes, 255), NULL), 0);
    assert_int_equal(uri_decode(&back, buf_span(&text), true, NULL), 0);
    assert_true(span_eq(buf_span(&back), span_of(bytes, 255)));
    /* The NUL is written as an escape that no reader takes. */
    buf_reset(&text);
    assert_int_equal(uri_encode(&text, span_of("\0", 1), "/"), 0);
    assert_true(span_is(buf_span(&text), "%00"));
}

static void test_query(void **state)
{
    (void)state;
    struct span rest = span_str("&follow&limit=10&&topic=a%2Cb&x=&=y&last=1=2&");
    static const struct {
        const char *key;
        const char *value;
        bool has_value;
    } expected[] = {
        {"follow", "", false}, {"limit", "10", true}, {"topic", "a%2Cb", true},
        {"x", "", true},       {"", "y", true},       {"last", "1=2", true},
    };
    struct span key;
    struct span value;
    bool has_value;
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        assert_true(uri_query_next(&rest, &key, &value, &has_value));
        assert_true(span_is(key, expected[i].key));
        assert_true(span_is(value, expected[i].value));
        assert_int_equal(has_value, expected[i].has_value);
    }
    assert_false(uri_query_next(&rest, &key, &value, &has_value));
    rest = (struct span){NULL, 0};
    assert_false(uri_query_next(&rest, &key, &value, &has_value));
}

static void check_neutral(const char *text, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(text_neutralise(&out, span_str(text)), 0);
    assert_string_equal(buf_cstr(&out), expected);
}

static void test_neutralise(void **state)
{
    (void)state;
    check_neutral("", "");
    check_neutral("plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n\tend",
                  "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n\tend");
    check_neutral("\x1b]0;title\x07", "\\x1b]0;title\\x07");
    check_neutral("a\rb\x08\x7f", "a\\x0db\\x08\\x7f");
    check_neutral("\x9b"
                  "31m",
                  "\\x9b31m");
    check_neutral("\xc2\x9b"
                  "31m\xc2\xa0",
                  "\\u009b31m\xc2\xa0");
    check_neutral("\xe2\x80\xae"
                  "txt\xe2\x81\xa6\xe2\x80\x8f\xd8\x9c",
                  "\\u202etxt\\u2066\\u200f\\u061c");
    check_neutral("\xff\xc3", "\\xff\\xc3");
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(text_neutralise(&out, span_of("a\0b", 3)), 0);
    assert_string_equal(buf_cstr(&out), "a\\x00b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),          cmocka_unit_test(test_decode),
        cmocka_unit_test(test_decode_refused), cmocka_unit_test(test_decode_gives_no_nul),
        cmocka_unit_test(test_encode),         cmocka_unit_test(test_every_byte_comes_back),
        cmocka_unit_test(test_query),          cmocka_unit_test(test_neutralise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
