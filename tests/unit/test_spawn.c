/*
 * Programs: how they start, what they find, what is said of their end, and of those that cannot
 * start.
 */
#include "spawn_fixture.h"

#include <sys/resource.h>

static char directory[64];

static const char *in_directory(const char *name)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(in_directory(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(in_directory(name), mode), 0);
}

static int make_directory(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/weir-spawn.XXXXXX");
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", directory);
    return system(command);
}

static void test_exit_code(void **state)
{
    struct run a, b, c;
    (void)state;
    run_shell(&a, "exit 0");
    run_shell(&b, "exit 7");
    run_shell(&c, "kill -USR1 $$");
    run_wait(&a);
    run_wait(&b);
    run_wait(&c);
    assert_true(a.started && !a.end.signalled && !a.end.lost && a.end.code == 0);
    assert_true(!b.end.signalled && b.end.code == 7);
    assert_true(c.end.signalled && c.end.code == SIGUSR1);
    assert_string_equal(a.notes, "");
    run_finish(&a);
    run_finish(&b);
    run_finish(&c);
}

static void test_streams(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "while read -r line; do echo \"got $line\"; done; echo end");
    assert_int_equal(write(run.input, "one\ntwo\n", 8), 8);
    wait_line(&run, "got two\n");
    assert_false(run.ended);
    run_close_input(&run);
    run_wait(&run);
    assert_string_equal(run_text(&run), "got one\ngot two\nend\n");
    run_finish(&run);
}

/* The output ends with the program, not with its keeper. */
static void test_output_closed(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "exec >&-; read -r line");
    wait_until(run_read(&run));
    assert_false(run.ended);
    run_finish(&run);
    wait_until(run.ended);
    assert_int_equal(run.end.code, 1);
}

static void test_arguments_and_environment(void **state)
{
    struct run run;
    char *argv[] = {(char[]){"sh"},
                    (char[]){"-c"},
                    (char[]){"printf '[%s]' \"$0\" \"$@\"; exec env"},
                    (char[]){"a b"},
                    (char[]){""},
                    (char[]){"\xff*"},
                    NULL};
    char *envp[] = {(char[]){"ONE=1"}, (char[]){"TWO=a\nb"}, (char[]){"PATH=/usr/bin:/bin"}, NULL};
    (void)state;
    assert_int_equal(
        run_start(&run, (struct spawn_options){.program = "/bin/sh", .argv = argv, .envp = envp}),
        0);
    run_wait(&run);
    assert_non_null(strstr(run_text(&run), "[a b][][\xff*]"));
    assert_non_null(strstr(run_text(&run), "ONE=1\n"));
    assert_non_null(strstr(run_text(&run), "TWO=a\nb\n"));
    assert_null(strstr(run_text(&run), "HOME="));
    assert_null(strstr(run_text(&run), "ASAN"));
    run_finish(&run);
}

static void test_empty_environment(void **state)
{
    struct run run;
    char *argv[] = {(char[]){"env"}, NULL}, *envp[] = {NULL};
    (void)state;
    assert_int_equal(
        run_start(&run,
                  (struct spawn_options){.program = "/usr/bin/env", .argv = argv, .envp = envp}),
        0);
    run_wait(&run);
    assert_int_equal(run.end.code, 0);
    assert_string_equal(run_text(&run), "");
    run_finish(&run);
}

/* A descriptor of ours without close-on-exec stands for what a library may have left open. */
static void test_nothing_leaks(void **state)
{
    struct run run;
    int stray = dup(STDERR_FILENO);
    (void)state;
    run_shell_with(
        &run,
        "ls /proc/self/fd | tr '\\n' ' '; echo; grep -E 'Sig(Blk|Ign)' /proc/self/status;"
        " umask; pwd; ulimit -n; cut -d ' ' -f 6,7 /proc/$$/stat; echo $$",
        (struct spawn_options){.directory = "/usr"});
    run_wait(&run);
    const char *text = run_text(&run);
    char session[64];
    snprintf(session, sizeof(session), "\n%d 0\n%d\n", (int)run.pid, (int)run.pid);
    assert_memory_equal(text, "0 1 2 3 \n", 9); /* 3: the directory that is listed */
    assert_non_null(strstr(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"));
    assert_non_null(strstr(text, "0077\n/usr\n1024\n"));
    assert_non_null(strstr(text, session)); /* its own session, no terminal */
    close(stray);
    run_finish(&run);
}

static void test_descriptor_limit(void **state)
{
    struct run run;
    (void)state;
    runner_set_descriptors(333);
    run_shell(&run, "ulimit -n");
    runner_set_descriptors(0);
    run_wait(&run);
    assert_string_equal(run_text(&run), "333\n");
    run_finish(&run);
}

/* The call's descriptors may be 0 to 2 in any order, or all the same. */
static void test_same_descriptor(void **state)
{
    struct run run = {0};
    int pair[2];
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"}, (char[]){"echo a; echo b >&2; echo c >&0"},
                    NULL};
    char *envp[] = {NULL};
    char text[16];
    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    struct spawn_options options = {.program = "/bin/sh",
                                    .argv = argv,
                                    .envp = envp,
                                    .directory = "/",
                                    .input = pair[1],
                                    .output = pair[1],
                                    .errors = pair[1],
                                    .started = run_started,
                                    .failed = run_failed,
                                    .ended = run_ended,
                                    .arg = &run};
    assert_int_equal(runner_spawn(runner, &run.child, &options, NULL), 0);
    close(pair[1]);
    wait_until(run.ended);
    assert_int_equal(read(pair[0], text, sizeof(text)), 6);
    assert_memory_equal(text, "a\nb\nc\n", 6);
    assert_int_equal(read(pair[0], text, sizeof(text)), 0);
    close(pair[0]);
}

/* More than a socket's buffer, many at once: nothing is mixed up. */
static void test_large_environment(void **state)
{
    enum { COUNT = 12, SIZE = 100 * 1000 };
    static struct run runs[COUNT];
    char *big = malloc(SIZE + 8), *bigger = malloc(SIZE + 8), number[16];
    (void)state;
    memset(big, 'x', SIZE);
    memcpy(big, "BIG=", 4);
    big[SIZE] = '\0';
    memcpy(bigger, big, SIZE + 1);
    memcpy(bigger, "SEC=", 4);
    for (int i = 0; i < COUNT; i++) {
        char *envp[] = {big, number, bigger, NULL};
        snprintf(number, sizeof(number), "N=%d", i);
        run_shell_with(&runs[i], "echo $N ${#BIG} ${#SEC}", (struct spawn_options){.envp = envp});
    }
    for (int i = 0; i < COUNT; i++) {
        char expected[64];
        run_wait(&runs[i]);
        snprintf(expected, sizeof(expected), "%d %d %d\n", i, SIZE - 4, SIZE - 4);
        assert_string_equal(run_text(&runs[i]), expected);
        run_finish(&runs[i]);
    }
    free(big);
    free(bigger);
}

static void test_too_large(void **state)
{
    struct run run;
    char *big = malloc(200 * 1024), *argv[] = {(char[]){"true"}, NULL};
    char *many[20] = {NULL}, *one[] = {big, NULL};
    (void)state;
    memset(big, 'x', 200 * 1024);
    memcpy(big, "META=", 5);
    big[140 * 1024] = '\0';
    struct spawn_options options = {.program = "/bin/true", .argv = argv, .envp = one};
    assert_int_equal(run_start(&run, options), ERR_TOO_LARGE);
    assert_memory_equal(run.err.text, "META: 143360 bytes;", 19);
    run_finish(&run);
    big[100 * 1024] = '\0';
    for (int i = 0; i < 11; i++)
        many[i] = big;
    options.envp = many;
    assert_int_equal(run_start(&run, options), ERR_TOO_LARGE);
    assert_non_null(strstr(run.err.text, "environment"));
    run_finish(&run);
    free(big);
}

static void expect_failure(const char *program, const char *where, int code, const char *text)
{
    struct run run;
    char *argv[] = {(char[]){"x"}, NULL};
    struct spawn_options options = {.program = program, .argv = argv, .directory = where};
    assert_int_equal(run_start(&run, options), 0);
    run_wait(&run);
    assert_true(run.failed && !run.started);
    assert_int_equal(run.err.code, code);
    if (!strstr(run.err.text, text))
        fail_msg("'%s' is not in '%s'", text, run.err.text);
    run_finish(&run);
}

static void test_failures(void **state)
{
    (void)state;
    write_file("plain", "#!/bin/sh\n", 0644);
    write_file("lost", "#! /no/such/interpreter -x\n", 0755);
    write_file("rubbish", "\1\2\3\4 nothing\n", 0755);
    expect_failure("/no/such/program", NULL, -ENOENT, "exec /no/such/program: No such file");
    expect_failure(in_directory("plain"), NULL, -EACCES, "plain: it is not executable");
    expect_failure(in_directory("lost"), NULL, -ENOENT,
                   "lost: its interpreter /no/such/interpreter is not there");
    expect_failure(in_directory("rubbish"), NULL, -ENOEXEC, "neither a script with #! nor");
    expect_failure("/bin/true", "/no/such/directory", -ENOENT, "enter /no/such/directory: No such");
    expect_failure(directory, NULL, -EACCES, "Permission denied");
}

static void test_signal(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "trap 'echo caught; exit 3' USR1; echo ready; while :; do read -r x; done");
    wait_line(&run, "ready");
    child_signal(run.child, SIGUSR1);
    run_close_input(&run);
    run_wait(&run);
    assert_string_equal(run_text(&run), "ready\ncaught\n");
    assert_int_equal(run.end.code, 3);
    run_finish(&run);
}

/* A supervisor without room for descriptors refuses, and goes on when it has room again. */
static void test_no_descriptors(void **state)
{
    struct run first, run;
    struct rlimit limit, low;
    (void)state;
    run_shell(&first, "read -r line");
    wait_until(first.started);
    assert_int_equal(prlimit(supervisor_of(&first), RLIMIT_NOFILE, NULL, &limit), 0);
    low = limit;
    low.rlim_cur = 6; /* 0 to 4 are in use */
    assert_int_equal(prlimit(supervisor_of(&first), RLIMIT_NOFILE, &low, NULL), 0);
    run_shell(&run, "exit 0");
    run_wait(&run);
    assert_true(run.failed);
    assert_int_equal(run.err.code, -EMFILE);
    run_finish(&run);
    assert_int_equal(prlimit(supervisor_of(&first), RLIMIT_NOFILE, &limit, NULL), 0);
    run_shell(&run, "exit 4");
    run_wait(&run);
    assert_int_equal(run.end.code, 4);
    run_finish(&run);
    run_finish(&first);
    wait_until(first.ended);
}

static struct run *respawned;

static void respawn(void *arg, const struct child_end *end)
{
    run_ended(arg, end);
    run_shell(respawned, "exit 5");
}

/* A callback may start programs; within the last call the handle is dead. */
static void test_spawn_from_callback(void **state)
{
    struct run first = {.output = -1, .input = -1}, second = {0};
    char *argv[] = {(char[]){"true"}, NULL};
    struct spawn_options options = {.program = "/bin/true",
                                    .argv = argv,
                                    .envp = argv + 1,
                                    .directory = "/",
                                    .started = run_started,
                                    .failed = run_failed,
                                    .ended = respawn,
                                    .arg = &first};
    (void)state;
    respawned = &second;
    options.input = options.output = options.errors = STDERR_FILENO;
    assert_int_equal(runner_spawn(runner, &first.child, &options, NULL), 0);
    wait_until(second.ended);
    assert_int_equal(second.end.code, 5);
    run_finish(&second);
}

static void test_many(void **state)
{
    enum { COUNT = 400 };
    static struct run runs[COUNT];
    unsigned ended = 0;
    (void)state;
    for (int i = 0; i < COUNT; i++)
        run_shell(&runs[i], "read -r n; exit $n");
    wait_until(runs[COUNT - 1].started);
    int supervisor = supervisor_of(&runs[COUNT - 1]);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(dprintf(runs[i].input, "%d\n", i % 256) > 0, 1);
    for (int i = 0; i < COUNT; i++) {
        wait_until(runs[i].ended);
        ended += !runs[i].end.signalled && runs[i].end.code == i % 256;
        run_finish(&runs[i]);
    }
    assert_int_equal(ended, COUNT);
    wait_until(count_children(supervisor, false, NULL) == 0); /* no zombies either */
}

int main(int argc, char **argv)
{
    spawn_test_main(argc, argv);
    const struct CMUnitTest tests[] = {
        spawn_test(test_exit_code),
        spawn_test(test_streams),
        spawn_test(test_output_closed),
        spawn_test(test_arguments_and_environment),
        spawn_test(test_empty_environment),
        spawn_test(test_nothing_leaks),
        spawn_test(test_descriptor_limit),
        spawn_test(test_same_descriptor),
        spawn_test(test_large_environment),
        spawn_test(test_too_large),
        spawn_test(test_failures),
        spawn_test(test_signal),
        spawn_test(test_no_descriptors),
        spawn_test(test_spawn_from_callback),
        spawn_test(test_many),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
