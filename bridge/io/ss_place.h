/*
 * A file on the disk as writers and readers of it share it: opened, locked, looked at, its directory synced.
 */
#ifndef BRIDGE_IO_SS_PLACE_H
#define BRIDGE_IO_SS_PLACE_H

#include <sys/types.h>

#include "bridge/ss.h"

/** The system calls that fail on a bad or full disk. Tests replace them; nothing else does. */
struct ss_place_calls {
    ssize_t (*pwrite)(int fd, const void *bytes, size_t len, off_t offset);
    int (*ftruncate)(int fd, off_t size);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
};
extern struct ss_place_calls ss_place_calls;

/** How a writer wants its file. */
enum ss_place_make {
    SS_PLACE_OLD,    /**< it has to be there: -ENOENT */
    SS_PLACE_EITHER, /**< made when it is not */
    SS_PLACE_NEW,    /**< -EEXIST when it is */
};

/**
 * Opens a regular file for reading and writing and locks it for this process alone, until the descriptor is closed. The path names the
 * locked file when this returns: one that was put into its place meanwhile is opened instead. ERR_LOCKED: another process writes it; ERR_INVALID: it is a
 * directory, a pipe or the like; -errno. `made`, may be NULL: it was not there. The caller closes *fd.
 */
int ss_place_lock(int *fd, const char *path, enum ss_place_make make, bool *made, struct err *err);
/** Opens a regular file for reading. ERR_INVALID as above, -errno. */
int ss_place_open(int *fd, const char *path, struct err *err);
/** Whether the path still names the open file. */
bool ss_place_is(const char *path, int fd);
/** The part of a path behind its last '/'; points into it. */
const char *ss_place_name(const char *path);
/** The directory a file of this path stands in: "." for a bare name. malloc'd; NULL without memory. */
char *ss_place_directory(const char *path);
/** Makes the file's name durable. */
int ss_place_sync_directory(const char *path, struct err *err);
/** Its size now. */
int ss_place_size(int fd, const char *path, uint64_t *size, struct err *err);

/** The file's bytes for the searches of ss.h. `fd` points to the descriptor and lives as long as the result. */
struct ss_bytes ss_place_bytes(const int *fd, uint64_t size, uint32_t interval);
/** The place behind a frame that ends at `offset`: behind a whole beacon that stands there and cuts nothing; else `offset`. */
uint64_t ss_place_behind(const struct ss_bytes *f, uint64_t offset);

#endif
