/* The `weir-s2` program, which `weir s2' runs: streams of the S2 API, of weir and of any other
 * endpoint. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "cmd/s2/verb.h"

static int finish_stdout(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("standard output");
    return status ? status : EXIT_FAILURE;
}

static int run(const struct verb *verb, int argc, char *const argv[])
{
    struct args args = {.verb = verb};
    int rc = args_parse(&args, argc, argv);
    if (rc == 0 && args_has(&args, S2_OPT_HELP))
        usage_of_verb(stdout, verb);
    else if (rc == 0)
        rc = verb->exec(&args);
    args_finish(&args);
    return rc;
}

static int unknown(const char *name)
{
    fprintf(stderr, "weir s2: unknown verb `%s'\n`weir s2 --help' lists the verbs.\n", name);
    return EXIT_WRONG_USAGE;
}

static int help(const char *name)
{
    const struct verb *verb = name ? verb_find(name) : NULL;
    if (name && !verb)
        return unknown(name);
    if (verb)
        usage_of_verb(stdout, verb);
    else
        usage_of_all(stdout);
    return 0;
}

static int dispatch(int argc, char *const argv[])
{
    if (argc < 2) {
        usage_of_all(stderr);
        return EXIT_WRONG_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return printf("weir-s2 %s\n", WEIR_VERSION) > 0 ? 0 : EXIT_FAILURE;
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return help(argc > 2 ? argv[2] : NULL);
    const struct verb *verb = verb_find(word);
    return verb ? run(verb, argc - 2, argv + 2) : unknown(word);
}

int main(int argc, char *argv[])
{
    /* A closed standard stream would give its number to the next socket. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    return finish_stdout(dispatch(argc, argv));
}
