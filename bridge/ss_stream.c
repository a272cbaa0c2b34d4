/*
 * What a writer knows of its streams, sorted by key bytes, then shard.
 */
#include <stdlib.h>

#include "base/bytes.h"

#include "bridge/ss_parts.h"

#define FIRST_CAP 8

static int order(const struct ss_stream *stream, struct span key, uint64_t shard)
{
    size_t both = stream->key_len < key.len ? stream->key_len : key.len;
    int by_bytes = memcmp(stream->key, key.ptr, both);
    if (by_bytes != 0)
        return by_bytes;
    if (stream->key_len != key.len)
        return stream->key_len < key.len ? -1 : 1;
    return (stream->shard > shard) - (stream->shard < shard);
}

bool ss_stream_place(const struct ss_pack *p, struct span key, uint64_t shard, size_t *place)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int side = order(p->streams[middle], key, shard);
        if (side == 0) {
            *place = middle;
            return true;
        }
        if (side < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *place = low;
    return false;
}

static bool grow(struct ss_pack *p)
{
    if (p->count < p->cap)
        return true;
    size_t cap = p->cap == 0 ? FIRST_CAP : p->cap * 2;
    struct ss_stream **streams = realloc(p->streams, cap * sizeof(struct ss_stream *));
    if (!streams)
        return false;
    p->streams = streams;
    p->cap = cap;
    return true;
}

struct ss_stream *ss_pack_stream(struct ss_pack *p, struct span key, uint64_t shard, bool *made)
{
    size_t place;
    bool known = ss_stream_place(p, key, shard, &place);
    if (!known) {
        struct ss_stream *stream = key.len <= SS_KEY_MAX && grow(p) ? malloc(sizeof *stream) : NULL;
        if (!stream)
            return NULL;
        *stream = (struct ss_stream){.key_len = (uint8_t)key.len, .shard = shard, .running = SS_CRC_INIT};
        memcpy(stream->key, key.ptr, key.len);
        memmove(p->streams + place + 1, p->streams + place, (p->count - place) * sizeof(struct ss_stream *));
        p->streams[place] = stream;
        p->count++;
    }
    if (made)
        *made = !known;
    return p->streams[place];
}

void ss_stream_count(struct ss_stream *stream, const struct ss_message *m, const uint8_t sum[static 2])
{
    if (m->seq > stream->seq)
        stream->seq = m->seq;
    if (m->time_ms > stream->time_ms)
        stream->time_ms = m->time_ms;
    stream->running = ss_crc(stream->running, span_of(sum, 2));
}

void ss_stream_count_read(struct ss_stream *stream, const struct ss_message *m)
{
    uint8_t sum[2];
    put_be16(sum, ss_crc(SS_CRC_INIT, m->payload));
    ss_stream_count(stream, m, sum);
}
