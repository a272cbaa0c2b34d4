/*
 * Messages as a file's bytes, with the beacons where they are due.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

#include "bridge/ss_parts.h"

static const char end_text[] = "EOS";

void ss_pack_begin(struct ss_pack *p, uint32_t interval, uint64_t offset)
{
    *p = (struct ss_pack){.interval = interval, .offset = offset};
}

void ss_pack_finish(struct ss_pack *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->streams[i]);
    free(p->streams);
    *p = (struct ss_pack){0};
}

/* --- what beacons say --------------------------------------------------------------------------- */

/* How many items the next beacon gets, of `count` streams. */
static size_t items_due(const struct ss_pack *p, size_t count)
{
    size_t most = ss_beacon_max(p->interval);
    return count < most ? count : most;
}

static uint8_t *put_item(uint8_t *at, const struct ss_stream *stream)
{
    *at++ = stream->key_len;
    memcpy(at, stream->key, stream->key_len);
    at += stream->key_len;
    put_be64(at, stream->shard);
    put_be64(at + 8, stream->seq);
    put_be64(at + 16, stream->time_ms);
    put_be16(at + 24, stream->running);
    return at + 26;
}

/* Streams take turns: the next beacon goes on with the one behind the last. There is room. */
static void put_beacon(struct ss_pack *p, struct buf *out, uint32_t remaining)
{
    uint8_t *begin = out->ptr + out->len, *at = begin + SS_BEACON_HEAD;
    size_t due = items_due(p, p->count);
    begin[0] = SS_MARK;
    put_be32(begin + 1, remaining);
    begin[5] = (uint8_t)due;
    for (size_t i = 0; i < due; i++)
        at = put_item(at, p->streams[(p->items + i) % p->count]);
    *at++ = SS_MARK;
    p->items += due;
    out->len += (size_t)(at - begin);
    p->offset += (uint64_t)(at - begin);
}

static int put_empty(struct ss_pack *p, struct buf *out)
{
    static const uint8_t empty[SS_BEACON_EMPTY] = {SS_MARK, 0, 0, 0, 0, 0, SS_MARK};
    int rc = buf_add(out, empty, sizeof empty);
    if (rc == 0)
        p->offset += sizeof empty;
    return rc;
}

int ss_pack_header(struct ss_pack *p, const struct ss_header *h, struct buf *out)
{
    int rc = buf_reserve(out, SS_HEADER_SIZE + SS_BEACON_EMPTY);
    if (rc < 0)
        return rc;
    ss_header_write(out->ptr + out->len, h);
    out->len += SS_HEADER_SIZE;
    p->interval = h->interval;
    p->offset = SS_HEADER_SIZE;
    return ss_pack_resume(p, out);
}

int ss_pack_resume(struct ss_pack *p, struct buf *out)
{
    return p->offset % p->interval == 0 ? put_empty(p, out) : 0;
}

/* --- how much a message adds -------------------------------------------------------------------- */

/* A message as it will be counted in: its stream, which may have to be made, at its place among the others. */
struct sizing {
    const struct ss_pack *p;
    size_t place, count;
    bool is_new;
    size_t key_len;
};

static size_t key_len_at(const struct sizing *z, size_t i)
{
    if (!z->is_new)
        return z->p->streams[i]->key_len;
    if (i == z->place)
        return z->key_len;
    return z->p->streams[i < z->place ? i : i - 1]->key_len;
}

static uint64_t beacon_size(const struct sizing *z, uint64_t items, size_t due)
{
    uint64_t size = SS_BEACON_EMPTY + due * SS_ITEM_FIXED;
    for (size_t i = 0; i < due; i++)
        size += key_len_at(z, (items + i) % z->count);
    return size;
}

static uint64_t size_with_beacons(const struct sizing *z, uint64_t left, uint64_t gap)
{
    uint64_t size = left, items = z->p->items;
    size_t due = items_due(z->p, z->count);
    while (left >= gap) {
        uint64_t beacon = beacon_size(z, items, due);
        items += due;
        size += beacon;
        left -= gap;
        gap = z->p->interval - beacon;
    }
    return size;
}

/* Bytes to the next beacon; one that is due is written with what comes before it, never at the front of a message. */
static uint64_t gap_of(const struct ss_pack *p)
{
    return p->interval - p->offset % p->interval;
}

uint64_t ss_pack_size(const struct ss_pack *p, const struct ss_message *m)
{
    uint64_t frame = SS_FRAME_FIXED + (uint64_t)m->key.len + m->payload.len, gap = gap_of(p);
    if (frame < gap)
        return frame;
    struct sizing z = {.p = p, .key_len = m->key.len};
    z.is_new = !ss_stream_place(p, m->key, m->shard, &z.place);
    z.count = p->count + (z.is_new ? 1 : 0);
    return size_with_beacons(&z, frame, gap);
}

/* --- messages ----------------------------------------------------------------------------------- */

/* Bytes of a frame of which `left` come behind them. There is room. */
static void put_bytes(struct ss_pack *p, struct buf *out, struct span bytes, uint64_t left)
{
    uint64_t gap = gap_of(p);
    while (bytes.len >= gap) {
        memcpy(out->ptr + out->len, bytes.ptr, gap);
        out->len += gap;
        p->offset += gap;
        bytes = span_of(bytes.ptr + gap, bytes.len - gap);
        put_beacon(p, out, (uint32_t)(bytes.len + left));
        gap = gap_of(p);
    }
    if (bytes.len == 0)
        return;
    memcpy(out->ptr + out->len, bytes.ptr, bytes.len);
    out->len += bytes.len;
    p->offset += bytes.len;
}

static size_t put_head(uint8_t *head, const struct ss_message *m)
{
    uint8_t *behind = head + 1 + m->key.len;
    head[0] = (uint8_t)m->key.len;
    memcpy(head + 1, m->key.ptr, m->key.len);
    put_be64(behind, m->shard);
    put_be64(behind + 8, m->seq);
    put_be64(behind + 16, m->time_ms);
    put_be32(behind + 24, (uint32_t)m->payload.len);
    return 1 + m->key.len + SS_HEAD_FIXED;
}

static void put_frame(struct ss_pack *p, struct buf *out, const struct ss_message *m, const uint8_t sum[static 2])
{
    uint8_t head[SS_HEAD_MAX], tail[SS_TAIL] = {sum[0], sum[1], SS_MARK};
    size_t len = put_head(head, m);
    put_bytes(p, out, span_of(head, len), m->payload.len + SS_TAIL);
    put_bytes(p, out, m->payload, SS_TAIL);
    put_bytes(p, out, span_of(tail, SS_TAIL), 0);
}

static int check_message(const struct ss_message *m, struct err *err)
{
    int rc = ss_key_check(m->key, err);
    if (rc < 0)
        return rc;
    if (m->time_ms > SS_TIME_MAX)
        return err_set(err, ERR_INVALID, "a timestamp behind the year 9999 cannot stand in an .ss file");
    if (m->payload.len > UINT32_MAX - SS_FRAME_FIXED - SS_KEY_MAX)
        return err_set(err, ERR_TOO_LARGE, "a payload of %zu bytes; an .ss file takes less than 4 GiB", m->payload.len);
    return 0;
}

int ss_pack_message(struct ss_pack *p, const struct ss_message *m, struct buf *out, struct err *err)
{
    uint8_t sum[2];
    int rc = check_message(m, err);
    if (rc < 0)
        return rc;
    rc = buf_reserve(out, ss_pack_size(p, m));
    struct ss_stream *stream = rc < 0 ? NULL : ss_pack_stream(p, m->key, m->shard, NULL);
    if (!stream)
        return err_sys(err, ENOMEM, "a frame of %zu bytes", m->payload.len);
    put_be16(sum, ss_crc(SS_CRC_INIT, m->payload));
    ss_stream_count(stream, m, sum); /* before it is written: a beacon within it tells of it already */
    put_frame(p, out, m, sum);
    return 0;
}

int ss_pack_end(struct ss_pack *p, uint64_t time_ms, struct buf *out, struct err *err)
{
    struct ss_message end = {.key = span_str(SS_KEY_INTERNAL), .time_ms = time_ms, .payload = span_str(end_text)};
    return ss_pack_message(p, &end, out, err);
}
