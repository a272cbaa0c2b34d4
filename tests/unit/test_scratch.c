/* Private directories of runs: made, written to, removed whatever lies in them, swept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "daemon/run/scratch.h"

static char store[64];

static int set_up(void **state)
{
    (void)state;
    snprintf(store, sizeof(store), "/tmp/weir-scratch.XXXXXX");
    return mkdtemp(store) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return scratch_remove(store, NULL);
}

static bool exists(const char *directory, const char *name)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return lstat(path, &st) == 0;
}

static void put(const char *directory, const char *name)
{
    assert_int_equal(scratch_write(directory, name, 0600, span_str("x"), NULL), 0);
}

static char *make(void)
{
    char *path;
    struct err err = ERR_INIT;
    if (scratch_make(&path, store, &err) != 0)
        fail_msg("%s", err.text);
    return path;
}

static void test_make_and_write(void **state)
{
    (void)state;
    struct stat st;
    char text[8] = "", file[128];
    CLEAN_FREE char *one = make();
    CLEAN_FREE char *two = make();
    assert_string_not_equal(one, two);
    assert_int_equal(stat(one, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(scratch_write(one, "program", 0700, span_str("abc"), NULL), 0);
    assert_int_equal(scratch_write(one, "program", 0700, span_str("abc"), NULL), -EEXIST);
    assert_int_equal(scratch_write(one, "empty", 0600, (struct span){0}, NULL), 0);
    snprintf(file, sizeof(file), "%s/program", one);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0700, 0700);
    CLEAN_FD int fd = open(file, O_RDONLY | O_CLOEXEC);
    assert_int_equal(read(fd, text, sizeof(text)), 3);
    assert_string_equal(text, "abc");
    assert_int_equal(scratch_remove(one, NULL), 0);
    assert_int_equal(scratch_remove(one, NULL), 0);
    assert_false(exists(one, "."));
    assert_true(exists(two, "."));
}

/* Directories within each other, each with a file; the innermost is made unreadable. */
static void dig(const char *directory, int depth)
{
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(at, "d", 0700), 0);
        int file = openat(at, "f", O_WRONLY | O_CREAT | O_CLOEXEC, 0);
        int next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(file >= 0 && next >= 0);
        close(file);
        close(at);
        at = next;
    }
    assert_int_equal(fchmod(at, 0), 0);
    close(at);
}

/* What links lead to stays. */
static void test_remove_links(void **state)
{
    (void)state;
    CLEAN_FREE char *path = make();
    CLEAN_FREE char *other = make();
    char link[128];
    put(other, "precious");
    snprintf(link, sizeof(link), "%s/to-directory", path);
    assert_int_equal(symlink(other, link), 0);
    snprintf(link, sizeof(link), "%s/to-nothing", path);
    assert_int_equal(symlink("/nonexistent", link), 0);
    snprintf(link, sizeof(link), "%s/fifo", path);
    assert_int_equal(mkfifo(link, 0600), 0);
    assert_int_equal(scratch_remove(path, NULL), 0);
    assert_true(exists(other, "precious"));
    snprintf(link, sizeof(link), "%s/run/link", store);
    assert_int_equal(symlink(other, link), 0);
    assert_int_equal(scratch_remove(link, NULL), 0);
    assert_true(exists(other, "precious"));
}

static void test_sweep(void **state)
{
    (void)state;
    char run[128];
    assert_int_equal(scratch_sweep(store, NULL), 0); /* no run at all */
    CLEAN_FREE char *one = make();
    CLEAN_FREE char *two = make();
    dig(two, 3);
    snprintf(run, sizeof(run), "%s/run", store);
    put(run, "03d4q1qhbiv09ovtuhokw5yxv");
    put(run, "evaluation");
    assert_int_equal(scratch_sweep(store, NULL), 0);
    assert_false(exists(one, ".") || exists(two, "."));
    assert_true(exists(run, "03d4q1qhbiv09ovtuhokw5yxv") && exists(run, "evaluation"));
}

static void test_discard(void **state)
{
    (void)state;
    uv_loop_t loop;
    char *path = make();
    CLEAN_FREE char *copy = strdup(path);
    dig(path, 2);
    assert_int_equal(uv_loop_init(&loop), 0);
    scratch_discard(&loop, path);
    scratch_discard(&loop, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_false(exists(copy, "."));
}

static void test_no_store(void **state)
{
    (void)state;
    char *path = NULL;
    struct err err = ERR_INIT;
    assert_int_equal(scratch_make(&path, "/nonexistent/store", &err), -ENOENT);
    assert_null(path);
    assert_non_null(strstr(err.text, "/nonexistent/store/run"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_make_and_write), CASE(test_remove_links), CASE(test_sweep),
        CASE(test_discard),        CASE(test_no_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
