/*
 * Cursors: every option of a query, over frames that lie in the index, in the tail, and on both
 * sides of its floor.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "store/state.h"
#include "tests/store/play.h"

#define N 30

struct world {
    struct play play;
    struct frame_id ids[N]; /* of topics a, b.x, b.y, c in turn; c has last:3 */
};

static const char *const topics[] = {"a", "b.x", "b.y", "c"};

enum where { IN_INDEX, IN_TAIL, ACROSS, WHERES };

/* The floor lies behind all frames, before all, or in the middle. */
static void fill(struct world *w, enum where where)
{
    play_begin(&w->play);
    w->play.options.tail_bytes = 1 << 20;
    play_open(&w->play);
    for (int i = 0; i < N; i++) {
        w->ids[i] = put_frame(&w->play, topics[i % 4], NULL, i % 4 == 3 ? LAST(3) : FOREVER);
        put_frame(&w->play, "noise", NULL, EPHEMERAL);
        if (where == ACROSS && i == N / 2)
            play_reopen(&w->play);
    }
    if (where == IN_INDEX)
        play_reopen(&w->play);
}

/* Moves everything into the index and out of the tail, whatever the budget. */
static void evict(struct world *w)
{
    struct tail *tail = &w->play.store->tail;
    must(store_flush(w->play.store, NULL) == 0);
    tail_evict(tail, tail->number);
}

static bool gone(int i)
{
    return i % 4 == 3 && i < N - 12;
}

/* Reads a query in whole and in single frames; compares with those of first..last that pass. */
static void expect(struct world *w, const struct store_query *query, const char *which, int first,
                   int last)
{
    struct seen_list list = {0};
    for (size_t budget = 1; budget <= 1 << 20; budget <<= 10) {
        size_t at = 0;
        read_query(&w->play, query, budget, &list);
        for (int k = first; first <= last ? k <= last : k >= last; k += first <= last ? 1 : -1) {
            if (gone(k) || !strchr(which, "abyc"[k % 4]))
                continue;
            assert_true(at < list.count);
            assert_int_equal(id_cmp(list.items[at].id, w->ids[k]), 0);
            at++;
        }
        assert_int_equal(at, list.count);
    }
    seen_finish(&list);
}

#define ALL_WHERES(w, where)                                                                       \
    for (enum where where = IN_INDEX; where < WHERES; where++)                                     \
        for (struct world world, *w = (fill(&world, where), &world); w;                            \
             play_end(&w->play), w = NULL)

static void test_all(void **state)
{
    (void)state;
    ALL_WHERES(w, where)
    {
        expect(w, &(struct store_query){0}, "abyc", 0, N - 1);
        expect(w, &(struct store_query){.reverse = true}, "abyc", N - 1, 0);
        expect(w, &(struct store_query){.follow = true}, "abyc", 0, N - 1);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    ALL_WHERES(w, where)
    {
        for (int i = 0; i < N; i += 7) {
            expect(w, &(struct store_query){.from = w->ids[i]}, "abyc", i, N - 1);
            expect(w, &(struct store_query){.until = w->ids[i]}, "abyc", 0, i);
            expect(
                w,
                &(struct store_query){.from = w->ids[i], .until = w->ids[N - 2], .reverse = true},
                "abyc", N - 2, i);
            if (i + 2 < N)
                expect(w,
                       &(struct store_query){.from = id_succ(w->ids[i]),
                                             .until = id_pred(w->ids[i + 2])},
                       "abyc", i + 1, i + 1);
        }
        expect(w, &(struct store_query){.from = w->ids[9], .until = w->ids[5]}, "", 0, 0);
        expect(w, &(struct store_query){.from = w->ids[9], .until = w->ids[5], .reverse = true}, "",
               0, 0);
        expect(w, &(struct store_query){.from = ID_MAX}, "", 0, 0);
        expect(w, &(struct store_query){.until = ID_MAX}, "abyc", 0, N - 1);
    }
}

static void test_limit_and_last(void **state)
{
    (void)state;
    ALL_WHERES(w, where)
    {
        expect(w, &(struct store_query){.has_limit = true, .limit = 3}, "abyc", 0, 2);
        expect(w, &(struct store_query){.has_limit = true, .limit = 3, .reverse = true}, "abyc",
               N - 1, N - 3);
        expect(w, &(struct store_query){.has_limit = true, .limit = 0}, "", 0, 0);
        expect(w, &(struct store_query){.has_limit = true, .limit = 1000}, "abyc", 0, N - 1);
        expect(w, &(struct store_query){.has_last = true, .last = 2}, "abyc", N - 2, N - 1);
        expect(w, &(struct store_query){.has_last = true, .last = 2, .reverse = true}, "abyc",
               N - 1, N - 2);
        expect(w, &(struct store_query){.has_last = true, .last = 0}, "", 0, 0);
        expect(w, &(struct store_query){.has_last = true, .last = 0, .reverse = true}, "", 0, 0);
        expect(w, &(struct store_query){.has_last = true, .last = 1000}, "abyc", 0, N - 1);
        expect(w,
               &(struct store_query){.has_last = true, .last = 10, .has_limit = true, .limit = 4},
               "abyc", N - 10, N - 7);
        expect(w, &(struct store_query){.has_last = true, .last = 4, .until = w->ids[8]}, "abyc", 4,
               8);
        expect(w, &(struct store_query){.has_last = true, .last = 4, .from = w->ids[N - 2]}, "abyc",
               N - 2, N - 1);
        expect(w, &(struct store_query){.has_last = true, .last = 2, .follow = true}, "abyc", N - 2,
               N - 1);
        struct store_query few = {.has_last = true, .last = 3, .stream = span_str("a")};
        expect(w, &few, "a", N - 10, N - 1);
    }
}

static void test_topics(void **state)
{
    static const struct {
        const char *patterns, *which;
    } cases[] = {{"a", "a"}, {"b.*", "by"}, {"a,b.y", "ay"}, {"*", "abyc"},
                 {"c", "c"}, {"b", ""},     {"zz.*", ""},    {"c,b.*", "byc"}};
    (void)state;
    ALL_WHERES(w, where)
    {
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            struct pattern_list list;
            assert_int_equal(pattern_parse(&list, span_str(cases[i].patterns), NULL), 0);
            expect(w, &(struct store_query){.topics = &list}, cases[i].which, 0, N - 1);
            expect(w, &(struct store_query){.topics = &list, .reverse = true}, cases[i].which,
                   N - 1, 0);
            pattern_finish(&list);
        }
        for (int i = 0; i < 4; i++) {
            char which[2] = {"abyc"[i], '\0'};
            expect(w, &(struct store_query){.stream = span_str(topics[i])}, which, 0, N - 1);
            expect(w,
                   &(struct store_query){
                       .stream = span_str(topics[i]), .reverse = true, .from = w->ids[4]},
                   which, N - 1, 4);
        }
        expect(w, &(struct store_query){.stream = span_str("b")}, "", 0, 0);
    }
}

static int read_once(struct store_cursor *cursor, bool may_block, struct seen_list *list,
                     enum store_step *step)
{
    struct err err = ERR_INIT;
    list->count = 0;
    return store_cursor_read(cursor, 1 << 20, may_block, see, list, step, &err);
}

/* History, threshold once, live; and from there on idle until something comes. */
static void test_threshold_once(void **state)
{
    (void)state;
    struct seen_list list = {0};
    ALL_WHERES(w, where)
    {
        struct store_cursor *cursor;
        enum store_step step;
        must(store_cursor_open(&cursor, w->play.store, &(struct store_query){.follow = true},
                               NULL) == 0);
        list.count = 0;
        assert_int_equal(drain(cursor, 300, &list, &step), 1);
        for (int i = 0; i < 5; i++) {
            list.count = 0;
            assert_int_equal(drain(cursor, 300, &list, &step), 0);
            assert_int_equal(list.count, 0);
            struct frame_id id = put(&w->play, "live");
            assert_int_equal(drain(cursor, 300, &list, &step), 0);
            assert_int_equal(list.count, 1);
            assert_int_equal(id_cmp(list.items[0].id, id), 0);
        }
        store_cursor_close(cursor);
    }
    seen_finish(&list);
}

static void test_skip_history(void **state)
{
    (void)state;
    struct seen_list list = {0};
    ALL_WHERES(w, where)
    {
        struct store_cursor *cursor, *done;
        enum store_step step;
        struct store_query query = {.skip_history = true, .follow = true};
        must(store_cursor_open(&cursor, w->play.store, &query, NULL) == 0);
        query.follow = false;
        must(store_cursor_open(&done, w->play.store, &query, NULL) == 0);
        list.count = 0;
        assert_int_equal(drain(cursor, 300, &list, &step),
                         0); /* no threshold: nothing was history */
        put(&w->play, "a");
        put_frame(&w->play, "a", NULL, EPHEMERAL);
        assert_int_equal(drain(cursor, 300, &list, &step), 0);
        assert_int_equal(list.count, 2);
        drain(done, 300, &list, &step);
        assert_int_equal(step, STORE_DONE);
        assert_int_equal(list.count, 2);
        store_cursor_close(cursor);
        store_cursor_close(done);
    }
    seen_finish(&list);
}

static void import_at(struct play *play, struct frame_id id)
{
    struct store_frame frame = frame_in("new", FOREVER);
    struct store_op op = {.kind = STORE_IMPORT, .frames = &frame, .count = 1};
    frame.id = id;
    must(store_run(play->store, &op) == 0);
}

/* The limit counts history and live together, and until ends a follower too. */
static void test_follow_ends(void **state)
{
    (void)state;
    struct seen_list list = {0};
    ALL_WHERES(w, where)
    {
        struct store_cursor *cursor;
        enum store_step step;
        struct store_query query = {
            .follow = true, .has_limit = true, .limit = 5, .stream = span_str("new")};
        put(&w->play, "new");
        put(&w->play, "new");
        must(store_cursor_open(&cursor, w->play.store, &query, NULL) == 0);
        list.count = 0;
        assert_int_equal(drain(cursor, 300, &list, &step), 1);
        assert_int_equal(step, STORE_IDLE);
        for (int i = 0; i < 5; i++) {
            put(&w->play, "new");
            put(&w->play, "other");
        }
        drain(cursor, 300, &list, &step);
        assert_int_equal(step, STORE_DONE);
        assert_int_equal(list.count, 5);
        store_cursor_close(cursor);
        struct frame_id newest = put(&w->play, "new");
        query = (struct store_query){.follow = true, .skip_history = true};
        query.until = id_at_time(id_time_ms(newest) + 3000);
        must(store_cursor_open(&cursor, w->play.store, &query, NULL) == 0);
        list.count = 0;
        drain(cursor, 300, &list, &step);
        assert_int_equal(step, STORE_IDLE);
        for (unsigned i = 1; i <= 5; i++) /* frames of the next seconds */
            import_at(&w->play, id_succ(id_at_time(id_time_ms(newest) + 1000 * i)));
        drain(cursor, 300, &list, &step);
        assert_int_equal(step, STORE_DONE);
        assert_int_equal(list.count, 2);
        store_cursor_close(cursor);
    }
    seen_finish(&list);
}

/* Without may_block no frame of the index is given; with it, reading goes on where it stood. */
static void test_disk(void **state)
{
    (void)state;
    struct seen_list list = {0};
    struct world world, *w = &world;
    enum store_step step;
    struct store_cursor *cursor;
    fill(w, IN_INDEX);
    must(store_cursor_open(&cursor, w->play.store, &(struct store_query){.follow = true}, NULL) ==
         0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_once(cursor, false, &list, &step), 0);
        assert_int_equal(step, STORE_DISK);
        assert_int_equal(list.count, 0);
    }
    assert_int_equal(drain(cursor, 1 << 20, &list, &step), 1);
    put(&w->play, "a"); /* in memory */
    assert_int_equal(read_once(cursor, false, &list, &step), 0);
    assert_int_equal(step, STORE_MORE);
    assert_int_equal(list.count, 1);
    /* It fell behind the floor. */
    put(&w->play, "a");
    evict(w);
    assert_int_equal(read_once(cursor, false, &list, &step), 0);
    assert_int_equal(step, STORE_DISK);
    assert_int_equal(read_once(cursor, true, &list, &step), 0);
    assert_int_equal(list.count, 1);
    store_cursor_close(cursor);
    /* Downwards: the tail first, then the disk. */
    put(&w->play, "a");
    must(store_cursor_open(&cursor, w->play.store, &(struct store_query){.reverse = true}, NULL) ==
         0);
    assert_int_equal(read_once(cursor, false, &list, &step), 0);
    assert_int_equal(step, STORE_DISK);
    assert_int_equal(list.count, 1);
    store_cursor_close(cursor);
    /* The newest few, all in the tail: no disk. */
    struct store_query last = {.has_last = true, .last = 1};
    must(store_cursor_open(&cursor, w->play.store, &last, NULL) == 0);
    do
        assert_int_equal(read_once(cursor, false, &list, &step), 0);
    while (step == STORE_MORE && list.count == 0);
    assert_int_equal(list.count, 1);
    store_cursor_close(cursor);
    play_end(&w->play);
    seen_finish(&list);
}

static void test_lost_ephemerals(void **state)
{
    (void)state;
    struct seen_list list = {0};
    struct play play;
    struct store_cursor *slow, *late;
    enum store_step step;
    play_begin(&play);
    play.options.tail_bytes = 1;
    play_open(&play);
    put(&play, "a");
    put_frame(&play, "e", NULL, EPHEMERAL);
    must(store_cursor_open(&slow, play.store, &(struct store_query){.follow = true}, NULL) == 0);
    drain(slow, 1000, &list, &step);
    assert_int_equal(store_cursor_lost(slow), 0);
    for (int i = 0; i < 7; i++) {
        put_frame(&play, "e", NULL, EPHEMERAL);
        put(&play, "a");
        must(store_flush(play.store, NULL) == 0);
    }
    put(&play, "a");
    must(store_cursor_open(&late, play.store, &(struct store_query){.follow = true}, NULL) == 0);
    list.count = 0;
    drain(slow, 1000, &list, &step);
    assert_int_equal(list.count, 8);
    assert_int_equal(store_cursor_lost(slow), 7);
    assert_int_equal(store_cursor_lost(slow), 0);
    /* One that came later lost nothing. */
    list.count = 0;
    drain(late, 1000, &list, &step);
    assert_int_equal(list.count, 9);
    assert_int_equal(store_cursor_lost(late), 0);
    store_cursor_close(slow);
    store_cursor_close(late);
    play_end(&play);
    seen_finish(&list);
}

/* From a synthetic id on a reader gets exactly what the other one had not been given. */
static void test_synthetic_ids(void **state)
{
    (void)state;
    struct seen_list list = {0}, rest = {0};
    ALL_WHERES(w, where)
    {
        struct store_cursor *cursor;
        struct err err = ERR_INIT;
        enum store_step step = STORE_MORE;
        struct store_query query = {.follow = true, .has_last = where == ACROSS, .last = 20};
        must(store_cursor_open(&cursor, w->play.store, &query, NULL) == 0);
        list.count = 0;
        size_t all = 0;
        for (int i = 0; step != STORE_IDLE; i++) {
            struct frame_id id = store_synthetic_id(w->play.store, cursor);
            if (list.count)
                assert_true(id_cmp(id, list.items[list.count - 1].id) >= 0);
            read_query(&w->play, &(struct store_query){.from = id_succ(id)}, 1 << 20, &rest);
            if (list.count || step == STORE_THRESHOLD) {
                all = all ? all : list.count + rest.count;
                assert_int_equal(list.count + rest.count, all);
            }
            must(store_cursor_read(cursor, 1, true, see, &list, &step, &err) == 0);
        }
        struct frame_id idle = store_synthetic_id(w->play.store, cursor);
        assert_true(id_cmp(put(&w->play, "a"), idle) > 0);
        drain(cursor, 1000, &list, &step);
        struct frame_id again = store_synthetic_id(w->play.store, cursor);
        assert_true(id_cmp(again, list.items[list.count - 1].id) > 0);
        assert_true(id_cmp(put(&w->play, "a"), again) > 0);
        store_cursor_close(cursor);
    }
    seen_finish(&list);
    seen_finish(&rest);
}

/* Before anything was given of the newest few, the place to resume after is before all of them. */
static void test_position(void **state)
{
    (void)state;
    struct seen_list list = {0};
    struct world world, *w = &world;
    struct store_cursor *cursor;
    enum store_step step;
    fill(w, IN_INDEX);
    put(&w->play, "a");
    struct store_query query = {.has_last = true, .last = 3};
    must(store_cursor_open(&cursor, w->play.store, &query, NULL) == 0);
    assert_true(id_is_zero(store_cursor_position(cursor)));
    assert_int_equal(read_once(cursor, false, &list, &step), 0);
    assert_int_equal(step, STORE_DISK);
    assert_true(id_is_zero(store_cursor_position(cursor)));
    drain(cursor, 1, &list, &step);
    assert_int_equal(list.count, 3);
    assert_true(id_cmp(store_cursor_position(cursor), list.items[2].id) >= 0);
    store_cursor_close(cursor);
    play_end(&w->play);
    seen_finish(&list);
}

/* A sink that fails gets the same frame again. */
static long refuse_third(void *arg, const struct store_item *item)
{
    struct seen_list *list = arg;
    if (list->count == 2 && list->stop_after == 0) {
        list->stop_after = 1;
        return ERR_UNAVAILABLE;
    }
    return see(list, item);
}

static void test_sink_error(void **state)
{
    (void)state;
    ALL_WHERES(w, where)
    {
        struct seen_list list = {0};
        struct store_cursor *cursor;
        enum store_step step;
        must(store_cursor_open(&cursor, w->play.store, &(struct store_query){0}, NULL) == 0);
        assert_int_equal(store_cursor_read(cursor, 1 << 20, true, refuse_third, &list, &step, NULL),
                         ERR_UNAVAILABLE);
        assert_int_equal(list.count, 2);
        drain(cursor, 1 << 20, &list, &step);
        assert_int_equal(id_cmp(list.items[2].id, w->ids[2]), 0);
        store_cursor_close(cursor);
        seen_finish(&list);
    }
}

/* Empty stores and stores where everything is removed. */
static void test_nothing(void **state)
{
    (void)state;
    struct play play;
    struct seen_list list = {0};
    play_begin(&play);
    play_open(&play);
    for (int round = 0; round < 2; round++) {
        read_all(&play, &list);
        assert_int_equal(list.count, 0);
        read_query(&play, &(struct store_query){.reverse = true}, 1, &list);
        assert_int_equal(list.count, 0);
        read_query(&play, &(struct store_query){.follow = true}, 1, &list);
        assert_int_equal(list.count, 0);
        read_query(&play, &(struct store_query){.has_last = true, .last = 5}, 1, &list);
        assert_int_equal(list.count, 0);
        take_away(&play, put(&play, "a"));
        if (round == 0)
            play_reopen(&play);
    }
    play_end(&play);
    seen_finish(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_limit_and_last),
        cmocka_unit_test(test_topics),
        cmocka_unit_test(test_threshold_once),
        cmocka_unit_test(test_skip_history),
        cmocka_unit_test(test_follow_ends),
        cmocka_unit_test(test_disk),
        cmocka_unit_test(test_lost_ephemerals),
        cmocka_unit_test(test_synthetic_ids),
        cmocka_unit_test(test_position),
        cmocka_unit_test(test_sink_error),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
