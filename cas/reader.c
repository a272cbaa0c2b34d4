#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "cas/dir.h"
#include "cas/sums.h"

#define NO_BLOCK UINT64_MAX

/*
 * Every byte handed out comes from block[], which holds a block only after its sum was found right.
 * The sums come from one of two places: a checked sums file, or `list`, made while the whole blob
 * was checked against its name.
 */
struct cas_reader {
    struct cas *cas;
    int fd;
    int sums_fd;       /**< -1: list is used */
    uint64_t *list;    /**< NULL: sums_fd is used */
    uint64_t size;     /**< bytes, as found at open */
    uint64_t block_no; /**< which block is in block[]; NO_BLOCK: none */
    uint8_t digest[DIGEST_SIZE];
    uint8_t block[SUMS_BLOCK];
};

static int fail_damaged(const struct cas_reader *reader, struct err *err)
{
    char name[SRI_TEXT_LEN + 1];
    sri_format(name, reader->digest);
    return err_set(err, ERR_DAMAGED,
                   "content %s is damaged on disk; store the same bytes again to mend it", name);
}

static size_t block_len(const struct cas_reader *reader, uint64_t no)
{
    uint64_t left = reader->size - no * SUMS_BLOCK;
    return left < SUMS_BLOCK ? (size_t)left : SUMS_BLOCK;
}

/* Reads a block into block[] without checking it. */
static int block_fetch(struct cas_reader *reader, uint64_t no, struct err *err)
{
    size_t len = block_len(reader, no);
    reader->block_no = NO_BLOCK;
    long got = fd_read_at(reader->fd, no * SUMS_BLOCK, reader->block, len);
    if (got < 0)
        return cas_fail(err, (int)-got, "read content");
    return (size_t)got < len ? fail_damaged(reader, err) : 0;
}

static int block_load(struct cas_reader *reader, uint64_t no, struct err *err)
{
    if (reader->block_no == no)
        return 0;
    uint64_t expected = 0;
    int rc = block_fetch(reader, no, err);
    if (rc < 0)
        return rc;
    if (reader->list)
        expected = reader->list[no];
    else
        rc = sums_read(reader->sums_fd, no, &expected);
    if (rc < 0 && rc != ERR_DAMAGED)
        return cas_fail(err, -rc, "read the block sums of content");
    if (rc < 0 || sums_block(span_of(reader->block, block_len(reader, no)), no) != expected)
        return fail_damaged(reader, err);
    reader->block_no = no;
    return 0;
}

/* --- checking a whole blob
 * ------------------------------------------------------------------------- */

/* One pass over the blob: hashes it and lists its sums. Damage shows only at the end. */
static int whole_pass(struct cas_reader *reader, struct cas_hash *hash, struct sums_maker *maker,
                      struct err *err)
{
    uint64_t count = sums_count(reader->size);
    for (uint64_t no = 0; no < count; no++) {
        int rc = block_fetch(reader, no, err);
        if (rc < 0)
            return rc;
        struct span block = span_of(reader->block, block_len(reader, no));
        cas_hash_add(hash, block);
        reader->list[no] = sums_block(block, no);
        if (maker)
            sums_maker_add(maker, reader->list[no]);
    }
    return 0;
}

static int whole_hash(struct cas_reader *reader, struct sums_maker *maker, struct err *err)
{
    struct cas_hash *hash;
    uint8_t digest[DIGEST_SIZE];
    int rc = cas_hash_begin(&hash);
    if (rc < 0)
        return err_sys(err, -rc, "check content");
    rc = whole_pass(reader, hash, maker, err);
    cas_hash_finish(hash, digest);
    if (rc == 0 && memcmp(digest, reader->digest, DIGEST_SIZE) != 0)
        rc = fail_damaged(reader, err);
    return rc;
}

/*
 * Checks the blob against its name. The list this leaves takes 8 bytes for 64 KiB (128 KiB for 1
 * GiB); it is kept so that a full or read-only disk, where the sums cannot be saved, does not stop
 * reading.
 */
static int whole_check(struct cas_reader *reader, struct err *err)
{
    uint64_t count = sums_count(reader->size);
    if (count > SIZE_MAX / sizeof(uint64_t))
        return err_sys(err, ENOMEM, "check content");
    reader->list = calloc(count ? (size_t)count : 1, sizeof(uint64_t));
    if (!reader->list)
        return err_sys(err, ENOMEM, "check content");
    if (reader->size <= CAS_SUM_MIN)
        return whole_hash(reader, NULL, err);

    struct sums_maker *maker = malloc(sizeof(*maker));
    if (!maker)
        return err_sys(err, ENOMEM, "check content");
    sums_maker_init(maker, reader->cas);
    int rc = whole_hash(reader, maker, err);
    if (rc == 0)
        (void)sums_maker_save(maker, reader->fd, reader->digest, reader->size);
    sums_maker_finish(maker);
    free(maker);
    return rc;
}

/* --- opening -------------------------------------------------------------------------------------
 */

static int blob_open(struct cas_reader *reader, struct err *err)
{
    char path[CAS_PATH_SIZE];
    struct stat st;
    cas_path(path, reader->digest);
    reader->fd =
        openat(reader->cas->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (reader->fd < 0 && errno == ENOENT) {
        char name[SRI_TEXT_LEN + 1];
        sri_format(name, reader->digest);
        return err_set(err, ERR_NOT_FOUND, "no content %s", name);
    }
    if (reader->fd < 0 || fstat(reader->fd, &st) < 0)
        return cas_fail(err, errno, "open content");
    if (!S_ISREG(st.st_mode))
        return fail_damaged(reader, err);
    reader->size = (uint64_t)st.st_size;
    return 0;
}

static int reader_start(struct cas_reader *reader, struct err *err)
{
    int rc = blob_open(reader, err);
    if (rc < 0)
        return rc;
    if (reader->size > CAS_SUM_MIN &&
        sums_open(reader->cas, reader->digest, reader->size, &reader->sums_fd) == 0)
        return 0;
    return whole_check(reader, err);
}

int cas_reader_open(struct cas *cas, struct cas_reader **out,
                    const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    struct cas_reader *reader = malloc(sizeof(*reader));
    if (!reader)
        return err_sys(err, ENOMEM, "open content");
    reader->cas = cas;
    reader->fd = reader->sums_fd = -1;
    reader->list = NULL;
    reader->size = 0;
    reader->block_no = NO_BLOCK;
    memcpy(reader->digest, digest, DIGEST_SIZE);
    int rc = reader_start(reader, err);
    if (rc < 0) {
        cas_reader_close(reader);
        return rc;
    }
    *out = reader;
    return 0;
}

uint64_t cas_reader_size(const struct cas_reader *reader)
{
    return reader->size;
}

int cas_reader_read(struct cas_reader *reader, uint64_t offset, void *buf, size_t room, size_t *got,
                    struct err *err)
{
    size_t done = 0;
    while (done < room && offset < reader->size) {
        uint64_t no = offset / SUMS_BLOCK;
        size_t at = (size_t)(offset % SUMS_BLOCK);
        int rc = block_load(reader, no, err);
        if (rc < 0)
            return rc;
        size_t n = block_len(reader, no) - at;
        n = n < room - done ? n : room - done;
        memcpy((uint8_t *)buf + done, reader->block + at, n);
        done += n;
        offset += n;
    }
    *got = done;
    return 0;
}

void cas_reader_close(struct cas_reader *reader)
{
    if (!reader)
        return;
    if (reader->fd >= 0)
        close(reader->fd);
    if (reader->sums_fd >= 0)
        close(reader->sums_fd);
    free(reader->list);
    free(reader);
}

int cas_stat(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], uint64_t *size)
{
    char path[CAS_PATH_SIZE];
    struct stat st;
    cas_path(path, digest);
    if (fstatat(cas->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : -errno;
    if (!S_ISREG(st.st_mode))
        return ERR_NOT_FOUND;
    if (size)
        *size = (uint64_t)st.st_size;
    return 0;
}

int cas_blob_prove(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], uint64_t size)
{
    uint64_t there;
    struct cas_reader *reader = NULL;
    int rc = cas_stat(cas, digest, &there);
    if (rc == 0 && there != size)
        rc = ERR_DAMAGED;
    if (rc == 0)
        rc = cas_reader_open(cas, &reader, digest, NULL);
    if (rc < 0)
        return rc;
    if (reader->size != size)
        rc = ERR_DAMAGED;
    for (uint64_t no = 0; rc == 0 && !reader->list && no < sums_count(size); no++)
        rc = block_load(reader, no, NULL);
    if (rc == 0 && fdatasync(reader->fd) < 0)
        rc = -errno;
    cas_reader_close(reader);
    return rc;
}
