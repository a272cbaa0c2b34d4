#include "daemon/run/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/text.h"

#define REAP_MS 10   /* from one look for the dead supervisor to the next */
#define END_MS 10000 /* for a supervisor to end its trees when we end; it gives up earlier */
#define READS_A_TURN 32

/* A message that waits; its descriptors are ours until they are sent. */
struct outgoing {
    struct outgoing *next;
    struct buf bytes;
    size_t at;
    int fds[WIRE_FDS]; /* -1: none (left) */
};

struct link {
    uv_poll_t poll;
    uv_timer_t reaper;
    unsigned handles; /* not yet closed */
    struct link_events events;
    int fd; /* -1: gone */
    pid_t pid;
    struct inlet inlet;
    struct outgoing *first, **last;
};

/* --- the process
 * ------------------------------------------------------------------------------------- */

/* Our own program, also when its file was replaced or removed since. */
static int start_process(pid_t *pid, posix_spawn_file_actions_t *actions, posix_spawnattr_t *attr)
{
    char name[] = "weird: programs", option[] = "--supervisor", number[] = "3";
    char *argv[] = {name, option, number, NULL};
    int error = posix_spawn(pid, "/proc/self/exe", actions, attr, argv, environ);
    const char *path = (const char *)getauxval(AT_EXECFN); /* without /proc */
    if ((error == ENOENT || error == EACCES) && path)
        error = posix_spawn(pid, path, actions, attr, argv, environ);
    return error;
}

static int start_with(pid_t *pid, int fd)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    int error = posix_spawn_file_actions_adddup2(&actions, fd, 3);
    error = error ? error : posix_spawnattr_setsigmask(&attr, &none);
    error = error ? error : posix_spawnattr_setsigdefault(&attr, &all);
    error = error ? error
                  : posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                        POSIX_SPAWN_SETSID);
    error = error ? error : start_process(pid, &actions, &attr);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* --- life
 * ------------------------------------------------------------------------------------------------
 */

static void free_outgoing(struct outgoing *out)
{
    for (int i = 0; i < WIRE_FDS; i++)
        if (out->fds[i] >= 0)
            close(out->fds[i]);
    buf_finish(&out->bytes);
    free(out);
}

static void handle_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    if (--link->handles == 0)
        free(link);
}

/* The socket and what was to go through it. */
static void shut(struct link *link)
{
    if (link->fd < 0)
        return;
    uv_close((uv_handle_t *)&link->poll, handle_closed);
    close(link->fd);
    link->fd = -1;
    while (link->first) {
        struct outgoing *next = link->first->next;
        free_outgoing(link->first);
        link->first = next;
    }
    link->last = &link->first;
    inlet_finish(&link->inlet);
}

static void look_for_the_dead(uv_timer_t *timer)
{
    struct link *link = timer->data;
    if (waitpid(link->pid, NULL, WNOHANG) == 0)
        return;
    link->pid = 0;
    uv_close((uv_handle_t *)timer, handle_closed);
    link->events.buried(link->events.arg, link);
}

static void gone(struct link *link)
{
    shut(link);
    uv_timer_start(&link->reaper, look_for_the_dead, 0, REAP_MS);
    link->events.gone(link->events.arg, link);
}

pid_t link_pid(const struct link *link)
{
    return link->pid;
}

/* --- sending
 * ------------------------------------------------------------------------------------------- */

/* 1 = all of it is out; 0 = no room now; -errno. */
static int send_one(struct link *link, struct outgoing *out)
{
    union {
        char room[CMSG_SPACE(WIRE_FDS * sizeof(int))];
        struct cmsghdr align;
    } control = {0};
    while (out->at < out->bytes.len) {
        struct iovec io = {.iov_base = out->bytes.ptr + out->at,
                           .iov_len = out->bytes.len - out->at};
        struct msghdr header = {.msg_iov = &io, .msg_iovlen = 1};
        if (out->at == 0 && out->fds[0] >= 0) {
            header.msg_control = &control;
            header.msg_controllen = sizeof(control);
            struct cmsghdr *c = CMSG_FIRSTHDR(&header);
            c->cmsg_level = SOL_SOCKET;
            c->cmsg_type = SCM_RIGHTS;
            c->cmsg_len = CMSG_LEN(sizeof(out->fds));
            memcpy(CMSG_DATA(c), out->fds, sizeof(out->fds));
        }
        ssize_t n = sendmsg(link->fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR)
            return errno == EAGAIN ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
        out->at += n < 0 ? 0 : (size_t)n;
    }
    return 1;
}

static void on_event(uv_poll_t *poll, int status, int events);

static void watch(struct link *link)
{
    uv_poll_start(&link->poll, UV_READABLE | (link->first ? UV_WRITABLE : 0), on_event);
}

/* Errors are seen where we read. */
static void send_waiting(struct link *link)
{
    while (link->first && send_one(link, link->first) == 1) {
        struct outgoing *next = link->first->next;
        free_outgoing(link->first);
        link->first = next;
        if (!next)
            link->last = &link->first;
    }
    watch(link);
}

static int enqueue(struct link *link, struct outgoing *out, const int *fds)
{
    for (int i = 0; i < WIRE_FDS; i++)
        out->fds[i] = -1;
    for (int i = 0; fds && out->at == 0 && i < WIRE_FDS; i++)
        if ((out->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0)) < 0)
            return -errno;
    out->next = NULL;
    *link->last = out;
    link->last = &out->next;
    watch(link);
    return 0;
}

int link_send(struct link *link, const struct wire *message, const int *fds, struct err *err)
{
    struct outgoing *out = link->fd < 0 ? NULL : calloc(1, sizeof(*out));
    if (!out)
        return err_sys(err, link->fd < 0 ? EPIPE : ENOMEM, "reach the supervisor");
    for (int i = 0; i < WIRE_FDS; i++)
        out->fds[i] = fds ? fds[i] : -1;
    int rc = wire_encode(&out->bytes, message, err);
    bool encoded = rc == 0;
    if (rc == 0 && !link->first)
        rc = send_one(link, out);
    if (rc == 0)
        rc = enqueue(link, out, fds);
    else
        for (int i = 0; i < WIRE_FDS; i++) /* the caller's */
            out->fds[i] = -1;
    if (rc < 0 && encoded)
        err_sys(err, -rc, "reach the supervisor");
    if (rc != 0)
        free_outgoing(out);
    return rc < 0 ? rc : 0;
}

/* --- receiving
 * ------------------------------------------------------------------------------------------- */

/* A callback may send, but not end the link. */
static int take_messages(struct link *link)
{
    const uint8_t *bytes;
    size_t size;
    int rc;
    while ((rc = inlet_next(&link->inlet, &bytes, &size)) > 0) {
        struct wire message;
        if (wire_decode(&message, bytes, size) < 0)
            return ERR_INVALID;
        link->events.message(link->events.arg, &message);
        wire_finish(&message);
    }
    return rc;
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;
    int rc = 1;
    (void)status; /* an error is readable as well */
    for (int i = 0; i < READS_A_TURN && rc > 0; i++) {
        rc = inlet_read(&link->inlet, link->fd);
        if (rc > 0 && take_messages(link) < 0)
            rc = ERR_INVALID;
    }
    if (rc < 0 && rc != -ENOMEM) {
        if (rc == ERR_INVALID)
            kill(link->pid, SIGKILL);
        gone(link);
    } else if (events & UV_WRITABLE) {
        send_waiting(link);
    }
}

/* --- making and ending
 * ------------------------------------------------------------------------------------- */

static int start(struct link *link, uv_loop_t *loop, int fd, struct err *err)
{
    int rc = uv_poll_init(loop, &link->poll, fd);
    if (rc < 0)
        return err_sys(err, -rc, "start the supervisor of programs");
    uv_timer_init(loop, &link->reaper);
    link->handles = 2;
    link->poll.data = link->reaper.data = link;
    link->fd = fd;
    link->last = &link->first;
    watch(link);
    return 0;
}

int link_create(struct link **out, uv_loop_t *loop, const struct link_events *events,
                struct err *err)
{
    int pair[2];
    CLEAN_FREE struct link *link = calloc(1, sizeof(*link));
    if (!link || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(err, link ? errno : ENOMEM, "start the supervisor of programs");
    int error = start_with(&link->pid, pair[1]);
    close(pair[1]);
    int rc = error ? err_sys(err, error, "start the supervisor of programs")
                   : start(link, loop, pair[0], err);
    if (rc < 0) {
        close(pair[0]);
        if (!error)
            waitpid(link->pid, NULL, 0); /* it sees the end of file */
        return rc;
    }
    link->events = *events;
    *out = link;
    link = NULL;
    return 0;
}

/* What it still says is of no use. A supervisor that does not come to its end is killed. */
static void wait_for_end(struct link *link)
{
    char rubbish[4096];
    uint64_t until = time_mono_us() + END_MS * 1000ull;
    struct pollfd poll_end = {.fd = link->fd, .events = POLLIN};
    shutdown(link->fd, SHUT_WR);
    for (;;) {
        uint64_t now = time_mono_us();
        int n = now < until ? poll(&poll_end, 1, (int)((until - now) / 1000) + 1) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        ssize_t got = n > 0 ? recv(link->fd, rubbish, sizeof(rubbish), MSG_DONTWAIT) : 0;
        if (got == 0 || (errno != EAGAIN && errno != EINTR && got < 0))
            return;
    }
}

void link_destroy(struct link *link)
{
    if (link->fd >= 0)
        wait_for_end(link);
    shut(link);
    kill(link->pid, SIGKILL); /* it has closed its socket: it is at its end */
    waitpid(link->pid, NULL, 0);
    uv_close((uv_handle_t *)&link->reaper, handle_closed);
}
