#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/clean.h"
#include "base/text.h"
#include "daemon/http/listen.h"
#include "daemon/http/listen_bind.h"

#define BACKLOG 1024

/* --- Unix sockets --- */

/* A socket address holds 107 bytes of path; through the held directory the path is always short,
 * and it is that very directory, whatever its name leads to by now. */
static int proc_address(struct sockaddr_un *out, int dirfd, const char *name)
{
    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    int n = snprintf(out->sun_path, sizeof(out->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
    return n > 0 && (size_t)n < sizeof(out->sun_path) ? 0 : -ENAMETOOLONG;
}

static int unix_socket(int *out)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    *out = fd;
    return 0;
}

/* Whether somebody listens. A full backlog (EAGAIN) is a listener, too. */
static bool is_live(const struct sockaddr_un *address)
{
    CLEAN_FD int fd = -1;
    if (unix_socket(&fd) < 0)
        return true;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return true;
    return errno != ECONNREFUSED && errno != ENOENT;
}

static int make_way(int dirfd, const char *name, const struct sockaddr_un *address, struct err *err)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_sys(err, errno, "look at the socket %s", name);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_CONFLICT,
                       "%s exists and is not a socket; move it away or choose another name", name);
    if (is_live(address))
        return err_set(err, ERR_LOCKED, "another process listens on the socket %s", name);
    if (unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
        return err_sys(err, errno, "remove the dead socket %s", name);
    return 0;
}

/* The mode is set before bind makes the file, so that there is no moment of a wider one. */
static int bind_unix(int fd, const struct sockaddr_un *address, struct err *err, const char *name)
{
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return err_sys(err, errno, "make the socket %s", name);
    if (listen(fd, BACKLOG) < 0)
        return err_sys(err, errno, "listen on the socket %s", name);
    return 0;
}

static void real_address(struct bound *bound, int dirfd, const char *name)
{
    char link[64];
    char dir[BOUND_ADDRESS_MAX - 256];
    snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
    ssize_t n = readlink(link, dir, sizeof(dir) - 1);
    dir[n > 0 ? n : 0] = '\0';
    snprintf(bound->address, sizeof(bound->address), "%s/%.250s", strcmp(dir, "/") ? dir : "",
             name);
}

static int remember_file(struct bound *bound, int dirfd, const char *name)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -errno;
    bound->dev = st.st_dev;
    bound->ino = st.st_ino;
    bound->name = strdup(name);
    if (!bound->name)
        return -ENOMEM;
    bound->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
    return bound->dirfd < 0 ? -errno : 0;
}

int bound_unix_at(struct bound *out, int dirfd, const char *name, struct err *err)
{
    struct sockaddr_un address;
    struct bound bound = {.fd = -1, .via = HTTP_VIA_UNIX, .dirfd = -1};
    int rc = proc_address(&address, dirfd, name);
    if (rc < 0)
        return err_sys(err, -rc, "the socket name %s", name);
    rc = make_way(dirfd, name, &address, err);
    if (rc < 0)
        return rc;
    rc = unix_socket(&bound.fd);
    if (rc < 0)
        return err_sys(err, -rc, "make the socket %s", name);
    rc = bind_unix(bound.fd, &address, err, name);
    if (rc == 0) {
        rc = remember_file(&bound, dirfd, name);
        if (rc < 0)
            err_sys(err, -rc, "make the socket %s", name);
    }
    if (rc < 0) {
        bound_finish(&bound);
        return rc;
    }
    real_address(&bound, dirfd, name);
    *out = bound;
    return 0;
}

static int expose_unix(struct bound *out, const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(err, ERR_INVALID, "%s names no socket file", path);
    CLEAN_FREE char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!dir)
        return err_sys(err, ENOMEM, "expose %s", path);
    CLEAN_FD int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dirfd < 0)
        return err_sys(err, errno, "expose %s: its directory", path);
    return bound_unix_at(out, dirfd, name, err);
}

/* --- TCP -----------------------------------------------------------------------------------------
 */

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *in6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(in6) || (IN6_IS_ADDR_V4MAPPED(in6) && in6->s6_addr[12] == 127);
}

static int refuse_public(const char *address, struct err *err)
{
    return err_set(err, ERR_FORBIDDEN,
                   "%s is not a loopback address: give --tls-cert FILE and --tls-key FILE, or --tls-self, or --plain where "
                   "somebody else encrypts; clients then need access tokens",
                   address);
}

/* "HOST:PORT" into its two parts; HOST may be empty or in brackets. */
static int split_address(const char *text, char host[static 256], char port[static 8],
                         struct err *err)
{
    const char *colon = strrchr(text, ':');
    uint64_t number = 0;
    if (!colon || text_u64(span_str(colon + 1), &number) < 0 || number > 65535)
        return err_set(err, ERR_INVALID,
                       "%s is no address; forms: HOST:PORT, [HOST]:PORT, :PORT, /path, ./path",
                       text);
    const char *begin = text;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && begin[0] == '[' && begin[len - 1] == ']') {
        begin++;
        len -= 2;
    }
    if (len > 255)
        return err_set(err, ERR_INVALID, "the host in %.60s... is too long", text);
    memcpy(host, begin, len);
    host[len] = '\0';
    snprintf(port, 8, "%u", (unsigned)number);
    return 0;
}

static void tcp_address(struct bound *bound)
{
    struct sockaddr_storage real;
    socklen_t len = sizeof(real);
    char host[INET6_ADDRSTRLEN] = "?";
    if (getsockname(bound->fd, (struct sockaddr *)&real, &len) < 0)
        return;
    if (real.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&real;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(bound->address, sizeof(bound->address), "%s:%u", host, ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&real;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(bound->address, sizeof(bound->address), "[%s]:%u", host, ntohs(in6->sin6_port));
    }
}

static int bind_tcp(struct bound *out, const struct addrinfo *info, const char *text,
                    struct err *err)
{
    struct bound bound = {.via = HTTP_VIA_TCP, .dirfd = -1};
    int on = 1;
    bound.fd = socket(info->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bound.fd < 0)
        return err_sys(err, errno, "listen on %s", text);
    setsockopt(bound.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(bound.fd, info->ai_addr, info->ai_addrlen) < 0 || listen(bound.fd, BACKLOG) < 0) {
        int rc = err_sys(err, errno, "listen on %s", text);
        close(bound.fd);
        return rc;
    }
    tcp_address(&bound);
    *out = bound;
    return 0;
}

/* The address that the text means, loopback unless `anywhere`; freed by freeaddrinfo. */
static int find_tcp(struct addrinfo **out, const char *text, bool anywhere, struct err *err)
{
    char host[256];
    char port[8];
    int rc = split_address(text, host, port, err);
    if (rc < 0)
        return rc;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    /* Not AI_PASSIVE: an empty host is loopback, never every address. */
    int failed = getaddrinfo(*host ? host : "127.0.0.1", port, &hints, &found);
    if (failed && strcasecmp(host, "localhost") == 0) /* also where no hosts file says so */
        failed = getaddrinfo("127.0.0.1", port, &hints, &found);
    if (failed)
        return err_set(err, ERR_INVALID, "the host in %.100s: %s", text, gai_strerror(failed));
    if (!anywhere && !is_loopback(found->ai_addr)) {
        freeaddrinfo(found);
        return refuse_public(text, err);
    }
    *out = found;
    return 0;
}

static int expose_tcp(struct bound *out, const char *text, bool anywhere, struct err *err)
{
    struct addrinfo *found;
    int rc = find_tcp(&found, text, anywhere, err);
    if (rc < 0)
        return rc;
    rc = bind_tcp(out, found, text, err);
    freeaddrinfo(found);
    return rc;
}

int listen_check(const char *address, bool anywhere, struct err *err)
{
    struct addrinfo *found;
    if (address[0] == '/' || address[0] == '.')
        return 0;
    int rc = find_tcp(&found, address, anywhere, err);
    if (rc == 0)
        freeaddrinfo(found);
    return rc;
}

int bound_expose(struct bound *out, const char *address, bool anywhere, struct err *err)
{
    if (address[0] == '/' || address[0] == '.')
        return expose_unix(out, address, err);
    return expose_tcp(out, address, anywhere, err);
}

/* --- adopted -------------------------------------------------------------------------------------
 */

static int check_adopted(struct bound *bound, const struct sockaddr_storage *real, bool anywhere, struct err *err)
{
    int listening = 0;
    socklen_t len = sizeof(listening);
    getsockopt(bound->fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
    if (!listening)
        return err_set(err, ERR_INVALID, "the descriptor handed over is no listening socket");
    if (real->ss_family == AF_UNIX) {
        bound->via = HTTP_VIA_UNIX;
        const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)real;
        snprintf(bound->address, sizeof(bound->address), "%.107s", un->sun_path);
        return 0;
    }
    bound->via = HTTP_VIA_TCP;
    if (real->ss_family != AF_INET && real->ss_family != AF_INET6)
        return err_set(err, ERR_INVALID, "the socket handed over is neither Unix nor TCP");
    tcp_address(bound);
    return anywhere || is_loopback((const struct sockaddr *)real) ? 0 : refuse_public(bound->address, err);
}

int bound_adopt(struct bound *out, int fd, bool anywhere, struct err *err)
{
    struct bound bound = {.fd = fd, .dirfd = -1};
    struct sockaddr_storage real = {0};
    socklen_t len = sizeof(real);
    int rc = 0;
    if (getsockname(fd, (struct sockaddr *)&real, &len) < 0)
        rc = err_sys(err, errno, "the socket handed over");
    else
        rc = check_adopted(&bound, &real, anywhere, err);
    if (rc == 0 && (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ||
                    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0))
        rc = err_sys(err, errno, "the socket handed over");
    if (rc < 0) {
        bound_finish(&bound);
        return rc;
    }
    *out = bound;
    return 0;
}

void bound_finish(struct bound *bound)
{
    struct stat st;
    if (bound->dirfd >= 0) {
        if (fstatat(bound->dirfd, bound->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_dev == bound->dev && st.st_ino == bound->ino)
            unlinkat(bound->dirfd, bound->name, 0);
        close(bound->dirfd);
    }
    free(bound->name);
    if (bound->fd >= 0)
        close(bound->fd);
    *bound = (struct bound){.fd = -1, .dirfd = -1};
}
