/* weir s2: runs weir-s2, which has the libraries that nothing else here needs. */
#include "cmd/neighbour_program.h"
#include "cmd/table.h"

static int exec_raw(const char *program, int argc, char *const argv[])
{
    return neighbour_program("weir-s2", NULL, program, "s2", argc, argv);
}

const struct cmd cmd_s2 = {
    .name = "s2",
    .group = GROUP_MOVE,
    .summary = "streams of the S2 API, here or at any endpoint",
    .operands = "VERB [OPTION]... [OPERAND]...",
    .about = "`weir s2 --help' lists the verbs.\n",
    .exec_raw = exec_raw,
};
