/*
 * What a frame that defines a program asks for: every key, every form, every refusal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "base/json.h"
#include "daemon/run/definition.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ID_TEXT "03d4q1qhbiv09ovtuhokw5yxv"

#define SPAWN "a.spawn"
#define REGISTER "a.register"
#define DEFINE "a.define"

static int parse(struct definition *out, const char *topic, const char *meta, struct err *err)
{
    struct words words;
    assert_true(words_parse(&words, span_str(topic)));
    assert_true(*meta == '\0' ||
                json_validate(span_str(meta), META_DEPTH, NULL, NULL) == 0);
    struct frame frame = {
        .id = {7, 8},
        .topic = span_str(topic),
        .meta = span_str(meta),
    };
    return definition_parse(out, &words, &frame, err);
}

static struct definition good(const char *topic, const char *meta)
{
    struct definition def;
    struct err err = ERR_INIT;
    if (parse(&def, topic, meta, &err) < 0)
        fail_msg("%s: %s", meta, err.text);
    return def;
}

static void test_defaults(void **state)
{
    (void)state;
    struct definition def = good("a.b.spawn", "");
    assert_int_equal(def.kind, PROGRAM_SERVICE);
    assert_int_equal(def.words, WORDS_SEED);
    assert_string_equal(def.name, "a.b");
    assert_true(def.id.hi == 7 && def.id.lo == 8);
    assert_string_equal(def.suffix, ".recv");
    assert_int_equal(def.ttl.kind, TTL_FOREVER);
    assert_int_equal(def.target, TARGET_CONTENT);
    assert_int_equal(def.output, OUTPUT_AUTO);
    assert_false(def.binary || def.exec || def.confine || def.duplex || def.has_restart);
    assert_true(def.limits.memory == 0 && def.limits.cpu_s == 0 && def.limits.processes == 0);
    assert_null(def.env);
    assert_int_equal(def.restart, RESTART_ALWAYS);
    assert_true(def.backoff_ms == 1000 && def.max_backoff_ms == 60000 && def.max_restarts == 0);
    assert_true(def.timeout_ms == 0 && def.topics.all);
    definition_finish(&def);

    def = good("xs.actor.a.create", "{}");
    assert_int_equal(def.words, WORDS_NEW);
    assert_string_equal(def.suffix, ".out");
    assert_true(def.mode == MODE_STREAM && def.start == START_NEW && !def.content);
    assert_true(def.topics.all && def.pulse_ms == 0 && def.on_error == ERROR_SKIP);
    assert_true(def.retry_times == 3 && def.retry_backoff_ms == 1000);
    definition_finish(&def);

    def = good(DEFINE, "[\"any\",\"meta\"]");
    assert_string_equal(def.suffix, ".response");
    assert_true(def.timeout_ms == 60000 && def.concurrency == 16);
    definition_finish(&def);
    /* A second time does no harm. */
    definition_finish(&def);
}

static void test_all_kinds(void **state)
{
    (void)state;
    struct definition def = good(
        SPAWN, "{\"return_options\":{\"suffix\":\".x\",\"ttl\":\"last:3\",\"target\":\"meta\"},"
               "\"output\":\"frames\",\"exec\":true,\"confine\":true,"
               "\"limits\":{\"memory\":\"64M\",\"cpu_s\":9007199254740992,\"processes\":1},"
               "\"timeout_ms\":0,\"env\":{\"A\":\"b=\\u00e4\\n\",\"B\":\"\"},\"mine\":{\"output\":1}}");
    assert_string_equal(def.suffix, ".x");
    assert_true(def.ttl.kind == TTL_LAST && def.ttl.value == 3);
    assert_int_equal(def.target, TARGET_META);
    assert_int_equal(def.output, OUTPUT_FRAMES);
    assert_true(def.exec && def.confine && !def.binary);
    assert_true(def.limits.memory == 64u << 20 && def.limits.processes == 1);
    assert_true(def.limits.cpu_s == UINT64_C(1) << 53);
    assert_string_equal(def.env[0], "A=b=\xc3\xa4\n");
    assert_string_equal(def.env[1], "B=");
    assert_null(def.env[2]);
    definition_finish(&def);
    def = good(SPAWN, "{\"binary\":true,\"output\":\"raw\",\"return_options\":{\"ttl\":\"head:2\","
                      "\"suffix\":\"\"},\"exec\":false,\"limits\":null,\"env\":{}}");
    assert_true(def.binary && !def.exec && def.output == OUTPUT_RAW);
    assert_true(def.ttl.kind == TTL_LAST && def.ttl.value == 2);
    assert_string_equal(def.suffix, "");
    definition_finish(&def);
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {
        {"1", 1},
        {"\"1\"", 1},
        {"\"3k\"", 3072},
        {"\"3K\"", 3072},
        {"\"2G\"", UINT64_C(2) << 30},
        {"\"1t\"", UINT64_C(1) << 40},
        {"9007199254740992", UINT64_C(1) << 53},
        {"\"8192T\"", UINT64_C(1) << 53},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char meta[100];
        snprintf(meta, sizeof(meta), "{\"limits\":{\"memory\":%s}}", cases[i].text);
        struct definition def = good(SPAWN, meta);
        assert_true(def.limits.memory == cases[i].size);
        definition_finish(&def);
    }
}

static void test_restart(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        enum restart_policy policy;
        uint64_t backoff, max_backoff, max;
    } cases[] = {
        {"{\"restart\":\"always\"}", RESTART_ALWAYS, 1000, 60000, UINT64_MAX},
        {"{\"restart\":\"on-failure\"}", RESTART_ON_FAILURE, 1000, 60000, UINT64_MAX},
        {"{\"restart\":\"never\"}", RESTART_NEVER, 1000, 60000, UINT64_MAX},
        {"{\"restart\":{}}", RESTART_ALWAYS, 1000, 60000, UINT64_MAX},
        {"{\"restart\":{\"policy\":\"on-failure\",\"backoff_ms\":5,\"max_backoff_ms\":20,\"max\":3}}",
         RESTART_ON_FAILURE, 5, 20, 3},
        {"{\"restart\":{\"max\":0}}", RESTART_ALWAYS, 1000, 60000, 0},
        {"{\"restart\":{\"backoff_ms\":70000}}", RESTART_ALWAYS, 70000, 70000, UINT64_MAX},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct definition def = good(SPAWN, cases[i].meta);
        assert_true(def.has_restart);
        assert_int_equal(def.restart, cases[i].policy);
        assert_true(def.backoff_ms == cases[i].backoff);
        assert_true(def.max_backoff_ms == cases[i].max_backoff);
        assert_true(def.max_restarts == cases[i].max);
        definition_finish(&def);
    }
    struct definition def = good(SPAWN, "{\"restart\":null,\"duplex\":true}");
    assert_true(!def.has_restart && def.duplex);
    definition_finish(&def);
}

static void test_start(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        enum handler_start start;
    } cases[] = {
        {"{\"start\":\"new\"}", START_NEW},
        {"{\"start\":\"first\"}", START_FIRST},
        {"{\"start\":\"resume\"}", START_RESUME},
        {"{\"start\":null}", START_NEW},
        {"{\"start\":\"" ID_TEXT "\"}", START_AFTER},
        {"{\"start\":{\"after\":\"" ID_TEXT "\"}}", START_AFTER},
        {"{\"run-from\":\"tail\"}", START_NEW},
        {"{\"run-from\":\"start\"}", START_FIRST},
        {"{\"run-from\":\"" ID_TEXT "\"}", START_AFTER},
    };
    struct frame_id id;
    assert_int_equal(id_parse(&id, span_str(ID_TEXT), NULL), 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct definition def = good(REGISTER, cases[i].meta);
        assert_int_equal(def.start, cases[i].start);
        if (def.start == START_AFTER)
            assert_int_equal(id_cmp(def.after, id), 0);
        definition_finish(&def);
    }
}

static void test_handler(void **state)
{
    (void)state;
    struct definition def = good(
        REGISTER, "{\"mode\":\"each\",\"content\":true,\"topics\":\"x, y.*\",\"pulse\":10,"
                  "\"on_error\":{\"retry\":{\"times\":7,\"backoff_ms\":0}},\"timeout_ms\":5,"
                  "\"duplex\":\"not of handlers\",\"concurrency\":-1}");
    assert_true(def.mode == MODE_EACH && def.content && def.pulse_ms == 10 && def.timeout_ms == 5);
    assert_true(def.on_error == ERROR_RETRY && def.retry_times == 7 && def.retry_backoff_ms == 0);
    assert_true(pattern_match(&def.topics, span_str("x")));
    assert_true(pattern_match(&def.topics, span_str("y.z")));
    assert_false(pattern_match(&def.topics, span_str("z")));
    definition_finish(&def);
    def = good(REGISTER, "{\"topics\":[\"x\",\"y.*\"],\"on_error\":\"stop\"}");
    assert_true(pattern_match(&def.topics, span_str("y.z")) && def.topics.count == 2);
    assert_int_equal(def.on_error, ERROR_STOP);
    definition_finish(&def);
    def = good(REGISTER, "{\"topics\":[\"x\",\"*\"],\"on_error\":\"retry\"}");
    assert_true(def.topics.all && def.on_error == ERROR_RETRY && def.retry_times == 3);
    definition_finish(&def);
}

static const struct {
    const char *topic, *meta, *text;
} refusals[] = {
    {REGISTER, "{\"pulse\":5}", "\"pulse\": 5 is not a number of milliseconds of at least 10"},
    {REGISTER, "{\"pulse\":\"50\"}", "\"pulse\": \"50\" is not a number of milliseconds of at least 10"},
    {REGISTER, "{\"pulse\":10.5}", "\"pulse\": 10.5 is not a number"},
    {REGISTER, "{\"pulse\":1e3}", "\"pulse\": 1e3 is not a number"},
    {REGISTER, "{\"pulse\":-10}", "\"pulse\": -10 is not a number"},
    {REGISTER, "{\"pulse\":9007199254740993}", "9007199254740993 is not a number of milliseconds"},
    {REGISTER, "{\"pulse\":99999999999999999999}", "is not a number of milliseconds"},
    {REGISTER, "{\"pulse\":100,\"pulse\":100}", "\"pulse\" is there twice"},
    {REGISTER, "{\"mode\":\"bach\"}", "\"mode\": \"bach\" is not stream or each"},
    {REGISTER, "{\"mode\":1}", "\"mode\": 1 is not stream or each"},
    {REGISTER, "{\"content\":\"yes\"}", "\"content\": \"yes\" is not true or false"},
    {REGISTER, "{\"start\":\"old\"}", "\"start\": \"old\" is not new, first, resume, the id of a frame or"},
    {REGISTER, "{\"start\":5}", "\"start\": 5 is not new"},
    {REGISTER, "{\"start\":{}}", "\"start\": {} is not new"},
    {REGISTER, "{\"start\":{\"after\":\"x\"}}", "\"start\": \"after\": \"x\" is not the id of a frame"},
    {REGISTER, "{\"start\":{\"after\":5}}", "\"start\": \"after\": 5 is not the id of a frame"},
    {REGISTER, "{\"start\":{\"head\":\"t\"}}", "\"start\": \"head\": a start behind the newest frame of a topic"},
    {REGISTER, "{\"start\":{\"cursor\":\"t\"}}", "is not supported"},
    {REGISTER, "{\"start\":{\"x\":1}}", "\"start\": the key \"x\" is not known"},
    {REGISTER, "{\"run-from\":\"new\"}", "\"run-from\": \"new\" is not start, tail or the id"},
    {REGISTER, "{\"start\":\"new\",\"run-from\":\"tail\"}", "give \"start\" or \"run-from\", not both"},
    {REGISTER, "{\"topics\":5}", "\"topics\": 5 is not a list of topics"},
    {REGISTER, "{\"topics\":[5]}", "\"topics\": 5 is not a text"},
    {REGISTER, "{\"topics\":[]}", "\"topics\": the pattern list is empty"},
    {REGISTER, "{\"topics\":\"a b\"}", "\"topics\": a pattern is a topic"},
    {REGISTER, "{\"topics\":[\"x\\u0000\"]}", "has a NUL"},
    {REGISTER, "{\"on_error\":\"panic\"}", "\"on_error\": \"panic\" is not skip, retry or stop"},
    {REGISTER, "{\"on_error\":{\"retry\":{\"times\":0}}}",
     "\"on_error\": \"retry\": \"times\": 0 is not a number of times from 1 to 1000000"},
    {REGISTER, "{\"on_error\":{\"retry\":5}}", "\"retry\": 5 is not an object"},
    {SPAWN, "{\"duplex\":1}", "\"duplex\": 1 is not true or false"},
    {SPAWN, "{\"restart\":\"maybe\"}", "\"restart\": \"maybe\" is not always, on-failure or never"},
    {SPAWN, "{\"restart\":true}", "\"restart\": true is not always"},
    {SPAWN, "{\"restart\":{\"policy\":\"x\"}}", "\"restart\": \"policy\": \"x\" is not always"},
    {SPAWN, "{\"restart\":{\"bakoff_ms\":1}}", "\"restart\": the key \"bakoff_ms\" is not known"},
    {SPAWN, "{\"restart\":{\"backoff_ms\":0}}", "0 is not a number of milliseconds of at least 1"},
    {SPAWN, "{\"restart\":{\"max\":-1}}", "-1 is not a number of failures"},
    {SPAWN, "{\"return_options\":5}", "\"return_options\": 5 is not an object"},
    {SPAWN, "{\"return_options\":{\"suffix\":5}}", "\"suffix\": 5 is not a text"},
    {SPAWN, "{\"return_options\":{\"suffix\":\". x\"}}", "\"suffix\": topic \"a. x\""},
    {SPAWN, "{\"return_options\":{\"suffix\":\".\"}}", "must not end with a dot"},
    {SPAWN, "{\"return_options\":{\"ttl\":\"soon\"}}", "\"ttl\": ttl \"soon\" is not understood"},
    {"xs.service.a.create", "{\"return_options\":{\"ttl\":\"head:3\"}}", "is not understood"},
    {SPAWN, "{\"return_options\":{\"target\":\"file\"}}", "\"target\": \"file\" is not cas or meta"},
    {SPAWN, "{\"duplex\":true,\"return_options\":{\"suffix\":\".send\"}}", "the topic of its input"},
    {DEFINE, "{\"return_options\":{\"suffix\":\".call\"}}", "the topic of its input"},
    {SPAWN, "{\"output\":\"lines\"}", "\"output\": \"lines\" is not auto, raw or frames"},
    {SPAWN, "{\"binary\":true,\"output\":\"frames\"}", "exclude each other"},
    {SPAWN, "{\"binary\":true,\"return_options\":{\"target\":\"meta\"}}", "exclude each other"},
    {SPAWN, "{\"exec\":0}", "\"exec\": 0 is not true or false"},
    {SPAWN, "{\"limits\":{\"memory\":\"64X\"}}", "\"limits\": \"memory\": \"64X\" is not a size"},
    {SPAWN, "{\"limits\":{\"memory\":\"\"}}", "is not a size"},
    {SPAWN, "{\"limits\":{\"memory\":\"K\"}}", "is not a size"},
    {SPAWN, "{\"limits\":{\"memory\":0}}", "is not a size"},
    {SPAWN, "{\"limits\":{\"memory\":\"8193T\"}}", "is not a size"},
    {SPAWN, "{\"limits\":{\"memory\":true}}", "is not a size"},
    {SPAWN, "{\"limits\":{\"cpu_s\":0}}", "0 is not a number of seconds of at least 1"},
    {SPAWN, "{\"limits\":{\"files\":1}}", "\"limits\": the key \"files\" is not known"},
    {SPAWN, "{\"env\":[]}", "\"env\": [] is not an object of texts"},
    {SPAWN, "{\"env\":{\"A\":1}}", "\"env\": \"A\": 1 is not a text"},
    {SPAWN, "{\"env\":{\"\":\"x\"}}", "\"\" is no name of a variable"},
    {SPAWN, "{\"env\":{\"A=B\":\"x\"}}", "\"A=B\" is no name"},
    {SPAWN, "{\"env\":{\"X\":\"y\",\"WEIR_ADDR\":\"x\"}}", "WEIR_ADDR: names that begin with WEIR_"},
    {SPAWN, "{\"env\":{\"A\":\"x\\u0000y\"}}", "has a NUL"},
    {SPAWN, "{\"env\":{\"A\":\"\\ud800\"}}", "half a surrogate pair"},
    {DEFINE, "{\"concurrency\":0}", "\"concurrency\": 0 is not a number of calls from 1 to 1000"},
    {DEFINE, "{\"concurrency\":1001}", "1001 is not a number of calls"},
    {DEFINE, "{\"timeout_ms\":\"1s\"}", "\"timeout_ms\": \"1s\" is not a number of milliseconds"},
    {"xs.service.xs.create", "", "the name xs: xs is the daemon's"},
    {"xs.actor.xs.a.create", "", "xs is the daemon's"},
    {"xs.action.a.fin.create", "", "must not end with .fin"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct definition def;
        struct err err = ERR_INIT;
        assert_int_equal(parse(&def, refusals[i].topic, refusals[i].meta, &err), ERR_INVALID);
        if (!strstr(err.text, refusals[i].text))
            fail_msg("\"%s\", not \"%s\"", err.text, refusals[i].text);
    }
}

static void test_suffix_length(void **state)
{
    (void)state;
    char meta[200];
    struct definition def;
    snprintf(meta, sizeof(meta), "{\"return_options\":{\"suffix\":\".%060d\"}}", 0);
    char topic[PROGRAM_NAME_MAX + 8];
    memset(topic, 'n', PROGRAM_NAME_MAX);
    memcpy(topic + PROGRAM_NAME_MAX, ".spawn", 7);
    assert_int_equal(parse(&def, topic, meta, NULL), ERR_INVALID);
    def = good(topic, "");
    assert_int_equal(strlen(def.name), PROGRAM_NAME_MAX);
    definition_finish(&def);
}

static void test_form(void **state)
{
    (void)state;
    assert_int_equal(definition_form(span_str("")), FORM_NONE);
    assert_int_equal(definition_form(span_str("#!")), FORM_SCRIPT);
    assert_int_equal(definition_form(span_str("#!/bin/sh\n")), FORM_SCRIPT);
    assert_int_equal(definition_form(span_str("\177ELF")), FORM_ELF);
    assert_int_equal(definition_form(span_str("\177EL")), FORM_OTHER);
    assert_int_equal(definition_form(span_str("#")), FORM_OTHER);
    assert_int_equal(definition_form(span_str("echo hi")), FORM_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults), cmocka_unit_test(test_all_kinds),
        cmocka_unit_test(test_sizes),    cmocka_unit_test(test_restart),
        cmocka_unit_test(test_start),    cmocka_unit_test(test_handler),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_suffix_length),
        cmocka_unit_test(test_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
