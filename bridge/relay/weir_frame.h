/*
 * Frames of a weir store, as reads print them, taken as messages.
 */
#ifndef BRIDGE_RELAY_WEIR_FRAME_H
#define BRIDGE_RELAY_WEIR_FRAME_H

#include <weir/frame.h>

#include "bridge/message.h"

#define RELAY_FRAME_QUERY "with-content&with-stamp&with-seq" /* what it needs of a read */

/* One line of a read. Spans point into the line or into the scratch below. */
struct relay_frame {
    struct frame_id id;
    struct ss_message m;   /* payload empty while `fetch` */
    struct span hash;      /* "sha256-..." */
    bool fetch;            /* the content is not in the line */
    bool command;          /* an S2 command, no message */
    bool sealed;           /* encrypted by the S2 API */
    struct buf topic, text, rest; /* scratch: decoded texts, and what of meta is left */
};

/** Reads a line; keeps the scratch of the one before. ERR_INVALID when it is no frame, -ENOMEM. */
int relay_frame_read(struct relay_frame *f, struct span line, struct err *err);
void relay_frame_finish(struct relay_frame *f);

#endif
