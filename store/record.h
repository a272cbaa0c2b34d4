/*
 * What a record of the log holds: operations, and the stored form of a frame.
 *
 * Operation, integers big-endian:
 *   offset  size  field
 *   0       1     type (enum op_type)
 *   1       4     length of the body
 *   5       n     body
 *
 * Bodies:
 *   OP_FRAME     a frame record (below)
 *   OP_IMPORT    a frame record whose id is not above all before it: for the index only, never in the tail
 *   OP_REMOVE    id 16
 *   OP_CUT       topic number 4, seq 8: frames of the topic with a lower seq are gone
 *   OP_CONTENT   digest 32, time ms 8, bytes: a content without a frame
 *   OP_TOPIC     topic number 4, name bytes: a new topic, before its first frame
 *   OP_KEY       topic number 4, time ms 8, request digest 32, first id 16, count 4, key bytes: an idempotency key
 *   OP_MARK_ACK  name length 2, low id 16, name, acked ids 16 each: moves a mark forward, makes it when it is new
 *   OP_MARK_SET  name length 2, config length 4, low id 16, name, config, acked ids 16 each: the whole mark
 *   OP_MARK_DROP name bytes: the mark is forgotten
 *   OP_TOPIC_SET topic number 4, stamp mode 1, flags 1 (1 uncapped), zero 2, made at ms 8, revision 8, retention ms 8,
 *                empty after ms 8, note bytes: what a topic's owner says of it
 *   OP_TOKEN     topic number 4, token bytes: the topic's fencing token, none = it has none
 *   OP_TRIM      topic number 4, seq 8: frames of the topic with a lower seq are gone, those without seq stay
 *   OP_TOPIC_DROP  topic number 4: the topic and all its frames are gone, its name is free
 *   OP_TOPIC_RAISE topic number 4, next seq 8, last stamp 8: the topic's end is at least there (of a dump)
 *
 * The ids of a mark rise strictly and lie above its low id. Names, configs and ids are at most what weir/store.h says.
 *
 * Frame record, version 1:
 *   offset  size  field
 *   0       1     version = 1
 *   1       1     flags (RECORD_*)
 *   2       1     authority
 *   3       1     ttl kind
 *   4       4     topic number
 *   8       16    id
 *   24      8     seq (0 without RECORD_SEQ)
 *   32      8     ttl value
 *   40      8     deadline, ms since the epoch (0 = never)
 *   48      8     S2 timestamp (the id's time unless a client chose another)
 *   56      8     content size
 *   64      32    content digest (zero without RECORD_HASH)
 *   96      4     meta length
 *   100     2     topic length
 *   102     2     origin length (who appended through a program's address; 0 = none)
 *   104     .     topic, meta, origin, then content (content size bytes with RECORD_INLINE)
 *
 * Invariants: 1. The lengths add up to the record's length exactly. 2. RECORD_INLINE implies
 * RECORD_HASH. 3. A field without meaning is zero: seq without RECORD_SEQ, digest and content size
 * without RECORD_HASH, the ttl value of a kind that has none. 4. A decoder accepts nothing that breaks
 * 1 to 3, no unknown flag, kind or authority; so what decodes encodes to the same bytes.
 * Version rule: a new field takes a new version; readers know every version up to their own.
 */
#ifndef STORE_RECORD_H
#define STORE_RECORD_H

#include <weir/frame.h>
#include <weir/store.h>

#include "base/buf.h"

enum op_type {
    OP_FRAME = 1,
    OP_IMPORT = 2,
    OP_REMOVE = 3,
    OP_CUT = 4,
    OP_CONTENT = 5,
    OP_TOPIC = 6,
    OP_KEY = 7,
    OP_MARK_ACK = 8,
    OP_MARK_SET = 9,
    OP_MARK_DROP = 10,
    OP_TOPIC_SET = 11,
    OP_TOKEN = 12,
    OP_TRIM = 13,
    OP_TOPIC_DROP = 14,
    OP_TOPIC_RAISE = 15,
};

#define RECORD_HEAD 104
#define RECORD_HASH 1u
#define RECORD_INLINE 2u
#define RECORD_SEQ 4u
#define RECORD_COMMAND 8u

/**
 * Appends the stored form of a frame (no operation head). -ENOMEM; ERR_TOO_LARGE for a topic or origin
 * over 65 535 bytes or a frame that does not fit 32 bits; ERR_INVALID for content without a hash or not
 * of content_size bytes. `out` is unchanged on failure.
 */
int record_put_frame(struct buf *out, const struct frame *frame);
/** Bytes record_put_frame will add. */
size_t record_frame_size(const struct frame *frame);
/** Reads a stored frame; spans point into `bytes`. ERR_DAMAGED names what does not fit. */
int record_get_frame(struct frame *out, struct span bytes, struct err *err);

/** A mark inside an operation. */
struct op_mark {
    struct span name;
    struct span config;  /**< SET */
    struct frame_id low; /**< ACK, SET */
    struct span acked;   /**< ACK, SET: ids, 16 bytes each */
};

/** What a topic's owner says of it. */
struct op_topic {
    uint64_t created_ms, revision;
    struct topic_rules rules;
    struct span note;
};

/** One operation as read: body is the raw bytes; the member named like the type is filled. */
struct op {
    enum op_type type;
    struct span body;
    struct frame_id id;                  /**< REMOVE; KEY: first id */
    uint32_t topic_no;                   /**< CUT, TRIM, KEY, TOKEN, TOPIC and TOPIC_* */
    uint64_t seq;                        /**< CUT, TRIM; TOPIC_RAISE: next seq */
    uint64_t stamp;                      /**< TOPIC_RAISE */
    uint64_t time_ms;                    /**< CONTENT, KEY */
    uint32_t count;                      /**< KEY: frames of the request */
    const uint8_t *digest;               /**< CONTENT, KEY: 32 bytes */
    struct span text;                    /**< TOPIC: name; KEY: key; CONTENT: bytes; TOKEN: token */
    struct op_mark mark;                 /**< MARK_* */
    struct op_topic topic;               /**< TOPIC_SET */
};

/**
 * Append an operation with its head; `out` is unchanged on failure. -ENOMEM; ERR_TOO_LARGE for a body
 * of 4 GiB or more; op_put_frame also what record_put_frame says. Its type is OP_FRAME or OP_IMPORT.
 */
int op_put_frame(struct buf *out, enum op_type type, const struct frame *frame);
int op_put_remove(struct buf *out, struct frame_id id);
int op_put_cut(struct buf *out, uint32_t topic_no, uint64_t seq);
int op_put_content(struct buf *out, const uint8_t digest[static DIGEST_SIZE], uint64_t time_ms, struct span bytes);
int op_put_topic(struct buf *out, uint32_t topic_no, struct span name);
int op_put_key(struct buf *out, uint32_t topic_no, struct span key, uint64_t time_ms,
               const uint8_t digest[static DIGEST_SIZE], struct frame_id first, uint32_t count);
/** Of type OP_MARK_*. ERR_INVALID for a mark that op_next would refuse; fields that the type has not are not looked at. */
int op_put_mark(struct buf *out, enum op_type type, const struct op_mark *mark);
/** ERR_INVALID for a note over TOPIC_NOTE_MAX bytes, or a token over TOKEN_MAX. */
int op_put_topic_set(struct buf *out, uint32_t topic_no, const struct op_topic *topic);
int op_put_token(struct buf *out, uint32_t topic_no, struct span token);
int op_put_trim(struct buf *out, uint32_t topic_no, uint64_t seq);
int op_put_topic_drop(struct buf *out, uint32_t topic_no);
int op_put_topic_raise(struct buf *out, uint32_t topic_no, uint64_t next_seq, uint64_t stamp);

/**
 * Takes the next operation off `rest`; its spans point into what `rest` points into. The frame inside
 * OP_FRAME and OP_IMPORT is left to record_get_frame. ERR_END at the end; ERR_DAMAGED for what does not
 * fit, and then `rest` stands still.
 */
int op_next(struct op *out, struct span *rest, struct err *err);
/** For op_next: fills op->mark from the body of an OP_MARK_*. False when it does not fit. */
bool op_mark_read(struct op *op);
/** Likewise of OP_TOPIC_SET, OP_TOKEN, OP_TRIM, OP_TOPIC_DROP and OP_TOPIC_RAISE. */
bool op_topic_read(struct op *op);

#endif
