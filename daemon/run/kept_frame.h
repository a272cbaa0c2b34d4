/*
 * A frame that outlives the call that handed it out: it and its bytes in one allocation.
 */
#ifndef DAEMON_RUN_KEPT_FRAME_H
#define DAEMON_RUN_KEPT_FRAME_H

#include <weir/frame.h>

struct kept_frame {
    struct kept_frame *next; /**< the owner's */
    struct frame frame;      /**< its spans point behind the struct */
    size_t size;             /**< bytes of all of it */
};

/** A copy, to be freed with free(); NULL without memory. */
struct kept_frame *kept_frame(const struct frame *frame);

#endif
