/*
 * Base64 and decimal numbers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/text.h"

static const struct {
    const char *bytes;
    const char *text;
} known[] = {
    {"", ""},
    {"f", "Zg=="},
    {"fo", "Zm8="},
    {"foo", "Zm9v"},
    {"foob", "Zm9vYg=="},
    {"fooba", "Zm9vYmE="},
    {"foobar", "Zm9vYmFy"},
    {"{\"key\":\"value\"}", "eyJrZXkiOiJ2YWx1ZSJ9"},
    {"{\"name\":\"Informaci\xc3\xb3n\"}", "eyJuYW1lIjoiSW5mb3JtYWNpw7NuIn0="},
    {"\xfb\xff\xfe", "+//+"},
};

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        CLEAN_BUF out = BUF_INIT;
        buf_add_str(&out, ">");
        assert_int_equal(b64_encode(&out, span_str(known[i].bytes)), 0);
        assert_string_equal(buf_cstr(&out) + 1, known[i].text);
        buf_reset(&out);
        buf_add_str(&out, ">");
        assert_int_equal(b64_decode(&out, span_str(known[i].text), NULL), 0);
        assert_string_equal(buf_cstr(&out) + 1, known[i].bytes);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",     "Zg",   "Zg=",  "Zm8",      "Zg===",    "====",     "=",       "Zm9v\n", " Zm9v",
        "Zm 9v", "Zm9-", "Zm9_", "Zm9vZh==", "Zg==Zg==", "Zm9vYm=x", "Zm9\xc3", "A===",   "Zh=="};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CLEAN_BUF out = BUF_INIT;
        struct err err = ERR_INIT;
        buf_add_str(&out, "kept");
        if (b64_decode(&out, span_str(bad[i]), &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.text, "base64"));
        assert_true(span_is(buf_span(&out), "kept"));
    }
}

static void test_every_length_comes_back(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7);
    for (size_t len = 0; len <= sizeof(bytes); len++) {
        CLEAN_BUF text = BUF_INIT;
        CLEAN_BUF back = BUF_INIT;
        assert_int_equal(b64_encode(&text, span_of(bytes, len)), 0);
        assert_int_equal(text.len, (len + 2) / 3 * 4);
        assert_int_equal(b64_decode(&back, buf_span(&text), NULL), 0);
        assert_true(span_eq(buf_span(&back), span_of(bytes, len)));
    }
}

/* In each place of a group exactly the 64 digits are understood. */
static void test_every_byte(void **state)
{
    (void)state;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < 4; at++) {
        for (int byte = 0; byte < 256; byte++) {
            uint8_t text[9] = "Zm9vZm9v";
            text[at] = (uint8_t)byte;
            CLEAN_BUF out = BUF_INIT;
            bool known_digit = byte != 0 && strchr(digits, byte);
            assert_int_equal(b64_decode(&out, span_of(text, 8), NULL),
                             known_digit ? 0 : ERR_INVALID);
            assert_int_equal(out.len, known_digit ? 6 : 0);
        }
    }
}

static void test_no_room(void **state)
{
    (void)state;
    uint8_t bytes[4] = {0, 0, 0, 9};
    size_t len = 7;
    assert_int_equal(b64_decode_into(bytes, 3, span_str("Zm9vZg=="), &len), ERR_INVALID);
    assert_int_equal(bytes[3], 9);
    assert_int_equal(len, 7);
    assert_int_equal(b64_decode_into(bytes, 4, span_str("Zm9vZg=="), &len), 0);
    assert_int_equal(len, 4);
}

static void test_numbers(void **state)
{
    (void)state;
    uint64_t value = 7;
    assert_int_equal(text_u64(span_str("0"), &value), 0);
    assert_true(value == 0);
    assert_int_equal(text_u64(span_str("007"), &value), 0);
    assert_true(value == 7);
    assert_int_equal(text_u64(span_str("18446744073709551615"), &value), 0);
    assert_true(value == UINT64_MAX);
    static const char *const bad[] = {"",
                                      " ",
                                      "-1",
                                      "+1",
                                      "1 ",
                                      " 1",
                                      "0x1",
                                      "1.0",
                                      "a",
                                      "18446744073709551616",
                                      "100000000000000000000"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        value = 7;
        assert_int_equal(text_u64(span_str(bad[i]), &value), ERR_INVALID);
        assert_true(value == 7);
    }
    char digits[U64_TEXT_MAX];
    assert_int_equal(text_format_u64(digits, UINT64_MAX), 20);
    assert_memory_equal(digits, "18446744073709551615", 20);
    assert_int_equal(text_format_u64(digits, 0), 1);
    assert_int_equal(digits[0], '0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_every_length_comes_back),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
