/*
 * Blobs of ephemeral frames: removed when they have served, since no index knows of them.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_PASSING_H
#define DAEMON_PASSING_H

#include "daemon/site.h"

/** Whether the frame is ephemeral and its content a blob. */
bool passing_is(const struct frame *frame);
/**
 * Nobody needs the content of the ephemeral frame `id` any more: removes its blob, later and on the pool, unless it is pinned or another frame
 * names it: one that is stored, or a newer ephemeral one. Keeps the site open until then. What fails is left to the sweep.
 */
void passing_discard(struct site *site, const uint8_t digest[static DIGEST_SIZE], struct frame_id id);

#endif
