/*
 * What `weir trim-stream` takes: for weir, which completes it, and for weir-relay, which does it.
 */
#ifndef CMD_TRIM_STREAM_H
#define CMD_TRIM_STREAM_H

#include "cmd/cmd.h"

enum trim_stream_option { TRIM_STREAM = 1, TRIM_MAX_LEN, TRIM_MIN_TS, TRIM_CA, TRIM_INSECURE };

extern const struct option_row trim_stream_rows[];

#define TRIM_STREAM_SUMMARY "remove the oldest entries of a Redis stream"
#define TRIM_STREAM_OPERANDS "--stream URL [--max-len N] [--min-ts TIME]"
#define TRIM_STREAM_ABOUT                                                            \
    "Removes the oldest entries of the stream that redis://[USER:PASSWORD@]HOST/KEY\n" \
    "names (rediss:// with TLS), of each of its shards when it has any. The server\n" \
    "removes whole blocks of entries, so a few more than asked for may stay. How\n"   \
    "many went is printed. A time is 2022-01-01T00:00:00.5 (UTC), an RFC 3339 one,\n" \
    "10m ago as 10m, or @SECONDS.\n"

#endif
