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
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    const char *pattern = NULL;
    const char *count = NULL;
    int rc = call_operands(call, 0, frames_operand_max(call));
    if (rc == 0)
        rc = frames_operands(call, &pattern, &count);
    if (rc == 0)
        rc = make_target(call, pattern, count, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    return frames_get(call, w, target_text(&target), false,
                      pattern ? "no frame on that topic" : "the store holds no frame");
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
