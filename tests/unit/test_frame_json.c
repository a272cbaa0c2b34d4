/*
 * Frames written as JSON lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/frame_json.h"
#include "base/json.h"

#define ID_TEXT "03d4q1qhbiv09ovtuhokw5yxv"

static const uint8_t hello_digest[DIGEST_SIZE] = {
    0x2c, 0xf2, 0x4d, 0xba, 0x5f, 0xb0, 0xa3, 0x0e, 0x26, 0xe8, 0x3b, 0x2a, 0xc5, 0xb9, 0xe2, 0x9e,
    0x1b, 0x16, 0x1e, 0x5c, 0x1f, 0xa7, 0x42, 0x5e, 0x73, 0x04, 0x33, 0x62, 0x93, 0x8b, 0x98, 0x24};

static struct frame plain(void)
{
    struct frame frame = {.topic = span_str("notes"), .ttl = {TTL_FOREVER, 0}};
    assert_int_equal(id_parse(&frame.id, span_str(ID_TEXT), NULL), 0);
    return frame;
}

static void check(const struct frame *frame, unsigned flags, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    buf_add_str(&out, ">");
    assert_int_equal(frame_json(&out, frame, flags), 0);
    assert_string_equal(buf_cstr(&out) + 1, expected);
    assert_int_equal(json_validate(span_of(out.ptr + 1, out.len - 1), META_DEPTH + 1, NULL, NULL),
                     0);
}

static void test_shapes(void **state)
{
    (void)state;
    struct frame frame = plain();
    check(&frame, 0,
          "{\"topic\":\"notes\",\"id\":\"" ID_TEXT
          "\",\"hash\":null,\"meta\":null,\"ttl\":\"forever\"}");
    frame.meta = span_str("{\"text\":\"hi\"}");
    check(&frame, 0,
          "{\"topic\":\"notes\",\"id\":\"" ID_TEXT
          "\",\"hash\":null,\"meta\":{\"text\":\"hi\"},\"ttl\":\"forever\"}");
    frame.ttl.kind = TTL_NULL;
    frame.has_hash = true;
    memcpy(frame.digest, hello_digest, DIGEST_SIZE);
    check(&frame, 0,
          "{\"topic\":\"notes\",\"id\":\"" ID_TEXT
          "\",\"hash\":\"sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\","
          "\"meta\":{\"text\":\"hi\"},\"ttl\":null}");
}

static void test_ttls(void **state)
{
    (void)state;
    static const struct {
        struct ttl ttl;
        const char *text;
    } cases[] = {
        {{TTL_NULL, 0}, "null"},
        {{TTL_FOREVER, 0}, "\"forever\""},
        {{TTL_EPHEMERAL, 0}, "\"ephemeral\""},
        {{TTL_TIME, UINT64_MAX}, "\"time:18446744073709551615\""},
        {{TTL_LAST, 3}, "\"last:3\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[256];
        struct frame frame = plain();
        frame.ttl = cases[i].ttl;
        snprintf(expected, sizeof(expected),
                 "{\"topic\":\"notes\",\"id\":\"%s\",\"hash\":null,\"meta\":null,\"ttl\":%s}",
                 ID_TEXT, cases[i].text);
        check(&frame, 0, expected);
    }
}

static void test_extra_keys(void **state)
{
    (void)state;
    struct frame frame = plain();
#define HEAD                                                                                       \
    "{\"topic\":\"notes\",\"id\":\"" ID_TEXT "\",\"hash\":null,\"meta\":null,\"ttl\":\"forever\","
    check(&frame, FRAME_JSON_SEQ, HEAD "\"seq\":null}");
    frame.has_seq = true;
    check(&frame, FRAME_JSON_SEQ, HEAD "\"seq\":0}");
    frame.seq = UINT64_MAX;
    check(&frame, FRAME_JSON_SEQ, HEAD "\"seq\":18446744073709551615}");
    check(&frame, FRAME_JSON_SEQ | FRAME_JSON_AUTHORITY, HEAD "\"seq\":18446744073709551615,\"authority\":\"none\"}");
    frame.authority = AUTHORITY_EXEC;
    check(&frame, FRAME_JSON_AUTHORITY, HEAD "\"authority\":\"exec\"}");
    frame.authority = AUTHORITY_DAEMON;
    check(&frame, FRAME_JSON_AUTHORITY, HEAD "\"authority\":\"daemon\"}");
    check(&frame, FRAME_JSON_TIMESTAMP, HEAD "\"timestamp\":\"2025-01-02T19:41:44.817+00:00\"}");
    frame.seq = 5;
    check(&frame, FRAME_JSON_SEQ | FRAME_JSON_TIMESTAMP,
          HEAD "\"seq\":5,\"timestamp\":\"2025-01-02T19:41:44.817+00:00\"}");
#undef HEAD
}

/* The content, behind everything else: as text where it is UTF-8, as base64, as its size alone. */
static void test_content(void **state)
{
    (void)state;
#define BEFORE "{\"topic\":\"notes\",\"id\":\"" ID_TEXT "\",\"hash\":\"sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=\",\"meta\":null,\"ttl\":\"forever\""
    static const struct {
        struct span content;
        const char *shown;
    } cases[] = {
        {{(const uint8_t *)"hello", 5}, "\"content\":\"hello\""},
        {{(const uint8_t *)"a\"\\\n\0\x1f\xc3\xa4", 8}, "\"content\":\"a\\\"\\\\\\n\\u0000\\u001f\xc3\xa4\""},
        {{(const uint8_t *)"eight bytes, then \xff", 19}, "\"content_base64\":\"ZWlnaHQgYnl0ZXMsIHRoZW4g/w==\""},
        {{(const uint8_t *)"eight by\xc3", 9}, "\"content_base64\":\"ZWlnaHQgYnnD\""},
        {{(const uint8_t *)"\xed\xa0\x80", 3}, "\"content_base64\":\"7aCA\""},
    };
    struct frame frame = plain();
    check(&frame, FRAME_JSON_CONTENT, "{\"topic\":\"notes\",\"id\":\"" ID_TEXT "\",\"hash\":null,\"meta\":null,\"ttl\":\"forever\"}");
    frame.has_hash = frame.has_content = true;
    memcpy(frame.digest, hello_digest, DIGEST_SIZE);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CLEAN_BUF wanted = BUF_INIT;
        frame.content = cases[i].content;
        frame.content_size = frame.content.len;
        assert_int_equal(buf_addf(&wanted, BEFORE ",%s}", cases[i].shown), 0);
        check(&frame, FRAME_JSON_CONTENT, buf_cstr(&wanted));
    }
    frame.stamp = UINT64_MAX;
    frame.content = span_str("hello");
    check(&frame, FRAME_JSON_CONTENT | FRAME_JSON_STAMP, BEFORE ",\"stamp\":18446744073709551615,\"content\":\"hello\"}");
    frame.has_content = false;
    frame.content_size = FRAME_JSON_CONTENT_MAX + 1;
    check(&frame, FRAME_JSON_CONTENT, BEFORE ",\"size\":1048577}");
    frame.content_size = 0;
    check(&frame, FRAME_JSON_CONTENT, BEFORE ",\"size\":null}");
    check(&frame, 0, BEFORE "}");
#undef BEFORE
}

/* The largest that is shown, and one byte more, though it lies in the record. */
static void test_content_bound(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    uint8_t *bytes = malloc(FRAME_JSON_CONTENT_MAX + 1);
    struct frame frame = plain();
    assert_non_null(bytes);
    memset(bytes, 1, FRAME_JSON_CONTENT_MAX + 1); /* six bytes each */
    frame.has_hash = frame.has_content = true;
    for (size_t over = 0; over < 2; over++) {
        buf_reset(&out);
        frame.content = span_of(bytes, FRAME_JSON_CONTENT_MAX + over);
        frame.content_size = frame.content.len;
        assert_int_equal(frame_json(&out, &frame, FRAME_JSON_CONTENT), 0);
        assert_true(over ? out.len < 256 : out.len > 6 * (size_t)FRAME_JSON_CONTENT_MAX);
    }
    free(bytes);
}

static void test_topics_that_need_escapes(void **state)
{
    (void)state;
#define TAIL ",\"id\":\"" ID_TEXT "\",\"hash\":null,\"meta\":null,\"ttl\":\"forever\"}"
    struct frame frame = plain();
    frame.topic = span_str("a b/\xc3\xa4");
    check(&frame, 0, "{\"topic\":\"a b/\xc3\xa4\"" TAIL);
    frame.topic = span_str("say \"\\\"\n");
    check(&frame, 0, "{\"topic\":\"say \\\"\\\\\\\"\\n\"" TAIL);
    frame.topic = (struct span){NULL, 0};
    check(&frame, 0, "{\"topic\":\"\"" TAIL);
#undef TAIL
}

/* Copies of every length, and the longest line there is, in memory reserved exactly once. */
static void test_every_length(void **state)
{
    (void)state;
    char text[TOPIC_MAX];
    for (size_t len = 0; len <= TOPIC_MAX; len++) {
        for (int fill = 0; fill < 2; fill++) {
            memset(text, fill ? '\x01' : 'a', sizeof(text));
            CLEAN_BUF out = BUF_INIT;
            struct frame frame = plain();
            frame.topic = span_of(text, len);
            frame.origin = frame.topic;
            frame.ttl = (struct ttl){TTL_TIME, UINT64_MAX};
            frame.id = ID_MAX;
            frame.seq = UINT64_MAX;
            frame.has_hash = true;
            frame.has_seq = true;
            assert_int_equal(frame_json(&out, &frame, FRAME_JSON_SEQ | FRAME_JSON_TIMESTAMP), 0);
            assert_int_equal(json_validate(buf_span(&out), 2, NULL, NULL), 0);
            struct frame_in back;
            CLEAN_BUF scratch = BUF_INIT;
            assert_int_equal(frame_in_parse(&back, buf_span(&out), &scratch, false, NULL), 0);
            assert_true(span_eq(back.topic, frame.topic));
            assert_int_equal(id_cmp(back.id, ID_MAX), 0);
        }
    }
}

static void test_origin_is_shown(void **state)
{
    (void)state;
#define HEAD "{\"topic\":\"notes\",\"id\":\"" ID_TEXT "\",\"hash\":null,\"meta\":"
#define TAIL ",\"ttl\":\"forever\"}"
    struct frame frame = plain();
    frame.origin = span_str("shop");
    check(&frame, 0, HEAD "{\"origin\":\"shop\"}" TAIL);
    frame.meta = span_str("{}");
    check(&frame, 0, HEAD "{\"origin\":\"shop\"}" TAIL);
    frame.meta = span_str("{\"a\":1}");
    check(&frame, 0, HEAD "{\"origin\":\"shop\",\"a\":1}" TAIL);
    frame.meta = span_str("[1]");
    check(&frame, 0, HEAD "[1]" TAIL);
    frame.meta = span_str("7");
    check(&frame, 0, HEAD "7" TAIL);
#undef HEAD
#undef TAIL
}

static void test_many_in_one_buffer(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    struct frame frame = plain();
    for (int i = 0; i < 1000; i++) {
        frame.seq = (uint64_t)i;
        frame.has_seq = true;
        assert_int_equal(frame_json(&out, &frame, FRAME_JSON_SEQ), 0);
        assert_int_equal(buf_add_str(&out, "\n"), 0);
    }
    int lines = 0;
    for (char *line = strtok((char *)(uintptr_t)buf_cstr(&out), "\n"); line;
         line = strtok(NULL, "\n")) {
        char end[32];
        snprintf(end, sizeof(end), "\"seq\":%d}", lines++);
        assert_string_equal(line + strlen(line) - strlen(end), end);
    }
    assert_int_equal(lines, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_ttls),
        cmocka_unit_test(test_extra_keys),
        cmocka_unit_test(test_content),
        cmocka_unit_test(test_content_bound),
        cmocka_unit_test(test_topics_that_need_escapes),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_origin_is_shown),
        cmocka_unit_test(test_many_in_one_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
