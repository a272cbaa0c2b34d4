/*
 * The answer to a read as a member of a group: frames as they are handed out, until the limit, the
 * end of history or for ever.
 */
#ifndef DAEMON_GROUP_READER_H
#define DAEMON_GROUP_READER_H

#include "daemon/exchange.h"
#include "daemon/groups/groups.h"

struct group_reader {
    struct exchange x;
    struct group_ask ask;
    struct group_place place; /**< where a new group begins */
    struct group_call call;
    struct group_host *host; /**< held */
    struct group_seat *seat; /**< while it is a member */
    unsigned flags;          /**< FRAME_JSON_... */
    bool sse;
    uint64_t left; /**< frames until the limit */

    struct buf out; /**< being sent, from `sent` on */
    size_t sent;
    struct buf given; /**< struct given: frames in `out` or just sent, in order */
    bool recording;   /**< the end waits for a record */
    bool ended;       /**< the answer came to its end */
};

/** Begins the answer; x->query is parsed, x->req there. ERR_INVALID, -ENOMEM. */
int group_reader_begin(struct group_reader *r, bool sse, struct err *err);
/** As of struct route. */
void group_reader_gone(struct exchange *x);
void group_reader_finish(struct exchange *x);

#endif
