/*
 * Reading a segment's records through a bounded window.
 */
#ifndef STORE_SEGMENT_READER_H
#define STORE_SEGMENT_READER_H

#include "base/buf.h"
#include "store/segment.h"

/** One open segment. Opened by segment_reader_open, closed by segment_reader_close. */
struct segment_reader {
    int fd;
    uint64_t size;       /**< nothing is read at or behind it */
    const uint8_t *uuid; /**< borrowed, 16 bytes */
    struct buf window;   /**< bytes of the file from `at` on */
    uint64_t at;
};

#define SEGMENT_READER_NONE ((struct segment_reader){.fd = -1})

/** Opens the file for reading; *reader is SEGMENT_READER_NONE or closed. -errno. */
int segment_reader_open(struct segment_reader *reader, int dirfd, const struct segment *segment,
                        const uint8_t uuid[static 16], struct err *err);
void segment_reader_close(struct segment_reader *reader);
#define CLEAN_READER __attribute__((cleanup(segment_reader_close))) struct segment_reader

/**
 * Reads the record at `offset`; the payload is valid until the next call. ERR_DAMAGED: no record
 * whose checksums hold stands there, and then *head says nothing. -errno, -ENOMEM.
 */
int segment_reader_get(struct segment_reader *reader, uint64_t offset, struct segment_record *head,
                       struct span *payload, struct err *err);

/**
 * Searches from `offset` (a multiple of 8) on for a whole record with number >= least, of the given
 * generation (0 = any). ERR_NOT_FOUND; -errno, -ENOMEM. Takes time linear in the file's size.
 */
int segment_reader_find(struct segment_reader *reader, uint64_t offset, uint64_t generation,
                        uint64_t least, struct segment_record *head, uint64_t *found,
                        struct err *err);

#endif
