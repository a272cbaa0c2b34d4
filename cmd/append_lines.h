/*
 * weir append --format ss: lines of the SeaStreamer dialect as frames.
 */
#ifndef CMD_APPEND_LINES_H
#define CMD_APPEND_LINES_H

#include <weir/err.h>
#include <weir/span.h>

#include "cmd/call.h"

struct append_lines {
    const char *target; /**< of the request: /append?stream and conditions */
    const char *key;    /**< of lines that name none; NULL: broadcast */
    const char *ttl;    /**< of all frames, or NULL */
    bool strict;        /**< a bad line makes the exit status 1 */
};

/**
 * Appends the lines of standard input as they come and prints the summary. A bad line is told on stderr with its number and
 * skipped. Returns an exit status.
 */
int append_lines(const struct call *call, struct weir *w, const struct append_lines *how);
/** A stream key that a store has a stream for: all but "." and "..". ERR_INVALID. */
int append_lines_check_key(struct span key, struct err *err);

#endif
