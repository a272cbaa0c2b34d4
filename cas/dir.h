/*
 * The directory itself: its descriptors, paths below it, temp files, directory syncs. Inside cas/
 * only.
 */
#ifndef CAS_DIR_H
#define CAS_DIR_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/cas.h>

#include "cas/pin.h"

#define CAS_FANOUT_1 256         /**< directories sha256/XX */
#define CAS_FANOUT_2 (256 * 256) /**< directories sha256/XX/YY */
#define CAS_PATH_SIZE 67         /**< "XX/YY/" and 60 digits and a NUL */
#define CAS_TMP_NAME_SIZE 37     /**< "put-" and 32 random digits and a NUL */

struct cas {
    int blobs_fd; /**< DIR/sha256 */
    int sums_fd;  /**< DIR/sums */
    int tmp_fd;   /**< DIR/tmp */

    /** Guards pins, and is held while a blob or its sums are unlinked, so that a pin is a promise.
     */
    pthread_mutex_t lock;
    struct pins pins;

    /** A directory sync failed: the kernel may have forgotten what it could not write, so the next
     * sync proves nothing. No put succeeds any more. */
    atomic_bool sync_failed;

    /** One bit a directory whose own name is known to be on disk since this open. */
    atomic_uchar synced_1[CAS_FANOUT_1 / 8];
    atomic_uchar synced_2[CAS_FANOUT_2 / 8];
};

/** A temp file that has a name: unlinked by cas_tmp_drop unless it was moved into place. */
struct cas_tmp {
    int fd; /**< -1: none */
    char name[CAS_TMP_NAME_SIZE];
};

#define CAS_TMP_INIT ((struct cas_tmp){.fd = -1})

/** Sets err for a failed call: "WHAT: strerror". A full disk or quota becomes ERR_FULL. Returns the
 * code. */
int cas_fail(struct err *err, int errnum, const char *what);

/** "XX/YY/REST": made from the digest alone, so no name from outside becomes a path. */
void cas_path(char out[static CAS_PATH_SIZE], const uint8_t digest[static DIGEST_SIZE]);

/** Creates a temp file, O_EXCL, 0600, read and write. -errno, ERR_FULL. */
int cas_tmp_create(struct cas *cas, struct cas_tmp *tmp, struct err *err);

/** Moves the temp file to `path` below `dirfd`; its descriptor stays open. -errno, and then it
 * stays. */
int cas_tmp_rename(struct cas *cas, struct cas_tmp *tmp, int dirfd, const char *path);

/** Closes and, unless moved, unlinks. Takes one that has no file. */
void cas_tmp_drop(struct cas *cas, struct cas_tmp *tmp);

/**
 * Makes the two directories for a digest below sha256/ and has their names synced, whoever made
 * them. -errno, ERR_FULL.
 */
int cas_dirs_make(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], struct err *err);

/** Syncs the directory that holds the digest's blob. Latches sync_failed on failure. */
int cas_dirs_sync(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], struct err *err);

/** Makes the two directories for `path` below `dirfd`, unsynced. -errno. */
int cas_dirs_make_loose(int dirfd, const char *path);

/** Writes all of it at `offset`. -errno. */
int cas_write_all(int fd, struct span bytes, uint64_t offset);

/**
 * Checks every byte of an existing blob against its sums or its name and syncs it. 0 when it is
 * whole, has `size` bytes and is on disk; any negative code means: replace it. (cas/reader.c)
 */
int cas_blob_prove(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], uint64_t size);

#endif
