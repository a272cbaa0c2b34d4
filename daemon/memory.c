#include "daemon/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clean.h"
#include "daemon/purge.h"

#define NEW_S 60 /* a directory without lock may be one that is just being made */

static const char *base(void)
{
    const char *given = getenv("TMPDIR");
    if (access("/dev/shm", W_OK | X_OK) == 0)
        return "/dev/shm";
    return given && given[0] == '/' && access(given, W_OK | X_OK) == 0 ? given : "/tmp";
}

static int put_prefix(char *out, size_t size)
{
    return snprintf(out, size, "weir-memory-%ld-", (long)geteuid());
}

/* --- what is left over ------------------------------------------------------------------------------- */

static bool is_mine(int at, const char *name, struct stat *st)
{
    return fstatat(at, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st->st_mode) &&
           st->st_uid == geteuid();
}

/* Nobody serves it; the lock is held, by the descriptor, until it is gone. */
static bool take_lock(int at, const char *name, const struct stat *st, int *lock)
{
    char path[300];
    snprintf(path, sizeof(path), "%s/lock", name);
    *lock = openat(at, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (*lock >= 0)
        return flock(*lock, LOCK_EX | LOCK_NB) == 0;
    return errno == ENOENT && time(NULL) - st->st_mtime > NEW_S;
}

static void remove_one(int at, const char *name)
{
    struct stat st;
    CLEAN_FD int lock = -1;
    if (is_mine(at, name, &st) && take_lock(at, name, &st, &lock))
        purge_tree(at, name);
}

static void remove_left(const char *where)
{
    char prefix[64];
    const int len = put_prefix(prefix, sizeof(prefix));
    DIR *dir = opendir(where);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, prefix, (size_t)len) == 0 && strlen(entry->d_name) < 256)
            remove_one(dirfd(dir), entry->d_name);
    if (dir)
        closedir(dir);
}

/* --- the link ---------------------------------------------------------------------------------------- */

/* A link to a directory of ours that is not there any more is what a killed daemon left. */
static bool is_left_link(const char *link)
{
    char target[512], prefix[64];
    struct stat st;
    const ssize_t n = readlink(link, target, sizeof(target) - 1);
    if (n <= 0 || stat(link, &st) == 0)
        return false;
    target[n] = '\0';
    const char *name = strrchr(target, '/');
    const int len = put_prefix(prefix, sizeof(prefix));
    return name && strncmp(name + 1, prefix, (size_t)len) == 0;
}

static int make_link(const char *link, const char *path, struct err *err)
{
    if (is_left_link(link) && unlink(link) < 0)
        return err_sys(err, errno, "remove the old %s", link);
    if (symlink(path, link) == 0)
        return 0;
    return errno == EEXIST ? err_set(err, ERR_CONFLICT,
                                     "%s is there already: with --memory its name is for a link to the store", link)
                           : err_sys(err, errno, "make the link %s", link);
}

/* --- making and removing ----------------------------------------------------------------------------- */

int memory_make(struct memory *out, const char *link, struct err *err)
{
    char prefix[64];
    const char *where = base();
    put_prefix(prefix, sizeof(prefix));
    remove_left(where);
    *out = (struct memory){.link = link};
    int n = snprintf(out->path, sizeof(out->path), "%s/%sXXXXXX", where, prefix);
    if (n < 0 || (size_t)n >= sizeof(out->path))
        return err_sys(err, ENAMETOOLONG, "make a directory in %s", where);
    if (!mkdtemp(out->path))
        return err_sys(err, errno, "make a directory in %s", where);
    int rc = link ? make_link(link, out->path, err) : 0;
    if (rc < 0) {
        out->link = NULL;
        memory_remove(out);
    }
    return rc;
}

void memory_remove(const struct memory *memory)
{
    char target[512];
    const ssize_t n = memory->link ? readlink(memory->link, target, sizeof(target)) : -1;
    if (n >= 0 && (size_t)n == strlen(memory->path) && !memcmp(target, memory->path, (size_t)n))
        unlink(memory->link);
    purge_tree(AT_FDCWD, memory->path);
}
