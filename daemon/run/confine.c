#include "daemon/run/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clean.h"

/* --- landlock: the system's headers may be older than its kernel, so the interface stands here
 * ---------------- */

#define CREATE_RULESET 444
#define ADD_RULE 445
#define RESTRICT_SELF 446
#define RULESET_VERSION 1u
#define RULE_PATH_BENEATH 1

enum {
    FS_WRITE_FILE = 1 << 1,
    FS_REMOVE_DIR = 1 << 4,
    FS_REFER = 1 << 13,                  /* version 2 */
    FS_TRUNCATE = 1 << 14,               /* version 3 */
    FS_IOCTL_DEV = 1 << 15,              /* version 5 */
    SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, /* version 6 */
    SCOPE_SIGNAL = 1 << 1,
};

/* Since version 1: writing, removing, and making anything; bits 4 to 12 are removing and making. */
#define FS_CHANGES (FS_WRITE_FILE | ((FS_REFER - 1) & ~(FS_REMOVE_DIR - 1)))

struct ruleset {
    uint64_t handled_fs;
    uint64_t handled_net; /* version 4 */
    uint64_t scoped;      /* version 6 */
};

struct path_beneath {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

static uint64_t handled(int version)
{
    uint64_t rights = FS_CHANGES;
    if (version >= 2)
        rights |= FS_REFER;
    if (version >= 3)
        rights |= FS_TRUNCATE;
    if (version >= 5)
        rights |= FS_IOCTL_DEV;
    return rights;
}

static int allow(int ruleset, const char *path, uint64_t rights)
{
    CLEAN_FD int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct path_beneath rule = {.allowed = rights, .parent = fd};
    return syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int restrict_writes(int version, const char *directory)
{
    uint64_t rights = handled(version);
    struct ruleset rules = {.handled_fs = rights};
    if (version >= 6)
        rules.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    size_t size = version >= 6 ? sizeof(rules) : version >= 4 ? 16 : 8;
    CLEAN_FD int fd = (int)syscall(CREATE_RULESET, &rules, size, 0);
    if (fd < 0)
        return -errno;
    int rc = allow(fd, directory, rights);
    if (rc < 0)
        return rc;
    uint64_t device = rights & (FS_WRITE_FILE | FS_TRUNCATE | FS_IOCTL_DEV);
    allow(fd, "/dev/null", device); /* where they are */
    allow(fd, "/dev/zero", device);
    return syscall(RESTRICT_SELF, fd, 0) < 0 ? -errno : 0;
}

/* --- seccomp
 * --------------------------------------------------------------------------------------------------
 */

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#define FOREIGN 0x40000000u /* the x32 numbers */
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#define FOREIGN 0xffffffffu
#endif

#ifdef MACHINE

/* io_uring makes sockets without a call of its own; pidfd_getfd takes them from others. */
static const unsigned refused[] = {
    SYS_socket,
    SYS_socketpair,
    425 /* io_uring_setup */,
    426 /* io_uring_enter */,
    427 /* io_uring_register */,
    438 /* pidfd_getfd */,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_perf_event_open,
    SYS_bpf,
    SYS_userfaultfd,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_unshare,
    SYS_setns,
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_chroot,
    428 /* open_tree */,
    429 /* move_mount */,
    430 /* fsopen */,
    431 /* fsconfig */,
    432 /* fsmount */,
    433 /* fspick */,
    442 /* mount_setattr */,
    SYS_open_by_handle_at,
    SYS_kexec_load,
    SYS_kexec_file_load,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_clock_adjtime,
    SYS_adjtimex,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
};

#define CLONE3 435
#define REFUSED (sizeof(refused) / sizeof(refused[0]))
#define NAMESPACES                                                                                 \
    (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID |  \
     CLONE_NEWNET)

#define LOAD(field)                                                                                \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)
#define SKIP(test, value, yes, no) BPF_JUMP(BPF_JMP | (test) | BPF_K, value, yes, no)
#define FAIL(error) RETURN(SECCOMP_RET_ERRNO | (error))

/*
 * Calls of another machine (32 bits) cannot even end cleanly when refused one by one: they kill.
 * clone3 has its flags where no filter sees them: a C library that is told there is no such call
 * uses clone.
 */
static int refuse_calls(void)
{
    const struct sock_filter head[] = {
        LOAD(arch),
        SKIP(BPF_JEQ, MACHINE, 1, 0),
        RETURN(SECCOMP_RET_KILL_PROCESS),
        LOAD(nr),
        SKIP(BPF_JGE, FOREIGN, 0, 1),
        FAIL(EPERM),
        SKIP(BPF_JEQ, CLONE3, 0, 1),
        FAIL(ENOSYS),
    };
    const struct sock_filter tail[] = {
        SKIP(BPF_JEQ, SYS_clone, 0, 2), LOAD(args[0]), SKIP(BPF_JSET, NAMESPACES, 1, 0),
        RETURN(SECCOMP_RET_ALLOW),      FAIL(EPERM),
    };
    struct sock_filter
        code[sizeof(head) / sizeof(head[0]) + 2 * REFUSED + sizeof(tail) / sizeof(tail[0])];
    struct sock_filter *next = code + sizeof(head) / sizeof(head[0]);
    memcpy(code, head, sizeof(head));
    for (size_t i = 0; i < REFUSED; i++) {
        *next++ = (struct sock_filter)SKIP(BPF_JEQ, refused[i], 0, 1);
        *next++ = (struct sock_filter)FAIL(EPERM);
    }
    memcpy(next, tail, sizeof(tail));
    struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0 ? -errno : 0;
}

static bool can_refuse_calls(void)
{
    uint32_t action = SECCOMP_RET_ERRNO;
    return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

#else

static int refuse_calls(void)
{
    return -ENOSYS;
}

static bool can_refuse_calls(void)
{
    return false;
}

#endif

/* --- both
 * --------------------------------------------------------------------------------------------- */

struct confine confine_probe(void)
{
    long version = syscall(CREATE_RULESET, NULL, 0, RULESET_VERSION);
    return (struct confine){.landlock = version > 0 ? (int)version : 0,
                            .seccomp = can_refuse_calls()};
}

int confine_apply(const struct confine *confine, const char *directory)
{
    int rc = 0;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (confine->landlock)
        rc = restrict_writes(confine->landlock, directory);
    return rc == 0 && confine->seccomp ? refuse_calls() : rc;
}
