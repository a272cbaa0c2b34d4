#include "daemon/run/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/text.h"
#include "daemon/run/exec.h"
#include "daemon/run/tree.h"

#define SOCKET 3          /* where the socket is moved to; the program's descriptors follow */
#define AGAIN_MIN_US 2000 /* from one killing of the tree to the next, doubled each time */
#define AGAIN_MAX_US 100000
#define NEVER UINT64_MAX

struct keeper {
    const struct wire *spawn;
    int socket, report; /* -1 = ended */
    pid_t program;
    int status;
    bool reaped; /* the program */
    struct exec_failure failure;
    bool failed;
    bool stopping;       /* SIGTERM was sent */
    bool starved;        /* see struct child_end */
    uint64_t kill_at_us; /* when the tree is killed next */
    uint64_t again_us;
    char notes[160];
};

/* --- telling
 * ------------------------------------------------------------------------------------------- */

static void tell(const struct wire *message)
{
    CLEAN_BUF out = BUF_INIT;
    if (wire_encode(&out, message, NULL) == 0)
        while (send(SOCKET, out.ptr, out.len, MSG_NOSIGNAL) < 0 && errno == EINTR)
            ;
}

static void tell_started(struct keeper *k)
{
    struct wire message = {
        .kind = WIRE_STARTED, .id = k->spawn->id, .number = (uint32_t)k->program, .text = k->notes};
    tell(&message);
}

static void tell_failed(struct keeper *k, int error, const char *text)
{
    struct wire message = {.kind = WIRE_FAILED, .id = k->spawn->id, .code = -error, .text = text};
    tell(&message);
}

static void tell_end(struct keeper *k)
{
    struct wire message = {.kind = WIRE_ENDED, .id = k->spawn->id};
    char text[ERR_TEXT_SIZE];
    if (k->failed) {
        exec_failure_text(text, sizeof(text), k->spawn, &k->failure);
        tell_failed(k, k->failure.error, text);
        return;
    }
    message.end.starved = k->starved;
    message.end.signalled = WIFSIGNALED(k->status);
    message.end.code = message.end.signalled ? WTERMSIG(k->status) : WEXITSTATUS(k->status);
    tell(&message);
}

/* --- limits
 * ------------------------------------------------------------------------------------------- */

static void note(struct keeper *k, const char *text)
{
    size_t len = strlen(k->notes);
    snprintf(k->notes + len, sizeof(k->notes) - len, "%s%s", len ? "; " : "", text);
}

/* Threads of our user: what RLIMIT_NPROC counts, so the limit is set above it. */
static uint64_t count_processes(void)
{
    uint64_t count = 0;
    struct dirent *entry;
    CLEAN_DIR DIR *proc = opendir("/proc");
    while (proc && (entry = readdir(proc)) != NULL) {
        char path[sizeof(entry->d_name) + 8];
        struct stat st;
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        snprintf(path, sizeof(path), "%s/task", entry->d_name);
        if (fstatat(dirfd(proc), path, &st, 0) == 0 && st.st_uid == getuid() && st.st_nlink > 2)
            count += st.st_nlink - 2; /* each thread is a link */
    }
    return count;
}

static void plan_limits(struct keeper *k, struct exec_plan *plan, const struct keeper_start *start)
{
    const struct spawn_limits *limits = &start->spawn->limits;
    uint64_t id = start->spawn->id;
    if (limits->memory && !cgroup_make(&plan->group, start->places, CGROUP_MEMORY,
                                       start->supervisor, id, limits->memory)) {
        plan->address_space = limits->memory;
        note(k, "memory limit by address space of each process only");
    }
    if (!limits->processes || cgroup_make(&plan->group, start->places, CGROUP_PROCESSES,
                                          start->supervisor, id, limits->processes))
        return;
    if (geteuid() == 0) {
        note(k, "no limit of processes: root is held to none without a control group");
        return;
    }
    plan->user_processes = count_processes() + limits->processes;
    note(k, "limit of processes counts all of this user");
}

static void plan_confinement(struct keeper *k, struct exec_plan *plan)
{
    if (!k->spawn->confine)
        return;
    plan->confine = confine_probe();
    if (!plan->confine.landlock)
        note(k, "no landlock: it may write anywhere");
    if (!plan->confine.seccomp)
        note(k, "no seccomp: it may open sockets");
}

/* --- starting
 * ------------------------------------------------------------------------------------------- */

/*
 * We ignore what would end us, and so does the child until it has set that right: a SIGTERM that
 * came in between would be lost. Held back, it waits for the child to take it.
 */
static int fork_program(struct keeper *k, const struct exec_plan *plan)
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    k->program = fork();
    int rc = k->program < 0 ? -errno : 0;
    if (k->program == 0)
        exec_program(plan);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return rc;
}

/* Afterwards the program has its descriptors, and nobody else: that it closes them must be seen. */
static int start_program(struct keeper *k, const struct keeper_start *start)
{
    struct exec_plan plan = {.spawn = start->spawn, .keeper = getpid()};
    int report[2];
    for (int kind = 0; kind < CGROUP_KINDS; kind++)
        plan.group.procs[kind] = -1;
    for (int i = 0; i < WIRE_FDS; i++)
        plan.fds[i] = SOCKET + 1 + i;
    plan_limits(k, &plan, start);
    plan_confinement(k, &plan);
    if (pipe2(report, O_CLOEXEC) < 0)
        return -errno;
    plan.report = report[1];
    int rc = fork_program(k, &plan);
    k->report = report[0];
    close(report[1]);
    cgroup_close(&plan.group);
    for (int i = 0; i < WIRE_FDS; i++)
        close(plan.fds[i]);
    return rc;
}

/* End of file: exec has closed the other end, or the child is gone. */
static void read_report(struct keeper *k)
{
    ssize_t n = read(k->report, &k->failure, sizeof(k->failure));
    if (n < 0 && errno == EINTR)
        return;
    k->failed = n == (ssize_t)sizeof(k->failure);
    close(k->report);
    k->report = -1;
    if (!k->failed)
        tell_started(k);
}

/* --- ending
 * --------------------------------------------------------------------------------------------- */

static void kill_from(struct keeper *k, uint64_t at_us)
{
    if (at_us < k->kill_at_us)
        k->kill_at_us = at_us;
}

static void stop(struct keeper *k, unsigned grace_ms)
{
    if (grace_ms > 0 && !k->stopping)
        tree_signal(SIGTERM, NULL, NULL);
    k->stopping = true;
    kill_from(k, time_mono_us() + (uint64_t)grace_ms * 1000);
}

/* What dies is waited for in between; what hid in the meantime is found by the next killing. */
static void kill_when_due(struct keeper *k)
{
    uint64_t now = time_mono_us();
    if (now < k->kill_at_us)
        return;
    tree_kill(NULL, NULL);
    k->kill_at_us = now + k->again_us;
    k->again_us = k->again_us * 2 < AGAIN_MAX_US ? k->again_us * 2 : AGAIN_MAX_US;
}

/* Takes in what died. False: no child is left, and so none of the tree. */
static bool reap(struct keeper *k)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == k->program) {
            k->status = status;
            k->reaped = true;
            kill_from(k, 0);
        }
    return pid == 0;
}

/* --- being told
 * ------------------------------------------------------------------------------------------- */

static void obey(struct keeper *k, const uint8_t *bytes, size_t len)
{
    struct wire message;
    if (wire_decode(&message, bytes, len) < 0)
        return;
    if (message.kind == WIRE_STOP)
        stop(k, message.number);
    else if (message.kind == WIRE_SIGNAL && !k->reaped && message.number < NSIG)
        kill(k->program, (int)message.number);
    wire_finish(&message);
}

static void listen_to_supervisor(struct keeper *k)
{
    uint8_t bytes[64];
    ssize_t n = recv(k->socket, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n > 0) {
        obey(k, bytes, (size_t)n);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        k->socket = -1; /* only what we say may still go through */
        kill_from(k, 0);
    }
}

static void wait_for_news(struct keeper *k)
{
    struct pollfd polls[2] = {{.fd = k->socket, .events = POLLIN},
                              {.fd = k->report, .events = POLLIN}};
    struct timespec left = {0};
    sigset_t none;
    uint64_t now = time_mono_us();
    if (now < k->kill_at_us) {
        left.tv_sec = (time_t)((k->kill_at_us - now) / 1000000);
        left.tv_nsec = (long)((k->kill_at_us - now) % 1000000 * 1000);
    }
    sigemptyset(&none);
    if (ppoll(polls, 2, k->kill_at_us == NEVER ? NULL : &left, &none) <= 0)
        return; /* time, or a child */
    if (polls[1].revents)
        read_report(k);
    if (polls[0].revents)
        listen_to_supervisor(k);
}

/* --- life
 * ---------------------------------------------------------------------------------------------------
 */

/* All others of the supervisor's descriptors would keep its other keepers from seeing an end. */
static int settle(const struct keeper_start *start)
{
    int fds[] = {start->socket, start->fds[0], start->fds[1], start->fds[2]};
    prctl(PR_SET_NAME, "weird: keeper");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        return -errno;
    int rc = exec_place_descriptors(SOCKET, fds, 1 + WIRE_FDS);
    closefrom(SOCKET + 1 + WIRE_FDS);
    return rc;
}

_Noreturn void keeper_main(const struct keeper_start *start)
{
    struct keeper k = {.spawn = start->spawn,
                       .socket = SOCKET,
                       .report = -1,
                       .kill_at_us = NEVER,
                       .again_us = AGAIN_MIN_US};
    if (settle(start) < 0)
        _exit(1); /* without a way to tell: the supervisor sees the end */
    int rc = start_program(&k, start);
    if (rc < 0) {
        char text[ERR_TEXT_SIZE];
        snprintf(text, sizeof(text), "start %s: %s", start->spawn->program, strerror(-rc));
        tell_failed(&k, -rc, text);
    }
    while (reap(&k)) {
        kill_when_due(&k);
        wait_for_news(&k);
    }
    while (k.report >= 0)
        read_report(&k);
    if (start->places) {
        k.starved = cgroup_starved(start->places, start->supervisor, start->spawn->id);
        cgroup_remove(start->places, start->supervisor, start->spawn->id);
    }
    if (rc == 0)
        tell_end(&k);
    _exit(0);
}
