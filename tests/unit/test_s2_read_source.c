/* Records of a stream out of a real store: from memory and disk, in batches, with holes, contents elsewhere, and when it is made anew. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/s2/proto.h"
#include "base/text.h"
#include "daemon/s2/read_source.h"
#include "tests/store/play.h"

struct test {
    struct play play;
    struct cas *cas;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    struct err err = ERR_INIT;
    play_begin(&t->play);
    play_open(&t->play);
    assert_int_equal(cas_open(&t->cas, store_dirfd(t->play.store), "cas", &err), 0);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    cas_close(t->cas);
    play_end(&t->play);
    free(t);
    return 0;
}

/* --- reading -------------------------------------------------------------------------------------------------- */

static struct store_topic look(struct test *t, const char *stream)
{
    struct store_topic_op topic = {.deed = TOPIC_LOOK, .name = span_str(stream)};
    struct store_op op = {.kind = STORE_TOPIC, .topic = &topic};
    assert_int_equal(store_run(t->play.store, &op), 0);
    return (struct store_topic){.name = span_str(stream), .no = topic.view.no, .next_seq = topic.view.next_seq};
}

static struct read_source source_at(struct test *t, const char *stream, enum read_begin begin, uint64_t from)
{
    struct read_source src = {.store = t->play.store,
                              .cas = t->cas,
                              .topic = look(t, stream),
                              .caps = {1000, 1 << 20},
                              .limits = {.count = UINT64_MAX, .bytes = UINT64_MAX}};
    struct read_plan plan = {.begin = begin, .from = from};
    struct err err = ERR_INIT;
    assert_int_equal(read_source_seek(&src, &plan, &err), 0);
    return src;
}

struct got {
    struct read_batch batch;
    struct s2_batch read;
    enum read_step step;
    int result;
    struct err err;
};

static struct got fill(struct read_source *src, bool may_block)
{
    struct got got = {.batch = {.form = READ_PROTO}};
    struct err err = ERR_INIT;
    got.result = read_source_fill(src, &got.batch, may_block, &got.step, &got.err);
    assert_int_equal(read_batch_end(&got.batch, NULL, false), 0);
    assert_int_equal(s2_proto_read_batch(&got.read, buf_span(&got.batch.bytes), &err), 0);
    assert_int_equal(got.read.count, got.batch.count);
    return got;
}

static void done(struct got *got)
{
    s2_batch_finish(&got->read);
    read_batch_finish(&got->batch);
}

static void flush(struct test *t)
{
    struct err err = ERR_INIT;
    assert_int_equal(store_flush(t->play.store, &err), 0);
}

static void assert_seqs(const struct got *got, uint64_t first, size_t count)
{
    assert_int_equal(got->result, 0);
    assert_int_equal(got->read.count, count);
    for (size_t i = 0; i < count; i++)
        assert_true(got->read.records[i].seq_num == first + i);
}

static void test_batches(void **state)
{
    struct test *t = *state;
    for (int i = 0; i < 10; i++) {
        put_frame(&t->play, "s", "body", FOREVER);
        put_frame(&t->play, "other", "body", FOREVER);
        put_frame(&t->play, "s", NULL, EPHEMERAL);
    }
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 3);
    src.caps.count = 4;
    struct got got = fill(&src, true);
    assert_seqs(&got, 3, 4);
    assert_int_equal(got.step, READ_CUT);
    assert_true(span_is(got.read.records[0].body, "body"));
    done(&got);
    got = fill(&src, true);
    assert_seqs(&got, 7, 3);
    assert_int_equal(got.step, READ_LAST);
    done(&got);
    got = fill(&src, false);
    assert_seqs(&got, 0, 0);
    assert_int_equal(got.step, READ_LAST);
    done(&got);
    put_frame(&t->play, "s", "later", FOREVER);
    got = fill(&src, false); /* what is new lies in memory */
    assert_seqs(&got, 10, 1);
    done(&got);
    read_source_finish(&src);
}

/* A record of 4 bytes is metered 12. */
static void test_limits(void **state)
{
    struct test *t = *state;
    for (int i = 0; i < 6; i++)
        put_frame(&t->play, "s", "body", FOREVER);
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 0);
    src.caps.bytes = 30;
    src.limits.bytes = 50;
    struct got got = fill(&src, true);
    assert_seqs(&got, 0, 2);
    assert_true(got.step == READ_CUT && got.batch.metered == 24 && src.limits.bytes == 26);
    done(&got);
    got = fill(&src, true);
    assert_seqs(&got, 2, 2);
    assert_int_equal(got.step, READ_ENDED); /* the next one is over the read's own limit */
    done(&got);
    read_source_finish(&src);
    src = source_at(t, "s", READ_FROM_SEQ, 5);
    src.limits.count = 1;
    got = fill(&src, true);
    assert_seqs(&got, 5, 1);
    assert_int_equal(got.step, READ_ENDED); /* nothing more can come */
    done(&got);
    read_source_finish(&src);
}

static void test_headers(void **state)
{
    struct test *t = *state;
    struct store_frame frame = frame_in("s", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    frame.meta = span_str("{\"a\":\"b\",\"c\":\"\"}");
    assert_int_equal(store_run(t->play.store, &op), 0);
    frame.meta = span_str("[1]");
    assert_int_equal(store_run(t->play.store, &op), 0);
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 0);
    struct got got = fill(&src, true);
    assert_seqs(&got, 0, 2);
    assert_int_equal(got.read.records[0].header_count, 2);
    assert_true(span_is(got.read.records[0].headers[1].name, "c"));
    assert_true(span_is(got.read.records[1].headers[0].name, "xs-meta"));
    assert_true(span_is(got.read.records[1].headers[0].value, "[1]"));
    done(&got);
    read_source_finish(&src);
}

/* --- contents that lie elsewhere ------------------------------------------------------------------------------------ */

static void put_blob(struct test *t, size_t size, bool keep)
{
    struct store_frame frame = frame_in("s", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    struct err err = ERR_INIT;
    uint8_t *bytes = calloc(1, size);
    memset(bytes, (int)(size % 251), size);
    if (keep) {
        struct cas_put *put;
        assert_int_equal(cas_put_begin(t->cas, &put, &err), 0);
        assert_int_equal(cas_put_write(put, span_of(bytes, size), &err), 0);
        assert_int_equal(cas_put_finish(put, frame.digest, &frame.content_size, &err), 0);
    } else {
        cas_digest(frame.digest, span_of(bytes, size));
        frame.content_size = size;
    }
    free(bytes);
    frame.has_hash = true;
    frame.meta = span_str("{\"k\":\"v\"}");
    assert_int_equal(store_run(t->play.store, &op), 0);
}

static void assert_blob(const struct s2_record *record, size_t size)
{
    assert_int_equal(record->body.len, size);
    for (size_t i = 0; i < size; i += 997)
        assert_int_equal(record->body.ptr[i], size % 251);
    assert_int_equal(record->header_count, 1);
}

static void test_blobs(void **state)
{
    struct test *t = *state;
    put_frame(&t->play, "s", "first", FOREVER);
    put_blob(t, 100000, true);
    put_frame(&t->play, "s", "between", FOREVER);
    put_blob(t, 300000, true);
    put_blob(t, 1024 * 1024, true);
    put_blob(t, 1024 * 1024 + 1, true);
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 0);
    struct got got = fill(&src, false);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.step, READ_DISK);
    assert_true(got.read.count <= 1);
    size_t had = got.read.count;
    done(&got);
    got = fill(&src, true);
    assert_int_equal(got.result, 0);
    assert_int_equal(got.read.count, 4 - had); /* the next one is over the batch's bytes */
    assert_int_equal(got.step, READ_CUT);
    assert_blob(&got.read.records[1 - had], 100000);
    assert_blob(&got.read.records[3 - had], 300000);
    done(&got);
    got = fill(&src, true);
    assert_seqs(&got, 4, 1); /* alone it may be over them */
    assert_blob(&got.read.records[0], 1024 * 1024);
    done(&got);
    got = fill(&src, true);
    assert_seqs(&got, 5, 1);
    assert_int_equal(got.read.records[0].body.len, 0);
    assert_int_equal(got.read.records[0].header_count, 3);
    assert_true(span_is(got.read.records[0].headers[1].name, "weir-hash"));
    assert_int_equal(got.read.records[0].headers[1].value.len, SRI_TEXT_LEN);
    assert_true(span_is(got.read.records[0].headers[2].value, "1048577"));
    assert_int_equal(got.step, READ_LAST);
    done(&got);
    read_source_finish(&src);
}

static void test_missing_blob(void **state)
{
    struct test *t = *state;
    put_blob(t, 100000, false);
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 0);
    struct got got = fill(&src, true);
    assert_int_equal(got.result, ERR_DAMAGED);
    assert_true(got.err.text[0] != 0);
    assert_int_equal(got.read.count, 0);
    done(&got);
    read_source_finish(&src);
}

/* --- other lives, other keys ----------------------------------------------------------------------------------------- */

static void drop(struct test *t, const char *stream)
{
    struct store_topic_op topic = {.deed = TOPIC_DROP, .name = span_str(stream)};
    struct store_op op = {.kind = STORE_TOPIC, .topic = &topic};
    assert_int_equal(store_run(t->play.store, &op), 0);
}

static void test_another_life(void **state)
{
    struct test *t = *state;
    put_frame(&t->play, "s", "old", FOREVER);
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 0);
    drop(t, "s");
    struct got got = fill(&src, true);
    assert_seqs(&got, 0, 0);
    done(&got);
    put_frame(&t->play, "s", "new", FOREVER);
    got = fill(&src, true);
    assert_int_equal(got.result, ERR_NOT_FOUND);
    assert_int_equal(got.read.count, 0);
    done(&got);
    read_source_finish(&src);
}

static void put_sealed(struct test *t, const uint8_t key[static S2_KEY_SIZE], const struct store_topic *topic)
{
    static const struct s2_header headers[] = {{{(const uint8_t *)"h", 1}, {(const uint8_t *)"v", 1}}};
    struct s2_record record = {.headers = headers, .header_count = 1, .body = span_str("secret")};
    struct store_frame frame = frame_in("s", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    struct err err = ERR_INIT;
    CLEAN_BUF content = BUF_INIT;
    assert_int_equal(s2_seal(&content, key, topic, &record, &err), 0);
    frame.meta = span_str(S2_SEALED_META);
    frame.has_hash = frame.has_content = true;
    frame.content = buf_span(&content);
    frame.content_size = content.len;
    cas_digest(frame.digest, frame.content);
    assert_int_equal(store_run(t->play.store, &op), 0);
}

static void test_sealed(void **state)
{
    struct test *t = *state;
    uint8_t key[S2_KEY_SIZE] = {7};
    put_frame(&t->play, "s", "plain", FOREVER);
    struct store_topic topic = look(t, "s");
    put_sealed(t, key, &topic);
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, 0);
    src.sealed = true;
    memcpy(src.key, key, sizeof(key));
    struct got got = fill(&src, true);
    assert_seqs(&got, 0, 2);
    assert_true(span_is(got.read.records[0].body, "plain"));
    assert_true(span_is(got.read.records[1].body, "secret"));
    assert_true(span_is(got.read.records[1].headers[0].name, "h"));
    assert_int_equal(got.batch.metered, 13 + 8 + 2 + 2 + 6); /* as if it were plain */
    done(&got);
    read_source_finish(&src);
    src = source_at(t, "s", READ_FROM_SEQ, 0);
    src.sealed = true; /* with a key of zeros */
    got = fill(&src, true);
    assert_int_equal(got.result, ERR_FORBIDDEN);
    assert_true(got.err.text[0] != 0);
    done(&got);
    read_source_finish(&src);
    src = source_at(t, "s", READ_FROM_SEQ, 1); /* a plain stream: such a meta is only a meta */
    got = fill(&src, true);
    assert_seqs(&got, 1, 1);
    assert_true(span_is(got.read.records[0].headers[0].value, "aes-256-gcm"));
    done(&got);
    read_source_finish(&src);
}

/* --- against a plain list ------------------------------------------------------------------------------------------------ */

static uint32_t rand_state = 1;

static uint32_t below(uint32_t n)
{
    rand_state = rand_state * 1664525u + 1013904223u;
    return (rand_state >> 8) % n;
}

#define FRAMES 600

/* What is live now, from `from` on. */
static size_t model(struct test *t, uint64_t from, uint64_t *seqs)
{
    struct seen_list list = {0};
    size_t n = 0;
    read_query(&t->play, &(struct store_query){.stream = span_str("s")}, 1 << 20, &list);
    for (size_t i = 0; i < list.count; i++)
        if (list.items[i].has_seq && list.items[i].seq >= from)
            seqs[n++] = list.items[i].seq;
    seen_finish(&list);
    return n;
}

static void compare(struct test *t, uint64_t from)
{
    uint64_t want[FRAMES];
    size_t count = model(t, from, want), at = 0;
    struct read_source src = source_at(t, "s", READ_FROM_SEQ, from);
    struct got got;
    bool more = true;
    while (more) {
        src.caps = (struct read_caps){1 + below(50), 8 + below(4000)};
        got = fill(&src, below(2));
        assert_int_equal(got.result, 0);
        for (size_t i = 0; i < got.read.count; i++, at++) {
            assert_true(at < count);
            assert_true(got.read.records[i].seq_num == want[at]);
        }
        more = got.step != READ_LAST;
        done(&got);
    }
    assert_int_equal(at, count);
    read_source_finish(&src);
}

static void test_against_a_list(void **state)
{
    struct test *t = *state;
    struct frame_id ids[FRAMES];
    for (size_t i = 0; i < FRAMES; i++) {
        ids[i] = put_frame(&t->play, below(4) ? "s" : "other", below(3) ? "some content" : NULL,
                           below(20) ? FOREVER : EPHEMERAL);
        if (below(10) == 0)
            take_away(&t->play, ids[below((uint32_t)i + 1)]);
        if (below(60) == 0)
            flush(t);
        if (below(15) == 0)
            compare(t, below((uint32_t)i + 1));
    }
    flush(t);
    for (int i = 0; i < 20; i++)
        compare(t, below(FRAMES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_batches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_blobs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing_blob, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_life, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sealed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_against_a_list, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
