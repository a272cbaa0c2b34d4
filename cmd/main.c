/* The `weir` program: finds the verb, parses its options, runs it. Linked as `xs` it behaves as xs.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/options.h"

#ifndef WEIR_VERSION
#define WEIR_VERSION "unknown"
#endif

static const char *program_name(const char *argv0)
{
    const char *slash = argv0 ? strrchr(argv0, '/') : NULL;
    const char *name = slash ? slash + 1 : argv0;
    return name && strcmp(name, "xs") == 0 ? "xs" : "weir";
}

/* stdout is checked at the end: help into a full disk is a failure like any other. */
static int finish_stdout(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("standard output");
    return status ? status : EXIT_FAILURE;
}

static int unknown_verb(const char *program, const char *name)
{
    const char *near = suggest_verb(name);
    fprintf(stderr, "%s: unknown verb `%s'", program, name);
    if (near)
        fprintf(stderr, "; did you mean `%s'?", near);
    fprintf(stderr, "\n`%s --help' lists the verbs.\n", program);
    return EXIT_USAGE;
}

static int run(const char *program, const struct cmd *cmd, int argc, char *const argv[])
{
    if (cmd->exec_raw)
        return cmd->exec_raw(program, argc, argv);
    struct call call = {.program = program, .as_xs = strcmp(program, "xs") == 0, .cmd = cmd};
    int status = call_parse(&call, argc, argv);
    if (status == 0 && call_has(&call, OPT_HELP))
        usage_verb(stdout, &call);
    else if (status == 0)
        status = cmd->exec(&call);
    call_finish(&call);
    return status;
}

/* `weir help [VERB]` is `weir [VERB] --help`. */
static int help(const char *program, int argc, char *const argv[])
{
    if (argc == 0) {
        usage_program(stdout, program);
        return 0;
    }
    const struct cmd *cmd = cmd_find(argv[0]);
    if (!cmd)
        return unknown_verb(program, argv[0]);
    char flag[] = "--help";
    char *const args[] = {flag, NULL};
    return run(program, cmd, 1, args);
}

static int dispatch(const char *program, int argc, char *const argv[])
{
    if (argc < 2) {
        usage_program(stderr, program);
        return EXIT_USAGE;
    }
    const char *verb = argv[1];
    if (strcmp(verb, "--version") == 0 || strcmp(verb, "-V") == 0) {
        printf("%s %s\n", program, WEIR_VERSION);
        return 0;
    }
    if (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0)
        return help(program, 0, NULL);
    if (strcmp(verb, "help") == 0)
        return help(program, argc - 2, argv + 2);
    const struct cmd *cmd = cmd_find(verb);
    return cmd ? run(program, cmd, argc - 2, argv + 2) : unknown_verb(program, verb);
}

/* A standard stream that was closed would give its number to the next file we open: frames meant
 * for stdout would go into the daemon's socket. In its place stands a file that fails as a closed
 * one does. */
static int hold_standard_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return -1;
    }
    return 0;
}

int main(int argc, char *argv[])
{
    if (hold_standard_streams() != 0)
        return EXIT_FAILURE;
    /* A reader of stdout that goes away is noticed by write, so that the verb can end in order. */
    signal(SIGPIPE, SIG_IGN);
    return finish_stdout(dispatch(program_name(argc > 0 ? argv[0] : NULL), argc, argv));
}
