#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/run/run_dir.h"

struct place {
    char path[64];
    int fd;
};

static int setup(void **state)
{
    struct place *place = calloc(1, sizeof(*place));
    strcpy(place->path, "/tmp/weir-run-dir.XXXXXX");
    if (!mkdtemp(place->path))
        return -1;
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY);
    *state = place;
    return place->fd < 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    char command[256];
    snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", place->path, place->path);
    close(place->fd);
    int rc = system(command);
    free(place);
    return rc;
}

static struct frame_id id_of(uint64_t number)
{
    return (struct frame_id){0x018bcfe568000000, number};
}

static bool is_there(const struct place *place, const char *format, struct frame_id id)
{
    char name[ID_TEXT_LEN + 1], path[128];
    struct stat st;
    id_format(name, id);
    snprintf(path, sizeof(path), "run/%s%s", name, format);
    return fstatat(place->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void put(const struct place *place, struct frame_id id, const char *text)
{
    int dir, fd;
    assert_int_equal(run_dir_open(&dir, place->fd, id, NULL), 0);
    assert_int_equal(run_dir_begin_program(&fd, dir, NULL), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(run_dir_end_program(dir, fd, NULL), 0);
    close(dir);
}

static void the_program_is_written_and_replaced(void **state)
{
    struct place *place = *state;
    char name[ID_TEXT_LEN + 1], path[128], text[16] = "";
    struct stat st;
    put(place, id_of(1), "one, longer");
    put(place, id_of(1), "two");
    id_format(name, id_of(1));
    snprintf(path, sizeof(path), "run/%s/program", name);
    int fd = openat(place->fd, path, O_RDONLY);
    assert_int_equal(read(fd, text, sizeof(text) - 1), 3);
    assert_string_equal(text, "two");
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    close(fd);
    assert_int_equal(fstatat(place->fd, "run", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_false(is_there(place, "/.program.new", id_of(1)));
}

static void a_tree_goes_and_links_are_not_followed(void **state)
{
    struct place *place = *state;
    char name[ID_TEXT_LEN + 1], command[256];
    put(place, id_of(1), "x");
    id_format(name, id_of(1));
    snprintf(command, sizeof(command),
             "cd %s && mkdir kept && touch kept/file && cd run/%s && mkdir -p a/b/c && touch a/b/c/d && ln -s ../../kept out && "
             "ln -s ../../kept a/out && chmod 0 a/b",
             place->path, name);
    assert_int_equal(system(command), 0);
    assert_int_equal(run_dir_remove(place->fd, id_of(1), NULL), 0);
    assert_false(is_there(place, "", id_of(1)));
    assert_int_equal(faccessat(place->fd, "kept/file", F_OK, 0), 0);
    assert_int_equal(run_dir_remove(place->fd, id_of(1), NULL), 0);
}

static void nothing_to_remove_is_no_fault(void **state)
{
    struct place *place = *state;
    assert_int_equal(run_dir_remove(place->fd, id_of(1), NULL), 0);
    assert_int_equal(run_dir_sweep(place->fd, NULL, NULL, NULL), 0);
}

static void a_link_in_place_of_the_directory_is_refused(void **state)
{
    struct place *place = *state;
    struct err err = ERR_INIT;
    char name[ID_TEXT_LEN + 1], command[256];
    int dir;
    id_format(name, id_of(1));
    snprintf(command, sizeof(command), "cd %s && mkdir run kept && ln -s ../kept run/%s", place->path, name);
    assert_int_equal(system(command), 0);
    assert_true(run_dir_open(&dir, place->fd, id_of(1), &err) < 0);
    assert_non_null(strstr(err.text, name));
}

static bool keep_second(void *arg, struct frame_id id)
{
    ++*(int *)arg;
    return id_cmp(id, id_of(2)) == 0;
}

static void the_sweep_keeps_what_is_in_force_and_what_is_no_id(void **state)
{
    struct place *place = *state;
    int asked = 0;
    for (uint64_t i = 1; i <= 3; i++)
        put(place, id_of(i), "x");
    assert_int_equal(mkdirat(place->fd, "run/mine", 0700), 0);
    assert_int_equal(run_dir_sweep(place->fd, keep_second, &asked, NULL), 0);
    assert_int_equal(asked, 3);
    assert_false(is_there(place, "", id_of(1)));
    assert_true(is_there(place, "/program", id_of(2)));
    assert_false(is_there(place, "", id_of(3)));
    assert_int_equal(faccessat(place->fd, "run/mine", F_OK, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_program_is_written_and_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tree_goes_and_links_are_not_followed, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_to_remove_is_no_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(a_link_in_place_of_the_directory_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_sweep_keeps_what_is_in_force_and_what_is_no_id, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
