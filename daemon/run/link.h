/*
 * The daemon's end of one supervisor: starting it, a queue of messages to it, what it says, and
 * waiting for its end.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_LINK_H
#define DAEMON_RUN_LINK_H

#include <uv.h>

#include "daemon/run/inlet.h"
#include "daemon/run/spawn_wire.h"

struct link;

struct link_events {
    void (*message)(void *arg, const struct wire *message);
    /** The supervisor is gone; nothing can be sent any more. */
    void (*gone)(void *arg, struct link *link);
    /** And its process has been waited for. The last call: the link frees itself. */
    void (*buried)(void *arg, struct link *link);
    void *arg;
};

/** Starts a supervisor. ERR_UNAVAILABLE, -errno. */
int link_create(struct link **out, uv_loop_t *loop, const struct link_events *events,
                struct err *err);

/**
 * Sends a message, with descriptors for a spawn (else NULL; borrowed for the call). What the socket
 * has no room for waits. -EPIPE: the supervisor is gone, nothing was sent and `gone` is still to
 * come; ERR_TOO_LARGE, -ENOMEM, -errno.
 */
int link_send(struct link *link, const struct wire *message, const int *fds, struct err *err);

pid_t link_pid(const struct link *link);

/** Ends the supervisor, with all keepers, and waits for it; no more events. Not after `buried`. */
void link_destroy(struct link *link);

#endif
