/*
 * JSON printed again: every expectation is what the peer's decoder printed for that payload.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bridge/double.h"
#include "bridge/show.h"

/* An exact allocation, so that a sanitizer sees a byte read past the end. */
static int again(struct buf *out, const char *text, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, text, len);
    buf_reset(out);
    int rc = ss_json_again(out, span_of(copy, len));
    free(copy);
    return rc;
}

static void expect(const char *text, const char *want)
{
    CLEAN_BUF out = BUF_INIT;
    int rc = again(&out, text, strlen(text));
    if (rc != 0)
        fail_msg("%s: %d, not %s", text, rc, want);
    assert_string_equal(buf_cstr(&out), want);
}

struct pair {
    const char *text, *want;
};

static void expect_all(const struct pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        expect(pairs[i].text, pairs[i].want);
}
#define EXPECT_ALL(pairs) expect_all(pairs, sizeof(pairs) / sizeof((pairs)[0]))

static void test_integers(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"0", "0"},
        {" 12345\r\n", "12345"},
        {"-7", "-7"},
        {"18446744073709551615", "18446744073709551615"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"123456789012345680", "123456789012345680"},
        /* Beyond 64 bits, and minus zero, they are doubles. */
        {"18446744073709551616", "1.8446744073709552e+19"},
        {"-9223372036854775809", "-9.223372036854776e+18"},
        {"-18446744073709551615", "-1.8446744073709552e+19"},
        {"123456789012345678901234567890", "1.2345678901234568e+29"},
        {"-0", "-0.0"},
    };
    EXPECT_ALL(pairs);
}

static void test_doubles(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"1e3", "1000.0"},
        {"1E5", "100000.0"},
        {"1e+5", "100000.0"},
        {"1e05", "100000.0"},
        {"1.0", "1.0"},
        {"12.50e1", "125.0"},
        {"0.1e1", "1.0"},
        {"0.1", "0.1"},
        {"4.35", "4.35"},
        {"-0.0", "-0.0"},
        {"-0e5", "-0.0"},
        {"1e15", "1000000000000000.0"},
        {"1e16", "1e+16"},
        {"1.5e16", "1.5e+16"},
        {"123456789012345680.0", "1.2345678901234568e+17"},
        {"99999999999999999.5", "1e+17"},
        {"9007199254740993.0", "9007199254740994.0"},
        {"1e23", "1e+23"},
        {"0.00001", "0.00001"},
        {"0.00001234", "0.00001234"},
        {"2.3e-5", "0.000023"},
        {"0.000001", "1e-6"},
        {"1e-7", "1e-7"},
        {"5e-7", "5e-7"},
        {"1.7976931348623157e308", "1.7976931348623157e+308"},
        {"2.2250738585072014e-308", "2.2250738585072014e-308"},
        {"1e-320", "1e-320"},
        {"5e-324", "5e-324"},
        {"2.5e-324", "5e-324"},
        {"0e400", "0.0"},
        {"0e99999999999999", "0.0"},
        {"1e-99999999999", "0.0"},
        {"0.1234567890123456789012345", "0.12345678901234568"},
    };
    EXPECT_ALL(pairs);
}

/* That library's arithmetic is not exact; what it prints is to be matched all the same. */
static void test_the_peers_arithmetic(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"1.2345678901234567e-300", "1.234567890123457e-300"},
        {"8.41113242344e-200", "8.411132423440001e-200"},
        {"5.684341886080802e-14", "5.684341886080803e-14"},
        {"5.6843418860808015e-14", "5.684341886080802e-14"},
        {"184467440737095516150.123e-5", "1844674407370955.2"},
    };
    EXPECT_ALL(pairs);
}

static void test_strings(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"\"\"", "\"\""},
        {"\"a json string\"", "\"a json string\""},
        {"\"\\/\"", "\"/\""},
        {"\"\\u0041\\u00E9\\u20ac\"", "\"A\xc3\xa9\xe2\x82\xac\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"\"\\b\\f\\n\\r\\t\\\"\\\\\"", "\"\\b\\f\\n\\r\\t\\\"\\\\\""},
        {"\"\\u0008\\u000c\\u000a\\u000d\\u0009\\u0022\\u005c\"", "\"\\b\\f\\n\\r\\t\\\"\\\\\""},
        {"\"\\u0000\\u001F\\u007f\x7f\"", "\"\\u0000\\u001f\x7f\x7f\""},
    };
    EXPECT_ALL(pairs);
}

static void test_containers(void **state)
{
    (void)state;
    static const struct pair pairs[] = {
        {"[]", "[]"},
        {" [ ] ", "[]"},
        {"{ }", "{}"},
        {"[1, 2, 3]", "[1,2,3]"},
        {"  {\"padded\" : true}  ", "{\"padded\":true}"},
        {"{\"b\":1,\"a\":{\"z\":[1,2.5,true,null]}}", "{\"a\":{\"z\":[1,2.5,true,null]},\"b\":1}"},
        {"{\"b\":1,\"a\":2,\"b\":3}", "{\"a\":2,\"b\":3}"},
        {"{\"a\":1,\"\\u0061\":2}", "{\"a\":2}"},
        {"{\"aa\":1,\"a\":2,\"\":3}", "{\"\":3,\"a\":2,\"aa\":1}"},
        /* By the characters' bytes, not by their escapes. */
        {"{\"\\u00e9\":1,\"z\":2,\"\xf0\x9f\x98\x80\":1,\"\xef\xbf\xbf\":2}", "{\"z\":2,\"\xc3\xa9\":1,\"\xef\xbf\xbf\":2,\"\xf0\x9f\x98\x80\":1}"},
        {"{\"]\":1,\"\\n\":2,\"\\\"\":3,\"A\":4}", "{\"\\n\":2,\"\\\"\":3,\"A\":4,\"]\":1}"},
        {"[{\"b\":{\"y\":1,\"x\":2},\"a\":[{\"d\":1,\"c\":2}]},{\"b\":1}]", "[{\"a\":[{\"c\":2,\"d\":1}],\"b\":{\"x\":2,\"y\":1}},{\"b\":1}]"},
    };
    EXPECT_ALL(pairs);
}

static void test_not_json(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",        " ",        "{broken json", "1 2",       "01",    "1.",     ".5",        "1e",          "1e+",         "--1",
        "-",       "+1",       "[1,]",         "[,1]",      "[1",    "{",      "{\"a\"}",   "{\"a\":}",    "{\"a\":1,}",  "{a:1}",
        "{\"a\":1", "nul",     "NaN",          "Infinity",  "true1", "\"\t\"", "\"\x01\"",  "\"",          "\"\\",        "\"\\x\"",
        "\"\\u12\"", "\"\\u12g4\"", "\xef\xbb\xbf" "1", " \x0b" "1",
        /* Valid elsewhere: out of range, half a surrogate pair. */
        "1e400", "-1e400", "1e99999999999", "1.7976931348623159e308", "179769313486231580793e289", "{\"a\":1e400}",
        "\"\\ud83d\"", "\"\\udc00\"", "\"\\ud83d\\u0041\"", "\"\\ud83dx\"", "{\"\\ud800\":1}",
        /* Bytes that are no UTF-8. */
        "\"\xff\"", "\"\xc3(\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        CLEAN_BUF out = BUF_INIT;
        buf_add_str(&out, "kept");
        if (ss_json_again(&out, span_str(texts[i])) != ERR_INVALID)
            fail_msg("%s is taken for JSON", texts[i]);
        assert_string_equal(buf_cstr(&out), "kept");
    }
}

static void test_depth(void **state)
{
    (void)state;
    CLEAN_BUF out = BUF_INIT;
    char text[300];
    for (size_t depth = 126; depth <= 129; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        assert_int_equal(again(&out, text, depth * 2), depth <= 127 ? 0 : ERR_INVALID);
    }
}

/* Many members in any order, more than a first allocation holds. */
static void test_many_members(void **state)
{
    (void)state;
    CLEAN_BUF text = BUF_INIT, want = BUF_INIT, out = BUF_INIT;
    for (int i = 0; i < 500; i++) {
        buf_addf(&text, "%s\"k%03d\":%d", i ? "," : "{", i * 7 % 500, i);
        buf_addf(&want, "%s\"k%03d\":%d", i ? "," : "{", i, i * 143 % 500);
    }
    buf_add_str(&text, "}");
    buf_add_str(&want, "}");
    assert_int_equal(again(&out, (const char *)text.ptr, text.len), 0);
    assert_true(span_eq(buf_span(&out), buf_span(&want)));
}

/* --- doubles ---------------------------------------------------------------------------------- */

/* What is printed reads back as the same bits, and no shorter text does. */
static void check_shortest(double value)
{
    char text[DOUBLE_TEXT + 1], shorter[64];
    size_t len = double_write(text, value), digits = 0;
    assert_true(len < sizeof(text));
    text[len] = '\0';
    double back = strtod(text, NULL);
    if (memcmp(&back, &value, sizeof(value)) != 0)
        fail_msg("%s is not %a", text, value);
    const char *from = text + strspn(text, "-0.");
    size_t zeros = 0;
    for (; *from && *from != 'e'; from++) {
        if (*from == '.')
            continue;
        zeros = *from == '0' ? zeros + 1 : 0;
        digits++;
    }
    digits -= zeros;
    if (digits < 2)
        return;
    snprintf(shorter, sizeof(shorter), "%.*e", (int)digits - 2, value);
    back = strtod(shorter, NULL);
    if (memcmp(&back, &value, sizeof(value)) == 0)
        fail_msg("%s is longer than %s", text, shorter);
}

static void test_shortest(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        double value;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(&value, &x, sizeof(value));
        if (value - value == 0)
            check_shortest(value);
        /* Where numbers of programs lie. */
        check_shortest((double)(x >> 11) / (double)(1 + (x & 0xffffff)));
        check_shortest((double)(x % 1000000) / 1000);
    }
    for (int e = -1074; e < 1024; e++)
        check_shortest(__builtin_ldexp(1, e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),   cmocka_unit_test(test_doubles),  cmocka_unit_test(test_the_peers_arithmetic),
        cmocka_unit_test(test_strings),    cmocka_unit_test(test_containers), cmocka_unit_test(test_not_json),
        cmocka_unit_test(test_depth),      cmocka_unit_test(test_many_members), cmocka_unit_test(test_shortest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
