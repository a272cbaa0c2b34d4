#include "bridge/io/ss_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clean.h"
#include "base/fd.h"
#include "bridge/ss_parts.h"

#define TRIES 16 /* how often a file may be replaced while it is being opened */

struct ss_place_calls ss_place_calls = {pwrite, ftruncate, fdatasync, fsync};

static int check_regular(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "look at %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_INVALID, "%s is %s, no file of messages", path,
                       S_ISDIR(st.st_mode) ? "a directory" : "a pipe or a device");
    return 0;
}

/* Not blocked by a pipe that nobody writes; for a regular file the flag says nothing. */
#define OPEN_FLAGS (O_CLOEXEC | O_NONBLOCK | O_NOCTTY)

/* An old file is looked for first, so that one which is made here is known. */
static int open_for_writing(int *fd, const char *path, enum ss_place_make make, bool *made, struct err *err)
{
    *made = false;
    *fd = make == SS_PLACE_NEW ? -1 : open(path, O_RDWR | OPEN_FLAGS);
    if (*fd >= 0)
        return 0;
    if (make != SS_PLACE_NEW && errno == EISDIR)
        return err_set(err, ERR_INVALID, "%s is a directory, no file of messages", path);
    if (make == SS_PLACE_OLD || (make == SS_PLACE_EITHER && errno != ENOENT))
        return err_sys(err, errno, "open %s", path);
    *fd = open(path, O_RDWR | O_CREAT | (make == SS_PLACE_NEW ? O_EXCL : 0) | OPEN_FLAGS, 0666);
    *made = *fd >= 0;
    return *made ? 0 : err_sys(err, errno, "create %s", path);
}

static int lock(int fd, const char *path, struct err *err)
{
    int r = check_regular(fd, path, err);
    if (r != 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return r;
    if (errno != EWOULDBLOCK)
        return err_sys(err, errno, "lock %s", path);
    return err_set(err, ERR_LOCKED, "%s is being written by another process", path);
}

int ss_place_lock(int *fd, const char *path, enum ss_place_make make, bool *made, struct err *err)
{
    for (int i = 0; i < TRIES; i++) {
        int file;
        bool fresh;
        int r = open_for_writing(&file, path, make, &fresh, err);
        if (r != 0)
            return r;
        r = lock(file, path, err);
        if (r == 0 && ss_place_is(path, file)) {
            *fd = file;
            if (made)
                *made = fresh;
            return 0;
        }
        close(file);
        if (r != 0)
            return r;
    }
    return err_set(err, ERR_LOCKED, "%s is being replaced again and again", path);
}

int ss_place_open(int *fd, const char *path, struct err *err)
{
    int file = open(path, O_RDONLY | OPEN_FLAGS);
    if (file < 0)
        return err_sys(err, errno, "open %s", path);
    int r = check_regular(file, path, err);
    if (r != 0)
        close(file);
    else
        *fd = file;
    return r;
}

bool ss_place_is(const char *path, int fd)
{
    struct stat there, ours;
    return stat(path, &there) == 0 && fstat(fd, &ours) == 0 && there.st_ino == ours.st_ino && there.st_dev == ours.st_dev;
}

const char *ss_place_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *ss_place_directory(const char *path)
{
    size_t len = (size_t)(ss_place_name(path) - path);
    if (len == 0)
        return strdup(".");
    return strndup(path, len > 1 ? len - 1 : 1);
}

int ss_place_sync_directory(const char *path, struct err *err)
{
    char *name = ss_place_directory(path);
    CLEAN_FD int dir = name ? open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int why = name ? errno : ENOMEM;
    free(name);
    if (dir >= 0 && ss_place_calls.fsync(dir) == 0)
        return 0;
    return err_sys(err, dir < 0 ? why : errno, "sync the directory of %s", path);
}

int ss_place_size(int fd, const char *path, uint64_t *size, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "look at %s", path);
    *size = (uint64_t)st.st_size;
    return 0;
}

static long read_bytes(void *arg, uint64_t offset, void *into, size_t room)
{
    return fd_read_at(*(const int *)arg, offset, into, room);
}

struct ss_bytes ss_place_bytes(const int *fd, uint64_t size, uint32_t interval)
{
    return (struct ss_bytes){.read = read_bytes, .arg = (void *)(uintptr_t)fd, .size = size, .interval = interval};
}

uint64_t ss_place_behind(const struct ss_bytes *f, uint64_t offset)
{
    uint8_t bytes[SS_BEACON_SIZE_MAX];
    size_t size = 0;
    if (offset % f->interval != 0)
        return offset;
    long got = f->read(f->arg, offset, bytes, sizeof bytes);
    if (got < SS_BEACON_EMPTY || ss_beacon_size(span_of(bytes, (size_t)got), &size, NULL) != 0)
        return offset;
    bool cuts_nothing = get_be32(bytes + 1) == 0;
    return cuts_nothing ? offset + size : offset;
}
