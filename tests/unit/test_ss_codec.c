/*
 * The parts of .ss files: checksum, header, beacons; messages out of bytes. Fixtures are the real writer's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/unit/ss_model.h"

/* --- parts -------------------------------------------------------------------------------------- */

static void test_crc(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t crc;
    } cases[] = {
        {"123456789", 0x4c06}, {"hello, world", 0x8028}, {"", 0xffff}, {"EOS", 0xed7c}, {"message-1", 0xf79e}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ss_crc(SS_CRC_INIT, span_str(cases[i].text)), cases[i].crc);
    /* However it is cut, and against bit by bit. */
    uint8_t bytes[100];
    uint16_t slow = SS_CRC_INIT;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 91 + 7);
        slow = (uint16_t)(slow ^ bytes[i] << 8);
        for (int bit = 0; bit < 8; bit++)
            slow = (uint16_t)(slow & 0x8000 ? slow << 1 ^ 0xc867 : slow << 1);
    }
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        uint16_t crc = ss_crc(SS_CRC_INIT, span_of(bytes, cut));
        assert_int_equal(ss_crc(crc, span_of(bytes + cut, sizeof bytes - cut)), slow);
    }
}

static void test_header(void **state)
{
    (void)state;
    struct ss_header h;
    uint8_t out[SS_HEADER_SIZE];
    CLEAN_BUF file = model_load("basic");
    assert_int_equal(ss_header_read(&h, buf_span(&file), NULL), 0);
    assert_string_equal(h.name, "basic.ss");
    assert_int_equal(h.name_len, 8);
    assert_int_equal(h.created_ms, 1795191797793);
    assert_int_equal(h.interval, SS_INTERVAL_DEFAULT);
    ss_header_write(out, &h);
    assert_memory_equal(out, file.ptr, SS_HEADER_SIZE);
}

static void test_header_faults(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
        size_t len;
        const char *text;
    } cases[] = {{0, 'T', 128, "byte mark mismatch"}, {1, 'S', 2, "byte mark mismatch"}, {2, 2, 128, "version mismatch"},
                 {0, 'S', 127, "not enough bytes"},   {0, 'S', 0, "not enough bytes"},   {3, 112, 128, "name"},
                 {4, 0xff, 128, "UTF-8"},             {8, 0xff, 128, "9999"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[SS_HEADER_SIZE];
        struct ss_header h = {.name = "abcd", .name_len = 4, .interval = 1024}, out;
        struct err err = ERR_INIT;
        ss_header_write(bytes, &h);
        bytes[cases[i].at] = cases[i].byte;
        assert_int_equal(ss_header_read(&out, span_of(bytes, cases[i].len), &err), ERR_FORMAT);
        assert_non_null(strstr(err.text, cases[i].text));
    }
    uint8_t bytes[SS_HEADER_SIZE];
    struct ss_header h = {.interval = 127};
    ss_header_write(bytes, &h);
    assert_int_equal(ss_header_read(&h, span_of(bytes, sizeof bytes), NULL), ERR_FORMAT);
    h.interval = 128;
    ss_header_write(bytes, &h);
    assert_int_equal(ss_header_read(&h, span_of(bytes, sizeof bytes), NULL), 0);
    assert_true(bytes[126] == 0 && bytes[127] == 0x0d);
}

static void test_name_cut(void **state)
{
    (void)state;
    static const char accents[] = "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9";
    struct ss_header h;
    char name[300];
    for (size_t i = 0; i < sizeof name; i += 16)
        memcpy(name + i, accents, sizeof name - i < 16 ? sizeof name - i : 16);
    assert_int_equal(ss_header_name(&h, span_of(name, 200)), 110);
    assert_int_equal(h.name_len, 110);
    assert_int_equal(ss_header_name(&h, span_of(name + 1, 200)), 111);
    assert_true(h.name[0] == '_' && h.name[1] == '\xc3' && h.name[111] == '\0');
    assert_int_equal(ss_header_name(&h, span_of(name, 111)), 111);
    assert_int_equal(h.name[110], '_');
    assert_int_equal(ss_header_name(&h, span_str("short.ss")), 8);
    assert_string_equal(h.name, "short.ss");
}

static void test_beacon(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("multi-1k");
    struct ss_beacon *b = malloc(sizeof *b);
    size_t size = 0;
    assert_int_equal(ss_beacon_read(b, span_of(file.ptr + 1024, 5000), NULL), 0);
    assert_int_equal(b->remaining, 1);
    assert_int_equal(b->count, 1);
    assert_int_equal(b->size, 39);
    assert_true(b->items[0].key_len == 5 && memcmp(b->items[0].key, "alpha", 5) == 0);
    assert_true(b->items[0].shard == 0 && b->items[0].seq == 3 && b->items[0].time_ms == 1700000000120);
    assert_int_equal(b->items[0].running, 0x4c55);
    for (size_t len = 0; len < 39; len++)
        assert_int_equal(ss_beacon_size(span_of(file.ptr + 1024, len), &size, NULL), SS_MORE);
    assert_int_equal(ss_beacon_size(span_of(file.ptr + 1024, 39), &size, NULL), 0);
    assert_int_equal(size, 39);
    static const struct {
        size_t at;
        uint8_t byte;
    } faults[] = {{0, 0}, {38, 0}, {6, 0}, {6, 250}, {7, ' '}, {28, 1}};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        uint8_t copy[39];
        struct err err = ERR_INIT;
        memcpy(copy, file.ptr + 1024, sizeof copy);
        copy[faults[i].at] = faults[i].byte;
        assert_int_equal(ss_beacon_read(b, span_of(copy, sizeof copy), &err), ERR_FORMAT);
        assert_true(err.text[0] != '\0');
    }
    free(b);
}

static void test_beacon_max(void **state)
{
    (void)state;
    static const struct {
        uint32_t interval;
        unsigned items;
    } cases[] = {{128, 0},  {570, 0},  {571, 1},        {1024, 1},   {1134, 1},
                 {1135, 2}, {2048, 3}, {4096, 7}, {1048576, 127}, {UINT32_MAX, 127}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(ss_beacon_max(cases[i].interval), cases[i].items);
}

/* --- reading the fixtures ----------------------------------------------------------------------- */

struct fixture {
    const char *name;
    int stop;
    uint64_t at;    /* where the scan stops */
    size_t messages; /* whole ones before */
    size_t shown;   /* messages in or before which beacons stand */
};
static const struct fixture fixtures[] = {
    {"basic", SS_MORE, 589, 10, 0},
    {"empty", SS_MORE, 128, 0, 0},
    {"empty-eos", ERR_END, 184, 1, 0},
    {"ended-1k", ERR_END, 2213, 41, 2},
    {"multi-1k", ERR_END, 6346, 91, 6},
    {"payloads-2k", SS_MORE, 1497, 24, 0},
    {"large-1k", ERR_END, 53424, 4, 1},
    {"boundary-1k", SS_MORE, 1104, 2, 1},
    {"interval-128", SS_MORE, 453, 8, 3},
    {"appended-1k", ERR_END, 2286, 44, 2},
    {"truncated-payload", SS_MORE, 658, 11, 0},
    {"flipped-payload", ERR_DAMAGED, 464, 6, 0},
};
#define FIXTURES (sizeof fixtures / sizeof *fixtures)

static void expect_message(const struct ss_message *m, const struct model_frame *f)
{
    assert_true(span_is(m->key, f->key));
    assert_int_equal(m->shard, f->shard);
    assert_int_equal(m->seq, f->seq);
    assert_int_equal(m->time_ms, f->time_ms);
    assert_int_equal(ss_crc(SS_CRC_INIT, m->payload), f->sum);
    assert_int_equal(ss_is_end(m), f->is_end);
}

static void try_fixture(const struct fixture *fx)
{
    CLEAN_BUF file = model_load(fx->name);
    uint32_t interval = model_interval(&file);
    struct model model = model_read(buf_span(&file), interval);
    struct ss_scan s;
    size_t count = 0, shown = 0, used;
    assert_int_equal(ss_scan_begin(&s, interval, SS_HEADER_SIZE, true), 0);
    struct ss_message m;
    struct err err = ERR_INIT;
    int rc;
    while ((rc = ss_scan_next(&s, span_of(file.ptr + s.offset, file.len - s.offset), &m, &used, NULL, &err)) == 0) {
        expect_message(&m, &model.frames[count]);
        assert_int_equal(s.offset, model.frames[count++].end);
        shown += s.has_beacon;
        assert_true(!s.has_beacon || s.beacon_at % interval == 0);
    }
    assert_int_equal(rc, fx->stop);
    assert_int_equal(s.offset, fx->at);
    assert_int_equal(count, fx->messages);
    assert_int_equal(shown, fx->shown);
    assert_int_equal(s.ended, fx->stop == ERR_END);
    ss_scan_finish(&s);
    model_finish(&model);
}

static void test_fixtures(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURES; i++)
        try_fixture(&fixtures[i]);
}

static void test_beacon_behind_message(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("boundary-1k");
    struct ss_scan s;
    struct ss_message m;
    size_t used;
    assert_int_equal(ss_scan_begin(&s, 1024, SS_HEADER_SIZE, true), 0);
    assert_int_equal(ss_scan_next(&s, span_of(file.ptr + 128, file.len - 128), &m, &used, NULL, NULL), 0);
    assert_true(s.offset == 1024 && used == 896 && !s.has_beacon);
    assert_int_equal(ss_scan_next(&s, span_of(file.ptr + 1024, file.len - 1024), &m, &used, NULL, NULL), 0);
    assert_true(s.has_beacon && s.beacon_at == 1024 && s.beacon->remaining == 0 && s.beacon->count == 1);
    ss_scan_finish(&s);
}

static void test_damage(void **state)
{
    (void)state;
    CLEAN_BUF file = model_load("flipped-payload");
    struct ss_scan s;
    struct ss_message m;
    struct err err = ERR_INIT;
    size_t used, good = 0;
    int rc, damaged = 0;
    assert_int_equal(ss_scan_begin(&s, 1024, SS_HEADER_SIZE, false), 0);
    while ((rc = ss_scan_next(&s, span_of(file.ptr + s.offset, file.len - s.offset), &m, &used, NULL, &err)) != ERR_END) {
        assert_true(rc == 0 || rc == ERR_DAMAGED);
        if (rc == 0) {
            good++;
            continue;
        }
        damaged++;
        assert_string_equal(err.text, "checksum error: received 16478, computed 9855");
        assert_int_equal(m.seq, 7);
    }
    assert_int_equal(damaged, 1);
    assert_int_equal(good, 40);
    ss_scan_finish(&s);
}

/* --- windows ------------------------------------------------------------------------------------ */

static struct span exact(struct span bytes)
{
    uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    return span_of(copy, bytes.len);
}

/* Windows of exactly what was asked for: a need is never more than the frame takes, and few lead to it. */
static void read_by_need(struct span file, uint32_t interval, const struct model *model)
{
    struct ss_scan s;
    struct ss_message m;
    assert_int_equal(ss_scan_begin(&s, interval, SS_HEADER_SIZE, true), 0);
    for (size_t i = 0; i < model->count; i++) {
        size_t used, need = 0, len = 0, tries = 0;
        int rc;
        do {
            struct span window = exact(span_of(file.ptr + s.offset, len));
            rc = ss_scan_next(&s, window, &m, &used, &need, NULL);
            if (rc == 0)
                expect_message(&m, &model->frames[i]);
            free((void *)(uintptr_t)window.ptr);
            assert_true(rc == 0 || (need > len && need > SS_FRAME_FIXED && s.offset + need <= model->frames[i].end));
            len = need;
            tries++;
        } while (rc == SS_MORE);
        assert_int_equal(rc, 0);
        assert_int_equal(s.offset, model->frames[i].end);
        assert_true(tries <= (s.has_beacon ? 24 : 4)); /* nothing, the least frame, one with that key, the frame */
    }
    ss_scan_finish(&s);
}

/* No part of a frame is taken for one, wherever it is cut, and nothing behind it is looked at. */
static void read_cut(struct span file, uint32_t interval, const struct model *model)
{
    uint64_t begin = SS_HEADER_SIZE;
    for (size_t i = 0; i < model->count; begin = model->frames[i++].end) {
        size_t size = model->frames[i].end - begin, used;
        for (size_t len = 0; len < size; len += size > 4000 ? 977 : 1) {
            struct ss_scan s;
            struct ss_message m;
            struct span window = exact(span_of(file.ptr + begin, len));
            assert_int_equal(ss_scan_begin(&s, interval, begin, false), 0);
            assert_int_equal(ss_scan_next(&s, window, &m, &used, NULL, NULL), SS_MORE);
            assert_true(s.offset == begin && s.whole.cap == 0);
            ss_scan_finish(&s);
            free((void *)(uintptr_t)window.ptr);
        }
    }
}

static void test_windows(void **state)
{
    (void)state;
    for (size_t i = 0; i < FIXTURES; i++) {
        CLEAN_BUF file = model_load(fixtures[i].name);
        uint32_t interval = model_interval(&file);
        struct model model = model_read(buf_span(&file), interval);
        if (fixtures[i].stop != ERR_DAMAGED)
            read_by_need(buf_span(&file), interval, &model);
        read_cut(buf_span(&file), interval, &model);
        model_finish(&model);
    }
}

/* What a frame needs of which only the head is there: 896 bytes to the first beacon, then 1017 between two. */
static void test_need(void **state)
{
    (void)state;
    static const struct {
        uint64_t frame, need;
    } cases[] = {{896, 896},   {897, 904},   {896 + 1017, 896 + 1024}, {897 + 1017, 897 + 1031},
                 {37 + UINT64_C(0xffffffff), 37 + UINT64_C(0xffffffff) + UINT64_C(4223173) * 7}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BUF file = model_load("basic");
        struct ss_scan s;
        struct ss_message m;
        size_t used, need = 0;
        put_be32(file.ptr + 128 + 6 + 24, (uint32_t)(cases[i].frame - 37));
        assert_int_equal(ss_scan_begin(&s, 1024, SS_HEADER_SIZE, false), 0);
        assert_int_equal(ss_scan_next(&s, span_of(file.ptr + 128, 461), &m, &used, &need, NULL), SS_MORE);
        assert_int_equal(need, cases[i].need);
        assert_true(s.whole.cap == 0 && s.offset == 128); /* a length that lies costs nothing */
        ss_scan_finish(&s);
    }
}

/* --- what is refused ---------------------------------------------------------------------------- */

static void expect_format(struct buf *file, const char *part)
{
    struct ss_scan s;
    struct ss_message m;
    struct err err = ERR_INIT;
    size_t used;
    assert_int_equal(ss_scan_begin(&s, 1024, SS_HEADER_SIZE, false), 0);
    assert_int_equal(ss_scan_next(&s, span_of(file->ptr + 128, file->len - 128), &m, &used, NULL, NULL), 0);
    assert_int_equal(ss_scan_next(&s, span_of(file->ptr + 174, file->len - 174), &m, &used, NULL, &err), ERR_FORMAT);
    assert_int_equal(s.offset, 174);
    assert_non_null(strstr(err.text, "offset 174"));
    assert_non_null(strstr(err.text, part));
    ss_scan_finish(&s);
}

static void test_format_faults(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
        const char *text;
    } cases[] = {{174, 0, "key"}, {174, 250, "key"}, {175, ' ', "key"}, {176, 0xc3, "key"}, {174 + 6 + 16, 1, "9999"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BUF file = model_load("basic");
        file.ptr[cases[i].at] = cases[i].byte;
        expect_format(&file, cases[i].text);
    }
    CLEAN_BUF file = model_load("basic"), out = BUF_INIT;
    put_be64(file.ptr + 174 + 6 + 16, SS_TIME_MAX + 1);
    expect_format(&file, "253402300800000");
    struct ss_scan s;
    struct ss_message m;
    size_t used;
    put_be64(file.ptr + 174 + 6 + 16, SS_TIME_MAX);
    assert_int_equal(ss_scan_begin(&s, 1024, 174, false), 0);
    assert_int_equal(ss_scan_next(&s, span_of(file.ptr + 174, file.len - 174), &m, &used, NULL, NULL), 0);
    assert_int_equal(m.time_ms, SS_TIME_MAX);
    ss_scan_finish(&s);
}

static void test_beacon_faults(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        uint8_t byte;
        const char *text;
    } cases[] = {{1024, 0, "0D"}, {1030, 0, "key"}, {1062, 0, "0D"}, {1031, '/', "key"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CLEAN_BUF file = model_load("multi-1k");
        struct ss_scan s;
        struct ss_message m;
        struct err err = ERR_INIT;
        size_t used;
        int rc;
        file.ptr[cases[i].at] = cases[i].byte;
        assert_int_equal(ss_scan_begin(&s, 1024, SS_HEADER_SIZE, false), 0);
        do
            rc = ss_scan_next(&s, span_of(file.ptr + s.offset, file.len - s.offset), &m, &used, NULL, &err);
        while (rc == 0);
        assert_int_equal(rc, ERR_FORMAT);
        assert_non_null(strstr(err.text, "offset 1024"));
        assert_non_null(strstr(err.text, cases[i].text));
        ss_scan_finish(&s);
    }
}

/* A beacon that leaves no room for anything else. */
static void test_full_beacon(void **state)
{
    (void)state;
    uint8_t window[400] = {0x0d, 0, 0, 0, 9, 1, 110};
    struct ss_scan s;
    struct ss_message m;
    size_t used, need;
    memset(window + 7, 'k', 110);
    window[6 + 27 + 110] = 0x0d;
    window[144] = 1;
    assert_int_equal(ss_scan_begin(&s, 144, 144, false), 0);
    struct err err = ERR_INIT;
    assert_int_equal(ss_scan_next(&s, span_of(window, sizeof window), &m, &used, &need, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "fills"));
    assert_int_equal(ss_scan_begin(&s, 145, 145, false), 0);
    assert_int_equal(ss_scan_next(&s, span_of(window, 145), &m, &used, &need, NULL), SS_MORE);
}

static void test_windows_random(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct model_shape shape = model_shape();
        shape.messages = model_random(40);
        CLEAN_BUF file = model_make(&shape);
        struct model model = model_read(buf_span(&file), shape.interval);
        assert_int_equal(model.count, shape.messages + shape.ends);
        read_by_need(buf_span(&file), shape.interval, &model);
        model_finish(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc),           cmocka_unit_test(test_header),
        cmocka_unit_test(test_header_faults), cmocka_unit_test(test_name_cut),
        cmocka_unit_test(test_beacon),        cmocka_unit_test(test_beacon_max),
        cmocka_unit_test(test_fixtures),      cmocka_unit_test(test_beacon_behind_message),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_need),          cmocka_unit_test(test_format_faults),
        cmocka_unit_test(test_beacon_faults), cmocka_unit_test(test_full_beacon),
        cmocka_unit_test(test_windows_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
