/*
 * weir cat --format ss: frames as lines of the SeaStreamer dialect.
 */
#ifndef CMD_CAT_LINES_H
#define CMD_CAT_LINES_H

#include "bridge/line.h"
#include "cmd/call.h"

/** What is printed, and what came of it. Zeroed but for what is said. */
struct cat_lines {
    const struct call *call;
    enum ss_line_odd odd;
    bool people;      /**< stdout is a terminal */
    bool store_seq;   /**< the store's own sequence, also where the frame keeps another */
    uint64_t frames;  /**< out: frames seen, synthetic ones not counted */
    uint64_t refused; /**< out: of these, told on stderr since no line can hold them */
    struct weir *fetch; /**< contents that did not come along are fetched by a connection of their own */
    struct buf key, content, scratch, line;
};

/** What of a read's query the lines need. Appends to the target. -ENOMEM. */
int cat_lines_query(struct buf *target);

#define CAT_LINES_NONE 1 /**< nothing was added: a frame that the reader made up, or that no line can hold */
/**
 * Appends the line of a frame: its JSON as it comes, with content, seq and stamp. 0, CAT_LINES_NONE, -ENOMEM.
 */
int cat_lines_add(struct cat_lines *c, struct span json, struct buf *text);

/** Copies the answer's body to stdout. As output_copy. */
int cat_lines_copy(struct cat_lines *c, struct weir *w, struct err *err);

void cat_lines_finish(struct cat_lines *c);

#endif
