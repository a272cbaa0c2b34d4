/*
 * Messages into bytes of .ss files: what the real writer wrote comes out byte for byte, and beacons say what is so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/ss_model.h"

/* Reads all and writes it again. */
static struct buf write_again(const struct buf *file)
{
    struct ss_header h;
    struct ss_scan s;
    struct ss_pack p;
    struct ss_message m;
    struct buf out = BUF_INIT;
    size_t used;
    assert_int_equal(ss_header_read(&h, buf_span(file), NULL), 0);
    assert_int_equal(ss_scan_begin(&s, h.interval, SS_HEADER_SIZE, false), 0);
    ss_pack_begin(&p, h.interval, 0);
    assert_int_equal(ss_pack_header(&p, &h, &out), 0);
    while (ss_scan_next(&s, span_of(file->ptr + s.offset, file->len - s.offset), &m, &used, NULL, NULL) == 0) {
        uint64_t due = ss_pack_size(&p, &m), before = out.len;
        if (ss_is_end(&m))
            assert_int_equal(ss_pack_end(&p, m.time_ms, &out, NULL), 0);
        else
            assert_int_equal(ss_pack_message(&p, &m, &out, NULL), 0);
        assert_int_equal(out.len - before, due);
        assert_int_equal(p.offset, out.len);
    }
    ss_scan_finish(&s);
    ss_pack_finish(&p);
    return out;
}

static void test_write_again(void **state)
{
    (void)state;
    static const char *const names[] = {"multi-1k", "basic",       "ended-1k",     "payloads-2k", "large-1k",
                                        "empty",    "boundary-1k", "interval-128", "empty-eos"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CLEAN_BUF file = model_load(names[i]);
        CLEAN_BUF out = write_again(&file);
        assert_int_equal(out.len, file.len);
        assert_memory_equal(out.ptr, file.ptr, file.len);
    }
}

static void test_end_mark(void **state)
{
    (void)state;
    static const struct {
        const char *key, *payload;
        bool end;
    } cases[] = {{SS_KEY_INTERNAL, "EOS", true},    {SS_KEY_INTERNAL, "EO", false}, {SS_KEY_INTERNAL, "EOS ", false},
                 {SS_KEY_INTERNAL, "eos", false},   {"other", "EOS", false},        {SS_KEY_WILDCARD, "EOS", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ss_pack p;
        struct ss_scan s;
        CLEAN_BUF out = BUF_INIT;
        struct ss_message m = {
            .key = span_str(cases[i].key), .shard = 3, .seq = 9, .payload = span_str(cases[i].payload)};
        size_t used;
        ss_pack_begin(&p, 1024, SS_HEADER_SIZE);
        assert_int_equal(ss_pack_message(&p, &m, &out, NULL), 0);
        assert_int_equal(ss_scan_begin(&s, 1024, SS_HEADER_SIZE, false), 0);
        assert_int_equal(ss_scan_next(&s, buf_span(&out), &m, &used, NULL, NULL), 0);
        assert_int_equal(s.ended, cases[i].end);
        assert_int_equal(ss_scan_next(&s, span_of(NULL, 0), &m, &used, NULL, NULL), cases[i].end ? ERR_END : SS_MORE);
        ss_pack_finish(&p);
        ss_scan_finish(&s);
    }
}

static void test_pack_refuses(void **state)
{
    (void)state;
    static char long_key[251];
    memset(long_key, 'k', 250);
    const struct {
        struct ss_message m;
        int rc;
    } cases[] = {{{.key = span_str("")}, ERR_INVALID},
                 {{.key = span_str("a b")}, ERR_INVALID},
                 {{.key = span_str(long_key)}, ERR_INVALID},
                 {{.key = span_str("k"), .time_ms = SS_TIME_MAX + 1}, ERR_INVALID},
                 {{.key = span_str("k"), .payload = {(const uint8_t *)"", UINT32_MAX}}, ERR_TOO_LARGE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ss_pack p;
        CLEAN_BUF out = BUF_INIT;
        struct err err = ERR_INIT;
        ss_pack_begin(&p, 1024, SS_HEADER_SIZE);
        assert_int_equal(ss_pack_message(&p, &cases[i].m, &out, &err), cases[i].rc);
        assert_true(err.text[0] != '\0' && out.len == 0 && p.count == 0 && p.offset == SS_HEADER_SIZE);
        ss_pack_finish(&p);
    }
}

static void test_streams_sorted(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        uint64_t shard;
    } cases[] = {{"b", 1}, {"ab", 0}, {"a", 7}, {"b", 0}, {"a", UINT64_MAX}, {"B", 0}, {"abc", 0}, {"a", 0}};
    static const char *const sorted[] = {"B", "a", "a", "a", "ab", "abc", "b", "b"};
    static const uint64_t shards[] = {0, 0, 7, UINT64_MAX, 0, 0, 0, 1};
    struct ss_pack p;
    bool made;
    ss_pack_begin(&p, 1024, SS_HEADER_SIZE);
    for (size_t round = 0; round < 2; round++)
        for (size_t i = 0; i < 8; i++) {
            struct ss_stream *stream = ss_pack_stream(&p, span_str(cases[i].key), cases[i].shard, &made);
            assert_non_null(stream);
            assert_int_equal(made, round == 0);
            assert_true(stream->shard == cases[i].shard && stream->running == SS_CRC_INIT);
        }
    for (size_t i = 0; i < 8; i++) {
        assert_true(span_is(span_of(p.streams[i]->key, p.streams[i]->key_len), sorted[i]));
        assert_int_equal(p.streams[i]->shard, shards[i]);
    }
    ss_pack_finish(&p);
}

/* Going on where another writer stopped, at every length of the last message: also where a beacon is due. */
static void test_resume(void **state)
{
    (void)state;
    for (size_t len = 0; len < 300; len++) {
        struct ss_pack p;
        struct ss_header h = {.interval = 128};
        uint8_t payload[300] = {0};
        CLEAN_BUF out = BUF_INIT;
        struct ss_message m = {.key = span_str("k"), .seq = 1, .payload = span_of(payload, len)};
        ss_pack_begin(&p, 128, 0);
        assert_int_equal(ss_pack_header(&p, &h, &out), 0);
        assert_int_equal(out.len, 135);
        assert_int_equal(ss_pack_message(&p, &m, &out, NULL), 0);
        ss_pack_finish(&p);
        struct model before = model_read(buf_span(&out), 128);
        out.len = before.frames[0].end; /* without a beacon behind it */
        model_finish(&before);
        ss_pack_begin(&p, 128, out.len);
        assert_int_equal(ss_pack_resume(&p, &out), 0);
        assert_int_equal(p.offset, out.len);
        m.seq = 2;
        assert_int_equal(ss_pack_message(&p, &m, &out, NULL), 0);
        struct model after = model_read(buf_span(&out), 128);
        assert_int_equal(after.count, 2);
        assert_int_equal(after.frames[1].seq, 2);
        model_finish(&after);
        ss_pack_finish(&p);
    }
}

/* --- files at random ---------------------------------------------------------------------------- */

/* What each beacon says remains is what does, and it lists as many streams as it may. */
static void expect_beacons(struct span file, const struct model *model, uint32_t interval)
{
    struct ss_beacon *b = malloc(sizeof *b);
    size_t i = 0;
    for (size_t n = 1; n <= model->beacon_count; n++) {
        uint64_t at = n * interval;
        assert_int_equal(ss_beacon_read(b, span_of(file.ptr + at, file.len - at), NULL), 0);
        assert_int_equal(b->size, model->beacons[n - 1]);
        assert_true(b->count <= ss_beacon_max(interval));
        while (i < model->count && model->frames[i].end < at)
            i++;
        uint64_t remaining = 0;
        for (size_t k = 0; k < model->len && i < model->count && model->frames[i].start < at; k++)
            remaining += model->offsets[k] > at && model->offsets[k] < model->frames[i].end;
        assert_int_equal(b->remaining, remaining);
    }
    free(b);
}

static void test_random_files(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct model_shape shape = model_shape();
        shape.rising = model_random(2) == 0;
        shape.messages = model_random(40);
        shape.sessions = 1; /* it is written again by one */
        CLEAN_BUF file = model_make(&shape);
        struct model model = model_read(buf_span(&file), shape.interval);
        assert_int_equal(model.count, shape.messages + shape.ends);
        expect_beacons(buf_span(&file), &model, shape.interval);
        CLEAN_BUF out = write_again(&file);
        assert_int_equal(out.len, file.len);
        assert_memory_equal(out.ptr, file.ptr, file.len);
        model_finish(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_again),    cmocka_unit_test(test_end_mark), cmocka_unit_test(test_pack_refuses),
        cmocka_unit_test(test_streams_sorted), cmocka_unit_test(test_resume),   cmocka_unit_test(test_random_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
