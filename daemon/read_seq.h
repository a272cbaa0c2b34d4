/*
 * Where in the log a read of one topic from a seq on begins.
 */
#ifndef DAEMON_READ_SEQ_H
#define DAEMON_READ_SEQ_H

#include "daemon/exchange.h"

/**
 * Looks for the first frame of the topic with that seq or a higher one. `found` comes once, on the loop, with its id; where there is none, with one
 * above everything visible, and without such a topic with the lowest of all. The exchange is held until then. -ENOMEM: it does not come.
 */
int read_seq_start(struct exchange *x, struct span topic, uint64_t seq,
                   void (*found)(struct exchange *x, int result, struct frame_id from, const struct err *err));

#endif
