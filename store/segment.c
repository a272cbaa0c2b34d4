/*
 * Segment files: making, using anew, writing. The byte tables are in journal.c.
 */
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "base/clean.h"

#define HEADER_SIZE 72
#define VERSION 1
#define SUFFIX ".wj"
#define UNFINISHED ".new"
#define NAME_DIGITS 16
#define ZERO_CHUNK 65536
#define CHUNK 16384

static const uint8_t segment_magic[8] = "WEIRJRN\n";
static const uint8_t record_magic[4] = "WREC";
static const uint8_t zeros[ZERO_CHUNK];

struct segment_calls segment_calls = {pwritev, pread, fallocate, fdatasync, fsync, fstatvfs};

/* --- names ------------------------------------------------------------------------------------ */

void segment_name(char out[static SEGMENT_NAME_SIZE], uint64_t serial)
{
    snprintf(out, SEGMENT_NAME_SIZE, "%016" PRIx64 SUFFIX, serial);
}

static bool parse_name(const char *name, const char *ending, uint64_t *serial)
{
    uint64_t value = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        char c = name[i];
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    if (strcmp(name + NAME_DIGITS, ending) != 0)
        return false;
    *serial = value;
    return true;
}

bool segment_parse_name(const char *name, uint64_t *serial)
{
    return parse_name(name, SUFFIX, serial);
}

bool segment_is_unfinished(const char *name)
{
    uint64_t serial;
    return parse_name(name, SUFFIX UNFINISHED, &serial);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Drops `done` bytes at the front of the list. */
static void iov_advance(struct iovec **iov, int *count, size_t done)
{
    while (*count > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*count)--;
    }
    if (*count > 0) {
        (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

/* Writes all of it; consumes the list. 0 or a positive errno. */
static int write_all(int fd, struct iovec *iov, int count, uint64_t offset)
{
    iov_advance(&iov, &count, 0);
    while (count > 0) {
        ssize_t n = segment_calls.pwritev(fd, iov, count, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : EIO;
        offset += (uint64_t)n;
        iov_advance(&iov, &count, (size_t)n);
    }
    return 0;
}

static int write_bytes(int fd, const void *bytes, size_t len, uint64_t offset)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    return write_all(fd, &iov, 1, offset);
}

static int retry_sync(int (*sync)(int fd), int fd)
{
    int rc;
    do
        rc = sync(fd);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

static int write_zeros(int fd, uint64_t from, uint64_t to)
{
    while (from < to) {
        struct iovec iov[16];
        int count = 0;
        uint64_t at = from;
        for (; count < 16 && at < to; count++) {
            size_t len = to - at < ZERO_CHUNK ? (size_t)(to - at) : ZERO_CHUNK;
            iov[count] = (struct iovec){(void *)(uintptr_t)zeros, len};
            at += len;
        }
        int rc = write_all(fd, iov, count, from);
        if (rc != 0)
            return rc;
        from = at;
    }
    return 0;
}

/* Reads until `len` bytes or the file's end. Their count, or minus a positive errno. */
static ssize_t read_all(int fd, uint8_t *bytes, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = segment_calls.pread(fd, bytes + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

/* --- header ----------------------------------------------------------------------------------- */

static void put_header(uint8_t p[static HEADER_SIZE], const struct segment *segment,
                       const uint8_t uuid[static 16])
{
    memcpy(p, segment_magic, sizeof segment_magic);
    put_be32(p + 8, VERSION);
    put_be32(p + 12, 0);
    memcpy(p + 16, uuid, 16);
    put_be64(p + 32, segment->generation);
    put_be64(p + 40, segment->first);
    put_be64(p + 48, segment->size);
    put_be64(p + 56, segment->chain);
    put_be64(p + 64, XXH3_64bits(p, 64));
}

/* Fills *out from a whole header. ERR_DAMAGED, ERR_FORMAT. */
static int get_header(struct segment *out, const uint8_t p[static HEADER_SIZE], const char *name,
                      const uint8_t uuid[static 16], struct err *err)
{
    if (memcmp(p, segment_magic, sizeof segment_magic) != 0)
        return err_set(err, ERR_DAMAGED, "journal segment %s: no header", name);
    uint32_t version = get_be32(p + 8);
    if (version > VERSION)
        return err_set(err, ERR_FORMAT,
                       "journal segment %s has format version %u, this weir knows up to %d: use a "
                       "newer weir",
                       name, version, VERSION);
    if (version == 0 || XXH3_64bits(p, 64) != get_be64(p + 64))
        return err_set(err, ERR_DAMAGED, "journal segment %s: its header does not fit its checksum",
                       name);
    if (memcmp(p + 16, uuid, 16) != 0)
        return err_set(
            err, ERR_FORMAT,
            "journal segment %s belongs to another store: move it back where it came from", name);
    out->generation = get_be64(p + 32);
    out->first = get_be64(p + 40);
    out->chain = get_be64(p + 56);
    if (get_be64(p + 48) < out->size)
        out->size = get_be64(p + 48) & ~UINT64_C(7);
    if (out->size < SEGMENT_HEAD)
        return err_set(err, ERR_DAMAGED, "journal segment %s was cut off", name);
    return 0;
}

int segment_read_head(struct segment *out, int fd, const uint8_t uuid[static 16], struct err *err)
{
    uint8_t head[HEADER_SIZE];
    char name[SEGMENT_NAME_SIZE];
    struct stat st;
    struct segment seg = {.serial = out->serial};
    segment_name(name, seg.serial);
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "journal segment %s", name);
    seg.size = (uint64_t)st.st_size & ~UINT64_C(7);
    seg.begin = seg.end = SEGMENT_HEAD;
    ssize_t n = read_all(fd, head, sizeof head, 0);
    if (n < 0)
        return err_sys(err, (int)-n, "read journal segment %s", name);
    int rc = n < HEADER_SIZE
                 ? err_set(err, ERR_DAMAGED, "journal segment %s: %zd bytes are too few", name, n)
                 : get_header(&seg, head, name, uuid, err);
    if (rc == 0 || rc == ERR_DAMAGED)
        *out = seg;
    return rc;
}

/* --- making ----------------------------------------------------------------------------------- */

/* Some file systems report a full disk as EIO. */
static bool is_full(int fd, int errnum)
{
    struct statvfs vfs;
    if (errnum == ENOSPC || errnum == EDQUOT)
        return true;
    return errnum == EIO && segment_calls.fstatvfs(fd, &vfs) == 0 && vfs.f_bavail == 0;
}

static int make_error(struct err *err, int dirfd, int errnum, const char *what, const char *name)
{
    if (is_full(dirfd, errnum))
        return err_set(err, ERR_FULL,
                       "%s journal segment %s: no room (%s): free disk space, then writes go on",
                       what, name, err_code_text(-errnum));
    return err_sys(err, errnum, "%s journal segment %s", what, name);
}

/* Zeros, header, sync. 0 or a positive errno. */
static int fill(int fd, const struct segment *segment, const uint8_t uuid[static 16])
{
    uint8_t head[HEADER_SIZE];
    /* For one run of blocks, and to find a full disk before it is filled with zeros. */
    if (segment_calls.fallocate(fd, 0, 0, (off_t)segment->size) != 0 && errno != EOPNOTSUPP &&
        errno != EINTR)
        return errno;
    int rc = write_zeros(fd, 0, segment->size);
    if (rc != 0)
        return rc;
    put_header(head, segment, uuid);
    rc = write_bytes(fd, head, sizeof head, 0);
    return rc != 0 ? rc : retry_sync(segment_calls.fsync, fd);
}

int segment_create(int dirfd, uint64_t serial, uint64_t size, const uint8_t uuid[static 16],
                   struct err *err)
{
    struct segment segment = {.serial = serial, .size = size};
    char name[SEGMENT_NAME_SIZE], temp[SEGMENT_NAME_SIZE + sizeof UNFINISHED];
    segment_name(name, serial);
    snprintf(temp, sizeof temp, "%s" UNFINISHED, name);
    CLEAN_FD int fd =
        openat(dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return make_error(err, dirfd, errno, "create", name);
    int rc = fill(fd, &segment, uuid);
    if (rc != 0) {
        unlinkat(dirfd, temp, 0);
        return make_error(err, dirfd, rc, "fill", name);
    }
    if (renameat(dirfd, temp, dirfd, name) != 0) {
        rc = errno;
        unlinkat(dirfd, temp, 0);
        return make_error(err, dirfd, rc, "name", name);
    }
    rc = retry_sync(segment_calls.fsync, dirfd);
    if (rc == 0)
        return 0;
    unlinkat(dirfd, name, 0);
    if (is_full(dirfd, rc))
        return make_error(err, dirfd, rc, "sync the directory of", name);
    return err_set(err, ERR_UNAVAILABLE, "sync the journal directory: %s", err_code_text(-rc));
}

int segment_activate(int *fd, int dirfd, const struct segment *segment,
                     const uint8_t uuid[static 16], struct err *err)
{
    uint8_t head[HEADER_SIZE];
    char name[SEGMENT_NAME_SIZE];
    segment_name(name, segment->serial);
    int opened = openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (opened < 0)
        return err_sys(err, errno, "open journal segment %s", name);
    put_header(head, segment, uuid);
    int rc = write_bytes(opened, head, sizeof head, 0);
    const char *what = rc != 0 ? "write" : "sync";
    if (rc == 0)
        rc = retry_sync(segment_calls.fdatasync, opened);
    if (rc != 0) {
        close(opened);
        return err_set(err, ERR_UNKNOWN, "%s the header of journal segment %s: %s", what, name,
                       err_code_text(-rc));
    }
    *fd = opened;
    return 0;
}

/* --- records ---------------------------------------------------------------------------------- */

static uint64_t padding(uint64_t len)
{
    return (8 - len % 8) % 8;
}

uint64_t segment_record_size(uint64_t payload)
{
    return SEGMENT_RECORD_HEAD + payload + padding(payload);
}

/* The head's own checksum: over its first 32 bytes and the store's uuid. */
static uint64_t head_check(const uint8_t *p, const uint8_t uuid[static 16])
{
    uint8_t covered[48];
    memcpy(covered, p, 32);
    memcpy(covered + 32, uuid, 16);
    return XXH3_64bits(covered, sizeof covered);
}

uint64_t segment_check(const uint8_t bytes[static SEGMENT_RECORD_HEAD], struct span payload)
{
    /* The head's checksum as seed makes this one cover head and uuid too. */
    return XXH3_64bits_withSeed(payload.len > 0 ? payload.ptr : zeros, payload.len,
                                get_be64(bytes + 32));
}

bool segment_get_record(struct segment_record *out, const uint8_t bytes[static SEGMENT_RECORD_HEAD],
                        const uint8_t uuid[static 16])
{
    if (memcmp(bytes, record_magic, sizeof record_magic) != 0 ||
        get_be64(bytes + 32) != head_check(bytes, uuid))
        return false;
    *out = (struct segment_record){
        .len = get_be32(bytes + 4),
        .number = get_be64(bytes + 8),
        .generation = get_be64(bytes + 16),
        .chain = get_be64(bytes + 24),
        .check = get_be64(bytes + 40),
    };
    return true;
}

static void put_record(uint8_t p[static SEGMENT_RECORD_HEAD], struct segment_record *head,
                       const uint8_t uuid[static 16], struct span payload)
{
    memcpy(p, record_magic, sizeof record_magic);
    put_be32(p + 4, head->len);
    put_be64(p + 8, head->number);
    put_be64(p + 16, head->generation);
    put_be64(p + 24, head->chain);
    put_be64(p + 32, head_check(p, uuid));
    head->check = segment_check(p, payload);
    put_be64(p + 40, head->check);
}

int segment_append(int fd, const struct segment *segment, const uint8_t uuid[static 16],
                   struct segment_record *head, struct span payload, struct err *err)
{
    uint8_t bytes[SEGMENT_RECORD_HEAD];
    head->len = (uint32_t)payload.len;
    head->generation = segment->generation;
    put_record(bytes, head, uuid, payload);
    struct iovec iov[3] = {
        {bytes, sizeof bytes},
        {(void *)(uintptr_t)payload.ptr, payload.len},
        {(void *)(uintptr_t)zeros, padding(payload.len)},
    };
    int rc = write_all(fd, iov, 3, segment->end);
    const char *what = rc != 0 ? "write" : "sync";
    if (rc == 0)
        rc = retry_sync(segment_calls.fdatasync, fd);
    if (rc == 0)
        return 0;
    return err_set(err, ERR_UNKNOWN,
                   "%s journal record %" PRIu64 ": %s: it may or may not survive; nothing more is "
                   "written until the store is opened anew",
                   what, head->number, err_code_text(-rc));
}

/* Reads the next bytes of from..to. Their count, or minus a positive errno. */
static ssize_t read_chunk(int fd, uint8_t chunk[static CHUNK], uint64_t from, uint64_t to)
{
    ssize_t n = read_all(fd, chunk, to - from < CHUNK ? (size_t)(to - from) : CHUNK, from);
    return n == 0 ? -EIO : n;
}

int segment_clear(int fd, uint64_t from, uint64_t to, struct err *err)
{
    uint8_t chunk[CHUNK];
    while (from < to) {
        ssize_t n = read_chunk(fd, chunk, from, to);
        int rc = n < 0 ? (int)-n : 0;
        if (rc == 0 && memcmp(chunk, zeros, (size_t)n) != 0)
            rc = write_zeros(fd, from, from + (uint64_t)n);
        if (rc != 0)
            return err_sys(err, rc, "clear the end of the journal");
        from += (uint64_t)n;
    }
    return 0;
}

int segment_rewrite(int fd, uint64_t from, uint64_t to, struct err *err)
{
    uint8_t chunk[CHUNK];
    while (from < to) {
        ssize_t n = read_chunk(fd, chunk, from, to);
        int rc = n < 0 ? (int)-n : write_bytes(fd, chunk, (size_t)n, from);
        if (rc != 0)
            return err_sys(err, rc, "write the end of the journal anew");
        from += (uint64_t)n;
    }
    return 0;
}

int segment_sync(int fd, struct err *err)
{
    int rc = retry_sync(segment_calls.fdatasync, fd);
    return rc == 0 ? 0 : err_sys(err, rc, "sync the journal");
}

int segment_sync_directory(int fd, struct err *err)
{
    int rc = retry_sync(segment_calls.fsync, fd);
    return rc == 0 ? 0 : err_sys(err, rc, "sync the journal directory");
}
