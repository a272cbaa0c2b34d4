/* What is removed from the disk, and what is not: trees of any depth and any permissions, stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/purge.h"

#define NOBODY 65534
#define CANNOT 77 /* a child's exit status: the system does not let us try */

static char top[64];
static int at;

static int set_up(void **state)
{
    (void)state;
    snprintf(top, sizeof(top), "/tmp/weir-purge.XXXXXX");
    if (!mkdtemp(top))
        return -1;
    at = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return at < 0;
}

static int tear_down(void **state)
{
    char command[256];
    (void)state;
    close(at);
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", top, top);
    return system(command);
}

/* Runs a shell's line in the directory. */
static void sh(const char *line)
{
    char command[512];
    snprintf(command, sizeof(command), "cd %s && { %s\n}", top, line);
    assert_int_equal(system(command), 0);
}

static bool exists(const char *name)
{
    struct stat st;
    return fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What `work` says in a process of its own. */
static int in_child(int (*work)(void))
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(work());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* --- trees ------------------------------------------------------------------------------------ */

static void a_tree_goes(void **state)
{
    (void)state;
    sh("mkdir -p t/a/b t/c; echo x >t/f; echo x >t/a/b/f; mkfifo t/fifo; touch file");
    assert_int_equal(purge_tree(at, "t"), 0);
    assert_false(exists("t"));
    assert_int_equal(purge_tree(at, "t"), 0);
    assert_int_equal(purge_tree(at, "no/such/place"), 0);
    assert_int_equal(purge_tree(at, "file"), 0);
    assert_false(exists("file"));
}

static void links_are_not_followed(void **state)
{
    (void)state;
    sh("mkdir -p kept t/a; touch kept/file; ln -s ../kept t/out; ln -s ../../kept t/a/out; ln -s nothing t/x; ln -s kept link");
    assert_int_equal(purge_tree(at, "t"), 0);
    assert_int_equal(purge_tree(at, "link"), 0);
    assert_false(exists("t") || exists("link"));
    assert_true(exists("kept/file"));
}

/* Directories within each other, each with a file. */
static void dig(const char *name, int depth)
{
    assert_int_equal(mkdirat(at, name, 0700), 0);
    int in = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(in, "d", 0700), 0);
        int file = openat(in, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0);
        int next = openat(in, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(file >= 0 && next >= 0);
        close(file);
        close(in);
        in = next;
    }
    close(in);
}

static int remove_with_few_descriptors(void)
{
    const struct rlimit few = {.rlim_cur = 80, .rlim_max = 80};
    return setrlimit(RLIMIT_NOFILE, &few) == 0 ? -purge_tree(at, "deep") : CANNOT;
}

static void depth_costs_no_descriptors(void **state)
{
    (void)state;
    dig("deep", 400);
    sh("mkdir deep/.deep.0; touch deep/.deep.0/f deep/.deep.1"); /* names that it would like */
    assert_int_equal(in_child(remove_with_few_descriptors), 0);
    assert_false(exists("deep"));
}

/* Permissions mean nothing to root. */
static int remove_as_nobody(void)
{
    if (geteuid() == 0 && (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
        return CANNOT;
    return -purge_tree(AT_FDCWD, top);
}

static void own_directories_are_made_writable(void **state)
{
    (void)state;
    sh("mkdir -p a/b c d; touch a/b/f c/f d/f; chmod 0 a/b; chmod 500 c; chmod 300 d; chmod 0 a");
    if (geteuid() == 0)
        sh("find . -exec chown -h 65534:65534 {} +");
    int status = in_child(remove_as_nobody); /* but for the directory itself: /tmp is sticky and it is nobody's */
    if (status == CANNOT)
        skip();
    assert_int_equal(status, 0);
    assert_false(exists("a") || exists("c") || exists("d"));
    assert_int_equal(mkdir(top, 0700), 0); /* for tear_down */
}

static void what_cannot_go_does_not_keep_the_rest(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    sh("mkdir -p mine other/deep; touch mine/f other/deep/f; chmod 755 other other/deep; chown 65534:65534 . mine mine/f");
    assert_int_not_equal(in_child(remove_as_nobody), 0);
    assert_false(exists("mine"));
    assert_true(exists("other/deep/f"));
}

static int remove_with_a_mount(void)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/t/m", top); /* not by `at`, which is of the other name space */
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("none", path, "tmpfs", 0, NULL) < 0)
        return CANNOT;
    strcat(path, "/precious");
    close(creat(path, 0600));
    int rc = chdir(top) < 0 ? -errno : purge_tree(AT_FDCWD, "t");
    return rc == -EXDEV && access(path, F_OK) == 0 && !exists("t/f") ? 0 : 1;
}

static void another_file_system_is_not_entered(void **state)
{
    (void)state;
    sh("mkdir -p t/m; touch t/f");
    int status = in_child(remove_with_a_mount);
    if (status == CANNOT)
        skip();
    assert_int_equal(status, 0);
}

/* --- stores ----------------------------------------------------------------------------------- */

static int purge(const char *name, struct err *err)
{
    char path[128];
    *err = ERR_INIT;
    snprintf(path, sizeof(path), "%s/%s", top, name);
    return purge_store(path, err);
}

static void make_store(void)
{
    sh("mkdir -p s/journal s/index s/cas/tmp s/run/x; "
       "touch s/format s/lock s/log s/reserve s/journal/1 s/run/x/program");
}

static void a_store_goes_and_others_files_stay(void **state)
{
    (void)state;
    struct err err;
    make_store();
    assert_int_equal(purge("s", &err), 0);
    assert_false(exists("s"));
    assert_int_equal(purge("s", &err), 0);
    make_store();
    sh("mkdir s/mine; touch s/mine/f s/notes");
    assert_int_equal(purge("s", &err), 0);
    assert_true(exists("s/mine/f") && exists("s/notes"));
    assert_false(exists("s/format") || exists("s/journal") || exists("s/run") || exists("s/lock"));
}

static void what_is_no_store_is_refused(void **state)
{
    (void)state;
    struct err err;
    sh("mkdir -p s/journal s/log; touch s/journal/precious file");
    assert_int_equal(purge("s", &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "nothing was removed"));
    assert_true(exists("s/journal/precious") && exists("s/log"));
    assert_int_equal(purge("file", &err), -ENOTDIR);
    assert_true(exists("file"));
}

static void links_to_stores_and_in_them_lead_nowhere(void **state)
{
    (void)state;
    struct err err;
    make_store();
    sh("ln -s s link; mkdir big; touch big/precious; rm -r s/cas; ln -s ../big s/cas");
    assert_true(purge("link", &err) < 0);
    assert_true(exists("s/format") && exists("s/journal/1") && exists("link"));
    assert_int_equal(purge("s", &err), 0);
    assert_false(exists("s"));
    assert_true(exists("big/precious"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_tree_goes),
        CASE(links_are_not_followed),
        CASE(depth_costs_no_descriptors),
        CASE(own_directories_are_made_writable),
        CASE(what_cannot_go_does_not_keep_the_rest),
        CASE(another_file_system_is_not_entered),
        CASE(a_store_goes_and_others_files_stay),
        CASE(what_is_no_store_is_refused),
        CASE(links_to_stores_and_in_them_lead_nowhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
