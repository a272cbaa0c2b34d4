/*
 * What the files of a group at work have in common.
 */
#ifndef DAEMON_GROUP_IMPL_H
#define DAEMON_GROUP_IMPL_H

#include "daemon/groups/group_host.h"

#define GROUP_RETRY_MS 1000 /**< what failed is tried again after that */

/** The loop's clock. */
uint64_t group_host_now(const struct group_host *host);
/** No more frames from the log; where it was is kept. */
void group_host_close_pump(struct group_host *host);
/** Nothing comes to the members any more: see struct group_seat. */
void group_host_close_seats(struct group_host *host, int why);
/** Forgets members that are gone and have nothing open. */
void group_host_sweep(struct group_host *host);
/** Forgets all of them. */
void group_host_free_seats(struct group_host *host);
/** Records acknowledgements that nobody waits for, and a place that moved. */
void group_host_record_soon(struct group_host *host);

#endif
