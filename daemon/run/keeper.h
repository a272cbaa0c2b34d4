/*
 * A keeper: the process between the supervisor and one program. It starts the program, inherits all
 * orphans of its tree, ends the tree when told to, when the program itself has ended or when the
 * supervisor is gone, and says how it went. It ends when nothing is left.
 */
#ifndef DAEMON_RUN_KEEPER_H
#define DAEMON_RUN_KEEPER_H

#include "daemon/run/cgroup.h"
#include "daemon/run/spawn_wire.h"

struct keeper_start {
    const struct wire *spawn;
    int socket;        /**< to the supervisor: messages of spawn_wire.h, one a datagram */
    int fds[WIRE_FDS]; /**< the program's */
    pid_t supervisor;
    const struct cgroup_places *places; /**< NULL: no group is needed */
};

/** The keeper's life; called in a fork of the supervisor, which blocks SIGCHLD. Never returns. */
_Noreturn void keeper_main(const struct keeper_start *start);

#endif
