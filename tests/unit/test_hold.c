/*
 * Holds: ephemeral frames that a reader far behind still gets, and what ends that.
 */
#include <sched.h>

#include "base/text.h"
#include "store/state.h"
#include "tests/unit/store_fixture.h"

static void reopen_small(struct play *play)
{
    play_close(play);
    play->options.tail_bytes = 1;
    play_open(play);
}

static struct store_cursor *follow(struct play *play)
{
    struct store_cursor *cursor;
    struct err err = ERR_INIT;
    struct store_query query = {.follow = true, .skip_history = true};
    assert_int_equal(store_cursor_open(&cursor, play->store, &query, &err), 0);
    return cursor;
}

/* Reads what is there; its ephemeral frames must be `ephemerals`, their contents where they say. */
static void expect_read(struct play *play, struct store_cursor *cursor, size_t count,
                        size_t ephemerals, uint64_t lost)
{
    struct seen_list list = {0};
    enum store_step step;
    size_t n = 0;
    drain(cursor, 1 << 20, &list, &step);
    assert_int_equal(step, STORE_IDLE);
    assert_int_equal(list.count, count);
    for (size_t i = 0; i < list.count; i++) {
        CLEAN_BUF bytes = BUF_INIT;
        enum store_place place;
        if (list.items[i].ttl.kind != TTL_EPHEMERAL)
            continue;
        n++;
        assert_int_equal(
            store_content(play->store, list.items[i].digest, &place, &bytes, NULL), 0);
        assert_true(span_is(buf_span(&bytes), list.items[i].content));
    }
    assert_int_equal(n, ephemerals);
    assert_int_equal(store_cursor_lost(cursor), lost);
    seen_finish(&list);
}

/* Five ephemeral frames with contents, each behind a stored one, all indexed. */
static void put_mixed(struct play *play, unsigned round)
{
    for (unsigned i = 0; i < 5; i++) {
        char text[32];
        snprintf(text, sizeof text, "round %u, number %u", round, i);
        put(play, "stored");
        put_frame(play, "passing", text, EPHEMERAL);
    }
    put(play, "stored");
    flush(play);
}

static void test_held_frames_are_read_late(void **state)
{
    struct play *play = *state;
    struct store_hold hold = {0};
    reopen_small(play);
    struct store_cursor *held = follow(play), *other;
    store_hold(play->store, &hold, id_succ(put(play, "stored")));
    expect_read(play, held, 1, 0, 0);
    put_mixed(play, 1);
    other = follow(play);
    put_mixed(play, 2);
    expect_read(play, held, 22, 10, 0);
    expect_read(play, other, 11, 5, 0);
    assert_int_equal(count_all(play), 13); /* history has none of them */
    store_unhold(play->store, &hold);
    put_mixed(play, 3);
    expect_read(play, held, 6, 0, 5);
    expect_read(play, other, 6, 0, 5);
    store_cursor_close(held);
    store_cursor_close(other);
}

/* The wake of an index thread is all that frees what was held. */
static void test_release_frees(void **state)
{
    struct play *play = *state;
    struct store_hold hold = {0};
    reopen_small(play);
    store_hold(play->store, &hold, ID_MIN);
    for (unsigned i = 0; i < 1000; i++)
        put_frame(play, "passing", "text", EPHEMERAL);
    assert_int_equal(stat_of(play).tail_frames, 1000);
    store_unhold(play->store, &hold);
    uint64_t end = time_mono_us() + 10000000;
    for (;;) { /* without a look through store_stat, which would trim by its pin */
        pthread_mutex_lock(&play->store->tail.lock);
        size_t left = play->store->tail.frames;
        pthread_mutex_unlock(&play->store->tail.lock);
        if (left == 0)
            break;
        assert_true(time_mono_us() < end);
        sched_yield();
    }
}

/* An import is not kept waiting, and the reader is told what it missed. A loose content ends nothing. */
static void test_imports_win(void **state)
{
    struct play *play = *state;
    struct store_hold hold = {0};
    reopen_small(play);
    struct store_cursor *cursor = follow(play);
    store_hold(play->store, &hold, ID_MIN);
    put_mixed(play, 1);
    struct store_op content = {.kind = STORE_CONTENT, .content = span_str("loose")};
    digest_of(content.digest, "loose");
    assert_int_equal(store_run(play->store, &content), 0);
    flush(play);
    assert_int_equal(stat_of(play).tail_frames, 10); /* the first is older than what is held */
    struct frame_id old = {clock_ms << 16, 1};
    import_at(play, "old", old, 0);
    assert_int_equal(count_topic(play, "old"), 1);
    expect_read(play, cursor, 7, 0, 5);
    put_mixed(play, 2); /* the hold goes on */
    expect_read(play, cursor, 11, 5, 0);
    store_unhold(play->store, &hold);
    store_cursor_close(cursor);
}

/* --- with everything else at once ---------------------------------------------------------- */

struct busy {
    struct play *play;
    atomic_bool stop;
    struct store_hold holds[8];
};

static void *hold_thread(void *arg)
{
    struct busy *busy = arg;
    for (unsigned i = 0; !busy->stop; i++) {
        struct store_stat stat;
        must(store_stat(busy->play->store, &stat, NULL) == 0);
        if (i % 3 == 2)
            store_unhold(busy->play->store, &busy->holds[i % 8]);
        else
            store_hold(busy->play->store, &busy->holds[i % 8], stat.newest);
    }
    for (unsigned i = 0; i < 8; i++)
        store_unhold(busy->play->store, &busy->holds[i]);
    return NULL;
}

static void *read_thread(void *arg)
{
    struct busy *busy = arg;
    struct store_cursor *cursor = follow(busy->play);
    struct seen_list list = {0};
    enum store_step step;
    while (!busy->stop) {
        drain(cursor, 1000, &list, &step);
        for (size_t i = 1; i < list.count; i++)
            must(id_cmp(list.items[i - 1].id, list.items[i].id) < 0);
        list.count = 0;
    }
    seen_finish(&list);
    store_cursor_close(cursor);
    return NULL;
}

static int count_mark(void *arg, const struct store_mark_view *mark)
{
    (void)mark;
    ++*(size_t *)arg;
    return 0;
}

static void test_all_at_once(void **state)
{
    struct play *play = *state;
    pthread_t threads[4];
    struct busy busy[4];
    size_t marks = 0;
    reopen_small(play);
    for (int i = 0; i < 4; i++) {
        busy[i] = (struct busy){.play = play};
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < 2 ? hold_thread : read_thread, &busy[i]), 0);
    }
    for (int i = 0; i < 300; i++) {
        struct store_mark mark = {.name = span_str(i % 2 ? "one" : "two")};
        struct store_frame frames[] = {frame_in("a", EPHEMERAL), frame_in("b", FOREVER)};
        frame_content(&frames[0], "passing");
        struct store_op op = {.kind = STORE_APPEND, .frames = frames, .count = 1 + i % 2,
                              .marks = &mark, .mark_count = 1};
        mark.low.hi = (uint64_t)i;
        assert_int_equal(store_run(play->store, &op), 0);
        if (i % 50 == 7)
            import_at(play, "old", (struct frame_id){clock_ms << 16, (uint64_t)i}, 0);
        if (i % 20 == 3)
            assert_int_equal(store_marks(play->store, span_str("o"), count_mark, &marks, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        busy[i].stop = true;
        pthread_join(threads[i], NULL);
    }
    flush(play);
    assert_true(marks > 10);
    assert_int_equal(stat_of(play).tail_frames, 0);
    assert_int_equal(count_all(play), 150 + 6);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_held_frames_are_read_late),
        CASE(test_release_frees),
        CASE(test_imports_win),
        CASE(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
