/*
 * What a handler was given and has not acknowledged, and what it printed that must wait for that.
 *
 *   give F1, give F2, add (a line for F1), add (a line for F2), ack F1  ->  the line for F1 is due, `low` is F1
 *
 * A printed frame waits for the frame it answers: the one its "frame_id" names, if that was given and is not acknowledged, else the
 * frame its own "ack" names, else the oldest that is not acknowledged. So what is due with an ack is what the
 * frames up to it caused, and a program may read ahead.
 *
 * Pure: no I/O, no clock. Any thread, one at a time.
 */
#ifndef DAEMON_RUN_HANDLER_HOLD_H
#define DAEMON_RUN_HANDLER_HOLD_H

#include "daemon/run/output.h"

#define HOLD_MAX (1024 * 1024) /**< bytes held; a frame counts for HOLD_OVERHEAD more than its own */
#define HOLD_OVERHEAD 16
#define HOLD_GIVEN_MAX 65536 /**< given frames that are known one by one */

struct held;

/** Zeroed memory, with `low` set, is an empty one. */
struct hold {
    struct frame_id low;    /**< everything up to here is acknowledged */
    struct frame_id newest; /**< frame given last; zero = none */
    struct frame_id line;   /**< as `newest`, or the id of a synthetic line (pulse) after it */
    struct frame_id *given; /**< not acknowledged, ascending, a ring */
    size_t first, given_count, given_cap;
    bool more; /**< `given` has not all of them: its newest ones are missing */
    struct held *items;
    size_t count, cap;
    struct buf bytes;
    struct printed *due; /**< what hold_due gave */
    size_t due_cap;
};

/** A frame is handed over. -ENOMEM. */
int hold_give(struct hold *hold, struct frame_id id);
/** Something with an id that is no frame of the log is handed over. */
void hold_give_line(struct hold *hold, struct frame_id id);
/** Given frames are open. */
bool hold_open(const struct hold *hold);
/** The oldest given frame that is not acknowledged, as far as it is known; else the newest given; zero when none was given. */
struct frame_id hold_oldest(const struct hold *hold);

/** Keeps a copy of a printed frame; its cause is set to what it waits for unless it has one. ERR_TOO_LARGE above HOLD_MAX, -ENOMEM. */
int hold_add(struct hold *hold, const struct printed *printed);
/**
 * Judges an ack. ERR_INVALID: nothing with this id was given yet, or it lies below `low`; nothing changes. Else `upto` is the
 * frame it reaches to (`low` again when it was acknowledged before), to be used with hold_due and hold_settle.
 */
int hold_ack(const struct hold *hold, struct frame_id id, struct frame_id *upto, struct err *err);
/** Held frames that are due when everything up to `upto` is acknowledged, in the order they were printed. Borrowed until the next change. -ENOMEM. */
int hold_due(struct hold *hold, struct frame_id upto, struct printed **out, size_t *count);
/** `low` moves to `upto`; what was due with it is forgotten. */
void hold_settle(struct hold *hold, struct frame_id upto);
/** Forgets what is held and what was given; `low` stays. */
void hold_reset(struct hold *hold);
void hold_finish(struct hold *hold);

#endif
