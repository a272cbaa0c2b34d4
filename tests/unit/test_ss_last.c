/*
 * Going on in .ss files: the last message of a stream, and all streams that the writers before knew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/ss_model.h"

#define MIB (UINT64_C(1) << 20)

static const char *const names[] = {"basic",    "empty",       "empty-eos",    "ended-1k",    "multi-1k",         "payloads-2k",
                                    "large-1k", "boundary-1k", "interval-128", "appended-1k", "truncated-payload"};
#define NAMES (sizeof names / sizeof *names)

/* --- the last message of a stream --------------------------------------------------------------- */

static bool naive_last(const struct model *m, struct ss_stream *io)
{
    bool found = false;
    io->seq = io->time_ms = 0;
    io->running = SS_CRC_INIT;
    for (size_t i = 0; i < m->count && !m->frames[i].is_end; i++) {
        const struct model_frame *f = &m->frames[i];
        uint8_t sum[2];
        if (f->shard != io->shard || !span_is(span_of(io->key, io->key_len), f->key))
            continue;
        found = true;
        put_be16(sum, f->sum);
        io->running = ss_crc(io->running, span_of(sum, 2));
        io->seq = f->seq > io->seq ? f->seq : io->seq;
        io->time_ms = f->time_ms > io->time_ms ? f->time_ms : io->time_ms;
    }
    return found;
}

/* As a writer asks that reopens the file. */
static void expect_last(struct span file, uint32_t interval, const struct model *m, const char *key, uint64_t shard, bool exact)
{
    struct model_bytes bytes = {.file = file};
    struct ss_bytes f = model_file(&bytes, interval);
    struct ss_stream real = {.key_len = (uint8_t)strlen(key), .shard = shard}, naive;
    uint64_t end;
    bool ended;
    memcpy(real.key, key, real.key_len);
    naive = real;
    assert_int_equal(ss_find_end(&f, &end, &ended, NULL), 0);
    bool found = naive_last(m, &naive);
    assert_int_equal(ss_find_last(&f, end, &real, NULL), found ? 0 : ERR_NOT_FOUND);
    if (!found)
        return;
    assert_int_equal(real.seq, naive.seq);
    assert_int_equal(real.time_ms, naive.time_ms);
    if (exact)
        assert_int_equal(real.running, naive.running);
}

static void test_last(void **state)
{
    (void)state;
    static const char *const keys[] = {"hello", "alpha", "beta", "gamma", "log", "other", "none"};
    for (size_t i = 0; i < NAMES; i++) {
        CLEAN_BUF file = model_load(names[i]);
        uint32_t interval = model_interval(&file);
        for (size_t len = file.len; len >= SS_HEADER_SIZE; len -= len > SS_HEADER_SIZE + 301 ? 101 : 1) {
            struct model m = model_read(span_of(file.ptr, len), interval);
            for (size_t k = 0; k < 7 * 2; k++)
                expect_last(span_of(file.ptr, len), interval, &m, keys[k / 2], k % 2, strcmp(names[i], "appended-1k") != 0);
            model_finish(&m);
            if (file.len > 10000)
                break;
        }
    }
}

static void test_last_random(void **state)
{
    (void)state;
    for (int round = 0; round < 80; round++) {
        struct model_shape shape = model_shape();
        shape.rising = round % 3 != 0;
        if (!shape.rising)
            shape.sessions = 1;
        CLEAN_BUF file = model_make(&shape);
        struct span part = span_of(file.ptr, file.len - (model_random(2) == 0 ? 0 : model_random(file.len - SS_HEADER_SIZE + 1)));
        struct model m = model_read(part, shape.interval);
        for (size_t i = 0; i <= shape.keys; i++) {
            char key[64];
            model_key(key, i);
            for (uint64_t shard = 0; shard <= shape.shards; shard++)
                expect_last(part, shape.interval, &m, key, shard, shape.sessions == 1);
        }
        model_finish(&m);
    }
}

static void test_last_is_quick(void **state)
{
    (void)state;
    CLEAN_BUF file = model_make_large(65536, 100000, 600, 0);
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 65536);
    struct ss_stream stream = {.key = "k", .key_len = 1};
    assert_int_equal(ss_find_last(&f, file.len, &stream, NULL), 0);
    assert_int_equal(stream.seq, 100000);
    assert_true(bytes.bytes < 65536 + 20000);
}

/* One scan says of all streams what the searches say of each. */
static void test_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        CLEAN_BUF file = model_load(names[i]);
        uint32_t interval = model_interval(&file);
        struct model_bytes bytes = {.file = buf_span(&file)};
        struct ss_bytes f = model_file(&bytes, interval);
        struct ss_pack all = {0};
        uint64_t end;
        bool ended;
        assert_int_equal(ss_find_end(&f, &end, &ended, NULL), 0);
        ss_pack_begin(&all, interval, 0);
        assert_int_equal(ss_find_all(&f, end, &all, NULL), 0);
        struct model m = model_read(buf_span(&file), interval);
        for (size_t k = 0; k < all.count; k++) {
            struct ss_stream naive = *all.streams[k];
            assert_true(naive_last(&m, &naive));
            assert_true(naive.seq == all.streams[k]->seq && naive.time_ms == all.streams[k]->time_ms &&
                        naive.running == all.streams[k]->running);
        }
        for (size_t k = 0; k < m.count && !m.frames[k].is_end; k++) {
            bool made;
            assert_true(ss_pack_stream(&all, span_str(m.frames[k].key), m.frames[k].shard, &made) && !made);
        }
        model_finish(&m);
        ss_pack_finish(&all);
    }
}

/* --- going on ----------------------------------------------------------------------------------- */

static void put_each(struct ss_pack *p, struct buf *out, unsigned streams, unsigned rounds, size_t size)
{
    static const uint8_t payload[1000];
    for (unsigned i = 0; i < streams * rounds; i++) {
        struct ss_stream *stream = ss_pack_stream(p, span_str("k"), i % streams, NULL);
        struct ss_message m = {.key = span_str("k"), .shard = i % streams, .seq = stream->seq + 1, .payload = span_of(payload, size)};
        assert_int_equal(ss_pack_message(p, &m, out, NULL), 0);
    }
}

/* What one writer knew the next one knows, and lists it, though it writes to one stream alone; for little reading. */
static void try_take_over(uint32_t interval, unsigned streams, unsigned rounds, size_t known)
{
    struct ss_header h = {.interval = interval};
    struct ss_pack p;
    CLEAN_BUF file = BUF_INIT;
    ss_pack_begin(&p, interval, 0);
    assert_int_equal(ss_pack_header(&p, &h, &file), 0);
    put_each(&p, &file, streams, rounds, 300);
    for (unsigned session = 0; session < 3; session++) {
        struct model_bytes bytes = {.file = buf_span(&file)};
        struct ss_bytes f = model_file(&bytes, interval);
        ss_pack_finish(&p);
        ss_pack_begin(&p, interval, file.len);
        assert_int_equal(ss_pack_take_over(&p, &f, file.len, NULL), 0);
        assert_int_equal(p.count, known);
        assert_true(bytes.bytes < 2 * interval + 3 * MIB);
        for (size_t i = 0; i < p.count; i++)
            assert_int_equal(p.streams[i]->seq, rounds + (i == 0 ? session * 300 : 0));
        assert_int_equal(ss_pack_resume(&p, &file), 0);
        put_each(&p, &file, 1, 300, 500);
    }
    ss_pack_finish(&p);
}

static void test_take_over(void **state)
{
    (void)state;
    try_take_over(65536, 1, 3, 1);
    try_take_over(65536, 20, 3, 20);
    try_take_over(65536, 20, 500, 20);
    try_take_over(4096, 6, 200, 6);  /* 7 items a beacon: listed whole */
    try_take_over(4096, 40, 100, 40); /* in turns */
    try_take_over(512, 6, 200, 0);   /* never listed */
}

/* A writer that begins at a multiple of the interval puts an empty beacon there, which says nothing of the streams before. */
static void test_take_over_empty_beacon(void **state)
{
    (void)state;
    static const uint8_t payload[65536];
    struct ss_header h = {.interval = 65536};
    struct ss_pack p;
    CLEAN_BUF file = BUF_INIT;
    ss_pack_begin(&p, h.interval, 0);
    assert_int_equal(ss_pack_header(&p, &h, &file), 0);
    put_each(&p, &file, 20, 20, 300);
    struct ss_message m = {.key = span_str("k"), .seq = 21, .payload = span_of(payload, 65536 - file.len % 65536 - 33)};
    assert_int_equal(ss_pack_message(&p, &m, &file, NULL), 0);
    file.len -= file.len % 65536; /* the beacon is lost */
    for (unsigned session = 0; session < 2; session++) {
        struct model_bytes bytes = {.file = buf_span(&file)};
        struct ss_bytes f = model_file(&bytes, h.interval);
        ss_pack_finish(&p);
        ss_pack_begin(&p, h.interval, file.len);
        assert_int_equal(ss_pack_take_over(&p, &f, file.len, NULL), 0);
        assert_true(p.count == 20 && p.streams[0]->seq == 21 + session && p.streams[19]->seq == 20);
        assert_int_equal(ss_pack_resume(&p, &file), 0);
        put_each(&p, &file, 1, 1, 10);
    }
    ss_pack_finish(&p);
}

static void test_take_over_fixture(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("appended-1k");
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 1024);
    struct ss_pack p;
    uint64_t end;
    bool ended;
    assert_int_equal(ss_find_end(&f, &end, &ended, NULL), 0);
    assert_true(ended);
    ss_pack_begin(&p, 1024, end);
    assert_int_equal(ss_pack_take_over(&p, &f, end, NULL), 0);
    assert_int_equal(p.count, 2);
    assert_true(p.streams[0]->key_len == 3 && p.streams[0]->seq == 40);
    assert_true(p.streams[1]->key_len == 5 && p.streams[1]->seq == 3);
    ss_pack_finish(&p);
    memset(file.ptr + end - 120, 0, 100);
    ss_pack_begin(&p, 1024, end);
    assert_true(ss_pack_take_over(&p, &f, end, NULL) == ERR_FORMAT && p.count == 0);
    ss_pack_finish(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last),
        cmocka_unit_test(test_last_random),
        cmocka_unit_test(test_last_is_quick),
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_take_over),
        cmocka_unit_test(test_take_over_empty_beacon),
        cmocka_unit_test(test_take_over_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
