/* Read sessions against a server that breaks off, repeats, falls silent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <weir/s2.h>

#include "tests/unit/s2_model_server.h"

static const struct weir_s2_stream stream = {"a-basin-1", "s"};

struct fixture {
    struct model *m;
    struct weir_s2 *s2;
    struct weir_s2_reader *r;
};

static void add_records(struct model *m, size_t count)
{
    char text[24];
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "%zu", m->count);
        struct s2_record r = {.body = span_str(text)};
        model_add(m, &r);
    }
    pthread_mutex_unlock(&m->lock);
    model_wake(m);
}

static void open_all(struct fixture *f, size_t records, struct weir_s2_options o,
                     struct weir_s2_read what)
{
    struct weir_s2_err err;
    f->m = model_start_server(NULL);
    add_records(f->m, records);
    o.account = f->m->addr;
    o.backoff_ms = 1;
    o.backoff_max_ms = 2;
    assert_int_equal(weir_s2_open(&f->s2, &o, &err), 0);
    assert_int_equal(weir_s2_reader_open(&f->r, f->s2, stream, &what, &err), 0);
}

static void close_all(struct fixture *f)
{
    weir_s2_reader_close(f->r);
    weir_s2_close(f->s2);
    model_stop_server(f->m);
}

static void expect_record(struct fixture *f, uint64_t n)
{
    struct weir_s2_err err;
    struct s2_record r;
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    assert_int_equal(weir_s2_reader_record(f->r, &r, 5000, &err), 0);
    assert_int_equal(r.seq_num, n);
    assert_true(span_is(r.body, text));
    uint64_t at;
    assert_true(weir_s2_reader_position(f->r, &at));
    assert_int_equal(at, n + 1);
}

static void expect_end(struct fixture *f)
{
    struct weir_s2_err err;
    struct s2_record r;
    assert_int_equal(weir_s2_reader_record(f->r, &r, 5000, &err), ERR_END);
    assert_int_equal(weir_s2_reader_record(f->r, &r, 5000, &err), ERR_END);
}

static void bounded_reads_end(void **state)
{
    struct fixture f;
    (void)state;
    open_all(&f, 100, WEIR_S2_OPTIONS_INIT,
             (struct weir_s2_read){.start = 20, .has_count = true, .count = 50});
    for (uint64_t i = 20; i < 70; i++)
        expect_record(&f, i);
    expect_end(&f);
    assert_int_equal(f.m->accepts, 1);
    close_all(&f);
}

static void follows(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct weir_s2_batch batch;
    (void)state;
    open_all(&f, 25, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){0});
    size_t got = 0;
    bool at_tail = false;
    while (!at_tail) {
        assert_int_equal(weir_s2_reader_next(f.r, &batch, 5000, &err), 0);
        got += batch.count;
        at_tail = batch.count == 0;
    }
    assert_int_equal(got, 25);
    assert_true(batch.has_tail);
    assert_int_equal(batch.tail.seq_num, 25);
    assert_int_equal(weir_s2_reader_next(f.r, &batch, 0, &err), -EAGAIN);
    assert_true(weir_s2_reader_fd(f.r) >= 0);
    add_records(f.m, 1);
    expect_record(&f, 25);
    close_all(&f);
}

/* However often it breaks: each record once, limits as at the beginning. */
static void comes_back_where_it_was(void **state)
{
    struct fixture f;
    (void)state;
    open_all(&f, 500, WEIR_S2_OPTIONS_INIT,
             (struct weir_s2_read){.start = 3, .has_count = true, .count = 400});
    MODEL_SET(f.m, f.m->faults.cut_read = 30);
    for (uint64_t i = 3; i < 403; i++)
        expect_record(&f, i);
    expect_end(&f);
    assert_true(f.m->accepts >= 30);
    close_all(&f);
}

static void repeated_records_are_dropped(void **state)
{
    struct fixture f;
    (void)state;
    open_all(&f, 60, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){.has_count = true, .count = 60});
    MODEL_SET(f.m, (f.m->faults.cut_read = 3, f.m->faults.repeat = 3));
    for (uint64_t i = 0; i < 57; i++)
        expect_record(&f, i);
    close_all(&f);
}

static void all_there_was_is_an_end(void **state)
{
    struct fixture f;
    (void)state;
    open_all(&f, 10, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){.has_count = true, .count = 50});
    MODEL_SET(f.m, f.m->faults.cut_read =
                       1); /* behind the last record: coming back finds nothing more */
    for (uint64_t i = 0; i < 10; i++)
        expect_record(&f, i);
    expect_end(&f);
    close_all(&f);
}

static void tail_offset_is_resolved_once(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct weir_s2_batch batch;
    (void)state;
    open_all(&f, 30, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){.from = WEIR_S2_FROM_TAIL_OFFSET});
    MODEL_SET(f.m, f.m->faults.cut_read = 1); /* behind the heartbeat */
    assert_int_equal(weir_s2_reader_next(f.r, &batch, 5000, &err), 0);
    assert_int_equal(batch.tail.seq_num, 30);
    add_records(f.m, 5); /* while there is no connection */
    for (uint64_t i = 30; i < 35; i++)
        expect_record(&f, i);
    close_all(&f);
}

static void advice_to_come_back_is_taken(void **state)
{
    struct fixture f;
    (void)state;
    open_all(&f, 60, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){0});
    MODEL_SET(f.m, f.m->faults.advise = 2);
    for (uint64_t i = 0; i < 60; i++)
        expect_record(&f, i);
    add_records(f.m, 1);
    expect_record(&f, 60);
    assert_true(f.m->accepts >= 2);
    close_all(&f);
}

static void silence_ends_a_session(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct weir_s2_batch batch;
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    (void)state;
    o.silence_ms = 40;
    o.attempts = 100;
    open_all(&f, 10, o, (struct weir_s2_read){0});
    MODEL_SET(f.m, f.m->faults.mute = true);
    uint64_t end = time_mono_us() + 5000000;
    while (f.m->accepts < 3 && time_mono_us() < end)
        assert_int_equal(weir_s2_reader_next(f.r, &batch, 50, &err), -EAGAIN);
    assert_true(f.m->accepts >= 3);
    MODEL_SET(f.m, f.m->faults.mute = false);
    for (uint64_t i = 0; i < 10; i++)
        expect_record(&f, i);
    close_all(&f);
}

static void start_behind_the_tail(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct s2_record r;
    (void)state;
    open_all(&f, 5, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){.start = 9});
    assert_int_equal(weir_s2_reader_record(f.r, &r, 5000, &err), ERR_RANGE);
    assert_int_equal(err.what, WEIR_S2_OUT_OF_RANGE);
    assert_int_equal(err.tail.seq_num, 5);
    uint64_t at;
    assert_false(weir_s2_reader_position(f.r, &at));
    close_all(&f);
}

static void empty_batches_are_a_fault(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct s2_record r;
    (void)state;
    open_all(&f, 0, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){0});
    MODEL_SET(f.m, f.m->faults.no_heartbeat_records = true);
    assert_int_equal(weir_s2_reader_record(f.r, &r, 5000, &err), ERR_REMOTE);
    assert_int_equal(err.what, WEIR_S2_TRANSPORT);
    close_all(&f);
}

static void refusals_end_it(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct s2_record r;
    (void)state;
    open_all(&f, 5, WEIR_S2_OPTIONS_INIT, (struct weir_s2_read){0});
    MODEL_SET(f.m,
              (f.m->faults.refuse = 1, f.m->faults.refuse_status = 403,
               f.m->faults.refuse_json = "{\"code\":\"permission_denied\",\"message\":\"no\"}"));
    assert_int_equal(weir_s2_reader_record(f.r, &r, 5000, &err), ERR_FORBIDDEN);
    assert_int_equal(err.what, WEIR_S2_PERMISSION_DENIED);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounded_reads_end),
        cmocka_unit_test(follows),
        cmocka_unit_test(comes_back_where_it_was),
        cmocka_unit_test(repeated_records_are_dropped),
        cmocka_unit_test(all_there_was_is_an_end),
        cmocka_unit_test(tail_offset_is_resolved_once),
        cmocka_unit_test(advice_to_come_back_is_taken),
        cmocka_unit_test(silence_ends_a_session),
        cmocka_unit_test(start_behind_the_tail),
        cmocka_unit_test(empty_batches_are_a_fault),
        cmocka_unit_test(refusals_end_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
