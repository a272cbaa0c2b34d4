/*
 * What a relay asks a weir store beside its read. A store that goes away meanwhile is waited for.
 */
#ifndef BRIDGE_RELAY_WEIR_ASK_H
#define BRIDGE_RELAY_WEIR_ASK_H

#include "bridge/relay/weir_frame.h"
#include "bridge/relay/weir_store.h"

/** A large content, in place of what `out` held. 1: it is not in the store. */
int relay_ask_content(struct relay_store *store, struct span hash, struct buf *out, struct err *err);
/** The newest frame of all. 1: there is none. Tried once. */
int relay_ask_last(struct relay_store *store, struct relay_frame *scratch, struct frame_id *out, struct err *err);

#endif
