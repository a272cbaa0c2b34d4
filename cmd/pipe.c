/* weir pipe: a frame's content through a program. */
#include "base/buf.h"
#include "cmd/run.h"
#include "cmd/table.h"
#include "cmd/target.h"

static int exec(struct call *call)
{
    CLEAN_BUF path = BUF_INIT;
    int rc = run_operands(call, 1);
    if (rc == 0 && call_check_id(call, "ID", call_operand(call, 0)) != 0)
        rc = EXIT_RUN;
    if (rc == 0 && (buf_add_str(&path, "/pipe/") != 0 ||
                    target_segment(&path, call_operand(call, 0)) != 0)) {
        call_failf(call, "out of memory");
        rc = EXIT_RUN;
    }
    return rc == 0 ? run_program(call, target_text(&path)) : rc;
}

const struct cmd cmd_pipe = {
    .name = "pipe",
    .group = GROUP_RUN,
    .summary = "a frame's content through a program",
    .operands = "ID FILE|-",
    .about = "Has the daemon run a program as `weir eval' does, with the content of that frame\n"
             "as its standard input; the frame is in $WEIR_FRAME and in the file\n"
             "$WEIR_FRAME_FILE.\n"
             "  weir pipe ID -c 'jq .total'\n",
    .options = run_options,
    .takes = TAKES_ADDR,
    .complete = COMPLETE_FILE,
    .exec = exec,
};
