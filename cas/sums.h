/*
 * Block sums: what lets a reader check 64 KiB of a large blob without hashing the whole. Inside
 * cas/ only.
 *
 * Sums are a cache: they can always be made again from a blob that fits its name.
 */
#ifndef CAS_SUMS_H
#define CAS_SUMS_H

#include "base/buf.h"
#include "cas/dir.h"

#define SUMS_BLOCK (64 * 1024)
#define SUMS_HEAD_SIZE 64
#define SUMS_ITEM_SIZE 8
#define SUMS_PENDING_MAX 512 /**< sums kept in memory before they go to the file: 32 MiB of blob   \
                              */

/** The header of a sums file, as a value. */
struct sums_head {
    uint64_t blob_size; /**< bytes */
    uint8_t digest[DIGEST_SIZE];
    uint64_t check; /**< over the header's other bytes and all sums */
};

/** How many blocks a blob of `size` bytes has; the last may be short. */
uint64_t sums_count(uint64_t size);

/** The sum of block number `no`. */
uint64_t sums_block(struct span block, uint64_t no);

/** Reads a header. ERR_DAMAGED when it is short, foreign, or of a version or block size not ours.
 */
int sums_head_parse(struct span bytes, struct sums_head *out);

/** Writes a header, with the check that `body_sum` (XXH3-64 of all sums' bytes) gives. */
void sums_head_format(uint8_t out[static SUMS_HEAD_SIZE], uint64_t blob_size,
                      const uint8_t digest[static DIGEST_SIZE], uint64_t body_sum);

/**
 * Checks a whole sums file: that it is unharmed and belongs to this digest and size. Reads it once
 * in pieces. ERR_DAMAGED, -errno.
 */
int sums_file_check(int fd, const uint8_t digest[static DIGEST_SIZE], uint64_t blob_size);

/** Opens a blob's sums and checks them. ERR_NOT_FOUND, ERR_DAMAGED, -errno. The caller closes. */
int sums_open(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], uint64_t blob_size,
              int *out);

/** Reads one sum of a checked file. ERR_DAMAGED when the file got shorter, -errno. */
int sums_read(int fd, uint64_t no, uint64_t *out);

/**
 * Gathers sums in block order, in constant memory: a temp file takes what does not fit. Failures
 * are kept and end the gathering, for the blob does not depend on them.
 */
struct sums_maker {
    struct cas *cas;
    struct cas_tmp tmp;
    int rc;         /**< the first failure, or 0 */
    uint64_t count; /**< sums added */
    size_t pending; /**< bytes in bytes[] not yet in the file */
    void *body;     /**< running XXH3-64 over all sums' bytes */
    uint8_t bytes[SUMS_PENDING_MAX * SUMS_ITEM_SIZE];
};

void sums_maker_init(struct sums_maker *maker, struct cas *cas);

/** Adds the next block's sum. */
void sums_maker_add(struct sums_maker *maker, uint64_t sum);

/**
 * Completes the file and moves it into place, unless the blob behind `blob_fd` has been removed
 * meanwhile. Not synced. -errno; the maker still has to be finished.
 */
int sums_maker_save(struct sums_maker *maker, int blob_fd, const uint8_t digest[static DIGEST_SIZE],
                    uint64_t blob_size);

/** Frees, and removes the temp file if it was not moved. */
void sums_maker_finish(struct sums_maker *maker);

#endif
