/* The pump of a relay over ends in memory: what goes over, in which order it becomes durable, where a cursor stands. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/text.h"
#include "bridge/relay/pump.h"

/* What was called, in order: both ends write into it. */
static struct buf calls;

static const char *called(void)
{
    return buf_cstr(&calls);
}

/* --- a source ------------------------------------------------------------------------------------ */

struct from {
    struct relay_source base;
    const struct ss_message *list;
    size_t count, at;
    size_t each; /* a fill gives so many, and every other fill nothing; 0: all that fits */
    bool pause;
    int ending; /* when all were given */
    struct buf kept;
    bool has_kept;
};

static int from_fill(struct relay_source *s, struct relay_batch *into, int wait_ms, struct err *err)
{
    struct from *f = (struct from *)s;
    size_t given = 0;
    if (f->each > 0 && (f->pause = !f->pause) == false) {
        assert_int_equal(wait_ms, 0); /* nothing is waited for while something is not durable */
        return 0;
    }
    while (f->at < f->count && !relay_batch_full(into) && (f->each == 0 || given < f->each)) {
        assert_int_equal(relay_batch_add(into, &f->list[f->at++]), 0);
        given++;
    }
    if (f->at < f->count)
        return 0;
    if (given == 0 && f->ending == 0)
        poll(NULL, 0, wait_ms);
    return f->ending == ERR_DAMAGED ? err_set(err, ERR_DAMAGED, "a checksum does not fit") : f->ending;
}

static int from_position(struct relay_source *s, struct buf *out)
{
    return buf_addf(out, "%zu", ((struct from *)s)->at);
}

static int from_go(struct relay_source *s, struct span position, struct err *err)
{
    struct from *f = (struct from *)s;
    uint64_t at;
    buf_addf(&calls, "go(%.*s) ", SPAN_ARG(position));
    if (text_u64(position, &at) != 0 || at > f->count)
        return err_set(err, ERR_INVALID, "no place of this list");
    f->at = at;
    return 0;
}

static int from_settle(struct relay_source *s, struct err *err)
{
    (void)s;
    (void)err;
    return buf_add_str(&calls, "settle ");
}

static int from_keep(struct relay_source *s, const char *cursor, struct span position, struct err *err)
{
    struct from *f = (struct from *)s;
    (void)err;
    buf_reset(&f->kept);
    f->has_kept = true;
    buf_add_span(&f->kept, position);
    return buf_addf(&calls, "keep(%s=%.*s) ", cursor, SPAN_ARG(position));
}

static int from_kept(struct relay_source *s, const char *cursor, struct buf *out, struct err *err)
{
    struct from *f = (struct from *)s;
    (void)cursor;
    return f->has_kept ? buf_add_span(out, buf_span(&f->kept)) : err_set(err, ERR_NOT_FOUND, "none");
}

static const struct relay_source_ops plain_source = {
    .fill = from_fill, .position = from_position, .go = from_go, .settle = from_settle};
static const struct relay_source_ops keeping_source = {
    .fill = from_fill, .position = from_position, .go = from_go, .settle = from_settle, .keep = from_keep, .kept = from_kept};
static const struct relay_source_ops passing_source = {.fill = from_fill};

/* --- a sink -------------------------------------------------------------------------------------- */

struct to {
    struct relay_sink base;
    struct relay_batch all;
    int put_code, flush_code;
    size_t put_good; /* puts before put_code */
    struct buf kept;
    bool has_kept;
    int fd;
};

static int to_put(struct relay_sink *s, const struct relay_batch *batch, struct err *err)
{
    struct to *t = (struct to *)s;
    if (t->put_code != 0 && t->put_good-- == 0)
        return err_set(err, t->put_code, "no room");
    for (size_t i = 0; i < batch->count; i++)
        assert_int_equal(relay_batch_add(&t->all, &batch->list[i]), 0);
    return buf_addf(&calls, "put%zu ", batch->count);
}

static int to_flush(struct relay_sink *s, const char *cursor, struct span position, struct err *err)
{
    struct to *t = (struct to *)s;
    if (t->flush_code != 0)
        return err_set(err, t->flush_code, "gone");
    if (!cursor)
        return buf_add_str(&calls, "flush ");
    buf_reset(&t->kept);
    t->has_kept = true;
    buf_add_span(&t->kept, position);
    return buf_addf(&calls, "flush(%s=%.*s) ", cursor, SPAN_ARG(position));
}

static int to_kept(struct relay_sink *s, const char *cursor, struct buf *out, struct err *err)
{
    struct to *t = (struct to *)s;
    (void)cursor;
    return t->has_kept ? buf_add_span(out, buf_span(&t->kept)) : err_set(err, ERR_NOT_FOUND, "none");
}

static int to_end(struct relay_sink *s, struct err *err)
{
    (void)s;
    (void)err;
    return buf_add_str(&calls, "end ");
}

static int to_watch(struct relay_sink *s)
{
    return ((struct to *)s)->fd;
}

static const struct relay_sink_ops plain_sink = {.put = to_put, .flush = to_flush, .end = to_end};
static const struct relay_sink_ops keeping_sink = {.put = to_put, .flush = to_flush, .end = to_end, .kept = to_kept};
static const struct relay_sink_ops watched_sink = {.put = to_put, .flush = to_flush, .end = to_end, .watch = to_watch};

/* --- both ---------------------------------------------------------------------------------------- */

static struct ss_message message(const char *key, uint64_t seq, uint64_t time_ms, const char *payload)
{
    return (struct ss_message){.key = span_str(key), .seq = seq, .time_ms = time_ms, .payload = span_str(payload)};
}

static struct ss_message five[5];

struct rig {
    struct from from;
    struct to to;
    struct relay_options o;
    struct relay_result r;
    struct err err;
};

static struct rig rig_of(const struct relay_source_ops *source, const struct relay_sink_ops *sink)
{
    struct rig rig = {.from = {.base.ops = source, .list = five, .count = 5, .ending = ERR_END},
                      .to = {.base.ops = sink, .fd = -1},
                      .o = {.preserve = true}};
    buf_reset(&calls);
    return rig;
}

static int run(struct rig *rig)
{
    buf_reset(&calls);
    relay_batch_reset(&rig->to.all);
    return relay_run(&rig->from.base, &rig->to.base, &rig->o, NULL, NULL, &rig->r, &rig->err);
}

static void rig_finish(struct rig *rig)
{
    relay_batch_finish(&rig->to.all);
    buf_finish(&rig->to.kept);
    buf_finish(&rig->from.kept);
}

static int setup(void **state)
{
    static char dir[] = "/tmp/test_relay_pump.XXXXXX";
    *state = dir;
    for (uint64_t i = 0; i < 5; i++)
        five[i] = message(i % 2 ? "b" : "a", i, 1000 + i * 10, i % 2 ? "odd" : "even");
    return mkdtemp(dir) ? setenv("XDG_STATE_HOME", dir, 1) : -1;
}

static int teardown(void **state)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", (const char *)*state);
    buf_finish(&calls);
    return system(command);
}

/* --- order --------------------------------------------------------------------------------------- */

static void flushes_when_nothing_more_comes_and_ends(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &plain_sink);
    rig.from.each = 2;
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "put2 flush settle put2 flush settle put1 flush settle end ");
    assert_int_equal(rig.r.messages, 5);
    assert_int_equal(rig.r.bytes, 3 * 4 + 2 * 3);
    rig_finish(&rig);
}

static void a_sink_stores_the_place_with_the_messages(void **state)
{
    (void)state;
    struct rig rig = rig_of(&keeping_source, &keeping_sink);
    rig.o.cursor = "c";
    rig.from.each = 3;
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "flush(c=0) put3 flush(c=3) settle put2 flush(c=5) settle end ");
    assert_false(rig.r.resumed);
    rig.from.at = 0;
    rig.from.pause = false;
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "go(5) end ");
    assert_true(rig.r.resumed);
    rig_finish(&rig);
}

static void a_source_keeps_the_place_behind_the_flush(void **state)
{
    (void)state;
    struct rig rig = rig_of(&keeping_source, &plain_sink);
    rig.o.cursor = "c";
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "flush keep(c=0) put5 flush keep(c=5) settle end ");
    rig_finish(&rig);
}

static void a_file_keeps_the_place_where_no_end_does(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &plain_sink);
    rig.o.cursor = "in-a-file";
    rig.o.limit = 2;
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "flush put2 flush settle end ");
    struct relay_cursor c;
    CLEAN_BUF place = BUF_INIT;
    assert_int_equal(relay_cursor_open(&c, "in-a-file", NULL), 0);
    assert_int_equal(relay_cursor_read(&c, &place, NULL), 0);
    assert_true(span_is(buf_span(&place), "2"));
    /* It is locked meanwhile. */
    assert_int_equal(run(&rig), ERR_LOCKED);
    relay_cursor_close(&c);
    rig.from.at = 0;
    rig.o.limit = 0;
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "go(2) put3 flush settle end ");
    rig_finish(&rig);
}

static void input_that_keeps_coming_is_flushed_by_size(void **state)
{
    (void)state;
    static char large[1024 * 1024];
    static struct ss_message list[40];
    memset(large, 'x', sizeof(large));
    for (size_t i = 0; i < 40; i++)
        list[i] = (struct ss_message){.key = span_str("k"), .payload = span_of(large, sizeof(large))};
    struct rig rig = rig_of(&plain_source, &plain_sink);
    rig.from.list = list;
    rig.from.count = 40;
    assert_int_equal(run(&rig), 0);
    size_t flushes = 0;
    for (const char *p = called(); (p = strstr(p, "flush")); p++)
        flushes++;
    assert_int_equal(flushes, 3);
    rig_finish(&rig);
}

/* --- what goes over ------------------------------------------------------------------------------ */

static void only_payloads_go_over_without_preserve(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &plain_sink);
    uint64_t before = time_now_ms();
    rig.o.preserve = false;
    rig.o.key = "out";
    assert_int_equal(run(&rig), 0);
    for (size_t i = 0; i < 5; i++) {
        const struct ss_message *m = &rig.to.all.list[i];
        assert_true(span_is(m->key, "out") && m->no_seq && m->no_time && m->seq == 0 && m->time_ms >= before);
        assert_true(span_eq(m->payload, five[i].payload));
    }
    rig_finish(&rig);
}

static void keys_are_kept_or_renamed_with_preserve(void **state)
{
    (void)state;
    static const char *pairs[1][2] = {{"b", "z"}};
    struct rig rig = rig_of(&plain_source, &plain_sink);
    rig.o.rename = pairs;
    rig.o.rename_count = 1;
    assert_int_equal(run(&rig), 0);
    for (size_t i = 0; i < 5; i++) {
        assert_true(span_is(rig.to.all.list[i].key, i % 2 ? "z" : "a"));
        assert_int_equal(rig.to.all.list[i].seq, i);
        assert_int_equal(rig.to.all.list[i].time_ms, five[i].time_ms);
    }
    rig_finish(&rig);
}

static void a_share_takes_its_sequences_and_passes_the_rest(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &keeping_sink);
    rig.o.share_index = 1;
    rig.o.share_count = 3;
    rig.o.cursor = "c";
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "flush(c=0) put2 flush(c=5) settle end ");
    assert_int_equal(rig.to.all.list[0].seq, 1);
    assert_int_equal(rig.to.all.list[1].seq, 4);
    assert_int_equal(rig.r.passed_over, 3);
    rig_finish(&rig);
}

static void a_limit_is_exact_and_so_is_the_place(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &keeping_sink);
    rig.o.limit = 3;
    rig.o.cursor = "c";
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "flush(c=0) put3 flush(c=3) settle end ");
    assert_int_equal(rig.to.all.list[2].seq, 2);
    assert_int_equal(run(&rig), 0);
    assert_string_equal(called(), "go(3) put2 flush(c=5) settle end ");
    rig_finish(&rig);
}

static void until_leaves_out_what_is_later(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &plain_sink);
    rig.o.has_until = true;
    rig.o.until_ms = 1020;
    rig.o.keys = 2;
    assert_int_equal(run(&rig), 0);
    assert_int_equal(rig.r.messages, 3);
    assert_int_equal(rig.to.all.list[2].time_ms, 1020);
    rig_finish(&rig);
}

static void until_with_a_cursor_stands_behind_the_last_message(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &keeping_sink);
    rig.o.has_until = true;
    rig.o.until_ms = 1020;
    rig.o.cursor = "c";
    assert_int_equal(run(&rig), 0);
    assert_int_equal(rig.r.messages, 3);
    assert_true(span_is(buf_span(&rig.to.kept), "3"));
    rig.o.has_until = false;
    assert_int_equal(run(&rig), 0);
    assert_int_equal(rig.r.messages, 2);
    assert_int_equal(rig.to.all.list[0].seq, 3);
    rig_finish(&rig);
}

static void until_ends_at_its_moment_when_nothing_comes(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &plain_sink);
    rig.o.has_until = true;
    rig.o.until_ms = 2000;
    rig.from.ending = 0; /* nothing more, for ever */
    assert_int_equal(run(&rig), 0);
    assert_int_equal(rig.r.messages, 5);
    rig_finish(&rig);
}

/* --- ends and faults ----------------------------------------------------------------------------- */

static void a_fault_of_the_source_keeps_what_came_before(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &keeping_sink);
    rig.o.cursor = "c";
    rig.from.ending = ERR_DAMAGED;
    assert_int_equal(run(&rig), ERR_DAMAGED);
    assert_string_equal(called(), "flush(c=0) put5 flush(c=5) settle ");
    assert_string_equal(rig.err.text, "a checksum does not fit");
    rig_finish(&rig);
}

static void a_sink_that_fails_stores_no_place(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &keeping_sink);
    rig.o.cursor = "c";
    rig.from.each = 2;
    rig.to.put_code = ERR_FULL;
    rig.to.put_good = 1;
    assert_int_equal(run(&rig), ERR_FULL);
    assert_string_equal(called(), "flush(c=0) put2 flush(c=2) settle ");
    rig.to.base.ops = &plain_sink;
    rig.o.cursor = NULL;
    rig.from.at = 0;
    rig.from.pause = false;
    rig.to.put_good = 1;
    assert_int_equal(run(&rig), ERR_FULL);
    assert_string_equal(called(), "put2 flush settle flush ");
    rig_finish(&rig);
}

static void a_stop_flushes_and_stores_the_place(void **state)
{
    (void)state;
    struct rig rig = rig_of(&plain_source, &keeping_sink);
    rig.o.cursor = "c";
    rig.from.ending = -EINTR;
    assert_int_equal(run(&rig), 0);
    assert_true(rig.r.stopped);
    assert_string_equal(called(), "flush(c=0) put5 flush(c=5) settle end ");
    rig_finish(&rig);
}

static void a_reader_that_went_away_is_a_quiet_end(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    struct rig rig = rig_of(&plain_source, &watched_sink);
    rig.to.fd = fds[1];
    rig.to.flush_code = -EPIPE;
    assert_int_equal(run(&rig), -EPIPE); /* the reader is still there: another pipe broke */
    assert_false(rig.r.gone);
    close(fds[0]);
    rig.from.at = 0;
    assert_int_equal(run(&rig), 0);
    assert_true(rig.r.gone);
    close(fds[1]);
    rig_finish(&rig);
}

static void a_cursor_needs_places(void **state)
{
    (void)state;
    struct rig rig = rig_of(&passing_source, &keeping_sink);
    rig.o.cursor = "c";
    assert_int_equal(run(&rig), ERR_INVALID);
    rig = rig_of(&plain_source, &keeping_sink);
    rig.o.cursor = "c";
    rig.to.has_kept = true;
    buf_add_str(&rig.to.kept, "elsewhere");
    assert_int_equal(run(&rig), ERR_INVALID);
    assert_string_equal(rig.err.text, "cursor c: no place of this list");
    rig_finish(&rig);
}

/* --- the file of a cursor ------------------------------------------------------------------------ */

static void write_raw(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/weir/relay/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void a_damaged_cursor_is_said(void **state)
{
    static const char *const bad[] = {"", "weir-relay-cursor 1\n", "weir-relay-cursor 1\n5\nabc\n",
                                      "weir-relay-cursor 2\n3\nabc\n", "weir-relay-cursor 1\n3\nabcd"};
    struct relay_cursor c;
    CLEAN_BUF place = BUF_INIT;
    assert_int_equal(relay_cursor_open(&c, "damaged", NULL), 0);
    assert_int_equal(relay_cursor_read(&c, &place, NULL), ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_raw(*state, "damaged", bad[i]);
        assert_int_equal(relay_cursor_read(&c, &place, NULL), ERR_DAMAGED);
    }
    write_raw(*state, "damaged", "weir-relay-cursor 1\n3\na\nc\n");
    assert_int_equal(relay_cursor_read(&c, &place, NULL), 0);
    assert_true(span_is(buf_span(&place), "a\nc"));
    relay_cursor_close(&c);
}

static void names_of_cursors_never_become_paths(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", ".x", "a/b", "../x", "a b", "a\n"};
    struct relay_cursor c;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(relay_cursor_open(&c, bad[i], NULL), ERR_INVALID);
    char name[102];
    memset(name, 'n', 101);
    name[101] = '\0';
    assert_int_equal(relay_cursor_open(&c, name, NULL), ERR_INVALID);
    name[100] = '\0';
    assert_int_equal(relay_cursor_open(&c, name, NULL), 0);
    relay_cursor_close(&c);
}

/* --- batches ------------------------------------------------------------------------------------- */

static void a_batch_that_grows_keeps_what_it_holds(void **state)
{
    (void)state;
    struct relay_batch b = {0};
    char key[16], payload[64];
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "key-%u", i / 10);
        snprintf(payload, sizeof(payload), "payload number %u", i);
        struct ss_message m = message(key, i, i, i % 7 ? payload : "");
        assert_int_equal(relay_batch_add(&b, &m), 0);
    }
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "key-%u", i / 10);
        snprintf(payload, sizeof(payload), "payload number %u", i);
        assert_true(span_is(b.list[i].key, key) && span_is(b.list[i].payload, i % 7 ? payload : "") && b.list[i].seq == i);
    }
    assert_false(relay_batch_full(&b));
    b.count_max = 3000;
    assert_true(relay_batch_full(&b));
    relay_batch_finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flushes_when_nothing_more_comes_and_ends),
        cmocka_unit_test(a_sink_stores_the_place_with_the_messages),
        cmocka_unit_test(a_source_keeps_the_place_behind_the_flush),
        cmocka_unit_test(a_file_keeps_the_place_where_no_end_does),
        cmocka_unit_test(input_that_keeps_coming_is_flushed_by_size),
        cmocka_unit_test(only_payloads_go_over_without_preserve),
        cmocka_unit_test(keys_are_kept_or_renamed_with_preserve),
        cmocka_unit_test(a_share_takes_its_sequences_and_passes_the_rest),
        cmocka_unit_test(a_limit_is_exact_and_so_is_the_place),
        cmocka_unit_test(until_leaves_out_what_is_later),
        cmocka_unit_test(until_with_a_cursor_stands_behind_the_last_message),
        cmocka_unit_test(until_ends_at_its_moment_when_nothing_comes),
        cmocka_unit_test(a_fault_of_the_source_keeps_what_came_before),
        cmocka_unit_test(a_sink_that_fails_stores_no_place),
        cmocka_unit_test(a_stop_flushes_and_stores_the_place),
        cmocka_unit_test(a_reader_that_went_away_is_a_quiet_end),
        cmocka_unit_test(a_cursor_needs_places),
        cmocka_unit_test(a_damaged_cursor_is_said),
        cmocka_unit_test(names_of_cursors_never_become_paths),
        cmocka_unit_test(a_batch_that_grows_keeps_what_it_holds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
