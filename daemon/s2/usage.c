#include "daemon/s2/usage.h"

#include <stdlib.h>
#include <string.h>

#define MINUTES_KEPT (26 * 60)
#define HOURS_KEPT (91 * 24)

static void forget_first(struct usage_ring *ring, size_t n)
{
    ring->count -= n;
    memmove(ring->points, ring->points + n, ring->count * sizeof(*ring->points));
}

/* Makes room: what is too old goes first, and the older half when all of it is young. */
static bool room(struct usage_ring *ring, uint32_t kept)
{
    size_t old = 0;
    if (ring->count < ring->cap)
        return true;
    while (old < ring->count && ring->points[old].at + kept < ring->at)
        old++;
    if (old == 0 && ring->cap < USAGE_POINTS) {
        size_t cap = ring->cap ? ring->cap * 2 : 16;
        struct usage_point *points = realloc(ring->points, cap * sizeof(*points));
        if (points) {
            ring->points = points;
            ring->cap = cap;
            return true;
        }
    }
    forget_first(ring, old > 0 ? old : ring->count / 2);
    return ring->count < ring->cap;
}

/* What was counted up becomes points. */
static void turn(struct usage_ring *ring, uint32_t at, uint32_t kept)
{
    for (uint32_t i = 0; i < USAGE_SERIES; i++) {
        if (ring->now[i] > 0 && room(ring, kept))
            ring->points[ring->count++] = (struct usage_point){ring->at, i, ring->now[i]};
        ring->now[i] = 0;
    }
    ring->at = at;
}

/* A clock that was put back counts into the present one. */
static void add(struct usage_ring *ring, uint32_t at, uint32_t kept, unsigned series, uint64_t value)
{
    if (at > ring->at)
        turn(ring, at, kept);
    ring->now[series] += value;
}

void usage_add(struct usage *usage, unsigned series, uint64_t value, uint64_t now_s)
{
    if (series >= USAGE_SERIES || value == 0)
        return;
    add(&usage->minutes, (uint32_t)(now_s / USAGE_MINUTE), MINUTES_KEPT, series, value);
    add(&usage->hours, (uint32_t)(now_s / USAGE_HOUR), HOURS_KEPT, series, value);
}

/* --- sums ---------------------------------------------------------------------------------------------------- */

struct summing {
    uint64_t start, end;
    uint32_t interval;
    bool open; /* `sum` is of the interval that begins `at` */
    uint64_t at, sum;
    int (*each)(void *arg, uint64_t at, uint64_t sum);
    void *arg;
};

static int close_interval(struct summing *s)
{
    bool open = s->open;
    s->open = false;
    return open ? s->each(s->arg, s->at, s->sum) : 0;
}

static int sum_up(struct summing *s, uint64_t at_s, uint64_t value)
{
    uint64_t at = at_s - at_s % s->interval;
    if (value == 0 || at > s->end || at + s->interval <= s->start)
        return 0;
    int rc = s->open && s->at != at ? close_interval(s) : 0;
    if (!s->open)
        s->sum = 0;
    s->open = true;
    s->at = at;
    s->sum += value;
    return rc;
}

int usage_each(const struct usage *usage, unsigned series, uint64_t start, uint64_t end, uint32_t interval,
               int (*each)(void *arg, uint64_t at, uint64_t sum), void *arg)
{
    const struct usage_ring *ring = interval == USAGE_MINUTE ? &usage->minutes : &usage->hours;
    uint32_t unit = interval == USAGE_MINUTE ? USAGE_MINUTE : USAGE_HOUR;
    struct summing s = {.start = start, .end = end, .interval = interval, .each = each, .arg = arg};
    int rc = 0;
    if (series >= USAGE_SERIES)
        return 0;
    for (size_t i = 0; rc == 0 && i < ring->count; i++)
        if (ring->points[i].series == series)
            rc = sum_up(&s, (uint64_t)ring->points[i].at * unit, ring->points[i].value);
    if (rc == 0)
        rc = sum_up(&s, (uint64_t)ring->at * unit, ring->now[series]);
    return rc == 0 ? close_interval(&s) : rc;
}

static int found(void *arg, uint64_t at, uint64_t sum)
{
    (void)arg, (void)at, (void)sum;
    return 1;
}

bool usage_any(const struct usage *usage, uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < USAGE_SERIES; i++)
        if (usage_each(usage, i, start, end, USAGE_MINUTE, found, NULL) ||
            usage_each(usage, i, start, end, USAGE_HOUR, found, NULL))
            return true;
    return false;
}

void usage_finish(struct usage *usage)
{
    free(usage->minutes.points);
    free(usage->hours.points);
    *usage = (struct usage){0};
}
