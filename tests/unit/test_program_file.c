#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/run/program_env.h"
#include "daemon/run/program_file.h"

static void good(const char *text)
{
    struct err err = ERR_INIT;
    if (program_check(definition_form(span_str(text)), span_str(text), "/bin:/usr/bin", &err) < 0)
        fail_msg("%s: %s", text, err.text);
}

static void bad(const char *text, const char *why)
{
    struct err err = ERR_INIT;
    assert_int_equal(program_check(definition_form(span_str(text)), span_str(text), "/bin:/usr/bin", &err), ERR_INVALID);
    if (!strstr(err.text, why))
        fail_msg("%s: says \"%s\", not \"%s\"", text, err.text, why);
}

static void interpreters_must_be_there(void **state)
{
    (void)state;
    good("#!/bin/sh\n");
    good("#! /bin/sh -e\nx");
    good("#!\t/bin/sh");
    good("#!./beside-me\n");
    good("echo hi\n");
    bad("#!/no/such/thing\n", "/no/such/thing");
    bad("#!/etc/passwd\n", "/etc/passwd");
    bad("#!/bin\n", "/bin");
    bad("#!\n", "names no interpreter");
    bad("#! \t", "names no interpreter");
    bad("#!/bin/sh\r\n", "CR LF");
    bad("", "no content");
}

static void env_is_looked_through(void **state)
{
    (void)state;
    good("#!/usr/bin/env sh\n");
    good("#!/usr/bin/env -S sh -e\n");
    good("#!/usr/bin/env A=b sh\n");
    good("#!/usr/bin/env\n");
    bad("#!/usr/bin/env no-such-program-anywhere\n", "no-such-program-anywhere");
    struct span text = span_str("#!/usr/bin/env no-such-program-anywhere\n");
    assert_int_equal(program_check(FORM_SCRIPT, text, NULL, NULL), 0);
}

static void a_first_line_is_cut_as_the_kernel_cuts_it(void **state)
{
    char text[600];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "#!/bin/sh ", 10);
    good(text);
}

static size_t read_own(uint8_t *into, size_t room)
{
    int fd = open("/proc/self/exe", O_RDONLY);
    ssize_t n = read(fd, into, room);
    close(fd);
    return n > 0 ? (size_t)n : 0;
}

static void elf_files_are_for_this_machine(void **state)
{
    uint8_t head[PROGRAM_HEAD];
    struct err err = ERR_INIT;
    (void)state;
    size_t len = read_own(head, sizeof(head));
    Elf64_Ehdr *header = (Elf64_Ehdr *)(void *)head;
    assert_int_equal(definition_form(span_of(head, len)), FORM_ELF);
    assert_int_equal(program_check(FORM_ELF, span_of(head, len), NULL, NULL), 0);
    assert_int_equal(program_check(FORM_ELF, span_of(head, 20), NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "cut"));
    uint16_t type = header->e_type, machine = header->e_machine;
    header->e_type = ET_REL;
    assert_int_equal(program_check(FORM_ELF, span_of(head, len), NULL, &err), ERR_INVALID);
    header->e_type = type;
    header->e_machine = machine == EM_S390 ? EM_PPC64 : EM_S390;
    assert_int_equal(program_check(FORM_ELF, span_of(head, len), NULL, &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "another machine"));
}

static const char *value_of(const struct program_env *env, const char *name)
{
    const char *found = NULL;
    size_t len = strlen(name);
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->texts[i], name, len) == 0 && env->texts[i][len] == '=') {
            assert_null(found); /* each name once */
            found = env->texts[i] + len + 1;
        }
    return found;
}

static void the_environment_is_small_and_the_definition_wins(void **state)
{
    char home[] = "HOME=/own", colour[] = "COLOUR=green";
    char *own[] = {home, colour, NULL};
    struct definition def = {.env = own};
    struct program_env env = {0};
    (void)state;
    setenv("SECRET", "x", 1);
    setenv("HOME", "/daemon", 1);
    setenv("TZ", "UTC", 1);
    assert_int_equal(program_env_common(&env, &def), 0);
    assert_int_equal(program_env_set(&env, "COLOUR=red"), 0);
    assert_int_equal(program_env_setf(&env, "COLOURS=%d", 2), 0);
    assert_null(value_of(&env, "SECRET"));
    assert_string_equal(value_of(&env, "HOME"), "/own");
    assert_string_equal(value_of(&env, "TZ"), "UTC");
    assert_string_equal(value_of(&env, "COLOUR"), "red");
    assert_string_equal(value_of(&env, "COLOURS"), "2");
    assert_null(env.texts[env.count]);
    program_env_finish(&env);
}

static void weir_comes_first_in_the_path(void **state)
{
    char exe[512], own_path[] = "PATH=/only";
    char *own[] = {own_path, NULL};
    struct definition def = {0};
    (void)state;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n] = '\0';
    *strrchr(exe, '/') = '\0';
    char *path = program_path(&def);
    assert_int_equal(strncmp(path, exe, strlen(exe)), 0);
    assert_int_equal(path[strlen(exe)], ':');
    free(path);
    def.env = own;
    path = program_path(&def);
    assert_string_equal(path, "/only");
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interpreters_must_be_there),
        cmocka_unit_test(env_is_looked_through),
        cmocka_unit_test(a_first_line_is_cut_as_the_kernel_cuts_it),
        cmocka_unit_test(elf_files_are_for_this_machine),
        cmocka_unit_test(the_environment_is_small_and_the_definition_wins),
        cmocka_unit_test(weir_comes_first_in_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
