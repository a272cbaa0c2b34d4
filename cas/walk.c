/*
 * What garbage collection needs: holding blobs, removing them, seeing them all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "cas/dir.h"

int cas_pin(struct cas *cas, const uint8_t digest[static DIGEST_SIZE])
{
    pthread_mutex_lock(&cas->lock);
    int rc = pins_add(&cas->pins, digest);
    pthread_mutex_unlock(&cas->lock);
    return rc;
}

void cas_unpin(struct cas *cas, const uint8_t digest[static DIGEST_SIZE])
{
    pthread_mutex_lock(&cas->lock);
    pins_sub(&cas->pins, digest);
    pthread_mutex_unlock(&cas->lock);
}

/* Sums go first: a blob without them is whole, sums without a blob would never be found again. */
static int unlink_both(struct cas *cas, const char *path)
{
    if (unlinkat(cas->sums_fd, path, 0) < 0 && errno != ENOENT)
        return -errno;
    if (unlinkat(cas->blobs_fd, path, 0) < 0 && errno != ENOENT)
        return -errno;
    return 0;
}

int cas_remove(struct cas *cas, const uint8_t digest[static DIGEST_SIZE], struct err *err)
{
    char path[CAS_PATH_SIZE];
    cas_path(path, digest);
    pthread_mutex_lock(&cas->lock);
    bool pinned = pins_has(&cas->pins, digest);
    int rc = pinned ? -EBUSY : unlink_both(cas, path);
    pthread_mutex_unlock(&cas->lock);
    if (pinned)
        return err_set(err, -EBUSY, "content is in use by an append under way; remove it later");
    return rc < 0 ? cas_fail(err, -rc, "remove content") : 0;
}

/* --- the walk
 * ------------------------------------------------------------------------------------- */

/* Where a walk is: the digest's bytes known from the names above, and what to call. */
struct walk {
    uint8_t digest[DIGEST_SIZE];
    int (*visit)(void *arg, const uint8_t digest[static DIGEST_SIZE], uint64_t size,
                 uint64_t mtime_ms);
    void *arg;
    struct err *err;
};

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The bytes a name of exactly 2 * len lower-case hex digits says; false for any other name. */
static bool name_parse(const char *name, uint8_t *out, size_t len)
{
    if (strlen(name) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = nibble(name[2 * i]);
        int low = nibble(name[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static int visit_blob(struct walk *walk, int dirfd, const char *name)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : cas_fail(walk->err, errno, "look at content");
    if (!S_ISREG(st.st_mode))
        return 0;
    int64_t ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
    return walk->visit(walk->arg, walk->digest, (uint64_t)st.st_size, ms > 0 ? (uint64_t)ms : 0);
}

static int walk_level(struct walk *walk, int parent, const char *name, int level);

static int walk_entry(struct walk *walk, int dirfd, const char *name, int level)
{
    static const size_t from[] = {0, 1, 2};
    static const size_t len[] = {1, 1, DIGEST_SIZE - 2};
    if (!name_parse(name, walk->digest + from[level], len[level]))
        return 0;
    return level == 2 ? visit_blob(walk, dirfd, name) : walk_level(walk, dirfd, name, level + 1);
}

/* Three levels: XX, YY, the rest. Directories that went, or that are none, are passed over. */
static int walk_level(struct walk *walk, int parent, const char *name, int level)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        bool skip = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
        return skip ? 0 : cas_fail(walk->err, errno, "open a content directory");
    }
    CLEAN_DIR DIR *dir = fdopendir(fd);
    if (!dir) {
        int errnum = errno;
        close(fd);
        return cas_fail(walk->err, errnum, "open a content directory");
    }
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        int rc = walk_entry(walk, fd, entry->d_name, level);
        if (rc != 0)
            return rc;
    }
    return errno ? cas_fail(walk->err, errno, "read a content directory") : 0;
}

int cas_walk(struct cas *cas,
             int (*visit)(void *arg, const uint8_t digest[static DIGEST_SIZE], uint64_t size,
                          uint64_t mtime_ms),
             void *arg, struct err *err)
{
    struct walk walk = {.visit = visit, .arg = arg, .err = err};
    return walk_level(&walk, cas->blobs_fd, ".", 0);
}
