/* The `weir-relay` program, which `weir relay' and `weir trim-stream' run. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/options.h"
#include "cmd/relay/verbs.h"

const struct cmd *const cmd_table[] = {&verb_relay, &verb_trim_stream, NULL};

static int finish_stdout(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    perror("standard output");
    return status ? status : EXIT_FAILURE;
}

/* Messages and usage lines name the program that people start. */
static int run(const struct cmd *cmd, int argc, char *const argv[])
{
    struct call call = {.program = "weir", .cmd = cmd};
    int status = call_parse(&call, argc, argv);
    if (status == 0 && call_has(&call, OPT_HELP))
        usage_verb(stdout, &call);
    else if (status == 0)
        status = cmd->exec(&call);
    call_finish(&call);
    return status;
}

static int dispatch(int argc, char *const argv[])
{
    const char *word = argc > 1 ? argv[1] : "";
    const struct cmd *cmd = cmd_find(word);
    if (cmd)
        return run(cmd, argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
        return printf("weir-relay %s\n", WEIR_VERSION) > 0 ? 0 : EXIT_FAILURE;
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    usage_program(help ? stdout : stderr, "weir-relay");
    return help ? 0 : EXIT_USAGE;
}

int main(int argc, char *argv[])
{
    /* A closed standard stream would give its number to the next file or socket. */
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return EXIT_FAILURE;
    }
    signal(SIGPIPE, SIG_IGN);
    return finish_stdout(dispatch(argc, argv));
}
