/*
 * The supervisor: a loop around ppoll(2) that starts keepers and passes messages between them and
 * the daemon. Whatever a killed keeper leaves becomes its child, is killed, and only then the
 * program is said to be lost.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/text.h"
#include "daemon/run/inlet.h"
#include "daemon/run/keeper.h"
#include "daemon/run/spawn_wire.h"
#include "daemon/run/tree.h"

#define DAEMON 3       /* where the socket to the daemon is moved to */
#define STRAYS_US 3000 /* from one look for strays to the next */
#define PATIENCE_US                                                                                \
    2000000 /* for keepers to end their trees when the daemon is gone; then we do it */
#define GIVE_UP_US 6000000 /* what is left then cannot be killed */

struct kept {
    uint64_t id;
    pid_t pid;          /* 0: reaped, and lost */
    int fd;             /* -1: closed */
    bool started, over; /* messages that went through */
    bool grouped;       /* may have control groups */
    bool silent;        /* its end of the socket is closed */
};

struct supervisor {
    struct kept *kept;
    size_t len, cap;
    struct pollfd *polls; /* cap + 1 of them; the first is the daemon's */
    struct inlet inlet;
    struct cgroup_places *places; /* made when first needed */
    bool strays;                  /* there may be some */
    uint64_t gone_us;             /* when the daemon went; 0 = it is there */
};

/* --- telling the daemon
 * ----------------------------------------------------------------------------- */

/* Waits while the daemon is slow: it never waits for us. */
static void pass_on(struct supervisor *s, const uint8_t *bytes, size_t len)
{
    while (len > 0 && !s->gone_us) {
        ssize_t n = send(DAEMON, bytes, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return; /* the end of file is seen where we read */
        bytes += n;
        len -= (size_t)n;
    }
}

static void tell(struct supervisor *s, const struct wire *message)
{
    CLEAN_BUF out = BUF_INIT;
    if (wire_encode(&out, message, NULL) == 0)
        pass_on(s, out.ptr, out.len);
}

static void tell_failed(struct supervisor *s, uint64_t id, int error, const char *what)
{
    struct err err = ERR_INIT;
    err_sys(&err, error, "%s", what);
    struct wire message = {.kind = WIRE_FAILED, .id = id, .code = -error, .text = err.text};
    tell(s, &message);
}

static void tell_lost(struct supervisor *s, const struct kept *kept)
{
    struct wire message = {.kind = WIRE_ENDED, .id = kept->id, .end = {.lost = true}};
    if (kept->started)
        tell(s, &message);
    else
        tell_failed(s, kept->id, ECHILD, "start a program: its keeper died");
}

/* --- keepers
 * ------------------------------------------------------------------------------------------ */

static int make_room(struct supervisor *s)
{
    if (s->len < s->cap)
        return 0;
    size_t cap = s->cap ? s->cap * 2 : 16;
    struct kept *kept = realloc(s->kept, cap * sizeof(*kept));
    if (kept)
        s->kept = kept;
    struct pollfd *polls = realloc(s->polls, (cap + 1) * sizeof(*polls));
    if (polls)
        s->polls = polls;
    if (!kept || !polls)
        return -ENOMEM;
    s->cap = cap;
    return 0;
}

static const struct cgroup_places *places(struct supervisor *s)
{
    if (!s->places && (s->places = malloc(sizeof(*s->places))))
        cgroup_find(s->places);
    return s->places;
}

/* --- spawning
 * --------------------------------------------------------------------------------------------- */

static int fork_keeper(struct supervisor *s, const struct wire *message, const int *fds)
{
    bool grouped = message->limits.memory || message->limits.processes;
    struct keeper_start start = {.spawn = message,
                                 .fds = {fds[0], fds[1], fds[2]},
                                 .supervisor = getpid(),
                                 .places = grouped ? places(s) : NULL};
    int pair[2];
    if ((grouped && !start.places) || make_room(s) < 0)
        return -ENOMEM;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    start.socket = pair[1];
    pid_t pid = fork();
    if (pid == 0)
        keeper_main(&start);
    int rc = pid < 0 ? -errno : 0;
    close(pair[1]);
    if (rc < 0)
        close(pair[0]);
    else
        s->kept[s->len++] =
            (struct kept){.id = message->id, .pid = pid, .fd = pair[0], .grouped = grouped};
    return rc;
}

static void spawn(struct supervisor *s, const struct wire *message)
{
    struct inlet_set set;
    int rc = inlet_take_set(&s->inlet, &set) ? 0 : -EBADMSG;
    if (rc == 0 && set.fds[0] < 0)
        rc = -EMFILE;
    if (rc == 0) {
        rc = fork_keeper(s, message, set.fds);
        inlet_close_set(&set);
    }
    if (rc < 0)
        tell_failed(s, message->id, -rc, "start a program");
}

/* --- commands
 * --------------------------------------------------------------------------------------------- */

/*
 * A keeper that does not read is not waited for: a signal is dropped, a stop becomes an end at
 * once. One that a program has stopped goes on.
 */
static void forward(struct supervisor *s, const struct wire *message, const uint8_t *bytes,
                    size_t size)
{
    for (size_t i = 0; i < s->len; i++) {
        struct kept *kept = &s->kept[i];
        if (kept->id != message->id || kept->fd < 0)
            continue;
        if (send(kept->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EAGAIN &&
            message->kind == WIRE_STOP)
            shutdown(kept->fd, SHUT_WR);
        kill(kept->pid, SIGCONT);
        return;
    }
}

static int obey(struct supervisor *s, const uint8_t *bytes, size_t size)
{
    struct wire message;
    int rc = wire_decode(&message, bytes, size);
    if (rc < 0)
        return rc;
    if (message.kind == WIRE_SPAWN)
        spawn(s, &message);
    else if (message.kind == WIRE_SIGNAL || message.kind == WIRE_STOP)
        forward(s, &message, bytes, size);
    else
        rc = ERR_INVALID;
    wire_finish(&message);
    return rc;
}

static void daemon_gone(struct supervisor *s)
{
    s->gone_us = time_mono_us();
    s->strays = true;
    for (size_t i = 0; i < s->len; i++)
        if (s->kept[i].fd >= 0) {
            shutdown(s->kept[i].fd, SHUT_WR);
            kill(s->kept[i].pid, SIGCONT);
        }
}

static void read_daemon(struct supervisor *s)
{
    const uint8_t *bytes;
    size_t size;
    int more, rc = inlet_read(&s->inlet, DAEMON);
    while (rc > 0 && (more = inlet_next(&s->inlet, &bytes, &size)) != 0)
        rc = more < 0 || obey(s, bytes, size) < 0 ? ERR_INVALID : 1;
    if (rc < 0) /* gone, or it speaks another language: the same */
        daemon_gone(s);
}

/* --- what keepers say
 * --------------------------------------------------------------------------------------- */

/* True while there may be more. */
static bool read_keeper(struct supervisor *s, struct kept *kept)
{
    uint8_t bytes[1024];
    struct wire message;
    ssize_t n = recv(kept->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    kept->silent = n == 0;
    if (n <= 0)
        return n < 0 && errno == EINTR;
    if (wire_decode(&message, bytes, (size_t)n) < 0)
        return true;
    if (message.id == kept->id && !kept->over) {
        kept->started |= message.kind == WIRE_STARTED;
        kept->over = message.kind == WIRE_ENDED || message.kind == WIRE_FAILED;
        pass_on(s, bytes, (size_t)n);
    }
    wire_finish(&message);
    return true;
}

/* --- the dead
 * ---------------------------------------------------------------------------------------------------
 */

static void drop(struct supervisor *s, size_t i)
{
    if (s->kept[i].fd >= 0)
        close(s->kept[i].fd);
    s->kept[i] = s->kept[--s->len];
}

/* A keeper that is waited for has given its children to us, if it left any. */
static void bury(struct supervisor *s, size_t i)
{
    struct kept *kept = &s->kept[i];
    while (read_keeper(s, kept))
        ;
    if (kept->over) {
        drop(s, i);
        return;
    }
    close(kept->fd);
    kept->fd = -1;
    kept->pid = 0;
    s->strays = true;
}

/* False: no child is left. */
static bool reap(struct supervisor *s)
{
    pid_t pid;
    while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
        for (size_t i = 0; i < s->len; i++)
            if (s->kept[i].pid == pid) {
                bury(s, i);
                break;
            }
    return pid == 0;
}

static bool is_keeper(void *arg, pid_t pid)
{
    const struct supervisor *s = arg;
    for (size_t i = 0; i < s->len; i++)
        if (s->kept[i].pid == pid)
            return true;
    return false;
}

static void tell_all_lost(struct supervisor *s)
{
    for (size_t i = s->len; i-- > 0;) {
        if (s->kept[i].pid != 0)
            continue;
        if (s->kept[i].grouped)
            cgroup_remove(s->places, getpid(), s->kept[i].id);
        tell_lost(s, &s->kept[i]);
        drop(s, i);
    }
}

/* Kills what killed keepers left; when nothing of it is left, says so. Keepers that outlive the
 * daemon too long count as such. */
static void end_strays(struct supervisor *s)
{
    struct tree tree = {0};
    bool all = s->gone_us && time_mono_us() - s->gone_us > PATIENCE_US;
    tree_spare spare = all ? NULL : is_keeper;
    if (!s->strays)
        return;
    if (tree_list(&tree, getpid(), spare, s) == 0 && tree.len == 0) {
        s->strays = s->gone_us != 0;
        tell_all_lost(s);
    } else {
        tree_kill(spare, s);
    }
    tree_finish(&tree);
}

/* --- life
 * -----------------------------------------------------------------------------------------------------------
 */

static void wait_for_news(struct supervisor *s)
{
    const struct timespec look_again = {.tv_nsec = STRAYS_US * 1000L};
    size_t count = s->len; /* more may come while we go through them */
    sigset_t none;
    sigemptyset(&none);
    s->polls[0] = (struct pollfd){.fd = s->gone_us ? -1 : DAEMON, .events = POLLIN};
    for (size_t i = 0; i < count; i++)
        s->polls[1 + i] =
            (struct pollfd){.fd = s->kept[i].silent ? -1 : s->kept[i].fd, .events = POLLIN};
    if (ppoll(s->polls, count + 1, s->strays ? &look_again : NULL, &none) <= 0)
        return;
    for (size_t i = 0; i < count; i++)
        if (s->polls[1 + i].revents)
            read_keeper(s, &s->kept[i]);
    if (s->polls[0].revents)
        read_daemon(s);
}

static bool may_end(const struct supervisor *s, bool children)
{
    return s->gone_us && (!children || time_mono_us() - s->gone_us > GIVE_UP_US);
}

static void on_child(int number)
{
    (void)number; /* it ends a wait */
}

static void set_signals(void)
{
    const int ignored[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM};
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigset_t held;
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        sigaction(ignored[i], &action, NULL);
    action.sa_handler = on_child;
    action.sa_flags = SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&held);
    sigaddset(&held, SIGCHLD);
    sigprocmask(SIG_SETMASK, &held, NULL);
}

/* Standard error stays, for what a checking build or the C library may have to say. */
static int settle(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
        return -errno;
    if (fd != DAEMON && dup3(fd, DAEMON, O_CLOEXEC) < 0)
        return -errno;
    closefrom(DAEMON + 1);
    fcntl(DAEMON, F_SETFD, FD_CLOEXEC);
    prctl(PR_SET_NAME, "weird: programs");
    umask(077);
    set_signals();
    if (chdir("/") < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    return 0;
}

int supervisor_main(int fd)
{
    struct supervisor s = {0};
    bool children = false;
    if (settle(fd) < 0 || make_room(&s) < 0)
        return 1;
    while (!may_end(&s, children)) {
        wait_for_news(&s);
        children = reap(&s);
        end_strays(&s);
    }
    inlet_finish(&s.inlet);
    free(s.kept);
    free(s.polls);
    free(s.places);
    return 0;
}
