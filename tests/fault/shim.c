/*
 * The fault shim: preloaded into a program, it fails the k-th call of one kind on chosen paths.
 *
 *   LD_PRELOAD=faultshim.so
 *   WEIR_FAULT="call=fdatasync,k=3,mode=once,errno=EIO,path=/journal"
 *     call   one of the names in `kind_names`, or all
 *     k      which matching call fails, counted from 1; 0 (the default) never: it only counts
 *     mode   once (that call) or forever (from that call on)
 *     errno  a name of `errno_names` or a number
 *     path   a text that the path has to contain; sockets look like "socket:[123]"; none = all
 *     short  1: instead of an error, write, send, read and receive half of what was asked for
 *   WEIR_FAULT_COUNT=FILE
 *     two 64-bit numbers in the machine's order: matching calls seen, and faults made. The file is
 *     mapped, so the figures also survive a kill; processes that inherit the setting add to them.
 *     A loop raises k until a run ends with no fault made.
 *
 * Thread rule: any thread, any time, also before constructors ran. The hooks enter the kernel by
 * syscall(2) themselves: no dlsym, no allocation, no lock. What libc calls inside itself (stdio) is
 * not seen. 64-bit Linux only.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

_Static_assert(sizeof(long) == 8, "the hooks pass 64-bit offsets as one register");

enum kind {
    CALL_OPEN,
    CALL_READ,
    CALL_PREAD,
    CALL_WRITE,
    CALL_PWRITE,
    CALL_WRITEV,
    CALL_PWRITEV,
    CALL_FSYNC,
    CALL_FDATASYNC,
    CALL_MSYNC,
    CALL_FTRUNCATE,
    CALL_FALLOCATE,
    CALL_RENAME,
    CALL_LINK,
    CALL_UNLINK,
    CALL_MKDIR,
    CALL_ACCEPT,
    CALL_RECV,
    CALL_SEND,
    CALL_MMAP,
    CALL_ALL,
};

/* In the order of the enum. The *at and 64-bit forms count as the plain one. */
static const char *const kind_names[] = {
    "open",   "read",      "pread",   "write",     "pwrite",    "writev", "pwritev",
    "fsync",  "fdatasync", "msync",   "ftruncate", "fallocate", "rename", "link",
    "unlink", "mkdir",     "accept4", "recv",      "send",      "mmap",   "all",
};

static const struct {
    const char *name;
    int value;
} errno_names[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EINTR", EINTR},
    {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"EAGAIN", EAGAIN},
    {"EACCES", EACCES}, {"EROFS", EROFS},   {"EPIPE", EPIPE},   {"ECONNRESET", ECONNRESET},
};

struct counts {
    _Atomic uint64_t seen;
    _Atomic uint64_t made;
};

static struct counts own_counts;
static struct counts *counts = &own_counts;
static atomic_bool ready;

static struct {
    enum kind kind;
    uint64_t k;
    bool forever;
    bool shorten;
    int error;
    char path[256];
} fault;

/* --- settings ------------------------------------------------------------------------------------
 */

static bool is(const char *text, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(text, word, len) == 0;
}

static int errno_of(const char *text, size_t len)
{
    for (size_t i = 0; i < sizeof(errno_names) / sizeof(errno_names[0]); i++)
        if (is(text, len, errno_names[i].name))
            return errno_names[i].value;
    return (int)strtol(text, NULL, 10);
}

static bool kind_of(const char *text, size_t len, enum kind *out)
{
    for (size_t i = 0; i < sizeof(kind_names) / sizeof(kind_names[0]); i++)
        if (is(text, len, kind_names[i])) {
            *out = (enum kind)i;
            return true;
        }
    return false;
}

static void say(const char *a, const char *b, const char *c)
{
    const struct iovec parts[] = {
        {(void *)"faultshim: ", 11}, {(void *)a, strlen(a)}, {(void *)b, strlen(b)},
        {(void *)c, strlen(c)},      {(void *)"\n", 1},
    };
    int before = errno;
    syscall(SYS_writev, 2, parts, 5);
    errno = before;
}

/* A setting that is not understood must not look like a run without faults. */
static void refuse(const char *text)
{
    say("cannot understand WEIR_FAULT at ", text, "");
    _exit(127);
}

static void take_setting(const char *key, size_t key_len, const char *value, size_t len)
{
    if (is(key, key_len, "call")) {
        if (!kind_of(value, len, &fault.kind))
            refuse(value);
    } else if (is(key, key_len, "k")) {
        fault.k = strtoull(value, NULL, 10);
    } else if (is(key, key_len, "mode")) {
        fault.forever = is(value, len, "forever");
        if (!fault.forever && !is(value, len, "once"))
            refuse(value);
    } else if (is(key, key_len, "errno")) {
        fault.error = errno_of(value, len);
        if (fault.error <= 0)
            refuse(value);
    } else if (is(key, key_len, "short")) {
        fault.shorten = is(value, len, "1");
    } else if (is(key, key_len, "path") && len < sizeof(fault.path)) {
        memcpy(fault.path, value, len);
    } else {
        refuse(key);
    }
}

static void take_settings(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, ",");
        const char *equals = memchr(text, '=', len);
        if (!equals)
            refuse(text);
        size_t key_len = (size_t)(equals - text);
        take_setting(text, key_len, equals + 1, len - key_len - 1);
        text += len + (text[len] == ',');
    }
}

static void map_counts(const char *path)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || syscall(SYS_ftruncate, fd, sizeof(struct counts)) != 0)
        refuse(path);
    long at =
        syscall(SYS_mmap, NULL, sizeof(struct counts), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
    if (at == -1)
        refuse(path);
    counts = (struct counts *)at;
    syscall(SYS_close, fd);
}

__attribute__((constructor)) static void start(void)
{
    const char *text = getenv("WEIR_FAULT");
    if (!text || !*text)
        return;
    fault.kind = CALL_ALL;
    fault.error = EIO;
    take_settings(text);
    const char *path = getenv("WEIR_FAULT_COUNT");
    if (path && *path)
        map_counts(path);
    atomic_store(&ready, true);
}

/* --- judging a call
 * -------------------------------------------------------------------------------- */

static size_t fd_path(int fd, char *out, size_t room)
{
    char link[40] = "/proc/self/fd/";
    char digits[12];
    size_t n = 0;
    size_t at = strlen(link);
    if (fd < 0)
        return 0;
    do {
        digits[n++] = (char)('0' + fd % 10);
        fd /= 10;
    } while (fd > 0);
    while (n > 0)
        link[at++] = digits[--n];
    long len = syscall(SYS_readlinkat, AT_FDCWD, link, out, room - 1);
    return len > 0 ? (size_t)len : 0;
}

/* The path of `name` below `dirfd`; the path of the descriptor itself with name NULL. */
static void full_path(int dirfd, const char *name, char *out, size_t room)
{
    size_t len = 0;
    if (!name || name[0] != '/') {
        if (dirfd == AT_FDCWD)
            len = 0;
        else
            len = fd_path(dirfd, out, room);
        if (name && len > 0 && len < room - 1)
            out[len++] = '/';
    }
    if (name) {
        size_t more = strlen(name);
        if (more > room - 1 - len)
            more = room - 1 - len;
        memcpy(out + len, name, more);
        len += more;
    }
    out[len] = '\0';
}

/* Counts a matching call; true when it is to fail. `other` is a second name (rename), or NULL. */
static bool due(enum kind kind, int dirfd, const char *name, int otherfd, const char *other)
{
    if (!atomic_load_explicit(&ready, memory_order_acquire))
        return false;
    if (fault.kind != CALL_ALL && fault.kind != kind)
        return false;
    int before = errno;
    char path[4200];
    full_path(dirfd, name, path, sizeof(path));
    bool hit = strstr(path, fault.path) != NULL;
    if (!hit && other) {
        full_path(otherfd, other, path, sizeof(path));
        hit = strstr(path, fault.path) != NULL;
    }
    errno = before;
    if (!hit)
        return false;
    uint64_t number = atomic_fetch_add(&counts->seen, 1) + 1;
    if (fault.k == 0 || number < fault.k || (number > fault.k && !fault.forever))
        return false;
    if (atomic_fetch_add(&counts->made, 1) == 0)
        say(kind_names[kind], " fails on ", path);
    return true;
}

static bool due_fd(enum kind kind, int fd)
{
    return due(kind, fd, NULL, -1, NULL);
}

static long fail(void)
{
    errno = fault.error;
    return -1;
}

/* --- calls that move bytes
 * ------------------------------------------------------------------------- */

/* What a short call moves: half, at least one byte, so that it still makes progress. */
static size_t half(size_t len)
{
    return len > 1 ? len / 2 : len;
}

/* Leaves `len` shortened or tells to fail. */
static bool fails(enum kind kind, int fd, size_t *len)
{
    if (!due_fd(kind, fd))
        return false;
    if (!fault.shorten)
        return true;
    *len = half(*len);
    return false;
}

ssize_t write(int fd, const void *buf, size_t len)
{
    return fails(CALL_WRITE, fd, &len) ? fail() : syscall(SYS_write, fd, buf, len);
}

ssize_t pwrite(int fd, const void *buf, size_t len, off_t at)
{
    return fails(CALL_PWRITE, fd, &len) ? fail() : syscall(SYS_pwrite64, fd, buf, len, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t len, off_t at)
{
    return pwrite(fd, buf, len, at);
}

ssize_t read(int fd, void *buf, size_t len)
{
    return fails(CALL_READ, fd, &len) ? fail() : syscall(SYS_read, fd, buf, len);
}

ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
    return len > room ? (abort(), 0) : read(fd, buf, len);
}

ssize_t pread(int fd, void *buf, size_t len, off_t at)
{
    return fails(CALL_PREAD, fd, &len) ? fail() : syscall(SYS_pread64, fd, buf, len, at);
}

ssize_t pread64(int fd, void *buf, size_t len, off_t at)
{
    return pread(fd, buf, len, at);
}

ssize_t __pread_chk(int fd, void *buf, size_t len, off_t at, size_t room)
{
    return len > room ? (abort(), 0) : pread(fd, buf, len, at);
}

ssize_t __pread64_chk(int fd, void *buf, size_t len, off_t at, size_t room)
{
    return __pread_chk(fd, buf, len, at, room);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    size_t len = count > 0 ? parts[0].iov_len : 0;
    size_t whole = len;
    if (fails(CALL_WRITEV, fd, &len))
        return fail();
    if (len < whole)
        return syscall(SYS_write, fd, parts[0].iov_base, len);
    return syscall(SYS_writev, fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
    size_t len = count > 0 ? parts[0].iov_len : 0;
    size_t whole = len;
    if (fails(CALL_PWRITEV, fd, &len))
        return fail();
    if (len < whole)
        return syscall(SYS_pwrite64, fd, parts[0].iov_base, len, at);
    return syscall(SYS_pwritev, fd, parts, count, at, 0L);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
    return pwritev(fd, parts, count, at);
}

ssize_t send(int fd, const void *buf, size_t len, int flags)
{
    return fails(CALL_SEND, fd, &len) ? fail() : syscall(SYS_sendto, fd, buf, len, flags, NULL, 0);
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to,
               socklen_t size)
{
    return fails(CALL_SEND, fd, &len) ? fail() : syscall(SYS_sendto, fd, buf, len, flags, to, size);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
    size_t len = 0;
    return fails(CALL_SEND, fd, &len) ? fail() : syscall(SYS_sendmsg, fd, msg, flags);
}

ssize_t recv(int fd, void *buf, size_t len, int flags)
{
    return fails(CALL_RECV, fd, &len) ? fail()
                                      : syscall(SYS_recvfrom, fd, buf, len, flags, NULL, NULL);
}

ssize_t __recv_chk(int fd, void *buf, size_t len, size_t room, int flags)
{
    return len > room ? (abort(), 0) : recv(fd, buf, len, flags);
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *size)
{
    return fails(CALL_RECV, fd, &len) ? fail()
                                      : syscall(SYS_recvfrom, fd, buf, len, flags, from, size);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    size_t len = 0;
    return fails(CALL_RECV, fd, &len) ? fail() : syscall(SYS_recvmsg, fd, msg, flags);
}

/* --- calls on descriptors
 * --------------------------------------------------------------------------- */

int fsync(int fd)
{
    return (int)(due_fd(CALL_FSYNC, fd) ? fail() : syscall(SYS_fsync, fd));
}

int fdatasync(int fd)
{
    return (int)(due_fd(CALL_FDATASYNC, fd) ? fail() : syscall(SYS_fdatasync, fd));
}

int ftruncate(int fd, off_t len)
{
    return (int)(due_fd(CALL_FTRUNCATE, fd) ? fail() : syscall(SYS_ftruncate, fd, len));
}

int ftruncate64(int fd, off_t len)
{
    return ftruncate(fd, len);
}

int fallocate(int fd, int mode, off_t at, off_t len)
{
    return (int)(due_fd(CALL_FALLOCATE, fd) ? fail() : syscall(SYS_fallocate, fd, mode, at, len));
}

int fallocate64(int fd, int mode, off_t at, off_t len)
{
    return fallocate(fd, mode, at, len);
}

/* Answers an error number and leaves errno alone, unlike all others here. */
int posix_fallocate(int fd, off_t at, off_t len)
{
    int before = errno;
    int rc = fallocate(fd, 0, at, len) == 0 ? 0 : errno;
    errno = before;
    return rc;
}

int posix_fallocate64(int fd, off_t at, off_t len)
{
    return posix_fallocate(fd, at, len);
}

/* A mapping's path is not known at msync; path filters on it would need a table of mappings. */
int msync(void *at, size_t len, int flags)
{
    return (int)(due(CALL_MSYNC, AT_FDCWD, fault.path, -1, NULL)
                     ? fail()
                     : syscall(SYS_msync, at, len, flags));
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    bool hit = fd >= 0 && due_fd(CALL_MMAP, fd);
    return (void *)(hit ? fail() : syscall(SYS_mmap, at, len, prot, flags, fd, offset));
}

void *mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    return mmap(at, len, prot, flags, fd, offset);
}

int accept4(int fd, struct sockaddr *from, socklen_t *size, int flags)
{
    return (int)(due_fd(CALL_ACCEPT, fd) ? fail() : syscall(SYS_accept4, fd, from, size, flags));
}

int accept(int fd, struct sockaddr *from, socklen_t *size)
{
    return accept4(fd, from, size, 0);
}

/* --- calls on names
 * --------------------------------------------------------------------------------- */

static int open_name(int dirfd, const char *name, int flags, mode_t mode)
{
    bool hit = due(CALL_OPEN, dirfd, name, -1, NULL);
    return (int)(hit ? fail() : syscall(SYS_openat, dirfd, name, flags, mode));
}

static mode_t mode_of(int flags, va_list args)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = mode_of(flags, args);                                                        \
        va_end(args);                                                                              \
        return open_name(AT_FDCWD, path, flags, mode);                                             \
    }
#define OPENAT(name)                                                                               \
    int name(int dirfd, const char *path, int flags, ...)                                          \
    {                                                                                              \
        va_list args;                                                                              \
        va_start(args, flags);                                                                     \
        mode_t mode = mode_of(flags, args);                                                        \
        va_end(args);                                                                              \
        return open_name(dirfd, path, flags, mode);                                                \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

int creat(const char *path, mode_t mode)
{
    return open_name(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

/* What fortified programs call when there is no mode. */
int __open_2(const char *path, int flags)
{
    return open_name(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return open_name(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dirfd, const char *path, int flags)
{
    return open_name(dirfd, path, flags, 0);
}

int __openat64_2(int dirfd, const char *path, int flags)
{
    return open_name(dirfd, path, flags, 0);
}

int renameat2(int fromfd, const char *from, int tofd, const char *to, unsigned flags)
{
    bool hit = due(CALL_RENAME, fromfd, from, tofd, to);
    return (int)(hit ? fail() : syscall(SYS_renameat2, fromfd, from, tofd, to, flags));
}

int renameat(int fromfd, const char *from, int tofd, const char *to)
{
    return renameat2(fromfd, from, tofd, to, 0);
}

int rename(const char *from, const char *to)
{
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int linkat(int fromfd, const char *from, int tofd, const char *to, int flags)
{
    bool hit = due(CALL_LINK, fromfd, from, tofd, to);
    return (int)(hit ? fail() : syscall(SYS_linkat, fromfd, from, tofd, to, flags));
}

int link(const char *from, const char *to)
{
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dirfd, const char *name, int flags)
{
    bool hit = due(CALL_UNLINK, dirfd, name, -1, NULL);
    return (int)(hit ? fail() : syscall(SYS_unlinkat, dirfd, name, flags));
}

int unlink(const char *name)
{
    return unlinkat(AT_FDCWD, name, 0);
}

int mkdirat(int dirfd, const char *name, mode_t mode)
{
    bool hit = due(CALL_MKDIR, dirfd, name, -1, NULL);
    return (int)(hit ? fail() : syscall(SYS_mkdirat, dirfd, name, mode));
}

int mkdir(const char *name, mode_t mode)
{
    return mkdirat(AT_FDCWD, name, mode);
}
