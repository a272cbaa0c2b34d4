/*
 * For tests of programs: a runner on a loop, programs whose output is gathered, and a look at what
 * is left of them. The test program is also the supervisor: its main() calls spawn_test_main()
 * first.
 */
#ifndef TESTS_UNIT_SPAWN_FIXTURE_H
#define TESTS_UNIT_SPAWN_FIXTURE_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/text.h"
#include "daemon/run/spawn.h"

#define DEADLINE_US (20 * 1000000ull)

static uv_loop_t loop;
static struct runner *runner;
static char mark[64]; /* in the environment of every program: MARK=... */

/* One program and what became of it. */
struct run {
    struct child *child; /* NULL after the last call */
    bool started, failed, ended;
    pid_t pid;
    char notes[256];
    struct err err;
    struct child_end end;
    int output, input; /* our ends; -1 = closed */
    struct buf text;
};

static inline void run_started(void *arg, pid_t pid, const char *notes)
{
    struct run *run = arg;
    assert_false(run->started || run->failed || run->ended);
    run->started = true;
    run->pid = pid;
    snprintf(run->notes, sizeof(run->notes), "%s", notes);
}

static inline void run_failed(void *arg, const struct err *err)
{
    struct run *run = arg;
    assert_false(run->started || run->failed || run->ended);
    run->failed = true;
    run->err = *err;
    run->child = NULL;
}

static inline void run_ended(void *arg, const struct child_end *end)
{
    struct run *run = arg;
    assert_true(run->started && !run->ended);
    run->ended = true;
    run->end = *end;
    run->child = NULL;
}

/* Both directions through pipes, the errors to ours. */
static inline int run_start(struct run *run, struct spawn_options options)
{
    static char variable[80], path[] = "PATH=/usr/bin:/bin";
    static char *environment[] = {variable, path, NULL};
    int in[2], out[2];
    struct err err = ERR_INIT;
    snprintf(variable, sizeof(variable), "MARK=%s", mark);
    assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
    *run = (struct run){.output = out[0], .input = in[1], .text = BUF_INIT};
    fcntl(run->output, F_SETFL, O_NONBLOCK);
    options.input = in[0];
    options.output = out[1];
    options.errors = STDERR_FILENO;
    options.envp = options.envp ? options.envp : environment;
    options.directory = options.directory ? options.directory : "/";
    options.started = run_started;
    options.failed = run_failed;
    options.ended = run_ended;
    options.arg = run;
    int rc = runner_spawn(runner, &run->child, &options, &err);
    run->err = err;
    assert_false(run->started || run->failed);
    close(in[0]);
    close(out[1]);
    return rc;
}

/* /bin/sh -c SCRIPT with options. */
static inline void run_shell_with(struct run *run, const char *script, struct spawn_options options)
{
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char *)(uintptr_t)script, NULL};
    options.program = "/bin/sh";
    options.argv = argv;
    assert_int_equal(run_start(run, options), 0);
}

static inline void run_shell(struct run *run, const char *script)
{
    run_shell_with(run, script, (struct spawn_options){0});
}

static inline void run_close_input(struct run *run)
{
    if (run->input >= 0)
        close(run->input);
    run->input = -1;
}

/* Takes in what the program has written. True at its end. */
static inline bool run_read(struct run *run)
{
    char bytes[4096];
    ssize_t n = -1;
    while (run->output >= 0 && (n = read(run->output, bytes, sizeof(bytes))) > 0)
        assert_int_equal(buf_add(&run->text, bytes, (size_t)n), 0);
    if (n == 0) {
        close(run->output);
        run->output = -1;
    }
    return run->output < 0;
}

static inline const char *run_text(struct run *run)
{
    return buf_cstr(&run->text);
}

static inline void run_finish(struct run *run)
{
    run_close_input(run);
    if (run->output >= 0)
        close(run->output);
    buf_finish(&run->text);
}

static inline void wake_up(uv_timer_t *timer)
{
    (void)timer; /* conditions outside of the loop are looked at again */
}

/* Turns the loop until `condition` holds. One that held is not asked for again: it may be true for
 * a moment only. */
#define wait_until(condition)                                                                      \
    do {                                                                                           \
        uv_timer_t *timer_ = malloc(sizeof(*timer_));                                              \
        uint64_t until_ = time_mono_us() + DEADLINE_US;                                            \
        bool held_;                                                                                \
        uv_timer_init(&loop, timer_);                                                              \
        uv_timer_start(timer_, wake_up, 2, 2);                                                     \
        while (!(held_ = (condition)) && time_mono_us() < until_)                                  \
            uv_run(&loop, UV_RUN_ONCE);                                                            \
        uv_close((uv_handle_t *)timer_, (uv_close_cb)(void (*)(void))free);                        \
        uv_run(&loop, UV_RUN_NOWAIT);                                                              \
        if (!held_)                                                                                \
            fail_msg("never: %s", #condition);                                                     \
    } while (0)

#define wait_line(run, line)                                                                       \
    wait_until((run_read(run), strstr(run_text(run), line) != NULL) || (run)->ended ||             \
               (run)->failed)

/* The program's end, with all it wrote. */
static inline void run_wait(struct run *run)
{
    wait_until(run->ended || run->failed);
    wait_until(run_read(run));
}

static inline bool file_holds(const char *path, const char *needle, size_t len)
{
    char bytes[8192];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
    if (fd >= 0)
        close(fd);
    return n > 0 && memmem(bytes, (size_t)n, needle, len) != NULL;
}

/* Processes, zombies not counted, whose environment holds MARK=`text`. */
static inline unsigned count_marked(const char *text)
{
    unsigned count = 0;
    char needle[80], path[300];
    struct dirent *entry;
    size_t len = (size_t)snprintf(needle, sizeof(needle), "MARK=%s", text) + 1;
    DIR *proc = opendir("/proc");
    while ((entry = readdir(proc)) != NULL) {
        snprintf(path, sizeof(path), "/proc/%s/environ", entry->d_name);
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            count += file_holds(path, needle, len);
    }
    closedir(proc);
    return count;
}

/* State and parent from /proc/PID/stat. */
static inline bool read_stat(int pid, char *state, int *parent)
{
    char path[64], text[512];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *after = n > 0 ? strrchr(text, ')') : NULL;
    return after && sscanf(after + 1, " %c %d", state, parent) == 2;
}

/* Children of `parent`, or only its zombies. */
static inline unsigned count_children(int parent, bool zombies, int *one)
{
    unsigned count = 0;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    while ((entry = readdir(proc)) != NULL) {
        char state;
        int its, pid = atoi(entry->d_name);
        if (pid > 0 && read_stat(pid, &state, &its) && its == parent &&
            (!zombies || state == 'Z')) {
            count++;
            if (one)
                *one = pid;
        }
    }
    closedir(proc);
    return count;
}

static inline int parent_of_process(int pid)
{
    char state;
    int parent = 0;
    read_stat(pid, &state, &parent);
    return parent;
}

/* program -> keeper -> supervisor */
static inline int supervisor_of(const struct run *run)
{
    return parent_of_process(parent_of_process(run->pid));
}

static inline int spawn_set_up(void **state)
{
    static unsigned number;
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(mark, sizeof(mark), "%d-%u", (int)getpid(), ++number);
    assert_int_equal(uv_loop_init(&loop), 0);
    return runner_create(&runner, &loop, NULL, NULL);
}

/* Every test leaves nothing behind, whatever it did. */
static inline int spawn_tear_down(void **state)
{
    (void)state;
    runner_destroy(runner);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(count_marked(mark), 0);
    assert_int_equal(count_children(getpid(), false, NULL), 0);
    return 0;
}

#define spawn_test(function)                                                                       \
    cmocka_unit_test_setup_teardown(function, spawn_set_up, spawn_tear_down)

/* The supervisor is this program. */
static inline void spawn_test_main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--supervisor") == 0)
        exit(supervisor_main(atoi(argv[2])));
    alarm(240);
}

#endif
