/*
 * The dump: a whole store, or part of it, as one stream of bytes (application/x-weir-dump).
 *
 * Integers are big-endian.
 *
 *   offset  size  field
 *   0       8     "weirdump"
 *   8       4     version: 3 when it may have topics or items over 400 KiB, 2 when it has marks, else 1
 *   12      4     zero
 *   16      16    uuid of the store it came from
 *   32      .     items
 *
 * Item:
 *   0       1     type: 'F' frame, 'B' content begins, 'D' bytes of it, 'T' topic, 'M' mark, 'A' more of it,
 *                 'E' end
 *   1       4     length of the body, at most 4 MiB
 *   5       n     body
 *
 * Bodies:
 *   'F'  0    1   flags: 1 content, 2 content is in this item, 4 seq, 8 command, 16 content was missing
 *        1    1   authority        2   1   ttl kind        3   1   zero           4   16  id
 *        20   8   seq              28  8   ttl value       36  8   deadline ms    44  8   S2 timestamp
 *        52   8   content size     60  32  content digest  92  4   meta length    96  2   topic length
 *        98   2   origin length    100 .   topic, meta, origin, content
 *   'B'  0    32  digest           32  8   size
 *   'D'  0    n   bytes of the content begun last
 *   'T'  0    2   name length      2   1   token length    3   1   stamp mode     4   1   flags: 1 uncapped
 *        5    1   zero             6   2   note length     8   8   made at ms     16  8   revision
 *        24   8   retention ms     32  8   empty after ms  40  8   next seq       48  8   last S2 timestamp
 *        56   8   trim point       64  .   name, token, note
 *   'M'  0    2   name length      2   4   config length   6   16  low id
 *        22   .   name, config, acknowledged ids 16 each, at most 10 000
 *   'A'  0    2   name length      2   .   name of the mark begun last, at most 10 000 ids more
 *   'E'  0    8   frames           8   8   contents        16  8   XXH3-64 of all bytes before this item
 *
 * Invariants: 1. Frames come in the order of their ids. 2. A content that is not in its frame's
 * item is begun before the first frame that names it, and whole. 3. 'E' comes once, last: a dump
 * without it is cut.
 * 4. Topics come behind all frames, in byte order of their names, and so do marks behind all topics; the ids of
 * a mark rise strictly, all above its low id. Only a dump of version 2 has marks and only one of version 3 topics, and only one of
 * a whole store: each frame that came with an acknowledgement is in it.
 * 5. Lengths add up exactly; a field without meaning is zero; unknown flags, kinds and types are
 * refused. Version rule: a reader refuses a version above its own and knows all below.
 */
#ifndef DAEMON_DUMP_H
#define DAEMON_DUMP_H

#include <weir/store.h>

#include "base/buf.h"

#define DUMP_HEAD 32
#define DUMP_ITEM_HEAD 5
#define DUMP_BODY_MAX (4 * 1024 * 1024)
#define DUMP_PART (400 * 1024) /**< bytes that are worth being read at once */
#define DUMP_DATA_MAX (256 * 1024)

/* --- writing
 * ------------------------------------------------------------------------------------------- */

struct dump_writer;
int dump_writer_create(struct dump_writer **out);
void dump_writer_destroy(struct dump_writer *w);
/** Each appends to `out`: -ENOMEM, and then the dump cannot go on. */
/** marks, topics: whether some may come; topics also when items over 400 KiB may. */
int dump_put_head(struct dump_writer *w, struct buf *out, const uint8_t uuid[static 16],
                  bool marks, bool topics);
/** missing: its content could not be found, which is told so. */
int dump_put_frame(struct dump_writer *w, struct buf *out, const struct frame *frame, bool missing);
int dump_put_blob(struct dump_writer *w, struct buf *out, const uint8_t digest[static DIGEST_SIZE],
                  uint64_t size);
int dump_put_data(struct dump_writer *w, struct buf *out, struct span bytes);
/** The item of a topic; and the items of a mark. For dump_put_rest when the frames are through, topics first. */
int dump_topic_item(struct buf *out, const struct store_topic *topic);
int dump_mark_items(struct buf *out, const struct store_mark_view *mark);
/** Some of the bytes that dump_topic_item and dump_mark_items gave, in order. */
int dump_put_rest(struct dump_writer *w, struct buf *out, struct span items);
int dump_put_end(struct dump_writer *w, struct buf *out);

/* --- reading
 * ------------------------------------------------------------------------------------------- */

enum dump_type { DUMP_FRAME, DUMP_BLOB, DUMP_DATA, DUMP_TOPIC, DUMP_MARK, DUMP_END };

/** One item; spans point into what was given. */
struct dump_item {
    enum dump_type type;
    struct frame frame;
    bool missing;                /**< FRAME: its content was */
    uint8_t digest[DIGEST_SIZE]; /**< BLOB */
    uint64_t size;               /**< BLOB */
    bool whole;                  /**< DATA, and BLOB of no bytes: the content is complete now */
    struct span bytes;           /**< DATA */
    struct store_topic topic;    /**< TOPIC: name, making, rules, note, revision, token and end */
    bool more;                   /**< MARK: of the one before, only ids */
    struct span name, config;    /**< MARK */
    struct frame_id low;         /**< MARK */
    struct span acked;           /**< MARK: ids, 16 bytes each */
};

struct dump_reader;
int dump_reader_create(struct dump_reader **out);
void dump_reader_destroy(struct dump_reader *r);
/**
 * Takes the next item off `rest`. ERR_END: more bytes are needed (rest stands still). ERR_INVALID,
 * ERR_FORMAT name the fault. The checks of order, sizes and checksum are made here.
 */
int dump_next(struct dump_reader *r, struct span *rest, struct dump_item *out, struct err *err);
/** Whether the end was read. */
bool dump_ended(const struct dump_reader *r);

#endif
