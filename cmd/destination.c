#include "cmd/destination.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

bool destination_interrupted(void)
{
    return interrupted != 0;
}

/* A second signal ends the program at once. */
static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* Opens the directory part of a path, `len` bytes of it; 0 bytes: the working directory. */
static int open_dir(const char *path, size_t len, struct err *err)
{
    char *dir = len > 0 ? strndup(path, len) : strdup(".");
    if (!dir)
        return err_set(err, -ENOMEM, "out of memory");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        fd = err_sys(err, errno, "%s", dir);
    free(dir);
    return fd;
}

/* "a/b/c" becomes an open a/b and the name c; slashes at the end do not count. */
static int open_parent(struct destination *p, const char *path, struct err *err)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    size_t at = len;
    while (at > 0 && path[at - 1] != '/')
        at--;
    p->name = strndup(path + at, len - at);
    if (!p->name)
        return err_set(err, -ENOMEM, "out of memory");
    if (!p->name[0])
        return err_set(err, ERR_INVALID, "the path of the dump is empty");
    p->parent = open_dir(path, at, err);
    return p->parent < 0 ? p->parent : 0;
}

/* Makes it under a name that nobody else has; p->temp is set only when there is something to
 * remove. */
static int make(struct destination *p, struct err *err)
{
    char *temp;
    int flags = p->dir ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL;
    if (asprintf(&temp, ".%s.%d.part", p->name, (int)getpid()) < 0)
        return err_set(err, -ENOMEM, "out of memory");
    int rc = p->dir ? mkdirat(p->parent, temp, 0700) : 0;
    p->fd = rc == 0 ? openat(p->parent, temp, flags | O_CLOEXEC, 0600) : -1;
    if (p->fd >= 0) {
        p->temp = temp;
        return 0;
    }
    rc = err_sys(err, errno, "%s", temp);
    free(temp);
    return rc;
}

int destination_begin(struct destination *p, const char *path, bool dir, struct err *err)
{
    struct stat st;
    *p = (struct destination){.parent = -1, .fd = -1, .dir = dir};
    if (lstat(path, &st) == 0)
        return err_set(err, -EEXIST, "%s exists already; name a path that does not", path);
    catch_signals();
    int rc = open_parent(p, path, err);
    if (rc == 0)
        rc = make(p, err);
    if (rc != 0)
        destination_finish(p);
    return rc;
}

int destination_commit(struct destination *p, struct err *err)
{
    if (interrupted)
        return err_set(err, -EINTR, "interrupted");
    if (fsync(p->fd) != 0)
        return err_sys(err, errno, "sync %s", p->name);
    if (renameat2(p->parent, p->temp, p->parent, p->name, RENAME_NOREPLACE) != 0)
        return err_sys(err, errno, "%s", p->name);
    free(p->temp);
    p->temp = NULL;
    return fsync(p->parent) == 0 ? 0 : err_sys(err, errno, "sync the directory of %s", p->name);
}

/* Removes a directory that holds files and directories of files: all we make. */
static void remove_tree(int parent, const char *name, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    while (dir && (e = readdir(dir)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(dirfd(dir), e->d_name, 0) != 0 && depth > 0)
            remove_tree(dirfd(dir), e->d_name, depth - 1);
    }
    if (dir)
        closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void destination_finish(struct destination *p)
{
    if (p->temp && p->parent >= 0 && p->dir)
        remove_tree(p->parent, p->temp, 1);
    else if (p->temp && p->parent >= 0)
        unlinkat(p->parent, p->temp, 0);
    if (p->fd >= 0)
        close(p->fd);
    if (p->parent >= 0)
        close(p->parent);
    free(p->name);
    free(p->temp);
    *p = (struct destination){.parent = -1, .fd = -1};
}
