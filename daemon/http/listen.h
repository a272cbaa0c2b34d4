/*
 * Listeners: the store's socket, exposed addresses, sockets handed over by systemd.
 *
 * Everything runs on the loop thread. A listener takes connections only while the other side has
 * room; the rest waits in the kernel's backlog. With no descriptor left it pauses for a moment
 * instead of spinning.
 */
#ifndef DAEMON_LISTEN_H
#define DAEMON_LISTEN_H

#include <uv.h>

#include <weir/err.h>

#include "daemon/http/http.h"

struct listener;

struct listen_options {
    uv_loop_t *loop;
    /** Takes over a connected, non-blocking, close-on-exec descriptor. */
    void (*accepted)(void *arg, int fd, enum http_via via);
    bool (*full)(void *arg); /**< true: leave connections in the backlog for now; may be NULL */
    bool anywhere;           /**< addresses that are not loopback are taken, too */
    void *arg;
};

/**
 * Listens on the Unix socket `name` in the held directory `dirfd`, mode 0600; any length of path.
 * The caller holds the store's lock, so a dead socket there is replaced. ERR_LOCKED when somebody
 * still accepts on it, ERR_CONFLICT when it is no socket.
 */
int listen_unix_at(struct listener **out, const struct listen_options *options, int dirfd,
                   const char *name, struct err *err);

/**
 * Listens on HOST:PORT, [HOST]:PORT or :PORT (127.0.0.1; port 0: any), or, where the text begins
 * with `/` or `.`, on a Unix socket. ERR_FORBIDDEN for an address that is not loopback, unless `anywhere`;
 * ERR_CONFLICT for an existing file that is no dead socket; ERR_INVALID; -errno.
 */
int listen_expose(struct listener **out, const struct listen_options *options, const char *address,
                  struct err *err);

/** Whether listen_expose would take this address, as far as can be said without binding. Same errors. */
int listen_check(const char *address, bool anywhere, struct err *err);

/** Takes over a socket that listens already (systemd). Same address rule; owns `fd` also on
 * failure. */
int listen_fd(struct listener **out, const struct listen_options *options, int fd, struct err *err);

/** The real address: 127.0.0.1:8080, [::1]:8080 or a path. Lives as long as the listener. */
const char *listen_address(const struct listener *listener);
enum http_via listen_via(const struct listener *listener);

/** Stops, closes (memory goes in a later turn of the loop) and removes the socket file it made.
 * Takes NULL. */
void listen_destroy(struct listener *listener);

#endif
