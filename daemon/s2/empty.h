/*
 * Streams that are to go when they have been empty for long enough: a look at all open stores, now and then.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_EMPTY_H
#define DAEMON_S2_EMPTY_H

#include "daemon/daemon.h"

#define EMPTY_EVERY_MS 60000 /**< and up to a tenth more or less; WEIR_EMPTY_SWEEP_MS says otherwise */

struct empties;

/** The first look is taken at once. -ENOMEM. */
int empties_create(struct empties **out, struct daemon *daemon, struct err *err);
/** Stops; one under way ends first, memory goes in later turns of the loop. Takes NULL. */
void empties_destroy(struct empties *empties);

#endif
