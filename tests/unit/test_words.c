/*
 * Topics as words of programs, both vocabularies, there and back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/run/words.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    const char *topic;
    enum program_kind kind;
    enum program_words words;
    enum program_event event;
    const char *name;
} known[] = {
    {"a.spawn", PROGRAM_SERVICE, WORDS_SEED, EVENT_CREATE, "a"},
    {"a.terminate", PROGRAM_SERVICE, WORDS_SEED, EVENT_TERM, "a"},
    {"a.start", PROGRAM_SERVICE, WORDS_SEED, EVENT_ACTIVE, "a"},
    {"a.stop", PROGRAM_SERVICE, WORDS_SEED, EVENT_FIN_OK, "a"},
    {"a.spawn.error", PROGRAM_SERVICE, WORDS_SEED, EVENT_INVALID, "a"},
    {"a.b.c.register", PROGRAM_HANDLER, WORDS_SEED, EVENT_CREATE, "a.b.c"},
    {"a.unregister", PROGRAM_HANDLER, WORDS_SEED, EVENT_TERM, "a"},
    {"a.registered", PROGRAM_HANDLER, WORDS_SEED, EVENT_ACTIVE, "a"},
    {"a.unregistered", PROGRAM_HANDLER, WORDS_SEED, EVENT_FIN_OK, "a"},
    {"a.define", PROGRAM_ACTION, WORDS_SEED, EVENT_CREATE, "a"},
    {"a.undefine", PROGRAM_ACTION, WORDS_SEED, EVENT_TERM, "a"},
    {"a.ready", PROGRAM_ACTION, WORDS_SEED, EVENT_ACTIVE, "a"},
    {"a.undefined", PROGRAM_ACTION, WORDS_SEED, EVENT_FIN_OK, "a"},
    {"a.define.error", PROGRAM_ACTION, WORDS_SEED, EVENT_INVALID, "a"},
    {"_.spawn", PROGRAM_SERVICE, WORDS_SEED, EVENT_CREATE, "_"},
    {"a.spawn.spawn", PROGRAM_SERVICE, WORDS_SEED, EVENT_CREATE, "a.spawn"},
    {"xsa.spawn", PROGRAM_SERVICE, WORDS_SEED, EVENT_CREATE, "xsa"},
    {"xs.service.a.create", PROGRAM_SERVICE, WORDS_NEW, EVENT_CREATE, "a"},
    {"xs.service.a.term", PROGRAM_SERVICE, WORDS_NEW, EVENT_TERM, "a"},
    {"xs.service.a.active", PROGRAM_SERVICE, WORDS_NEW, EVENT_ACTIVE, "a"},
    {"xs.service.a.invalid", PROGRAM_SERVICE, WORDS_NEW, EVENT_INVALID, "a"},
    {"xs.service.a.fin.ok", PROGRAM_SERVICE, WORDS_NEW, EVENT_FIN_OK, "a"},
    {"xs.service.a.fin.error", PROGRAM_SERVICE, WORDS_NEW, EVENT_FIN_ERROR, "a"},
    {"xs.service.a.fin.term", PROGRAM_SERVICE, WORDS_NEW, EVENT_FIN_TERM, "a"},
    {"xs.service.a.replaced", PROGRAM_SERVICE, WORDS_NEW, EVENT_REPLACED, "a"},
    {"xs.service.a.stopped", PROGRAM_SERVICE, WORDS_NEW, EVENT_STOPPED, "a"},
    {"xs.service.a.retry", PROGRAM_SERVICE, WORDS_NEW, EVENT_RETRY, "a"},
    {"xs.actor.a.b.create", PROGRAM_HANDLER, WORDS_NEW, EVENT_CREATE, "a.b"},
    {"xs.action.a-1.create", PROGRAM_ACTION, WORDS_NEW, EVENT_CREATE, "a-1"},
    {"xs.action.create.create", PROGRAM_ACTION, WORDS_NEW, EVENT_CREATE, "create"},
    {"xs.actor.fin.term", PROGRAM_HANDLER, WORDS_NEW, EVENT_TERM, "fin"},
    {"xs.service.xs.create", PROGRAM_SERVICE, WORDS_NEW, EVENT_CREATE, "xs"},
};

static void test_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(known); i++) {
        struct words words;
        assert_true(words_parse(&words, span_str(known[i].topic)));
        assert_int_equal(words.kind, known[i].kind);
        assert_int_equal(words.words, known[i].words);
        assert_int_equal(words.event, known[i].event);
        assert_true(span_is(words.name, known[i].name));
    }
}

static void test_ordinary(void **state)
{
    (void)state;
    static const char *const topics[] = {
        "",
        "a",
        ".",
        "spawn",
        ".spawn",
        "a.",
        "a.recv",
        "a.send",
        "a.call",
        "a.error",
        "a.out.error",
        "spawn.error",
        ".spawn.error",
        "a.b.spawned",
        "aspawn",
        "a.xspawn",
        "1a.spawn",
        "a..spawn",
        "a b.spawn",
        "xs.start",
        "xs.stop",
        "xs.spawn",
        "xs.a.spawn",
        "xs.service.a.spawn",
        "xs.service.a.start",
        "xs.service.create",
        "xs.service..create",
        "xs.service.a",
        "xs.service.a.create.x",
        "xs.servicex.a.create",
        "xs.handler.a.create",
        "xs.store.a.create",
        "xs.actor",
        "xs.",
        "xs",
        "a.create",
        "a.fin.ok",
        "a.unregisteredx",
        "long.long.long.long-and-nothing",
    };
    for (size_t i = 0; i < COUNT(topics); i++) {
        struct words words;
        assert_false(words_parse(&words, span_str(topics[i])));
    }
}

static void test_longest_name(void **state)
{
    (void)state;
    char topic[300];
    struct words words;
    memset(topic, 'n', sizeof(topic));
    memcpy(topic + PROGRAM_NAME_MAX, ".spawn", 6);
    assert_true(words_parse(&words, span_of(topic, PROGRAM_NAME_MAX + 6)));
    assert_int_equal(words.name.len, PROGRAM_NAME_MAX);
    memset(topic, 'n', sizeof(topic));
    memcpy(topic + PROGRAM_NAME_MAX + 1, ".spawn", 6);
    assert_false(words_parse(&words, span_of(topic, PROGRAM_NAME_MAX + 7)));
}

/* The event that a topic of seed words is read as. */
static enum program_event seed_event(enum program_kind kind, enum program_event event)
{
    bool kept = event <= EVENT_ACTIVE || (event == EVENT_INVALID && kind != PROGRAM_HANDLER);
    return kept ? event : EVENT_FIN_OK;
}

static void there_and_back(enum program_kind kind, enum program_words vocabulary,
                           enum program_event event)
{
    CLEAN_BUF topic = BUF_INIT;
    struct words words;
    assert_int_equal(buf_add_str(&topic, "x"), 0);
    int rc = words_topic(&topic, kind, span_str("na.me"), vocabulary, event);
    struct span said = {topic.ptr + 1, topic.len - 1};
    if (vocabulary == WORDS_SEED && event == EVENT_RETRY) {
        assert_int_equal(rc, ERR_NOT_FOUND);
        assert_int_equal(said.len, 0);
        return;
    }
    assert_int_equal(rc, 0);
    assert_true(words_parse(&words, said));
    assert_int_equal(words.kind, kind);
    assert_int_equal(words.words, vocabulary);
    assert_int_equal(words.event, vocabulary == WORDS_SEED ? seed_event(kind, event) : event);
    assert_true(span_is(words.name, "na.me"));
}

static void test_there_and_back(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PROGRAM_KINDS; kind++) {
        for (unsigned event = EVENT_CREATE; event <= EVENT_RETRY; event++) {
            there_and_back((enum program_kind)kind, WORDS_SEED, (enum program_event)event);
            there_and_back((enum program_kind)kind, WORDS_NEW, (enum program_event)event);
        }
    }
}

static void test_ends(void **state)
{
    (void)state;
    static const struct {
        const char *meta;
        enum program_event event;
    } cases[] = {
        {"{\"reason\":\"finished\"}", EVENT_FIN_OK},
        {"{\"service_id\":\"x\",\"reason\":\"error\",\"error\":\"finished\"}", EVENT_FIN_ERROR},
        {"{\"reason\":\"term\"}", EVENT_FIN_TERM},
        {"{\"reason\":\"repl\\u0061ced\"}", EVENT_REPLACED},
        {"{\"a\":{\"reason\":\"term\"},\"reason\":\"shutdown\"}", EVENT_STOPPED},
        {"{\"reason\":\"invalid\"}", EVENT_INVALID},
        {"{\"reason\":\"other\"}", EVENT_FIN_ERROR},
        {"{\"reason\":5}", EVENT_FIN_ERROR},
        {"{}", EVENT_FIN_ERROR},
        {"", EVENT_FIN_ERROR},
        {"[\"reason\",\"finished\"]", EVENT_FIN_ERROR},
        {"\"finished\"", EVENT_FIN_ERROR},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(words_end(span_str(cases[i].meta)), cases[i].event);
}

static void test_kinds(void **state)
{
    (void)state;
    assert_string_equal(words_kind(PROGRAM_SERVICE), "service");
    assert_string_equal(words_kind(PROGRAM_HANDLER), "handler");
    assert_string_equal(words_kind(PROGRAM_ACTION), "action");
    assert_string_equal(words_topic_kind(PROGRAM_HANDLER), "actor");
    assert_string_equal(words_pointer(PROGRAM_SERVICE), "service_id");
    assert_string_equal(words_pointer(PROGRAM_HANDLER), "handler_id");
    assert_string_equal(words_pointer(PROGRAM_ACTION), "action_id");
    assert_string_equal(words_pointer_new(PROGRAM_SERVICE), "source_id");
    assert_string_equal(words_pointer_new(PROGRAM_HANDLER), "actor_id");
    assert_null(words_pointer_new(PROGRAM_ACTION));
}

static void test_id_in_meta(void **state)
{
    (void)state;
    static const char text[] = "03d4q1qhbiv09ovtuhokw5yxv";
    struct frame_id id, want;
    assert_int_equal(id_parse(&want, span_str(text), NULL), 0);
    static const char *const with[] = {
        "{\"a\":\"03d4q1qhbiv09ovtuhokw5yxv\"}",
        "{\"x\":\"03d4q1qhbiv09ovtuhokw5yx0\",\"b\":\"03d4q1qhbiv09ovtuhokw5yxv\"}",
        "{\"a\":5,\"b\":\"03d4q1qhbiv09ovtuhokw5yxv\",\"a\":\"03d4q1qhbiv09ovtuhokw5yx0\"}",
    };
    static const char *const without[] = {
        "{}", "", "null", "[\"a\"]", "{\"a\":{\"a\":\"03d4q1qhbiv09ovtuhokw5yxv\"}}", "{\"a\":\"short\"}",
        "{\"a\":\"-3d4q1qhbiv09ovtuhokw5yxv\"}",
    };
    for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++) {
        assert_true(words_id(&id, span_str(with[i]), "a", "b"));
        assert_int_equal(id_cmp(id, want), 0);
    }
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        assert_false(words_id(&id, span_str(without[i]), "a", "b"));
    assert_false(words_id(&id, span_str(with[1]), "a", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),          cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_longest_name),   cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_ends),           cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_id_in_meta),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
