/*
 * The content-addressed directory: large contents as files named by their SHA-256.
 *
 *   DIR/sha256/2c/f2/4dba...   a blob: exactly the content's bytes, mode 0600
 *   DIR/sums/2c/f2/4dba...     block sums of a blob above CAS_SUM_MIN (byte table in cas/sums.c)
 *   DIR/tmp/                   puts under way; emptied at open
 *
 * Knows nothing of frames. Durable: when cas_put_finish answers 0, blob, name and every directory
 * on the way are synced, also when the blob was there already. Verified: a reader hands out no byte
 * that was not checked against the blob's name (or its block sums, which were made when the whole was
 * checked). Thread rule: one `struct cas` may be used from any thread; a put or a reader belongs to
 * one thread at a time. Every call may block on the disk, so none belongs on an event loop.
 */
#ifndef WEIR_CAS_H
#define WEIR_CAS_H

#include <stdint.h>

#include <weir/err.h>
#include <weir/frame.h>
#include <weir/span.h>

struct cas;
struct cas_put;
struct cas_reader;

/** Opens (creates, 0700) the directory `name` below the directory `dirfd`; empties tmp. Errors: -errno. */
int cas_open(struct cas **out, int dirfd, const char *name, struct err *err);
/** Frees; no put, reader or pin may be left. Takes NULL. */
void cas_close(struct cas *cas);

/* --- hashing, used also for content that stays out of the directory ------------------------------- */

/** SHA-256 of bytes. */
void cas_digest(uint8_t out[static DIGEST_SIZE], struct span bytes);

/** A running SHA-256. Freed by finish or drop. */
struct cas_hash;
int cas_hash_begin(struct cas_hash **out);
void cas_hash_add(struct cas_hash *hash, struct span bytes);
void cas_hash_finish(struct cas_hash *hash, uint8_t out[static DIGEST_SIZE]);
void cas_hash_drop(struct cas_hash *hash);

/* --- writing ------------------------------------------------------------------------------------- */

/**
 * Starts a put: a temp file opened with O_EXCL. Memory is constant whatever the size. -errno; ERR_FULL
 * without room; ERR_UNAVAILABLE after a directory sync failed: reads go on, puts only after a new cas_open.
 */
int cas_put_begin(struct cas *cas, struct cas_put **out, struct err *err);
/** Adds bytes; hashes on the way; starts write-back every 8 MiB. After an error only drop is left. */
int cas_put_write(struct cas_put *put, struct span bytes, struct err *err);
/**
 * Ends the put: sync, rename, directory sync. Pins the digest (see cas_pin) before it looks whether the
 * blob is there; the caller unpins when what names the blob is durable and findable. A blob that is there but damaged
 * is replaced. Frees the put, also on failure: then nothing is pinned and no temp file is left (a whole blob whose
 * directory could not be synced may stay for gc). Empty content is a blob like any other.
 */
int cas_put_finish(struct cas_put *put, uint8_t digest[static DIGEST_SIZE], uint64_t *size, struct err *err);
/** Gives the put up; removes its temp file. Takes NULL. */
void cas_put_drop(struct cas_put *put);

/* --- reading ------------------------------------------------------------------------------------- */

/**
 * Opens a blob. ERR_NOT_FOUND when absent. ERR_DAMAGED when its length or (up to CAS_SUM_MIN) its bytes do not
 * fit; larger blobs are checked block by block as they are read, and whole once when their sums are missing or
 * damaged (which are then made again).
 */
int cas_reader_open(struct cas *cas, struct cas_reader **out, const uint8_t digest[static DIGEST_SIZE], struct err *err);
/** Size in bytes. */
uint64_t cas_reader_size(const struct cas_reader *reader);
/**
 * Reads `room` checked bytes from `offset`, fewer only at the end: `got` says how many. ERR_DAMAGED names the
 * blob; no byte of a damaged block is handed out.
 */
int cas_reader_read(struct cas_reader *reader, uint64_t offset, void *buf, size_t room, size_t *got, struct err *err);
/** Takes NULL. */
void cas_reader_close(struct cas_reader *reader);

/** Whether the blob's file is there; sets size. ERR_NOT_FOUND. Does not verify. */
int cas_stat(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], uint64_t *size);

#define CAS_SUM_MIN (1024 * 1024)

/* --- garbage ---------------------------------------------------------------------------------------- */

/** Pins count: while a digest has one, cas_remove leaves its blob. -ENOMEM. */
int cas_pin(struct cas *cas, const uint8_t digest[static DIGEST_SIZE]);
void cas_unpin(struct cas *cas, const uint8_t digest[static DIGEST_SIZE]);

/** Unlinks blob and sums unless pinned (-EBUSY). 0 also when absent. Not synced: a blob too many does no harm. */
int cas_remove(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], struct err *err);

/**
 * Calls visit for each blob: its digest, size and mtime (ms since the epoch). visit returns 0 to go on,
 * else the walk ends with that value. Names that are no blobs are passed over.
 */
int cas_walk(struct cas *cas,
             int (*visit)(void *arg, const uint8_t digest[static DIGEST_SIZE], uint64_t size, uint64_t mtime_ms),
             void *arg, struct err *err);

#endif
