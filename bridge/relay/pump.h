/*
 * A relay at work: from a source to a sink, batch by batch, with a cursor.
 *
 * Per round: fill, choose and rename, put; flush when the batch is full, the source has nothing more at once, or a second went
 * by. The position is taken before the flush and stored by whoever keeps the cursor: the sink in the same record (exactly
 * once); else the source, or a file of our own, after the flush (at least once after a kill, exactly once after a clean stop).
 */
#ifndef BRIDGE_RELAY_PUMP_H
#define BRIDGE_RELAY_PUMP_H

#include "bridge/relay/end.h"

struct relay_result {
    uint64_t messages, bytes; /**< put */
    uint64_t passed_over;     /**< not chosen by share or until */
    uint64_t bad, refused;
    bool gone;    /**< the sink's reader went away: a quiet end */
    bool stopped; /**< by a signal */
    bool resumed; /**< a cursor was found */
};

/**
 * Runs until the source ends, a limit, a signal, or an error; 0 for all but the last. What was put before an error of the
 * source is flushed and its place stored. `*out` is also set after an error. `tick`, may be NULL: called each round for
 * progress.
 */
int relay_run(struct relay_source *source, struct relay_sink *sink, const struct relay_options *o,
              void (*tick)(void *arg, const struct relay_result *r, const struct relay_source *s), void *arg,
              struct relay_result *out, struct err *err);

/*
 * The file that keeps a cursor when neither end can: ${XDG_STATE_HOME:-~/.local/state}/weir/relay/NAME, written aside, synced,
 * renamed. .NAME.lock beside it is held by whoever uses it.
 */
struct relay_cursor {
    int dir_fd, lock_fd;
    char name[128];
};
/** Opens and locks. ERR_LOCKED: another relay uses it; ERR_INVALID: no such name (letters, digits, '.', '_', '-', up to 100; no
 * '.' first). */
int relay_cursor_open(struct relay_cursor *c, const char *name, struct err *err);
/** ERR_NOT_FOUND: there is none yet; ERR_DAMAGED. */
int relay_cursor_read(const struct relay_cursor *c, struct buf *out, struct err *err);
/** Durable when it returns 0. */
int relay_cursor_write(const struct relay_cursor *c, struct span position, struct err *err);
void relay_cursor_close(struct relay_cursor *c);

#endif
