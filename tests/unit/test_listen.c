/* Listeners on real sockets: who may connect, what is replaced and what never, running out of
 * descriptors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/http/listen.h"
#include "daemon/systemd.h"

static uv_loop_t loop;
static int accepted[64];
static unsigned accepted_count;
static bool full;
static char dir[64];
static int dirfd_held;

static void on_accepted(void *arg, int fd, enum http_via via)
{
    (void)arg, (void)via;
    accepted[accepted_count++] = fd;
}

static bool is_full(void *arg)
{
    (void)arg;
    return full;
}

static const struct listen_options options = {.loop = &loop, .accepted = on_accepted, .full = is_full};

static int set_up(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/weir-listen-XXXXXX");
    assert_non_null(mkdtemp(dir));
    dirfd_held = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    full = false;
    return uv_loop_init(&loop);
}

static int tear_down(void **state)
{
    (void)state;
    while (accepted_count > 0)
        close(accepted[--accepted_count]);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    close(dirfd_held);
    return rmdir(dir); /* fails when a test left something */
}

/* Turns the loop until n connections were taken; false after 5 s. */
static bool take(unsigned n)
{
    uint64_t end = uv_hrtime() + UINT64_C(5000000000);
    while (accepted_count < n && uv_hrtime() < end) {
        uv_run(&loop, UV_RUN_NOWAIT);
        usleep(500);
    }
    return accepted_count >= n;
}

static int dial_unix(const char *name)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/%s", dirfd_held, name);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void test_unix(void **state)
{
    (void)state;
    struct listener *listener;
    struct err err = ERR_INIT;
    struct stat st;
    char path[128];
    assert_int_equal(listen_unix_at(&listener, &options, dirfd_held, "sock", &err), 0);
    snprintf(path, sizeof(path), "%s/sock", dir);
    assert_string_equal(listen_address(listener), path);
    assert_int_equal(fstatat(dirfd_held, "sock", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    int fd = dial_unix("sock");
    assert_true(take(1));
    assert_true(fcntl(accepted[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(accepted[0], F_GETFD) & FD_CLOEXEC);
    close(fd);
    listen_destroy(listener);
    assert_int_equal(fstatat(dirfd_held, "sock", &st, 0), -1);
}

static void test_live_socket_is_left(void **state)
{
    (void)state;
    struct listener *first;
    struct listener *second = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(listen_unix_at(&first, &options, dirfd_held, "sock", &err), 0);
    assert_int_equal(listen_unix_at(&second, &options, dirfd_held, "sock", &err), ERR_LOCKED);
    assert_null(second);
    int fd = dial_unix("sock");
    assert_true(take(2)); /* the second's probe, and ours */
    close(fd);
    listen_destroy(first);
}

static void test_dead_socket_is_replaced(void **state)
{
    (void)state;
    struct listener *listener;
    struct err err = ERR_INIT;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(at.sun_path, sizeof(at.sun_path), "%s/sock", dir);
    int dead = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&at, sizeof(at)), 0);
    close(dead);
    assert_int_equal(listen_expose(&listener, &options, at.sun_path, &err), 0);
    int fd = dial_unix("sock");
    assert_true(take(1));
    close(fd);
    /* What came in its place is not removed. */
    unlinkat(dirfd_held, "sock", 0);
    close(openat(dirfd_held, "sock", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    listen_destroy(listener);
    assert_int_equal(unlinkat(dirfd_held, "sock", 0), 0);
}

static void test_other_files_are_refused(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    struct err err = ERR_INIT;
    char path[128];
    snprintf(path, sizeof(path), "%s/notes", dir);
    close(openat(dirfd_held, "notes", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(listen_expose(&listener, &options, path, &err), ERR_CONFLICT);
    assert_int_equal(unlinkat(dirfd_held, "notes", 0), 0);
    assert_int_equal(symlinkat("elsewhere", dirfd_held, "notes"), 0);
    assert_int_equal(listen_expose(&listener, &options, path, &err), ERR_CONFLICT);
    assert_int_equal(unlinkat(dirfd_held, "notes", 0), 0);
    snprintf(path, sizeof(path), "%s/", dir);
    assert_int_equal(listen_expose(&listener, &options, path, &err), ERR_INVALID);
    assert_null(listener);
}

static void test_long_path(void **state)
{
    (void)state;
    struct listener *listener;
    struct err err = ERR_INIT;
    char name[101];
    char path[400];
    memset(name, 'd', 100);
    name[100] = '\0';
    assert_int_equal(mkdirat(dirfd_held, name, 0700), 0);
    snprintf(path, sizeof(path), "%s/%s/sock", dir, name);
    assert_int_equal(listen_expose(&listener, &options, path, &err), 0);
    assert_string_equal(listen_address(listener), path);
    snprintf(path, sizeof(path), "%s/sock", name);
    int inner = openat(dirfd_held, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    snprintf(to.sun_path, sizeof(to.sun_path), "/proc/self/fd/%d/sock", inner);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_true(take(1));
    close(fd);
    close(inner);
    listen_destroy(listener);
    assert_int_equal(unlinkat(dirfd_held, name, AT_REMOVEDIR), 0);
}

static int dial_tcp(const char *address)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    to.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void test_tcp(void **state)
{
    (void)state;
    const char *forms[] = {":0", "127.0.0.1:0", "localhost:0"};
    for (size_t i = 0; i < 3; i++) {
        struct listener *listener;
        struct err err = ERR_INIT;
        assert_int_equal(listen_expose(&listener, &options, forms[i], &err), 0);
        const char *address = listen_address(listener);
        assert_int_equal(listen_via(listener), HTTP_VIA_TCP);
        assert_int_not_equal(atoi(strrchr(address, ':') + 1), 0);
        if (strncmp(address, "127.", 4) == 0) {
            unsigned before = accepted_count;
            int fd = dial_tcp(address);
            assert_true(take(before + 1));
            close(fd);
        }
        listen_destroy(listener);
    }
}

static void test_refused_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
    } cases[] = {{"0.0.0.0:0", ERR_FORBIDDEN},
                 {"192.0.2.1:80", ERR_FORBIDDEN},
                 {"[::]:0", ERR_FORBIDDEN},
                 {"127.0.0.1", ERR_INVALID},
                 {"127.0.0.1:x", ERR_INVALID},
                 {":65536", ERR_INVALID},
                 {"", ERR_INVALID},
                 {"no host:1", ERR_INVALID}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct listener *listener = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(listen_expose(&listener, &options, cases[i].text, &err), cases[i].code);
        assert_null(listener);
        if (cases[i].code == ERR_FORBIDDEN)
            assert_non_null(strstr(err.text, "tokens"));
    }
}

/* Who exposes knowingly may be reached from anywhere, also by a socket that was handed over. */
static void test_anywhere(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct listen_options anywhere = options;
    struct listener *listener = NULL, *adopted = NULL;
    anywhere.anywhere = true;
    assert_int_equal(listen_expose(&listener, &anywhere, "0.0.0.0:0", &err), 0);
    assert_true(strncmp(listen_address(listener), "0.0.0.0:", 8) == 0);
    listen_destroy(listener);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_in all = {.sin_family = AF_INET};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&all, sizeof(all)), 0);
        assert_int_equal(listen(fd, 1), 0);
        assert_int_equal(listen_fd(&adopted, i ? &anywhere : &options, fd, &err), i ? 0 : ERR_FORBIDDEN);
    }
    listen_destroy(adopted);
}

static void test_adopted(void **state)
{
    (void)state;
    struct listener *listener = NULL;
    struct err err = ERR_INIT;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    int idle = dup(fd);
    assert_int_equal(listen_fd(&listener, &options, idle, &err), ERR_INVALID);
    assert_int_equal(fcntl(idle, F_GETFD), -1);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(listen_fd(&listener, &options, fd, &err), 0);
    int client = dial_tcp(listen_address(listener));
    assert_true(take(1));
    close(client);
    listen_destroy(listener);
}

static void test_full(void **state)
{
    (void)state;
    struct listener *listener;
    struct err err = ERR_INIT;
    assert_int_equal(listen_unix_at(&listener, &options, dirfd_held, "sock", &err), 0);
    full = true;
    int fd = dial_unix("sock");
    for (int i = 0; i < 20; i++)
        uv_run(&loop, UV_RUN_NOWAIT);
    assert_int_equal(accepted_count, 0);
    full = false;
    assert_true(take(1));
    close(fd);
    listen_destroy(listener);
}

/* With no descriptor left the loop sleeps, and takes the waiting client once there is one again. */
static void test_no_descriptors(void **state)
{
    (void)state;
    struct listener *listener;
    struct err err = ERR_INIT;
    struct rlimit limit;
    assert_int_equal(listen_unix_at(&listener, &options, dirfd_held, "sock", &err), 0);
    int fd = dial_unix("sock");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)fd + 1, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    uint64_t end = uv_hrtime() + UINT64_C(500000000);
    unsigned turns = 0;
    for (; uv_hrtime() < end; turns++)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(accepted_count, 0);
    assert_in_range(turns, 1, 30);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(take(1));
    close(fd);
    listen_destroy(listener);
}

static void hear_notice(int fd, const char *text)
{
    char got[512] = "";
    assert_true(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
    assert_string_equal(got, text);
}

static void test_systemd_notify(void **state)
{
    (void)state;
    const char *names[] = {"/notify", "@weir-notify"};
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    assert_int_equal(systemd_notify(SYSTEMD_READY), 0);
    for (int i = 0; i < 2; i++) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        snprintf(at.sun_path, sizeof(at.sun_path), "%s%s-%d", i ? "" : dir, names[i], getpid());
        setenv("NOTIFY_SOCKET", at.sun_path, 1);
        socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(at.sun_path));
        if (i)
            at.sun_path[0] = '\0';
        int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
        assert_int_equal(systemd_notify(SYSTEMD_READY), 0);
        hear_notice(fd, "READY=1");
        assert_int_equal(systemd_status("serving %d\nstores", 3), 0);
        hear_notice(fd, "STATUS=serving 3 stores");
        close(fd);
        if (!i)
            unlink(at.sun_path);
    }
    assert_true(systemd_notify(SYSTEMD_STOPPING) < 0); /* nobody there any more */
    unsetenv("NOTIFY_SOCKET");
}

static void test_systemd_sockets(void **state)
{
    (void)state;
    char pid[32];
    int first = 0;
    assert_int_equal(systemd_sockets(&first), 0);
    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("LISTEN_PID", "1", 1);
    setenv("LISTEN_FDS", "1", 1);
    assert_int_equal(systemd_sockets(&first), 0);
    assert_null(getenv("LISTEN_FDS"));
    setenv("LISTEN_PID", pid, 1);
    setenv("LISTEN_FDS", "1", 1);
    assert_int_equal(systemd_sockets(&first),
                     1); /* descriptor 3 is open: the loop's or the directory's */
    assert_int_equal(first, 3);
    assert_true(fcntl(3, F_GETFD) & FD_CLOEXEC);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_unix),
        CASE(test_live_socket_is_left),
        CASE(test_dead_socket_is_replaced),
        CASE(test_other_files_are_refused),
        CASE(test_long_path),
        CASE(test_tcp),
        CASE(test_refused_addresses),
        CASE(test_anywhere),
        CASE(test_adopted),
        CASE(test_full),
        CASE(test_no_descriptors),
        CASE(test_systemd_notify),
        CASE(test_systemd_sockets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
