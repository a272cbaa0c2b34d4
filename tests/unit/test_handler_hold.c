/*
 * What a handler was given and printed, and what is due with an ack.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/run/handler_hold.h"

static struct frame_id id(uint64_t n)
{
    return (struct frame_id){.hi = 7, .lo = n};
}

static struct hold started(uint64_t low)
{
    return (struct hold){.low = id(low)};
}

static struct printed text(const char *content)
{
    return (struct printed){
        .has_frame = true, .has_content = true, .content = span_str(content)};
}

static void add(struct hold *hold, const char *content)
{
    struct printed printed = text(content);
    assert_int_equal(hold_add(hold, &printed), 0);
}

/* "content@cause" of what is due, in order, joined by blanks. */
static void check_due(struct hold *hold, uint64_t upto, const char *expected)
{
    char got[512] = "";
    struct printed *due;
    size_t count;
    assert_int_equal(hold_due(hold, id(upto), &due, &count), 0);
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(got);
        snprintf(got + len, sizeof(got) - len, "%s%.*s@%d", i ? " " : "", SPAN_ARG(due[i].content),
                 due[i].has_cause ? (int)due[i].cause.lo : -1);
    }
    assert_string_equal(got, expected);
}

static void give(struct hold *hold, uint64_t first, uint64_t last)
{
    for (uint64_t n = first; n <= last; n++)
        assert_int_equal(hold_give(hold, id(n)), 0);
}

static struct frame_id ack(struct hold *hold, uint64_t n)
{
    struct frame_id upto;
    struct err err = ERR_INIT;
    assert_int_equal(hold_ack(hold, id(n), &upto, &err), 0);
    hold_settle(hold, upto);
    return upto;
}

static void check_refused(struct hold *hold, uint64_t n, const char *why)
{
    struct frame_id upto = id(4711);
    struct err err = ERR_INIT;
    assert_int_equal(hold_ack(hold, id(n), &upto, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, why));
    assert_int_equal(upto.lo, 4711);
}

static void test_oldest_open_is_the_cause(void **state)
{
    (void)state;
    struct hold hold = started(0);
    assert_true(id_is_zero(hold_oldest(&hold)));
    give(&hold, 10, 12);
    add(&hold, "a");
    ack(&hold, 10);
    add(&hold, "b");
    check_due(&hold, 11, "b@11");
    check_due(&hold, 10, "");
    ack(&hold, 12);
    assert_false(hold_open(&hold));
    assert_int_equal(hold_oldest(&hold).lo, 12);
    hold_finish(&hold);
}

static void test_reading_ahead(void **state)
{
    (void)state;
    struct hold hold = started(0);
    give(&hold, 1, 3);
    struct printed second = text("for2"), later = text("for3"), first = text("for1");
    second.has_cause = later.has_cause = true;
    second.cause = id(2);
    later.cause = id(3);
    assert_int_equal(hold_add(&hold, &later), 0);
    assert_int_equal(hold_add(&hold, &second), 0);
    assert_int_equal(hold_add(&hold, &first), 0);
    check_due(&hold, 1, "for1@1");
    ack(&hold, 1);
    check_due(&hold, 2, "for2@2");
    ack(&hold, 2);
    check_due(&hold, 3, "for3@3");
    ack(&hold, 3);
    check_due(&hold, 3, "");
    assert_int_equal(hold.bytes.len, 0);
    hold_finish(&hold);
}

static void test_a_named_frame_that_is_not_open(void **state)
{
    (void)state;
    struct hold hold = started(5);
    give(&hold, 6, 7);
    struct printed old = text("old"), far = text("far");
    old.has_cause = far.has_cause = true;
    old.cause = id(3);
    far.cause = id(900);
    assert_int_equal(hold_add(&hold, &old), 0);
    assert_int_equal(hold_add(&hold, &far), 0);
    check_due(&hold, 6, "old@3 far@900");
    hold_finish(&hold);
}

static void test_ack_in_the_line(void **state)
{
    (void)state;
    struct hold hold = started(0);
    give(&hold, 1, 4);
    struct printed line = text("x");
    line.has_ack = true;
    line.ack = id(3);
    assert_int_equal(hold_add(&hold, &line), 0);
    check_due(&hold, 2, "");
    check_due(&hold, 3, "x@3");
    ack(&hold, 3);
    line.content = span_str("y");
    assert_int_equal(hold_add(&hold, &line), 0);
    check_due(&hold, 3, "y@3");
    line.content = span_str("z");
    line.ack = id(99);
    assert_int_equal(hold_add(&hold, &line), 0);
    check_due(&hold, 4, "y@3 z@4");
    hold_finish(&hold);
}

static void test_refused_acks(void **state)
{
    (void)state;
    struct hold hold = started(5);
    check_refused(&hold, 6, "not given yet");
    give(&hold, 6, 8);
    check_refused(&hold, 4, "long ago");
    check_refused(&hold, 9, "not given yet");
    assert_int_equal(ack(&hold, 5).lo, 5);
    assert_int_equal(hold.given_count, 3);
    assert_int_equal(ack(&hold, 8).lo, 8);
    assert_int_equal(ack(&hold, 8).lo, 8);
    check_refused(&hold, 7, "long ago");
    hold_finish(&hold);
}

static void test_ack_of_a_pulse(void **state)
{
    (void)state;
    struct hold hold = started(0);
    give(&hold, 10, 11);
    hold_give_line(&hold, id(15));
    assert_int_equal(ack(&hold, 15).lo, 11);
    assert_false(hold_open(&hold));
    hold_give_line(&hold, id(17));
    assert_int_equal(ack(&hold, 17).lo, 11);
    hold_finish(&hold);
}

static void test_before_any_frame(void **state)
{
    (void)state;
    struct hold hold = {.low = ID_MIN};
    add(&hold, "hello");
    check_due(&hold, 0, "hello@-1");
    hold_finish(&hold);
}

static void test_bound(void **state)
{
    (void)state;
    struct hold hold = started(0);
    char *big = malloc(HOLD_MAX);
    memset(big, 'x', HOLD_MAX);
    give(&hold, 1, 2);
    struct printed printed = text("");
    printed.content = span_of(big, HOLD_MAX - HOLD_OVERHEAD + 1);
    assert_int_equal(hold_add(&hold, &printed), ERR_TOO_LARGE);
    printed.content.len--;
    assert_int_equal(hold_add(&hold, &printed), 0);
    printed.content.len = 0;
    assert_int_equal(hold_add(&hold, &printed), ERR_TOO_LARGE);
    ack(&hold, 1);
    assert_int_equal(hold_add(&hold, &printed), 0);
    free(big);
    hold_finish(&hold);
}

static void test_empty_lines_are_bounded(void **state)
{
    (void)state;
    struct hold hold = started(0);
    struct printed printed = {.has_frame = true};
    size_t n = 0;
    while (hold_add(&hold, &printed) == 0)
        n++;
    assert_int_equal(n, HOLD_MAX / HOLD_OVERHEAD);
    hold_finish(&hold);
}

/* Never acknowledging costs bounded memory, and acks still reach where they should. */
static void test_many_open(void **state)
{
    (void)state;
    struct hold hold = started(0);
    const uint64_t many = HOLD_GIVEN_MAX * 3;
    give(&hold, 1, many);
    assert_int_equal(hold.given_cap, HOLD_GIVEN_MAX);
    assert_int_equal(hold_oldest(&hold).lo, 1);
    ack(&hold, 100);
    assert_int_equal(hold_oldest(&hold).lo, 101);
    ack(&hold, HOLD_GIVEN_MAX + 10);
    assert_true(hold_open(&hold));
    assert_int_equal(hold_oldest(&hold).lo, many);
    check_refused(&hold, many + 1, "not given yet");
    ack(&hold, many);
    assert_false(hold_open(&hold));
    give(&hold, many + 1, many + 2);
    assert_int_equal(hold_oldest(&hold).lo, many + 1);
    hold_finish(&hold);
}

static void test_ring_wraps(void **state)
{
    (void)state;
    struct hold hold = started(0);
    uint64_t next = 1, done = 0;
    for (unsigned round = 0; round < 1000; round++) {
        give(&hold, next, next + round % 90);
        next += round % 90 + 1;
        done += (next - done) / 2;
        ack(&hold, done);
        assert_int_equal(hold_oldest(&hold).lo, done + 1 < next ? done + 1 : done);
    }
    hold_finish(&hold);
}

static void test_reset(void **state)
{
    (void)state;
    struct hold hold = started(0);
    give(&hold, 1, 5);
    ack(&hold, 2);
    add(&hold, "dropped");
    hold_reset(&hold);
    check_due(&hold, 100, "");
    assert_int_equal(hold.low.lo, 2);
    check_refused(&hold, 3, "not given yet");
    give(&hold, 3, 3);
    add(&hold, "again");
    check_due(&hold, 3, "again@3");
    hold_finish(&hold);
}

/* topic, content and meta survive the removal of what lies around them. */
static void test_what_stays_is_whole(void **state)
{
    (void)state;
    struct hold hold = started(0);
    give(&hold, 1, 3);
    for (int i = 0; i < 60; i++) {
        char content[16];
        snprintf(content, sizeof(content), "c%d", i);
        struct printed printed = text(content);
        printed.topic = span_str(i % 2 ? "" : "some.topic");
        printed.meta = span_str(i % 3 ? "{\"a\":1}" : "");
        printed.has_cause = true;
        printed.cause = id((uint64_t)(i % 3) + 1);
        assert_int_equal(hold_add(&hold, &printed), 0);
    }
    ack(&hold, 1);
    ack(&hold, 2);
    struct printed *due;
    size_t count;
    assert_int_equal(hold_due(&hold, id(3), &due, &count), 0);
    assert_int_equal(count, 20);
    for (int i = 0; i < 20; i++) {
        char content[16];
        snprintf(content, sizeof(content), "c%d", i * 3 + 2);
        assert_true(span_is(due[i].content, content));
        assert_true(span_is(due[i].topic, (i * 3 + 2) % 2 ? "" : "some.topic"));
        assert_true(span_is(due[i].meta, "{\"a\":1}"));
    }
    hold_finish(&hold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oldest_open_is_the_cause),
        cmocka_unit_test(test_reading_ahead),
        cmocka_unit_test(test_a_named_frame_that_is_not_open),
        cmocka_unit_test(test_ack_in_the_line),
        cmocka_unit_test(test_refused_acks),
        cmocka_unit_test(test_ack_of_a_pulse),
        cmocka_unit_test(test_before_any_frame),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_empty_lines_are_bounded),
        cmocka_unit_test(test_many_open),
        cmocka_unit_test(test_ring_wraps),
        cmocka_unit_test(test_reset),
        cmocka_unit_test(test_what_stays_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
