/* weir last: the newest frames of a topic. */
#include "cmd/frames.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum { FOLLOW = 1, TIMESTAMP, SEQ };

static const struct option_row options[] = {
    {.id = FOLLOW, .letter = 'f', .name = "follow", .help = "stay, and print what is appended"},
    {.id = TIMESTAMP, .name = "with-timestamp", .help = "add \"timestamp\" to each frame"},
    {.id = SEQ, .name = "with-seq", .help = "add \"seq\" to each frame"},
    {.name = NULL},
};

static int make_target(const struct call *call, const char *pattern, const char *count,
                       struct buf *target)
{
    int rc = buf_add_str(target, pattern ? "/last/" : "/last");
    if (rc == 0 && pattern)
        rc = target_segment(target, pattern);
    if (rc == 0 && count)
        rc = target_add(target, "last", count);
    if (rc == 0)
        rc = target_option(target, call, FOLLOW, "follow");
    if (rc == 0)
        rc = target_option(target, call, TIMESTAMP, "with-timestamp");
    if (rc == 0)
        rc = target_option(target, call, SEQ, "with-seq");
    return rc == 0 ? 0 : call_failf(call, "out of memory");
}

static int exec(struct call *call)
{
    return frames_verb(call, make_target, call_has(call, FOLLOW));
}

const struct cmd cmd_last = {
    .name = "last",
    .alias = "head",
    .group = GROUP_READ,
    .summary = "the newest frame, or the N newest",
    .operands = "[PATTERNS] [N]",
    .about =
        "Prints the newest frame of the topics that match (all when none are named), or the N\n"
        "newest in rising order. A number is the count, in either place.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
