/*
 * A message by sequence or time: beacons narrow down where it is, the messages behind the last beacon that lies before it are read.
 *
 * What beacons say decides only where reading begins, and only "before" moves that on: an undecided beacon costs time, nothing else.
 */
#include <errno.h>
#include <stdlib.h>

#include "bridge/ss_parts.h"

#define SINGLY 16   /* beacons left: each is looked at */
#define POINTS 48   /* else so many points among them, then such that lie nearer and nearer to both ends */
#define LOOKS_MAX 2000 /* with many more streams than beacons have room for: reading on is quicker */

enum side { SIDE_BEFORE, SIDE_NOT_BEFORE, SIDE_UNDECIDED };

/* The target lies behind beacon `low` (0: the header's end) and not behind `high`. */
struct range {
    const struct ss_bytes *file;
    const struct ss_target *target;
    uint64_t low, high;
    unsigned looks;
    struct buf bytes;
    struct ss_beacon *beacon;
};

static bool of_stream(const struct ss_target *t, struct span key, uint64_t shard)
{
    return (t->any_shard || t->shard == shard) && span_eq(t->key, key);
}

static bool reached(const struct ss_target *t, uint64_t seq, uint64_t time_ms)
{
    return t->by_time ? time_ms > t->value : seq >= t->value;
}

/*
 * One shard's item decides. With any shard a single one that reached the target decides too, but "before" needs all of them:
 * a beacon with room for more items has all streams of its writer.
 */
static enum side judge_items(const struct range *r)
{
    size_t ours = 0;
    for (size_t i = 0; i < r->beacon->count; i++) {
        const struct ss_item *item = &r->beacon->items[i];
        if (!of_stream(r->target, span_of(item->key, item->key_len), item->shard))
            continue;
        if (reached(r->target, item->seq, item->time_ms))
            return SIDE_NOT_BEFORE;
        ours++;
    }
    bool all = !r->target->any_shard || r->beacon->count < ss_beacon_max(r->file->interval);
    return ours > 0 && all ? SIDE_BEFORE : SIDE_UNDECIDED;
}

/* Looks at beacon n, and narrows the range. */
static int judge(struct range *r, uint64_t n, bool *decided, struct err *err)
{
    size_t size;
    r->looks++;
    int rc = ss_beacon_load(r->file, n * r->file->interval, &r->bytes, &size, err);
    if (rc == 0)
        rc = ss_beacon_read(r->beacon, buf_span(&r->bytes), err);
    if (rc != 0)
        return rc < 0 ? rc : ERR_FORMAT;
    enum side side = judge_items(r);
    if (side == SIDE_BEFORE)
        r->low = n;
    if (side == SIDE_NOT_BEFORE)
        r->high = n;
    *decided = side != SIDE_UNDECIDED;
    return 0;
}

/* --- which beacons to look at ------------------------------------------------------------------- */

/* 1/2, 1/4, 3/4, 1/8, 5/8 ... of `width`, for i = 1, 2 ...: the bits of i turned round. */
static uint64_t spread(uint64_t i, uint64_t width)
{
    uint64_t point = 0;
    unsigned bits = 0;
    for (; i > 0; i >>= 1, bits++)
        point = point << 1 | (i & 1);
    return (uint64_t)((unsigned __int128)width * point >> bits);
}

/* The i-th beacon to try of those between low and high; 0: no more. */
static uint64_t candidate(const struct range *r, unsigned i)
{
    uint64_t width = r->high - r->low - 1;
    if (width <= SINGLY)
        return i < width ? r->high - 1 - i : 0;
    if (i < POINTS)
        return r->low + 1 + spread(i + 1, width);
    uint64_t near = width >> ((i - POINTS) / 2 + 1);
    if (near == 0)
        return 0;
    return (i & 1) == 0 ? r->high - near : r->low + near;
}

/* Tries beacons of the range until one decides. */
static int narrow(struct range *r, bool *decided, struct err *err)
{
    uint64_t n;
    int rc = 0;
    *decided = false;
    for (unsigned i = 0; rc == 0 && !*decided && (n = candidate(r, i)) != 0; i++)
        rc = judge(r, n, decided, err);
    return rc;
}

/* Settles r->low. */
static int settle(struct range *r, struct err *err)
{
    uint64_t last;
    bool decided = true;
    int rc = ss_beacon_last(r->file, &last, err);
    if (rc < 0 || last == 0)
        return rc;
    r->high = last + 1;
    rc = judge(r, 1, &decided, err);
    if (rc == 0 && r->high > 1 && last > 1)
        rc = judge(r, last, &decided, err);
    decided = true;
    while (rc == 0 && decided && r->high - r->low > 1 && r->looks < LOOKS_MAX)
        rc = narrow(r, &decided, err);
    return rc;
}

/* Where to read from. */
static int begin_at(const struct ss_bytes *f, const struct ss_target *target, uint64_t *offset, struct err *err)
{
    struct range r = {.file = f, .target = target, .beacon = malloc(sizeof *r.beacon)};
    int rc = r.beacon ? settle(&r, err) : err_sys(err, ENOMEM, "a beacon");
    if (rc == 0)
        rc = ss_align(f, r.low, offset, err);
    free(r.beacon);
    buf_finish(&r.bytes);
    return rc;
}

/* --- reading from there ------------------------------------------------------------------------- */

/* A payload that is damaged hides no message: what its head says counts. */
static int read_to(struct ss_forward *w, const struct ss_target *target, struct err *err)
{
    struct ss_message m;
    for (;;) {
        int rc = ss_forward_next(w, &m, err);
        if (rc < 0 && rc != ERR_DAMAGED)
            return rc != ERR_END ? rc
                                 : err_set(err, ERR_RANGE, "out of bound: %.*s has no message from there on", SPAN_ARG(target->key));
        if (of_stream(target, m.key, m.shard) && reached(target, m.seq, m.time_ms))
            return 0;
    }
}

int ss_seek(const struct ss_bytes *f, const struct ss_target *target, uint64_t *offset, struct err *err)
{
    struct ss_forward w;
    uint64_t from = 0;
    int rc = begin_at(f, target, &from, err);
    if (rc < 0)
        return rc;
    rc = ss_forward_begin(&w, f, from);
    if (rc == 0)
        rc = read_to(&w, target, err);
    if (rc == 0)
        *offset = w.start;
    ss_forward_finish(&w);
    return rc;
}
