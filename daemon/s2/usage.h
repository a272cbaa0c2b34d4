/*
 * What was used, per minute and per hour, since the daemon's start. Pure: the time is given.
 *
 * One of these is kept for the account and one for each basin in use. Only minutes in which something happened take room: about a
 * day of minutes and 90 days of hours, at most USAGE_POINTS of each. Thread rule: one thread at a time.
 */
#ifndef DAEMON_S2_USAGE_H
#define DAEMON_S2_USAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Series: operations by their number (enum auth_op), and from here on what has none. */
enum usage_series {
    USAGE_OPS = 25, /**< numbers below are operations */
    USAGE_APPEND_OPS = USAGE_OPS,
    USAGE_APPEND_BYTES,
    USAGE_READ_UNARY,
    USAGE_READ_STREAMING,
    USAGE_READ_BYTES,
    USAGE_SERIES
};

#define USAGE_POINTS 16384
#define USAGE_MINUTE 60u
#define USAGE_HOUR 3600u
#define USAGE_DAY 86400u

struct usage_point {
    uint32_t at; /**< of time in its unit: minutes or hours since the epoch */
    uint32_t series;
    uint64_t value;
};

/** Points of one unit, oldest first; those of the present one are still counted up in `now`. */
struct usage_ring {
    struct usage_point *points;
    size_t count, cap;
    uint32_t at;
    uint64_t now[USAGE_SERIES];
};

/** Zeroed memory is one where nothing happened. */
struct usage {
    struct usage_ring minutes, hours;
};

/** Adds to a series. Without memory older points are lost. */
void usage_add(struct usage *usage, unsigned series, uint64_t value, uint64_t now_s);
/**
 * Calls `each` for every interval (USAGE_MINUTE, HOUR or DAY long) in which the series was more than 0 and that touches start to
 * end (seconds, inclusive), oldest first: its begin and its sum. Another value than 0 ends it and is returned.
 */
int usage_each(const struct usage *usage, unsigned series, uint64_t start, uint64_t end, uint32_t interval,
               int (*each)(void *arg, uint64_t at, uint64_t sum), void *arg);
/** Whether anything at all happened in that time. */
bool usage_any(const struct usage *usage, uint64_t start, uint64_t end);
void usage_finish(struct usage *usage);

#endif
