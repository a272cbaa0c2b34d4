/* weir version: the daemon's version. */
#include "base/clean.h"
#include "cmd/output.h"
#include "cmd/table.h"

#define VERSION_MAX 4096

static int exec(struct call *call)
{
    CLEAN_FREE char *json = NULL;
    size_t len;
    int rc = call_operands(call, 0, 0);
    if (rc == 0)
        rc = call_fetch(call, "/version", VERSION_MAX, &json, &len);
    return rc == 0 ? output_line(call, span_of(json, len)) : rc;
}

const struct cmd cmd_version = {
    .name = "version",
    .group = GROUP_DAEMON,
    .summary = "the daemon's version",
    .operands = "",
    .about = "Prints the version of the daemon as JSON. (--version as the first argument is this\n"
             "program's own.)\n",
    .takes = TAKES_ADDR,
    .exec = exec,
};
