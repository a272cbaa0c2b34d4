/*
 * A writer that goes on where another stopped knows its streams: the last beacons list them, and the messages behind those bring
 * them up to date. So its own beacons list all of them again.
 */
#include <errno.h>
#include <stdlib.h>

#include "bridge/ss_parts.h"

#define FIRST_CAP 16
#define BEACONS_MAX 64                /* looked at, and */
#define BYTES_MAX (UINT64_C(4) << 20) /* read, if they are more than one interval */

struct taking {
    const struct ss_bytes *file;
    struct ss_pack *pack;
    uint64_t *from; /* of each stream: its messages count from this offset on */
    size_t cap;
    bool complete; /* no other stream was there before the messages that are read */
    struct ss_beacon *beacon;
    struct buf bytes;
};

/* The stream, made when it is not known; it is then told of from `from` on. *made: it was. NULL without memory. */
static struct ss_stream *stream_of(struct taking *t, struct span key, uint64_t shard, uint64_t from, size_t *place, bool *made)
{
    size_t count = t->pack->count;
    *made = !ss_stream_place(t->pack, key, shard, place);
    if (*made && count >= t->cap) {
        uint64_t *more = realloc(t->from, 2 * t->cap * sizeof *more);
        if (!more)
            return NULL;
        t->from = more;
        t->cap *= 2;
    }
    struct ss_stream *stream = ss_pack_stream(t->pack, key, shard, NULL);
    if (stream && *made) {
        memmove(t->from + *place + 1, t->from + *place, (count - *place) * sizeof *t->from);
        t->from[*place] = from;
    }
    return stream;
}

/* Takes items of streams that no later beacon listed. `*fresh`: how many. */
static int take_items(struct taking *t, uint64_t behind, size_t *fresh, struct err *err)
{
    *fresh = 0;
    for (size_t i = 0; i < t->beacon->count; i++) {
        const struct ss_item *item = &t->beacon->items[i];
        size_t place;
        bool made;
        struct ss_stream *stream =
            stream_of(t, span_of(item->key, item->key_len), item->shard, behind, &place, &made);
        if (!stream)
            return err_sys(err, ENOMEM, "streams of an .ss file");
        if (!made)
            continue;
        stream->seq = item->seq;
        stream->time_ms = item->time_ms;
        stream->running = item->running;
        ++*fresh;
    }
    return 0;
}

/* Beacon n: its items, and where the messages behind it begin. `*more`: one before it may list further streams. */
static int take_beacon(struct taking *t, uint64_t n, uint64_t *behind, bool *more, struct err *err)
{
    size_t size, fresh;
    int rc = ss_beacon_load(t->file, n * t->file->interval, &t->bytes, &size, err);
    if (rc == 0)
        rc = ss_beacon_read(t->beacon, buf_span(&t->bytes), err);
    if (rc == 0)
        rc = ss_align(t->file, n, behind, err);
    if (rc == 0)
        rc = take_items(t, *behind, &fresh, err);
    if (rc != 0)
        return rc;
    t->complete = t->beacon->count > 0 && t->beacon->count < ss_beacon_max(t->file->interval);
    *more = !t->complete && (fresh > 0 || t->beacon->count == 0);
    return 0;
}

/* From the last beacon back, until they have listed all streams in turn. */
static int go_back(struct taking *t, uint64_t *behind, struct err *err)
{
    uint64_t last, k = 0;
    bool more = true;
    int rc = ss_beacon_last(t->file, &last, err);
    for (; rc == 0 && more && k < last && k < BEACONS_MAX && (k == 0 || k * t->file->interval <= BYTES_MAX); k++)
        rc = take_beacon(t, last - k, behind, &more, err);
    if (rc != 0 || !more || k < last)
        return rc;
    t->complete = true;
    return ss_align(t->file, 0, behind, err);
}

static int count_in(struct taking *t, const struct ss_forward *w, const struct ss_message *m, struct err *err)
{
    size_t place;
    bool made;
    if (!t->complete && !ss_stream_place(t->pack, m->key, m->shard, &place))
        return 0;
    struct ss_stream *stream = stream_of(t, m->key, m->shard, w->start, &place, &made);
    if (!stream)
        return err_sys(err, ENOMEM, "streams of an .ss file");
    if (w->start < t->from[place])
        return 0;
    ss_stream_count_read(stream, m);
    return 0;
}

static int read_on(struct taking *t, uint64_t offset, struct err *err)
{
    struct ss_forward w;
    struct ss_message m;
    int rc = ss_forward_begin(&w, t->file, offset);
    while (rc == 0) {
        rc = ss_forward_next(&w, &m, err);
        if (rc == 0 || rc == ERR_DAMAGED) /* its number is used nonetheless */
            rc = count_in(t, &w, &m, err);
    }
    ss_forward_finish(&w);
    return rc == ERR_END ? 0 : rc;
}

/* Streams that were not brought up to date. */
static void forget(struct ss_pack *p)
{
    while (p->count > 0)
        free(p->streams[--p->count]);
}

int ss_pack_take_over(struct ss_pack *p, const struct ss_bytes *f, uint64_t end, struct err *err)
{
    if (p->count > 0 || ss_beacon_max(f->interval) == 0)
        return 0;
    struct ss_bytes part = *f;
    struct taking t = {.file = &part, .pack = p, .cap = FIRST_CAP};
    uint64_t behind = 0;
    part.size = end < f->size ? end : f->size;
    t.beacon = malloc(sizeof *t.beacon);
    t.from = malloc(FIRST_CAP * sizeof *t.from);
    int rc = -ENOMEM;
    if (t.beacon && t.from)
        rc = go_back(&t, &behind, err);
    if (rc == 0)
        rc = read_on(&t, behind, err);
    else if (rc == -ENOMEM)
        err_sys(err, ENOMEM, "streams of an .ss file");
    if (rc < 0)
        forget(p);
    free(t.from);
    free(t.beacon);
    buf_finish(&t.bytes);
    return rc;
}
