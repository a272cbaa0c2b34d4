#include "daemon/run/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"
#include "daemon/pool.h"
#include "daemon/purge.h"

#define PREFIX "eval."

/* --- making ------------------------------------------------------------------------------------- */

int scratch_make(char **out, const char *store_path, struct err *err)
{
    CLEAN_FREE char *run = NULL;
    char *path = NULL;
    if (asprintf(&run, "%s/run", store_path) < 0 || asprintf(&path, "%s/" PREFIX "XXXXXX", run) < 0)
        return err_set(err, -ENOMEM, "no memory for a directory's name");
    if ((mkdir(run, 0700) < 0 && errno != EEXIST) || !mkdtemp(path)) {
        int errnum = errno;
        free(path);
        return err_sys(err, errnum, "make a directory in %s", run);
    }
    *out = path;
    return 0;
}

int scratch_write(const char *directory, const char *name, unsigned mode, struct span bytes,
                  struct err *err)
{
    CLEAN_FREE char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) < 0)
        return err_set(err, -ENOMEM, "no memory for a file's name");
    CLEAN_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return err_sys(err, errno, "make %s", path);
    int rc = fd_write_all(fd, bytes);
    if (rc == -ENOSPC || rc == -EDQUOT)
        return err_set(err, ERR_FULL, "write %s: %s", path, strerror(-rc));
    if (rc < 0)
        return err_sys(err, -rc, "write %s", path);
    return 0;
}

/* --- removing ------------------------------------------------------------------------------------ */

int scratch_remove(const char *directory, struct err *err)
{
    int rc = purge_tree(AT_FDCWD, directory);
    return rc < 0 ? err_sys(err, -rc, "remove %s", directory) : 0;
}

struct discard {
    struct job job;
    char *directory;
};

static void discard_work(struct job *job)
{
    struct discard *d = (struct discard *)((char *)job - offsetof(struct discard, job));
    scratch_remove(d->directory, NULL); /* what stays is swept at the next start */
}

static void discard_after(struct job *job)
{
    struct discard *d = (struct discard *)((char *)job - offsetof(struct discard, job));
    free(d->directory);
    free(d);
}

void scratch_discard(uv_loop_t *loop, char *directory)
{
    struct discard *d = directory ? calloc(1, sizeof(*d)) : NULL;
    if (!d) {
        free(directory);
        return;
    }
    d->directory = directory;
    d->job = (struct job){.work = discard_work, .after = discard_after};
    pool_submit(loop, &d->job);
}

int scratch_sweep(const char *store_path, struct err *err)
{
    CLEAN_FREE char *run = NULL;
    int rc = 0;
    if (asprintf(&run, "%s/run", store_path) < 0)
        return err_set(err, -ENOMEM, "no memory for a directory's name");
    CLEAN_DIR DIR *dir = opendir(run);
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(err, errno, "open %s", run);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        CLEAN_FREE char *path = NULL;
        if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) != 0)
            continue;
        if (asprintf(&path, "%s/%s", run, e->d_name) < 0)
            return err_set(err, -ENOMEM, "no memory for a directory's name");
        int one = scratch_remove(path, rc == 0 ? err : NULL);
        rc = rc == 0 ? one : rc;
    }
    return rc;
}
