/*
 * Records of the S2 wire: sizes, commands, limits of an append; and the names of the API.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/s2/names.h"
#include "base/s2/record.h"

static struct s2_header header(const char *name, const char *value)
{
    return (struct s2_header){span_str(name), span_str(value)};
}

static struct s2_record record(const struct s2_header *headers, size_t count, const char *body)
{
    return (struct s2_record){.headers = headers, .header_count = count, .body = span_str(body)};
}

static void test_metered(void **state)
{
    (void)state;
    const struct s2_header headers[] = {header("a", "bc"), header("", ""), header("name", "")};
    struct s2_record r = record(NULL, 0, "");
    assert_int_equal(s2_metered(&r), 8);
    r = record(NULL, 0, "0123456789");
    assert_int_equal(s2_metered(&r), 18);
    r = record(headers, 3, "hi");
    assert_int_equal(s2_metered(&r), 8 + 6 + 3 + 4 + 2);
}

static int command_of(const struct s2_header *headers, size_t count, struct span body,
                      enum s2_command *out)
{
    struct err err = ERR_INIT;
    struct s2_record r = {.headers = headers, .header_count = count, .body = body};
    int rc = s2_record_command(&r, out, &err);
    assert_int_equal(rc < 0, err.text[0] != '\0');
    return rc;
}

static void test_commands(void **state)
{
    (void)state;
    static const char token[] = "0123456789012345678901234567890123456";
    const struct s2_header fence = header("", "fence");
    const struct s2_header trim = header("", "trim");
    const struct s2_header nope = header("", "nope");
    const struct s2_header bare = header("", "");
    const struct s2_header pair[] = {header("", "fence"), header("a", "b")};
    const struct s2_header second[] = {header("a", "b"), header("", "fence")};
    const struct s2_header plain[] = {header("a", "b"), header("a", "b")};
    enum s2_command c;
    assert_int_equal(command_of(NULL, 0, span_str("x"), &c), 0);
    assert_int_equal(c, S2_DATA);
    assert_int_equal(command_of(plain, 2, span_str("x"), &c), 0);
    assert_int_equal(c, S2_DATA);
    assert_int_equal(command_of(&fence, 1, span_of(NULL, 0), &c), 0);
    assert_int_equal(c, S2_FENCE);
    assert_int_equal(command_of(&fence, 1, span_of(token, 36), &c), 0);
    assert_int_equal(command_of(&fence, 1, span_of(token, 37), &c), ERR_INVALID);
    assert_int_equal(command_of(&fence, 1, span_str("\xff"), &c), ERR_INVALID);
    assert_int_equal(command_of(&trim, 1, span_of(token, 8), &c), 0);
    assert_int_equal(c, S2_TRIM);
    assert_int_equal(command_of(&trim, 1, span_of(token, 7), &c), ERR_INVALID);
    assert_int_equal(command_of(&trim, 1, span_of(token, 9), &c), ERR_INVALID);
    assert_int_equal(command_of(&trim, 1, span_of(NULL, 0), &c), ERR_INVALID);
    assert_int_equal(command_of(&nope, 1, span_of(token, 8), &c), ERR_INVALID);
    assert_int_equal(command_of(&bare, 1, span_of(token, 8), &c), ERR_INVALID);
    assert_int_equal(command_of(pair, 2, span_of(NULL, 0), &c), ERR_INVALID);
    assert_int_equal(command_of(second, 2, span_of(NULL, 0), &c), ERR_INVALID);
}

static int check(struct s2_record *records, size_t count, struct err *err)
{
    struct s2_input input = {.records = records, .count = count};
    return s2_input_check(&input, err);
}

static void test_limits(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    uint8_t *large = calloc(1, S2_METERED_MAX);
    struct s2_record *records = calloc(S2_RECORDS_MAX + 1, sizeof(*records));
    assert_non_null(large);
    assert_non_null(records);
    assert_int_equal(check(records, 0, &err), ERR_INVALID);
    assert_int_equal(check(records, S2_RECORDS_MAX, NULL), 0);
    assert_int_equal(check(records, S2_RECORDS_MAX + 1, NULL), ERR_INVALID);
    records[0].body = span_of(large, S2_METERED_MAX - 8);
    assert_int_equal(check(records, 1, NULL), 0);
    assert_int_equal(check(records, 2, NULL), ERR_INVALID);
    records[0].body.len++;
    assert_int_equal(check(records, 1, NULL), ERR_INVALID);
    records[0].body = span_of(large, S2_METERED_MAX / 2 - 8);
    records[1].body = records[0].body;
    assert_int_equal(check(records, 2, NULL), 0);
    const struct s2_header nope = header("", "nope");
    records[7].headers = &nope;
    records[7].header_count = 1;
    assert_int_equal(check(records, 9, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "record 7"));
    free(records);
    free(large);
}

static void test_token(void **state)
{
    (void)state;
    struct s2_record one = {0};
    struct s2_input input = {.records = &one, .count = 1, .has_token = true};
    assert_int_equal(s2_input_check(&input, NULL), 0);
    input.token = span_str("012345678901234567890123456789012345");
    assert_int_equal(s2_input_check(&input, NULL), 0);
    input.token = span_str("0123456789012345678901234567890123456");
    assert_int_equal(s2_input_check(&input, NULL), ERR_INVALID);
    input.has_token = false;
    assert_int_equal(s2_input_check(&input, NULL), 0);
}

static void test_finish(void **state)
{
    (void)state;
    struct s2_input input = {0};
    struct s2_batch batch = {0};
    s2_input_finish(&input);
    s2_batch_finish(&batch);
    input = (struct s2_input){.records = calloc(1, sizeof(struct s2_record)),
                              .headers = calloc(1, sizeof(struct s2_header)),
                              .bytes = calloc(1, 1),
                              .count = 1};
    s2_input_finish(&input);
    assert_null(input.records);
    assert_int_equal(input.count, 0);
    s2_input_finish(&input);
}

/* --- names ------------------------------------------------------------------------------------ */

static void expect(int (*rule)(struct span, struct err *), struct span text, bool good)
{
    struct err err = ERR_INIT;
    int rc = rule(text, &err);
    if (rc != (good ? 0 : ERR_INVALID) || (rc < 0) != (err.text[0] != '\0'))
        fail_msg("'%.*s': %d %s", SPAN_ARG(text), rc, err.text);
}

static char *repeated(char c, size_t count)
{
    static char room[1024];
    assert_true(count < sizeof(room));
    memset(room, c, count);
    room[count] = '\0';
    return room;
}

static void test_basin_names(void **state)
{
    (void)state;
    static const char *const good[] = {"abcdefgh", "12345678", "my-basin-1", "a------b"};
    static const char *const bad[] = {"",
                                      "short12",
                                      "Upper-case1",
                                      "-lead-hyphen",
                                      "trail-hyph-",
                                      "under_score1",
                                      "with.dot1",
                                      "with space",
                                      "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        expect(s2_basin_name, span_str(good[i]), true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(s2_basin_name, span_str(bad[i]), false);
    expect(s2_basin_name, span_str(repeated('a', 48)), true);
    expect(s2_basin_name, span_str(repeated('a', 49)), false);
    expect(s2_basin_name, span_of("abcd\0efgh", 9), false);
}

static void test_basin_prefixes(void **state)
{
    (void)state;
    static const char *const good[] = {"", "a", "abc-", "1-"};
    static const char *const bad[] = {"-", "-a", "A", "a_", "a/"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        expect(s2_basin_prefix, span_str(good[i]), true);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        expect(s2_basin_prefix, span_str(bad[i]), false);
    expect(s2_basin_prefix, span_str(repeated('a', 48)), true);
    expect(s2_basin_prefix, span_str(repeated('a', 49)), false);
}

static void test_stream_names(void **state)
{
    (void)state;
    static const char *const good[] = {
        "a", "dir/x/na me-\xc3\xa9\xe6\x97\xa5", "...", "\x01\n", " ", ".a"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        expect(s2_stream_name, span_str(good[i]), true);
        expect(s2_stream_prefix, span_str(good[i]), true);
        expect(s2_token_id, span_str(good[i]), true);
    }
    static const char *const bad[] = {"", ".", ".."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(s2_stream_name, span_str(bad[i]), false);
        expect(s2_token_id, span_str(bad[i]), false);
        expect(s2_stream_prefix, span_str(bad[i]), true);
    }
    expect(s2_stream_name, span_str(repeated('a', 512)), true);
    expect(s2_stream_name, span_str(repeated('a', 513)), false);
    expect(s2_stream_prefix, span_str(repeated('a', 512)), true);
    expect(s2_stream_prefix, span_str(repeated('a', 513)), false);
    expect(s2_token_id, span_str(repeated('a', 96)), true);
    expect(s2_token_id, span_str(repeated('a', 97)), false);
    expect(s2_stream_name, span_of("a\0b", 3), false);
    expect(s2_stream_prefix, span_of("\0", 1), false);
    expect(s2_stream_name, span_str("\xff"), false);
    expect(s2_stream_name, span_str("a\xed\xa0\x80"), false);
}

static void test_location_names(void **state)
{
    (void)state;
    expect(s2_location_name, span_str("aws:us-east-1.B"), true);
    expect(s2_location_name, span_str(""), false);
    expect(s2_location_name, span_str("a b"), false);
    expect(s2_location_name, span_str("a_b"), false);
    expect(s2_location_name, span_str("\xc3\xa4"), false);
    expect(s2_location_name, span_str(repeated('Z', 64)), true);
    expect(s2_location_name, span_str(repeated('Z', 65)), false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metered),        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_token),
        cmocka_unit_test(test_finish),         cmocka_unit_test(test_basin_names),
        cmocka_unit_test(test_basin_prefixes), cmocka_unit_test(test_stream_names),
        cmocka_unit_test(test_location_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
