/*
 * Standard output: whole writes, one place that knows when its reader has gone away.
 */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

#include <weir/client.h>

#include "cmd/call.h"

/** The reader of stdout went away: there is nobody to write for, and that is no failure. */
#define OUTPUT_GONE 1

/** Writes all bytes to stdout. 0, OUTPUT_GONE, or -errno with text. */
int output_write(struct span bytes, struct err *err);

/** A JSON text and a newline. Returns an exit status, with its message written. */
int output_line(const struct call *call, struct span text);

/**
 * Copies the answer's body to stdout until it ends, chunk by chunk as it comes. Notices that
 * stdout's reader went away also while no data flows. `each` (may be NULL: plain copy) is given the
 * bytes instead and writes them itself. 0 at the proper end, OUTPUT_GONE, or a negative code with
 * its text.
 */
int output_copy(struct weir *w, int (*each)(void *arg, struct span bytes, struct err *err),
                void *arg, struct err *err);

/**
 * Cuts chunks into lines. What `line` adds to `text` is written at the end of each chunk, so that a
 * slow stream shows at once and a fast one costs few writes.
 */
struct output_lines {
    /** Called with each line, without its newline. 0 or -ENOMEM. */
    int (*line)(void *arg, struct span line, struct buf *text);
    void *arg;
    struct buf rest; /**< the line begun */
    struct buf text; /**< not written yet */
};

/** An `each` for output_copy, with a struct output_lines as arg. */
int output_each_line(void *arg, struct span bytes, struct err *err);
/** After the body's end: hands out a last line without a newline. Result as output_write. */
int output_last_line(struct output_lines *lines, struct err *err);
/** Frees the buffers. */
void output_lines_finish(struct output_lines *lines);

#endif
