/*
 * Blobs of ephemeral requests and responses: removed when they have served, since no index knows of them.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_SERVE_SPENT_H
#define DAEMON_SERVE_SPENT_H

#include "daemon/serve/visit.h"

/** Whether the frame is ephemeral and its content a blob. */
bool spent_can_be(const struct frame *frame);
/**
 * The content of the ephemeral frame `id`, a request or a response, is not needed any more: removes its blob, later and on the pool, unless
 * it is pinned or a frame names it that is neither spent itself nor such a request or response. Keeps the site open until then. What fails
 * is left to the sweep.
 */
void spent_remove(struct serve *serve, const uint8_t digest[static DIGEST_SIZE], struct frame_id id);

#endif
