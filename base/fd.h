/*
 * Whole reads and writes of a descriptor that blocks: a signal or a short count is no end.
 */
#ifndef BASE_FD_H
#define BASE_FD_H

#include <weir/span.h>

/** Writes all bytes. 0 or -errno; some of them may then have been written. */
int fd_write_all(int fd, struct span bytes);

/** Reads `room` bytes from `offset` on, fewer only at the end. How many, or -errno. */
long fd_read_at(int fd, uint64_t offset, void *into, size_t room);

#endif
