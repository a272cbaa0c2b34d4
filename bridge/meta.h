/*
 * What a frame's meta keeps of a message that came from elsewhere: "ss-seq", "ss-shard", "ss-time", each a string, so that S2
 * readers see them as headers.
 *
 *   {"ss-seq":"5","ss-shard":"4","ss-time":"2022-01-01T00:00:00.123"}
 *
 * Only what the message says itself is kept: a line without a sequence has the frame's own. Shard 0 is not written.
 */
#ifndef BRIDGE_META_H
#define BRIDGE_META_H

#include "bridge/message.h"

/**
 * Appends the meta of the frame that is to hold `m`: m->meta with what the message says added at its end (members of these names
 * replaced); meta that is no object becomes the member "xs-meta". Adds nothing when there is nothing to say. -ENOMEM.
 */
int ss_meta_write(struct buf *out, const struct ss_message *m);
/**
 * Takes what meta keeps into `m`: seq, shard and time are replaced where they stand there and are well-formed, no_seq and no_time
 * cleared; m->meta becomes what is left of it (it points into `meta` or into `scratch`, which is emptied first; a member "xs-meta"
 * alone is unwrapped). -ENOMEM.
 */
int ss_meta_read(struct ss_message *m, struct span meta, struct buf *scratch);

#endif
