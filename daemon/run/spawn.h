/*
 * Programs as processes, as the daemon sees them.
 *
 * The daemon itself never forks. One small process, the supervisor, is started when the first
 * program is to run; it starts a keeper for each program, and the keeper starts the program:
 *
 *   weird  --socketpair-->  supervisor  -->  keeper (subreaper)  -->  program  -->  whatever it
 * starts
 *
 * A keeper inherits every orphan of its program, also those in sessions of their own, so it can end
 * the whole tree and knows when the last one is gone. A keeper ends its tree when the supervisor
 * goes, the supervisor ends all keepers when the daemon goes (end of file on the socketpair, so
 * also after kill -9), and what a killed keeper leaves comes to the supervisor.
 *
 * Thread rule: everything here runs on the loop thread.
 */
#ifndef DAEMON_RUN_SPAWN_H
#define DAEMON_RUN_SPAWN_H

#include <sys/types.h>
#include <uv.h>

#include <weir/err.h>

#include "daemon/log.h"

struct runner; /**< the supervisor, as the daemon has it: one for all stores */
struct child;  /**< one program's tree */

/** 0 = no limit. */
struct spawn_limits {
    uint64_t memory;    /**< bytes; cgroup where writable, else RLIMIT_AS */
    uint64_t cpu_s;     /**< seconds of processor time: RLIMIT_CPU */
    uint64_t processes; /**< in its tree: cgroup where writable, else RLIMIT_NPROC (which root is
                           not held to) */
};

/** How a tree ended. */
struct child_end {
    bool signalled; /**< else it exited */
    bool lost;      /**< the supervisor or the keeper died under it: `code` says nothing */
    bool starved;   /**< the kernel killed some of it at its limit of memory */
    int code;       /**< exit code or signal */
};

struct spawn_options {
    const char *program;       /**< absolute path */
    char *const *argv;         /**< NULL-terminated */
    char *const *envp;         /**< the whole environment, NULL-terminated */
    const char *directory;     /**< absolute; where it starts */
    int input, output, errors; /**< descriptors for 0, 1, 2; borrowed for the call */
    struct spawn_limits limits;
    bool confine; /**< no sockets, writes only below its directory: landlock and seccomp, as far as
                     the kernel has them */
    /** The program runs (its exec went well). `notes`: what was asked for and this kernel does not
     * give, as a short text
     * ("memory limit by address space only; no landlock"), "" when all is as asked. */
    void (*started)(void *arg, pid_t pid, const char *notes);
    /** It could not be started; the last call. */
    void (*failed)(void *arg, const struct err *err);
    /** The program ended, and no process of its tree is left; the last call. What still ran when
     * the program itself ended was killed. */
    void (*ended)(void *arg, const struct child_end *end);
    void *arg;
};

/**
 * The soft limit of open descriptors that programs get: what this process was started with, before
 * it raised its own. 1024 when it is not told. For all runners; before the first.
 */
void runner_set_descriptors(uint64_t soft);

int runner_create(struct runner **out, uv_loop_t *loop, struct log *log, struct err *err);
/** Ends every tree (no callbacks any more) and waits until the supervisor is gone. Not from a
 * callback. The loop has handles to close afterwards. Takes NULL. */
void runner_destroy(struct runner *runner);

/**
 * Starts a program. The supervisor is started, or started again, when it is not there. Everything
 * is copied. `started` or `failed` comes later, never before this returns. After the last call
 * (`failed`, `ended`) the handle is gone; within it the functions below do nothing. -errno,
 * ERR_UNAVAILABLE, ERR_TOO_LARGE (1 MiB of arguments and environment, 128 KiB one of them).
 */
int runner_spawn(struct runner *runner, struct child **out, const struct spawn_options *options,
                 struct err *err);

/** Sends a signal to the program (not to its tree). Nothing happens when it ended. */
void child_signal(struct child *child, int number);
/**
 * Ends the tree: SIGTERM to all of it, and SIGKILL, again and again until none is left, after
 * `grace_ms` or as soon as the program itself has ended. May be called again with a shorter time.
 * `ended` still comes.
 */
void child_stop(struct child *child, unsigned grace_ms);
/** No more callbacks for it; the tree is killed. The handle is gone. */
void child_forget(struct child *child);

/** The supervisor's own life: weird called with `--supervisor FD`. Does not return before the
 * daemon is gone. */
int supervisor_main(int fd);

#endif
