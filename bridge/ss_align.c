/*
 * Where frames begin: behind a beacon, and at the end of a file.
 */
#include "base/bytes.h"

#include "bridge/ss_parts.h"
#include "bridge/ss_rest.h"

/* A search among the beacons of a file. */
struct search {
    const struct ss_bytes *file;
    uint64_t last; /* beacon that is whole in the file */
    struct buf bytes;
};

/* A beacon: what it says of the frame it cuts. */
struct cut {
    uint64_t n;
    uint64_t remaining;
    size_t size;
};

static int cut_read(struct search *s, uint64_t n, struct cut *out, struct err *err)
{
    size_t size;
    int rc = ss_beacon_load(s->file, n * s->file->interval, &s->bytes, &size, err);
    if (rc == 0)
        *out = (struct cut){.n = n, .remaining = get_be32(s->bytes.ptr + 1), .size = size};
    return rc;
}

/* Whether `to` may be within the same frame as a beacon before it, which left `left` bytes for it `skipped` beacons before. */
static bool cut_fits(const struct search *s, const struct cut *to, uint64_t left, uint64_t skipped)
{
    return to->remaining + skipped <= left && to->remaining + skipped * (s->file->interval - SS_BEACON_EMPTY) >= left;
}

/*
 * The frame fills the rest of its interval and `left` bytes more. Beacons take 7 bytes at least, so it reaches some beacon far off
 * for sure, which says again how much remains: a long frame takes few steps. SS_MORE: it does not end in the file.
 */
static int cut_next(struct search *s, struct cut *at, uint64_t left, struct err *err)
{
    uint64_t interval = s->file->interval, next = at->n + 1, far = next + left / (interval - SS_BEACON_EMPTY);
    struct cut to;
    if (far * interval > s->file->size)
        return SS_MORE;
    if (far > s->last)
        far = s->last;
    if (far > next) {
        int rc = cut_read(s, far, &to, err);
        if (rc < 0 && rc != ERR_FORMAT)
            return rc;
        if (rc == 0 && cut_fits(s, &to, left, far - next)) {
            *at = to;
            return 0;
        }
    }
    return cut_read(s, next, at, err);
}

/* Where the frame that beacon n cuts ends, behind further beacons that follow directly. SS_MORE: not in the file. */
static int cut_end(struct search *s, uint64_t n, uint64_t *offset, struct err *err)
{
    struct cut at;
    int rc = cut_read(s, n, &at, err);
    while (rc == 0) {
        uint64_t behind = at.n * s->file->interval + at.size, room = s->file->interval - at.size;
        if (at.remaining < room || (at.remaining == room && at.n >= s->last)) {
            if (behind + at.remaining > s->file->size)
                return SS_MORE;
            *offset = behind + at.remaining;
            return 0;
        }
        if (at.n >= s->last)
            return SS_MORE;
        rc = cut_next(s, &at, at.remaining - room, err);
    }
    return rc;
}

/* Where the first frame begins. */
static int first_frame(struct search *s, uint64_t *offset, struct err *err)
{
    size_t size = 0;
    int rc = 0;
    if (s->file->interval == SS_HEADER_SIZE && s->last > 0)
        rc = ss_beacon_load(s->file, SS_HEADER_SIZE, &s->bytes, &size, err);
    if (rc == 0)
        *offset = SS_HEADER_SIZE + size;
    return rc;
}

static int align_at(struct search *s, uint64_t n, uint64_t *offset, struct err *err)
{
    return n == 0 ? first_frame(s, offset, err) : cut_end(s, n, offset, err);
}

/* The frame that beacon *n cuts is not whole: the last beacon before it from which a frame begins within the file. */
static int align_before(struct search *s, uint64_t *n, uint64_t *offset, struct err *err)
{
    uint64_t low = *n, high = *n;
    int rc = SS_MORE;
    for (uint64_t step = 1; rc == SS_MORE && low > 0; step *= 2) {
        high = low;
        low = low > step ? low - step : 0;
        rc = align_at(s, low, offset, err);
    }
    while (rc == 0 && high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        rc = align_at(s, middle, offset, err);
        if (rc == 0)
            low = middle;
        if (rc == SS_MORE) {
            high = middle;
            rc = 0;
        }
    }
    *n = low;
    return rc;
}

/* As ss_align; *n becomes the beacon that was taken. */
static int align(struct search *s, uint64_t *n, uint64_t *offset, struct err *err)
{
    int rc = ss_beacon_last(s->file, &s->last, err);
    if (rc < 0)
        return rc;
    *n = *n < s->last ? *n : s->last;
    rc = align_at(s, *n, offset, err);
    return rc == SS_MORE ? align_before(s, n, offset, err) : rc;
}

int ss_align(const struct ss_bytes *f, uint64_t n, uint64_t *offset, struct err *err)
{
    struct search s = {.file = f};
    uint64_t found = 0;
    int rc = align(&s, &n, &found, err);
    if (rc == 0)
        *offset = found;
    buf_finish(&s.bytes);
    return rc;
}

/* --- the end ------------------------------------------------------------------------------------ */

/* What stands at the end. */
struct end {
    uint64_t offset; /* behind the last frame; before an end mark */
    size_t frames;   /* stepped over */
    bool ended;
};

/* Steps over whole frames from end->offset on. */
static int step_over(const struct ss_bytes *f, struct end *end, struct err *err)
{
    struct ss_forward w;
    struct ss_message m;
    int rc = ss_forward_begin(&w, f, end->offset);
    while (rc == 0 && !w.scan.ended) {
        rc = ss_forward_next(&w, &m, err);
        if (rc == 0)
            end->frames++;
    }
    if (rc == ERR_FORMAT && ss_ends_in_mark_rest(f, w.scan.offset))
        rc = ERR_END;
    end->ended = w.scan.ended;
    end->offset = w.scan.ended ? w.start : w.scan.offset;
    ss_forward_finish(&w);
    return rc == ERR_END ? 0 : rc;
}

/* A last beacon within or behind an end mark: nothing follows it that says so. From the beacon before. */
static int cut_mark(struct search *s, uint64_t n, struct end *end, struct err *err)
{
    uint64_t before;
    if (end->frames > 0 || n == 0)
        return 0;
    int rc = align_at(s, n - 1, &before, err);
    if (rc != 0 || before >= end->offset) /* it is longer than an end mark */
        return rc < 0 ? rc : 0;
    struct ss_bytes part = *s->file;
    struct end again = {.offset = before};
    part.size = end->offset;
    rc = step_over(&part, &again, err);
    if (rc == 0 && again.ended)
        *end = again;
    return rc;
}

/* A frame that goes on behind the next beacon is not whole, or that beacon would have been taken: it is not looked at. */
static int find_end(struct search *s, struct end *end, struct err *err)
{
    uint64_t n = UINT64_MAX;
    int rc = align(s, &n, &end->offset, err);
    if (rc < 0)
        return rc;
    struct ss_bytes part = *s->file;
    if (n < s->last)
        part.size = (n + 1) * part.interval;
    rc = step_over(&part, end, err);
    return rc == 0 ? cut_mark(s, n, end, err) : rc;
}

int ss_find_end(const struct ss_bytes *f, uint64_t *offset, bool *ended, struct err *err)
{
    struct search s = {.file = f};
    struct end end = {0};
    int rc = find_end(&s, &end, err);
    buf_finish(&s.bytes);
    if (rc < 0)
        return rc;
    *offset = end.offset;
    *ended = end.ended;
    return 0;
}
