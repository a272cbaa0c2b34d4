/*
 * Limits and confinement of programs: what is given holds for the tree, what is not is said.
 */
#include "spawn_fixture.h"

#include <sys/syscall.h>

#include "daemon/run/cgroup.h"
#include "daemon/run/confine.h"

static char directory[64]; /* the program's */
static char outside[64];

static const struct spawn_options in_directory = {.directory = directory};

static int make_directories(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/weir-confine.XXXXXX");
    strcpy(outside, "/tmp/weir-outside.XXXXXX");
    return mkdtemp(directory) && mkdtemp(outside) ? 0 : -1;
}

static int remove_directories(void **state)
{
    char command[160];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s %s", directory, outside);
    return system(command);
}

/* Runs a script to its end; its output is in `run`. */
static void run_script(struct run *run, const char *script, struct spawn_options options)
{
    char text[1024];
    snprintf(text, sizeof(text), "OUT=%s; %s", outside, script);
    run_shell_with(run, text, options);
    run_wait(run);
    assert_true(run->ended);
}

static struct spawn_options confined(void)
{
    struct spawn_options options = in_directory;
    options.confine = true;
    return options;
}

static void skip_without(bool there, const char *what)
{
    if (there)
        return;
    print_message("# SKIP this kernel has no %s\n", what);
    skip();
}

/* --- confinement
 * ------------------------------------------------------------------------------------------- */

static void test_writes(void **state)
{
    struct run run;
    (void)state;
    skip_without(confine_probe().landlock > 0, "landlock");
    char path[128];
    snprintf(path, sizeof(path), "%s/there", outside);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    run_script(
        &run,
        "echo a > in && mkdir d && mv in d/x && cat d/x && rm -r d && ln -s x y && rm y && echo "
        "inside;"
        "echo a > $OUT/f || echo 1; mkdir $OUT/d || echo 2; (setsid sh -c \"echo a > $OUT/g\") || "
        "echo 3;"
        "ln -s x $OUT/l || echo 4; mv $OUT/there . || echo 5; test -r /etc/passwd && echo read;"
        "echo x > /dev/null && echo null; echo x > /dev/stdout",
        confined());
    assert_string_equal(run.notes, "");
    assert_string_equal(run_text(&run), "a\ninside\n1\n2\n3\n4\n5\nread\nnull\nx\n");
    run_finish(&run);
}

static void test_truncate(void **state)
{
    struct run run;
    char path[128];
    struct stat st;
    (void)state;
    skip_without(confine_probe().landlock >= 3, "landlock of version 3");
    snprintf(path, sizeof(path), "%s/full", outside);
    FILE *file = fopen(path, "w");
    fputs("text", file);
    fclose(file);
    run_script(
        &run,
        "python3 -c 'import os, sys; os.truncate(sys.argv[1], 0)' $OUT/full 2>/dev/null; echo $?",
        confined());
    assert_string_equal(run_text(&run), "1\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 4);
    run_finish(&run);
}

/* Not even its keeper, which is of the same user. */
static void test_signals(void **state)
{
    struct run run;
    (void)state;
    skip_without(confine_probe().landlock >= 6, "landlock of version 6");
    run_script(&run, "kill -9 $PPID || echo held; sleep 1000 & kill $! && echo own", confined());
    assert_string_equal(run_text(&run), "held\nown\n");
    assert_false(run.end.lost);
    run_finish(&run);
}

/* Each call on its own line; numbers come from outside. */
static const char calls[] =
    "import ctypes, os, errno, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    "keyctl, io_uring_setup = int(sys.argv[1]), int(sys.argv[2])\n"
    "def say(name, ok):\n"
    "    print(name, 'ok' if ok else errno.errorcode.get(ctypes.get_errno(), '?'))\n"
    "for family in (1, 2, 10, 16):\n"
    "    say('socket', libc.socket(family, 2, 0) >= 0)\n"
    "pair = (ctypes.c_int * 2)()\n"
    "say('socketpair', libc.socketpair(1, 1, 0, pair) == 0)\n"
    "say('unshare', libc.unshare(0x10000000) == 0)\n"
    "say('ptrace', libc.ptrace(0x4206, os.getppid(), 0, 0) == 0)\n"
    "say('keyctl', libc.syscall(keyctl, 0, 0, 0, 0, 0) >= 0)\n"
    "say('io_uring', libc.syscall(io_uring_setup, 4, ctypes.create_string_buffer(120)) >= 0)\n";

static void test_calls(void **state)
{
    struct run run;
    char path[128], script[64];
    (void)state;
    skip_without(confine_probe().seccomp, "seccomp");
    snprintf(path, sizeof(path), "%s/calls.py", directory);
    snprintf(script, sizeof(script), "python3 calls.py %d 425", (int)SYS_keyctl);
    FILE *file = fopen(path, "w");
    fputs(calls, file);
    fclose(file);
    run_script(&run, script, in_directory);
    assert_memory_equal(run_text(&run), "socket ok\nsocket ok\n", 20);
    assert_non_null(strstr(run_text(&run), "socketpair ok\n"));
    run_finish(&run);
    run_script(&run, script, confined());
    assert_string_equal(run_text(&run),
                        "socket EPERM\nsocket EPERM\nsocket EPERM\nsocket EPERM\nsocketpair EPERM\n"
                        "unshare EPERM\nptrace EPERM\nkeyctl EPERM\nio_uring EPERM\n");
    run_finish(&run);
}

/* Namespaces by clone(2), whose flags the filter looks at; a plain fork goes through the same call.
 */
static void test_clone(void **state)
{
    struct run run;
    char script[320];
    (void)state;
    skip_without(confine_probe().seccomp, "seccomp");
    snprintf(script, sizeof(script),
             "python3 -c 'import ctypes, os\n"
             "libc = ctypes.CDLL(None, use_errno=True)\n"
             "def clone(flags):\n"
             "    pid = libc.syscall(%d, flags | 17, 0, 0, 0, 0)\n"
             "    if pid == 0: os._exit(0)\n"
             "    return pid > 0\n"
             "print(clone(0), clone(0x10000000), clone(0x40000000))'",
             (int)SYS_clone);
    run_script(&run, script, confined());
    assert_string_equal(run_text(&run), "True False False\n");
    run_finish(&run);
}

/* What programs need goes on: threads (clone3 is refused in a way that the C library knows),
 * processes, pipes. */
static void test_ordinary_work(void **state)
{
    struct run run;
    (void)state;
    run_script(
        &run,
        "python3 -c 'import threading, subprocess\n"
        "t = threading.Thread(target=lambda: print(\"thread\", flush=True)); t.start(); t.join()\n"
        "print(subprocess.run([\"echo\", \"x\"], stdout=-1).stdout)'; grep NoNewPrivs "
        "/proc/self/status",
        confined());
    assert_string_equal(run_text(&run), "thread\nb'x\\n'\nNoNewPrivs:\t1\n");
    run_finish(&run);
}

/* --- limits
 * --------------------------------------------------------------------------------------------------
 */

static unsigned groups_left(void)
{
    static struct cgroup_places places;
    unsigned count = 0;
    cgroup_find(&places);
    for (int kind = 0; kind < CGROUP_KINDS; kind++) {
        struct dirent *entry;
        DIR *dir = places.path[kind][0] ? opendir(places.path[kind]) : NULL;
        while (dir && (entry = readdir(dir)) != NULL)
            count +=
                strncmp(entry->d_name, "weir-", 5) == 0 && strcmp(entry->d_name, "weir-self") != 0;
        if (dir)
            closedir(dir);
    }
    return count;
}

static void test_memory(void **state)
{
    struct run run;
    struct spawn_options options = in_directory;
    (void)state;
    options.limits.memory = 48 * 1024 * 1024;
    run_script(&run,
               "python3 -c 'x = bytearray(8 << 20); print(\"fits\", flush=True)\n"
               "y = bytearray(200 << 20)\nprint(\"too much\")'; echo $?",
               options);
    assert_non_null(strstr(run_text(&run), "fits\n"));
    assert_null(strstr(run_text(&run), "too much"));
    if (run.notes[0])
        assert_string_equal(run.notes, "memory limit by address space of each process only");
    run_finish(&run);
    wait_until(groups_left() == 0);
}

/* None of them alone is over the limit. */
static void test_memory_of_tree(void **state)
{
    struct run run;
    struct spawn_options options = in_directory;
    (void)state;
    options.limits.memory = 64 * 1024 * 1024;
    run_script(&run,
               "for i in 1 2 3 4; do python3 -c 'x = bytearray(30 << 20)\n"
               "import time; time.sleep(0.4); print(\"fits\")' & done; wait",
               options);
    if (!run.notes[0]) /* a group counts them together */
        assert_string_not_equal(run_text(&run), "fits\nfits\nfits\nfits\n");
    run_finish(&run);
    wait_until(groups_left() == 0);
}

static void test_cpu(void **state)
{
    struct run run;
    struct spawn_options options = in_directory;
    (void)state;
    options.limits.cpu_s = 1;
    run_script(&run, "while :; do :; done", options);
    assert_true(run.end.signalled);
    assert_int_equal(run.end.code, SIGXCPU);
    assert_string_equal(run.notes, "");
    run_finish(&run);
}

static void test_processes(void **state)
{
    struct run run;
    struct spawn_options options = in_directory;
    (void)state;
    options.limits.processes = 10;
    run_script(&run, "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do sleep 1000 & done; echo all",
               options);
    if (!run.notes[0] || strstr(run.notes, "counts all of this user")) {
        assert_null(strstr(run_text(&run), "all")); /* sh ends when it cannot fork */
        assert_int_equal(run.end.code, 2);
    }
    run_finish(&run);
    wait_until(groups_left() == 0);
}

/* The groups of a killed keeper go as well. */
static void test_groups_of_the_killed(void **state)
{
    struct run run;
    struct spawn_options options = in_directory;
    (void)state;
    options.limits.memory = 64 * 1024 * 1024;
    options.limits.processes = 20;
    run_shell_with(&run, "sleep 1000 & wait", options);
    wait_until(run.started);
    kill(parent_of_process(run.pid), SIGKILL);
    wait_until(run.ended);
    assert_true(run.end.lost);
    run_finish(&run);
    wait_until(groups_left() == 0);
}

/* All at once, also that joining groups comes before the ban on writing to them. */
static void test_everything(void **state)
{
    struct run run;
    struct spawn_options options = confined();
    (void)state;
    options.limits = (struct spawn_limits){.memory = 1 << 28, .cpu_s = 5, .processes = 50};
    run_script(&run, "echo works; ulimit -t", options);
    assert_string_equal(run_text(&run), "works\n5\n");
    run_finish(&run);
    wait_until(groups_left() == 0);
}

/* As another user: no control groups, so the limits of processes stand in, and are said to. */
static void test_without_groups(void **state)
{
    struct run run;
    struct spawn_options options = in_directory;
    (void)state;
    if (geteuid() != 0 || chmod(directory, 0777) != 0 || seteuid(65534) != 0) {
        print_message("# SKIP only root can become another user\n");
        skip();
    }
    options.limits = (struct spawn_limits){.memory = 1 << 30, .processes = 50};
    run_script(&run, "ulimit -v", options);
    assert_int_equal(seteuid(0), 0);
    assert_non_null(strstr(run.notes, "memory limit by address space of each process only"));
    assert_string_equal(run_text(&run), "1048576\n");
    run_finish(&run);
}

int main(int argc, char **argv)
{
    spawn_test_main(argc, argv);
    const struct CMUnitTest tests[] = {
        spawn_test(test_writes),
        spawn_test(test_truncate),
        spawn_test(test_signals),
        spawn_test(test_calls),
        spawn_test(test_clone),
        spawn_test(test_ordinary_work),
        spawn_test(test_memory),
        spawn_test(test_memory_of_tree),
        spawn_test(test_cpu),
        spawn_test(test_processes),
        spawn_test(test_groups_of_the_killed),
        spawn_test(test_everything),
        spawn_test(test_without_groups),
    };
    return cmocka_run_group_tests(tests, make_directories, remove_directories);
}
