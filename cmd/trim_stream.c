/* weir trim-stream: runs weir-relay, which speaks to Redis. */
#include "cmd/trim_stream.h"

#include "cmd/neighbour_program.h"
#include "cmd/table.h"

const struct option_row trim_stream_rows[] = {
    {.id = TRIM_STREAM, .name = "stream", .arg = "URL", .help = "redis://HOST/KEY"},
    {.id = TRIM_MAX_LEN, .name = "max-len", .arg = "N", .help = "keep the newest N entries, about"},
    {.id = TRIM_MIN_TS, .name = "min-ts", .arg = "TIME", .help = "remove entries older than this"},
    {.id = TRIM_CA, .name = "ca-file", .arg = "FILE", .help = "authorities to trust instead of the system's", .complete = COMPLETE_FILE},
    {.id = TRIM_INSECURE, .name = "insecure", .help = "do not check the server's certificate"},
    {.name = NULL},
};

static int exec_raw(const char *program, int argc, char *const argv[])
{
    return neighbour_program("weir-relay", "trim-stream", program, "trim-stream", argc, argv);
}

const struct cmd cmd_trim_stream = {
    .name = "trim-stream",
    .group = GROUP_MOVE,
    .summary = TRIM_STREAM_SUMMARY,
    .operands = TRIM_STREAM_OPERANDS,
    .about = TRIM_STREAM_ABOUT,
    .options = trim_stream_rows,
    .exec_raw = exec_raw,
};
