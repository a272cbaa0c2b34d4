#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <weir/span.h>

#include "base/clean.h"
#include "base/text.h"
#include "daemon/systemd.h"

#define FIRST_FD 3
#define FDS_MAX 64

int systemd_notify(const char *lines)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (!path || !*path)
        return 0;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof(to.sun_path))
        return -ENAMETOOLONG;
    memcpy(to.sun_path, path, len);
    if (path[0] == '@')
        to.sun_path[0] = '\0'; /* the abstract namespace: no file, and the length counts */
    CLEAN_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    ssize_t sent = sendto(fd, lines, strlen(lines), MSG_NOSIGNAL, (struct sockaddr *)&to, to_len);
    return sent < 0 ? -errno : 0;
}

int systemd_status(const char *fmt, ...)
{
    char text[256] = "STATUS=";
    size_t head = strlen(text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + head, sizeof(text) - head, fmt, args);
    va_end(args);
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    return systemd_notify(text);
}

static uint64_t number_of(const char *name)
{
    uint64_t value = 0;
    const char *text = getenv(name);
    if (!text || text_u64(span_str(text), &value) < 0)
        return 0;
    return value;
}

int systemd_sockets(int *first)
{
    uint64_t pid = number_of("LISTEN_PID");
    uint64_t count = number_of("LISTEN_FDS");
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    if (pid != (uint64_t)getpid() || count > FDS_MAX)
        return 0;
    for (int fd = FIRST_FD; fd < FIRST_FD + (int)count; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags < 0)
            return 0;
        fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
    *first = FIRST_FD;
    return (int)count;
}
