/* Appends of the S2 API below their routes: frames from an input, who gets in, what a refusal takes with it. */
#include "tests/unit/store_fixture.h"

#include "base/s2/proto.h"
#include "daemon/s2/append_batch.h"
#include "daemon/s2/append_gate.h"

/* --- who gets in ---------------------------------------------------------------------------------------------- */

struct guest {
    struct gate_wait wait;
    struct append_gate *gate;
    struct guest *leaves; /* when it is let in */
    int order;
};

static int arrivals;

static void let_in(struct gate_wait *wait)
{
    struct guest *guest = (struct guest *)wait;
    guest->order = ++arrivals;
    if (guest->leaves)
        gate_leave(guest->gate, guest->leaves->wait.bytes);
}

static bool enter(struct append_gate *gate, struct guest *guest, uint64_t bytes)
{
    *guest = (struct guest){.wait = {.bytes = bytes, .admitted = let_in}, .gate = gate};
    return gate_enter(gate, &guest->wait);
}

static void test_gate_bounds(void **state)
{
    (void)state;
    struct append_gate gate = {.limit = 100};
    struct guest a, b, c, d;
    arrivals = 0;
    assert_true(enter(&gate, &a, 60));
    assert_true(enter(&gate, &b, 40));
    assert_false(enter(&gate, &c, 50));
    assert_false(enter(&gate, &d, 1)); /* it would fit soon, and waits for its turn all the same */
    gate_leave(&gate, 40);
    assert_int_equal(arrivals, 0);
    gate_leave(&gate, 60);
    assert_int_equal(c.order, 1);
    assert_int_equal(d.order, 2);
    assert_int_equal(gate.used, 51);
    gate_leave(&gate, 50);
    gate_leave(&gate, 1);
    assert_int_equal(gate.used, 0);
    assert_null(gate.first);
    assert_null(gate.last);
}

static void test_gate_large(void **state)
{
    (void)state;
    struct append_gate gate = {.limit = 100};
    struct guest large, small;
    arrivals = 0;
    assert_true(enter(&gate, &large, 1000)); /* alone it gets in whatever its size */
    assert_false(enter(&gate, &small, 1));
    gate_leave(&gate, 1000);
    assert_int_equal(small.order, 1);
    assert_false(enter(&gate, &large, 1000));
    gate_leave(&gate, 1);
    assert_int_equal(large.order, 2);
    gate_leave(&gate, 1000);
    struct append_gate unset = {0};
    assert_true(enter(&unset, &small, GATE_LIMIT));
    assert_false(enter(&unset, &large, 1));
}

static void test_gate_cancel(void **state)
{
    (void)state;
    struct append_gate gate = {.limit = 10};
    struct guest in, first, second, third;
    arrivals = 0;
    assert_true(enter(&gate, &in, 5));
    assert_false(enter(&gate, &first, 6));
    assert_false(enter(&gate, &second, 5));
    assert_false(enter(&gate, &third, 5));
    gate_cancel(&gate, &third.wait);
    gate_cancel(&gate, &first.wait); /* what it stood in the way of gets in */
    assert_int_equal(second.order, 1);
    assert_int_equal(first.order, 0);
    gate_cancel(&gate, &first.wait);
    gate_cancel(&gate, &second.wait); /* it is in */
    assert_int_equal(gate.used, 10);
    gate_leave(&gate, 10);
    assert_int_equal(third.order, 0);
    assert_null(gate.first);
}

/* One that is let in gives back what another held, from within. */
static void test_gate_nested(void **state)
{
    (void)state;
    struct append_gate gate = {.limit = 10};
    struct guest a, b, c, d;
    arrivals = 0;
    assert_true(enter(&gate, &a, 5));
    assert_true(enter(&gate, &b, 5));
    assert_false(enter(&gate, &c, 5));
    assert_false(enter(&gate, &d, 5));
    c.leaves = &b;
    gate_leave(&gate, 5);
    assert_int_equal(c.order, 1);
    assert_int_equal(d.order, 2);
    assert_int_equal(gate.used, 10);
}

/* --- frames ------------------------------------------------------------------------------------------------------ */

static struct s2_header header(const char *name, const char *value)
{
    return (struct s2_header){span_str(name), span_str(value)};
}

/* The batch's input, read from its message as a session does. */
static void take_input(struct append_batch *batch, const struct s2_record *records, size_t count)
{
    const struct s2_input input = {.records = (struct s2_record *)(uintptr_t)records, .count = count};
    *batch = (struct append_batch){0};
    assert_int_equal(s2_proto_put_input(&batch->message, &input), 0);
    assert_int_equal(s2_proto_read_input(&batch->input, buf_span(&batch->message), NULL), 0);
}

static void assert_span(struct span got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    if (got.len > 0)
        assert_memory_equal(got.ptr, want, got.len);
}

static void test_frames(void **state)
{
    (void)state;
    struct append_batch batch;
    const struct append_stream stream = {.name = span_str("s"), .authority = AUTHORITY_EXEC};
    const struct s2_header one = header("a", "1"), two = header("b", "2"), fence = header("", "fence");
    const struct s2_record records[] = {{.headers = &one, .header_count = 1, .body = span_str("x")},
                                        {.has_timestamp = true, .timestamp = 7},
                                        {.headers = &fence, .header_count = 1, .body = span_str("token")},
                                        {.headers = &two, .header_count = 1}};
    uint8_t digest[DIGEST_SIZE];
    take_input(&batch, records, 4);
    assert_int_equal(append_batch_check(&batch, NULL), 0);
    assert_true(batch.fences);
    assert_false(batch.trims);
    assert_int_equal(batch.metered, 4 * 8 + 2 * 3 + 2 + 1 + 5 + 5 + 2);
    assert_int_equal(append_batch_frames(&batch, &stream, NULL), 0);
    assert_span(batch.frames[0].meta, "{\"a\":\"1\"}");
    assert_span(batch.frames[0].content, "x");
    cas_digest(digest, span_str("x"));
    assert_memory_equal(batch.frames[0].digest, digest, DIGEST_SIZE);
    assert_span(batch.frames[1].meta, "");
    assert_false(batch.frames[1].has_hash);
    assert_true(batch.frames[1].has_stamp);
    assert_int_equal(batch.frames[1].stamp, 7);
    assert_int_equal(batch.frames[2].command, COMMAND_FENCE);
    assert_span(batch.frames[2].content, "token");
    assert_span(batch.frames[3].meta, "{\"b\":\"2\"}");
    append_batch_op(&batch, NULL, NULL);
    assert_true(batch.submission.op.stream);
    assert_int_equal(batch.submission.op.authority, AUTHORITY_EXEC);
    assert_int_equal(batch.submission.op.count, 4);
    append_batch_finish(&batch);
}

/* Records are sealed, commands are not; the same batch can be made again when its key is known. */
static void test_sealed_frames(void **state)
{
    (void)state;
    struct append_batch batch;
    struct append_stream stream = {.name = span_str("s")};
    const struct store_topic topic = {.name = span_str("s")};
    const struct s2_header one = header("a", "1"), trim = header("", "trim");
    const struct s2_record records[] = {{.headers = &one, .header_count = 1, .body = span_str("x")},
                                        {.headers = &trim, .header_count = 1, .body = span_str("12345678")},
                                        {.body = span_str("y")}};
    struct s2_record got = {0};
    struct s2_headers headers = {0};
    struct buf room = BUF_INIT;
    take_input(&batch, records, 3);
    assert_int_equal(append_batch_check(&batch, NULL), 0);
    assert_true(batch.trims);
    assert_int_equal(append_batch_frames(&batch, &stream, NULL), 0);
    assert_span(batch.frames[2].content, "y");
    stream.sealed = true;
    stream.key[0] = 1;
    assert_int_equal(append_batch_frames(&batch, &stream, NULL), 0);
    assert_span(batch.frames[0].meta, S2_SEALED_META);
    assert_int_equal(s2_unseal(&got, &headers, &room, stream.key, &topic, batch.frames[0].content, NULL), 0);
    assert_span(got.body, "x");
    assert_span(got.headers[0].name, "a");
    assert_int_equal(batch.frames[1].command, COMMAND_TRIM);
    assert_span(batch.frames[1].content, "12345678");
    assert_int_equal(s2_unseal(&got, &headers, &room, stream.key, &topic, batch.frames[2].content, NULL), 0);
    assert_span(got.body, "y");
    append_batch_finish(&batch);
    s2_headers_finish(&headers);
    buf_finish(&room);
}

static void test_refused_shapes(void **state)
{
    (void)state;
    struct append_batch batch;
    struct err err = ERR_INIT;
    const struct s2_header unknown = header("", "nope"), trim = header("", "trim");
    const struct s2_record bad[] = {{.headers = &unknown, .header_count = 1},
                                    {.headers = &trim, .header_count = 1, .body = span_str("5")}};
    for (size_t i = 0; i < 2; i++) {
        take_input(&batch, &bad[i], 1);
        assert_int_equal(append_batch_check(&batch, &err), ERR_INVALID);
        append_batch_finish(&batch);
    }
    take_input(&batch, NULL, 0);
    assert_int_equal(append_batch_check(&batch, &err), ERR_INVALID);
    append_batch_finish(&batch);
}

/* --- in the store -------------------------------------------------------------------------------------------------- */

static const struct topic_make plain_make = {.rules = {.retention_ms = 0}};

/* A batch of one record as an operation on the stream, made where it is not there. */
static void prepare(struct append_batch *batch, const struct append_stream *stream, const char *body, struct store_chain *chain)
{
    const struct s2_record record = {.body = span_str(body)};
    take_input(batch, &record, 1);
    assert_int_equal(append_batch_check(batch, NULL), 0);
    assert_int_equal(append_batch_frames(batch, stream, NULL), 0);
    append_batch_op(batch, &plain_make, chain);
}

/* Batches judged together; what asks the owner finds it by op->owner, which is the submission here as in the daemon. */
struct together {
    struct append_batch batch;
    struct gather_wait *wait;
};

static void batch_done(struct store_op *op)
{
    struct together *one = (struct together *)op->owner;
    struct gather_wait *wait = one->wait;
    pthread_mutex_lock(&wait->lock);
    wait->left--;
    pthread_cond_signal(&wait->cond);
    pthread_mutex_unlock(&wait->lock);
}

static void run_batches(struct play *play, struct together *all, int count)
{
    struct gather_wait wait = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, count};
    for (int i = 0; i < count; i++) {
        all[i].wait = &wait;
        all[i].batch.submission.op.done = batch_done;
        all[i].batch.submission.op.owner = &all[i].batch.submission;
        store_submit(play->store, &all[i].batch.submission.op);
    }
    pthread_mutex_lock(&wait.lock);
    while (wait.left > 0)
        pthread_cond_wait(&wait.cond, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
}

#define CHAINED 40

/* The one in the middle is refused: all before it are there, none behind it, of its chain; another chain goes on. */
static void test_chain(void **state)
{
    struct play *play = *state;
    const struct append_stream stream = {.name = span_str("s")}, other = {.name = span_str("t")};
    struct store_chain chain = {0}, second = {0};
    struct together *all = calloc(2 * CHAINED, sizeof(*all));
    assert_non_null(all);
    for (int i = 0; i < CHAINED; i++) {
        prepare(&all[2 * i].batch, &stream, "x", &chain);
        prepare(&all[2 * i + 1].batch, &other, "y", &second);
    }
    all[CHAINED].batch.submission.op.has_expect_seq = true;
    all[CHAINED].batch.submission.op.expect_seq = 1000;
    run_batches(play, all, 2 * CHAINED);
    for (int i = 0; i < CHAINED; i++) {
        int want = i < CHAINED / 2 ? 0 : i == CHAINED / 2 ? ERR_CONDITION : ERR_UNAVAILABLE;
        assert_int_equal(all[2 * i].batch.submission.op.result, want);
        assert_int_equal(all[2 * i + 1].batch.submission.op.result, 0);
        struct s2_ack ack = append_batch_ack(&all[2 * i + 1].batch);
        assert_int_equal(ack.start.seq_num, i);
        assert_int_equal(ack.end.seq_num, i + 1);
        append_batch_finish(&all[2 * i].batch);
        append_batch_finish(&all[2 * i + 1].batch);
    }
    assert_true(chain.broken);
    assert_false(second.broken);
    assert_int_equal(count_topic(play, "s"), CHAINED / 2);
    assert_int_equal(count_topic(play, "t"), CHAINED);
    free(all);
}

/* Another life of the name is not appended to, and nothing is made for one who is not let in. */
static void test_admit(void **state)
{
    struct play *play = *state;
    struct together one = {0};
    struct append_stream stream = {.name = span_str("s"), .no = 999};
    prepare(&one.batch, &stream, "x", NULL);
    run_batches(play, &one, 1);
    assert_int_equal(one.batch.submission.op.result, ERR_NOT_FOUND);
    append_batch_finish(&one.batch);
    struct store_topic_op look = {.deed = TOPIC_LOOK, .name = span_str("s")};
    struct store_op op = {.kind = STORE_TOPIC, .topic = &look};
    assert_int_equal(store_run(play->store, &op), ERR_NOT_FOUND);
    stream.no = 0;
    prepare(&one.batch, &stream, "x", NULL);
    run_batches(play, &one, 1);
    assert_int_equal(one.batch.submission.op.result, 0);
    append_batch_finish(&one.batch);
    op = (struct store_op){.kind = STORE_TOPIC, .topic = &look};
    assert_int_equal(store_run(play->store, &op), 0);
    stream.no = look.view.no;
    stream.created_ms = look.view.created_ms;
    prepare(&one.batch, &stream, "x", NULL);
    run_batches(play, &one, 1);
    assert_int_equal(one.batch.submission.op.result, 0);
    append_batch_finish(&one.batch);
}

/* Plain records do not get into a stream whose records are encrypted. */
static void test_needs_key(void **state)
{
    struct play *play = *state;
    struct together one = {0};
    struct buf note = BUF_INIT;
    const struct s2_stream_note sealed = {.storage_class = "express", .cipher = S2_AES_256_GCM};
    assert_int_equal(s2_stream_note_put(&note, &sealed), 0);
    const struct topic_make make = {.note = buf_span(&note)};
    const struct append_stream stream = {.name = span_str("s")};
    for (int there = 0; there < 2; there++) {
        prepare(&one.batch, &stream, "x", NULL);
        one.batch.submission.op.make = &make;
        run_batches(play, &one, 1);
        assert_int_equal(one.batch.submission.op.result, ERR_INVALID);
        assert_true(one.batch.needs_key);
        append_batch_finish(&one.batch);
        struct store_topic_op topic = {.deed = TOPIC_PUT, .name = span_str("s"), .make = &make};
        struct store_op op = {.kind = STORE_TOPIC, .topic = &topic};
        assert_int_equal(store_run(play->store, &op), 0);
        assert_int_equal(topic.made, !there);
    }
    assert_int_equal(count_topic(play, "s"), 0);
    buf_finish(&note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gate_bounds),
                                       cmocka_unit_test(test_gate_large),
                                       cmocka_unit_test(test_gate_cancel),
                                       cmocka_unit_test(test_gate_nested),
                                       cmocka_unit_test(test_frames),
                                       cmocka_unit_test(test_sealed_frames),
                                       cmocka_unit_test(test_refused_shapes),
                                       cmocka_unit_test_setup_teardown(test_chain, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_admit, setup, teardown),
                                       cmocka_unit_test_setup_teardown(test_needs_key, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
