/*
 * Trees of processes: whatever a program starts ends with it, with its keeper, with the supervisor
 * and with the daemon.
 */
#include "spawn_fixture.h"

#include "daemon/run/tree.h"

/* A grandchild in the same session, one in a session of its own, and one that is nobody's child any
 * more. */
#define FAMILY                                                                                     \
    "sleep 1000 & setsid sleep 1000 & "                                                            \
    "(setsid sh -c 'trap \"\" TERM; exec </dev/null >/dev/null 2>&1; sleep 1000 & wait' &) "

/* How many the family is, program included: sh, sleep, sleep, sh, sleep. */
#define FAMILY_SIZE 5

static void start_family(struct run *run)
{
    run_shell(run, FAMILY "; echo up; wait; wait");
    wait_line(run, "up");
    wait_until(run->started); /* told on another way than the line */
}

static void test_ends_with_program(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, FAMILY "; read -r line; exit 6");
    wait_until(count_marked(mark) == FAMILY_SIZE);
    run_close_input(&run);
    wait_until(run.ended);
    assert_int_equal(count_marked(mark), 0); /* when `ended` comes, not some time later */
    assert_true(!run.end.signalled && run.end.code == 6);
    run_finish(&run);
}

static void test_stop_obeyed(void **state)
{
    struct run run;
    uint64_t begun;
    (void)state;
    run_shell(&run, FAMILY "; trap 'echo bye; exit 4' TERM; echo up; wait; wait");
    wait_line(&run, "up");
    begun = time_mono_us();
    child_stop(run.child, 60000);
    run_wait(&run);
    assert_true(time_mono_us() - begun < 15000000);
    assert_int_equal(run.end.code, 4);
    assert_non_null(strstr(run_text(&run), "bye"));
    assert_int_equal(count_marked(mark), 0);
    run_finish(&run);
}

/* All of the tree is asked, also what has its own session. */
static void test_stop_reaches_all(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "trap 'wait' TERM; setsid sh -c 'trap \"echo low; exit\" TERM; echo up; "
                    "while :; do sleep 1; done' & wait");
    wait_line(&run, "up");
    child_stop(run.child, 60000);
    run_wait(&run);
    assert_non_null(strstr(run_text(&run), "low"));
    run_finish(&run);
}

static void test_stop_ignored(void **state)
{
    struct run run;
    uint64_t begun;
    (void)state;
    run_shell(&run, "trap '' TERM; " FAMILY "; echo up; while :; do sleep 1; done");
    wait_line(&run, "up");
    begun = time_mono_us();
    child_stop(run.child, 60000);
    child_stop(run.child, 150);
    child_stop(run.child, 90000); /* later: no change */
    wait_until(run.ended);
    assert_true(time_mono_us() - begun >= 150000 && time_mono_us() - begun < 15000000);
    assert_true(run.end.signalled && run.end.code == SIGKILL && !run.end.lost);
    assert_int_equal(count_marked(mark), 0);
    run_finish(&run);
}

static void test_stop_stopped(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "trap 'exit 9' TERM; echo up; kill -STOP $$; echo on");
    wait_line(&run, "up");
    child_stop(run.child, 60000);
    run_wait(&run);
    assert_int_equal(run.end.code, 9);
    run_finish(&run);
}

static void test_stop_at_once(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, FAMILY "; wait");
    child_stop(run.child, 0);
    wait_until(run.ended || run.failed);
    assert_int_equal(count_marked(mark), 0);
    run_finish(&run);
}

/* However early it comes, SIGTERM ends the program: it does not wait for SIGKILL. */
static void test_stop_while_starting(void **state)
{
    (void)state;
    for (uint64_t delay_us = 0; delay_us < 3000; delay_us += 20) {
        struct run run;
        run_shell(&run, "sleep 100");
        for (uint64_t until = time_mono_us() + delay_us; time_mono_us() < until;)
            uv_run(&loop, UV_RUN_NOWAIT);
        child_stop(run.child, 60000);
        wait_until(run.ended);
        assert_true(run.end.signalled && run.end.code == SIGTERM);
        run_finish(&run);
    }
}

/* Loops that start orphans without end: each is gone after a moment, and others have come. */
static void test_fork_storm(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "trap '' TERM; for i in 1 2 3 4 5 6; do "
                    "(while :; do (setsid sleep 0.3 &); done) & done; echo up; wait");
    wait_line(&run, "up");
    wait_until(count_marked(mark) > 20);
    child_stop(run.child, 0);
    wait_until(run.ended);
    assert_int_equal(count_marked(mark), 0);
    run_finish(&run);
}

/* Six levels of two: all exist at once, and all fork until they are stopped. */
static void test_wide_tree(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "grow() { [ $1 -gt 0 ] && { grow $(($1 - 1)) & grow $(($1 - 1)) & }; "
                    "trap '' TERM; while :; do sleep 1; done; }; grow 6");
    wait_until(count_marked(mark) >= 200);
    child_stop(run.child, 10);
    wait_until(run.ended);
    assert_int_equal(count_marked(mark), 0);
    run_finish(&run);
}

static void test_orphans_are_reaped(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "for i in 1 2 3 4 5; do (sh -c 'exit 3' &); done; echo up; read -r line");
    wait_line(&run, "up");
    wait_until(run.started);
    int keeper = parent_of_process(run.pid);
    wait_until(count_children(keeper, false, NULL) == 1);
    run_finish(&run);
    wait_until(run.ended);
}

static void test_forget(void **state)
{
    struct run run;
    (void)state;
    start_family(&run);
    int supervisor = supervisor_of(&run);
    child_forget(run.child);
    wait_until(count_children(supervisor, false, NULL) == 0);
    assert_int_equal(count_marked(mark), 0);
    assert_false(run.ended);
    run_finish(&run);
}

/* The tear-down finds nothing left. */
static void test_destroy(void **state)
{
    struct run runs[5];
    (void)state;
    for (int i = 0; i < 5; i++)
        start_family(&runs[i]);
    for (int i = 0; i < 5; i++)
        run_finish(&runs[i]);
}

/* --- killed from outside
 * --------------------------------------------------------------------------------- */

static void test_keeper_killed(void **state)
{
    struct run run, other;
    (void)state;
    start_family(&run);
    run_shell(&other, "read -r line; exit 3");
    wait_until(other.started);
    assert_int_equal(kill(parent_of_process(run.pid), SIGKILL), 0);
    wait_until(run.ended);
    assert_true(run.end.lost);
    assert_int_equal(count_marked(mark), 1);
    assert_int_equal(count_children(supervisor_of(&other), false, NULL), 1);
    run_close_input(&other);
    wait_until(other.ended);
    assert_int_equal(other.end.code, 3);
    run_finish(&run);
    run_finish(&other);
}

static void test_all_keepers_killed(void **state)
{
    struct run runs[8];
    (void)state;
    for (int i = 0; i < 8; i++)
        start_family(&runs[i]);
    int supervisor = supervisor_of(&runs[0]);
    for (int i = 0; i < 8; i++)
        assert_int_equal(kill(parent_of_process(runs[i].pid), SIGKILL), 0);
    for (int i = 0; i < 8; i++) {
        wait_until(runs[i].ended);
        assert_true(runs[i].end.lost);
        run_finish(&runs[i]);
    }
    assert_int_equal(count_marked(mark), 0);
    wait_until(count_children(supervisor, false, NULL) == 0);
}

static void test_supervisor_killed(void **state)
{
    struct run runs[6], next;
    (void)state;
    for (int i = 0; i < 6; i++)
        start_family(&runs[i]);
    int supervisor = supervisor_of(&runs[0]);
    assert_int_equal(kill(supervisor, SIGKILL), 0);
    run_shell(&next, "exit 2"); /* before the loop has seen it */
    for (int i = 0; i < 6; i++) {
        wait_until(runs[i].ended);
        assert_true(runs[i].end.lost);
        run_finish(&runs[i]);
    }
    wait_until(next.ended || next.failed);
    if (next.failed)
        assert_int_equal(next.err.code, ERR_UNAVAILABLE);
    run_finish(&next);
    run_shell(&next, "read -r line; exit 2");
    wait_until(next.started);
    assert_int_not_equal(supervisor_of(&next), supervisor);
    wait_until(count_marked(mark) == 1);
    run_close_input(&next);
    wait_until(next.ended);
    assert_int_equal(next.end.code, 2);
    wait_until(count_children(getpid(), false, NULL) == 1); /* the dead one is waited for */
    run_finish(&next);
}

/* A supervisor told to end by whoever ends all processes of a service stays for as long as the
 * daemon does. */
static void test_asked_to_end(void **state)
{
    struct run run;
    (void)state;
    run_shell(&run, "read -r line; exit 8");
    wait_until(run.started);
    assert_int_equal(kill(supervisor_of(&run), SIGTERM), 0);
    assert_int_equal(kill(parent_of_process(run.pid), SIGTERM), 0);
    run_close_input(&run);
    wait_until(run.ended);
    assert_int_equal(run.end.code, 8);
    run_finish(&run);
}

#define DAEMON_RUNS 50

/* A process of its own with a runner of its own; says when all runs. */
static int daemon_main(const char *its_mark)
{
    static struct run runs[DAEMON_RUNS];
    bool all = false;
    spawn_set_up(NULL);
    snprintf(mark, sizeof(mark), "%s", its_mark);
    for (int i = 0; i < DAEMON_RUNS; i++)
        run_shell(&runs[i], FAMILY "; echo up; wait; wait");
    for (int i = 0; i < DAEMON_RUNS; i++)
        wait_line(&runs[i], "up");
    all = write(STDOUT_FILENO, "up", 2) == 2;
    for (;;)
        uv_run(&loop, UV_RUN_ONCE);
    return !all;
}

static void test_daemon_killed(void **state)
{
    int pair[2], status;
    char up[2];
    (void)state;
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char variable[80];
        char *argv[] = {(char[]){"daemon"}, (char[]){"--daemon"}, mark, NULL};
        char *envp[] = {variable, NULL};
        snprintf(variable, sizeof(variable), "MARK=%s", mark);
        dup2(pair[1], STDOUT_FILENO);
        execve("/proc/self/exe", argv, envp);
        _exit(1);
    }
    close(pair[1]);
    assert_int_equal(read(pair[0], up, 2), 2);
    close(pair[0]);
    wait_until(count_marked(mark) >= DAEMON_RUNS * (FAMILY_SIZE + 1) + 2);
    uint64_t begun = time_mono_us();
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    wait_until(count_marked(mark) == 0); /* the supervisor and the keepers as well */
    print_message("# gone after %u ms\n", (unsigned)((time_mono_us() - begun) / 1000));
    assert_true(time_mono_us() - begun <
                1900000); /* after two seconds the supervisor kills keepers */
}

/* --- lists
 * ------------------------------------------------------------------------------------------------
 */

static bool in_tree(const struct tree *tree, const struct tree_node *node)
{
    for (size_t i = 0; i < tree->len; i++)
        if (tree->nodes[i].pid == node->pid && tree->nodes[i].parent == node->parent)
            return true;
    return false;
}

static bool spare_one(void *arg, pid_t pid)
{
    return *(int *)arg == pid;
}

static void test_lists(void **state)
{
    struct run run, other;
    struct tree list = {0}, scan = {0};
    (void)state;
    start_family(&run);
    start_family(&other);
    wait_until(count_marked(mark) == 2 * FAMILY_SIZE);
    assert_int_equal(tree_list(&list, getpid(), NULL, NULL), 0);
    assert_int_equal(tree_list_by_scan(&scan, getpid(), NULL, NULL), 0);
    assert_int_equal(list.len, 2 * FAMILY_SIZE + 3);
    assert_int_equal(scan.len, list.len);
    for (size_t i = 0; i < list.len; i++)
        assert_true(in_tree(&scan, &list.nodes[i]));
    int keeper = parent_of_process(run.pid), supervisor = supervisor_of(&run);
    assert_int_equal(tree_list(&list, supervisor, spare_one, &keeper), 0);
    assert_int_equal(list.len, FAMILY_SIZE + 1);
    assert_int_equal(tree_list_by_scan(&scan, supervisor, spare_one, &keeper), 0);
    assert_int_equal(scan.len, FAMILY_SIZE + 1);
    assert_int_equal(tree_list(&list, 0x3fffff, NULL, NULL), 0); /* no such process */
    assert_int_equal(list.len, 0);
    tree_finish(&list);
    tree_finish(&scan);
    run_finish(&run);
    run_finish(&other);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--daemon") == 0)
        return daemon_main(argv[2]);
    spawn_test_main(argc, argv);
    const struct CMUnitTest tests[] = {
        spawn_test(test_ends_with_program),
        spawn_test(test_stop_obeyed),
        spawn_test(test_stop_reaches_all),
        spawn_test(test_stop_ignored),
        spawn_test(test_stop_stopped),
        spawn_test(test_stop_at_once),
        spawn_test(test_stop_while_starting),
        spawn_test(test_fork_storm),
        spawn_test(test_wide_tree),
        spawn_test(test_orphans_are_reaped),
        spawn_test(test_forget),
        spawn_test(test_destroy),
        spawn_test(test_keeper_killed),
        spawn_test(test_all_keepers_killed),
        spawn_test(test_supervisor_killed),
        spawn_test(test_asked_to_end),
        spawn_test(test_daemon_killed),
        spawn_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
