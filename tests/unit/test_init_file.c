/* Init files: what is read, and every fault told at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "daemon/s2/init_file.h"

struct told {
    char text[4096];
    size_t count;
};

static void tell(void *arg, const char *line)
{
    struct told *told = arg;
    const size_t len = strlen(told->text);
    snprintf(told->text + len, sizeof(told->text) - len, "%s\n", line);
    told->count++;
}

static int parse(struct init_file *file, struct told *told, const char *text)
{
    *told = (struct told){0};
    return init_file_parse(file, span_str(text), tell, told);
}

static void test_whole(void **state)
{
    (void)state;
    struct init_file file;
    struct told told;
    int rc = parse(&file, &told,
                   "{\"$schema\":\"s\",\"basins\":[{\"name\":\"basin-one\",\"config\":{"
                   "\"create_stream_on_append\":true,\"stream_cipher\":\"aes-256-gcm\","
                   "\"default_stream_config\":{\"storage_class\":\"standard\",\"retention_policy\":\"7days\","
                   "\"delete_on_empty\":{\"min_age\":\"1day\"}}},"
                   "\"streams\":[{\"name\":\"a/b \\u00e9\",\"config\":{\"retention_policy\":\"1h 30m\","
                   "\"timestamping\":{\"mode\":\"arrival\",\"uncapped\":true}}},"
                   "{\"name\":\"c\",\"config\":{\"retention_policy\":\"InFinite\"}},{\"name\":\"d\"}]},"
                   "{\"name\":\"basin-two\",\"config\":null,\"streams\":null}]}");
    assert_string_equal(told.text, "");
    assert_int_equal(rc, 0);
    assert_int_equal(file.count, 2);
    const struct init_basin *one = &file.basins[0];
    assert_string_equal(one->name, "basin-one");
    assert_true(one->config.create_on_append);
    assert_false(one->config.create_on_read);
    assert_int_equal(one->config.cipher, S2_AES_256_GCM);
    assert_string_equal(one->config.defaults.storage_class, "standard");
    assert_int_equal(one->config.defaults.retention_s, 7 * 86400);
    assert_int_equal(one->config.defaults.min_age_s, 86400);
    assert_int_equal(one->count, 3);
    assert_true(span_is(buf_span(&one->streams[0].name), "a/b \xc3\xa9"));
    assert_int_equal(one->streams[0].config.retention_s, 5400);
    assert_int_equal(one->streams[0].config.mode, STAMP_ARRIVAL);
    assert_true(one->streams[0].config.uncapped);
    assert_true(one->streams[1].config.has_retention);
    assert_int_equal(one->streams[1].config.retention_s, 0);
    assert_false(one->streams[2].config.has_retention);
    assert_int_equal(file.basins[1].count, 0);
    init_file_finish(&file);
}

static void test_nothing_is_fine(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", " {\"basins\":[]} ", "{\"basins\":null}"};
    for (size_t i = 0; i < 3; i++) {
        struct init_file file;
        struct told told;
        assert_int_equal(parse(&file, &told, texts[i]), 0);
        assert_int_equal(file.count, 0);
        init_file_finish(&file);
    }
}

static void test_all_faults_at_once(void **state)
{
    (void)state;
    struct init_file file;
    struct told told;
    int rc = parse(&file, &told,
                   "{\"basins\":["
                   "{\"name\":\"short\",\"extra\":1},"
                   "{\"name\":\"basin-one\",\"streams\":[{\"name\":\"s\"},{\"name\":\"s\"},{\"name\":\"..\"},{}]},"
                   "{\"name\":\"basin-one\",\"config\":{\"stream_ciphers\":1}},"
                   "{\"name\":\"basin-two\",\"streams\":[{\"name\":\"t\",\"config\":{\"retention_policy\":\"0s\"}},"
                   "{\"name\":\"u\",\"config\":{\"retention_policy\":\"a week\"}},"
                   "{\"name\":\"v\",\"config\":{\"delete_on_empty\":{\"min_age_secs\":1}}},"
                   "{\"name\":\"w\",\"config\":{\"timestamping\":{\"mode\":\"x\"}}},"
                   "{\"name\":\"x\",\"config\":[]}]}]}");
    assert_int_equal(rc, ERR_INVALID);
    static const char *const lines[] = {
        "basins[0]: \"extra\" is not known here",
        "basins[0]: name: ",
        "basins[1].streams[1]: there is a stream \"s\"",
        "basins[1].streams[2]: name: ",
        "basins[1].streams[3]: name is missing",
        "basins[2]: there is a basin \"basin-one\" already",
        "basins[2].config: \"stream_ciphers\" is not known here",
        "basins[3].streams[0].config: retention_policy is to be at least one second",
        "basins[3].streams[1].config: retention_policy: \"a week\"",
        "basins[3].streams[2].config.delete_on_empty: \"min_age_secs\" is not known here",
        "basins[3].streams[2].config.delete_on_empty: min_age is missing",
        "basins[3].streams[3].config: timestamping.mode",
        "basins[3].streams[4].config: this is to be an object",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (!strstr(told.text, lines[i]))
            fail_msg("not told: %s\nbut\n%s", lines[i], told.text);
    assert_int_equal(told.count, sizeof(lines) / sizeof(lines[0]));
    assert_int_equal(file.count, 0);
}

static void test_no_json(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "[]", "{", "{\"basins\":{}}", "{\"basins\":[1]}", "{\"basins\":[]} x"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct init_file file;
        struct told told;
        if (parse(&file, &told, texts[i]) != ERR_INVALID || told.count != 1)
            fail_msg("%s: %zu faults: %s", texts[i], told.count, told.text);
    }
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"7days", UINT64_C(604800000)}, {"1h 30m", 5400000},   {"1h30m", 5400000},
                {"2weeks", UINT64_C(1209600000)}, {" 90 s ", 90000},     {"500ms", 500},
                {"1day 1s", 86401000},            {"1M", 2630016000},    {"1m", 60000},
                {"1y", UINT64_C(31557600000)},    {"3ns", 0},            {"0s", 0}};
    static const char *const bad[] = {"", " ", "7", "days", "7 parsecs", "-1s", "1.5h", "1h30", "99999999999999999999s",
                                      "18446744073709551615y"};
    uint64_t ms;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (init_duration(span_str(good[i].text), &ms) != 0 || ms != good[i].ms)
            fail_msg("%s", good[i].text);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (init_duration(span_str(bad[i]), &ms) == 0)
            fail_msg("\"%s\" was taken", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),     cmocka_unit_test(test_nothing_is_fine),
        cmocka_unit_test(test_all_faults_at_once), cmocka_unit_test(test_no_json),
        cmocka_unit_test(test_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
