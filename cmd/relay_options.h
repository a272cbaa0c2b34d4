/*
 * What `weir relay` takes: for weir, which completes it, and for weir-relay, which does it.
 */
#ifndef CMD_RELAY_OPTIONS_H
#define CMD_RELAY_OPTIONS_H

#include "cmd/cmd.h"

enum relay_option {
    RELAY_INPUT = 1,
    RELAY_OUTPUT,
    RELAY_OFFSET,
    RELAY_FOLLOW,
    RELAY_NO_FOLLOW,
    RELAY_UNTIL,
    RELAY_LIMIT,
    RELAY_SHARE,
    RELAY_PRESERVE,
    RELAY_RENAME,
    RELAY_CURSOR,
    RELAY_MODE,
    RELAY_GROUP,
    RELAY_CONSUMER,
    RELAY_COMMIT,
    RELAY_MAKE_STREAM,
    RELAY_STRICT,
    RELAY_ODD,
    RELAY_INTERVAL,
    RELAY_SIZE_LIMIT,
    RELAY_END_MARK,
    RELAY_SHARDS,
    RELAY_MAX_LEN,
    RELAY_FIELD,
    RELAY_CA,
    RELAY_INSECURE,
};

extern const struct option_row relay_rows[];
extern const char *const relay_mode_words[], *const relay_commit_words[], *const relay_odd_words[];

#define RELAY_SUMMARY "messages from one place to another, resumable"
#define RELAY_OPERANDS "--input URL --output URL"
#define RELAY_ABOUT                                                                 \
    "Copies messages from the input to the output, live, until the input ends or\n" \
    "a signal comes. A URL is PROTOCOL://NODES/KEYS:\n"                             \
    "  stdio:///[KEY,...]          lines \"[time | key | sequence | shard] payload\"\n" \
    "  file://PATH/[KEY,...]       a .ss file; PATH alone when it ends in .ss\n"    \
    "  redis://HOST[:PORT]/KEY,... Redis streams; rediss:// with TLS\n"             \
    "  weir://[ADDR]/[TOPIC,...]   a store of weir\n"                               \
    "  s2://BASIN/STREAM,...       any S2 endpoint ($S2_ACCOUNT_ENDPOINT and so on),\n" \
    "                              or s2://HOST:PORT/BASIN/STREAM\n"                \
    "The output names one key, under which payloads go over; with --preserve keys,\n" \
    "sequences, shards and times go over too, and the output needs no key. A time\n" \
    "is 2022-01-01T00:00:00.5 (UTC), an RFC 3339 one, 10m ago as 10m, or @SECONDS.\n"

#endif
