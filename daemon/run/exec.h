/*
 * What happens between fork and exec of a program: its session, signals, groups, directory,
 * descriptors, limits, confinement.
 */
#ifndef DAEMON_RUN_EXEC_H
#define DAEMON_RUN_EXEC_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/run/cgroup.h"
#include "daemon/run/confine.h"
#include "daemon/run/spawn_wire.h"

/** All borrowed. */
struct exec_plan {
    const struct wire *spawn;
    int fds[WIRE_FDS];
    int report; /**< write end of a close-on-exec pipe for a struct exec_failure; end of file: the
                   program runs */
    pid_t keeper;
    struct cgroup group;
    uint64_t address_space;  /**< RLIMIT_AS; 0 = none */
    uint64_t user_processes; /**< RLIMIT_NPROC; 0 = none */
    struct confine confine;  /**< used when the spawn asks for it */
};

enum exec_stage {
    EXEC_SESSION,
    EXEC_GROUP,
    EXEC_DIRECTORY,
    EXEC_DESCRIPTORS,
    EXEC_LIMITS,
    EXEC_CONFINE,
    EXEC_PROGRAM,
};

struct exec_failure {
    enum exec_stage stage;
    int error; /**< errno */
};

/** Becomes the program, or reports why not and exits. Called in the forked child; never returns. */
_Noreturn void exec_program(const struct exec_plan *plan);

/** What failed and, where it can be seen, why: "exec /a/b: its interpreter /usr/bin/nosuch is not
 * there". */
void exec_failure_text(char *out, size_t size, const struct wire *spawn,
                       const struct exec_failure *failure);

/** Moves `count` descriptors to `first`, `first` + 1 and so on, without close-on-exec from 0 to 2
 * and with it above. -errno. */
int exec_place_descriptors(int first, const int *fds, size_t count);

#endif
