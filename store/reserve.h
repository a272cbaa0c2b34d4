/*
 * Room kept back for hard times: a file that is given up when the disk is full, so that what frees
 * room (removals, and moving the journal into the index) still works.
 */
#ifndef STORE_RESERVE_H
#define STORE_RESERVE_H

#include <stdbool.h>
#include <stdint.h>

/** Makes the file if the disk has several times its size free. True when it is there afterwards. */
bool reserve_make(int dirfd, uint64_t bytes);
/** Gives its room up. True when there was something to give. */
bool reserve_release(int dirfd);

#endif
