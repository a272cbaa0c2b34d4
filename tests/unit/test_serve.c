/*
 * HTTP through frames, its pure parts: a request's pairs, query and authority; a response's tag and head.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/serve/pairs.h"
#include "daemon/serve/request.h"
#include "daemon/serve/response_head.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID "03gmmrhqljv8bnulus79wipck"

/* --- requests -------------------------------------------------------------------------------------- */

static void assert_text(struct buf *got, const char *want)
{
    assert_string_equal(buf_cstr(got), want);
    buf_finish(got);
}

static void add(struct pairs *pairs, const char *name, const char *value)
{
    assert_int_equal(pairs_add(pairs, span_str(name), span_str(value)), 0);
}

static void test_pairs(void **state)
{
    (void)state;
    struct pairs pairs = {0};
    struct buf lists = BUF_INIT, last = BUF_INIT, none = BUF_INIT;
    assert_int_equal(pairs_put(&pairs, PAIRS_LISTS, &none), 0);
    assert_text(&none, "{}");
    add(&pairs, "b", "1");
    add(&pairs, "a", "2");
    add(&pairs, "b", "3");
    add(&pairs, "ab", "\"");
    add(&pairs, "b", "");
    add(&pairs, "", "5");
    assert_int_equal(pairs_put(&pairs, PAIRS_LISTS, &lists), 0);
    assert_int_equal(pairs_put(&pairs, PAIRS_LAST, &last), 0);
    assert_text(&lists, "{\"b\":[\"1\",\"3\",\"\"],\"a\":\"2\",\"ab\":\"\\\"\",\"\":\"5\"}");
    assert_text(&last, "{\"b\":\"\",\"a\":\"2\",\"ab\":\"\\\"\",\"\":\"5\"}");
    pairs_finish(&pairs);
}

static void test_pairs_text(void **state)
{
    (void)state;
    struct buf out = BUF_INIT;
    assert_int_equal(pairs_put_text(&out, span_str("gr\xc3\xbcn")), 0);
    assert_int_equal(pairs_put_text(&out, span_str("gr\xfcn")), 0);
    assert_int_equal(pairs_put_text(&out, span_str("\xc3\xbc \xff")), 0); /* one bad byte: all of it */
    assert_text(&out, "\"gr\xc3\xbcn\"\"gr\xc3\xbcn\"\"\xc3\x83\xc2\xbc \xc3\xbf\"");
}

/* As many as fit a head; all of the same name, and all of other ones. */
static void test_many_pairs(void **state)
{
    (void)state;
    for (int same = 0; same < 2; same++) {
        struct pairs pairs = {0};
        struct buf out = BUF_INIT;
        char name[16];
        for (int i = 0; i < 30000; i++) {
            snprintf(name, sizeof(name), "n%d", same ? 0 : i);
            add(&pairs, name, "v");
        }
        assert_int_equal(pairs_put(&pairs, PAIRS_LISTS, &out), 0);
        assert_true(out.len > (same ? 30000 * 4 : 30000 * 8));
        buf_finish(&out);
        pairs_finish(&pairs);
    }
}

static void test_query(void **state)
{
    (void)state;
    static const struct {
        const char *raw, *want;
    } cases[] = {
        {"", "{}"},
        {"a=1", "{\"a\":\"1\"}"},
        {"a", "{\"a\":\"\"}"},
        {"a=&b=2", "{\"a\":\"\",\"b\":\"2\"}"},
        {"a=1&a=2&b=%41+%42", "{\"a\":\"2\",\"b\":\"A B\"}"},
        {"&&a=1&", "{\"a\":\"1\"}"},
        {"a=b=c", "{\"a\":\"b=c\"}"},
        {"=x", "{\"\":\"x\"}"},
        {"%61=1&a=2", "{\"a\":\"2\"}"},
        {"a=%zz&b=%00&c=%f", "{\"a\":\"%zz\",\"b\":\"%00\",\"c\":\"%f\"}"},
        {"a=%22%5c%0a", "{\"a\":\"\\\"\\\\\\n\"}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out = BUF_INIT;
        assert_int_equal(request_query(&out, span_str(cases[i].raw)), 0);
        assert_text(&out, cases[i].want);
    }
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        const char *target, *want;
    } cases[] = {
        {"/a", ""},          {"*", ""},           {"/a?u=http://x/", ""},  {"", ""},
        {"http://h", "h"},   {"http://h/", "h"},  {"http://h:8/a?b", "h:8"}, {"http://h?b", "h"},
        {"http://", ""},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(span_is(request_authority(span_str(cases[i].target)), cases[i].want));
}

/* --- responses ------------------------------------------------------------------------------------- */

static bool tag(struct response_tag *out, const char *meta, const char *origin)
{
    const struct frame frame = {.meta = span_str(meta), .origin = span_str(origin)};
    return response_tag(out, &frame);
}

static void test_tags(void **state)
{
    (void)state;
    struct response_tag out;
    assert_true(tag(&out, "{\"request_id\":\"" ID "\"}", NULL));
    assert_false(out.more);
    assert_int_equal(out.claim, 0);
    assert_true(tag(&out, "{\"more\":true,\"request_id\":\"" ID "\"}", NULL));
    assert_true(out.more);
    assert_true(tag(&out, "{\"more\":\"true\",\"request_id\":\"" ID "\"}", NULL));
    assert_false(out.more);
    static const char *const bad[] = {"",     "null", "5", "[]", "{}", "\"" ID "\"", "{\"request_id\":5}",
                                      "{\"request_id\":\"x\"}", "{\"request_id\":null}",
                                      "{\"request_id\":[\"" ID "\"]}", "{\"Request_id\":\"" ID "\"}"};
    for (size_t i = 0; i < COUNT(bad); i++)
        if (tag(&out, bad[i], NULL))
            fail_msg("taken: %s", bad[i]);
}

static uint64_t claim(const char *more, const char *origin)
{
    char meta[256];
    struct response_tag out;
    snprintf(meta, sizeof(meta), "{%s\"request_id\":\"" ID "\"}", more);
    assert_true(tag(&out, meta, origin));
    return out.claim;
}

static void test_claims(void **state)
{
    (void)state;
    uint64_t one = claim("\"handler_id\":\"a\",", NULL);
    assert_int_not_equal(one, 0);
    assert_int_equal(one, claim("\"status\":200,\"handler_id\":\"a\",", NULL));
    assert_int_not_equal(one, claim("\"handler_id\":\"b\",", NULL));
    /* What a program is, is said by the daemon; the meta is not looked at then. */
    assert_int_equal(claim("\"handler_id\":\"a\",", "handler/x"), claim("", "handler/x"));
    assert_int_not_equal(claim("", "handler/x"), claim("", "handler/y"));
}

/* The head as lines "Name: value", its status first. */
static void assert_head(const char *meta, const char *want)
{
    struct err err = ERR_INIT;
    struct response_head head;
    struct buf out = BUF_INIT;
    if (response_head_parse(&head, span_str(meta), &err) < 0)
        fail_msg("%s: %s", meta, err.text);
    buf_addf(&out, "%u\n", head.status);
    for (const struct http_field *field = head.fields; field->name; field++)
        buf_addf(&out, "%s: %s\n", field->name, field->value);
    response_head_finish(&head);
    assert_text(&out, want);
}

static void test_heads(void **state)
{
    (void)state;
    assert_head("{}", "200\nContent-Type: text/plain\n");
    assert_head("{\"status\":404,\"headers\":null}", "404\nContent-Type: text/plain\n");
    assert_head("{\"headers\":{\"CONTENT-type\":\"text/html\"}}", "200\nCONTENT-type: text/html\n");
    assert_head("{\"headers\":{\"a\":[\"1\",\"2\"],\"b\":[],\"c\":\"\\u00e9\"},\"status\":599}",
                "599\na: 1\na: 2\nc: \xc3\xa9\nContent-Type: text/plain\n");
    assert_head("{\"headers\":{\"Connection\":\"close\",\"content-LENGTH\":\"5\",\"Transfer-Encoding\":\"chunked\","
                "\"keep-alive\":\"1\",\"Upgrade\":\"x\",\"te\":\"x\",\"trailer\":\"x\",\"x\":\"y\"}}",
                "200\nx: y\nContent-Type: text/plain\n");
    assert_head("{\"headers\":{\"a\":\"\",\"b\":\"x\\ty\"}}",
                "200\na:  \nb: x y\nContent-Type: text/plain\n");
}

static void test_bad_heads(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"status\":199}",
        "{\"status\":100}",
        "{\"status\":600}",
        "{\"status\":\"200\"}",
        "{\"status\":200.0}",
        "{\"status\":null}",
        "{\"status\":-200}",
        "{\"headers\":[]}",
        "{\"headers\":\"a: b\"}",
        "{\"headers\":{\"a\":5}}",
        "{\"headers\":{\"a\":[5]}}",
        "{\"headers\":{\"a\":[[\"b\"]]}}",
        "{\"headers\":{\"a\":{}}}",
        "{\"headers\":{\"\":\"b\"}}",
        "{\"headers\":{\"a b\":\"c\"}}",
        "{\"headers\":{\"a:\":\"c\"}}",
        "{\"headers\":{\"a\\r\\nb\":\"c\"}}",
        "{\"headers\":{\"a\\u0000\":\"c\"}}",
        "{\"headers\":{\"\\u00e9\":\"c\"}}",
        "{\"headers\":{\"a\":\"b\\r\\nSet-Cookie: x\"}}",
        "{\"headers\":{\"a\":\"b\\nc\"}}",
        "{\"headers\":{\"a\":\"b\\u0000c\"}}",
        "{\"headers\":{\"a\":\"b\\u007f\"}}",
        "{\"headers\":{\"a\":\"\\ud800\"}}",
        "{\"headers\":{\"connection\":\"x\\r\\ny\"}}",
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct err err = ERR_INIT;
        struct response_head head;
        if (response_head_parse(&head, span_str(bad[i]), &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_true(err.text[0]);
    }
}

static void test_too_many_headers(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct response_head head;
    struct buf meta = BUF_INIT;
    buf_add_str(&meta, "{\"headers\":{\"a\":[\"b\"");
    for (int i = 0; i < 1000; i++)
        buf_add_str(&meta, ",\"b\"");
    buf_add_str(&meta, "]}}");
    assert_int_equal(response_head_parse(&head, buf_span(&meta), &err), ERR_INVALID);
    buf_finish(&meta);
}

static int parse_long(size_t len)
{
    struct err err = ERR_INIT;
    struct response_head head;
    struct buf meta = BUF_INIT;
    buf_add_str(&meta, "{\"headers\":{\"a\":\"");
    while (len-- > 0)
        buf_add_str(&meta, "b");
    buf_add_str(&meta, "\"}}");
    int rc = response_head_parse(&head, buf_span(&meta), &err);
    if (rc == 0)
        response_head_finish(&head);
    buf_finish(&meta);
    return rc;
}

static void test_long_head(void **state)
{
    (void)state;
    assert_int_equal(parse_long(16000), 0);
    assert_int_equal(parse_long(16384), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs),       cmocka_unit_test(test_pairs_text),
        cmocka_unit_test(test_many_pairs),  cmocka_unit_test(test_query),
        cmocka_unit_test(test_authority),   cmocka_unit_test(test_tags),
        cmocka_unit_test(test_claims),      cmocka_unit_test(test_heads),
        cmocka_unit_test(test_bad_heads),   cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_long_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
