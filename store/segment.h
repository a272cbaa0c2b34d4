/*
 * One segment file of the journal: its header and records. The byte tables are in store/journal.c.
 *
 * A segment is written with real zeros and synced before its first use, so that an fdatasync of a
 * record touches no file system metadata. It is used anew by writing a header with a higher
 * generation; every record names its generation.
 */
#ifndef STORE_SEGMENT_H
#define STORE_SEGMENT_H

#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <weir/err.h>
#include <weir/span.h>

#define SEGMENT_HEAD 512               /**< bytes before the first record: a sector of its own */
#define SEGMENT_RECORD_HEAD 48         /**< bytes before a record's payload */
#define SEGMENT_RECORD_MAX 0x40000000u /**< bytes of payload */
#define SEGMENT_NAME_SIZE 32           /**< a file name with its NUL */

/** What is known of one segment file. A value; holds no descriptor. */
struct segment {
    uint64_t serial;     /**< names the file; says nothing about order */
    uint64_t generation; /**< rises with every use of any segment; 0 = never used */
    uint64_t first;      /**< number of its first record; 0 = never used */
    uint64_t chain;      /**< checksum of the record before the first; 0 = none known */
    uint64_t size;       /**< bytes that may be used, header included */
    uint64_t begin;      /**< offset of the record `first` */
    uint64_t end;        /**< offset behind the last good record */
};

/** A record's head as read. */
struct segment_record {
    uint64_t number;
    uint64_t generation;
    uint64_t chain; /**< check of the record before it */
    uint64_t check; /**< over head, uuid and payload */
    uint32_t len;   /**< payload bytes */
};

/** The system calls that can fail on a bad or full disk. Tests replace them; nothing else does. */
struct segment_calls {
    ssize_t (*pwritev)(int fd, const struct iovec *iov, int count, off_t offset);
    ssize_t (*pread)(int fd, void *buf, size_t len, off_t offset);
    int (*fallocate)(int fd, int mode, off_t offset, off_t len);
    int (*fdatasync)(int fd);
    int (*fsync)(int fd);
    int (*fstatvfs)(int fd, struct statvfs *out);
};
extern struct segment_calls segment_calls;

/** Bytes a record with this payload takes, padding included. */
uint64_t segment_record_size(uint64_t payload);

void segment_name(char out[static SEGMENT_NAME_SIZE], uint64_t serial);
/** Whether this is the name of a segment, and which. */
bool segment_parse_name(const char *name, uint64_t *serial);
/** Whether this is the name of a segment whose making was cut short. */
bool segment_is_unfinished(const char *name);

/**
 * Makes an unused segment: a temp file filled with zeros, synced, renamed, directory synced.
 * ERR_FULL when there is no room; ERR_UNAVAILABLE when the directory could not be synced (after
 * which no directory sync can be trusted); other failures as -errno. Nothing is left behind on
 * failure.
 */
int segment_create(int dirfd, uint64_t serial, uint64_t size, const uint8_t uuid[static 16],
                   struct err *err);

/**
 * Opens for writing and makes its header say what *segment says, durably. -errno from the open
 * leaves the file as it was; ERR_UNKNOWN when write or sync failed.
 */
int segment_activate(int *fd, int dirfd, const struct segment *segment,
                     const uint8_t uuid[static 16], struct err *err);

/**
 * Reads the header: serial stays, the rest of *out is filled, begin and end stand at the first
 * record. ERR_DAMAGED: no whole header of ours; only size is filled then. ERR_FORMAT: a newer
 * version, or another store's. -errno.
 */
int segment_read_head(struct segment *out, int fd, const uint8_t uuid[static 16], struct err *err);

/**
 * Writes a record at segment->end and syncs it. *check gets its checksum. ERR_UNKNOWN when either
 * failed. *segment is unchanged: the caller moves its end.
 */
int segment_append(int fd, const struct segment *segment, const uint8_t uuid[static 16],
                   struct segment_record *head, struct span payload, struct err *err);

/** Zeroes from..to where it is not zero already. Does not sync. -errno. */
int segment_clear(int fd, uint64_t from, uint64_t to, struct err *err);
/**
 * Writes the bytes of from..to anew as they are. What was written before a failed or missing sync
 * may stand in memory only, and look clean; a sync after this is true for it. Does not sync.
 * -errno.
 */
int segment_rewrite(int fd, uint64_t from, uint64_t to, struct err *err);
/** fdatasync of a segment; fsync of a directory. -errno. */
int segment_sync(int fd, struct err *err);
int segment_sync_directory(int fd, struct err *err);

/** Reads a head; false if its own checksum does not hold. */
bool segment_get_record(struct segment_record *out, const uint8_t bytes[static SEGMENT_RECORD_HEAD],
                        const uint8_t uuid[static 16]);
/** What `check` must be for this head and payload. */
uint64_t segment_check(const uint8_t bytes[static SEGMENT_RECORD_HEAD], struct span payload);

#endif
