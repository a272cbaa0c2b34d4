/* weir remove: take a frame out of the log. */
#include "cmd/call.h"
#include "cmd/table.h"

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    int rc = call_operands(call, 1, 1);
    if (rc == 0)
        rc = call_check_id(call, "ID", call_operand(call, 0));
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0 && weir_remove(w, call_operand(call, 0), &err) != 0)
        rc = call_fail(call, &err);
    weir_close(w);
    return rc;
}

const struct cmd cmd_remove = {
    .name = "remove",
    .alias = "rm",
    .group = GROUP_WRITE,
    .summary = "remove a frame",
    .operands = "ID",
    .about = "Removes the frame of that id for good. Silent, also when there is none.\n",
    .takes = TAKES_ADDR,
    .exec = exec,
};
