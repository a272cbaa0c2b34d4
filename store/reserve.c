#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clean.h"

#define NAME "reserve"
#define TIMES_FREE 4 /* the room that must be left beside it */

bool reserve_make(int dirfd)
{
    struct statvfs fs;
    struct stat st;
    if (fstatat(dirfd, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_blocks * 512 >= RESERVE_BYTES)
        return true;
    if (fstatvfs(dirfd, &fs) != 0 ||
        (unsigned long long)fs.f_bavail * fs.f_frsize < (unsigned long long)RESERVE_BYTES * (1 + TIMES_FREE))
        return false;
    CLEAN_FD int fd = openat(dirfd, NAME, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    if (posix_fallocate(fd, 0, RESERVE_BYTES) == 0)
        return true;
    unlinkat(dirfd, NAME, 0);
    return false;
}

bool reserve_release(int dirfd)
{
    return unlinkat(dirfd, NAME, 0) == 0;
}
