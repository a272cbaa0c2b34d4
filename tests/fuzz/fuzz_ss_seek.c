/*
 * Any bytes as an .ss file that is searched: searches end, read within the file and not over and over, and a place that one finds
 * is that of a message which is meant. The first bytes of the input choose interval, beacon, stream and value; the file follows.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "bridge/ss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHOICE 6
#define IMAGE_MAX (64 * 1024)

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct image {
    struct span bytes;
    uint64_t calls;
};

static long read_image(void *arg, uint64_t offset, void *into, size_t room)
{
    struct image *image = arg;
    must(offset <= image->bytes.len);
    size_t left = image->bytes.len - offset, n = room < left ? room : left;
    image->calls++;
    memcpy(into, image->bytes.ptr + offset, n);
    return (long)n;
}

static void must_be_known(int rc)
{
    must(rc == 0 || rc == ERR_FORMAT || rc == ERR_DAMAGED || rc == ERR_RANGE || rc == ERR_NOT_FOUND);
}

/* The first message that stands at `offset`. */
static int message_at(const struct ss_bytes *f, uint64_t offset, struct ss_scan *s, struct ss_message *m)
{
    const struct image *image = f->arg;
    size_t used;
    must(offset <= image->bytes.len);
    must(ss_scan_begin(s, f->interval, offset, false) == 0);
    return ss_scan_next(s, span_of(image->bytes.ptr + offset, image->bytes.len - offset), m, &used, NULL, NULL);
}

static void try_align(const struct ss_bytes *f, uint64_t n)
{
    uint64_t offset = 0;
    bool ended = false;
    int rc = ss_align(f, n, &offset, NULL);
    must_be_known(rc);
    must(rc != 0 || (offset >= SS_HEADER_SIZE && offset <= f->size));
    rc = ss_find_end(f, &offset, &ended, NULL);
    must_be_known(rc);
    must(rc != 0 || (offset >= SS_HEADER_SIZE && offset <= f->size));
    if (rc != 0 || !ended)
        return;
    struct ss_scan s;
    struct ss_message m;
    must(message_at(f, offset, &s, &m) == 0 && ss_is_end(&m));
    ss_scan_finish(&s);
}

static void try_seek(const struct ss_bytes *f, const struct ss_target *t)
{
    uint64_t offset;
    struct ss_scan s;
    struct ss_message m;
    int rc = ss_seek(f, t, &offset, NULL);
    must_be_known(rc);
    if (rc != 0)
        return;
    rc = message_at(f, offset, &s, &m);
    must(rc == 0 || rc == ERR_DAMAGED);
    must(span_eq(m.key, t->key) && (t->any_shard || m.shard == t->shard));
    must(t->by_time ? m.time_ms > t->value : m.seq >= t->value);
    ss_scan_finish(&s);
}

static void try_take_over(const struct ss_bytes *f)
{
    struct ss_pack p;
    ss_pack_begin(&p, f->interval, f->size);
    must_be_known(ss_pack_take_over(&p, f, f->size, NULL));
    ss_pack_finish(&p);
}

static void try_last(const struct ss_bytes *f, struct span key, uint64_t shard)
{
    struct ss_stream stream = {.key_len = (uint8_t)key.len, .shard = shard};
    memcpy(stream.key, key.ptr, key.len);
    must_be_known(ss_find_last(f, f->size, &stream, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"hello", "alpha", "beta", "gamma", "log", "k", "a", "other"};
    struct ss_header h;
    if (size < CHOICE + SS_HEADER_SIZE || size > IMAGE_MAX)
        return 0;
    struct image image = {.bytes = span_of(data + CHOICE, size - CHOICE)};
    if (ss_header_read(&h, image.bytes, NULL) != 0)
        h.interval = SS_INTERVAL_MIN + data[0] * 5u;
    struct ss_bytes f = {.read = read_image, .arg = &image, .size = image.bytes.len, .interval = h.interval};
    struct ss_target t = {.key = span_str(keys[data[2] % 8]),
                          .any_shard = data[3] & 2,
                          .shard = data[3] & 1,
                          .by_time = data[3] & 4,
                          .value = get_be16(data + 4)};
    if (t.by_time)
        t.value += 1700000000000;
    try_align(&f, data[1]);
    try_seek(&f, &t);
    try_last(&f, t.key, t.shard);
    try_take_over(&f);
    must(image.calls < 8000);
    return 0;
}
