#include "base/fd.h"

#include <errno.h>
#include <unistd.h>

int fd_write_all(int fd, struct span bytes)
{
    while (bytes.len > 0) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            bytes = span_of(bytes.ptr + n, bytes.len - (size_t)n);
    }
    return 0;
}

long fd_read_at(int fd, uint64_t offset, void *into, size_t room)
{
    size_t got = 0;
    while (got < room) {
        ssize_t n = pread(fd, (uint8_t *)into + got, room - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (long)got;
}
