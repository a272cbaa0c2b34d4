/* weir first: the oldest frames of a topic. */
#include "cmd/frames.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum { TIMESTAMP = 1, SEQ };

static const struct option_row options[] = {
    {.id = TIMESTAMP, .name = "with-timestamp", .help = "add \"timestamp\" to each frame"},
    {.id = SEQ, .name = "with-seq", .help = "add \"seq\" to each frame"},
    {.name = NULL},
};

static int make_target(const struct call *call, const char *pattern, const char *count,
                       struct buf *target)
{
    int rc = buf_add_str(target, "/");
    if (rc == 0)
        rc = target_add(target, "limit", count ? count : "1");
    if (rc == 0 && pattern)
        rc = target_add(target, "topic", pattern);
    if (rc == 0)
        rc = target_option(target, call, TIMESTAMP, "with-timestamp");
    if (rc == 0)
        rc = target_option(target, call, SEQ, "with-seq");
    return rc == 0 ? 0 : call_failf(call, "out of memory");
}

static int exec(struct call *call)
{
    return frames_verb(call, make_target, false);
}

const struct cmd cmd_first = {
    .name = "first",
    .group = GROUP_READ,
    .summary = "the oldest frame, or the N oldest",
    .operands = "[PATTERNS] [N]",
    .about =
        "Prints the oldest frame of the topics that match (all when none are named), or the N\n"
        "oldest in rising order. A number is the count, in either place.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
