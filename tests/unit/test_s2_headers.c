/*
 * Headers as meta and meta as headers: the three forms, and that nothing is lost.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <weir/frame.h>

#include "base/json.h"
#include "base/s2/headers.h"

#define H(name, value)                                                                             \
    {                                                                                              \
        {(const uint8_t *)(name), sizeof(name) - 1},                                               \
        {                                                                                          \
            (const uint8_t *)(value), sizeof(value) - 1                                            \
        }                                                                                          \
    }

static void expect_meta(const struct s2_header *headers, size_t count, const char *expected)
{
    CLEAN_BUF meta = BUF_INIT;
    assert_int_equal(buf_add_str(&meta, "<"), 0);
    assert_int_equal(s2_headers_to_meta(&meta, headers, count), 0);
    assert_int_equal(meta.ptr[0], '<');
    assert_string_equal(buf_cstr(&meta) + 1, expected);
}

static void test_to_meta(void **state)
{
    (void)state;
    const struct s2_header plain[] = {H("b", "1"), H("a", ""), H("\xc3\xa9", "x\"\n")};
    const struct s2_header twice[] = {H("a", "1"), H("a", "1")};
    const struct s2_header binary[] = {H("a", "\xff\x00")};
    const struct s2_header name[] = {H("\xff", "a")};
    const struct s2_header fence[] = {H("", "fence")};
    expect_meta(NULL, 0, "");
    expect_meta(plain, 1, "{\"b\":\"1\"}");
    expect_meta(plain, 3, "{\"b\":\"1\",\"a\":\"\",\"\xc3\xa9\":\"x\\\"\\n\"}");
    expect_meta(twice, 2, "{\"s2.headers\":[[\"YQ==\",\"MQ==\"],[\"YQ==\",\"MQ==\"]]}");
    expect_meta(binary, 1, "{\"s2.headers\":[[\"YQ==\",\"/wA=\"]]}");
    expect_meta(name, 1, "{\"s2.headers\":[[\"/w==\",\"YQ==\"]]}");
    expect_meta(fence, 1, "{\"s2.headers\":[[\"\",\"ZmVuY2U=\"]]}");
    /* A plain header of that name is no list. */
    const struct s2_header own[] = {H("s2.headers", "x")};
    expect_meta(own, 1, "{\"s2.headers\":\"x\"}");
}

static void expect_headers(const char *meta, bool command, const struct s2_header *expected,
                           size_t count)
{
    static struct s2_headers headers; /* used again, as callers do */
    assert_int_equal(s2_headers_from_meta(&headers, span_str(meta), command), 0);
    if (headers.count != count)
        fail_msg("%s: %zu headers, not %zu", meta, headers.count, count);
    for (size_t i = 0; i < count; i++) {
        if (!span_eq(headers.items[i].name, expected[i].name) ||
            !span_eq(headers.items[i].value, expected[i].value))
            fail_msg("%s: header %zu is '%.*s': '%.*s'", meta, i, SPAN_ARG(headers.items[i].name),
                     SPAN_ARG(headers.items[i].value));
    }
    if (!strcmp(meta, ""))
        s2_headers_finish(&headers);
}

static void expect_whole(const char *meta)
{
    const struct s2_header whole = {span_str("xs-meta"), span_str(meta)};
    expect_headers(meta, false, &whole, 1);
}

static void test_from_meta(void **state)
{
    (void)state;
    const struct s2_header plain[] = {H("b", "1"), H("a", ""), H("\xc3\xa9", "\xf0\x9f\x98\x80")};
    const struct s2_header twice[] = {H("a", "1"), H("a", "2")};
    const struct s2_header binary[] = {H("a", "\xff\x00"), H("b", "")};
    const struct s2_header fence[] = {H("", "fence")};
    const struct s2_header own[] = {H("s2.headers", "x")};
    expect_headers("null", false, NULL, 0);
    expect_headers("{}", false, NULL, 0);
    expect_headers("{\"b\":\"1\"}", false, plain, 1);
    expect_headers("{\"\\u0062\":\"1\",\"a\":\"\",\"\\u00e9\":\"\\ud83d\\ude00\"}", false, plain,
                   3);
    expect_headers("{\"a\":\"1\",\"a\":\"2\"}", false, twice, 2);
    expect_headers("{\"s2.headers\":\"x\"}", false, own, 1);
    expect_headers("{\"s2.headers\":[]}", false, NULL, 0);
    expect_headers("{\"s2.headers\":[[\"YQ==\",\"/wA=\"],[\"Yg==\",\"\"]]}", false, binary, 2);
    expect_headers("{\"s2\\u002eheaders\":[[\"YQ\\u003d=\",\"\\/wA=\"],[\"Yg==\",\"\"]]}", false,
                   binary, 2);
    expect_headers("{\"s2.headers\":[[\"\",\"ZmVuY2U=\"]]}", true, fence, 1);
    expect_headers("", false, NULL, 0);
}

static void test_whole_meta(void **state)
{
    (void)state;
    static const char *const metas[] = {
        "1",
        "\"text\"",
        "true",
        "[]",
        "[[\"a\",\"b\"]]",
        "{\"a\":1}",
        "{\"a\":\"b\",\"c\":null}",
        "{\"a\":{\"b\":\"c\"}}",
        "{\"\":\"fence\"}",
        "{\"a\":\"\\ud800\"}",
        "{\"\\udc00\":\"a\"}",
        "{\"s2.headers\":[[\"\",\"ZmVuY2U=\"]]}",
        "{\"s2.headers\":[[\"YQ==\"]]}",
        "{\"s2.headers\":[[\"YQ==\",\"YQ==\",\"YQ==\"]]}",
        "{\"s2.headers\":[[\"YQ==\",1]]}",
        "{\"s2.headers\":[\"YQ==\",\"YQ==\"]}",
        "{\"s2.headers\":[{\"a\":\"b\"}]}",
        "{\"s2.headers\":[[\"YQ=\",\"YQ==\"]]}",
        "{\"s2.headers\":[[\"YQ==\",\"Y Q==\"]]}",
        "{\"s2.headers\":[[\"YQ==\",\"\\ud800\"]]}",
        "{\"s2.headers\":[[\"YQ==\",\"YQ==\"]],\"a\":\"b\"}",
        "{\"a\":\"b\",\"s2.headers\":[[\"YQ==\",\"YQ==\"]]}",
        "{\"s2.headers\":{}}",
    };
    for (size_t i = 0; i < sizeof(metas) / sizeof(metas[0]); i++)
        expect_whole(metas[i]);
    /* A command with what is no header list is no other than that. */
    const struct s2_header whole = {span_str("xs-meta"), span_str("{\"a\":1}")};
    expect_headers("{\"a\":1}", true, &whole, 1);
    expect_headers("", false, NULL, 0);
}

/* --- nothing is lost -------------------------------------------------------------------------- */

static struct span random_text(uint8_t *room, unsigned *seed)
{
    static const char *const parts[] = {
        "a",    "b",    "\"", "\\",        "\n", "\xc3\xa9", "\xf0\x9f\x98\x80",
        "\xff", "\x80", "/",  "s2.headers"};
    size_t len = 0;
    for (int i = rand_r(seed) % 4; i > 0; i--) {
        const char *part = parts[(size_t)rand_r(seed) % (rand_r(seed) % 2 ? 7 : 11)];
        memcpy(room + len, part, strlen(part));
        len += strlen(part);
    }
    return span_of(room, len);
}

static void go_around(const struct s2_header *headers, size_t count, bool command)
{
    CLEAN_BUF meta = BUF_INIT;
    CLEAN_BUF again = BUF_INIT;
    struct s2_headers read = {0};
    assert_int_equal(s2_headers_to_meta(&meta, headers, count), 0);
    assert_int_equal(meta.len == 0, count == 0);
    if (count > 0) {
        CLEAN_BUF minified = BUF_INIT;
        assert_int_equal(json_validate(buf_span(&meta), META_DEPTH, &minified, NULL), 0);
        assert_true(span_eq(buf_span(&meta), buf_span(&minified)));
    }
    assert_int_equal(s2_headers_from_meta(&read, buf_span(&meta), command), 0);
    assert_int_equal(read.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(span_eq(read.items[i].name, headers[i].name));
        assert_true(span_eq(read.items[i].value, headers[i].value));
    }
    assert_int_equal(s2_headers_to_meta(&again, read.items, read.count), 0);
    assert_true(span_eq(buf_span(&meta), buf_span(&again)));
    s2_headers_finish(&read);
}

static void test_around(void **state)
{
    (void)state;
    unsigned seed = 7;
    for (int round = 0; round < 5000; round++) {
        static uint8_t room[80][64];
        struct s2_header headers[40];
        size_t count = (size_t)rand_r(&seed) % (round % 10 ? 4 : 40);
        bool command = false;
        for (size_t i = 0; i < count; i++) {
            headers[i].name = random_text(room[2 * i], &seed);
            headers[i].value = random_text(room[2 * i + 1], &seed);
            command = command || headers[i].name.len == 0;
        }
        go_around(headers, count, command);
    }
}

/* Many names: distinct ones stay an object, one that comes twice does not, and neither takes long.
 */
static void test_many(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct s2_header *headers = calloc(MANY, sizeof(*headers));
    char(*names)[8] = calloc(MANY, sizeof(*names));
    assert_non_null(headers);
    assert_non_null(names);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "%d", (i * 7919) % MANY);
        headers[i].name = span_str(names[i]);
    }
    CLEAN_BUF meta = BUF_INIT;
    assert_int_equal(s2_headers_to_meta(&meta, headers, MANY), 0);
    assert_memory_equal(meta.ptr, "{\"0\":", 5);
    go_around(headers, MANY, false);
    headers[MANY - 1].name = headers[0].name;
    buf_reset(&meta);
    assert_int_equal(s2_headers_to_meta(&meta, headers, MANY), 0);
    assert_memory_equal(meta.ptr, "{\"s2.headers\":", 14);
    go_around(headers, MANY, false);
    free(names);
    free(headers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_to_meta),    cmocka_unit_test(test_from_meta),
        cmocka_unit_test(test_whole_meta), cmocka_unit_test(test_around),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
