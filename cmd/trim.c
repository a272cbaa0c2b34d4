/* weir trim: forget the beginning of a topic. */
#include "base/bytes.h"
#include "base/text.h"
#include "cmd/command.h"
#include "cmd/table.h"

static int exec(struct call *call)
{
    const char *text;
    uint64_t seq;
    uint8_t bytes[8];
    int rc = command_operands(call, &text);
    if (rc == 0 && text_u64(span_str(text), &seq) < 0)
        rc = call_usage(call, "`%s' is no seq: 0 to 18446744073709551615", text);
    if (rc != 0)
        return rc;
    put_be64(bytes, seq);
    return command_send(call, "trim", span_of(bytes, sizeof(bytes)));
}

const struct cmd cmd_trim = {
    .name = "trim",
    .group = GROUP_WRITE,
    .summary = "remove the frames of a topic below a seq",
    .operands = "TOPIC SEQ",
    .about = "Removes the frames of TOPIC whose seq is below SEQ, for good. That is a record of\n"
             "the topic like any other; where it stands is printed. A SEQ above it removes all,\n"
             "itself too.\n",
    .options = command_options,
    .takes = TAKES_ADDR,
    .exec = exec,
};
