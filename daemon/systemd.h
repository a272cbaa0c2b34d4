/*
 * The two small protocols of the service manager, without its library. Harmless where it is absent.
 */
#ifndef DAEMON_SYSTEMD_H
#define DAEMON_SYSTEMD_H

#include <weir/err.h>

#define SYSTEMD_READY "READY=1"
#define SYSTEMD_STOPPING "STOPPING=1"

/** Sends lines such as SYSTEMD_READY "\nSTATUS=text" to $NOTIFY_SOCKET. 0 also when there is none;
 * -errno. */
int systemd_notify(const char *lines);

/** sd_notify STATUS with a printf text; newlines become blanks. */
int systemd_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * Sockets handed over (LISTEN_PID, LISTEN_FDS): their number, or 0. They are first .. first + n -
 * 1, made close-on-exec; the variables are removed, so that no program inherits them. Once, before
 * threads.
 */
int systemd_sockets(int *first);

#endif
