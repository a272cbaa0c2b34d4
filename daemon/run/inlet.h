/*
 * The reading end of a stream of messages (spawn_wire.h), with the descriptors that come with some
 * of them.
 */
#ifndef DAEMON_RUN_INLET_H
#define DAEMON_RUN_INLET_H

#include "base/buf.h"
#include "daemon/run/spawn_wire.h"

/** Descriptors of one message; all -1: this process had no room for them. */
struct inlet_set {
    int fds[WIRE_FDS];
};

/* A message's descriptors come with its first byte, so that sets are in the order of messages and
 * hardly any wait. */
#define INLET_SETS 4

/** Zeroed memory is an empty one. */
struct inlet {
    struct buf in;
    size_t at; /**< before it all has been given out */
    struct inlet_set sets[INLET_SETS];
    size_t set_count;
};

/** Reads once, without waiting: 1 = something came, 0 = nothing yet, ERR_END = the other side is
 * gone (or -errno, -ENOMEM). */
int inlet_read(struct inlet *inlet, int fd);
/**
 * The next whole message, valid until the next read: 1, 0 = no whole one is there, ERR_INVALID.
 */
int inlet_next(struct inlet *inlet, const uint8_t **bytes, size_t *size);
/** The oldest set, owned by the caller then; false when none came. */
bool inlet_take_set(struct inlet *inlet, struct inlet_set *out);
/** Frees, and closes what was not taken. */
void inlet_finish(struct inlet *inlet);

void inlet_close_set(struct inlet_set *set);

#endif
