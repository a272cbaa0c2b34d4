/*
 * A few frames by their ids, read by the pool and given back on the loop.
 */
#ifndef DAEMON_GROUP_FETCH_H
#define DAEMON_GROUP_FETCH_H

#include "base/buf.h"
#include "daemon/pool.h"
#include "daemon/site.h"

#define GROUP_FETCH_MAX 64

struct group_fetched {
    struct frame_id id;
    int result;         /**< 0; ERR_NOT_FOUND; -EAGAIN: did not fit; else why it cannot be read */
    struct frame frame; /**< without its content, unless `contents` */
};

/** Zeroed; the owner's memory until `after`. */
struct group_fetch {
    struct site *site;
    void (*after)(struct group_fetch *fetch);
    struct group_fetched items[GROUP_FETCH_MAX]; /**< their ids are filled by the owner */
    size_t count;
    bool contents; /**< with contents that lie in the record */
    bool busy;
    struct err err; /**< of the last one that failed */
    struct buf bytes;
    struct job job;
};

void group_fetch_start(struct group_fetch *fetch);
void group_fetch_finish(struct group_fetch *fetch);

#endif
