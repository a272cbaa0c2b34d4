#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clean.h"

#define NAME "reserve"
#define TIMES_FREE 4 /* the room that must be left beside it */

bool reserve_make(int dirfd, uint64_t bytes)
{
    struct statvfs fs;
    struct stat st;
    if (fstatat(dirfd, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_blocks * 512 >= bytes)
        return true;
    if (fstatvfs(dirfd, &fs) != 0 ||
        (uint64_t)fs.f_bavail * fs.f_frsize < bytes * (1 + TIMES_FREE))
        return false;
    CLEAN_FD int fd = openat(dirfd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (posix_fallocate(fd, 0, (off_t)bytes) == 0)
        return true;
    unlinkat(dirfd, NAME, 0);
    return false;
}

bool reserve_release(int dirfd)
{
    return unlinkat(dirfd, NAME, 0) == 0;
}
