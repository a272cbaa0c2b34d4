/*
 * The store's directory: made, recognised, locked.
 */
#ifndef STORE_PLACE_H
#define STORE_PLACE_H

#include <stdint.h>

#include <weir/err.h>

struct place {
    int dirfd;
    int lockfd;
    unsigned format; /**< as it was found; 0 = the store is new */
    uint8_t uuid[16];
};

/**
 * Opens (creates, 0700) the directory and takes its lock for the life of the process; an older
 * format becomes this one. ERR_LOCKED
 * names the owner; ERR_FORMAT for a newer format, another kind of directory, or a file system
 * without working locks.
 */
int place_open(struct place *out, const char *path, struct err *err);
/** Gives the lock back. */
void place_close(struct place *place);

#endif
