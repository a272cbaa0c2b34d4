/*
 * The index thread's steps: what it leaves for later, and that it comes back for it. The threads are stepped by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/store/steps.h"

#define MIB ((size_t)1024 * 1024)

static uint64_t clock_ms;

static uint64_t test_clock(void)
{
    return clock_ms;
}

static int setup(void **state)
{
    struct play *play = malloc(sizeof *play);
    play_begin(play);
    clock_ms = 1700000000000;
    play->options.now_ms = test_clock;
    play->options.purge_slice = 1;
    play_open(play);
    *state = play;
    return 0;
}

static int teardown(void **state)
{
    struct play *play = *state;
    step_close(play);
    play_end(play);
    free(play);
    return 0;
}

static void append(struct play *play, const char *topic, size_t count, struct ttl ttl)
{
    struct store_frame in[100];
    struct store_op op = {.kind = STORE_APPEND, .frames = in, .count = count};
    for (size_t i = 0; i < count; i++)
        in[i] = frame_in(topic, ttl);
    assert_int_equal(step_run(play->store, &op), 0);
}

static void drop(struct play *play, const char *topic)
{
    static struct store_topic_op t;
    struct store_op op = {.kind = STORE_TOPIC, .topic = &t};
    t = (struct store_topic_op){.deed = TOPIC_DROP, .name = span_str(topic)};
    assert_int_equal(step_run(play->store, &op), 0);
}

/* Frames that lie in the index, hidden ones too. */
static uint64_t stored(struct play *play)
{
    struct index_snap *snap;
    struct index_totals totals;
    assert_int_equal(index_snap_begin(play->store->index, &snap, NULL), 0);
    assert_int_equal(index_totals(snap, &totals, NULL), 0);
    index_snap_end(snap);
    return totals.frames;
}

/* --- what trims and drops left ------------------------------------------------------------ */

static void test_closing_leaves_a_purge(void **state)
{
    struct play *play = *state;
    append(play, "dropped", 100, FOREVER);
    drop(play, "dropped");
    assert_int_equal(indexer_step(play->store), 1);
    uint64_t left = stored(play);
    assert_true(left > 50 && index_has_purges(play->store->index));
    play->store->closing = true;
    for (int i = 0; i < 10; i++)
        assert_int_not_equal(indexer_step(play->store), 1);
    assert_int_equal(stored(play), left);
    play->store->closing = false;
    assert_int_equal(indexer_step(play->store), 1);
    assert_int_equal(stored(play), left - 1);
}

/* What is moved while a purge goes on is not held up by it. */
static void test_moves_go_before_a_purge(void **state)
{
    struct play *play = *state;
    append(play, "dropped", 100, FOREVER);
    drop(play, "dropped");
    indexer_step(play->store);
    append(play, "other", 3, FOREVER);
    assert_true(indexer_step(play->store) == 1 && index_has_purges(play->store->index));
    assert_int_equal(play->store->indexed, play->store->tail.number);
}

/* The thread says when to look again until the purge is at its end and what expired meanwhile is removed. */
static void test_expiry_comes_behind_a_purge(void **state)
{
    struct play *play = *state;
    append(play, "dropped", 50, FOREVER);
    append(play, "short", 50, TIME(1000));
    append(play, "kept", 1, FOREVER);
    step_settle(play->store);
    clock_ms += 2000;
    drop(play, "dropped");
    uint64_t again = 1;
    for (int i = 0; i < 1000 && again > 0; i++) {
        again = indexer_step(play->store);
        if (play->store->expiring) { /* its answer asks for another look */
            while (writer_step(play->store))
                ;
            again = 1;
        }
    }
    assert_false(index_has_purges(play->store->index));
    step_settle(play->store);
    assert_int_equal(stored(play), 1);
}

/* --- a backlog ---------------------------------------------------------------------------- */

static void append_mib(struct play *play, size_t mib)
{
    static char text[16 * 1024];
    memset(text, 'x', sizeof text - 1);
    for (size_t i = 0; i < mib * MIB / sizeof text; i++) {
        struct store_frame in = frame_in("much", FOREVER);
        struct store_op op = {.kind = STORE_APPEND, .frames = &in, .count = 1};
        frame_content(&in, text);
        assert_int_equal(step_run(play->store, &op), 0);
    }
}

static void test_tail_is_wide_while_much_comes(void **state)
{
    struct play *play = *state;
    struct tail *tail = &play->store->tail;
    append_mib(play, 2);
    indexer_step(play->store);
    assert_int_equal(tail->budget, MIB);
    assert_true(tail->bytes <= MIB + MIB / 16);
    append_mib(play, 6);
    assert_true(indexer_step(play->store) > 0);
    assert_int_equal(play->store->indexed, tail->number);
    assert_true(tail->budget == 16 * MIB && tail->bytes > 6 * MIB);
    /* Nothing came: it is as before, and so is what it keeps. */
    for (int i = 0; i < 3 && play->store->tail_wide; i++)
        indexer_step(play->store);
    assert_int_equal(tail->budget, MIB);
    assert_true(tail->bytes <= MIB + MIB / 16);
    assert_int_equal(indexer_step(play->store), 0);
}

static void test_a_wide_tail_is_never_narrower(void **state)
{
    struct play *play = *state;
    step_close(play);
    play->options.tail_bytes = 24 * MIB;
    play_open(play);
    append_mib(play, 20);
    indexer_step(play->store);
    assert_int_equal(play->store->indexed, play->store->tail.number);
    assert_int_equal(play->store->tail.budget, 24 * MIB);
    assert_true(play->store->tail.bytes > 20 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_closing_leaves_a_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves_go_before_a_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiry_comes_behind_a_purge, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_is_wide_while_much_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_wide_tail_is_never_narrower, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
