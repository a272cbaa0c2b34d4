/*
 * Starting the default store's daemon. Three processes: the caller waits for a middle one, which
 * starts weird and ends as soon as weird listens or has ended; its exit status says which. So weird
 * is nobody's child afterwards, and still its exit status is known when it fails.
 */
#include "client/autostart.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/text.h"
#include "client/conn.h"

#define READY_FD 3
#define START_MS 60000 /* for our own weird, which may have a journal to read */
#define WINNER_MS 5000 /* for the one that won the store's lock */
#define FAILURE_MS                                                                                 \
    1000 /* after a weird that failed for another reason: somebody may listen all the same */
#define BACKOFF_MAX_MS 100
#define STATUS_SLOW 124 /* the middle process: neither ready nor ended in START_MS */
#define STATUS_NO_EXEC 127

extern char **environ;

/* Everything the new processes need, made before fork: after it nothing is allocated. */
struct start {
    char *program;
    char *path; /* the store */
    char *log;
    char **env;
    size_t log_size; /* of the log before this start */
    int null_fd, log_fd, ready_fd;
};

/* --- places ----------------------------------------------------------------------------------- */

static int no_memory(struct err *err)
{
    return err_set(err, -ENOMEM, "no memory to start a daemon");
}

static const char *home_dir(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user = home && home[0] == '/' ? NULL : getpwuid(getuid());

    return user ? user->pw_dir : home;
}

static int default_path(char **out, struct err *err)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home;
    int len;

    /* The base directory specification has relative paths ignored. */
    if (data && data[0] == '/') {
        len = asprintf(out, "%s/weir", data);
    } else {
        home = home_dir();
        if (!home || home[0] != '/')
            return err_set(err, ERR_INVALID,
                           "neither XDG_DATA_HOME nor HOME is set; name the store: --addr ADDR");
        len = asprintf(out, "%s/.local/share/weir", home);
    }
    return len < 0 ? no_memory(err) : 0;
}

static int default_addr(struct weir_addr *out, struct err *err)
{
    struct weir_addr addr = {.kind = WEIR_UNIX};
    int rc = default_path(&addr.shown, err);

    if (rc < 0)
        return rc;
    if (asprintf(&addr.path, "%s/sock", addr.shown) < 0) {
        addr.path = NULL;
        weir_addr_finish(&addr);
        return no_memory(err);
    }
    *out = addr;
    return 0;
}

static int make_dirs(const char *path, struct err *err)
{
    CLEAN_FREE char *part = strdup(path);

    if (!part)
        return no_memory(err);
    for (char *p = part + 1;; p++) {
        char c = *p;
        if (c != '/' && c != '\0')
            continue;
        *p = '\0';
        if (mkdir(part, 0700) < 0 && errno != EEXIST)
            return err_sys(err, errno, "create directory %s", part);
        *p = c;
        if (c == '\0')
            return 0;
    }
}

/* DIR/weird when that may be executed. */
static char *program_in(const char *dir, size_t len)
{
    char *path;

    if (len == 0 || asprintf(&path, "%.*s/weird", (int)len, dir) < 0)
        return NULL;
    if (access(path, X_OK) == 0)
        return path;
    free(path);
    return NULL;
}

static char *find_program(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
    const char *slash = n > 0 ? memrchr(self, '/', (size_t)n) : NULL;
    const char *list = getenv("PATH");
    char *found = slash ? program_in(self, (size_t)(slash - self)) : NULL;

    while (!found && list && list[0]) {
        size_t len = strcspn(list, ":");
        /* Relative directories of PATH would depend on where the user stands. */
        found = list[0] == '/' ? program_in(list, len) : NULL;
        list += len + (list[len] == ':');
    }
    return found;
}

static bool env_wanted(const char *entry)
{
    static const char *const names[] = {"PATH=", "HOME=", "LANG=", "TZ=", "XDG_"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    }
    return false;
}

/* Borrows the texts; the array is freed by the caller. */
static char **small_environment(void)
{
    size_t count = 0;
    char **env;

    while (environ && environ[count])
        count++;
    env = calloc(count + 1, sizeof(*env));
    for (size_t i = 0, at = 0; env && i < count; i++) {
        if (env_wanted(environ[i]))
            env[at++] = environ[i];
    }
    return env;
}

/* --- the new processes: only async-signal-safe calls below ------------------------------------ */

static void close_from(int first)
{
    if (close_range((unsigned)first, ~0U, 0) == 0)
        return;
    long max = sysconf(_SC_OPEN_MAX);
    for (int fd = first; fd < (max > 0 && max < 65536 ? max : 65536); fd++)
        close(fd);
}

static void reset_signals(void)
{
    sigset_t none;

    for (int sig = 1; sig < NSIG; sig++)
        signal(sig, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void place_descriptors(const struct start *s)
{
    /* First out of the way of 0 to 3, so that no dup2 closes what a later one needs. */
    int null_fd = fcntl(s->null_fd, F_DUPFD_CLOEXEC, 10);
    int log_fd = fcntl(s->log_fd, F_DUPFD_CLOEXEC, 10);
    int ready_fd = fcntl(s->ready_fd, F_DUPFD_CLOEXEC, 10);

    if (dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(log_fd, 2) < 0 ||
        dup2(ready_fd, READY_FD) < 0)
        _exit(STATUS_NO_EXEC);
    close_from(READY_FD + 1);
}

static _Noreturn void become_weird(const struct start *s)
{
    char *const argv[] = {(char *)"weird",      s->path,         (char *)"--idle-exit",
                          (char *)"600",        (char *)"--log", s->log,
                          (char *)"--ready-fd", (char *)"3",     NULL};

    reset_signals();
    umask(077);
    place_descriptors(s);
    if (chdir("/") == 0)
        execve(s->program, argv, s->env);
    _exit(STATUS_NO_EXEC);
}

/* The middle process: 0 when weird listens, its exit status when it ended, STATUS_SLOW. */
static int watch(pid_t weird, int ready)
{
    struct pollfd p = {.fd = ready, .events = POLLIN};
    char byte;
    int status;

    if (poll(&p, 1, START_MS) <= 0)
        return STATUS_SLOW;
    if (read(ready, &byte, 1) == 1)
        return 0;
    while (waitpid(weird, &status, 0) < 0) {
        if (errno != EINTR)
            return 1;
    }
    if (!WIFEXITED(status))
        return 1;
    /* Ended without a word though it found nothing wrong: it does not listen all the same. */
    return WEXITSTATUS(status) == 0 ? 1 : WEXITSTATUS(status);
}

static _Noreturn void run_middle(struct start *s)
{
    int ready[2];
    pid_t weird;

    reset_signals();
    setsid();
    if (pipe2(ready, O_CLOEXEC) < 0)
        _exit(STATUS_NO_EXEC);
    s->ready_fd = ready[1];
    weird = fork();
    if (weird < 0)
        _exit(STATUS_NO_EXEC);
    if (weird == 0) {
        /* A session of its own also apart from the middle process, whose end would hang it up. */
        setsid();
        become_weird(s);
    }
    close(ready[1]);
    _exit(watch(weird, ready[0]));
}

/* --- the caller ------------------------------------------------------------------------------- */

/* Starts weird and waits until it listens or has ended; `status` as watch(). */
static int run_start(struct start *s, int *status, struct err *err)
{
    int wait_status;
    pid_t middle = fork();

    if (middle < 0)
        return err_sys(err, errno, "start a daemon");
    if (middle == 0)
        run_middle(s);
    while (waitpid(middle, &wait_status, 0) < 0) {
        if (errno == EINTR)
            continue;
        /* A caller that ignores SIGCHLD cannot be told more; connecting shows how it went. */
        wait_status = AUTOSTART_LOCKED << 8;
        break;
    }
    *status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : STATUS_NO_EXEC;
    return 0;
}

static void start_finish(struct start *s)
{
    free(s->program);
    free(s->path);
    free(s->log);
    free(s->env);
    if (s->null_fd >= 0)
        close(s->null_fd);
    if (s->log_fd >= 0)
        close(s->log_fd);
}

static int start_init(struct start *s, const char *path, struct err *err)
{
    struct stat st;

    *s = (struct start){.null_fd = -1, .log_fd = -1, .ready_fd = -1};
    s->program = find_program();
    if (!s->program)
        return err_set(err, -ENOENT,
                       "weird is neither beside weir nor in PATH; install it, or start a daemon "
                       "with: weir serve %s",
                       path);
    s->path = strdup(path);
    s->env = small_environment();
    if (!s->path || !s->env)
        return no_memory(err);
    if (asprintf(&s->log, "%s/log", path) < 0) {
        s->log = NULL;
        return no_memory(err);
    }
    s->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (s->null_fd < 0)
        return err_sys(err, errno, "open /dev/null");
    s->log_fd = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (s->log_fd < 0 || fstat(s->log_fd, &st) < 0)
        return err_sys(err, errno, "open %s", s->log);
    s->log_size = (size_t)st.st_size;
    return 0;
}

static int probe(const struct weir_addr *addr, struct err *err)
{
    int fd;
    int rc = conn_dial(&fd, addr, err);

    if (rc == 0)
        close(fd);
    return rc;
}

static bool nobody_listens(int rc)
{
    return rc == -ENOENT || rc == -ECONNREFUSED || rc == -ENOTDIR;
}

/*
 * Connects again and again until the deadline. What changes in the store's directory wakes it; the
 * short timer covers the moment between bind and listen, which leaves no trace there.
 */
static int wait_for_listener(const struct weir_addr *addr, uint64_t limit_ms, struct err *err)
{
    CLEAN_FD int notes = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    uint64_t end = time_mono_us() + limit_ms * 1000;
    struct pollfd p = {.fd = notes, .events = POLLIN};
    char waste[4096];
    int pause = 1;
    int rc;

    if (notes >= 0 &&
        inotify_add_watch(notes, addr->shown, IN_CREATE | IN_MOVED_TO | IN_ATTRIB) < 0)
        p.fd = -1;
    for (;;) {
        rc = probe(addr, err);
        if (!nobody_listens(rc) || time_mono_us() >= end)
            return rc;
        if (poll(&p, 1, pause) > 0 && read(notes, waste, sizeof(waste)) < 0)
            p.fd = -1;
        pause = pause * 2 < BACKOFF_MAX_MS ? pause * 2 : BACKOFF_MAX_MS;
    }
}

/* The last line that this start wrote into the log; empty when there is none. */
static void last_words(const struct start *s, char *line, size_t room)
{
    CLEAN_FD int fd = open(s->log, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char tail[2048];
    struct stat st;

    line[0] = '\0';
    if (fd < 0 || fstat(fd, &st) < 0 || (size_t)st.st_size <= s->log_size)
        return;
    off_t from = st.st_size - (off_t)s->log_size > (off_t)sizeof(tail)
                     ? st.st_size - (off_t)sizeof(tail)
                     : (off_t)s->log_size;
    ssize_t n = pread(fd, tail, sizeof(tail), from);
    while (n > 0 && tail[n - 1] == '\n')
        n--;
    if (n <= 0)
        return;
    const char *start = memrchr(tail, '\n', (size_t)n);
    start = start ? start + 1 : tail;
    snprintf(line, room, "%.*s", (int)(tail + n - start), start);
}

static int say_failed(const struct start *s, int status, struct err *err)
{
    char line[160];

    if (status == STATUS_SLOW)
        return err_set(err, ERR_UNAVAILABLE, "weird still does not listen after %d s; see %s",
                       START_MS / 1000, s->log);
    if (status == STATUS_NO_EXEC)
        return err_set(err, ERR_UNAVAILABLE, "cannot run %s", s->program);
    last_words(s, line, sizeof(line));
    if (line[0])
        return err_set(err, ERR_UNAVAILABLE, "weird did not start: %s", line);
    return err_set(err, ERR_UNAVAILABLE, "weird did not start (status %d); see %s", status, s->log);
}

static int start_daemon(const struct weir_addr *addr, struct err *err)
{
    struct start s;
    int status = 0;
    int rc = make_dirs(addr->shown, err);

    if (rc < 0)
        return rc;
    rc = start_init(&s, addr->shown, err);
    if (rc == 0)
        rc = run_start(&s, &status, err);
    if (rc == 0) {
        bool won = status == 0 || status == AUTOSTART_LOCKED;
        rc = wait_for_listener(addr, won ? WINNER_MS : FAILURE_MS, err);
        if (nobody_listens(rc) && status != 0 && status != AUTOSTART_LOCKED)
            rc = say_failed(&s, status, err);
    }
    start_finish(&s);
    return rc;
}

int autostart_default(struct weir_addr *out, struct err *err)
{
    const char *off = getenv("WEIR_NO_AUTOSTART");
    struct weir_addr addr;
    struct err why = ERR_INIT;
    int rc = default_addr(&addr, err);

    if (rc < 0)
        return rc;
    rc = probe(&addr, &why);
    if (nobody_listens(rc) && !(off && strcmp(off, "1") == 0)) {
        why = ERR_INIT;
        rc = start_daemon(&addr, &why);
    }
    if (rc < 0) {
        weir_addr_finish(&addr);
        return err_set(err, rc, "%s", why.text);
    }
    *out = addr;
    return 0;
}
