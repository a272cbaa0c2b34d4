/*
 * A TCP connection to a server, for redis_conn alone.
 */
#ifndef BRIDGE_IO_REDIS_DIAL_H
#define BRIDGE_IO_REDIS_DIAL_H

#include "bridge/io/redis_conn.h"

/** Connects a socket that never blocks; `name` is HOST:PORT for messages. -errno, -ETIMEDOUT, -EINTR. */
int redis_dial(int *out, const struct ss_redis_node *node, const char *name, const struct redis_options *options, uint64_t deadline_us,
               struct err *err);

#endif
