/*
 * .ss files for tests: the real writer's fixtures, files made up at random, and naive ways to read both that share
 * nothing with the codec but the layout.
 */
#ifndef TESTS_UNIT_SS_MODEL_H
#define TESTS_UNIT_SS_MODEL_H

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "bridge/crc.h"
#include "bridge/ss.h"

static inline struct buf model_load(const char *name)
{
    char path[256];
    struct buf out = BUF_INIT;
    snprintf(path, sizeof path, "tests/fixtures/seastreamer/%s.ss", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(buf_reserve(&out, 1 << 20), 0);
    out.len = fread(out.ptr, 1, out.cap, file);
    fclose(file);
    return out;
}

static inline uint32_t model_interval(const struct buf *file)
{
    struct ss_header h;
    assert_int_equal(ss_header_read(&h, buf_span(file), NULL), 0);
    return h.interval;
}

/* --- reading naively ---------------------------------------------------------------------------- */

struct model_frame {
    uint64_t start, end; /* in the file: first byte, behind the last */
    uint64_t shard, seq, time_ms;
    char key[SS_KEY_MAX + 1];
    uint16_t sum;
    bool is_end;
};

struct model {
    struct model_frame *frames;
    size_t count;
    uint64_t *beacons; /* sizes; the first is that of beacon 1 */
    size_t beacon_count;
    uint8_t *bytes;    /* the file without header and beacons */
    uint64_t *offsets; /* of each of them in the file */
    size_t len;
};

static inline void model_finish(struct model *m)
{
    free(m->frames);
    free(m->beacons);
    free(m->bytes);
    free(m->offsets);
}

/* Bytes of frames with their offsets, one by one. Stops at a beacon that is not whole. */
static inline void model_strip(struct model *m, struct span file, uint32_t interval)
{
    m->bytes = malloc(file.len + 1);
    m->offsets = malloc((file.len + 1) * sizeof *m->offsets);
    m->beacons = malloc((file.len / interval + 1) * sizeof *m->beacons);
    for (size_t at = SS_HEADER_SIZE; at < file.len;) {
        if (at % interval != 0) {
            m->offsets[m->len] = at;
            m->bytes[m->len++] = file.ptr[at++];
            continue;
        }
        size_t end = at + 6;
        for (int i = 0; end <= file.len && i < file.ptr[at + 5]; i++)
            end += end < file.len ? 27u + file.ptr[end] : 1;
        if (end >= file.len)
            return;
        m->beacons[m->beacon_count++] = end + 1 - at;
        at = end + 1;
    }
}

/* Whole frames up to the end mark or the end. */
static inline struct model model_read(struct span file, uint32_t interval)
{
    struct model m = {0};
    model_strip(&m, file, interval);
    m.frames = malloc((m.len / 32 + 1) * sizeof *m.frames);
    for (size_t at = 0; at < m.len;) {
        const uint8_t *p = m.bytes + at;
        size_t left = m.len - at, key = p[0];
        if (left < 1 + key + 28 || left - 32 - key < get_be32(p + 1 + key + 24) || left < 32 + key)
            break;
        size_t payload = get_be32(p + 1 + key + 24), size = 32 + key + payload;
        struct model_frame *f = &m.frames[m.count++];
        *f = (struct model_frame){.start = m.offsets[at],
                                  .end = m.offsets[at + size - 1] + 1,
                                  .shard = get_be64(p + 1 + key),
                                  .seq = get_be64(p + 9 + key),
                                  .time_ms = get_be64(p + 17 + key),
                                  .sum = get_be16(p + 29 + key + payload)};
        memcpy(f->key, p + 1, key);
        at += size;
        f->is_end = strcmp(f->key, SS_KEY_INTERNAL) == 0 && payload == 3 && memcmp(p + 29 + key, "EOS", 3) == 0;
        if (f->is_end)
            break;
    }
    return m;
}

/* --- a file as a search sees it ----------------------------------------------------------------- */

struct model_bytes {
    struct span file;
    uint64_t calls, bytes;
};

static long model_pread(void *arg, uint64_t offset, void *into, size_t room)
{
    struct model_bytes *f = arg;
    size_t left = offset < f->file.len ? f->file.len - offset : 0;
    size_t n = room < left ? room : left;
    f->calls++;
    f->bytes += n;
    if (n > 0)
        memcpy(into, f->file.ptr + offset, n);
    return (long)n;
}

static inline struct ss_bytes model_file(struct model_bytes *f, uint32_t interval)
{
    return (struct ss_bytes){.read = model_pread, .arg = f, .size = f->file.len, .interval = interval};
}

/* --- files at random ---------------------------------------------------------------------------- */

static uint64_t model_seed = 1;

/* xorshift64*: the same numbers in each run. */
static inline uint64_t model_random(uint64_t below)
{
    model_seed ^= model_seed >> 12;
    model_seed ^= model_seed << 25;
    model_seed ^= model_seed >> 27;
    return model_seed * UINT64_C(2685821657736338717) % below;
}

struct model_shape {
    uint32_t interval;
    size_t keys, shards, messages, payload_max;
    bool rising; /* sequences and times rise in each stream */
    bool ends;
    size_t sessions; /* writers, one after the other */
    bool takes_over; /* that know of what was before; else of no stream which they have not written to */
};

static inline struct model_shape model_shape(void)
{
    static const uint32_t intervals[] = {128, 129, 150, 300, 571, 1024, 1135, 2048, 4096, 10000, 65536};
    return (struct model_shape){.interval = intervals[model_random(sizeof intervals / sizeof *intervals)],
                                .keys = 1 + model_random(6),
                                .shards = 1 + model_random(3),
                                .messages = model_random(300),
                                .payload_max = model_random(8) == 0 ? 9000 : 1 + model_random(300),
                                .rising = true,
                                .takes_over = model_random(2) == 0,
                                .sessions = 1 + (model_random(3) == 0 ? model_random(4) : 0),
                                .ends = model_random(2) == 0};
}

static inline void model_key(char out[static 64], size_t i)
{
    memset(out, 'a' + (int)i, 63);
    out[1 + i * 10] = '\0';
}

/* A writer, and what those before it wrote. */
struct model_writer {
    struct ss_pack pack, all;
    struct buf out;
};

static inline void model_add(struct model_writer *w, const struct model_shape *shape, uint64_t i)
{
    static uint8_t payload[9001];
    char key[64];
    bool made;
    model_key(key, model_random(shape->keys));
    size_t len = model_random(shape->payload_max + 1);
    for (size_t k = 0; k < len; k += 7)
        payload[k] = (uint8_t)model_random(256);
    struct ss_message m = {.key = span_str(key), .shard = model_random(shape->shards), .payload = span_of(payload, len)};
    struct ss_stream *all = ss_pack_stream(&w->all, m.key, m.shard, NULL);
    m.seq = shape->rising ? all->seq + 1 + model_random(3) : model_random(400);
    m.time_ms = 1700000000000 + (shape->rising ? i * 10 + model_random(10) : model_random(4000));
    uint64_t due = ss_pack_size(&w->pack, &m), before = w->out.len;
    struct ss_stream *stream = ss_pack_stream(&w->pack, m.key, m.shard, &made);
    if (made) {
        stream->seq = all->seq;
        stream->time_ms = all->time_ms;
        if (shape->takes_over)
            stream->running = all->running;
    }
    assert_int_equal(ss_pack_message(&w->pack, &m, &w->out, NULL), 0);
    assert_int_equal(w->out.len - before, due);
    assert_int_equal(w->out.len, w->pack.offset);
    all->seq = stream->seq;
    all->time_ms = stream->time_ms;
    all->running = stream->running;
}

static inline void model_reopen(struct model_writer *w, bool takes_over)
{
    uint32_t interval = w->pack.interval;
    struct model_bytes bytes = {.file = buf_span(&w->out)};
    struct ss_bytes f = model_file(&bytes, interval);
    ss_pack_finish(&w->pack);
    ss_pack_begin(&w->pack, interval, w->out.len);
    if (takes_over)
        assert_int_equal(ss_pack_take_over(&w->pack, &f, w->out.len, NULL), 0);
    for (size_t i = 0; i < w->pack.count; i++) {
        const struct ss_stream *real = w->pack.streams[i];
        struct ss_stream *all = ss_pack_stream(&w->all, span_of(real->key, real->key_len), real->shard, NULL);
        assert_true(real->seq == all->seq && real->time_ms == all->time_ms && real->running == all->running);
    }
    assert_int_equal(ss_pack_resume(&w->pack, &w->out), 0);
}

static inline struct buf model_make(const struct model_shape *shape)
{
    struct model_writer w = {.out = BUF_INIT};
    struct ss_header h = {.name = "made.ss", .name_len = 7, .interval = shape->interval};
    ss_pack_begin(&w.pack, shape->interval, 0);
    ss_pack_begin(&w.all, shape->interval, 0);
    assert_int_equal(ss_pack_header(&w.pack, &h, &w.out), 0);
    for (size_t i = 0; i < shape->messages; i++) {
        if (i > 0 && i % (shape->messages / shape->sessions + 1) == 0)
            model_reopen(&w, shape->takes_over);
        model_add(&w, shape, i);
    }
    if (shape->ends)
        assert_int_equal(ss_pack_end(&w.pack, 1700000009999, &w.out, NULL), 0);
    ss_pack_finish(&w.pack);
    ss_pack_finish(&w.all);
    return w.out;
}

/* `count` messages of `size` bytes. */
static inline void model_put_many(struct ss_pack *p, struct buf *out, size_t count, size_t size)
{
    uint8_t *payload = calloc(1, size);
    struct ss_stream *stream = ss_pack_stream(p, span_str("k"), 0, NULL);
    for (size_t i = 0; i < count; i++) {
        struct ss_message m = {.key = span_str("k"),
                               .seq = stream->seq + 1,
                               .time_ms = 1700000000000 + stream->seq + 1,
                               .payload = span_of(payload, size)};
        assert_int_equal(ss_pack_message(p, &m, out, NULL), 0);
    }
    free(payload);
}

static inline struct buf model_make_large(uint32_t interval, size_t count, size_t size, size_t last)
{
    struct ss_pack p;
    struct ss_header h = {.interval = interval};
    struct buf out = BUF_INIT;
    ss_pack_begin(&p, interval, 0);
    assert_int_equal(ss_pack_header(&p, &h, &out), 0);
    model_put_many(&p, &out, count, size);
    if (last > 0)
        model_put_many(&p, &out, 1, last);
    ss_pack_finish(&p);
    return out;
}

#endif
