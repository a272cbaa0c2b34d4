/*
 * What leaves a store by itself: last:N and time; and ephemeral frames, which never get in.
 */
#include "tests/unit/store_fixture.h"

/* --- ttl ---------------------------------------------------------------------------------- */

static void test_last_is_exact(void **state)
{
    struct play *play = *state;
    struct frame_id ids[40];
    for (size_t i = 0; i < 40; i++) {
        ids[i] = put_frame(play, "t", NULL, LAST(4));
        put(play, "other");
        size_t n = i < 3 ? i + 1 : 4;
        expect_last(play, "t", &ids[i + 1 - n], n);
        if (i % 7 == 3)
            flush(play);
        if (i % 11 == 5)
            play_reopen(play);
    }
}

static void test_last_with_removes(void **state)
{
    struct play *play = *state;
    struct frame_id ids[12];
    for (int indexed = 0; indexed < 2; indexed++) {
        for (int i = 0; i < 6; i++)
            ids[i] = put_frame(play, "t", NULL, LAST(6));
        if (indexed)
            flush(play);
        take_away(play, ids[0]);
        take_away(play, ids[3]);
        if (indexed)
            play_reopen(play);
        ids[6] = put_frame(play, "t", NULL, LAST(6));
        ids[7] = put_frame(play, "t", NULL, LAST(6));
        expect_last(play, "t", (struct frame_id[]){ids[1], ids[2], ids[4], ids[5], ids[6], ids[7]},
                    6);
        ids[8] = put_frame(play, "t", NULL, LAST(3)); /* N changes */
        expect_last(play, "t", &ids[6], 3);
        ids[9] = put_frame(play, "t", NULL, FOREVER); /* does not cut */
        expect_last(play, "t", &ids[6], 4);
        ids[10] = put_frame(play, "t", NULL, LAST(100));
        expect_last(play, "t", &ids[6], 5);
        ids[11] = put_frame(play, "t", NULL, LAST(1));
        expect_last(play, "t", &ids[11], 1);
    }
}

static void test_last_with_old_imports(void **state)
{
    struct play *play = *state;
    struct frame_id ids[8];
    for (int i = 3; i < 6; i++)
        ids[i] = put(play, "t");
    struct frame_id old = {(clock_ms - 100000) << 16, 1};
    for (int i = 0; i < 3; i++, old.hi += 65536)
        ids[i] = import_at(play, "t", old, 0);
    expect_last(play, "t", ids, 6);
    ids[6] = put_frame(play, "t", NULL, LAST(5));
    expect_last(play, "t", &ids[2], 5);
    play_reopen(play);
    expect_last(play, "t", &ids[2], 5);
    ids[7] = put_frame(play, "t", NULL, LAST(2));
    expect_last(play, "t", &ids[6], 2);
    /* An old one on its way into the index, and a cut right behind it. */
    struct store_frame frames[2] = {frame_in("t", FOREVER), frame_in("t", LAST(2))};
    struct store_op ops[2] = {{.kind = STORE_IMPORT, .frames = &frames[0], .count = 1},
                              {.kind = STORE_APPEND, .frames = &frames[1], .count = 1}};
    frames[0].id = old;
    run_together(play, ops, 2);
    assert_int_equal(ops[0].result, 0);
    assert_int_equal(ops[1].result, 0);
    expect_last(play, "t", (struct frame_id[]){ids[7], frames[1].id}, 2);
}

/* last:N holds also when frames come in by import: before, between and behind those that are there,
 * one by one or together, and readers never see more. */
static void test_last_holds_over_imports(void **state)
{
    enum { N = 9 };
    struct play *play = *state;
    struct frame_id ids[N];
    struct store_frame in[N];
    struct store_op op = {.kind = STORE_IMPORT, .frames = in, .count = 0};
    for (uint64_t i = 0; i < N; i++)
        ids[i] = (struct frame_id){(clock_ms - 100000 + i) << 16, 1};
    for (int i = 3; i < N; i += 2) { /* 3 5 7: together, each the newest */
        in[op.count] = frame_in("t", LAST(2));
        in[op.count++].id = ids[i];
    }
    assert_int_equal(store_run(play->store, &op), 0);
    expect_last(play, "t", (struct frame_id[]){ids[5], ids[7]}, 2);
    in[0] = frame_in("t", LAST(2)); /* older than all: gone at once */
    in[0].id = ids[4];
    op.count = 1;
    assert_int_equal(store_run(play->store, &op), 0);
    expect_last(play, "t", (struct frame_id[]){ids[5], ids[7]}, 2);
    for (int i = 0; i < 4; i++) { /* old, between, newest without last, its rule is not theirs */
        in[i] = frame_in("t", FOREVER);
        in[i].id = ids[(int[]){0, 6, 2, 8}[i]];
    }
    op.count = 3;
    assert_int_equal(store_run(play->store, &op), 0);
    expect_last(play, "t", (struct frame_id[]){ids[6], ids[7]}, 2);
    op.frames = in + 3;
    op.count = 1;
    assert_int_equal(store_run(play->store, &op), 0);
    expect_last(play, "t", (struct frame_id[]){ids[6], ids[7], ids[8]}, 3);
    play_reopen(play);
    expect_last(play, "t", (struct frame_id[]){ids[6], ids[7], ids[8]}, 3);
    struct frame_id live[3] = {put_frame(play, "u", NULL, LAST(2)),
                               put_frame(play, "u", NULL, LAST(2))};
    import_at(play, "u", (struct frame_id){live[0].hi, live[0].lo + 1}, 0);
    live[0].lo++;
    expect_last(play, "u", live, 2);
    play_reopen(play);
    expect_last(play, "u", live, 2);
}

static void test_huge_first_cut(void **state)
{
    enum { N = 20000, OLD = 2000 };
    struct play *play = *state;
    struct store_frame *many = calloc(N, sizeof *many);
    for (int old = 0; old < 2; old++) {
        for (int i = 0; i < N; i++)
            many[i] = frame_in("t", FOREVER);
        struct store_op op = {.kind = STORE_APPEND, .frames = many, .count = N};
        assert_int_equal(store_run(play->store, &op), 0);
        struct frame_id newest = many[N - 1].id;
        for (int i = 0; old && i < OLD; i++)
            many[i].id = (struct frame_id){(clock_ms - 50000 + (uint64_t)i) << 16, 1};
        op = (struct store_op){.kind = STORE_IMPORT, .frames = many, .count = OLD};
        if (old)
            assert_int_equal(store_run(play->store, &op), 0);
        else
            flush(play);
        struct frame_id id = put_frame(play, "t", NULL, LAST(2));
        expect_last(play, "t", (struct frame_id[]){newest, id}, 2);
        play_reopen(play);
        expect_last(play, "t", (struct frame_id[]){newest, id}, 2);
    }
    free(many);
}

struct watch_last {
    struct play *play;
    atomic_bool stop;
    atomic_uint worst, reads;
};

static void *watch_last(void *arg)
{
    struct watch_last *watch = arg;
    struct seen_list list = {0};
    while (!watch->stop) {
        read_query(watch->play, &(struct store_query){.stream = span_str("t")}, 500, &list);
        if (list.count > watch->worst)
            watch->worst = (unsigned)list.count;
        watch->reads++;
    }
    seen_finish(&list);
    return NULL;
}

static void test_readers_never_see_more(void **state)
{
    struct play *play = *state;
    pthread_t thread;
    play_close(play);
    play->options.tail_bytes = 1;
    play_open(play);
    struct watch_last watch = {.play = play};
    assert_int_equal(pthread_create(&thread, NULL, watch_last, &watch), 0);
    for (int i = 0; i < 300 || watch.reads < 20; i++) {
        put_frame(play, "t", NULL, LAST(5));
        if (i % 5 == 0)
            flush(play);
    }
    watch.stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(watch.worst, 5);
}

static void test_time_by_clock(void **state)
{
    struct play *play = *state;
    put_frame(play, "t", NULL, TIME(1000));
    struct frame_id id = put_frame(play, "t", NULL, TIME(5000));
    put(play, "t");
    for (int round = 0; round < 2; round++) {
        clock_ms = 1700000000999;
        assert_int_equal(count_all(play), 3);
        clock_ms = 1700000001000;
        assert_int_equal(count_all(play), 2);
        clock_ms = 1700000000999;
        if (round == 0)
            flush(play);
    }
    clock_ms = 1700000005000;
    assert_int_equal(count_all(play), 1);
    assert_int_equal(store_get(play->store, id, see, &(struct seen_list){0}, NULL), ERR_NOT_FOUND);
    play_reopen(play);
    assert_int_equal(count_all(play), 1);
    put_frame(play, "far", NULL, TIME(UINT64_MAX));
    assert_int_equal(count_all(play), 2);
}

/* Frames go by themselves: the real clock, nobody reads; their contents are told to be free. */
static pthread_mutex_t freed_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed_cond = PTHREAD_COND_INITIALIZER;
static int freed_count;

static void freed(void *arg, const uint8_t digest[static DIGEST_SIZE])
{
    (void)arg, (void)digest;
    pthread_mutex_lock(&freed_lock);
    freed_count++;
    pthread_cond_signal(&freed_cond);
    pthread_mutex_unlock(&freed_lock);
}

static void test_time_by_timer(void **state)
{
    struct play *play = *state;
    struct store_frame frame = frame_in("t", TIME(30));
    play_close(play);
    play->options.now_ms = NULL;
    play->options.freed = freed;
    play_open(play);
    frame.has_hash = true; /* a blob elsewhere */
    frame.content_size = 100000;
    digest_of(frame.digest, "blob");
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    assert_int_equal(store_run(play->store, &op), 0);
    put(play, "t");
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&freed_lock);
    while (freed_count == 0)
        assert_int_equal(pthread_cond_timedwait(&freed_cond, &freed_lock, &until), 0);
    pthread_mutex_unlock(&freed_lock);
    assert_int_equal(stat_of(play).frames, 1);
}

static void test_many_expire(void **state)
{
    enum { N = 3500 };
    struct play *play = *state;
    struct store_frame *many = calloc(N, sizeof *many);
    for (int i = 0; i < N; i++)
        many[i] = frame_in("t", TIME(1000));
    struct store_op op = {.kind = STORE_APPEND, .frames = many, .count = N};
    assert_int_equal(store_run(play->store, &op), 0);
    flush(play);
    clock_ms += 2000;
    play_reopen(play); /* the index thread looks at opening */
    for (int i = 0; stat_of(play).frames > 0; i++) {
        assert_true(i < 10000);
        put_frame(play, "x", NULL, EPHEMERAL);
    }
    assert_int_equal(count_all(play), 0);
    free(many);
}

static void test_ephemeral_only_live(void **state)
{
    struct play *play = *state;
    struct seen_list list = {0};
    struct store_cursor *cursor;
    struct err err = ERR_INIT;
    enum store_step step;
    put_frame(play, "never.stored", NULL, EPHEMERAL);
    put(play, "a");
    assert_int_equal(
        store_cursor_open(&cursor, play->store, &(struct store_query){.follow = true}, &err), 0);
    assert_int_equal(drain(cursor, 1000, &list, &step), 1);
    assert_int_equal(list.count, 1);
    uint64_t syncs = stat_of(play).syncs;
    struct frame_id id = put_frame(play, "never.stored", "text", EPHEMERAL);
    assert_int_equal(stat_of(play).syncs, syncs); /* written nowhere, nor its topic */
    assert_int_equal(stat_of(play).topics, 1);
    drain(cursor, 1000, &list, &step);
    assert_int_equal(list.count, 2);
    assert_int_equal(id_cmp(list.items[1].id, id), 0);
    assert_false(list.items[1].has_seq);
    assert_string_equal(list.items[1].content, "text");
    /* Its content can be had while the tail has it. */
    uint8_t digest[DIGEST_SIZE];
    enum store_place place;
    CLEAN_BUF out = BUF_INIT;
    digest_of(digest, "text");
    assert_int_equal(store_content(play->store, digest, &place, &out, &err), 0);
    assert_int_equal(store_get(play->store, id, see, &list, &err), ERR_NOT_FOUND);
    assert_int_equal(count_all(play), 1);
    /* Between two stored ones, in id order. */
    struct frame_id before = put(play, "a"), middle = put_frame(play, "a", NULL, EPHEMERAL),
                    after = put(play, "a");
    assert_true(id_cmp(before, middle) < 0 && id_cmp(middle, after) < 0);
    store_cursor_close(cursor);
    seen_finish(&list);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_last_is_exact),         CASE(test_last_with_removes),
        CASE(test_last_with_old_imports), CASE(test_last_holds_over_imports),
        CASE(test_huge_first_cut),        CASE(test_readers_never_see_more),
        CASE(test_time_by_clock),         CASE(test_time_by_timer),
        CASE(test_many_expire),           CASE(test_ephemeral_only_live),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
