#include "daemon/run/run_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "daemon/purge.h"

#define RUN "run"
#define NEW_PROGRAM ".program.new"

static int open_dir(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int make_dir(int at, const char *name)
{
    if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
        return -errno;
    return open_dir(at, name);
}

int run_dir_open(int *out, int store_fd, struct frame_id id, struct err *err)
{
    char name[ID_TEXT_LEN + 1];
    CLEAN_FD int run = make_dir(store_fd, RUN);
    if (run < 0)
        return err_sys(err, -run, "make the directory " RUN);
    id_format(name, id);
    int fd = make_dir(run, name);
    if (fd < 0)
        return err_sys(err, -fd, "make the directory " RUN "/%s", name);
    *out = fd;
    return 0;
}

/* --- the program's file ---------------------------------------------------------------------------- */

int run_dir_begin_program(int *out, int dirfd, struct err *err)
{
    if (unlinkat(dirfd, NEW_PROGRAM, 0) < 0 && errno != ENOENT)
        return err_sys(err, errno, "remove " NEW_PROGRAM);
    int fd = openat(dirfd, NEW_PROGRAM, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
    if (fd < 0)
        return err_sys(err, errno, "write the program's file");
    *out = fd;
    return 0;
}

int run_dir_end_program(int dirfd, int fd, struct err *err)
{
    int rc = close(fd) < 0 ? -errno : 0;
    if (rc == 0 && renameat(dirfd, NEW_PROGRAM, dirfd, RUN_DIR_PROGRAM) < 0)
        rc = -errno;
    return rc < 0 ? err_sys(err, -rc, "write the program's file") : 0;
}

/* --- removing ------------------------------------------------------------------------------------------ */

int run_dir_remove(int store_fd, struct frame_id id, struct err *err)
{
    char name[ID_TEXT_LEN + 1];
    CLEAN_FD int run = open_dir(store_fd, RUN);
    id_format(name, id);
    int rc = run == -ENOENT ? 0 : run;
    if (run >= 0)
        rc = purge_tree(run, name);
    return rc < 0 ? err_sys(err, -rc, "remove " RUN "/%s", name) : 0;
}

int run_dir_sweep(int store_fd, bool (*keep)(void *arg, struct frame_id id), void *arg, struct err *err)
{
    int fd = open_dir(store_fd, RUN);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    int rc = fd == -ENOENT ? 0 : fd < 0 ? fd : dir ? 0 : -errno;
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        struct frame_id id;
        if (id_parse(&id, span_str(entry->d_name), NULL) < 0 || keep(arg, id))
            continue;
        int one = purge_tree(dirfd(dir), entry->d_name);
        rc = rc < 0 ? rc : one;
    }
    if (dir)
        closedir(dir);
    else if (fd >= 0)
        close(fd);
    return rc < 0 ? err_sys(err, -rc, "remove old directories in " RUN) : 0;
}
