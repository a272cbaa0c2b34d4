/*
 * Control groups of single programs, for the limits of a whole tree: memory and processes.
 *
 * Version 2 is used where our own group is the root of its hierarchy or has been handed to us
 * (systemd's Delegate=): then what runs in it, if that is only the daemon and what it started, is
 * moved into a group `weir-self` below it, since only groups without processes may have limited
 * children. Version 1's memory and pids hierarchies are used where we may make a group in ours. A
 * program's group is `weir-PID-N`, PID being the supervisor's, and goes with the program.
 *
 * Thread rule: one thread; used by the supervisor and keepers.
 */
#ifndef DAEMON_RUN_CGROUP_H
#define DAEMON_RUN_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cgroup_kind { CGROUP_MEMORY, CGROUP_PROCESSES, CGROUP_KINDS };

/** Where groups can be made. Kinds may share a directory (version 2). */
struct cgroup_places {
    char path[CGROUP_KINDS][PATH_MAX]; /**< of our own group; "" = none for this kind */
    bool unified[CGROUP_KINDS];        /**< version 2 */
};

/** One program's groups. */
struct cgroup {
    int procs[CGROUP_KINDS]; /**< opened for joining; -1 = none */
};

/** Looks for places, and removes the empty groups that supervisors left which are no more. */
void cgroup_find(struct cgroup_places *out);
/**
 * Makes the group of kind `kind` with a limit (> 0) and opens it into `group`. False: not possible
 * here.
 */
bool cgroup_make(struct cgroup *group, const struct cgroup_places *places, enum cgroup_kind kind,
                 pid_t supervisor, uint64_t number, uint64_t limit);
/** Moves the calling process in. -errno. */
int cgroup_join(const struct cgroup *group);
/** Closes what was opened for joining. */
void cgroup_close(struct cgroup *group);
/** Whether the kernel killed a process of the program at its limit of memory. Before its groups are removed. */
bool cgroup_starved(const struct cgroup_places *places, pid_t supervisor, uint64_t number);
/** Removes a program's groups; they must be empty. Nothing happens when there are none. */
void cgroup_remove(const struct cgroup_places *places, pid_t supervisor, uint64_t number);

#endif
