/*
 * Text that comes in pieces, cut into lines; the last of them are kept.
 *
 * What is no UTF-8 becomes U+FFFD, so lines are always valid text. Memory is fixed: nothing here can fail.
 *
 * Thread rule: one owner.
 */
#ifndef DAEMON_RUN_TAIL_LINES_H
#define DAEMON_RUN_TAIL_LINES_H

#include <weir/span.h>

#define TAIL_LINE_MAX 4096 /**< bytes of a line; a longer one comes in parts */
#define TAIL_KEEP_LINES 20 /**< lines kept, */
#define TAIL_KEEP_BYTES 4096 /**< and bytes of them at most, newlines between them included */

/** Zeroed memory is an empty one; set `line` and `arg` where lines are wanted. */
struct tail_lines {
    /** A line without its newline, or a part of a long one. May be NULL. */
    void (*line)(void *arg, struct span line);
    void *arg;
    uint8_t begun[TAIL_LINE_MAX]; /**< the line that has no end yet */
    size_t begun_len;
    uint8_t partial[4]; /**< bytes that may become a character */
    size_t partial_len;
    uint8_t kept[TAIL_KEEP_BYTES];
    size_t kept_len;
    size_t kept_lines;
};

void tail_lines_take(struct tail_lines *tail, struct span bytes);
/** The text is at its end: a last line without newline counts. */
void tail_lines_end(struct tail_lines *tail);
/** The last lines, newlines between them. Lives until the next call. */
struct span tail_lines_kept(const struct tail_lines *tail);

#endif
