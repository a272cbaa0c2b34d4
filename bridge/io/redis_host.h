/*
 * Names that a host's consumers have by themselves.
 */
#ifndef BRIDGE_IO_REDIS_HOST_H
#define BRIDGE_IO_REDIS_HOST_H

#include "bridge/io/redis_consumer.h"

/** Appends this host's id: $HOST_ID, else that of its container, else a network address without colons, else its name. -ENOMEM. */
int redis_host(struct buf *out);
/** Appends HOST:r or HOST:s. */
int redis_group_name(struct buf *out, enum ss_mode mode);
/** Appends HOST:PID:THREAD:NANOS. */
int redis_member_name(struct buf *out);

#endif
