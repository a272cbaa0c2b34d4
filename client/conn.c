/*
 * Dialling Unix sockets, also those with long paths, and TCP.
 */
#include "client/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clean.h"

#define SUN_ROOM sizeof(((struct sockaddr_un *)0)->sun_path)

/* connect(2) that an interrupting signal does not spoil: the connection goes on being made
 * meanwhile. */
static int connect_fully(int fd, const struct sockaddr *to, socklen_t len)
{
    if (connect(fd, to, len) == 0 || errno == EISCONN)
        return 0;
    while (errno == EINTR || errno == EALREADY) {
        if (connect(fd, to, len) == 0 || errno == EISCONN)
            return 0;
    }
    return -errno;
}

static int dial_sun(int *out, const struct sockaddr_un *to)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc;

    if (fd < 0)
        return -errno;
    rc = connect_fully(fd, (const struct sockaddr *)to, sizeof(*to));
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

/* A path that does not fit a sockaddr is reached through a descriptor of its directory. */
static int dial_long(int *out, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    CLEAN_FREE char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    CLEAN_FD int dirfd = -1;

    if (!dir)
        return -ENOMEM;
    dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return -errno;
    int len = snprintf(to.sun_path, SUN_ROOM, "/proc/self/fd/%d/%s", dirfd, name);
    if (len < 0 || (size_t)len >= SUN_ROOM)
        return -ENAMETOOLONG;
    return dial_sun(out, &to);
}

static int dial_unix(int *out, const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (len >= SUN_ROOM)
        return dial_long(out, path);
    memcpy(to.sun_path, path, len + 1);
    return dial_sun(out, &to);
}

static int dial_one(int *out, const struct addrinfo *to)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    int rc;

    if (fd < 0)
        return -errno;
    rc = connect_fully(fd, to->ai_addr, to->ai_addrlen);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    *out = fd;
    return 0;
}

static int dial_tcp(int *out, const struct weir_addr *addr, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int rc = getaddrinfo(addr->host, addr->port, &hints, &list);

    if (rc != 0 && strcasecmp(addr->host, "localhost") == 0) /* also where no hosts file says so */
        rc = getaddrinfo("127.0.0.1", addr->port, &hints, &list);
    if (rc != 0)
        return err_set(err, -EHOSTUNREACH,
                       "host \"%s\" is not known (%s); a path as address starts with / or ./",
                       addr->host, gai_strerror(rc));
    rc = -EHOSTUNREACH;
    for (struct addrinfo *a = list; a && rc < 0; a = a->ai_next)
        rc = dial_one(out, a);
    freeaddrinfo(list);
    return rc;
}

/* What to give "weir serve" so that this address has a listener afterwards. */
static int serve_len(const struct weir_addr *addr)
{
    size_t len = strlen(addr->shown);

    if (len > 5 && strcmp(addr->shown + len - 5, "/sock") == 0)
        len -= 5;
    return (int)len;
}

/* The text for an address without a listener. Both the address and the remedy must survive the cut.
 */
static int say_nobody(const struct weir_addr *addr, int code, struct err *err)
{
    if (addr->kind == WEIR_TCP)
        return err_set(
            err, code,
            "nobody listens; start a daemon with: weir serve STORE --expose ADDR (address: %s)",
            addr->shown);
    if (strlen(addr->shown) * 2 + 64 > ERR_TEXT_SIZE)
        return err_set(err, code, "no daemon; start one with: weir serve PATH (address: %s)",
                       addr->shown);
    return err_set(err, code, "no daemon at %s; start one with: weir serve %.*s", addr->shown,
                   serve_len(addr), addr->shown);
}

int conn_dial(int *out, const struct weir_addr *addr, struct err *err)
{
    struct err why = ERR_INIT;
    int rc;

    if (addr->kind == WEIR_UNIX)
        rc = dial_unix(out, addr->path);
    else
        rc = dial_tcp(out, addr, &why);
    if (rc == 0)
        return 0;
    if (why.code != 0)
        return err_set(err, rc, "%s", why.text);
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        return say_nobody(addr, rc, err);
    return err_sys(err, -rc, "connect to %s", addr->shown);
}

bool conn_is_alive(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);

    /* Bytes nobody asked for are as bad as an end: what follows could not be told from an answer.
     */
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
}
