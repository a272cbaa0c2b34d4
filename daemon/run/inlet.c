#include "daemon/run/inlet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (16 * 1024)
#define KEEP_BYTES (64 * 1024) /* a larger buffer is given back when it is empty */

static const struct inlet_set no_set = {{-1, -1, -1}};

void inlet_close_set(struct inlet_set *set)
{
    for (int i = 0; i < WIRE_FDS; i++)
        if (set->fds[i] >= 0)
            close(set->fds[i]);
    *set = no_set;
}

static void add_set(struct inlet *inlet, struct inlet_set *set)
{
    if (inlet->set_count < INLET_SETS)
        inlet->sets[inlet->set_count++] = *set;
    else
        inlet_close_set(set);
}

/* When we may not have more descriptors, the kernel gives some or none and says so. */
static void take_control(struct inlet *inlet, struct msghdr *header)
{
    struct inlet_set set = no_set;
    struct cmsghdr *c = CMSG_FIRSTHDR(header);
    bool cut = (header->msg_flags & MSG_CTRUNC) != 0;
    size_t count = 0;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(set.fds, CMSG_DATA(c), (count < WIRE_FDS ? count : WIRE_FDS) * sizeof(int));
    }
    if (count == 0 && !cut)
        return;
    if (cut || count < WIRE_FDS)
        inlet_close_set(&set);
    add_set(inlet, &set);
}

static void make_room(struct inlet *inlet)
{
    buf_consume(&inlet->in, inlet->at);
    inlet->at = 0;
    if (inlet->in.len == 0 && inlet->in.cap > KEEP_BYTES)
        buf_finish(&inlet->in);
}

/* One read brings the descriptors of one message at most: the kernel ends it there. */
int inlet_read(struct inlet *inlet, int fd)
{
    union {
        char room[CMSG_SPACE(WIRE_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    make_room(inlet);
    if (buf_reserve(&inlet->in, READ_BYTES) < 0)
        return -ENOMEM;
    struct iovec io = {.iov_base = inlet->in.ptr + inlet->in.len,
                       .iov_len = inlet->in.cap - inlet->in.len};
    struct msghdr header = {.msg_iov = &io,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (n == 0)
        return ERR_END;
    take_control(inlet, &header);
    inlet->in.len += (size_t)n;
    return 1;
}

int inlet_next(struct inlet *inlet, const uint8_t **bytes, size_t *size)
{
    if (inlet->in.len == inlet->at)
        return 0;
    const uint8_t *begin = inlet->in.ptr + inlet->at;
    long found = wire_size(begin, inlet->in.len - inlet->at);
    if (found <= 0)
        return (int)found;
    *bytes = begin;
    *size = (size_t)found;
    inlet->at += (size_t)found;
    return 1;
}

bool inlet_take_set(struct inlet *inlet, struct inlet_set *out)
{
    if (inlet->set_count == 0)
        return false;
    *out = inlet->sets[0];
    memmove(inlet->sets, inlet->sets + 1, --inlet->set_count * sizeof(inlet->sets[0]));
    return true;
}

void inlet_finish(struct inlet *inlet)
{
    buf_finish(&inlet->in);
    inlet->at = 0;
    while (inlet->set_count > 0)
        inlet_close_set(&inlet->sets[--inlet->set_count]);
}
