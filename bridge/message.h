/*
 * One message of the SeaStreamer dialect, and the rules of its parts.
 */
#ifndef BRIDGE_MESSAGE_H
#define BRIDGE_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <weir/err.h>
#include <weir/span.h>

#include "base/buf.h"

#define SS_KEY_MAX 249                        /**< bytes of a stream key */
#define SS_TIME_MAX 253402300799999           /**< ms since 1970: the end of year 9999 */
#define SS_KEY_BROADCAST "broadcast"          /**< key of lines that name none */
#define SS_KEY_INTERNAL "SEA_STREAMER_INTERNAL" /**< end mark and signals */
#define SS_KEY_WILDCARD "SEA_STREAMER_WILDCARD" /**< reading a file: all keys but the internal one */

/** A message is identified by key, shard and sequence. Spans are borrowed; whoever gives it says for how long. */
struct ss_message {
    struct span key;
    uint64_t shard;
    uint64_t seq;
    uint64_t time_ms; /**< since 1970, UTC */
    uint32_t time_ns; /**< below the millisecond, 0 to 999 999: lines alone have it */
    struct span payload;
    struct span meta; /**< minified JSON that a frame has beside its content; len 0: none. Lines, files and Redis cannot hold it */
    /* What the source did not say; the values above are then its defaults (a sink gives its own). */
    bool no_key;  /**< a line without key: it goes to every reader of the process */
    bool no_seq;  /**< seq is not the source's own */
    bool no_time; /**< time is that of receipt */
};

/** Whether it is a stream key: 1 to 249 ASCII letters, digits, '.', '_', '-'. ERR_INVALID with a text that says why not. */
int ss_key_check(struct span key, struct err *err);

#define SS_TIME_TEXT 32 /**< bytes that ss_time_write may need */
/**
 * Writes "YYYY-MM-DDTHH:MM:SS.f": a fraction of at least one digit, without zeros at its end (".0", ".5", ".007"). Up to SS_TIME_MAX.
 * Returns how many bytes.
 */
size_t ss_time_write(char out[static SS_TIME_TEXT], uint64_t ms, uint32_t ns);
/** As producers print it: whole seconds, no fraction: 19 bytes. */
size_t ss_time_write_seconds(char out[static SS_TIME_TEXT], uint64_t ms);
/**
 * Reads the form of lines (YYYY-MM-DDThh:mm:ss[.digits], no zone; digits behind the ninth are ignored). Before 1970 is
 * ERR_INVALID as everything else that is no such time.
 */
int ss_time_parse(struct span text, uint64_t *ms, uint32_t *ns);
/** A time that a person gives: that form, to the millisecond, or what time_parse_moment understands. ERR_INVALID says what that is. */
int ss_time_parse_moment(struct span text, uint64_t now_ms, uint64_t *ms, struct err *err);

/** Which of `count` members of a group gets a message: by its sequence, whatever came before. count > 0. Source: seastreamer's groups. */
static inline size_t ss_share(uint64_t seq, size_t count)
{
    return (size_t)(seq % count);
}

#endif
