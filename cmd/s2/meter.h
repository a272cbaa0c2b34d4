/*
 * A line on stderr, where that is a terminal, that says how far something is.
 */
#ifndef CMD_S2_METER_H
#define CMD_S2_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
    const char *what;
    uint64_t records, bytes; /**< the caller counts */
    uint64_t begun_us, shown_us;
    bool on;
};

void meter_begin(struct meter *m, const char *what);
/** Draws now and then; cheap. */
void meter_tick(struct meter *m);
/** Removes the line. */
void meter_end(struct meter *m);

#endif
