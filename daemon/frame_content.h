/*
 * The content of a frame that lies elsewhere than in its record, for those that print frames with their contents.
 */
#ifndef DAEMON_FRAME_CONTENT_H
#define DAEMON_FRAME_CONTENT_H

#include <weir/frame.h>

#include "daemon/site.h"

/** One content, fetched for the frame that needs it next. Zeroed memory is an empty one. One thread at a time. */
struct frame_content {
    struct frame_id of; /**< the frame, and */
    uint8_t digest[DIGEST_SIZE];
    bool fetched; /**< looked for: `bytes` are valid when it was */
    bool found;
    struct buf bytes;
};

/** Whether a frame's content is to be printed and is not at hand. */
bool frame_content_lacks(const struct frame *frame);
/** Remembers which frame's is to be fetched. */
void frame_content_want(struct frame_content *content, const struct frame *frame);
/**
 * Fetches it. May block. 0 also when it is not there any more, or above FRAME_JSON_CONTENT_MAX: the frame is then printed without. ERR_DAMAGED
 * likewise, with a text for the log; -ENOMEM.
 */
int frame_content_fetch(struct frame_content *content, const struct site *site, struct err *err);
/** True when it was looked for for this frame; `frame` then has the content, if it was found, until the next call. */
bool frame_content_give(const struct frame_content *content, struct frame *frame);
/** Gives its memory back. It may be used again: what was fetched is then fetched anew. */
void frame_content_finish(struct frame_content *content);

#endif
