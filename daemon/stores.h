/*
 * Many stores in one process: the root store's log says which.
 *
 *   xs.store.NAME.create   serve it; meta {"path":PATH}, without: basins/NAME.ID below the root store
 *   xs.store.NAME.term     detach it; nothing is lost
 *   xs.store.NAME.delete   detach it and remove it from the disk
 *
 * The answers are .active {store_id, path}, .invalid {store_id, error}, .fin.term and .fin.deleted {store_id, frame_id, path}. Which
 * stores there are at a start follows from these frames by the two-slot rule (daemon/run/slots.h). Only frames with exec authority
 * ask, only frames of the daemon answer. Thread rule: the loop thread.
 */
#ifndef DAEMON_STORES_H
#define DAEMON_STORES_H

#include "daemon/site.h"

struct stores;

/** Reads the root's log, opens each store once (so that its programs run), and watches for more. */
int stores_start(struct stores **out, struct site *root, struct err *err);
/** Closes all; `stopped` is called when all are closed and every answer is durable. */
void stores_stop(struct stores *stores, void (*stopped)(void *arg), void *arg);
/** After `stopped`. Takes NULL. */
void stores_destroy(struct stores *stores);
/** How many there are, and how many are open now. Takes NULL. */
size_t stores_count(const struct stores *stores, size_t *open);

#endif
