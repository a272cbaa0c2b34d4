/*
 * A frame that nobody could work on, put aside: a frame on GROUP.dead with the same content, in one
 * record with the acknowledgement.
 */
#ifndef DAEMON_GROUP_BURY_H
#define DAEMON_GROUP_BURY_H

#include "base/buf.h"
#include "daemon/pool.h"
#include "daemon/site.h"

/** Zeroed; the owner's memory until `after`. */
struct group_bury {
    struct site *site;
    void (*after)(struct group_bury *bury);
    struct span group;    /**< its name */
    struct span mark;     /**< name of its mark */
    struct frame_id id;   /**< the frame */
    struct frame_id low;  /**< of the group */
    uint64_t attempts;
    bool busy;
    /** set by the owner: the group's place is no longer the one that was given here */
    bool cancelled;
    /** What became of it: 0, also when the frame is not in the log any more. */
    int result;
    struct err err;

    struct job job;
    struct submission submission;
    struct store_frame frame;
    struct store_mark ack;
    struct buf topic, meta, content;
    bool gone;   /**< the frame is not there */
    bool pinned; /**< its content's blob, by us */
};

void group_bury_start(struct group_bury *bury);
void group_bury_finish(struct group_bury *bury);

#endif
