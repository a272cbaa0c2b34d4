/*
 * A group being formed by the writer: operations judged in arrival order, encoded, not yet written.
 */
#ifndef STORE_GROUP_H
#define STORE_GROUP_H

#include "store/state.h"

#define GROUP_BYTES (256 * 1024)
#define GROUP_FRAMES 1000
#define GROUP_MARKS 1000

/** A frame of the group before its bytes have their final place. */
struct group_frame {
    struct frame_id id;
    uint32_t topic_no;
    bool ephemeral;
    size_t at, len; /**< in ops or ephemeral */
};

/** Acknowledgements of one mark, gathered until the group is closed or the mark is changed otherwise. */
struct group_ack {
    struct span name; /**< of the first operation's, which lives as long as the group */
    struct frame_id low;
    struct buf acked; /**< ids, 16 bytes each, as they came */
};

#define GROUP_ACKS 32 /**< marks gathered at once; of more, the first is written out */

struct group {
    struct store *store;
    uint64_t number; /**< the record it will be */
    uint64_t now_ms;
    struct buf ops;       /**< record under way */
    struct buf ephemeral; /**< frame records of ephemeral frames */
    struct group_frame *frames;
    size_t frame_count, frame_cap;
    struct tail_hide *hides;
    size_t hide_count, hide_cap;
    struct group_ack acks[GROUP_ACKS];
    size_t ack_count;
    size_t ack_bytes; /**< of acked */
    size_t marks;     /**< changes of marks judged */
    struct shadow *shadow;               /**< of the hides; made with the first */
    struct store_op *taken, **taken_end; /**< judged, in order */
    struct tail_pin pin;
    struct index_snap *snap; /**< opened at first need */
    struct frame_id highest; /**< highest id in it, those of imports too */
    bool imports;  /**< has frames that only the index will have: what must see them waits */
    bool deferred; /**< holds an import or a loose content: answer after the index has it */
};

int group_begin(struct group *group, struct store *store);
/** Gives back pin and snapshot. */
void group_release(struct group *group);
void group_finish(struct group *group);

/** The group's snapshot. */
int group_snap(struct group *group, struct index_snap **out, struct err *err);
/** Encodes a frame: as OP_FRAME (in the tail), OP_IMPORT (index only), or ephemeral. */
int group_add_frame(struct group *group, const struct frame *frame, bool import);
/** Encodes that a frame is removed, or the frames of a topic below a seq, and hides them. */
int group_put_remove(struct group *group, struct frame_id id);
int group_put_cut(struct group *group, uint32_t topic_no, uint64_t seq);
/** Whether a frame is hidden: by the shadow, or by this group. */
bool group_hides(struct group *group, const struct frame *frame);
/** A stored frame by id, not hidden: ERR_NOT_FOUND, ERR_DAMAGED. */
int group_find(struct group *group, struct frame_id id, struct frame *out, struct err *err);
/** The head of a topic, loaded if need be; a topic never seen has no = 0. */
int group_head(struct group *group, struct span name, struct head **out, struct err *err);
/** Gives the topic its number if it has none. */
int group_number_topic(struct group *group, struct head *head);
/** Encodes a trim of the topic, or its drop, and hides what it takes. */
int group_put_trim(struct group *group, uint32_t topic_no, uint64_t seq);
int group_put_drop(struct group *group, uint32_t topic_no);

/** Whether every mark of the operation may be applied: 0, or a code with op->err set. */
int group_check_marks(struct store_op *op);
/** Applies the operation's marks. */
int group_put_marks(struct group *group, const struct store_op *op);
/** Writes out what is gathered, once everything is judged. */
int group_close_marks(struct group *group);
/** Bytes the record has so far, with what is gathered. */
size_t group_size(const struct group *group);

/** Judge one operation: sets op->result; negative return = the whole group must be given up (no
 * memory). */
int judge_append(struct group *group, struct store_op *op);
int judge_import(struct group *group, struct store_op *op);
int judge_remove(struct group *group, struct store_op *op);
int judge_content(struct group *group, struct store_op *op);
int judge_topic(struct group *group, struct store_op *op);

/* What judge_append shares with judge_stream. */

/** The limits of what an operation brings; sets op->result. False: it is refused. */
bool judge_limits(struct store_op *op);
/** An idempotency key: 1: it is known, op->result is set. 0: new; `digest` is that of the request. */
int judge_key(struct group *group, struct store_op *op, const struct head *head, uint8_t digest[static DIGEST_SIZE]);
/** Notes that the key is taken by the operation's frames. */
int judge_keep_key(struct group *group, struct store_op *op, struct head *head, const uint8_t digest[static DIGEST_SIZE]);
/** Token, seq, newest id: 0 or ERR_CONDITION, with what is in force in the operation. */
int judge_conditions(struct group *group, struct store_op *op, const struct head *head);
/** The id of the operation's frame i. */
struct frame_id judge_id(struct group *group, const struct store_op *op, size_t i);
/** The frame as it is stored, but for the topic's number and the timestamp's place among others. */
void judge_frame(struct frame *out, const struct store_frame *in, const struct store_op *op);
uint64_t judge_deadline(struct ttl ttl, uint64_t born_ms);
/** The timestamp that a topic's rules give a frame: the client's, if it may have one, or `now`. judge_take raises it to the topic's last. */
uint64_t judge_stamp(const struct topic_rules *rules, const struct store_frame *in, uint64_t now);
/** Counts a frame that gets `seq` or none into its topic's head; raises its timestamp to the topic's last. */
int judge_take(struct group *group, struct head *head, struct frame *frame);
/** A stream append. */
int judge_stream(struct group *group, struct store_op *op);

/* Topics: topic.c. */

/** Makes a topic that is not there. */
int topic_make(struct group *group, struct head *head, const struct topic_make *make);
/** Whether rules and note are these already. */
bool topic_is_set(const struct head *head, const struct topic_rules *rules, struct span note);
/** Encodes what the head says of rules, note, revision and making. */
int topic_put_set(struct group *group, struct head *head);
/** Whether an import's topics can be restored; and one restored, behind the import's frames. */
int topic_check_restore(struct group *group, struct store_op *op);
int topic_restore(struct group *group, const struct store_topic *to, struct err *err);
/** Frames with a lower seq are gone. Never back. */
int topic_trim(struct group *group, struct head *head, uint64_t seq, struct err *err);
/** Likewise, if that takes no frame; else nothing. */
int topic_trim_empty(struct group *group, struct head *head, uint64_t seq, struct err *err);
/** Counts exactly what a trim through holes left uncounted. May take long in a topic of millions. */
int topic_count(struct group *group, struct head *head, struct err *err);
/** Fills out->view as the topic is; its name borrows from `name`. */
void topic_view(struct group *group, struct head *head, struct span name, struct store_topic_op *out);
/** Whether a note and rules can be kept. */
int topic_check_make(const struct topic_make *make, struct err *err);

/** After a frame with ttl last:keep: cuts the topic to so many. */
int cut_topic(struct group *group, struct head *head, uint64_t keep, struct err *err);
/** After frame `i` of an import: whatever its place, the newest frame's ttl last:N holds again. */
int cut_after_import(struct group *group, struct head *head, struct store_op *op, size_t i);
/** Notes that a frame of the topic is removed. */
int group_remove(struct group *group, struct head *head, const struct frame *frame);

#endif
