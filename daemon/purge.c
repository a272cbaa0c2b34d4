#include "daemon/purge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/span.h>

#include "base/clean.h"

/* What weir makes in a store's directory; "format" goes last, so that a purge that was cut can be made again. */
static const char *const ours[] = {"journal", "index", "cas",  "run", "basins", "reserve",
                                   "sock",    "log",   "lock", "format"};

#define DEPTH_MAX 64 /* directories held open at once; deeper ones are moved up first */

/* One removal: what lies too deep is moved to the top, and taken from there. */
struct removal {
    int top;
    dev_t device;
    unsigned moved;
    int result; /* the first failure */
};

static void note(struct removal *r, int errnum)
{
    if (r->result == 0 && errnum != ENOENT)
        r->result = -errnum;
}

/* --- directories ------------------------------------------------------------------------------ */

/* One that its owner may not read is made so, by its descriptor: a link in its place is not followed. */
static int make_readable(int at, const char *name)
{
    char path[64];
    CLEAN_FD int fd = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return chmod(path, 0700);
}

/* Opens one that can be emptied. -1 and errno. */
static int open_directory(int at, const char *name, struct stat *st)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(at, name, flags);
    if (fd < 0 && errno == EACCES && make_readable(at, name) == 0)
        fd = openat(at, name, flags);
    if (fd < 0)
        return -1;
    if (fstat(fd, st) == 0 && ((st->st_mode & 0700) == 0700 || fchmod(fd, 0700) == 0))
        return fd;
    int errnum = errno;
    close(fd);
    errno = errnum;
    return -1;
}

/* To a name that is free: some may be taken. */
static int move_up(struct removal *r, int at, const char *name)
{
    char up[32];
    do {
        snprintf(up, sizeof(up), ".deep.%u", r->moved++);
        if (renameat2(at, name, r->top, up, RENAME_NOREPLACE) == 0)
            return 0;
    } while (errno == EEXIST);
    return -errno;
}

/* --- what is in them -------------------------------------------------------------------------- */

static void empty(struct removal *r, int fd, unsigned depth);

/* Takes the descriptor over. */
static void remove_directory(struct removal *r, int at, const char *name, int fd, unsigned depth)
{
    if (depth == DEPTH_MAX) {
        close(fd);
        int rc = move_up(r, at, name);
        if (rc < 0)
            note(r, -rc);
        return;
    }
    empty(r, fd, depth + 1);
    if (unlinkat(at, name, AT_REMOVEDIR) < 0)
        note(r, errno);
}

static void remove_one(struct removal *r, int at, const char *name, unsigned depth)
{
    struct stat st;
    if (unlinkat(at, name, 0) == 0)
        return;
    if (errno != EISDIR && errno != EPERM) {
        note(r, errno);
        return;
    }
    int fd = open_directory(at, name, &st);
    if (fd < 0) {
        note(r, errno);
    } else if (st.st_dev != r->device) {
        close(fd);
        note(r, EXDEV);
    } else {
        remove_directory(r, at, name, fd, depth);
    }
}

/* Takes the descriptor over. */
static void empty(struct removal *r, int fd, unsigned depth)
{
    CLEAN_DIR DIR *dir = fdopendir(fd);
    if (!dir) {
        note(r, errno);
        close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_one(r, fd, e->d_name, depth);
}

/* Again while something was moved up: the reading may have passed its place. */
static void empty_top(struct removal *r)
{
    unsigned before;
    do {
        before = r->moved;
        int fd = openat(r->top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            note(r, errno);
        else
            empty(r, fd, 0);
    } while (r->moved > before);
}

int purge_tree(int dirfd, const char *name)
{
    struct removal r = {.result = 0};
    struct stat st;
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    r.top = open_directory(dirfd, name, &st);
    if (r.top < 0)
        return -errno;
    r.device = st.st_dev;
    empty_top(&r);
    close(r.top);
    if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0)
        note(&r, errno);
    return r.result;
}

/* --- stores ----------------------------------------------------------------------------------- */

/* What is there of the path, resolved, and the rest as it stands; NULL without memory. */
static char *resolved(const char *path)
{
    CLEAN_FREE char *there = strdup(path);
    char *real = NULL, *whole = NULL;
    while (there && !(real = realpath(there, NULL))) {
        char *slash = strrchr(there, '/');
        if (!slash || slash == there)
            return strdup(path);
        *slash = '\0';
    }
    if (there && asprintf(&whole, "%s%s", real, path + strlen(there)) < 0)
        whole = NULL;
    free(real);
    return whole;
}

/* `basins` is made for stores. */
static bool is_taken(struct span name)
{
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (span_is(name, ours[i]))
            return !span_is(name, "basins");
    return false;
}

static bool is_store(const char *path, size_t len)
{
    CLEAN_FREE char *format = NULL;
    return asprintf(&format, "%.*s/format", (int)len, path) >= 0 && access(format, F_OK) == 0;
}

int purge_outside(const char *path, struct err *err)
{
    CLEAN_FREE char *whole = resolved(path);
    if (!whole)
        return err_set(err, -ENOMEM, "no memory for the store's path");
    for (const char *at = strchr(whole, '/'); at; at = strchr(at + 1, '/'))
        if (is_taken(span_of(at + 1, strcspn(at + 1, "/"))) && is_store(whole, (size_t)(at - whole)))
            return err_set(err, ERR_INVALID, "%s lies in the files of the store %.*s", path,
                           (int)(at - whole), whole);
    return 0;
}

int purge_store(const char *path, struct err *err)
{
    CLEAN_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "remove the store %s", path);
    if (faccessat(fd, "format", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && rmdir(path) == 0)
        return 0; /* empty: all that a purge that was cut left */
    if (faccessat(fd, "format", F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return err_set(err, ERR_FORMAT, "%s is no weir store; nothing was removed", path);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        int rc = purge_tree(fd, ours[i]);
        if (rc < 0)
            return err_sys(err, -rc, "remove %s/%s", path, ours[i]);
    }
    if (rmdir(path) < 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
        return err_sys(err, errno, "remove the directory %s", path);
    return 0;
}
