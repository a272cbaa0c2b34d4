/*
 * Which definition of a program is in force: the two-slot rule over its lifecycle frames, in order.
 *
 *   create               pending = it
 *   active of X          confirmed = X; pending = none if it was X
 *   invalid of X         pending = none if it was X
 *   term, fin.*          both none; but fin.term of X leaves a newer pending one alone: a program may take
 *                        its time to end, and be defined again meanwhile
 *   replaced, stopped, retry   nothing
 *
 * Pure; one struct a program.
 */
#ifndef DAEMON_RUN_SLOTS_H
#define DAEMON_RUN_SLOTS_H

#include "daemon/run/words.h"

struct slots {
    struct frame_id confirmed, pending; /**< zero = none */
};

/** Applies one event; `of` is the definition it points at (create: itself; term: not used). */
void slots_apply(struct slots *slots, enum program_event event, struct frame_id of);
/** What to start: first to try, and what to fall back to if it proves invalid (zero = none). */
void slots_pick(const struct slots *slots, struct frame_id *first, struct frame_id *fallback);

#endif
