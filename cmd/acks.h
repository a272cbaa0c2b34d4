/*
 * Acknowledging frames of a group: the ids gathered, the request, the counts that come back.
 */
#ifndef CMD_ACKS_H
#define CMD_ACKS_H

#include "cmd/call.h"

struct acks {
    const char *verb;   /**< "ack" or "nack" */
    const char *group;
    const char *member; /**< or NULL */
    const char *upto;   /**< or NULL */
    struct buf ids;     /**< one a line, not sent yet */
    uint64_t done, unknown; /**< of all that was sent */
};

/**
 * Adds the id in a line: the id itself, or that of a frame (JSON, also behind `data: `). 0,
 * ERR_INVALID, -ENOMEM.
 */
int acks_add(struct acks *acks, struct span line, struct err *err);
/** Sends what was added, if anything or upto, and counts. 0 or a negative code with text. */
int acks_send(struct acks *acks, struct weir *w, struct err *err);
void acks_finish(struct acks *acks);

#endif
