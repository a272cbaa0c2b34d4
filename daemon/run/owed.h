/*
 * What is owed: calls that came and have no answer yet, and the place up to which every call has one.
 *
 *   take C1, take C2, take C3, done C2  ->  with the answer of C1 the place moves to just below C3
 *
 * A call is owed until its answer is in the log, not only on its way there: so a place that was written never lies above a call without an
 * answer.
 *
 * Pure: no I/O. Any thread, one at a time.
 */
#ifndef DAEMON_RUN_OWED_H
#define DAEMON_RUN_OWED_H

#include "base/id_set.h"

/** Zeroed memory, with `low` set, is an empty one. */
struct owed {
    struct frame_id low;  /**< everything up to here is answered, as far as was known at the beginning */
    struct frame_id read; /**< everything up to here came; zero = nothing above low */
    struct id_set calls;  /**< owed */
    bool stuck; /**< one could not be noted: the place does not move any more */
};

/** A call came: everything up to it did. Without memory the place stays for ever, and -ENOMEM. */
int owed_take(struct owed *owed, struct frame_id id);
/** Whether it is owed. */
bool owed_has(const struct owed *owed, struct frame_id id);
/** Its answer is in the log. No error when it is not owed. */
void owed_done(struct owed *owed, struct frame_id id);
/** The place once `id` is answered, too. Never below `low`. */
struct frame_id owed_place(const struct owed *owed, struct frame_id id);
/** The lowest one above `after`. False: there is none. */
bool owed_next(const struct owed *owed, struct frame_id after, struct frame_id *id);
void owed_finish(struct owed *owed);

#endif
