/*
 * A group of a weir store, read by a relay: what it asks for, and what of it is done.
 */
#ifndef BRIDGE_RELAY_WEIR_GROUP_H
#define BRIDGE_RELAY_WEIR_GROUP_H

#include <weir/id.h>

#include "bridge/relay/weir_store.h"

struct relay_group;

/**
 * RESUMABLE: a group with one member; BALANCED: one of many. ERR_INVALID for keys that are no topics, a start that a group cannot have, or
 * commits that it has not. Asks the store whether the group is there: one of ours hands a frame out as often as it takes.
 */
int relay_group_open(struct relay_group **out, char *const *keys, size_t key_count, const struct relay_options *o, struct relay_store *store,
                     struct err *err);
/** Appends its part of the read's query. -ENOMEM. */
int relay_group_query(const struct relay_group *group, struct buf *target);
/** A frame of it was given, or passed over. -ENOMEM. */
int relay_group_given(struct relay_group *group, struct frame_id id);
/** A fill is over: acknowledges what is due by now. */
int relay_group_filled(struct relay_group *group, struct relay_store *store, struct err *err);
/** What was given is durable at the sink: acknowledges it, now or when it is due. */
int relay_group_settle(struct relay_group *group, struct relay_store *store, struct err *err);
/** A frame came that goes to nobody any more: it is handed back at the close. -ENOMEM. */
int relay_group_unread(struct relay_group *group, struct frame_id id);
/** Acknowledges what is settled and was not due yet, hands back what was not given (store NULL: nothing), frees. Takes NULL. */
void relay_group_close(struct relay_group *group, struct relay_store *store);

#endif
