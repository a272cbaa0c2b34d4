/*
 * The daemon on demand. This program is also the daemon that gets started: a script named `weird`
 * in PATH calls it with --weird and the arguments; WEIRD_MODE does not survive the small
 * environment, so what it is to do stands in a file beside the script.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/autostart.h"

static char top[64]; /* XDG_DATA_HOME is top/data, PATH top/bin */
static char self[512];

/* --- the daemon ------------------------------------------------------------------------------- */

static void write_facts(const char *dir, char **argv)
{
    char path[512], cwd[256];
    snprintf(path, sizeof(path), "%s/facts", dir);
    FILE *f = fopen(path, "w");
    mode_t mask = umask(077);

    if (!f || !getcwd(cwd, sizeof(cwd)))
        _exit(9);
    fprintf(f, "umask=%03o cwd=%s session=%d secret=%d home=%d fd9=%d args=%s %s %s %s\n",
            (unsigned)mask, cwd, getsid(0) == getpid(), getenv("SECRET") != NULL,
            getenv("HOME") != NULL, fcntl(9, F_GETFD) >= 0, argv[3], argv[4], argv[5], argv[7]);
    fclose(f);
}

/* Serves until its store's directory holds no "keep" file any more and a client came and went. */
static void serve(const char *dir)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char keep[512];
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(to.sun_path, sizeof(to.sun_path), "%.90s/sock", dir);
    unlink(to.sun_path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || listen(fd, 16) < 0 ||
        write(3, "r", 1) != 1)
        _exit(8);
    close(3);
    snprintf(keep, sizeof(keep), "%s/../../keep", dir);
    alarm(30);
    do
        close(accept(fd, NULL, NULL));
    while (access(keep, F_OK) == 0);
    unlink(to.sun_path);
}

/* weird PATH --idle-exit 600 --log LOG --ready-fd 3, shifted by one */
static int run_daemon(char **argv)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/../../broken", argv[2]);
    if (access(path, F_OK) == 0) {
        fprintf(stderr, "first line\nthe store is of a newer weir\n");
        return 1;
    }
    snprintf(path, sizeof(path), "%s/lock", argv[2]);
    int lock = open(path, O_CREAT | O_RDWR, 0600);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
        return AUTOSTART_LOCKED;
    /* One byte for each daemon that got the lock. */
    snprintf(path, sizeof(path), "%s/starts", argv[2]);
    int starts = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);
    if (starts < 0 || write(starts, "s", 1) != 1)
        return 7;
    write_facts(argv[2], argv);
    serve(argv[2]);
    return 0;
}

/* --- tests ------------------------------------------------------------------------------------ */

static char *in_top(const char *name)
{
    static char path[4][512];
    static int at;

    at = (at + 1) % 4;
    snprintf(path[at], sizeof(path[at]), "%s/%s", top, name);
    return path[at];
}

static void make_file(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static int set_up(void **state)
{
    char script[700];

    (void)state;
    snprintf(top, sizeof(top), "/tmp/weir-start-XXXXXX");
    assert_non_null(mkdtemp(top));
    assert_int_equal(mkdir(in_top("bin"), 0700), 0);
    snprintf(script, sizeof(script), "#!/bin/sh\nexec %s --weird \"$@\"\n", self);
    make_file(in_top("bin/weird"), script, 0700);
    make_file(in_top("keep"), "", 0600);
    setenv("XDG_DATA_HOME", in_top("data"), 1);
    setenv("PATH", in_top("bin"), 1);
    setenv("SECRET", "x", 1);
    unsetenv("WEIR_NO_AUTOSTART");
    return 0;
}

/* Lets the daemon end with one more connection, and waits for that: its socket goes. */
static void stop_daemon(void)
{
    struct weir_addr addr;

    unlink(in_top("keep"));
    setenv("WEIR_NO_AUTOSTART", "1", 1);
    while (autostart_default(&addr, NULL) == 0)
        weir_addr_finish(&addr);
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    stop_daemon();
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(command, sizeof(command), "rm -r %s", top);
    return system(command);
}

static void read_file(const char *path, char *text, size_t room)
{
    FILE *f = fopen(path, "r");
    size_t n;

    assert_non_null(f);
    n = fread(text, 1, room - 1, f);
    text[n] = '\0';
    fclose(f);
}

static void test_starts_once(void **state)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;
    char text[512], want[512];
    struct stat st;
    int rc;

    (void)state;
    /* A descriptor that is not close-on-exec must not get through. */
    assert_int_equal(dup2(1, 9), 9);
    for (int i = 0; i < 2; i++) {
        rc = autostart_default(&addr, &err);
        if (rc != 0)
            fail_msg("%d: %s", rc, err.text);
        assert_string_equal(addr.path, in_top("data/weir/sock"));
        assert_string_equal(addr.shown, in_top("data/weir"));
        weir_addr_finish(&addr);
    }
    close(9);
    read_file(in_top("data/weir/starts"), text, sizeof(text));
    assert_string_equal(text, "s");
    read_file(in_top("data/weir/facts"), text, sizeof(text));
    snprintf(
        want, sizeof(want),
        "umask=077 cwd=/ session=1 secret=0 home=1 fd9=0 args=--idle-exit 600 --log --ready-fd\n");
    assert_string_equal(text, want);
    assert_int_equal(stat(in_top("data/weir"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    /* Nobody's child of ours is left to reap. */
    assert_int_equal(waitpid(-1, &rc, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_race(void **state)
{
    enum { CLIENTS = 8 };
    pid_t clients[CLIENTS];
    char text[64];

    (void)state;
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fork();
        assert_true(clients[i] >= 0);
        if (clients[i] == 0) {
            struct weir_addr addr;
            struct err err = ERR_INIT;
            int rc = autostart_default(&addr, &err);
            if (rc < 0)
                fprintf(stderr, "client: %s\n", err.text);
            else
                weir_addr_finish(&addr);
            _exit(rc != 0);
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        int status;
        assert_int_equal(waitpid(clients[i], &status, 0), clients[i]);
        assert_int_equal(status, 0);
    }
    read_file(in_top("data/weir/starts"), text, sizeof(text));
    assert_string_equal(text, "s");
}

static void test_failure(void **state)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;

    (void)state;
    make_file(in_top("broken"), "", 0600);
    assert_int_equal(autostart_default(&addr, &err), ERR_UNAVAILABLE);
    assert_non_null(strstr(err.text, "the store is of a newer weir"));
    assert_null(strstr(err.text, "first line"));
}

static void test_turned_off(void **state)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;

    (void)state;
    setenv("WEIR_NO_AUTOSTART", "1", 1);
    assert_int_equal(autostart_default(&addr, &err), -ENOENT);
    assert_non_null(strstr(err.text, in_top("data/weir")));
    assert_non_null(strstr(err.text, "weir serve"));
    assert_int_equal(access(in_top("data"), F_OK), -1);
}

static void test_no_program(void **state)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;

    (void)state;
    unlink(in_top("bin/weird"));
    assert_int_equal(autostart_default(&addr, &err), -ENOENT);
    assert_non_null(strstr(err.text, "PATH"));
}

static void test_home(void **state)
{
    struct weir_addr addr;

    (void)state;
    setenv("XDG_DATA_HOME", "relative", 1);
    setenv("HOME", in_top("data"), 1);
    assert_int_equal(autostart_default(&addr, NULL), 0);
    assert_string_equal(addr.shown, in_top("data/.local/share/weir"));
    weir_addr_finish(&addr);
    assert_int_equal(access(in_top("data/.local/share/weir/starts"), F_OK), 0);
}

int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--weird") == 0)
        return run_daemon(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_starts_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_race, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turned_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_program, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_home, set_up, tear_down),
    };
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash = n > 0 ? strrchr(self, '/') : NULL;

    if (!slash)
        return 1;
    char beside[600];
    snprintf(beside, sizeof(beside), "%.*s/weird", (int)(slash - self), self);
    if (access(beside, X_OK) == 0) {
        fprintf(stderr, "%s would be started instead of the test's own\n", beside);
        return 1;
    }
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
