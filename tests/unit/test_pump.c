/* A real site on a loop: frames pumped from disk and memory to a taker that says no now and then, and appends emitted in order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/topic.h"
#include "daemon/emit.h"
#include "daemon/pool.h"
#include "daemon/pump.h"

static struct daemon d;
static struct site site;
static uv_loop_t loop;
static char dir[64], path[96];

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static int setup(void **state)
{
    struct err err = ERR_INIT;
    struct http_options http = {0};
    (void)state;
    snprintf(dir, sizeof(dir), "/tmp/test_pump.XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/store", dir);
    d = (struct daemon){.loop = &loop};
    pool_prepare();
    assert_int_equal(uv_loop_init(&loop), 0);
    char *log = NULL;
    assert_true(asprintf(&log, "%s/log", dir) > 0);
    assert_int_equal(log_create(&d.log, log, &err), 0);
    free(log);
    assert_int_equal(submit_init(&d.submit, &loop), 0);
    assert_int_equal(store_workers_create(&d.workers, &err), 0);
    assert_int_equal(http_create(&d.http, &loop, &http, &err), 0);
    d.root = &site;
    assert_int_equal(site_init(&site, &d, "", path, &err), 0);
    assert_int_equal(site_open(&site, &err), 0);
    assert_int_equal(site_start(&site, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_destroy(d.http);
    while (d.submit.pending > 0)
        uv_run(&loop, UV_RUN_ONCE);
    site_stop(&site);
    uv_walk(&loop, close_handle, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    site_close(&site);
    site_finish(&site);
    store_workers_destroy(d.workers);
    submit_finish(&d.submit);
    assert_int_equal(uv_loop_close(&loop), 0);
    log_destroy(d.log);
    char *command = NULL;
    assert_true(asprintf(&command, "rm -rf '%s'", dir) > 0);
    assert_int_equal(system(command), 0);
    free(command);
    return 0;
}

/* --- emitting --- */

static unsigned told, told_bad;
static struct frame_id newest;

static void on_done(void *arg, const struct emit_result *result)
{
    (void)arg;
    told++;
    told_bad += result->code != 0;
    for (size_t i = 0; result->code == 0 && i < result->count; i++) {
        assert_true(id_cmp(result->ids[i], newest) > 0); /* in the order they were put */
        newest = result->ids[i];
    }
}

static struct emit *make_emit(void (*room)(void *arg))
{
    struct err err = ERR_INIT;
    struct emit *emit;
    struct emit_options options = {.site = &site, .authority = AUTHORITY_DAEMON, .room = room};
    told = told_bad = 0;
    newest = ID_MIN;
    assert_int_equal(emit_create(&emit, &options, &err), 0);
    return emit;
}

static void put(struct emit *emit, const char *topic, struct span content)
{
    struct emit_frame frame = {.topic = span_str(topic),
                               .ttl = {.kind = TTL_FOREVER},
                               .has_content = content.len > 0,
                               .content = content};
    assert_int_equal(emit_put(emit, &frame, 1, NULL, on_done, NULL), 0);
}

static void settle(struct emit *emit)
{
    while (emit_pending(emit) > 0)
        uv_run(&loop, UV_RUN_ONCE);
}

static void append_many(unsigned count, const char *topic)
{
    struct emit *emit = make_emit(NULL);
    char text[32];
    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "%u", i);
        put(emit, topic, span_str(text));
        if (emit_full(emit))
            settle(emit);
    }
    settle(emit);
    assert_int_equal(told, count);
    assert_int_equal(told_bad, 0);
    emit_destroy(emit);
}

static unsigned rooms;

static void on_room(void *arg)
{
    (void)arg;
    rooms++;
}

static void large_contents_keep_their_place(void **state)
{
    (void)state;
    struct emit *emit = make_emit(on_room);
    uint8_t *big = malloc(900000);
    memset(big, 'x', 900000);
    rooms = 0;
    put(emit, "a", span_str("small"));
    put(emit, "b", span_of(big, 900000));
    assert_false(emit_full(emit));
    put(emit, "c", span_of(big, 300000));
    assert_true(emit_full(emit));
    put(emit, "d", span_str("small too"));
    free(big); /* everything was copied */
    settle(emit);
    assert_int_equal(told, 4);
    assert_int_equal(told_bad, 0);
    assert_int_equal(rooms, 1);
    emit_destroy(emit);
}

static void what_was_put_is_appended_without_its_emit(void **state)
{
    struct err err = ERR_INIT;
    struct store_stat stat;
    (void)state;
    struct emit *emit = make_emit(NULL);
    uint8_t big[100000];
    memset(big, 'y', sizeof(big));
    put(emit, "left", span_of(big, sizeof(big)));
    put(emit, "left", span_str("behind"));
    emit_destroy(emit);
    while (d.submit.pending > 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(told, 0);
    assert_int_equal(store_stat(site.store, &stat, &err), 0);
    assert_int_equal(stat.frames, 2);
}

static void a_refused_put_tells_why(void **state)
{
    (void)state;
    struct emit *emit = make_emit(NULL);
    struct emit_frame frame = {.topic = {0}};
    assert_int_equal(emit_put(emit, &frame, 1, NULL, on_done, NULL), 0);
    settle(emit);
    assert_int_equal(told, 1);
    assert_int_equal(told_bad, 1);
    emit_destroy(emit);
}

/* --- pumping --- */

struct taker {
    struct pump *pump;
    unsigned frames, refusals, thresholds, ends, refuse_every;
    char next[32];
    bool destroy_at_ten, contents;
};

static bool on_frame(void *arg, const struct frame *frame)
{
    struct taker *taker = arg;
    char text[32];
    if (taker->refuse_every && (taker->frames + taker->refusals + 1) % taker->refuse_every == 0) {
        taker->refusals++;
        return false;
    }
    snprintf(text, sizeof(text), "%u", taker->frames);
    assert_true(span_is(frame->topic, "t"));
    assert_int_equal(frame->has_content, taker->contents);
    if (taker->contents)
        assert_true(span_is(frame->content, text)); /* no gap, no repeat */
    taker->frames++;
    if (taker->destroy_at_ten && taker->frames == 10) {
        pump_destroy(taker->pump);
        taker->pump = NULL;
    }
    return true;
}

static void on_threshold(void *arg)
{
    ((struct taker *)arg)->thresholds++;
}

static void on_ended(void *arg, const struct err *err)
{
    assert_null(err);
    ((struct taker *)arg)->ends++;
}

static void start(struct taker *taker, bool follow)
{
    struct err err = ERR_INIT;
    struct pattern_list topics;
    assert_int_equal(pattern_parse(&topics, span_str("t"), &err), 0);
    struct pump_options options = {.site = &site,
                                   .query = {.topics = &topics, .follow = follow},
                                   .contents = taker->contents,
                                   .frame = on_frame,
                                   .threshold = on_threshold,
                                   .ended = on_ended,
                                   .arg = taker};
    assert_int_equal(pump_create(&taker->pump, &options, &err), 0);
    pattern_finish(&topics);
}

static void run_until(struct taker *taker, unsigned frames)
{
    while (taker->frames < frames) {
        pump_resume(taker->pump); /* it may have said no already, and then nothing else would wake the loop */
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void history_comes_whole_from_disk(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    append_many(20000, "t");
    append_many(10, "other");
    assert_int_equal(store_flush(site.store, &err), 0);
    struct taker taker = {.refuse_every = 97, .contents = true};
    start(&taker, false);
    while (taker.ends == 0) {
        uv_run(&loop, UV_RUN_ONCE);
        pump_resume(taker.pump);
    }
    assert_int_equal(taker.frames, 20000);
    assert_true(taker.refusals > 100);
    pump_destroy(taker.pump);
}

static void live_follows_history(void **state)
{
    (void)state;
    append_many(100, "t");
    struct taker taker = {.refuse_every = 7};
    start(&taker, true);
    run_until(&taker, 100);
    while (taker.thresholds == 0)
        uv_run(&loop, UV_RUN_ONCE);
    append_many(50, "t");
    run_until(&taker, 150);
    assert_int_equal(taker.thresholds, 1);
    assert_int_equal(taker.ends, 0);
    pump_destroy(taker.pump);
}

static void a_pump_may_be_destroyed_by_its_taker(void **state)
{
    (void)state;
    append_many(100, "t");
    struct taker taker = {.destroy_at_ten = true, .contents = true};
    start(&taker, true);
    while (taker.pump)
        uv_run(&loop, UV_RUN_ONCE);
    append_many(20, "t");
    assert_int_equal(taker.frames, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(large_contents_keep_their_place, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_put_is_appended_without_its_emit, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refused_put_tells_why, setup, teardown),
        cmocka_unit_test_setup_teardown(history_comes_whole_from_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(live_follows_history, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pump_may_be_destroyed_by_its_taker, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
