/*
 * weir cat as a member of a group: frames are acknowledged when they are written.
 */
#ifndef CMD_CAT_GROUP_H
#define CMD_CAT_GROUP_H

#include "cmd/cat_lines.h"

struct cat_group {
    const char *group;
    bool by_hand; /**< somebody else acknowledges */
    bool events;  /**< server-sent events */
    uint64_t window; /**< frames open at once; 0: the daemon's default */
    /**
     * Lines of the SeaStreamer dialect instead of frames; NULL: frames. What no line can hold is given back at the end, which comes once
     * it fills half the window: nothing would be handed out behind it.
     */
    struct cat_lines *lines;
    uint64_t frames; /**< out */
};

/**
 * Prints the frames of the answer whose head was taken. 0, OUTPUT_GONE, or a negative code with its
 * text.
 */
int cat_group_copy(const struct call *call, struct weir *w, struct cat_group *g, struct err *err);

#endif
