/*
 * A reader's place in the log, and how one slice of a read is made from tail and index.
 */
#ifndef STORE_CURSOR_H
#define STORE_CURSOR_H

#include "base/topic.h"
#include "store/state.h"

enum cursor_state {
    CURSOR_LAST,    /* looking back for the first of the newest `last` frames */
    CURSOR_HISTORY, /* low..high, either direction */
    CURSOR_EDGE,    /* history is complete, threshold not told yet */
    CURSOR_LIVE,
    CURSOR_DONE,
};

struct store_cursor {
    struct store *store;
    enum cursor_state state;
    struct pattern_list topics; /* all = no filter */
    char *stream;               /* exact topic, or NULL */
    size_t stream_len;
    bool reverse, follow, threshold, want_lines, stored_only;
    struct frame_id low, high; /* bounds of history, inclusive */
    struct frame_id until;     /* last id of all, also live; ID_MAX = none */
    /* Ascending: everything below `next` was looked at. Descending: everything above it. */
    struct frame_id next;
    bool exhausted;        /* descending read went past ID_MIN */
    uint64_t left;         /* frames the limit still allows */
    uint64_t last;         /* frames still to find in CURSOR_LAST */
    struct frame_id found; /* lowest frame found so far in CURSOR_LAST */
    uint64_t ephemerals;   /* ephemeral frames of this run of the store that lie behind */
    uint64_t lost;
};

/** One slice under way. */
struct slice {
    struct store_cursor *cursor;
    struct tail_pin pin;
    bool reverse, live, may_block, silent, fresh; /* silent: frames are counted, not handed out; fresh: live, and from the tail */
    struct frame_id bound;                 /* last id to look at, in the direction of the read */
    size_t budget, produced;
    uint64_t started_us;
    unsigned looked;
    bool full; /* stop: budget, time, or limit */
    uint64_t now_ms;
    store_sink sink;
    void *arg;
    struct err damage; /* of a frame that was passed over */
};

/** Whether the frame passes the cursor's filter. */
bool cursor_wants(const struct store_cursor *cursor, struct span topic);
/** Passes a frame that nobody is to see. */
void slice_pass(struct slice *slice, struct frame_id id);
/** Looks at one frame: filter, visibility, sink, limit. Negative: the sink's error. */
int slice_frame(struct slice *slice, const struct frame *frame, struct span line);
/** The index's part, from cursor->next up to `bound` or down to it. */
int slice_index(struct slice *slice, struct frame_id bound, struct err *err);

#endif
