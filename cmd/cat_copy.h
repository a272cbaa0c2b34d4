/*
 * weir cat: an answer's frames as they come, or for people.
 */
#ifndef CMD_CAT_COPY_H
#define CMD_CAT_COPY_H

#include "cmd/output.h"

struct cat_copy {
    bool people; /**< lines for people; else the bytes as they come */
    bool events; /**< server-sent events: a terminal gets them as they are */
    bool counts; /**< count frames (people's always are), to tell the limit from the daemon's stop */
    uint64_t frames; /**< real ones, which a store holds */
    struct output_lines lines; /**< its own */
};

/** Copies the body to standard output. As output_copy. */
int cat_copy(struct cat_copy *c, struct weir *w, struct err *err);

#endif
