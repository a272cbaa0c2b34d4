/*
 * One line on stderr that says how far long work is; only when stderr is a terminal.
 */
#ifndef CMD_PROGRESS_H
#define CMD_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;    /**< "import", "export" */
    const char *unit;    /**< what `frames` are; NULL: "frames" */
    uint64_t frames;     /**< counted by the caller */
    uint64_t bytes;      /**< counted by the caller */
    uint64_t total;      /**< bytes in all, 0 when unknown */
    uint64_t started_us; /**< monotonic */
    uint64_t shown_us;
    bool on;
};

/** Starts; total 0: unknown. */
void progress_begin(struct progress *p, const char *what, uint64_t total);
/** Draws when a tenth of a second went by. Cheap otherwise. */
void progress_tick(struct progress *p);
/** Wipes the line, so that what follows starts at the left edge. */
void progress_end(struct progress *p);

#endif
