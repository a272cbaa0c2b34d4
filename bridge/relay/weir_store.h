/*
 * A weir store as an end of a relay: which one a URL means, and how to come back to it.
 */
#ifndef BRIDGE_RELAY_WEIR_STORE_H
#define BRIDGE_RELAY_WEIR_STORE_H

#include <weir/client.h>

#include "bridge/relay/end.h"

#define RELAY_WEIR_PATIENCE_MS 60000 /* how long a store may be away */

struct relay_store {
    bool fallback; /**< the default store: its daemon is started again when it ended */
    struct weir_addr addr;
    struct weir *w;
    bool met;          /**< it answered once */
    uint64_t away_us;  /**< since when it does not answer; 0: it does */
    unsigned attempts; /**< since */
};

/**
 * The store of `url`: an address as weir(1) has them, "." for the default store (WEIR_ADDR, XS_ADDR, then the user's own, whose daemon is
 * started on demand). ERR_INVALID, as weir_open.
 */
int relay_store_open(struct relay_store *store, const struct ss_url *url, struct err *err);
/** Whether it answers at all: asked before anything is taken from an input that cannot be read again. */
int relay_store_greet(struct relay_store *store, struct err *err);
/** Takes a zeroed one. */
void relay_store_close(struct relay_store *store);

/** It answered. */
void relay_store_answered(struct relay_store *store);
/**
 * A call failed with `code`: waits a little and returns 0 when it may go better the next time: the store answered before, and its daemon went
 * away or is busy. Else `code`; -EINTR when a signal asks to stop. Tells of the first failure.
 */
int relay_store_again(struct relay_store *store, int code, struct err *err);

#define RELAY_STORE_TIME 48

/** Position under a cursor's name; ERR_NOT_FOUND. `time`, may be NULL: when it was set. */
int relay_store_kept(struct relay_store *store, const char *cursor, struct buf *out, char time[RELAY_STORE_TIME], struct err *err);
int relay_store_keep(struct relay_store *store, const char *cursor, struct span position, struct err *err);

#endif
