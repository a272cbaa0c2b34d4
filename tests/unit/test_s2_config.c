/*
 * Configs of streams and basins: JSON in and out, changes, defaults, what the store keeps of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/s2/config.h"

static struct s2_stream_config whole(const char *json)
{
    struct err err = ERR_INIT;
    struct s2_stream_config config;
    memset(&config, 0xff, sizeof(config)); /* WHOLE sets every member anew */
    if (s2_stream_config_read(&config, span_str(json), S2_CONFIG_WHOLE, &err) < 0)
        fail_msg("%s: %s", json, err.text);
    return config;
}

static void expect_json(const struct s2_stream_config *config, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(s2_stream_config_put(&out, config), 0);
    assert_string_equal(buf_cstr(&out), expected);
    assert_int_equal(json_validate(buf_span(&out), 128, NULL, NULL), 0);
}

static void expect(const char *json, const char *expected)
{
    struct s2_stream_config config = whole(json);
    expect_json(&config, expected);
}

#define FULL                                                                                       \
    "{\"storage_class\":\"standard\",\"retention_policy\":{\"age\":60},"                           \
    "\"timestamping\":{\"mode\":\"arrival\",\"uncapped\":true},\"delete_on_empty\":{\"min_age_"    \
    "secs\":5}}"

static void test_whole(void **state)
{
    (void)state;
    expect("{}", "{}");
    expect(" { } ", "{}");
    expect(FULL, FULL);
    expect("{\"storage_class\":null,\"retention_policy\":null,\"timestamping\":null,\"delete_on_"
           "empty\":null}",
           "{}");
    expect("{\"timestamping\":{\"mode\":null,\"uncapped\":null},\"delete_on_empty\":{\"min_age_"
           "secs\":null}}",
           "{}");
    expect("{\"timestamping\":{},\"delete_on_empty\":{},\"other\":[{\"a\":1}]}", "{}");
    expect("{\"retention_policy\":{\"infinite\":{}}}", "{\"retention_policy\":{\"infinite\":{}}}");
    expect("{\"retention_policy\":{\"infinite\":{\"x\":1}}}",
           "{\"retention_policy\":{\"infinite\":{}}}");
    expect("{\"retention_policy\":{\"age\":18446744073709551615}}",
           "{\"retention_policy\":{\"age\":18446744073709551615}}");
    expect("{\"timestamping\":{\"mode\":\"client-require\"}}",
           "{\"timestamping\":{\"mode\":\"client-require\"}}");
    expect("{\"timestamping\":{\"mode\":\"client-prefer\"}}",
           "{\"timestamping\":{\"mode\":\"client-prefer\"}}");
    expect("{\"timestamping\":{\"uncapped\":false}}", "{\"timestamping\":{\"uncapped\":false}}");
    expect("{\"delete_on_empty\":{\"min_age_secs\":0}}", "{}");
    expect("{\"storage_class\":\"my \\\"own\\\" \\u00e9\"}",
           "{\"storage_class\":\"my \\\"own\\\" \xc3\xa9\"}");
    /* The last of a name counts. */
    expect("{\"storage_class\":\"a\",\"storage_class\":\"b\"}", "{\"storage_class\":\"b\"}");
    expect("{\"timestamping\":{\"mode\":\"arrival\"},\"timestamping\":{\"uncapped\":true}}",
           "{\"timestamping\":{\"uncapped\":true}}");
    expect("{\"storage_class\":7,\"storage_class\":\"b\"}", "{\"storage_class\":\"b\"}");
}

static void refuse(const char *json, int code)
{
    struct err err = ERR_INIT;
    struct s2_stream_config config = whole(FULL);
    struct s2_stream_config before = config;
    for (enum s2_config_how how = S2_CONFIG_WHOLE; how <= S2_CONFIG_CHANGE; how++) {
        int rc = s2_stream_config_read(&config, span_str(json), how, &err);
        if (rc != code || err.text[0] == '\0')
            fail_msg("%s: %d %s", json, rc, err.text);
        assert_memory_equal(&config, &before, sizeof(config));
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "1",
        "null",
        "\"x\"",
        "{} {}",
        "{\"storage_class\":1}",
        "{\"storage_class\":\"\\ud800\"}",
        "{\"retention_policy\":{}}",
        "{\"retention_policy\":1}",
        "{\"retention_policy\":[]}",
        "{\"retention_policy\":\"infinite\"}",
        "{\"retention_policy\":{\"age\":1,\"infinite\":{}}}",
        "{\"retention_policy\":{\"infinite\":null}}",
        "{\"retention_policy\":{\"infinite\":true}}",
        "{\"retention_policy\":{\"age\":-1}}",
        "{\"retention_policy\":{\"age\":1.0}}",
        "{\"retention_policy\":{\"age\":1e3}}",
        "{\"retention_policy\":{\"age\":\"1\"}}",
        "{\"retention_policy\":{\"age\":null}}",
        "{\"retention_policy\":{\"age\":18446744073709551616}}",
        "{\"timestamping\":1}",
        "{\"timestamping\":{\"mode\":\"Arrival\"}}",
        "{\"timestamping\":{\"mode\":1}}",
        "{\"timestamping\":{\"uncapped\":\"true\"}}",
        "{\"timestamping\":{\"uncapped\":1}}",
        "{\"delete_on_empty\":[]}",
        "{\"delete_on_empty\":{\"min_age_secs\":-5}}",
        "{\"delete_on_empty\":{\"min_age_secs\":\"5\"}}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refuse(bad[i], ERR_FORMAT);
    refuse("{\"retention_policy\":{\"age\":0}}", ERR_INVALID);
    refuse("{\"storage_class\":\"a\\u0000b\"}", ERR_INVALID);
    refuse(
        "{\"storage_class\":\"01234567890123456789012345678901234567890123456789012345678901234\"}",
        ERR_INVALID);
    CLEAN_BUF deep = BUF_INIT;
    assert_int_equal(buf_add_str(&deep, "{\"x\":"), 0);
    for (int i = 0; i < 200000; i++)
        assert_int_equal(buf_add_str(&deep, "["), 0);
    refuse(buf_cstr(&deep), ERR_FORMAT);
}

static void change(const char *from, const char *by, const char *expected)
{
    struct err err = ERR_INIT;
    struct s2_stream_config config = whole(from);
    if (s2_stream_config_read(&config, span_str(by), S2_CONFIG_CHANGE, &err) < 0)
        fail_msg("%s: %s", by, err.text);
    expect_json(&config, expected);
}

static void test_change(void **state)
{
    (void)state;
    change(FULL, "{}", FULL);
    change("{}", FULL, FULL);
    change(FULL,
           "{\"storage_class\":null,\"retention_policy\":null,\"timestamping\":null,\"delete_on_"
           "empty\":null}",
           "{}");
    change(FULL, "{\"timestamping\":{\"mode\":null},\"storage_class\":null,\"delete_on_empty\":{}}",
           "{\"retention_policy\":{\"age\":60},\"timestamping\":{\"uncapped\":true},\"delete_on_"
           "empty\":{\"min_age_secs\":5}}");
    change("{\"timestamping\":{\"mode\":\"arrival\"}}", "{\"timestamping\":{\"uncapped\":true}}",
           "{\"timestamping\":{\"mode\":\"arrival\",\"uncapped\":true}}");
    change("{\"timestamping\":{\"mode\":\"arrival\",\"uncapped\":true}}",
           "{\"timestamping\":{\"uncapped\":null}}", "{\"timestamping\":{\"mode\":\"arrival\"}}");
    change("{\"retention_policy\":{\"age\":60}}", "{\"retention_policy\":{\"infinite\":{}}}",
           "{\"retention_policy\":{\"infinite\":{}}}");
    change("{\"delete_on_empty\":{\"min_age_secs\":5}}",
           "{\"delete_on_empty\":{\"min_age_secs\":0}}", "{}");
    change("{\"delete_on_empty\":{\"min_age_secs\":5}}",
           "{\"delete_on_empty\":{\"min_age_secs\":null}}", "{}");
}

static void test_defaults(void **state)
{
    (void)state;
    struct s2_stream_config none = whole("{}");
    struct s2_stream_config full = whole(FULL);
    struct s2_stream_config resolved = s2_stream_config_resolve(&none, &none);
    expect_json(&resolved, "{\"storage_class\":\"express\",\"retention_policy\":{\"age\":604800},"
                           "\"timestamping\":{\"mode\":\"client-prefer\",\"uncapped\":false},"
                           "\"delete_on_empty\":{\"min_age_secs\":0}}");
    resolved = s2_stream_config_resolve(&none, &full);
    assert_true(s2_stream_config_equal(&resolved, &full));
    struct s2_stream_config own =
        whole("{\"retention_policy\":{\"infinite\":{}},\"timestamping\":{\"uncapped\":false}}");
    resolved = s2_stream_config_resolve(&own, &full);
    expect_json(&resolved, "{\"storage_class\":\"standard\",\"retention_policy\":{\"infinite\":{}},"
                           "\"timestamping\":{\"mode\":\"arrival\",\"uncapped\":false},\"delete_on_"
                           "empty\":{\"min_age_secs\":5}}");
    struct s2_stream_config merged = s2_stream_config_merge(&own, &none);
    assert_true(s2_stream_config_equal(&merged, &own));
    assert_false(s2_stream_config_equal(&merged, &resolved));
    /* A change that says nothing of a resolved config leaves it as it is. */
    struct s2_stream_config now = s2_stream_config_resolve(&none, &none);
    assert_int_equal(s2_stream_config_read(&now, span_str("{}"), S2_CONFIG_CHANGE, NULL), 0);
    now = s2_stream_config_resolve(&now, &full);
    assert_int_equal(now.min_age_s, 0);
}

static void test_equal(void **state)
{
    (void)state;
    static const char *const configs[] = {"{}",
                                          "{\"storage_class\":\"a\"}",
                                          "{\"storage_class\":\"b\"}",
                                          "{\"retention_policy\":{\"age\":1}}",
                                          "{\"retention_policy\":{\"age\":2}}",
                                          "{\"retention_policy\":{\"infinite\":{}}}",
                                          "{\"timestamping\":{\"mode\":\"arrival\"}}",
                                          "{\"timestamping\":{\"mode\":\"client-prefer\"}}",
                                          "{\"timestamping\":{\"uncapped\":false}}",
                                          "{\"timestamping\":{\"uncapped\":true}}",
                                          "{\"delete_on_empty\":{\"min_age_secs\":1}}",
                                          "{\"delete_on_empty\":{\"min_age_secs\":2}}"};
    size_t count = sizeof(configs) / sizeof(configs[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            struct s2_stream_config a = whole(configs[i]);
            struct s2_stream_config b = whole(configs[j]);
            assert_int_equal(s2_stream_config_equal(&a, &b), i == j);
        }
    }
}

/* --- basins ----------------------------------------------------------------------------------- */

static void basin_change(const char *from, const char *by, const char *expected)
{
    struct err err = ERR_INIT;
    struct s2_basin_config config;
    CLEAN_BUF out = BUF_INIT;
    memset(&config, 0xff, sizeof(config));
    if (s2_basin_config_read(&config, span_str(from), S2_CONFIG_WHOLE, &err) < 0 ||
        s2_basin_config_read(&config, span_str(by), S2_CONFIG_CHANGE, &err) < 0)
        fail_msg("%s, %s: %s", from, by, err.text);
    assert_int_equal(s2_basin_config_put(&out, &config), 0);
    assert_string_equal(buf_cstr(&out), expected);
}

#define BASIN(defaults, cipher, append, read)                                                      \
    "{\"default_stream_config\":" defaults ",\"stream_cipher\":" cipher                            \
    ",\"create_stream_on_append\":" append ",\"create_stream_on_read\":" read "}"
#define EMPTY_BASIN BASIN("null", "null", "false", "false")
#define FULL_BASIN BASIN(FULL, "\"aes-256-gcm\"", "true", "true")

static void test_basin(void **state)
{
    (void)state;
    basin_change("{}", "{}", EMPTY_BASIN);
    basin_change(EMPTY_BASIN, "{}", EMPTY_BASIN);
    basin_change(FULL_BASIN, "{}", FULL_BASIN);
    basin_change("{}", FULL_BASIN, FULL_BASIN);
    basin_change(
        "{\"create_stream_on_append\":null,\"create_stream_on_read\":null,\"stream_cipher\":null}",
        "{}", EMPTY_BASIN);
    basin_change("{}", "{\"stream_cipher\":\"aegis-256\"}",
                 BASIN("null", "\"aegis-256\"", "false", "false"));
    basin_change(
        FULL_BASIN,
        "{\"stream_cipher\":null,\"default_stream_config\":null,\"create_stream_on_append\":false}",
        BASIN("null", "null", "false", "true"));
    basin_change(BASIN("{\"storage_class\":\"a\"}", "null", "false", "false"),
                 "{\"default_stream_config\":{\"retention_policy\":{\"age\":9}}}",
                 BASIN("{\"storage_class\":\"a\",\"retention_policy\":{\"age\":9}}", "null",
                       "false", "false"));
    /* Of a basin's defaults a 0 is kept. */
    basin_change("{\"default_stream_config\":{\"delete_on_empty\":{\"min_age_secs\":0}}}", "{}",
                 BASIN("{\"delete_on_empty\":{\"min_age_secs\":0}}", "null", "false", "false"));
}

static void test_basin_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "[]",
                                      "{\"default_stream_config\":1}",
                                      "{\"default_stream_config\":{\"storage_class\":1}}",
                                      "{\"stream_cipher\":\"rot13\"}",
                                      "{\"stream_cipher\":1}",
                                      "{\"create_stream_on_append\":1}",
                                      "{\"create_stream_on_read\":\"true\"}"};
    struct s2_basin_config config = {0};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(s2_basin_config_read(&config, span_str(bad[i]), S2_CONFIG_WHOLE, NULL),
                         ERR_FORMAT);
        assert_int_equal(s2_basin_config_read(&config, span_str(bad[i]), S2_CONFIG_CHANGE, NULL),
                         ERR_FORMAT);
    }
    assert_int_equal(s2_basin_config_read(&config, span_str("{\"create_stream_on_append\":null}"),
                                          S2_CONFIG_CHANGE, NULL),
                     ERR_FORMAT);
    assert_int_equal(s2_basin_config_read(
                         &config,
                         span_str("{\"default_stream_config\":{\"retention_policy\":{\"age\":0}}}"),
                         S2_CONFIG_WHOLE, NULL),
                     ERR_INVALID);
}

/* --- what the store keeps --------------------------------------------------------------------- */

static void test_rules(void **state)
{
    (void)state;
    struct s2_stream_config full = whole(FULL);
    struct topic_rules rules = s2_rules_of(&full);
    assert_int_equal(rules.retention_ms, 60000);
    assert_int_equal(rules.stamp_mode, STAMP_ARRIVAL);
    assert_true(rules.uncapped);
    assert_int_equal(rules.empty_after_ms, 5000);
    struct s2_stream_note note = {.storage_class = "standard"};
    struct s2_stream_config back = s2_config_of(&rules, &note);
    assert_true(s2_stream_config_equal(&back, &full));
    /* As large as it gets: it stays that, whichever way it goes. */
    struct s2_stream_config large = whole("{\"retention_policy\":{\"age\":18446744073709551615}}");
    rules = s2_rules_of(&large);
    assert_true(rules.retention_ms == UINT64_MAX);
    struct s2_stream_config resolved = s2_stream_config_resolve(&large, &full);
    rules = s2_rules_of(&resolved);
    back = s2_config_of(&rules, &note);
    assert_true(back.retention_s == resolved.retention_s && back.retention_s > UINT64_MAX / 1001);
    /* What another dialect made. */
    rules = (struct topic_rules){0};
    assert_int_equal(s2_stream_note_read(&note, span_of(NULL, 0), NULL), 0);
    back = s2_config_of(&rules, &note);
    expect_json(&back, "{\"storage_class\":\"express\",\"retention_policy\":{\"infinite\":{}},"
                       "\"timestamping\":{\"mode\":\"client-prefer\",\"uncapped\":false},\"delete_"
                       "on_empty\":{\"min_age_secs\":0}}");
    rules.retention_ms = 1;
    assert_int_equal(s2_config_of(&rules, &note).retention_s, 1);
}

static void expect_note(const struct s2_stream_note *note, const char *expected)
{
    CLEAN_BUF out = BUF_INIT;
    struct s2_stream_note read;
    assert_int_equal(s2_stream_note_put(&out, note), 0);
    if (expected)
        assert_string_equal(buf_cstr(&out), expected);
    assert_true(out.len <= TOPIC_NOTE_MAX);
    assert_int_equal(s2_stream_note_read(&read, buf_span(&out), NULL), 0);
    assert_string_equal(read.storage_class, note->storage_class);
    assert_string_equal(read.token, note->token);
    assert_int_equal(read.cipher, note->cipher);
    assert_memory_equal(read.digest, note->digest, sizeof(read.digest));
}

static void test_note(void **state)
{
    (void)state;
    struct s2_stream_note note = {.storage_class = "express"};
    expect_note(&note, "{\"class\":\"express\"}");
    note = (struct s2_stream_note){
        .storage_class = "", .cipher = S2_AES_256_GCM, .token = "t\xff", .digest = {1}};
    expect_note(&note, "{\"class\":\"\",\"cipher\":\"aes-256-gcm\",\"token\":\"dP8=\",\"digest\":"
                       "\"AQAAAAAAAAAAAAAAAAAAAA==\"}");
    memset(note.storage_class, '\x01', S2_CLASS_MAX);
    memset(note.token, '\x01', S2_CLASS_MAX);
    memset(note.digest, 0xff, sizeof(note.digest));
    expect_note(&note, NULL);
    static const char *const bad[] = {"x",
                                      "[]",
                                      "{\"class\":1}",
                                      "{\"cipher\":\"x\"}",
                                      "{\"token\":\"?\"}",
                                      "{\"digest\":\"AQ==\"}",
                                      "{\"digest\":1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(s2_stream_note_read(&note, span_str(bad[i]), &err), ERR_DAMAGED);
        assert_true(err.text[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_refused),
        cmocka_unit_test(test_change),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_equal),         cmocka_unit_test(test_basin),
        cmocka_unit_test(test_basin_refused), cmocka_unit_test(test_rules),
        cmocka_unit_test(test_note),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
