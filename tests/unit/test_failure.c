#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/json.h"
#include "daemon/guarded.h"
#include "daemon/run/registry.h"

static void says(const struct failure *failure, const char *want)
{
    CLEAN_BUF out = BUF_INIT;
    assert_int_equal(failure_put(&out, failure), 0);
    assert_string_equal(buf_cstr(&out), want);
    assert_int_equal(json_validate(buf_span(&out), META_DEPTH, NULL, NULL), 0);
}

static void only_what_applies_is_written(void **state)
{
    (void)state;
    says(&(struct failure){0}, "{}");
    says(&(struct failure){.error = span_str("a \"b\"\n")}, "{\"error\":\"a \\\"b\\\"\\n\"}");
    says(&(struct failure){.has_exit = true, .code = 3, .last_stderr = span_str("oh")}, "{\"exit_code\":3,\"stderr\":\"oh\"}");
    says(&(struct failure){.has_signal = true, .code = 9, .attempt = 2, .next_ms = 1000},
         "{\"signal\":9,\"attempt\":2,\"next_ms\":1000}");
    says(&(struct failure){.has_frame = true, .error = span_str("x")},
         "{\"frame_id\":\"0000000000000000000000000\",\"error\":\"x\"}");
}

static void ends_are_told_apart(void **state)
{
    struct failure f;
    char text[128];
    (void)state;
    assert_false(failure_of(&f, text, sizeof(text), &(struct process_end){0}));
    assert_true(failure_of(&f, text, sizeof(text), &(struct process_end){.child = {.code = 4}}));
    assert_true(f.has_exit && !f.has_signal && f.code == 4);
    assert_string_equal(text, "exited with 4");
    assert_true(failure_of(&f, text, sizeof(text), &(struct process_end){.child = {.signalled = true, .code = 9}}));
    assert_true(!f.has_exit && f.has_signal && f.code == 9);
    assert_true(failure_of(&f, text, sizeof(text), &(struct process_end){.timed_out = true}));
    assert_string_equal(text, "timed out");
    assert_true(failure_of(&f, text, sizeof(text), &(struct process_end){.child = {.lost = true}}));
    assert_true(!f.has_exit && !f.has_signal);
}

static void meta_is(enum program_kind kind, enum program_words words, bool caused, const char *own, const char *want)
{
    CLEAN_BUF out = BUF_INIT;
    struct frame_id cause = {0, 1};
    assert_int_equal(tell_meta(&out, kind, words, ID_MIN, caused ? &cause : NULL, span_str(own)), 0);
    assert_string_equal(buf_cstr(&out), want);
}

#define ZERO "\"0000000000000000000000000\""

static void pointers_come_first_and_once(void **state)
{
    (void)state;
    meta_is(PROGRAM_SERVICE, WORDS_SEED, false, "", "{\"service_id\":" ZERO "}");
    meta_is(PROGRAM_HANDLER, WORDS_NEW, false, "{}", "{\"handler_id\":" ZERO ",\"actor_id\":" ZERO "}");
    meta_is(PROGRAM_ACTION, WORDS_NEW, true, "{\"a\":[1,2]}",
            "{\"action_id\":" ZERO ",\"frame_id\":\"0000000000000000000000001\",\"a\":[1,2]}");
    meta_is(PROGRAM_SERVICE, WORDS_NEW, true, "{\"frame_id\":1,\"service_id\":2,\"source_id\":3,\"x\":{\"y\":null}}",
            "{\"service_id\":" ZERO ",\"source_id\":" ZERO ",\"frame_id\":\"0000000000000000000000001\",\"x\":{\"y\":null}}");
    meta_is(PROGRAM_SERVICE, WORDS_SEED, false, "{\"frame_id\":1}", "{\"service_id\":" ZERO ",\"frame_id\":1}");
}

static void guarded_topics_need_more_than_none(void **state)
{
    static const char *const guarded[] = {"xs.service.a.create", "xs.actor.a.term", "xs.action.x", "xs.store.b.create"};
    static const char *const free_ones[] = {"xs.services", "a.spawn", "xs.start", "xs.service", "axs.service.a.create"};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(guarded_check(AUTHORITY_NONE, span_str(guarded[i]), NULL), ERR_FORBIDDEN);
        assert_int_equal(guarded_check(AUTHORITY_EXEC, span_str(guarded[i]), NULL), 0);
        assert_int_equal(guarded_check(AUTHORITY_DAEMON, span_str(guarded[i]), NULL), 0);
    }
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(guarded_check(AUTHORITY_NONE, span_str(free_ones[i]), NULL), 0);
}

static void a_kept_failure_has_its_own_texts(void **state)
{
    (void)state;
    char error[] = "why", said[] = "said last";
    CLEAN_BUF bytes = BUF_INIT;
    struct failure kept = {.error = span_str(error), .has_exit = true, .code = 3, .last_stderr = span_str(said)};
    failure_keep(&kept, &bytes, &kept);
    memset(error, 'x', 3);
    memset(said, 'x', 9);
    assert_true(span_is(kept.error, "why") && span_is(kept.last_stderr, "said last"));
    assert_true(kept.has_exit && kept.code == 3);
    failure_keep(&kept, &bytes, &(struct failure){.has_signal = true, .code = 9});
    assert_true(kept.error.len == 0 && kept.last_stderr.len == 0 && kept.has_signal && !kept.has_exit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_applies_is_written),
        cmocka_unit_test(ends_are_told_apart),
        cmocka_unit_test(a_kept_failure_has_its_own_texts),
        cmocka_unit_test(pointers_come_first_and_once),
        cmocka_unit_test(guarded_topics_need_more_than_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
