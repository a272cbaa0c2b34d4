/*
 * What time makes superfluous: contents that were posted or freed and that no frame names, old
 * keys.
 */
#ifndef DAEMON_SWEEP_H
#define DAEMON_SWEEP_H

#include "daemon/site.h"

#define SWEEP_AGE_MS (24ull * 3600 * 1000) /**< what nobody names is kept this long */

int sweep_create(struct sweep **out, struct site *site, struct err *err);
/** A sweep is under way: the store must stay open. Takes NULL. */
bool sweep_busy(const struct sweep *sweep);
/** Stops; memory goes in later turns of the loop, after a sweep under way. Takes NULL. */
void sweep_destroy(struct sweep *sweep);

#endif
