/*
 * Appends, acks and records as JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/s2/json.h"

static void test_format(void **state)
{
    (void)state;
    enum s2_format format = S2_BASE64;
    assert_true(s2_format_parse(&format, span_of(NULL, 0)));
    assert_int_equal(format, S2_RAW);
    assert_true(s2_format_parse(&format, span_str("json-binsafe")));
    assert_int_equal(format, S2_BASE64);
    assert_true(s2_format_parse(&format, span_str("json")));
    assert_int_equal(format, S2_RAW);
    assert_true(s2_format_parse(&format, span_str("base64")));
    assert_int_equal(format, S2_BASE64);
    assert_true(s2_format_parse(&format, span_str("raw")));
    assert_int_equal(format, S2_RAW);
    assert_false(s2_format_parse(&format, span_str("hex")));
    assert_false(s2_format_parse(&format, span_of("", 0)));
}

/* The text is copied, so that a read past its end is seen. */
static int read_input(struct s2_input *out, struct span text, enum s2_format format)
{
    static uint8_t *kept;
    struct err err = ERR_INIT;
    free(kept);
    kept = malloc(text.len + 1);
    assert_non_null(kept);
    if (text.len > 0)
        memcpy(kept, text.ptr, text.len);
    int rc = s2_json_read_input(out, span_of(kept, text.len), format, &err);
    if ((rc < 0) != (err.text[0] != '\0'))
        fail_msg("%.*s: %d '%s'", SPAN_ARG(text), rc, err.text);
    if (text.len == 0) {
        free(kept);
        kept = NULL;
    }
    return rc;
}

static void read_good(struct s2_input *out, const char *text, enum s2_format format)
{
    struct err err = ERR_INIT;
    if (s2_json_read_input(out, span_str(text), format, &err) < 0)
        fail_msg("%s: %s", text, err.text);
}

static void test_input(void **state)
{
    (void)state;
    CLEAN_S2_INPUT in = {0};
    read_good(&in, "{\"records\":[]}", S2_RAW);
    assert_int_equal(in.count, 0);
    assert_false(in.has_match || in.has_token);
    read_good(&in,
              " {\"x\":{\"records\":1}, \"records\" : [ {}, {\"body\":\"h\\u00e9\\n\"},"
              "{\"timestamp\":18446744073709551615,\"headers\":[[\"a\",\"b\"],[\"\\u0061\",\"\"]],"
              "\"other\":null,\"body\":\"x\"},"
              "{\"headers\":[[\"c\",\"\\ud83d\\ude00\"]],\"timestamp\":null,\"body\":null}],"
              "\"match_seq_num\":0,\"fencing_token\":\"\"}",
              S2_RAW);
    assert_int_equal(in.count, 4);
    assert_true(in.has_match && in.match_seq_num == 0 && in.has_token && in.token.len == 0);
    assert_int_equal(
        in.records[0].body.len + in.records[0].header_count + in.records[0].has_timestamp, 0);
    assert_true(span_is(in.records[1].body, "h\xc3\xa9\n"));
    assert_true(in.records[2].has_timestamp && in.records[2].timestamp == UINT64_MAX);
    assert_int_equal(in.records[2].header_count, 2);
    assert_true(span_is(in.records[2].headers[0].name, "a") &&
                span_is(in.records[2].headers[0].value, "b"));
    assert_true(span_is(in.records[2].headers[1].name, "a") &&
                span_is(in.records[2].headers[1].value, ""));
    assert_true(span_is(in.records[2].body, "x"));
    assert_false(in.records[3].has_timestamp);
    assert_int_equal(in.records[3].header_count, 1);
    assert_true(span_is(in.records[3].headers[0].name, "c") &&
                span_is(in.records[3].headers[0].value, "\xf0\x9f\x98\x80"));
    read_good(&in, "{\"records\":[{}],\"match_seq_num\":null,\"fencing_token\":null}", S2_RAW);
    assert_false(in.has_match || in.has_token);
    read_good(&in,
              "{\"records\":[{}],\"match_seq_num\":1,\"match_seq_num\":18446744073709551615,"
              "\"fencing_token\":\"t\\t\"}",
              S2_RAW);
    assert_true(in.has_match && in.match_seq_num == UINT64_MAX && span_is(in.token, "t\t"));
    read_good(&in,
              "{\"records\":[{\"body\":\"a\",\"body\":\"b\"}],\"records\":[{\"body\":\"c\","
              "\"body\":\"d\"}]}",
              S2_RAW);
    assert_true(in.count == 1 && span_is(in.records[0].body, "d"));
    read_good(&in, "{\"records\":[{}],\"fencing_token\":\"012345678901234567890123456789012345\"}",
              S2_RAW);
    assert_int_equal(in.token.len, 36);
}

static void test_base64(void **state)
{
    (void)state;
    CLEAN_S2_INPUT in = {0};
    read_good(&in,
              "{\"records\":[{\"body\":\"aGk=\",\"headers\":[[\"/w==\",\"\"],[\"\\/"
              "w\\u003d=\",\"YWJj\"]]},{\"body\":\"\"},"
              "{\"body\":\"\\u0061Gk=\"}],\"fencing_token\":\"plain?\"}",
              S2_BASE64);
    assert_int_equal(in.count, 3);
    assert_true(span_is(in.records[0].body, "hi"));
    assert_true(span_is(in.records[0].headers[0].name, "\xff") &&
                in.records[0].headers[0].value.len == 0);
    assert_true(span_is(in.records[0].headers[1].name, "\xff") &&
                span_is(in.records[0].headers[1].value, "abc"));
    assert_int_equal(in.records[1].body.len, 0);
    assert_true(span_is(in.records[2].body, "hi"));
    assert_true(span_is(in.token, "plain?"));
    static const char *const bad[] = {"?", "aGk", "a===", "aG k=", "aGk=\\n", "aGk-"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEAN_BUF text = BUF_INIT;
        assert_int_equal(buf_addf(&text, "{\"records\":[{\"body\":\"%s\"}]}", bad[i]), 0);
        assert_int_equal(read_input(&in, buf_span(&text), S2_BASE64), ERR_INVALID);
    }
    assert_int_equal(in.count, 3); /* untouched */
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{nope",
        "[]",
        "1",
        "null",
        "{}",
        "{\"records\":null}",
        "{\"records\":{}}",
        "{\"records\":\"x\"}",
        "{\"records\":[1]}",
        "{\"records\":[null]}",
        "{\"records\":[[]]}",
        "{\"records\":[{}]} x",
        "{\"records\":[{\"body\":1}]}",
        "{\"records\":[{\"body\":{}}]}",
        "{\"records\":[{\"body\":\"\\ud800\"}]}",
        "{\"records\":[{\"body\":\"\\udc00\\ud800\"}]}",
        "{\"records\":[{\"body\":\"\xff\"}]}",
        "{\"records\":[{\"timestamp\":-1}]}",
        "{\"records\":[{\"timestamp\":1.5}]}",
        "{\"records\":[{\"timestamp\":1e2}]}",
        "{\"records\":[{\"timestamp\":18446744073709551616}]}",
        "{\"records\":[{\"timestamp\":\"1\"}]}",
        "{\"records\":[{\"headers\":{}}]}",
        "{\"records\":[{\"headers\":[1]}]}",
        "{\"records\":[{\"headers\":[[]]}]}",
        "{\"records\":[{\"headers\":[[\"a\"]]}]}",
        "{\"records\":[{\"headers\":[[\"a\",\"b\",\"c\"]]}]}",
        "{\"records\":[{\"headers\":[[\"a\",1]]}]}",
        "{\"records\":[{\"headers\":[[null,\"b\"]]}]}",
        "{\"records\":[{\"headers\":[{\"a\":\"b\"}]}]}",
        "{\"records\":[{\"headers\":[[\"\\ud800\",\"b\"]]}]}",
        "{\"records\":[{}],\"match_seq_num\":\"1\"}",
        "{\"records\":[{}],\"match_seq_num\":-1}",
        "{\"records\":[{}],\"match_seq_num\":0.0}",
        "{\"records\":[{}],\"match_seq_num\":18446744073709551616}",
        "{\"records\":[{}],\"fencing_token\":1}",
        "{\"records\":[{}],\"fencing_token\":\"\\ud800\"}",
        "{\"records\":[{}],\"fencing_token\":\"0123456789012345678901234567890123456\"}"};
    CLEAN_S2_INPUT in = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int rc = read_input(&in, span_str(bad[i]), S2_RAW);
        if (rc != ERR_FORMAT)
            fail_msg("%s: %d", bad[i], rc);
    }
    CLEAN_BUF deep = BUF_INIT;
    assert_int_equal(buf_add_str(&deep, "{\"records\":"), 0);
    for (int i = 0; i < 500000; i++)
        assert_int_equal(buf_add_str(&deep, "[{"), 0);
    assert_int_equal(read_input(&in, buf_span(&deep), S2_RAW), ERR_FORMAT);
    assert_int_equal(read_input(&in, span_of(NULL, 0), S2_RAW), ERR_FORMAT);
}

/* More than an append may have: the check refuses it, and it took no memory for each. */
static void test_too_many(void **state)
{
    (void)state;
    CLEAN_S2_INPUT in = {0};
    CLEAN_BUF text = BUF_INIT;
    assert_int_equal(buf_add_str(&text, "{\"records\":[{}"), 0);
    for (int i = 0; i < 400000; i++)
        assert_int_equal(buf_add_str(&text, ",{}"), 0);
    assert_int_equal(buf_add_str(&text, "]}"), 0);
    assert_int_equal(s2_json_read_input(&in, buf_span(&text), S2_RAW, NULL), 0);
    assert_int_equal(in.count, S2_RECORDS_MAX + 1);
    assert_int_equal(s2_input_check(&in, NULL), ERR_INVALID);
}

static struct span random_bytes(uint8_t *room, size_t max, unsigned *seed)
{
    size_t len = (size_t)rand_r(seed) % max;
    for (size_t i = 0; i < len; i++)
        room[i] = (uint8_t)rand_r(seed);
    return span_of(room, len);
}

/* A record written is an append's record read. */
static void test_around(void **state)
{
    (void)state;
    unsigned seed = 3;
    for (int round = 0; round < 3000; round++) {
        static uint8_t room[9][300];
        struct s2_header headers[4];
        struct s2_record record = {.headers = headers, .header_count = (size_t)rand_r(&seed) % 5};
        for (size_t i = 0; i < record.header_count; i++) {
            headers[i].name = random_bytes(room[2 * i], 20, &seed);
            headers[i].value = random_bytes(room[2 * i + 1], 20, &seed);
        }
        record.body = random_bytes(room[8], 300, &seed);
        record.timestamp = (uint64_t)rand_r(&seed) << 33 | (uint64_t)rand_r(&seed);
        CLEAN_BUF text = BUF_INIT;
        CLEAN_S2_INPUT in = {0};
        assert_int_equal(buf_add_str(&text, "{\"records\":["), 0);
        assert_int_equal(s2_json_put_record(&text, &record, S2_BASE64), 0);
        assert_int_equal(buf_add_str(&text, "]}"), 0);
        assert_int_equal(read_input(&in, buf_span(&text), S2_BASE64), 0);
        assert_int_equal(in.count, 1);
        assert_true(in.records[0].timestamp == record.timestamp &&
                    span_eq(in.records[0].body, record.body));
        assert_int_equal(in.records[0].header_count, record.header_count);
        for (size_t i = 0; i < record.header_count; i++) {
            assert_true(span_eq(in.records[0].headers[i].name, headers[i].name));
            assert_true(span_eq(in.records[0].headers[i].value, headers[i].value));
        }
    }
    read_input(&(struct s2_input){0}, span_of(NULL, 0), S2_RAW); /* frees what it keeps */
}

static void expect_record(const struct s2_record *record, enum s2_format format,
                          const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(s2_json_put_record(&out, record, format), 0);
    assert_string_equal(buf_cstr(&out), expected);
    assert_int_equal(json_validate(buf_span(&out), 8, NULL, NULL), 0);
}

static void test_records(void **state)
{
    (void)state;
    const struct s2_header trim = {span_of(NULL, 0), span_str("trim")};
    const struct s2_header two[] = {{span_str("a"), span_str("b")},
                                    {span_str("a"), span_str("\xff\"")}};
    struct s2_record r = {.seq_num = UINT64_MAX, .timestamp = UINT64_MAX};
    expect_record(&r, S2_RAW,
                  "{\"seq_num\":18446744073709551615,\"timestamp\":18446744073709551615}");
    r = (struct s2_record){.seq_num = 1,
                           .headers = &trim,
                           .header_count = 1,
                           .body = span_of("\0\0\0\0\0\0\0\xff", 8)};
    expect_record(&r, S2_RAW,
                  "{\"seq_num\":1,\"timestamp\":0,\"headers\":[[\"\",\"trim\"]],"
                  "\"body\":\"\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\\u0000\xef\xbf\xbd\"}");
    expect_record(&r, S2_BASE64,
                  "{\"seq_num\":1,\"timestamp\":0,\"headers\":[[\"\",\"dHJpbQ==\"]],\"body\":"
                  "\"AAAAAAAAAP8=\"}");
    r = (struct s2_record){.headers = two, .header_count = 2, .body = span_str("h\xc3\xa9\n")};
    expect_record(&r, S2_RAW,
                  "{\"seq_num\":0,\"timestamp\":0,\"headers\":[[\"a\",\"b\"],[\"a\","
                  "\"\xef\xbf\xbd\\\"\"]],\"body\":\"h\xc3\xa9\\n\"}");
}

static void test_positions(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    const struct s2_ack ack = {{0, 1}, {UINT64_MAX, UINT64_MAX}, {UINT64_MAX, UINT64_MAX}};
    assert_int_equal(s2_json_put_position(&out, &ack.start), 0);
    assert_string_equal(buf_cstr(&out), "{\"seq_num\":0,\"timestamp\":1}");
    buf_reset(&out);
    assert_int_equal(s2_json_put_tail(&out, &ack.tail), 0);
    assert_string_equal(
        buf_cstr(&out),
        "{\"tail\":{\"seq_num\":18446744073709551615,\"timestamp\":18446744073709551615}}");
    buf_finish(&out);
    assert_int_equal(s2_json_put_ack(&out, &ack), 0);
    assert_string_equal(
        buf_cstr(&out),
        "{\"start\":{\"seq_num\":0,\"timestamp\":1},"
        "\"end\":{\"seq_num\":18446744073709551615,\"timestamp\":18446744073709551615},"
        "\"tail\":{\"seq_num\":18446744073709551615,\"timestamp\":18446744073709551615}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),   cmocka_unit_test(test_input),
        cmocka_unit_test(test_base64),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many), cmocka_unit_test(test_around),
        cmocka_unit_test(test_records),  cmocka_unit_test(test_positions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
