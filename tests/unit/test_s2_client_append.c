/* Append sessions and the producer against a server that loses acks, drops inputs and holds back.
 */
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
    struct weir_s2_appender *a;
};

static void open_all(struct fixture *f, struct weir_s2_options o,
                     const struct weir_s2_appender_options *limits)
{
    struct weir_s2_err err;
    f->m = model_start_server(NULL);
    o.account = f->m->addr;
    o.backoff_ms = 1;
    o.backoff_max_ms = 2;
    assert_int_equal(weir_s2_open(&f->s2, &o, &err), 0);
    assert_int_equal(weir_s2_appender_open(&f->a, f->s2, stream, limits, &err), 0);
}

static void close_all(struct fixture *f)
{
    weir_s2_appender_close(f->a);
    weir_s2_close(f->s2);
    model_stop_server(f->m);
}

/* One record "N" a batch; with `match` chained from there. */
static int submit(struct fixture *f, uint64_t n, const uint64_t *match, struct weir_s2_err *err)
{
    char text[24];
    uint64_t ticket;
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    struct s2_record r = {.body = span_str(text)};
    struct weir_s2_input in = {.records = &r,
                               .count = 1,
                               .has_match = match != NULL,
                               .match_seq_num = match ? *match + n : 0};
    int rc = weir_s2_appender_submit(f->a, &in, &ticket, err);
    if (rc == 0)
        assert_int_equal(ticket, n);
    return rc;
}

static void expect_acks(struct fixture *f, uint64_t count)
{
    struct weir_s2_err err;
    struct s2_ack ack;
    uint64_t ticket;
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(weir_s2_appender_ack(f->a, &ticket, &ack, 5000, &err), 0);
        assert_int_equal(ticket, i);
        assert_int_equal(ack.start.seq_num, i);
        assert_int_equal(ack.end.seq_num, i + 1);
    }
    assert_int_equal(weir_s2_appender_ack(f->a, &ticket, &ack, 0, &err), ERR_END);
}

/* Every body is its own number: nothing is missing, doubled or out of order. */
static void expect_stream(struct model *m, size_t count)
{
    assert_int_equal(m->count, count);
    for (size_t i = 0; i < count; i++) {
        char text[24];
        snprintf(text, sizeof(text), "%zu", i);
        assert_int_equal(m->records[i].len, strlen(text));
        assert_memory_equal(m->records[i].bytes, text, strlen(text));
    }
}

static void acks_come_in_order(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    for (uint64_t i = 0; i < 200; i++)
        assert_int_equal(submit(&f, i, NULL, &err), 0);
    expect_acks(&f, 200);
    assert_int_equal(f.m->accepts, 1);
    expect_stream(f.m, 200);
    close_all(&f);
}

static void limits_hold_back(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    size_t batches;
    uint64_t bytes;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT,
             &(struct weir_s2_appender_options){.inflight_batches = 3, .never_block = true});
    MODEL_SET(f.m, f.m->faults.hold_acks = true);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(submit(&f, i, NULL, &err), 0);
    assert_int_equal(submit(&f, 3, NULL, &err), -EAGAIN);
    weir_s2_appender_inflight(f.a, &batches, &bytes);
    assert_int_equal(batches, 3);
    assert_int_equal(bytes, 3 * 9);
    MODEL_SET(f.m, f.m->faults.hold_acks = false);
    while (submit(&f, 3, NULL, &err) == -EAGAIN)
        assert_int_equal(weir_s2_appender_turn(f.a, 1000, &err), 0);
    assert_int_equal(weir_s2_appender_flush(f.a, &err), 0);
    expect_stream(f.m, 4);
    close_all(&f);
}

static void *release_acks(void *arg)
{
    struct model *m = arg;
    int inputs = 0;
    while (inputs < 2) { /* both that fit arrived, so the third waits */
        MODEL_SET(m, inputs = m->inputs);
        sched_yield();
    }
    MODEL_SET(m, m->faults.hold_acks = false);
    return NULL;
}

static void submit_waits_for_room(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    pthread_t thread;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, &(struct weir_s2_appender_options){.inflight_bytes = 18});
    MODEL_SET(f.m, f.m->faults.hold_acks = true);
    assert_int_equal(submit(&f, 0, NULL, &err), 0);
    assert_int_equal(submit(&f, 1, NULL, &err), 0);
    pthread_create(&thread, NULL, release_acks, f.m);
    assert_int_equal(submit(&f, 2, NULL, &err), 0);
    pthread_join(thread, NULL);
    assert_int_equal(weir_s2_appender_flush(f.a, &err), 0);
    expect_stream(f.m, 3);
    close_all(&f);
}

/* After a refusal nothing later is appended, and every call says why. */
static void a_mismatch_spoils(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct s2_ack ack;
    uint64_t ticket, zero = 0;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    assert_int_equal(submit(&f, 0, &zero, &err), 0);
    struct s2_record r = {.body = span_str("wrong")};
    struct weir_s2_input wrong = {
        .records = &r, .count = 1, .has_match = true, .match_seq_num = 77};
    int rc = weir_s2_appender_submit(f.a, &wrong, &ticket, &err);
    assert_int_equal(rc == 0 ? weir_s2_appender_flush(f.a, &err) : rc, ERR_CONDITION);
    assert_int_equal(err.what, WEIR_S2_SEQ_NUM_MISMATCH);
    assert_int_equal(err.seq_num, 1);
    assert_int_equal(weir_s2_appender_submit(f.a, &wrong, &ticket, &err), ERR_CONDITION);
    assert_int_equal(weir_s2_appender_ack(f.a, &ticket, &ack, 0, &err),
                     0); /* what was acked before is told */
    assert_int_equal(ticket, 0);
    assert_int_equal(weir_s2_appender_ack(f.a, &ticket, &ack, 0, &err), ERR_CONDITION);
    expect_stream(f.m, 1);
    close_all(&f);
}

static void limits_of_a_batch_spoil_nothing(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    uint64_t ticket;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    assert_int_equal(weir_s2_appender_submit(f.a, &(struct weir_s2_input){0}, &ticket, &err),
                     ERR_INVALID);
    assert_int_equal(submit(&f, 0, NULL, &err), 0);
    assert_int_equal(weir_s2_appender_flush(f.a, &err), 0);
    close_all(&f);
}

static void lost_acks_with_match_are_found(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    uint64_t zero = 0;
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    (void)state;
    o.retry = WEIR_S2_RETRY_CERTAIN;
    o.attempts = 20; /* faults may come in a row */
    open_all(&f, o, NULL);
    for (uint64_t i = 0; i < 300; i++) {
        if (i % 50 == 20)
            MODEL_SET(f.m, f.m->faults.lose_ack++);
        if (i % 50 == 40)
            MODEL_SET(f.m, f.m->faults.drop_input++);
        assert_int_equal(submit(&f, i, &zero, &err), 0);
    }
    expect_acks(&f, 300);
    expect_stream(f.m, 300);
    assert_true(f.m->accepts > 6);
    close_all(&f);
}

/* Ours is not there, another's is: that is a mismatch and no ack. */
static void anothers_record_is_not_ours(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    uint64_t zero = 0;
    struct s2_record other = {.body = span_str("other")};
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    MODEL_SET(f.m, (f.m->faults.drop_input = 1, model_add(f.m, &other)));
    int rc = submit(&f, 0, &zero, &err);
    assert_int_equal(rc == 0 ? weir_s2_appender_flush(f.a, &err) : rc, ERR_CONDITION);
    assert_int_equal(f.m->count, 1);
    close_all(&f);
}

static void certain_policy_stops_in_doubt(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    (void)state;
    o.retry = WEIR_S2_RETRY_CERTAIN;
    open_all(&f, o, NULL);
    MODEL_SET(f.m, f.m->faults.lose_ack = 1);
    int rc = submit(&f, 0, NULL, &err);
    if (rc == 0)
        rc = weir_s2_appender_flush(f.a, &err);
    assert_int_equal(rc, ERR_UNKNOWN);
    assert_int_equal(err.what, WEIR_S2_UNKNOWN_OUTCOME);
    assert_int_equal(f.m->count, 1);
    close_all(&f);
}

static void without_match_it_is_sent_again(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    MODEL_SET(f.m, f.m->faults.drop_input = 1);
    assert_int_equal(submit(&f, 0, NULL, &err), 0);
    assert_int_equal(weir_s2_appender_flush(f.a, &err), 0);
    expect_stream(f.m, 1);
    close_all(&f);
}

static void attempts_end(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    MODEL_SET(f.m, f.m->faults.drop_input = 100);
    int rc = submit(&f, 0, NULL, &err);
    if (rc == 0)
        rc = weir_s2_appender_flush(f.a, &err);
    assert_int_equal(rc, ERR_CUT);
    assert_int_equal(f.m->faults.drop_input, 97);
    close_all(&f);
}

static void refused_sessions_say_why(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    MODEL_SET(f.m,
              (f.m->faults.refuse = 1, f.m->faults.refuse_status = 404,
               f.m->faults.refuse_json = "{\"code\":\"stream_not_found\",\"message\":\"no\"}"));
    int rc = submit(&f, 0, NULL, &err);
    if (rc == 0)
        rc = weir_s2_appender_flush(f.a, &err);
    assert_int_equal(rc, ERR_NOT_FOUND);
    assert_int_equal(err.what, WEIR_S2_STREAM_NOT_FOUND);
    close_all(&f);
}

static void silence_of_acks_ends_a_session(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    uint64_t zero = 0;
    struct weir_s2_options o = WEIR_S2_OPTIONS_INIT;
    (void)state;
    o.ack_ms = 50;
    open_all(&f, o, NULL);
    MODEL_SET(f.m, f.m->faults.hold_acks = true);
    assert_int_equal(submit(&f, 0, &zero, &err), 0);
    while (f.m->accepts < 2 && weir_s2_appender_turn(f.a, 200, &err) == 0)
        ;
    MODEL_SET(f.m, f.m->faults.hold_acks = false);
    assert_int_equal(weir_s2_appender_flush(f.a, &err), 0);
    expect_stream(f.m, 1);
    close_all(&f);
}

static void advice_to_come_back_is_taken(void **state)
{
    struct fixture f;
    struct weir_s2_err err;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    MODEL_SET(f.m, f.m->faults.advise = 1);
    for (uint64_t i = 0; i < 20; i++) {
        assert_int_equal(submit(&f, i, NULL, &err), 0);
        if (i == 9)
            assert_int_equal(weir_s2_appender_flush(f.a, &err), 0);
    }
    expect_acks(&f, 20);
    expect_stream(f.m, 20);
    assert_int_equal(f.m->accepts, 2);
    close_all(&f);
}

/* --- producer
 * --------------------------------------------------------------------------------------------- */

struct heard {
    uint64_t count;
    bool in_order;
};

static void on_ack(void *arg, uint64_t record, uint64_t seq_num)
{
    struct heard *h = arg;
    h->in_order = h->in_order && record == h->count && seq_num == record;
    h->count++;
}

static struct weir_s2_producer *producer(struct fixture *f, struct weir_s2_producer_options o,
                                         struct heard *h)
{
    struct weir_s2_producer *p;
    struct weir_s2_err err;
    *h = (struct heard){.in_order = true};
    o.acked = on_ack;
    o.arg = h;
    assert_int_equal(weir_s2_producer_open(&p, f->s2, stream, &o, &err), 0);
    return p;
}

static int produce(struct weir_s2_producer *p, uint64_t n, struct weir_s2_err *err)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
    struct s2_record r = {.body = span_str(text)};
    return weir_s2_producer_append(p, &r, NULL, err);
}

static void producer_batches(void **state)
{
    struct fixture f;
    struct heard h;
    struct weir_s2_err err;
    struct weir_s2_producer_options o = WEIR_S2_PRODUCER_INIT;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    o.batch_records = 10;
    o.linger_ms = 60000;
    struct weir_s2_producer *p = producer(&f, o, &h);
    for (uint64_t i = 0; i < 95; i++)
        assert_int_equal(produce(p, i, &err), 0);
    assert_true(weir_s2_producer_due(p) > 1000);
    assert_int_equal(weir_s2_producer_flush(p, &err), 0);
    assert_int_equal(weir_s2_producer_due(p), -1);
    assert_int_equal(f.m->inputs, 10);
    assert_int_equal(h.count, 95);
    assert_true(h.in_order);
    assert_int_equal(weir_s2_producer_durable(p), 95);
    expect_stream(f.m, 95);
    weir_s2_producer_close(p);
    close_all(&f);
}

static void producer_limits_bytes(void **state)
{
    struct fixture f;
    struct heard h;
    struct weir_s2_err err;
    struct weir_s2_producer_options o = WEIR_S2_PRODUCER_INIT;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    o.batch_bytes = 40; /* four records of 9 metered bytes */
    o.linger_ms = 60000;
    struct weir_s2_producer *p = producer(&f, o, &h);
    for (uint64_t i = 0; i < 8; i++)
        assert_int_equal(produce(p, i, &err), 0);
    assert_int_equal(weir_s2_producer_flush(p, &err), 0);
    assert_int_equal(f.m->inputs, 2);
    weir_s2_producer_close(p);
    close_all(&f);
}

static void producer_lingers(void **state)
{
    struct fixture f;
    struct heard h;
    struct weir_s2_err err;
    struct weir_s2_producer_options o = WEIR_S2_PRODUCER_INIT;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    o.linger_ms = 20;
    struct weir_s2_producer *p = producer(&f, o, &h);
    assert_int_equal(produce(p, 0, &err), 0);
    assert_int_equal(weir_s2_producer_turn(p, 0, &err), 0);
    assert_int_equal(f.m->inputs, 0);
    uint64_t end = time_mono_us() + 5000000;
    while (h.count == 0 && time_mono_us() < end) {
        int due = weir_s2_producer_due(p);
        poll(NULL, 0, due > 0 ? due : 0);
        assert_int_equal(weir_s2_producer_turn(p, 10, &err), 0);
    }
    assert_int_equal(h.count, 1);
    weir_s2_producer_close(p);
    close_all(&f);
}

static void producer_is_idempotent(void **state)
{
    struct fixture f;
    struct heard h;
    struct weir_s2_err err;
    struct weir_s2_producer_options o = WEIR_S2_PRODUCER_INIT;
    (void)state;
    struct weir_s2_options patient = WEIR_S2_OPTIONS_INIT;
    patient.attempts = 20;
    open_all(&f, patient, NULL);
    o.batch_records = 3;
    struct weir_s2_producer *p = producer(&f, o, &h);
    for (uint64_t i = 0; i < 2000; i++) {
        if (i % 100 == 50)
            MODEL_SET(f.m, f.m->faults.lose_ack = 1);
        if (i % 300 == 99)
            MODEL_SET(f.m, f.m->faults.drop_input = 1);
        assert_int_equal(produce(p, i, &err), 0);
    }
    assert_int_equal(weir_s2_producer_flush(p, &err), 0);
    assert_int_equal(h.count, 2000);
    assert_true(h.in_order);
    expect_stream(f.m, 2000);
    weir_s2_producer_close(p);
    close_all(&f);
}

static void producer_notices_another_writer(void **state)
{
    struct fixture f;
    struct heard h;
    struct weir_s2_err err;
    struct s2_record other = {.body = span_str("other")};
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    struct weir_s2_producer *p = producer(&f, WEIR_S2_PRODUCER_INIT, &h);
    assert_int_equal(produce(p, 0, &err), 0);
    assert_int_equal(weir_s2_producer_flush(p, &err), 0);
    MODEL_SET(f.m, model_add(f.m, &other));
    int rc = produce(p, 1, &err);
    assert_int_equal(rc == 0 ? weir_s2_producer_flush(p, &err) : rc, ERR_CONDITION);
    assert_int_equal(err.seq_num, 2);
    assert_int_equal(h.count, 1);
    weir_s2_producer_close(p);
    close_all(&f);
}

static void producer_refuses_what_fits_nowhere(void **state)
{
    struct fixture f;
    struct heard h;
    struct weir_s2_err err;
    (void)state;
    open_all(&f, WEIR_S2_OPTIONS_INIT, NULL);
    struct weir_s2_producer *p = producer(&f, WEIR_S2_PRODUCER_INIT, &h);
    size_t len = 1024 * 1024 - 7;
    uint8_t *body = calloc(1, len);
    struct s2_record r = {.body = span_of(body, len)};
    assert_int_equal(weir_s2_producer_append(p, &r, NULL, &err), ERR_TOO_LARGE);
    r.body.len--;
    assert_int_equal(weir_s2_producer_append(p, &r, NULL, &err), 0);
    assert_int_equal(weir_s2_producer_append(p, &r, NULL, &err), 0);
    assert_int_equal(weir_s2_producer_flush(p, &err), 0);
    assert_int_equal(f.m->inputs, 2);
    free(body);
    weir_s2_producer_close(p);
    close_all(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks_come_in_order),
        cmocka_unit_test(limits_hold_back),
        cmocka_unit_test(submit_waits_for_room),
        cmocka_unit_test(a_mismatch_spoils),
        cmocka_unit_test(limits_of_a_batch_spoil_nothing),
        cmocka_unit_test(lost_acks_with_match_are_found),
        cmocka_unit_test(anothers_record_is_not_ours),
        cmocka_unit_test(certain_policy_stops_in_doubt),
        cmocka_unit_test(without_match_it_is_sent_again),
        cmocka_unit_test(attempts_end),
        cmocka_unit_test(refused_sessions_say_why),
        cmocka_unit_test(silence_of_acks_ends_a_session),
        cmocka_unit_test(advice_to_come_back_is_taken),
        cmocka_unit_test(producer_batches),
        cmocka_unit_test(producer_limits_bytes),
        cmocka_unit_test(producer_lingers),
        cmocka_unit_test(producer_is_idempotent),
        cmocka_unit_test(producer_notices_another_writer),
        cmocka_unit_test(producer_refuses_what_fits_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
