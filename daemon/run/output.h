/*
 * What a program prints, as frames: stdout bytes -> lines (or chunks) -> topic, content, meta, ttl, ack.
 *
 * Pure: no I/O, no clock. Any thread, one at a time.
 */
#ifndef DAEMON_RUN_OUTPUT_H
#define DAEMON_RUN_OUTPUT_H

#include "base/buf.h"
#include "daemon/run/definition.h"

#define OUTPUT_LINE_MAX (1024 * 1024) /**< bytes of a line; above it is an error */
#define OUTPUT_CHUNK (64 * 1024)      /**< of binary output */

/*
 * Lines, by the form asked for. "Frame line": a JSON object with at least one of topic, content, content_base64, meta and ack, and no
 * keys but those, ttl and frame_id. One with a wrong value is no good.
 *
 *   auto     a frame line is that frame; any other line is a content
 *   raw      every line is a content
 *   frames   every line must be a frame line
 *
 * With target "meta" a line that would be a content must be a JSON object instead, and is the meta of a frame. A content is its line
 * without the newline (a carriage return stays); an empty line is a frame without content. The meta of a frame line is an object.
 */

/** One frame that was printed. Spans live for the call that hands it out. */
struct printed {
    bool has_frame;        /**< false: only an ack */
    struct span topic;     /**< empty = NAME + suffix */
    bool has_content;
    struct span content;
    struct span meta;      /**< minified JSON; len 0 = none */
    bool has_ttl;
    struct ttl ttl;
    bool has_cause;        /**< "frame_id": the frame it answers, instead of the one being handled */
    struct frame_id cause;
    bool has_ack;          /**< "ack": this frame is done */
    struct frame_id ack;
};

struct output_options {
    enum output_form form;
    bool binary;
    enum return_target target;
    /** A frame. 0, or -1: not now; it is offered again by the next output_take. */
    int (*frame)(void *arg, const struct printed *frame);
    /** A line that is no good: its number from 1 and why. As above. */
    int (*bad)(void *arg, uint64_t line, const struct err *why);
    void *arg;
};

struct output;

/**
 * Reads a frame line. 1: it is one. 0: it is something else. ERR_INVALID, ERR_TOO_LARGE: one with a wrong value. -ENOMEM. Spans of `out`
 * borrow from `scratch` (which need not be empty) and the line.
 */
int output_frame_line(struct printed *out, struct span line, struct buf *scratch, struct err *err);

int output_create(struct output **out, const struct output_options *options);
/** Takes bytes of stdout; returns how many: all, or fewer when a callback said no. Bytes up to the last newline are handled at once; the rest is kept. */
size_t output_take(struct output *output, struct span bytes);
/** The end: a last line without newline counts. True when everything was handled; false: a callback said no, call again. */
bool output_end(struct output *output);
void output_destroy(struct output *output);

#endif
