/*
 * Frames as clients send them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/frame_json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID_TEXT "03d4q1qhbiv09ovtuhokw5yxv"
#define HELLO "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="

static void test_full(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in;
    struct frame_id id;
    assert_int_equal(id_parse(&id, span_str(ID_TEXT), NULL), 0);
    assert_int_equal(
        frame_in_parse(
            &in,
            span_str(" { \"topic\" : \"notes\", \"id\":\"" ID_TEXT "\",\"hash\":\"" HELLO
                     "\",\n\"meta\": { \"a\" : [ 1, 9007199254740993 ] } ,\"ttl\":\"time:5\","
                     "\"content\":\"h\\u00e4llo\\n\",\"timestamp\":\"x\",\"seq\":[{}]} "),
            &scratch, false, NULL),
        0);
    assert_true(span_is(in.topic, "notes"));
    assert_true(in.has_id && id_cmp(in.id, id) == 0);
    assert_true(in.has_hash && in.digest[0] == 0x2c && in.digest[31] == 0x24);
    assert_true(span_is(in.meta, "{\"a\":[1,9007199254740993]}"));
    assert_true(in.has_ttl && in.ttl.kind == TTL_TIME && in.ttl.value == 5);
    assert_true(in.has_content && span_is(in.content, "h\xc3\xa4llo\n"));
}

static void test_absent_and_null(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"topic\":null,\"id\":null,\"hash\":null,\"meta\":null,\"ttl\":null,\"content\":null,"
        "\"content_base64\":null}",
        "{\"other\":{\"topic\":\"no\"}}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        CLEAN_BUF scratch = BUF_INIT;
        struct frame_in in;
        assert_int_equal(frame_in_parse(&in, span_str(texts[i]), &scratch, true, NULL), 0);
        assert_int_equal(in.topic.len, 0);
        assert_int_equal(in.meta.len, 0);
        assert_false(in.has_id || in.has_ttl || in.has_hash || in.has_content);
        assert_int_equal(in.ttl.kind, TTL_NULL);
    }
}

/* A mistyped key must not lose what it holds; what reads print may come back. */
static void test_unknown_keys(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in;
    struct err err = ERR_INIT;
    struct span typo = span_str("{\"topic\":\"q\",\"contnt\":\"x\"}");
    assert_int_equal(frame_in_parse(&in, typo, &scratch, false, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "\"contnt\""));
    assert_int_equal(frame_in_parse(&in, typo, &scratch, true, &err), 0);
    struct span read = span_str("{\"topic\":\"q\",\"seq\":1,\"timestamp\":\"t\"}");
    assert_int_equal(frame_in_parse(&in, read, &scratch, false, &err), 0);
}

static struct frame_in parse(const char *text, struct buf *scratch)
{
    struct frame_in in;
    struct err err = ERR_INIT;
    if (frame_in_parse(&in, span_str(text), scratch, false, &err) != 0)
        fail_msg("refused: %s: %s", text, err.text);
    return in;
}

static void test_content(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in = parse("{\"content_base64\":\"AP8=\"}", &scratch);
    assert_true(in.has_content && in.content.len == 2);
    assert_memory_equal(in.content.ptr, "\x00\xff", 2);
    in = parse("{\"content_base64\":\"\\/\\/\\/+\"}", &scratch);
    assert_memory_equal(in.content.ptr, "\xff\xff\xfe", 3);
    in = parse("{\"content\":\"\"}", &scratch);
    assert_true(in.has_content && in.content.len == 0);
    in = parse("{\"content\":null,\"content_base64\":\"\"}", &scratch);
    assert_true(in.has_content && in.content.len == 0);
    in = parse("{\"content\":\"a\\u0000b\"}", &scratch);
    assert_int_equal(in.content.len, 3);
}

/* What only an append may say: any stream's name, the client's timestamp, a cursor. */
static void test_append_keys(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in = parse("{\"stream\":\"9a \\u00e4\",\"stamp\":18446744073709551615,\"size\":7}", &scratch);
    assert_true(in.stream && span_is(in.topic, "9a \xc3\xa4"));
    assert_true(in.has_stamp && in.stamp == UINT64_MAX && !in.is_cursor);
    in = parse("{\"topic\":\"a\",\"stream\":null,\"stamp\":null,\"cursor\":null,\"position\":null}", &scratch);
    assert_false(in.stream || in.has_stamp || in.is_cursor);
    in = parse("{\"position\":\"p\\n\",\"cursor\":\"c\"}", &scratch);
    assert_true(in.is_cursor && span_is(in.cursor, "c") && span_is(in.position, "p\n"));
    in = parse("{\"cursor\":\"c\",\"position\":\"\",\"topic\":null}", &scratch);
    assert_true(in.is_cursor && in.position.len == 0);
    /* An import has other keys, and passes these over. */
    struct span line = span_str("{\"topic\":\"a\",\"stream\":5,\"stamp\":\"x\",\"cursor\":1}");
    assert_int_equal(frame_in_parse(&in, line, &scratch, true, NULL), 0);
    assert_false(in.stream || in.has_stamp || in.is_cursor);
}

static void test_meta_forms(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    assert_true(span_is(parse("{\"meta\": 1.50 }", &scratch).meta, "1.50"));
    assert_true(span_is(parse("{\"meta\":\" a \"}", &scratch).meta, "\" a \""));
    assert_true(span_is(parse("{\"meta\":[ ]}", &scratch).meta, "[]"));
    assert_true(span_is(parse("{\"meta\":false}", &scratch).meta, "false"));
    assert_true(
        span_is(parse("{\"m\\u0065ta\":{\"z\":1,\"a\":2}}", &scratch).meta, "{\"z\":1,\"a\":2}"));
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *named; /* what the message must hold */
    } cases[] = {
        {"", "JSON"},
        {"[]", "object"},
        {"\"a\"", "object"},
        {"{\"topic\":\"a\"} x", "JSON"},
        {"{\"topic\":\"a\",}", "JSON"},
        {"{\"topic\":1}", "topic"},
        {"{\"topic\":{}}", "topic"},
        {"{\"topic\":\"a\",\"topic\":\"a\"}", "topic"},
        {"{\"topic\":null,\"t\\u006fpic\":\"a\"}", "topic"},
        {"{\"topic\":\"\\ud800\"}", "topic"},
        {"{\"id\":\"abc\"}", "id"},
        {"{\"id\":7}", "id"},
        {"{\"hash\":\"abc\"}", "hash"},
        {"{\"hash\":\"sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", "sha256"},
        {"{\"hash\":false}", "hash"},
        {"{\"ttl\":\"soon\"}", "ttl"},
        {"{\"ttl\":5}", "ttl"},
        {"{\"ttl\":\"head:5\"}", "ttl"},
        {"{\"meta\":1,\"meta\":2}", "meta"},
        {"{\"content\":7}", "content"},
        {"{\"content\":[]}", "content"},
        {"{\"content_base64\":\"A\"}", "content_base64"},
        {"{\"content_base64\":\"AA-_\"}", "content_base64"},
        {"{\"content\":\"\",\"content_base64\":\"\"}", "both"},
        {"{\"content_base64\":\"AA==\",\"content\":\"a\"}", "both"},
        {"{\"topic\":\"a\",\"stream\":\"a\"}", "both"},
        {"{\"stream\":7}", "stream"},
        {"{\"stamp\":\"7\"}", "stamp"},
        {"{\"stamp\":-1}", "stamp"},
        {"{\"stamp\":1.0}", "stamp"},
        {"{\"stamp\":18446744073709551616}", "stamp"},
        {"{\"cursor\":\"c\"}", "together"},
        {"{\"position\":\"p\",\"cursor\":null}", "together"},
        {"{\"cursor\":\"c\",\"position\":\"p\",\"topic\":\"a\"}", "nothing else"},
        {"{\"cursor\":\"c\",\"position\":\"p\",\"stamp\":1}", "nothing else"},
        {"{\"cursor\":\"c\",\"position\":7}", "position"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN_BUF scratch = BUF_INIT;
        buf_add_str(&scratch, "kept");
        struct frame_in in;
        struct err err = ERR_INIT;
        if (frame_in_parse(&in, span_str(cases[i].text), &scratch, false, &err) != ERR_INVALID)
            fail_msg("accepted: %s", cases[i].text);
        if (!strstr(err.text, cases[i].named))
            fail_msg("%s: %s", cases[i].text, err.text);
        assert_true(span_is(buf_span(&scratch), "kept"));
    }
}

static void test_old_words(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in;
    assert_int_equal(frame_in_parse(&in, span_str("{\"ttl\":\"head:5\"}"), &scratch, true, NULL),
                     0);
    assert_true(in.ttl.kind == TTL_LAST && in.ttl.value == 5);
}

/* Spans into scratch must hold although more is decoded after them, and scratch held bytes before.
 */
static void test_spans_stay_good(void **state)
{
    (void)state;
    CLEAN_BUF scratch = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF expected = BUF_INIT;
    buf_add_str(&scratch, "earlier");
    buf_add_str(&text, "{\"topic\":\"t\\u0041\",\"meta\":{ \"k\" : 1 },\"content\":\"");
    for (int i = 0; i < 50000; i++) {
        buf_add_str(&text, "ab\\n");
        buf_add_str(&expected, "ab\n");
    }
    buf_add_str(&text, "\"}");
    struct frame_in in;
    assert_int_equal(frame_in_parse(&in, buf_span(&text), &scratch, false, NULL), 0);
    assert_true(span_is(in.topic, "tA"));
    assert_true(span_is(in.meta, "{\"k\":1}"));
    assert_true(span_eq(in.content, buf_span(&expected)));
    assert_memory_equal(scratch.ptr, "earlier", 7);
}

static void test_meta_limits(void **state)
{
    (void)state;
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in;
    for (size_t over = 0; over < 2; over++) {
        buf_reset(&text);
        buf_add_str(&text, "{\"meta\":   \"");
        for (size_t i = 0; i < META_MAX - 2 + over; i++)
            buf_add_str(&text, "x");
        buf_add_str(&text, "\"   }");
        assert_int_equal(frame_in_parse(&in, buf_span(&text), &scratch, false, NULL),
                         over ? ERR_TOO_LARGE : 0);
    }
    for (int over = 0; over < 2; over++) {
        buf_reset(&text);
        buf_add_str(&text, "{\"meta\":");
        for (int i = 0; i < META_DEPTH + over; i++)
            buf_add_str(&text, "[");
        for (int i = 0; i < META_DEPTH + over; i++)
            buf_add_str(&text, "]");
        buf_add_str(&text, "}");
        assert_int_equal(frame_in_parse(&in, buf_span(&text), &scratch, false, NULL),
                         over ? ERR_INVALID : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),         cmocka_unit_test(test_absent_and_null),
        cmocka_unit_test(test_unknown_keys), cmocka_unit_test(test_content),
        cmocka_unit_test(test_meta_forms),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_old_words),    cmocka_unit_test(test_spans_stay_good),
        cmocka_unit_test(test_meta_limits),  cmocka_unit_test(test_append_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
