/* weir next and weir previous: the frame after or before an id. */
#include "cmd/frames.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum { TOPIC = 1, TIMESTAMP, SEQ };

static const struct option_row options[] = {
    {.id = TOPIC,
     .letter = 'T',
     .name = "topic",
     .arg = "PATTERNS",
     .help = "only these topics: a,b.*,*"},
    {.id = TIMESTAMP, .name = "with-timestamp", .help = "add \"timestamp\" to the frame"},
    {.id = SEQ, .name = "with-seq", .help = "add \"seq\" to the frame"},
    {.name = NULL},
};

static int make_target(const struct call *call, bool forward, struct buf *target)
{
    int rc = buf_add_str(target, "/");
    if (rc == 0)
        rc = target_add(target, forward ? "after" : "before", call_operand(call, 0));
    if (rc == 0 && !forward)
        rc = target_add(target, "reverse", NULL);
    if (rc == 0)
        rc = target_add(target, "limit", "1");
    if (rc == 0)
        rc = target_option(target, call, TOPIC, "topic");
    if (rc == 0)
        rc = target_option(target, call, TIMESTAMP, "with-timestamp");
    if (rc == 0)
        rc = target_option(target, call, SEQ, "with-seq");
    return rc == 0 ? 0 : call_failf(call, "out of memory");
}

static int neighbour(struct call *call, bool forward)
{
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    int rc = call_operands(call, 1, 1);
    if (rc == 0)
        rc = call_check_pattern(call, call_value(call, TOPIC));
    if (rc == 0)
        rc = call_check_id(call, "ID", call_operand(call, 0));
    if (rc == 0)
        rc = make_target(call, forward, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    return frames_get(call, w, target_text(&target), false,
                      forward ? "no frame after that id" : "no frame before that id");
}

static int exec_next(struct call *call)
{
    return neighbour(call, true);
}

static int exec_previous(struct call *call)
{
    return neighbour(call, false);
}

const struct cmd cmd_next = {
    .name = "next",
    .group = GROUP_READ,
    .summary = "the frame after an id",
    .operands = "ID",
    .about = "Prints the first frame after ID, which need not exist itself.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec_next,
};

const struct cmd cmd_previous = {
    .name = "previous",
    .group = GROUP_READ,
    .summary = "the frame before an id",
    .operands = "ID",
    .about = "Prints the last frame before ID, which need not exist itself.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec_previous,
};
