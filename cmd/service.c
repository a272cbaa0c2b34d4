/* weir service: programs that run all the time. */
#include "cmd/program.h"
#include "cmd/table.h"

static const char *const policies[] = {"always", "on-failure", "never", NULL};

static const struct option_row options[] = {
    {.id = P_DUPLEX, .name = "duplex", .help = "contents of NAME.send are its standard input"},
    {.id = P_RESTART,
     .name = "restart",
     .arg = "POLICY",
     .help = "always, on-failure or never",
     .complete = COMPLETE_WORDS,
     .words = policies},
    {.id = P_BACKOFF,
     .name = "backoff",
     .arg = "TIME",
     .help = "the wait after a failure, doubled each time (1s)"},
    {.id = P_MAX_RESTARTS,
     .name = "max-restarts",
     .arg = "N",
     .help = "failures in a row that are tried again"},
    PROGRAM_OPTIONS,
    {.name = NULL},
};

static int exec(struct call *call)
{
    return program_exec(call, LIFE_SERVICE);
}

const struct cmd cmd_service = {
    .name = "service",
    .group = GROUP_RUN,
    .summary = "add a program that runs all the time",
    .operands = "add NAME FILE|-  or  add NAME -- CMD [ARG]...",
    .about = "Has the daemon run a program all the time: each line it prints becomes a frame\n"
             "NAME.recv. The program is FILE's text (- is standard input), or a command line\n"
             "behind --. Waits until it runs, or says why it does not. `weir stop' ends it.\n"
             "  weir service add clock -- sh -c 'while date; do sleep 60; done'\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_FILE,
    .words = program_words,
    .exec = exec,
};
