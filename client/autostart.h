/*
 * The user's default store, and its daemon started on demand.
 */
#ifndef CLIENT_AUTOSTART_H
#define CLIENT_AUTOSTART_H

#include <weir/client.h>

/** Exit status by which weird says that another process owns the store: whoever started it waits
 * for that one. */
#define AUTOSTART_LOCKED 75

/**
 * The address of the user's default store, $XDG_DATA_HOME/weir or ~/.local/share/weir, with a
 * daemon that listens there when this returns 0. When none does it is started (WEIR_NO_AUTOSTART=1
 * turns that off):
 *
 *   weird PATH --idle-exit 600 --log PATH/log --ready-fd 3
 *
 * found beside the running program, else in PATH; in a session of its own, umask 077, working
 * directory /, with PATH HOME LANG TZ XDG_* of the environment and no descriptors but 0 and 1 (null
 * device), 2 (the log) and 3, to which it writes one byte when it listens. Of two starts at once
 * one loses on the store's lock; its caller waits for the winner.
 *
 * The caller calls weir_addr_finish. Errors: -ENOENT or -ECONNREFUSED as weir_request when starting
 * is turned off, ERR_UNAVAILABLE with the daemon's last words when it does not start, -errno,
 * -ENOMEM. May block up to a minute while a large journal is read. Not to be called while another
 * thread changes the environment.
 */
int autostart_default(struct weir_addr *out, struct err *err);

#endif
