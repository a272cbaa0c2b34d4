/* weir fence: who may append to a topic from now on. */
#include "cmd/command.h"
#include "cmd/table.h"

static int exec(struct call *call)
{
    const char *token;
    int rc = command_operands(call, &token);
    return rc == 0 ? command_send(call, "fence", span_str(token)) : rc;
}

const struct cmd cmd_fence = {
    .name = "fence",
    .group = GROUP_WRITE,
    .summary = "set the token that appends to a topic must know",
    .operands = "TOPIC TOKEN",
    .about = "Sets the fencing token of TOPIC: appends that name another one are refused from\n"
             "then on, those that name none are not. TOKEN has up to 36 bytes; '' takes it away.\n"
             "It is a record of the topic like any other; where it stands is printed.\n",
    .options = command_options,
    .takes = TAKES_ADDR,
    .exec = exec,
};
