/*
 * Removing from the disk: a store, or any tree.
 */
#ifndef DAEMON_PURGE_H
#define DAEMON_PURGE_H

#include <weir/err.h>

/**
 * Removes the files that weir makes from the store in the directory `path`, and the directory if nothing else is left in it. No link is
 * followed. Refused (ERR_FORMAT) where the directory is no store. Blocks. -errno.
 */
int purge_store(const char *path, struct err *err);

/**
 * ERR_INVALID where a store at the absolute `path` would lie among the files that weir makes for another one: removing that one would remove it. Blocks. -ENOMEM.
 */
int purge_outside(const char *path, struct err *err);

/**
 * Removes `name` below dirfd (AT_FDCWD: a path), a directory with all that is in it, however deep; at most some 70 descriptors are open
 * meanwhile. A symbolic link is removed, never followed; directories without permissions of their owner are given them; another file
 * system is not entered. 0 also when absent. Blocks. -errno: the first that could not be removed; what else could be is gone.
 */
int purge_tree(int dirfd, const char *name);

#endif
