#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cas/dir.h"
#include "cas/sums.h"

#define WRITE_BACK (8 * 1024 * 1024) /* bytes after which the disk is set to work */

struct cas_put {
    struct cas *cas;
    struct cas_tmp tmp;
    struct cas_hash *hash;
    struct sums_maker sums;
    int rc;                /**< the first failure of a write: nothing goes on after it */
    uint64_t size;         /**< bytes in the file */
    uint64_t written_back; /**< of these, bytes whose write-back was started */
    size_t fill;           /**< bytes in block[] not yet in the file */
    uint8_t block[SUMS_BLOCK];
};

static int refuse_if_failed(struct cas *cas, struct err *err)
{
    if (!atomic_load(&cas->sync_failed))
        return 0;
    return err_set(
        err, ERR_UNAVAILABLE,
        "content is read-only since a directory could not be synced; check the disk, then "
        "restart");
}

int cas_put_begin(struct cas *cas, struct cas_put **out, struct err *err)
{
    int rc = refuse_if_failed(cas, err);
    if (rc < 0)
        return rc;
    struct cas_put *put = malloc(sizeof(*put));
    if (!put)
        return err_sys(err, ENOMEM, "begin to store content");
    put->cas = cas;
    put->tmp = CAS_TMP_INIT;
    put->hash = NULL;
    put->rc = 0;
    put->size = put->written_back = 0;
    put->fill = 0;
    sums_maker_init(&put->sums, cas);
    if (cas_hash_begin(&put->hash) < 0)
        rc = err_sys(err, ENOMEM, "begin to store content");
    else
        rc = cas_tmp_create(cas, &put->tmp, err);
    if (rc < 0) {
        cas_put_drop(put);
        return rc;
    }
    *out = put;
    return 0;
}

/* Lets the disk write while more bytes come, so that the sync at the end has little left to do.
 * File systems that cannot do this lose only the head start. */
static int write_back(struct cas_put *put)
{
    uint64_t len = put->size - put->written_back;
    if (len < WRITE_BACK)
        return 0;
    if (sync_file_range(put->tmp.fd, (off_t)put->written_back, (off_t)len, SYNC_FILE_RANGE_WRITE) <
            0 &&
        errno != ENOSYS && errno != EOPNOTSUPP)
        return -errno;
    put->written_back = put->size;
    return 0;
}

/* Takes one block: a whole one, or the short last one. */
static int block_add(struct cas_put *put, struct span block)
{
    cas_hash_add(put->hash, block);
    sums_maker_add(&put->sums, sums_block(block, put->size / SUMS_BLOCK));
    int rc = cas_write_all(put->tmp.fd, block, put->size);
    if (rc < 0)
        return rc;
    put->size += block.len;
    return write_back(put);
}

static int bytes_add(struct cas_put *put, struct span bytes)
{
    while (bytes.len > 0) {
        size_t n;
        int rc = 0;
        if (put->fill == 0 && bytes.len >= SUMS_BLOCK) {
            n = SUMS_BLOCK;
            rc = block_add(put, span_of(bytes.ptr, n));
        } else {
            n = SUMS_BLOCK - put->fill < bytes.len ? SUMS_BLOCK - put->fill : bytes.len;
            memcpy(put->block + put->fill, bytes.ptr, n);
            put->fill += n;
            if (put->fill == SUMS_BLOCK) {
                rc = block_add(put, span_of(put->block, SUMS_BLOCK));
                put->fill = 0;
            }
        }
        if (rc < 0)
            return rc;
        bytes = span_of(bytes.ptr + n, bytes.len - n);
    }
    return 0;
}

int cas_put_write(struct cas_put *put, struct span bytes, struct err *err)
{
    if (put->rc == 0)
        put->rc = bytes_add(put, bytes);
    return put->rc < 0 ? cas_fail(err, -put->rc, "write content") : 0;
}

/* Puts the synced temp file in the blob's place, over a damaged one if there is one. */
static int place(struct cas_put *put, const uint8_t *digest, struct err *err)
{
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    if (fdatasync(put->tmp.fd) < 0)
        return cas_fail(err, errno, "sync content");
    int rc = cas_tmp_rename(put->cas, &put->tmp, put->cas->blobs_fd, path);
    if (rc < 0)
        return cas_fail(err, -rc, "name stored content");
    /* Sums that could not be saved cost the first reader one whole check, so this may fail. */
    if (put->size > CAS_SUM_MIN)
        (void)sums_maker_save(&put->sums, put->tmp.fd, digest, put->size);
    return 0;
}

/* Content that nothing names is kept for a while from the last time it was put, not the first. */
static void renew(const struct cas *cas, const uint8_t *digest)
{
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    (void)utimensat(cas->blobs_fd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

/* With the digest pinned: makes sure the blob is there, whole, and on disk with its name. */
static int settle(struct cas_put *put, const uint8_t *digest, struct err *err)
{
    int rc = cas_dirs_make(put->cas, digest, err);
    if (rc == 0 && cas_blob_prove(put->cas, digest, put->size) < 0)
        rc = place(put, digest, err);
    else if (rc == 0)
        renew(put->cas, digest);
    /* Also when it was there: whoever placed it may not have come to this sync. */
    if (rc == 0)
        rc = cas_dirs_sync(put->cas, digest, err);
    /* A sync of the same directory may have failed in another thread and swallowed the fault. */
    return rc < 0 ? rc : refuse_if_failed(put->cas, err);
}

static int rest_add(struct cas_put *put, struct err *err)
{
    if (put->rc == 0 && put->fill > 0)
        put->rc = block_add(put, span_of(put->block, put->fill));
    put->fill = 0;
    return put->rc < 0 ? cas_fail(err, -put->rc, "write content") : 0;
}

static int finish(struct cas_put *put, uint8_t *digest, struct err *err)
{
    int rc = rest_add(put, err);
    if (rc < 0)
        return rc;
    cas_hash_finish(put->hash, digest);
    put->hash = NULL;
    rc = cas_pin(put->cas, digest);
    if (rc < 0)
        return err_sys(err, -rc, "pin content");
    rc = settle(put, digest, err);
    if (rc < 0)
        cas_unpin(put->cas, digest);
    return rc;
}

int cas_put_finish(struct cas_put *put, uint8_t digest[static DIGEST_SIZE], uint64_t *size,
                   struct err *err)
{
    uint8_t own[DIGEST_SIZE];
    int rc = finish(put, own, err);
    if (rc == 0) {
        memcpy(digest, own, DIGEST_SIZE);
        if (size)
            *size = put->size;
    }
    cas_put_drop(put);
    return rc;
}

void cas_put_drop(struct cas_put *put)
{
    if (!put)
        return;
    sums_maker_finish(&put->sums);
    cas_tmp_drop(put->cas, &put->tmp);
    cas_hash_drop(put->hash);
    free(put);
}
