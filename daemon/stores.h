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

struct attached;
struct stores;

/** How a store goes. */
enum stores_end { STORES_END_QUIET, STORES_END_REPLACED, STORES_END_TERM, STORES_END_DELETE };

/** Who is told of stores that come and go. Each may be NULL. */
struct stores_listener {
    /** It is open for the first time since it was asked for, and that was told; maybe again, asked for anew. */
    void (*active)(void *arg, struct attached *attached);
    /** A create came to nothing. `of` is its frame. */
    void (*invalid)(void *arg, struct span name, struct frame_id of, const char *why);
    /** It leaves from now on: nobody finds it any more. `cause`: the frame that asked for it, or zero. */
    void (*leaving)(void *arg, struct attached *attached, enum stores_end end, struct frame_id cause);
    /** It is closed, or removed, and that was told. The last call with it. */
    void (*gone)(void *arg, struct attached *attached, enum stores_end end);
    void *arg;
};

/**
 * Reads the root's log (blocks: before the first connection), opens each store once, so that its programs run, and watches for
 * more. What is wrong with the log is told in the daemon's own, and then there are no other stores.
 */
int stores_start(struct stores **out, struct site *root, struct err *err);
/** From now on; the stores that there are already are in stores_each. One listener. */
void stores_listen(struct stores *stores, const struct stores_listener *listener);
/** Closes all; `stopped` is called when all are closed and every answer is durable. */
void stores_stop(struct stores *stores, void (*stopped)(void *arg), void *arg);
/** After `stopped`. Takes NULL. */
void stores_destroy(struct stores *stores);
/** Each that is there or being opened, by name, not those that leave; one lives until it leaves. each: false ends. */
void stores_each(struct stores *stores, bool (*each)(void *arg, struct attached *attached), void *arg);
/** Each that is still being removed from the disk, with the frame that asked for it. */
void stores_each_deleted(struct stores *stores, void (*each)(void *arg, struct attached *attached, struct frame_id cause), void *arg);
/** How many there are, and how many are open now. Takes NULL. */
size_t stores_count(const struct stores *stores, size_t *open);

#endif
