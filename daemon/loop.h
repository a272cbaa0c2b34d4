/*
 * The daemon's life: everything wired to one loop, served until a signal, stopped in order.
 */
#ifndef DAEMON_LOOP_H
#define DAEMON_LOOP_H

#include "daemon/daemon.h"

/** Blocks SIGINT and SIGTERM until the loop takes them and ignores SIGPIPE. Before any thread. */
void loop_hold_signals(void);

/**
 * Serves until SIGINT, SIGTERM or idleness: opens the store, listens, appends xs.start, and at the
 * end xs.stopping and xs.stop. 0, or why it could not start (nothing is left open).
 */
int loop_serve(const struct options *options, struct log *log, struct err *err);

#endif
