#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "cas/dir.h"

int cas_fail(struct err *err, int errnum, const char *what)
{
    if (errnum == ENOSPC || errnum == EDQUOT)
        return err_set(err, ERR_FULL, "%s: %s; free some space and try again", what,
                       errnum == EDQUOT ? "disk quota used up" : "no space left on the disk");
    return err_sys(err, errnum, "%s", what);
}

static void hex(char *out, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
}

void cas_path(char out[static CAS_PATH_SIZE], const uint8_t digest[static DIGEST_SIZE])
{
    hex(out, digest, 1);
    out[2] = '/';
    hex(out + 3, digest + 1, 1);
    out[5] = '/';
    hex(out + 6, digest + 2, DIGEST_SIZE - 2);
    out[CAS_PATH_SIZE - 1] = '\0';
}

/* --- opening ---------------------------------------------------------------------------------- */

static int dir_open(int dirfd, const char *name)
{
    return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Opens a directory that may have to be made. Its name is synced in either case: a maker that was
 * killed may have left it unsynced. */
static int dir_open_synced(int dirfd, const char *name, int *out, struct err *err)
{
    if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
        return cas_fail(err, errno, "make a content directory");
    int fd = dir_open(dirfd, name);
    if (fd < 0)
        return cas_fail(err, errno, "open a content directory");
    if (fsync(dirfd) < 0) {
        int errnum = errno;
        close(fd);
        return cas_fail(err, errnum, "sync a content directory");
    }
    *out = fd;
    return 0;
}

/* What lies in tmp belongs to puts that a crash ended. */
static int tmp_empty(int tmp_fd, struct err *err)
{
    int fd = dir_open(tmp_fd, ".");
    if (fd < 0)
        return cas_fail(err, errno, "open the content directory's tmp");
    CLEAN_DIR DIR *dir = fdopendir(fd);
    if (!dir) {
        int errnum = errno;
        close(fd);
        return cas_fail(err, errnum, "read the content directory's tmp");
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(tmp_fd, entry->d_name, 0) < 0 && errno != ENOENT)
            return cas_fail(err, errno, "remove a left-over temp file");
    }
    return errno ? cas_fail(err, errno, "read the content directory's tmp") : 0;
}

static int open_parts(struct cas *cas, int dirfd, const char *name, struct err *err)
{
    CLEAN_FD int root = -1;
    int rc = dir_open_synced(dirfd, name, &root, err);
    if (rc == 0)
        rc = dir_open_synced(root, "sha256", &cas->blobs_fd, err);
    if (rc == 0)
        rc = dir_open_synced(root, "sums", &cas->sums_fd, err);
    if (rc == 0)
        rc = dir_open_synced(root, "tmp", &cas->tmp_fd, err);
    if (rc == 0)
        rc = tmp_empty(cas->tmp_fd, err);
    return rc;
}

int cas_open(struct cas **out, int dirfd, const char *name, struct err *err)
{
    struct cas *cas = calloc(1, sizeof(*cas));
    if (!cas)
        return err_sys(err, ENOMEM, "open the content directory");
    cas->blobs_fd = cas->sums_fd = cas->tmp_fd = -1;
    pthread_mutex_init(&cas->lock, NULL);
    int rc = open_parts(cas, dirfd, name, err);
    if (rc < 0) {
        cas_close(cas);
        return rc;
    }
    *out = cas;
    return 0;
}

void cas_close(struct cas *cas)
{
    if (!cas)
        return;
    clean_fd(&cas->blobs_fd);
    clean_fd(&cas->sums_fd);
    clean_fd(&cas->tmp_fd);
    pins_finish(&cas->pins);
    pthread_mutex_destroy(&cas->lock);
    free(cas);
}

/* --- temp files --------------------------------------------------------------------------------
 */

static int tmp_name(char out[static CAS_TMP_NAME_SIZE])
{
    uint8_t random[16];
    ssize_t n;
    do
        n = getrandom(random, sizeof(random), 0);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    if ((size_t)n < sizeof(random))
        return -EIO;
    memcpy(out, "put-", 4);
    hex(out + 4, random, sizeof(random));
    out[CAS_TMP_NAME_SIZE - 1] = '\0';
    return 0;
}

int cas_tmp_create(struct cas *cas, struct cas_tmp *tmp, struct err *err)
{
    char name[CAS_TMP_NAME_SIZE];
    int rc = tmp_name(name);
    if (rc < 0)
        return cas_fail(err, -rc, "draw a temp file's name");
    int fd = openat(cas->tmp_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return cas_fail(err, errno, "create a temp file for content");
    tmp->fd = fd;
    memcpy(tmp->name, name, sizeof(name));
    return 0;
}

int cas_tmp_rename(struct cas *cas, struct cas_tmp *tmp, int dirfd, const char *path)
{
    if (renameat(cas->tmp_fd, tmp->name, dirfd, path) < 0)
        return -errno;
    tmp->name[0] = '\0';
    return 0;
}

void cas_tmp_drop(struct cas *cas, struct cas_tmp *tmp)
{
    if (tmp->fd < 0)
        return;
    if (tmp->name[0] != '\0')
        unlinkat(cas->tmp_fd, tmp->name, 0);
    close(tmp->fd);
    *tmp = CAS_TMP_INIT;
}

/* --- directories of blobs ------------------------------------------------------------------------
 */

static bool bit_get(atomic_uchar *bits, unsigned i)
{
    return atomic_load(&bits[i / 8]) & (1U << (i % 8));
}

static void bit_set(atomic_uchar *bits, unsigned i)
{
    atomic_fetch_or(&bits[i / 8], (unsigned char)(1U << (i % 8)));
}

static int dir_sync(struct cas *cas, int fd, struct err *err)
{
    if (fsync(fd) == 0)
        return 0;
    int errnum = errno;
    atomic_store(&cas->sync_failed, true);
    return cas_fail(err, errnum, "sync a content directory");
}

/* Makes `path` below sha256/, a directory whose parent is `parent`, and syncs the parent: always
 * when it is new, and once in this process when it is not, since its maker may not have come to it.
 */
static int level_make(struct cas *cas, const char *parent, const char *path, atomic_uchar *bits,
                      unsigned bit, struct err *err)
{
    bool made = mkdirat(cas->blobs_fd, path, 0700) == 0;
    if (!made && errno != EEXIST)
        return cas_fail(err, errno, "make a content directory");
    if (!made && bit_get(bits, bit))
        return 0;
    CLEAN_FD int fd = dir_open(cas->blobs_fd, parent);
    if (fd < 0)
        return cas_fail(err, errno, "open a content directory");
    int rc = dir_sync(cas, fd, err);
    if (rc == 0)
        bit_set(bits, bit);
    return rc;
}

int cas_dirs_make(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    char path[CAS_PATH_SIZE];
    char first[3];
    cas_path(path, digest);
    memcpy(first, path, 2);
    first[2] = path[5] = '\0';
    int rc = level_make(cas, ".", first, cas->synced_1, digest[0], err);
    if (rc < 0)
        return rc;
    return level_make(cas, first, path, cas->synced_2, digest[0] * 256U + digest[1], err);
}

int cas_dirs_sync(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    path[5] = '\0';
    CLEAN_FD int fd = dir_open(cas->blobs_fd, path);
    if (fd < 0)
        return cas_fail(err, errno, "open a content directory");
    return dir_sync(cas, fd, err);
}

int cas_dirs_make_loose(int dirfd, const char *path)
{
    char part[CAS_PATH_SIZE];
    memcpy(part, path, CAS_PATH_SIZE);
    part[2] = '\0';
    if (mkdirat(dirfd, part, 0700) < 0 && errno != EEXIST)
        return -errno;
    part[2] = '/';
    part[5] = '\0';
    if (mkdirat(dirfd, part, 0700) < 0 && errno != EEXIST)
        return -errno;
    return 0;
}

/* --- whole writes
 * ------------------------------------------------------------------------ */

int cas_write_all(int fd, struct span bytes, uint64_t offset)
{
    while (bytes.len > 0) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        bytes = span_of(bytes.ptr + n, bytes.len - (size_t)n);
        offset += (uint64_t)n;
    }
    return 0;
}
