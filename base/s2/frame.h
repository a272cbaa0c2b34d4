/*
 * Frames of an S2S session: three bytes of length, a byte of flags, a payload.
 *
 * Thread rule: any.
 */
#ifndef BASE_S2_FRAME_H
#define BASE_S2_FRAME_H

#include <weir/err.h>

#include "base/buf.h"
#include "base/s2/coding.h"

#define S2S_LENGTH_MAX (2 * 1024 * 1024) /**< flags and payload */
#define S2S_HEAD 4                       /**< bytes before the payload */
#define S2S_PACK_FROM 1024               /**< smaller payloads are not compressed */

struct s2s_frame {
    bool terminal, reconnect;
    enum coding coding;
    unsigned status;      /**< terminal: HTTP status */
    struct span payload;  /**< of a terminal one: its JSON. Points into what was read */
};

/**
 * Takes the next frame off `rest`. ERR_END: it is not whole yet, `rest` stands still. ERR_FORMAT: length 0 or too long, compression 3,
 * a terminal frame without status.
 */
int s2s_next(struct s2s_frame *out, struct span *rest, struct err *err);
/** The frame's message: itself, or unpacked into `room` (reset first). ERR_FORMAT, also for what unpacks to more than is allowed. */
int s2s_message(struct span *out, const struct s2s_frame *frame, struct buf *room, struct err *err);
/** Appends a regular frame; packs payloads worth it. -ENOMEM; ERR_TOO_LARGE. */
int s2s_put(struct buf *out, struct span message, enum coding coding, bool reconnect);
/** Appends a terminal frame. */
int s2s_put_terminal(struct buf *out, unsigned status, struct span json);

#endif
