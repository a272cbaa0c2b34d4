/*
 * Confinement of a program and all it starts: no sockets, no namespaces, mounts or looks into other
 * processes (seccomp), writes only below its directory and to /dev/null and /dev/zero (landlock).
 * Reading and executing stay free. What the kernel does not have is left out and said.
 *
 * Thread rule: between fork and exec, or in a keeper.
 */
#ifndef DAEMON_RUN_CONFINE_H
#define DAEMON_RUN_CONFINE_H

#include <stdbool.h>

/** What of it this kernel gives. */
struct confine {
    int landlock; /**< the ABI's version; 0 = none */
    bool seccomp;
};

/** Asks the kernel. */
struct confine confine_probe(void);

/**
 * Confines the calling process for good. `directory` is where it may write. 0 or -errno, and then
 * it may be confined in part: the program is not to be run.
 */
int confine_apply(const struct confine *confine, const char *directory);

#endif
