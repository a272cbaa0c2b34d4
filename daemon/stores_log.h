/*
 * What the root store's log says of other stores: frames read as asks, and history as the asks that still hold.
 *
 * Any thread; stores_scan blocks.
 */
#ifndef DAEMON_STORES_LOG_H
#define DAEMON_STORES_LOG_H

#include <weir/store.h>

#include "base/buf.h"

enum stores_event { STORES_CREATE, STORES_TERM, STORES_DELETE, STORES_ACTIVE, STORES_INVALID, STORES_FIN };

#define STORES_PATH_MAX 4096

/** One frame under xs.store. */
struct stores_ask {
    enum stores_event event;
    struct span name;    /**< points into the frame's topic (of a scan: into the scan) */
    struct frame_id id;  /**< the frame; of an answer: what it points at */
    bool pending;        /**< of a scan: a create that was never answered */
    struct frame_id cause; /**< of a scan: the delete that was never answered, where event is STORES_DELETE */
    char path[STORES_PATH_MAX]; /**< of a create; "" = the default place */
    char fault[ERR_TEXT_SIZE];  /**< why a create is no good; "" = it is */
};

/** False: the frame says nothing of a store. Who may say it is for the caller to check. */
bool stores_ask_parse(struct stores_ask *out, const struct frame *frame);

/** Where the store lies: meta's path, or the place below the root's. -ENOMEM. */
int stores_path(struct buf *out, const char *root, const struct stores_ask *ask, struct err *err);

/** History, reduced by the two-slot rule. Zeroed before stores_scan. */
struct stores_scan {
    struct stores_known *known;
    size_t count, cap;
    struct frame_id end; /**< newest id looked at */
    struct err err;      /**< code 0 = it went well */
};

void stores_scan(struct stores_scan *scan, struct store *store);
/** The asks that hold, a name's confirmed one before its pending one; false at the end. */
bool stores_scan_next(struct stores_scan *scan, size_t *at, struct stores_ask *out);
void stores_scan_finish(struct stores_scan *scan);

#endif
