/*
 * The last message of a stream, or of all, for a writer that goes on with them.
 */
#include <errno.h>
#include <stdlib.h>

#include "bridge/ss_parts.h"

static bool same_stream(const struct ss_stream *io, struct span key, uint64_t shard)
{
    return io->shard == shard && span_eq(key, span_of(io->key, io->key_len));
}

static bool take_item(struct ss_stream *io, const struct ss_beacon *beacon)
{
    for (size_t i = 0; i < beacon->count; i++) {
        const struct ss_item *item = &beacon->items[i];
        if (!same_stream(io, span_of(item->key, item->key_len), item->shard))
            continue;
        io->seq = item->seq;
        io->time_ms = item->time_ms;
        io->running = item->running;
        return true;
    }
    return false;
}

/* The last beacon that lists the stream, whose item is taken; *n is 0 when none does. */
static int last_listed(const struct ss_bytes *f, struct ss_stream *io, uint64_t *n, struct err *err)
{
    CLEAN_BUF bytes = BUF_INIT;
    size_t size;
    struct ss_beacon *beacon = malloc(sizeof *beacon);
    int rc = beacon ? ss_beacon_last(f, n, err) : err_sys(err, ENOMEM, "a beacon");
    while (rc == 0 && *n > 0) {
        rc = ss_beacon_load(f, *n * f->interval, &bytes, &size, err);
        if (rc == 0)
            rc = ss_beacon_read(beacon, buf_span(&bytes), err);
        if (rc != 0 || take_item(io, beacon))
            break;
        --*n;
    }
    free(beacon);
    return rc;
}

/* Counts the stream's messages in, from `offset` to the end. */
static int read_on(const struct ss_bytes *f, uint64_t offset, struct ss_stream *io, bool *found, struct err *err)
{
    struct ss_forward w;
    struct ss_message m;
    int rc = ss_forward_begin(&w, f, offset);
    while (rc == 0) {
        rc = ss_forward_next(&w, &m, err);
        if (rc == ERR_DAMAGED) /* its number is used nonetheless */
            rc = 0;
        if (rc != 0 || !same_stream(io, m.key, m.shard))
            continue;
        ss_stream_count_read(io, &m);
        *found = true;
    }
    ss_forward_finish(&w);
    return rc == ERR_END ? 0 : rc;
}

int ss_find_last(const struct ss_bytes *f, uint64_t end, struct ss_stream *io, struct err *err)
{
    struct ss_bytes part = *f;
    struct ss_stream found = *io;
    uint64_t n = 0, offset = 0;
    found.seq = found.time_ms = 0;
    found.running = SS_CRC_INIT;
    part.size = end < f->size ? end : f->size;
    int rc = last_listed(&part, &found, &n, err);
    if (rc == 0)
        rc = ss_align(&part, n, &offset, err);
    bool known = n > 0;
    if (rc == 0)
        rc = read_on(&part, offset, &found, &known, err);
    if (rc < 0)
        return rc;
    if (!known)
        return err_set(err, ERR_NOT_FOUND, "no message of %.*s", (int)io->key_len, io->key);
    *io = found;
    return 0;
}

int ss_find_all(const struct ss_bytes *f, uint64_t end, struct ss_pack *into, struct err *err)
{
    struct ss_bytes part = *f;
    struct ss_forward w;
    struct ss_message m;
    uint64_t offset;
    part.size = end < f->size ? end : f->size;
    int rc = ss_align(&part, 0, &offset, err);
    if (rc != 0)
        return rc;
    rc = ss_forward_begin(&w, &part, offset);
    while (rc == 0) {
        rc = ss_forward_next(&w, &m, err);
        if (rc != 0 && rc != ERR_DAMAGED)
            break;
        struct ss_stream *stream = ss_pack_stream(into, m.key, m.shard, NULL);
        rc = stream ? 0 : err_sys(err, ENOMEM, "streams of an .ss file");
        if (stream)
            ss_stream_count_read(stream, &m);
    }
    ss_forward_finish(&w);
    return rc == ERR_END ? 0 : rc;
}
