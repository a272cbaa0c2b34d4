/*
 * Frames in a body on their way into the store: decoded part by part on the pool, committed group
 * by group.
 *
 * A part is what has come in while the part before was decoded and committed, so a slow sender's
 * frames are committed as they come and a fast one's in large groups. What waits is bounded: the
 * body is paused.
 */
#ifndef DAEMON_INTAKE_H
#define DAEMON_INTAKE_H

#include "base/frame_json.h"
#include "daemon/dump.h"
#include "daemon/exchange.h"
#include "daemon/recall.h"

#define INTAKE_BODY_MAX (8 * 1024 * 1024) /**< of an atomic body, and of a line */
#define INTAKE_FRAMES_MAX 10000           /**< of an atomic body, and up to a cursor's line */
#define INTAKE_GROUP 4000                 /**< frames committed at once from a stream */
#define INTAKE_WAITING (1024 * 1024)       /**< taken ahead while a part is worked on */

enum intake_form {
    INTAKE_ONE,   /**< the body is one frame */
    INTAKE_BATCH, /**< lines, all or nothing */
    INTAKE_LINES, /**< lines, committed as they come */
    INTAKE_DUMP,  /**< our own dump, likewise */
};

/** What a group's frame needs beside the frame. */
struct intake_note {
    uint64_t line;
    uint8_t *copy; /**< content copied for it, or NULL */
};

/** Frames decoded from one part, or of a stream with cursors from several. */
struct intake_group {
    struct store_frame *frames;
    struct intake_note *notes;
    size_t count, cap;
    struct store_mark *marks; /**< of a dump, whose ids are the group's; cursors */
    size_t mark_count, mark_cap;
    struct store_topic *topics; /**< of a dump; their spans point into the part */
    size_t topic_count, topic_cap;
    struct buf pinned; /**< digests, pinned once each */
};

/** Where a group of a stream with cursors may end: behind a cursor's line. */
struct intake_unit {
    size_t taken, frames, marks;
    uint64_t lines;
};

/** A part that frames of the group point into though the next is worked on, with its scratch. */
struct intake_kept {
    struct buf part, scratch;
    struct intake_kept *next;
};

struct intake {
    struct exchange x;
    enum intake_form form;
    enum store_op_kind kind; /**< STORE_APPEND or STORE_IMPORT */
    enum authority authority;
    struct span origin; /**< of the frames of a batch */
    bool allow_missing;

    struct buf input; /**< came in, not taken */
    size_t complete;  /**< of it, up to the last newline */
    bool ended, busy, answered;
    struct job job;
    struct buf part; /**< being worked on; the group's spans point into it and into scratch */
    bool final;      /**< nothing comes behind the part */
    size_t taken;    /**< of the part, by the jobs so far */
    bool part_left;  /**< lines: the group was full before the part was at its end */
    struct buf scratch;
    struct intake_unit unit;  /**< stream with cursors: the last one's end in this part; frames and marks 0: none */
    size_t unit_bytes;        /**< lines since */
    bool gathering;           /**< its end is further on */
    struct intake_kept *kept;
    struct intake_group group;
    struct dump_reader *dump;
    struct cas_put *put;       /**< of a dump: the content being written, and */
    uint8_t blob[DIGEST_SIZE]; /**< its digest as the dump says */

    struct submission submission;
    struct recall recall;
    size_t single; /**< after a refused group: its frames are tried one by one, this one next */
    bool one_by_one;

    uint64_t record;           /**< newest that frames went into */
    uint64_t lines;            /**< looked at */
    uint64_t frames, existing; /**< committed; of these, there already */
    uint64_t marks;            /**< committed: of a dump; cursors */
    uint64_t cursor_ms;        /**< when the last cursor was taken */
    struct frame_id first, last;
    int result; /**< 0, or why it ended */
    struct err err;
    uint64_t bad_line; /**< where */
};

/** Sets up; x->req is there and the query parsed. */
void intake_begin(struct intake *in, enum intake_form form, enum store_op_kind kind);
/** As of struct route. */
size_t intake_body(struct exchange *x, struct span bytes);
void intake_end(struct exchange *x);
void intake_finish(struct exchange *x);

/* --- decoding (pool)
 * -------------------------------------------------------------------------------- */

/** Room for one more frame, zeroed; NULL without memory. */
struct store_frame *intake_add(struct intake *in);
/** Room for one more mark; NULL without memory. */
struct store_mark *intake_add_mark(struct intake *in);
/** Room for one more topic; NULL without memory. */
struct store_topic *intake_add_topic(struct intake *in);
/** Sets content that came along: kept inline or as a blob. */
int intake_content(struct intake *in, struct store_frame *frame, struct span bytes);
/** Finds content that is only named. ERR_CONFLICT when it is nowhere, unless missing is allowed. */
int intake_named(struct intake *in, struct store_frame *frame, bool allow_missing);
/** Takes as much of in->part, from in->taken on, as makes whole frames and a group; sets in->taken, in->result and in->bad_line. */
void intake_decode_lines(struct intake *in);
void intake_decode_dump(struct intake *in);

#endif
