/* weir action: programs that are called. */
#include "cmd/program.h"
#include "cmd/table.h"

static const struct option_row options[] = {
    {.id = P_CONCURRENCY, .name = "concurrency", .arg = "N", .help = "calls that run at once (16)"},
    {.id = P_TIMEOUT, .name = "timeout", .arg = "TIME", .help = "of one call (60s)"},
    PROGRAM_OPTIONS,
    {.name = NULL},
};

static int exec(struct call *call)
{
    return program_exec(call, LIFE_ACTION);
}

const struct cmd cmd_action = {
    .name = "action",
    .group = GROUP_RUN,
    .summary = "add a program that is called",
    .operands = "add NAME FILE|-  or  add NAME -- CMD [ARG]...",
    .about = "Has the daemon run a program for each frame NAME.call: its content is standard\n"
             "input, what is printed is the frame NAME.response. The program is FILE's text\n"
             "(- is standard input), or a command line behind --. `weir call' calls it.\n"
             "  weir action add upper -- tr a-z A-Z\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .complete = COMPLETE_FILE,
    .words = program_words,
    .exec = exec,
};
