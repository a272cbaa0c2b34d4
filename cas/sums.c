/*
 * The sums file of a blob above CAS_SUM_MIN: DIR/sums/XX/YY/REST, named like the blob. Version 1.
 * All integers are big-endian.
 *
 *   offset  size  what
 *        0     8  "weirsums"
 *        8     4  version: 1
 *       12     4  block size in bytes: 65536
 *       16     8  size of the blob in bytes
 *       24    32  SHA-256 of the blob: its name
 *       56     8  check: XXH3-64 of bytes 0..55, seeded with the XXH3-64 (seed 0) of all sums'
 * bytes 64   8*n  sums: for block i of n the XXH3-64 of its bytes, seeded with i
 *
 * Invariants:
 *   1. n = ceil(blob size / block size), and the file ends after the last sum.
 *   2. The sums were computed over the very bytes whose SHA-256 is the name.
 *   3. The file is written without sync, so after a crash it may be absent, short or any bytes at
 * all. A reader that finds it so checks the whole blob against its name and makes the sums again.
 *
 * Version rule: a reader takes a version or block size it does not know for damage, and thus makes
 * the file again; no upgrade is needed, for nothing is in it that the blob does not say.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <xxhash.h>

#include "base/fd.h"
#include "base/bytes.h"
#include "base/clean.h"
#include "cas/sums.h"

#define VERSION 1
#define CHECK_AT 56

static const char magic[8] = {'w', 'e', 'i', 'r', 's', 'u', 'm', 's'};

uint64_t sums_count(uint64_t size)
{
    return size / SUMS_BLOCK + (size % SUMS_BLOCK > 0);
}

uint64_t sums_block(struct span block, uint64_t no)
{
    return XXH3_64bits_withSeed(block.ptr, block.len, no);
}

int sums_head_parse(struct span bytes, struct sums_head *out)
{
    const uint8_t *p = bytes.ptr;
    if (bytes.len < SUMS_HEAD_SIZE || memcmp(p, magic, sizeof(magic)) != 0)
        return ERR_DAMAGED;
    if (get_be32(p + 8) != VERSION || get_be32(p + 12) != SUMS_BLOCK)
        return ERR_DAMAGED;
    out->blob_size = get_be64(p + 16);
    memcpy(out->digest, p + 24, DIGEST_SIZE);
    out->check = get_be64(p + CHECK_AT);
    return 0;
}

void sums_head_format(uint8_t out[static SUMS_HEAD_SIZE], uint64_t blob_size,
                      const uint8_t digest[static DIGEST_SIZE], uint64_t body_sum)
{
    memcpy(out, magic, sizeof(magic));
    put_be32(out + 8, VERSION);
    put_be32(out + 12, SUMS_BLOCK);
    put_be64(out + 16, blob_size);
    memcpy(out + 24, digest, DIGEST_SIZE);
    put_be64(out + CHECK_AT, XXH3_64bits_withSeed(out, CHECK_AT, body_sum));
}

/* --- reading ------------------------------------------------------------------------------------
 */

/* XXH3-64 over what follows the header: inv 1 is known to hold for the file's length. */
static int body_sum(int fd, uint64_t len, XXH3_state_t *state, uint64_t *out)
{
    uint8_t piece[4096];
    XXH3_64bits_reset(state);
    for (uint64_t done = 0; done < len;) {
        size_t want = len - done < sizeof(piece) ? (size_t)(len - done) : sizeof(piece);
        long got = fd_read_at(fd, SUMS_HEAD_SIZE + done, piece, want);
        if (got < 0)
            return (int)got;
        if ((size_t)got < want)
            return ERR_DAMAGED;
        XXH3_64bits_update(state, piece, want);
        done += want;
    }
    *out = XXH3_64bits_digest(state);
    return 0;
}

static int length_check(int fd, uint64_t blob_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    uint64_t want = SUMS_HEAD_SIZE + sums_count(blob_size) * SUMS_ITEM_SIZE;
    return S_ISREG(st.st_mode) && (uint64_t)st.st_size == want ? 0 : ERR_DAMAGED;
}

int sums_file_check(int fd, const uint8_t digest[static DIGEST_SIZE], uint64_t blob_size)
{
    uint8_t bytes[SUMS_HEAD_SIZE];
    uint8_t expected[SUMS_HEAD_SIZE];
    struct sums_head head;
    int rc = length_check(fd, blob_size);
    long got = rc == 0 ? fd_read_at(fd, 0, bytes, sizeof(bytes)) : rc;
    rc = got < 0 ? (int)got : sums_head_parse(span_of(bytes, (size_t)got), &head);
    if (rc < 0)
        return rc;

    XXH3_state_t *state = XXH3_createState();
    if (!state)
        return -ENOMEM;
    uint64_t sum = 0;
    rc = body_sum(fd, sums_count(blob_size) * SUMS_ITEM_SIZE, state, &sum);
    XXH3_freeState(state);
    if (rc < 0)
        return rc;
    sums_head_format(expected, blob_size, digest, sum);
    return memcmp(bytes, expected, sizeof(bytes)) == 0 ? 0 : ERR_DAMAGED;
}

int sums_open(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], uint64_t blob_size,
              int *out)
{
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    CLEAN_FD int fd = openat(cas->sums_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : -errno;
    int rc = sums_file_check(fd, digest, blob_size);
    if (rc < 0)
        return rc;
    *out = fd;
    fd = -1;
    return 0;
}

int sums_read(int fd, uint64_t no, uint64_t *out)
{
    uint8_t bytes[SUMS_ITEM_SIZE];
    long got = fd_read_at(fd, SUMS_HEAD_SIZE + no * SUMS_ITEM_SIZE, bytes, sizeof(bytes));
    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof(bytes))
        return ERR_DAMAGED;
    *out = get_be64(bytes);
    return 0;
}

/* --- making -------------------------------------------------------------------------------------
 */

void sums_maker_init(struct sums_maker *maker, struct cas *cas)
{
    maker->cas = cas;
    maker->tmp = CAS_TMP_INIT;
    maker->count = 0;
    maker->pending = 0;
    maker->body = XXH3_createState();
    maker->rc = maker->body ? 0 : -ENOMEM;
    if (maker->body)
        XXH3_64bits_reset(maker->body);
}

/* Moves the pending sums to the temp file, which is created by the first of them. */
static int pending_write(struct sums_maker *maker)
{
    if (maker->tmp.fd < 0) {
        int rc = cas_tmp_create(maker->cas, &maker->tmp, NULL);
        if (rc < 0)
            return rc;
    }
    uint64_t end = SUMS_HEAD_SIZE + maker->count * SUMS_ITEM_SIZE;
    int rc =
        cas_write_all(maker->tmp.fd, span_of(maker->bytes, maker->pending), end - maker->pending);
    if (rc == 0)
        maker->pending = 0;
    return rc;
}

void sums_maker_add(struct sums_maker *maker, uint64_t sum)
{
    if (maker->rc < 0)
        return;
    uint8_t *item = maker->bytes + maker->pending;
    put_be64(item, sum);
    XXH3_64bits_update(maker->body, item, SUMS_ITEM_SIZE);
    maker->pending += SUMS_ITEM_SIZE;
    maker->count++;
    if (maker->pending == sizeof(maker->bytes))
        maker->rc = pending_write(maker);
}

/* Under the lock cas_remove takes, so that no sums stay behind for a blob that is gone. */
static int move(struct sums_maker *maker, int blob_fd, const char *path)
{
    struct cas *cas = maker->cas;
    struct stat st;
    int rc = 0;
    pthread_mutex_lock(&cas->lock);
    if (fstat(blob_fd, &st) < 0)
        rc = -errno;
    else if (st.st_nlink > 0)
        rc = cas_tmp_rename(cas, &maker->tmp, cas->sums_fd, path);
    pthread_mutex_unlock(&cas->lock);
    return rc;
}

int sums_maker_save(struct sums_maker *maker, int blob_fd, const uint8_t digest[static DIGEST_SIZE],
                    uint64_t blob_size)
{
    uint8_t head[SUMS_HEAD_SIZE];
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    int rc = maker->rc;
    if (rc == 0)
        rc = pending_write(maker);
    if (rc < 0)
        return rc;
    sums_head_format(head, blob_size, digest, XXH3_64bits_digest(maker->body));
    rc = cas_write_all(maker->tmp.fd, span_of(head, sizeof(head)), 0);
    if (rc == 0)
        rc = cas_dirs_make_loose(maker->cas->sums_fd, path);
    return rc < 0 ? rc : move(maker, blob_fd, path);
}

void sums_maker_finish(struct sums_maker *maker)
{
    cas_tmp_drop(maker->cas, &maker->tmp);
    XXH3_freeState(maker->body);
    maker->body = NULL;
}
