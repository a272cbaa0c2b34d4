/* weir relay: runs weir-relay, which has the libraries that nothing else here needs. */
#include "cmd/neighbour_program.h"
#include "cmd/relay_options.h"
#include "cmd/table.h"

static int exec_raw(const char *program, int argc, char *const argv[])
{
    return neighbour_program("weir-relay", "relay", program, "relay", argc, argv);
}

const struct cmd cmd_relay = {
    .name = "relay",
    .group = GROUP_MOVE,
    .summary = RELAY_SUMMARY,
    .operands = RELAY_OPERANDS,
    .about = RELAY_ABOUT,
    .options = relay_rows,
    .exec_raw = exec_raw,
};
