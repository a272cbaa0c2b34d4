/*
 * What an init file asks for, made so: basins and streams are made, or get the config it says; nothing is removed.
 */
#ifndef DAEMON_S2_INIT_APPLY_H
#define DAEMON_S2_INIT_APPLY_H

#include "daemon/daemon.h"
#include "daemon/s2/init_file.h"

/** Runs the loop until all is durable. Before the first connection is taken. The first that fails ends it; the text names it. */
int init_apply(struct daemon *daemon, const struct init_file *file, struct err *err);

#endif
