/*
 * Places in .ss files: behind a beacon, at the end, by sequence and time. What is found is what
 * reading everything finds; how much is read does not depend on the file's size.
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

/* --- aligning ----------------------------------------------------------------------------------- */

static void test_align(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("ended-1k");
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 1024);
    static const struct {
        uint64_t n, offset;
    } cases[] = {{0, 128}, {1, 1089}, {2, 2108}, {3, 2108}, {UINT64_MAX, 2108}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t offset;
        assert_int_equal(ss_align(&f, cases[i].n, &offset, NULL), 0);
        assert_int_equal(offset, cases[i].offset);
    }
}

/* Behind the last whole frame, and behind a beacon there. */
static uint64_t naive_tail(const struct model *m, uint32_t interval)
{
    uint64_t end = m->count > 0 ? m->frames[m->count - 1].end : SS_HEADER_SIZE;
    if (end % interval == 0 && end / interval <= m->beacon_count)
        end += m->beacons[end / interval - 1];
    return end;
}

/* The first frame that begins behind beacon n, or the place of the next one; back from there if that is not whole. */
static uint64_t naive_align(const struct model *m, uint32_t interval, uint64_t n)
{
    uint64_t tail = naive_tail(m, interval);
    if (n > m->beacon_count)
        n = m->beacon_count;
    while (n > 0 && tail <= n * interval)
        n--;
    if (n == 0)
        return interval == SS_HEADER_SIZE && m->beacon_count > 0 ? SS_HEADER_SIZE + SS_BEACON_EMPTY : SS_HEADER_SIZE;
    for (size_t i = 0; i < m->count; i++)
        if (m->frames[i].start > n * interval)
            return m->frames[i].start;
    return tail;
}

static void expect_aligned(struct span file, uint32_t interval)
{
    struct model m = model_read(file, interval);
    struct model_bytes bytes = {.file = file};
    struct ss_bytes f = model_file(&bytes, interval);
    for (uint64_t n = 0; n <= file.len / interval + 2; n++) {
        uint64_t offset;
        assert_int_equal(ss_align(&f, n, &offset, NULL), 0);
        assert_int_equal(offset, naive_align(&m, interval, n));
    }
    model_finish(&m);
}

static void test_align_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        CLEAN_BUF file = model_load(names[i]);
        expect_aligned(buf_span(&file), model_interval(&file));
    }
    for (int round = 0; round < 60; round++) {
        struct model_shape shape = model_shape();
        CLEAN_BUF file = model_make(&shape);
        expect_aligned(buf_span(&file), shape.interval);
        expect_aligned(span_of(file.ptr, SS_HEADER_SIZE + model_random(file.len - SS_HEADER_SIZE + 1)), shape.interval);
    }
}

static void test_align_faults(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("multi-1k");
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 1024);
    struct err err = ERR_INIT;
    uint64_t offset = 77;
    file.ptr[3072] = 'x';
    assert_int_equal(ss_align(&f, 3, &offset, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "offset 3072"));
    assert_int_equal(offset, 77);
    assert_int_equal(ss_align(&f, 2, &offset, &err), 0);
}

static long failing_read(void *arg, uint64_t offset, void *into, size_t room)
{
    (void)arg, (void)offset, (void)into, (void)room;
    return -5; /* EIO */
}

static void test_read_faults(void **state)
{
    (void)state;
    struct ss_bytes f = {.read = failing_read, .size = 5000, .interval = 1024};
    struct ss_target target = {.key = span_str("k")};
    struct ss_stream stream = {.key = "k", .key_len = 1};
    uint64_t offset;
    bool ended;
    assert_int_equal(ss_align(&f, 1, &offset, NULL), -5);
    assert_int_equal(ss_find_end(&f, &offset, &ended, NULL), -5);
    assert_int_equal(ss_seek(&f, &target, &offset, NULL), -5);
    assert_int_equal(ss_find_last(&f, 5000, &stream, NULL), -5);
    f.size = 200;
    assert_int_equal(ss_find_end(&f, &offset, &ended, NULL), -5);
}

/* --- the end ------------------------------------------------------------------------------------ */

static uint64_t naive_end(const struct model *m, uint32_t interval, bool *ended)
{
    *ended = m->count > 0 && m->frames[m->count - 1].is_end;
    return *ended ? m->frames[m->count - 1].start : naive_tail(m, interval);
}

static void expect_end(struct span file, uint32_t interval)
{
    struct model m = model_read(file, interval);
    struct model_bytes bytes = {.file = file};
    struct ss_bytes f = model_file(&bytes, interval);
    bool ended, naive;
    uint64_t offset;
    assert_int_equal(ss_find_end(&f, &offset, &ended, NULL), 0);
    assert_int_equal(offset, naive_end(&m, interval, &naive));
    assert_int_equal(ended, naive);
    model_finish(&m);
}

static void test_end_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        CLEAN_BUF file = model_load(names[i]);
        /* Cut everywhere; the large one at places that share no rhythm with its beacons. */
        for (size_t len = SS_HEADER_SIZE; len <= file.len; len += file.len > 10000 ? 397 : 1)
            expect_end(span_of(file.ptr, len), model_interval(&file));
    }
    for (int round = 0; round < 80; round++) {
        struct model_shape shape = model_shape();
        CLEAN_BUF file = model_make(&shape);
        expect_end(buf_span(&file), shape.interval);
        for (int cut = 0; cut < 20; cut++)
            expect_end(span_of(file.ptr, SS_HEADER_SIZE + model_random(file.len - SS_HEADER_SIZE + 1)), shape.interval);
    }
}

static uint64_t end_cost(struct span file, uint32_t interval, uint64_t expected)
{
    struct model_bytes bytes = {.file = file};
    struct ss_bytes f = model_file(&bytes, interval);
    uint64_t offset;
    bool ended;
    assert_int_equal(ss_find_end(&f, &offset, &ended, NULL), 0);
    assert_int_equal(offset, expected);
    return bytes.bytes;
}

static void test_end_is_quick(void **state)
{
    (void)state;
    CLEAN_BUF small = model_make_large(MIB, 4 * 16, 65536, 0), large = model_make_large(MIB, 64 * 16, 65536, 0);
    assert_true(large.len > 64 * MIB);
    assert_true(end_cost(buf_span(&small), MIB, small.len) < MIB + 20000);
    assert_true(end_cost(buf_span(&large), MIB, large.len) < MIB + 20000);
}

/* A frame of many intervals, whole or not, is not read: few beacons tell where it ends. */
static void test_end_of_long_frame(void **state)
{
    (void)state;
    static const uint32_t intervals[] = {1024, 4096, 65536};
    for (size_t i = 0; i < 3; i++) {
        uint32_t interval = intervals[i];
        CLEAN_BUF head = model_make_large(interval, 20, 1000, 0), file = model_make_large(interval, 20, 1000, 8 * MIB);
        struct model_bytes bytes = {.file = buf_span(&file)};
        struct ss_bytes f = model_file(&bytes, interval);
        uint64_t offset;
        assert_int_equal(ss_align(&f, head.len / interval + 1, &offset, NULL), 0);
        assert_true(offset == file.len);
        assert_true(bytes.bytes < 40000);
        assert_true(end_cost(buf_span(&file), interval, file.len) < interval + 40000);
        for (size_t cut = 1; cut < 8 * MIB; cut = cut * 3 + 511) {
            uint64_t cost = end_cost(span_of(file.ptr, file.len - cut), interval, head.len);
            assert_true(cost < 2 * interval + 100000);
        }
    }
}

/* --- seeking ------------------------------------------------------------------------------------ */

static bool meant(const struct ss_target *t, const struct model_frame *f)
{
    if (!span_is(t->key, f->key) || (!t->any_shard && t->shard != f->shard))
        return false;
    return t->by_time ? f->time_ms > t->value : f->seq >= t->value;
}

static void expect_sought(struct span file, uint32_t interval, const struct model *m, const struct ss_target *t)
{
    struct model_bytes bytes = {.file = file};
    struct ss_bytes f = model_file(&bytes, interval);
    struct err err = ERR_INIT;
    uint64_t offset = 77;
    size_t i = 0;
    while (i < m->count && !meant(t, &m->frames[i]))
        i++;
    int rc = ss_seek(&f, t, &offset, &err);
    assert_int_equal(rc, i < m->count ? 0 : ERR_RANGE);
    assert_int_equal(offset, i < m->count ? m->frames[i].start : 77);
    if (rc < 0)
        assert_non_null(strstr(err.text, "out of bound: "));
}

static void test_seek(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("ended-1k");
    struct model m = model_read(buf_span(&file), 1024);
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 1024);
    static const struct {
        bool by_time;
        uint64_t value, next;
    } cases[] = {{false, 20, 20}, {true, 1700000020000, 21}, {false, 0, 1}, {false, 40, 40}, {true, 0, 1}, {false, 999, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ss_target t = {.key = span_str("hello"), .by_time = cases[i].by_time, .value = cases[i].value};
        uint64_t offset;
        int rc = ss_seek(&f, &t, &offset, NULL);
        assert_int_equal(rc, cases[i].next > 0 ? 0 : ERR_RANGE);
        if (rc == 0)
            assert_int_equal(offset, m.frames[cases[i].next - 1].start);
        expect_sought(buf_span(&file), 1024, &m, &t);
    }
    model_finish(&m);
}

/* Every stream of the fixtures at every sequence and time, also streams that are not there. */
static void test_seek_fixtures(void **state)
{
    (void)state;
    static const char *const keys[] = {"hello", "alpha", "beta", "gamma", "log", "other", "none", SS_KEY_INTERNAL};
    for (size_t i = 0; i < NAMES; i++) {
        CLEAN_BUF file = model_load(names[i]);
        uint32_t interval = model_interval(&file);
        struct model m = model_read(buf_span(&file), interval);
        for (size_t k = 0; k < 8 * 3; k++) {
            struct ss_target t = {.key = span_str(keys[k / 3]), .any_shard = k % 3 == 2, .shard = k % 3};
            for (t.value = 0; t.value < 45; t.value++)
                expect_sought(buf_span(&file), interval, &m, &t);
            t.by_time = true;
            for (size_t n = 0; n < m.count; n++) {
                t.value = m.frames[n].time_ms;
                expect_sought(buf_span(&file), interval, &m, &t);
            }
        }
        model_finish(&m);
    }
}

static void seek_random(const struct model_shape *shape, struct span file, const struct model *m)
{
    for (int i = 0; i < 40; i++) {
        char key[64];
        model_key(key, model_random(shape->keys + 1));
        struct ss_target t = {.key = span_str(key),
                              .any_shard = (shape->sessions == 1 || shape->takes_over) && model_random(3) == 0,
                              .shard = model_random(shape->shards + 1),
                              .by_time = model_random(2) == 0};
        t.value = t.by_time ? 1700000000000 + model_random(shape->messages * 10 + 20) : model_random(250);
        expect_sought(file, shape->interval, m, &t);
    }
}

static void test_seek_random(void **state)
{
    (void)state;
    for (int round = 0; round < 80; round++) {
        struct model_shape shape = model_shape();
        if (round % 4 == 0) { /* within one session items tell the highest */
            shape.rising = false;
            shape.sessions = 1;
        }
        CLEAN_BUF file = model_make(&shape);
        struct span part = span_of(file.ptr, file.len - (model_random(2) == 0 ? 0 : model_random(file.len - SS_HEADER_SIZE + 1)));
        struct model m = model_read(part, shape.interval);
        seek_random(&shape, part, &m);
        model_finish(&m);
    }
}

static void test_seek_is_quick(void **state)
{
    (void)state;
    CLEAN_BUF file = model_make_large(65536, 100000, 600, 0);
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 65536);
    uint64_t offset;
    for (uint64_t seq = 1; seq <= 100000; seq += 9999) {
        struct ss_target t = {.key = span_str("k"), .any_shard = seq % 2 == 0, .value = seq};
        bytes.calls = bytes.bytes = 0;
        assert_int_equal(ss_seek(&f, &t, &offset, NULL), 0);
        assert_true(bytes.calls < 60 && bytes.bytes < 300000);
        assert_int_equal(get_be64(file.ptr + offset + 10), seq);
    }
}

/* Most beacons do not list the stream: it takes turns with many, and comes late. */
static void test_seek_rare_stream(void **state)
{
    (void)state;
    struct ss_pack p;
    struct ss_header h = {.interval = 1024};
    CLEAN_BUF file = BUF_INIT;
    static const uint8_t payload[300];
    ss_pack_begin(&p, 1024, 0);
    assert_int_equal(ss_pack_header(&p, &h, &file), 0);
    for (uint64_t i = 0; i < 30000; i++) {
        struct ss_message m = {.key = span_str("k"), .shard = i < 20000 ? i % 20 : i % 40, .seq = i, .payload = span_of(payload, 300)};
        assert_int_equal(ss_pack_message(&p, &m, &file, NULL), 0);
    }
    struct model_bytes bytes = {.file = buf_span(&file)};
    struct ss_bytes f = model_file(&bytes, 1024);
    uint64_t offset;
    for (uint64_t shard = 1; shard < 40; shard += 19)
        for (uint64_t i = shard; i < 30000; i += 6000) {
            struct ss_target t = {.key = span_str("k"), .shard = shard, .value = i};
            bytes.bytes = bytes.calls = 0;
            assert_int_equal(ss_seek(&f, &t, &offset, NULL), 0);
            assert_int_equal(get_be64(file.ptr + offset + 2), shard);
            assert_true(get_be64(file.ptr + offset + 10) >= i && (i >= 20000 || shard >= 20 || get_be64(file.ptr + offset + 10) < i + 20));
            assert_true(bytes.calls < 2100);
        }
    ss_pack_finish(&p);
}

/* Damage in a payload on the way hides nothing, and can be the place itself. */
static void test_seek_over_damage(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("flipped-payload");
    struct model m = model_read(buf_span(&file), 1024);
    for (uint64_t seq = 1; seq < 20; seq++) {
        struct ss_target t = {.key = span_str("hello"), .value = seq};
        expect_sought(buf_span(&file), 1024, &m, &t);
    }
    model_finish(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_align),
        cmocka_unit_test(test_align_all),
        cmocka_unit_test(test_align_faults),
        cmocka_unit_test(test_read_faults),
        cmocka_unit_test(test_end_all),
        cmocka_unit_test(test_end_is_quick),
        cmocka_unit_test(test_end_of_long_frame),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_seek_fixtures),
        cmocka_unit_test(test_seek_random),
        cmocka_unit_test(test_seek_is_quick),
        cmocka_unit_test(test_seek_rare_stream),
        cmocka_unit_test(test_seek_over_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
