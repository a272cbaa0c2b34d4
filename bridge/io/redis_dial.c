#include "bridge/io/redis_dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

/* 0, -errno of the attempt. */
static int outcome(int fd, const struct redis_options *o, uint64_t deadline_us)
{
    uint64_t now = time_mono_us();
    int rc = now < deadline_us ? o->wait(fd, POLLOUT, (int)((deadline_us - now) / 1000 + 1)) : 0;
    int why = 0;
    socklen_t len = sizeof(why);
    if (rc <= 0)
        return rc < 0 ? rc : -ETIMEDOUT;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 ? -why : -errno;
}

static void set_options(int fd)
{
    int on = 1, idle = 30, interval = 10, tries = 3;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof(tries));
}

static int dial_one(int *out, const struct addrinfo *to, const struct redis_options *o, uint64_t deadline_us)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, to->ai_addr, to->ai_addrlen) == 0 ? 0 : -errno;
    if (rc == -EINPROGRESS || rc == -EINTR)
        rc = outcome(fd, o, deadline_us);
    if (rc != 0) {
        close(fd);
        return rc;
    }
    set_options(fd);
    *out = fd;
    return 0;
}

static int look_up(struct addrinfo **list, const struct ss_redis_node *node, struct err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    int rc = getaddrinfo(node->host, node->port, &hints, list);
    if (rc != 0 && strcasecmp(node->host, "localhost") == 0) /* also where no hosts file says so */
        rc = getaddrinfo("127.0.0.1", node->port, &hints, list);
    return rc == 0 ? 0 : err_set(err, -EHOSTUNREACH, "host \"%s\" is not known (%s)", node->host, gai_strerror(rc));
}

int redis_dial(int *out, const struct ss_redis_node *node, const char *name, const struct redis_options *options, uint64_t deadline_us,
               struct err *err)
{
    struct addrinfo *list = NULL;
    int rc = look_up(&list, node, err);
    if (rc != 0)
        return rc;
    rc = -EHOSTUNREACH;
    for (struct addrinfo *a = list; a && rc < 0 && rc != -EINTR; a = a->ai_next)
        rc = dial_one(out, a, options, deadline_us);
    freeaddrinfo(list);
    if (rc == -ECONNREFUSED)
        return err_set(err, rc, "connect to %s: nothing listens there; is the server running?", name);
    return rc == 0 ? 0 : err_sys(err, -rc, "connect to %s", name);
}
