#include "daemon/run/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clean.h"

#define DESCRIPTORS 1024 /* the soft limit where none is given */
#define CPU_LAST_WORDS 1 /* seconds from SIGXCPU to SIGKILL */
#define PLACES_MAX 8     /* descriptors to be moved at once */

/* --- steps
 * -------------------------------------------------------------------------------------------- */

/* A session of its own has no terminal. The keeper may be gone before the wish to die with it is
 * known. */
static int own_session(const struct exec_plan *plan)
{
    if (setsid() < 0)
        return -errno;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return -errno;
    return getppid() == plan->keeper ? 0 : -ESRCH;
}

/* By the bare call, since the C library hides two of its own, which may have come to us ignored. */
static void reset_signals(void)
{
    static const unsigned long by_default[8]; /* the kernel's struct sigaction: zeros */
    for (int number = 1; number < NSIG; number++)
        syscall(SYS_rt_sigaction, number, by_default, NULL, (NSIG - 1) / 8);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* First out of the way, so that none is overwritten before it has moved. */
int exec_place_descriptors(int first, const int *fds, size_t count)
{
    int high[PLACES_MAX];
    if (count > PLACES_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if ((high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, first + (int)count)) < 0)
            return -errno;
    for (size_t i = 0; i < count; i++) {
        int place = first + (int)i;
        if (dup3(high[i], place, place > STDERR_FILENO ? O_CLOEXEC : 0) < 0)
            return -errno;
        close(high[i]);
    }
    return 0;
}

static int limit(int what, uint64_t soft, uint64_t hard)
{
    struct rlimit now, new;
    if (getrlimit((__rlimit_resource_t)what, &now) < 0)
        return -errno;
    new.rlim_max = now.rlim_max == RLIM_INFINITY || hard < now.rlim_max ? hard : now.rlim_max;
    new.rlim_cur = soft < new.rlim_max ? soft : new.rlim_max;
    return setrlimit((__rlimit_resource_t)what, &new) < 0 ? -errno : 0;
}

static int set_limits(const struct exec_plan *plan)
{
    const struct spawn_limits *limits = &plan->spawn->limits;
    uint64_t descriptors = plan->spawn->descriptors ? plan->spawn->descriptors : DESCRIPTORS;
    int rc = limit(RLIMIT_NOFILE, descriptors, RLIM_INFINITY);
    if (rc == 0 && limits->cpu_s)
        rc = limit(RLIMIT_CPU, limits->cpu_s, limits->cpu_s + CPU_LAST_WORDS);
    if (rc == 0 && plan->address_space)
        rc = limit(RLIMIT_AS, plan->address_space, plan->address_space);
    if (rc == 0 && plan->user_processes)
        rc = limit(RLIMIT_NPROC, plan->user_processes, plan->user_processes);
    return rc;
}

/* --- all of them
 * ---------------------------------------------------------------------------------------- */

static _Noreturn void fail(int report, enum exec_stage stage, int rc)
{
    struct exec_failure failure = {.stage = stage, .error = -rc};
    while (write(report, &failure, sizeof(failure)) < 0 && errno == EINTR)
        ;
    _exit(127);
}

static void check(int report, enum exec_stage stage, int rc)
{
    if (rc < 0)
        fail(report, stage, rc);
}

_Noreturn void exec_program(const struct exec_plan *plan)
{
    const struct wire *spawn = plan->spawn;
    int fds[WIRE_FDS + 1] = {plan->fds[0], plan->fds[1], plan->fds[2], plan->report};
    int report = plan->report;
    reset_signals();
    check(report, EXEC_SESSION, own_session(plan));
    check(report, EXEC_GROUP, cgroup_join(&plan->group));
    umask(077);
    check(report, EXEC_DIRECTORY, chdir(spawn->directory) < 0 ? -errno : 0);
    check(report, EXEC_DESCRIPTORS, exec_place_descriptors(0, fds, WIRE_FDS + 1));
    report = WIRE_FDS; /* behind the program's three */
    closefrom(report + 1);
    check(report, EXEC_LIMITS, set_limits(plan));
    if (spawn->confine)
        check(report, EXEC_CONFINE, confine_apply(&plan->confine, spawn->directory));
    execve(spawn->program, spawn->argv, spawn->envp);
    fail(report, EXEC_PROGRAM, -errno);
}

/* --- failures as texts
 * ------------------------------------------------------------------------------------ */

/* The interpreter that the first line of a script names; false when there is none. */
static bool interpreter(const char *program, char *out, size_t size)
{
    CLEAN_FD int fd = open(program, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    if (n < 3 || out[0] != '#' || out[1] != '!')
        return false;
    out[n] = '\0';
    char *name = out + 2 + strspn(out + 2, " \t");
    name[strcspn(name, " \t\n")] = '\0';
    memmove(out, name, strlen(name) + 1);
    return out[0] != '\0';
}

static void program_text(char *out, size_t size, const char *program, int error)
{
    char name[128];
    bool there = access(program, F_OK) == 0;
    if (error == ENOENT && there && interpreter(program, name, sizeof(name)))
        snprintf(out, size, "exec %s: its interpreter %s is not there", program, name);
    else if (error == ENOENT && there)
        snprintf(out, size, "exec %s: its interpreter or loader is not there", program);
    else if (error == EACCES && there && access(program, X_OK) < 0)
        snprintf(out, size, "exec %s: it is not executable", program);
    else if (error == ENOEXEC)
        snprintf(out, size, "exec %s: neither a script with #! nor a program for this machine",
                 program);
    else
        snprintf(out, size, "exec %s: %s", program, strerror(error));
}

void exec_failure_text(char *out, size_t size, const struct wire *spawn,
                       const struct exec_failure *failure)
{
    static const char *const stages[] = {
        [EXEC_SESSION] = "start a session",      [EXEC_GROUP] = "join its control group",
        [EXEC_DESCRIPTORS] = "pass descriptors", [EXEC_LIMITS] = "set limits",
        [EXEC_CONFINE] = "confine it",
    };
    if (failure->stage == EXEC_PROGRAM)
        program_text(out, size, spawn->program, failure->error);
    else if (failure->stage == EXEC_DIRECTORY)
        snprintf(out, size, "enter %s: %s", spawn->directory, strerror(failure->error));
    else
        snprintf(out, size, "%s: %s", stages[failure->stage], strerror(failure->error));
}
