/*
 * Any bytes as an .ss file: what is read does not depend on how windows cut it, nothing outside of them is touched, a need is
 * always more than there was, and what was read can be written and read again. Byte 0 of the input chooses the interval when what
 * follows has no good header; its highest bit has checksums filled in, or hardly a made-up frame would get past them.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "bridge/crc.h"
#include "bridge/ss.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEND 0x80u
#define IMAGE_MAX (64 * 1024)

static void must(bool holds)
{
    if (!holds)
        abort();
}

static struct span exact(struct span bytes)
{
    uint8_t *copy = malloc(bytes.len ? bytes.len : 1);
    must(copy != NULL);
    if (bytes.len > 0)
        memcpy(copy, bytes.ptr, bytes.len);
    return span_of(copy, bytes.len);
}

/* Checksums of frames that no beacon cuts, as far as the scan gets. */
static void mend(struct buf *image, uint32_t interval)
{
    struct ss_scan s;
    must(ss_scan_begin(&s, interval, SS_HEADER_SIZE, false) == 0);
    for (;;) {
        struct ss_message m;
        size_t used;
        int rc = ss_scan_next(&s, span_of(image->ptr + s.offset, image->len - s.offset), &m, &used, NULL, NULL);
        if (rc != 0 && rc != ERR_DAMAGED)
            break;
        if (m.payload.ptr >= image->ptr && m.payload.ptr < image->ptr + image->len)
            put_be16(image->ptr + (m.payload.ptr - image->ptr) + m.payload.len, ss_crc(SS_CRC_INIT, m.payload));
    }
    ss_scan_finish(&s);
}

static void same_message(const struct ss_message *a, const struct ss_message *b)
{
    must(span_eq(a->key, b->key) && span_eq(a->payload, b->payload));
    must(a->shard == b->shard && a->seq == b->seq && a->time_ms == b->time_ms);
}

/* The same message with windows of just what is asked for. */
static int by_need(struct ss_scan *s, struct span rest, struct ss_message *m, struct span *window)
{
    size_t len = 0, used, need = 0;
    for (;;) {
        *window = exact(span_of(rest.ptr, len));
        uint64_t before = s->offset;
        int rc = ss_scan_next(s, *window, m, &used, &need, NULL);
        must(rc == 0 || rc == ERR_DAMAGED ? s->offset == before + used && used <= len : s->offset == before);
        if (rc != SS_MORE || need > rest.len) {
            must(rc != SS_MORE || need > len);
            return rc;
        }
        free((void *)(uintptr_t)window->ptr);
        must(need > len);
        len = need;
    }
}

/* The message goes into another file and comes out of it. */
static void write_again(struct ss_pack *p, const struct ss_message *m)
{
    CLEAN_BUF out = BUF_INIT;
    struct ss_scan s;
    struct ss_message again;
    size_t used;
    uint64_t begin = p->offset, due = ss_pack_size(p, m);
    must(ss_pack_message(p, m, &out, NULL) == 0 && out.len == due && p->offset == begin + due);
    must(ss_scan_begin(&s, p->interval, begin, true) == 0);
    must(ss_scan_next(&s, buf_span(&out), &again, &used, NULL, NULL) == 0);
    same_message(m, &again);
    must(s.whole.cap <= (again.key.len + again.payload.len + SS_FRAME_FIXED + 4095) / 4096 * 4096);
    ss_scan_finish(&s);
}

static void scan(struct span file, uint32_t interval)
{
    struct ss_scan whole, slow;
    struct ss_pack p;
    int rc;
    must(ss_scan_begin(&whole, interval, SS_HEADER_SIZE, true) == 0 && ss_scan_begin(&slow, interval, SS_HEADER_SIZE, true) == 0);
    ss_pack_begin(&p, interval, interval + SS_BEACON_EMPTY);
    do {
        struct span rest = span_of(file.ptr + whole.offset, file.len - whole.offset), window;
        struct ss_message m, same;
        struct err err = ERR_INIT;
        size_t used;
        rc = ss_scan_next(&whole, rest, &m, &used, NULL, &err);
        int other = by_need(&slow, rest, &same, &window);
        if (rc == ERR_FORMAT && other == SS_MORE) /* in a frame that is not whole: not asked for */
            other = rc;
        must(rc == other && whole.offset == slow.offset && whole.has_beacon == slow.has_beacon);
        must(rc >= 0 || rc == ERR_END || err.text[0] != '\0');
        if (rc == 0 || rc == ERR_DAMAGED)
            same_message(&m, &same);
        if (rc == 0)
            write_again(&p, &m);
        free((void *)(uintptr_t)window.ptr);
    } while (rc == 0 || rc == ERR_DAMAGED);
    ss_scan_finish(&whole);
    ss_scan_finish(&slow);
    ss_pack_finish(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ss_header h;
    if (size < 1 + SS_HEADER_SIZE || size > IMAGE_MAX)
        return 0;
    CLEAN_BUF image = BUF_INIT;
    must(buf_add(&image, data + 1, size - 1) == 0);
    if (ss_header_read(&h, buf_span(&image), NULL) != 0)
        h.interval = SS_INTERVAL_MIN + (data[0] & ~MEND) * 9;
    if (data[0] & MEND)
        mend(&image, h.interval);
    scan(buf_span(&image), h.interval);
    return 0;
}
