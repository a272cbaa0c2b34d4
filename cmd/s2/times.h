/*
 * Durations gathered, and their percentiles to within one part in 32.
 */
#ifndef CMD_S2_TIMES_H
#define CMD_S2_TIMES_H

#include <stdint.h>

#define TIMES_SLOTS (64 * 32)

struct times {
    uint64_t count;
    uint64_t slots[TIMES_SLOTS];
};

void times_add(struct times *t, uint64_t us);
/** The duration that `percent` of them do not exceed; 0 without any. */
uint64_t times_percentile(const struct times *t, double percent);

#endif
