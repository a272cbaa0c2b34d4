/* weir eval: run a program beside the store. */
#include "cmd/run.h"
#include "cmd/table.h"

static int exec(struct call *call)
{
    int rc = run_operands(call, 0);
    return rc == 0 ? run_program(call, "/eval") : rc;
}

const struct cmd cmd_eval = {
    .name = "eval",
    .group = GROUP_RUN,
    .summary = "run a program beside the store",
    .operands = "FILE|-",
    .about =
        "Has the daemon run a program (a script with #!, an executable, else text for\n"
        "/bin/sh) and prints what it prints, as it comes. `weir' inside it needs no\n"
        "address. The exit status is the program's, 128+N for signal N, and 125 when weir\n"
        "itself failed.\n",
    .options = run_options,
    .takes = TAKES_ADDR,
    .complete = COMPLETE_FILE,
    .exec = exec,
};
