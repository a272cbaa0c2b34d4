/* Where a read of a stream starts, what it may bring and when it is refused: every row of the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/s2/read_plan.h"

#define NONE UINT64_MAX

/* --- what cannot be asked for ---------------------------------------------------------------------------- */

static void assert_check(struct read_asked asked, int want)
{
    struct err err = ERR_INIT;
    assert_int_equal(read_check(&asked, &err), want);
    assert_int_equal(err.text[0] != 0, want != 0);
}

static void test_check(void **state)
{
    (void)state;
    assert_check((struct read_asked){0}, 0);
    assert_check((struct read_asked){.has_seq = true}, 0);
    assert_check((struct read_asked){.has_seq = true, .has_stamp = true}, ERR_INVALID);
    assert_check((struct read_asked){.has_seq = true, .has_offset = true}, ERR_INVALID);
    assert_check((struct read_asked){.has_stamp = true, .has_offset = true}, ERR_INVALID);
    assert_check((struct read_asked){.has_stamp = true, .has_seq = true, .has_offset = true}, ERR_INVALID);
    assert_check((struct read_asked){.has_stamp = true, .stamp = 20, .has_until = true, .until = 20}, ERR_INVALID);
    assert_check((struct read_asked){.has_stamp = true, .stamp = 21, .has_until = true, .until = 20}, ERR_INVALID);
    assert_check((struct read_asked){.has_stamp = true, .stamp = 19, .has_until = true, .until = 20}, 0);
    assert_check((struct read_asked){.has_stamp = true, .has_until = true}, ERR_INVALID);
    assert_check((struct read_asked){.has_seq = true, .seq = 50, .has_until = true, .until = 20}, 0);
}

/* --- the start --------------------------------------------------------------------------------------------- */

struct row {
    const char *what;
    struct read_asked asked;
    struct s2_position tail;
    bool unary;
    enum read_begin begin;
    uint64_t from; /* this and the next are not looked at for NOTHING and OUT_OF_RANGE */
    bool follow;
};

#define SEQ(n) .has_seq = true, .seq = (n)
#define STAMP(n) .has_stamp = true, .stamp = (n)
#define OFFSET(n) .has_offset = true, .offset = (n)
#define COUNT(n) .has_count = true, .count = (n)
#define BYTES(n) .has_bytes = true, .bytes = (n)
#define UNTIL(n) .has_until = true, .until = (n)
#define T5 {5, 100}
#define U true
#define S false

static const struct row rows[] = {
    /* No start is the tail. */
    {"none, unary", {0}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"none, session", {0}, T5, S, READ_FROM_SEQ, 5, true},
    {"none, bounded session", {COUNT(1)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"none, bounded session that waits", {COUNT(1), .wait_s = 1}, T5, S, READ_FROM_SEQ, 5, true},
    {"none, session that does not wait", {.has_wait = true}, T5, S, READ_NOTHING, 5, false},
    {"seq below, session that does not wait", {SEQ(2), .has_wait = true}, T5, S, READ_FROM_SEQ, 2, false},
    {"seq at the tail, session that does not wait", {SEQ(5), .has_wait = true}, T5, S, READ_NOTHING, 5, false},
    {"seq above, session that does not wait", {SEQ(6), .has_wait = true}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"bounded session that does not wait", {COUNT(1), .has_wait = true}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"none, unary that waits", {.wait_s = 1}, T5, U, READ_FROM_SEQ, 5, true},
    /* tail_offset saturates. */
    {"offset 0", {OFFSET(0)}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"offset 2", {OFFSET(2)}, T5, U, READ_FROM_SEQ, 3, false},
    {"offset 5", {OFFSET(5)}, T5, U, READ_FROM_SEQ, 0, false},
    {"offset 99", {OFFSET(99)}, T5, U, READ_FROM_SEQ, 0, false},
    {"offset 2^64-1", {OFFSET(UINT64_MAX)}, T5, S, READ_FROM_SEQ, 0, true},
    {"offset of an empty stream", {OFFSET(3)}, {0, 0}, U, READ_OUT_OF_RANGE, 0, false},
    {"offset of an empty stream, session", {OFFSET(3)}, {0, 0}, S, READ_FROM_SEQ, 0, true},
    /* seq_num. */
    {"seq 0", {SEQ(0)}, T5, U, READ_FROM_SEQ, 0, false},
    {"seq 4", {SEQ(4)}, T5, U, READ_FROM_SEQ, 4, false},
    {"seq at the tail", {SEQ(5)}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"seq at the tail, waits", {SEQ(5), .wait_s = 1}, T5, U, READ_FROM_SEQ, 5, true},
    {"seq at the tail, session", {SEQ(5)}, T5, S, READ_FROM_SEQ, 5, true},
    {"seq at the tail, bytes", {SEQ(5), BYTES(9)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"seq at the tail, until", {SEQ(5), UNTIL(900)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"seq above", {SEQ(6)}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"seq above, waits", {SEQ(6), .wait_s = 3}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"seq above, session", {SEQ(6)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"seq above, clamp", {SEQ(99), .clamp = true}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"seq above, clamp, session", {SEQ(99), .clamp = true}, T5, S, READ_FROM_SEQ, 5, true},
    {"seq above, clamp, waits", {SEQ(99), .clamp = true, .wait_s = 1}, T5, U, READ_FROM_SEQ, 5, true},
    {"seq above, clamp, count", {SEQ(99), .clamp = true, COUNT(1)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"seq 2^64-1", {SEQ(UINT64_MAX)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"seq 0, empty", {SEQ(0)}, {0, 0}, U, READ_OUT_OF_RANGE, 0, false},
    {"seq 0, empty, session", {SEQ(0)}, {0, 0}, S, READ_FROM_SEQ, 0, true},
    {"clamp below the tail does nothing", {SEQ(2), .clamp = true}, T5, U, READ_FROM_SEQ, 2, false},
    /* timestamp. */
    {"stamp 0", {STAMP(0)}, T5, U, READ_FROM_STAMP, 0, false},
    {"stamp of the newest", {STAMP(100)}, T5, U, READ_FROM_STAMP, 100, false},
    {"stamp above", {STAMP(101)}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"stamp above, session", {STAMP(101)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"stamp above, clamp, session", {STAMP(101), .clamp = true}, T5, S, READ_FROM_SEQ, 5, true},
    {"stamp above, clamp", {STAMP(101), .clamp = true}, T5, U, READ_OUT_OF_RANGE, 0, false},
    {"stamp 0, empty", {STAMP(0)}, {0, 0}, U, READ_OUT_OF_RANGE, 0, false},
    {"stamp 0, empty, session", {STAMP(0)}, {0, 0}, S, READ_FROM_SEQ, 0, true},
    {"stamp 1, empty, session", {STAMP(1)}, {0, 0}, S, READ_OUT_OF_RANGE, 0, false},
    /* A limit of nothing is an answer without records, wherever it starts. */
    {"count 0", {SEQ(0), COUNT(0)}, T5, U, READ_NOTHING, 0, false},
    {"bytes 0", {SEQ(0), BYTES(0)}, T5, S, READ_NOTHING, 0, false},
    {"count 0 at the tail", {SEQ(5), COUNT(0)}, T5, U, READ_NOTHING, 0, false},
    {"count 0 above", {SEQ(9), COUNT(0)}, T5, U, READ_NOTHING, 0, false},
    {"count 0, waits", {SEQ(5), COUNT(0), .wait_s = 9}, T5, U, READ_NOTHING, 0, true},
    {"bytes 0, empty", {BYTES(0)}, {0, 0}, U, READ_NOTHING, 0, false},
    /* Limits as such. */
    {"a limit as high as can be is one", {SEQ(5), COUNT(UINT64_MAX)}, T5, S, READ_OUT_OF_RANGE, 0, false},
    {"until in the past", {SEQ(0), UNTIL(0)}, T5, S, READ_FROM_SEQ, 0, false},
};

static void assert_row(const struct row *row)
{
    struct read_plan plan = read_resolve(&row->asked, &row->tail, row->unary);
    if (plan.begin != row->begin)
        fail_msg("%s: begins %d", row->what, plan.begin);
    if (row->begin >= READ_FROM_SEQ && (plan.from != row->from || plan.follow != row->follow))
        fail_msg("%s: from %llu follows %d", row->what, (unsigned long long)plan.from, plan.follow);
}

static void test_starts(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_row(&rows[i]);
}

static struct read_plan waiting(uint64_t wait_s, bool unary)
{
    struct read_asked asked = {.wait_s = wait_s};
    struct s2_position tail = T5;
    return read_resolve(&asked, &tail, unary);
}

static void test_wait(void **state)
{
    (void)state;
    assert_false(waiting(0, true).has_wait);
    assert_int_equal(waiting(1, true).wait_ms, 1000);
    assert_int_equal(waiting(60, true).wait_ms, 60000);
    assert_int_equal(waiting(61, true).wait_ms, 60000);
    assert_int_equal(waiting(61, false).wait_ms, 61000);
    assert_true(waiting(UINT64_MAX, false).wait_ms == UINT64_MAX);
    assert_int_equal(waiting(UINT64_MAX, true).wait_ms, 60000);
}

/* --- limits -------------------------------------------------------------------------------------------------- */

static const struct read_caps wide = {1000, 1024 * 1024};

static void test_limits(void **state)
{
    (void)state;
    struct read_limits none = {.count = NONE, .bytes = NONE};
    assert_int_equal(read_fit(&none, &wide, 0, 0, 0, 18), READ_FITS);
    assert_int_equal(read_fit(&none, &wide, 999, 18, 0, 18), READ_FITS);
    assert_int_equal(read_fit(&none, &wide, 1000, 18, 0, 18), READ_NEXT_BATCH);
    assert_int_equal(read_fit(&none, &wide, 1, wide.bytes - 18, 0, 18), READ_FITS);
    assert_int_equal(read_fit(&none, &wide, 1, wide.bytes - 17, 0, 18), READ_NEXT_BATCH);
    assert_int_equal(read_fit(&none, &wide, 0, 0, 0, wide.bytes + 1), READ_FITS); /* it must get through */
    struct read_limits some = {.count = 2, .bytes = 36, .has_until = true, .until = 20};
    assert_int_equal(read_fit(&some, &wide, 0, 0, 19, 36), READ_FITS);
    assert_int_equal(read_fit(&some, &wide, 0, 0, 19, 37), READ_OVER);
    assert_int_equal(read_fit(&some, &wide, 0, 0, 20, 8), READ_OVER);
    read_took(&some, 1, 18);
    assert_false(read_spent(&some));
    assert_int_equal(read_fit(&some, &wide, 1, 18, 0, 18), READ_FITS);
    read_took(&some, 1, 17);
    assert_true(read_spent(&some)); /* of records */
    assert_int_equal(read_fit(&some, &wide, 2, 35, 0, 0), READ_OVER);
    assert_true(read_limited(&some));
    assert_false(read_limited(&none));
    read_took(&none, 5, 5);
    assert_false(read_limited(&none));
}

static void test_highest_until(void **state)
{
    (void)state;
    struct read_limits l = {.count = NONE, .bytes = NONE, .has_until = true, .until = UINT64_MAX};
    assert_int_equal(read_fit(&l, &wide, 0, 0, UINT64_MAX - 1, 8), READ_FITS);
    assert_int_equal(read_fit(&l, &wide, 0, 0, UINT64_MAX, 8), READ_OVER);
    assert_true(read_limited(&l));
}

/* --- resuming ------------------------------------------------------------------------------------------------- */

static void test_place(void **state)
{
    (void)state;
    struct read_place place = {0};
    static const char *const bad[] = {"",     "1",     "1,2",      "1,2,3,4", "1,2,",    ",2,3", "1,,3",
                                      "a,2,3", "-1,2,3", "1, 2,3", "1,2,3 ",  "01x,2,3", "18446744073709551616,0,0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (read_place_parse(&place, span_str(bad[i])) != ERR_INVALID)
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(read_place_parse(&place, span_str("18446744073709551615,2,3")), 0);
    assert_true(place.seq == UINT64_MAX && place.count == 2 && place.bytes == 3);
}

static void test_resume(void **state)
{
    (void)state;
    struct read_asked asked = {.has_stamp = true, .stamp = 9, .has_count = true, .count = 10, .has_bytes = true, .bytes = 100};
    read_resume(&asked, &(struct read_place){4, 3, 54});
    assert_true(asked.has_seq && !asked.has_stamp && !asked.has_offset);
    assert_true(asked.seq == 5 && asked.count == 7 && asked.bytes == 46);
    read_resume(&asked, &(struct read_place){UINT64_MAX, 99, 99});
    assert_true(asked.seq == UINT64_MAX && asked.count == 0 && asked.bytes == 0);
    struct read_asked open = {0};
    read_resume(&open, &(struct read_place){4, 3, 54});
    assert_false(open.has_count || open.has_bytes); /* still without limits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check), cmocka_unit_test(test_starts),        cmocka_unit_test(test_wait),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_highest_until), cmocka_unit_test(test_place),
        cmocka_unit_test(test_resume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
