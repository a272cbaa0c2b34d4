/*
 * Binding: from an address text to a listening socket, and the rules on which addresses are ours to
 * take.
 */
#ifndef DAEMON_LISTEN_BIND_H
#define DAEMON_LISTEN_BIND_H

#include <sys/types.h>

#include <weir/err.h>

#include "daemon/http/http.h"

#define BOUND_ADDRESS_MAX 4096

/** A listening socket. Filled by the calls below, emptied by bound_finish. */
struct bound {
    int fd;
    enum http_via via;
    int dirfd;  /**< where the socket file lies, or -1: no file, or not ours to remove */
    char *name; /**< its name there */
    dev_t dev;  /**< which file it is: one that came in its place is not removed */
    ino_t ino;
    char address[BOUND_ADDRESS_MAX]; /**< for people and clients */
};

/** See listen_unix_at, listen_expose and listen_fd for the rules and errors. */
int bound_unix_at(struct bound *out, int dirfd, const char *name, struct err *err);
int bound_expose(struct bound *out, const char *address, bool anywhere, struct err *err);
int bound_adopt(struct bound *out, int fd, bool anywhere, struct err *err);

/** Closes, and removes the socket file that was made. */
void bound_finish(struct bound *bound);

#endif
