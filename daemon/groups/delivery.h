/*
 * A delivery: frames of the log shared out to members, each to one of them, until it is done.
 *
 *   offered -> held -> due -> taken -> open -> done
 *                       ^       handed back |
 *                       '------------------ +-> dead -> buried -> done
 *
 * Frames are offered in the order of their ids. `low` is the place: everything offered up to there
 * is done. Above it each frame is kept as a few words; the frame itself stays in the log and is
 * fetched again when it is handed out a second time.
 *
 * No I/O and no clock: times are passed in, in milliseconds of any clock that does not step back.
 * Thread rule: one owner.
 */
#ifndef DAEMON_GROUPS_DELIVERY_H
#define DAEMON_GROUPS_DELIVERY_H

#include <weir/id.h>

#define DELIVERY_MAX 10000 /**< frames above low: open, waiting and done together */
#define DELIVERY_NEVER UINT64_MAX

struct delivery_rules {
    bool by_topic;       /**< one frame of a topic at a time, in order */
    uint64_t max;        /**< times a frame is handed out before it is dead; 0 = no bound */
    uint64_t timeout_ms; /**< an open frame is handed to somebody else after that */
};

/**
 * Who gets frames. The owner's memory, zeroed first, which must stay until it has left and `open`
 * is 0.
 */
struct delivery_member {
    size_t open;   /**< frames it has and did not acknowledge */
    size_t window; /**< the most of them */
    bool willing;  /**< see delivery_willing */
    bool in_ring;
    bool leaving;
    uint64_t leaves_ms;
    struct delivery_member *prev, *next; /**< of those with room, or of those leaving */
};

enum delivery_state {
    DELIVERY_HELD,   /**< an older one of its topic comes first */
    DELIVERY_DUE,    /**< to be fetched and handed out */
    DELIVERY_TAKEN,  /**< being fetched */
    DELIVERY_OPEN,   /**< a member has it */
    DELIVERY_DEAD,   /**< its attempts are used up */
    DELIVERY_BURIED, /**< being put aside */
    DELIVERY_DONE
};
#define DELIVERY_STATES (DELIVERY_DONE + 1)

/** What is known of a frame. */
struct delivery_frame {
    struct frame_id id;
    uint64_t topic;
    uint64_t since_ms; /**< handed out */
    uint64_t attempts; /**< times it was handed out */
    struct delivery_member *member; /**< of an open one */
    struct delivery_frame *prev, *next; /**< of the same state, but done */
    struct delivery_frame *younger;     /**< of the same topic, not done */
    enum delivery_state state;
};

struct delivery_list {
    struct delivery_frame *first, *last;
    size_t count;
};

struct delivery_topic;

struct delivery {
    struct delivery_rules rules;
    struct frame_id low;  /**< everything offered up to here is done */
    struct frame_id read; /**< everything up to here was offered */
    struct delivery_frame **frames; /**< those above low, by id: [first, end) */
    size_t first, end, cap;
    struct delivery_list lists[DELIVERY_STATES];
    struct delivery_member *ring;    /**< members with room: who is next */
    struct delivery_member *leaving; /**< those who left and may still acknowledge */
    struct delivery_topic **topics;  /**< by_topic: topics with frames that are not done */
    struct frame_id *fresh;       /**< done and not recorded */
    size_t fresh_count, fresh_cap;
    struct frame_id recorded; /**< low of the last record */
    bool record_all;          /**< a record failed: the next has everything */
};

/** A delivery that begins behind `low`. -ENOMEM. */
int delivery_init(struct delivery *delivery, const struct delivery_rules *rules, struct frame_id low);
/** Members must have left. */
void delivery_finish(struct delivery *delivery);
/** After init: these frames above low are done. -ENOMEM. */
int delivery_load(struct delivery *delivery, const struct frame_id *done, size_t count);
/** Other rules from now on. -ENOMEM, and then nothing changed. */
int delivery_set_rules(struct delivery *delivery, const struct delivery_rules *rules);
/** Forgets every frame and begins behind `low`. Members stay, with nothing open. */
void delivery_reset(struct delivery *delivery, struct frame_id low);

/* --- members ---------------------------------------------------------------------------------- */

/** Whether the member can be given frames now; within its window. */
void delivery_willing(struct delivery *delivery, struct delivery_member *member, bool willing);
/**
 * It gets nothing more. What it has is handed back after grace_ms (DELIVERY_NEVER: when it times out).
 */
void delivery_leave(struct delivery *delivery, struct delivery_member *member, uint64_t now_ms,
                 uint64_t grace_ms);
/** It left and is forgotten: open is 0. */
void delivery_forget(struct delivery *delivery, struct delivery_member *member);

/* --- handing out ------------------------------------------------------------------------------ */

enum delivery_offer {
    DELIVERY_PASS, /**< known already, or done */
    DELIVERY_KEEP, /**< kept for later */
    DELIVERY_GIVE, /**< handed out to `to` */
    DELIVERY_WAIT, /**< nobody has room, or older ones come first: offer it again */
};
/** Offers the next frame; topic: a number of its topic. -ENOMEM. */
int delivery_offer(struct delivery *delivery, struct frame_id id, uint64_t topic, uint64_t now_ms,
                struct delivery_member **to);
/** Everything up to here was offered, or is not wanted. */
void delivery_passed(struct delivery *delivery, struct frame_id position);

/** Frames that members have room for, up to `most`. */
size_t delivery_room(const struct delivery *delivery, size_t most);
/** Takes the oldest that is due, to be fetched; then one of the next three. False: none is. */
bool delivery_take(struct delivery *delivery, struct frame_id *id);
/**
 * Hands a taken frame out. False: nobody has room, it is due again; or it was acknowledged
 * meanwhile.
 */
bool delivery_give(struct delivery *delivery, struct frame_id id, uint64_t now_ms, struct delivery_member **to);
/** A taken frame could not be fetched now: it is due again. */
void delivery_untake(struct delivery *delivery, struct frame_id id);
/** It is not in the log any more: done. */
void delivery_gone(struct delivery *delivery, struct frame_id id);

/* --- coming back ------------------------------------------------------------------------------ */

/**
 * The frame is done. False: it is not known, or was not handed out yet. True also when it was done
 * before.
 */
bool delivery_ack(struct delivery *delivery, struct frame_id id);
/** Everything that the member has up to this id; returns how many. */
size_t delivery_ack_upto(struct delivery *delivery, const struct delivery_member *member, struct frame_id id);
/** Hands an open frame back; `member` not NULL: only its own. False: it is not open. */
bool delivery_nack(struct delivery *delivery, struct frame_id id, const struct delivery_member *member);
/** Takes an open frame back that the member never saw: that is no attempt. */
void delivery_return(struct delivery *delivery, struct frame_id id, const struct delivery_member *member);
/** Hands back what timed out and what belongs to members whose grace is over. */
void delivery_tick(struct delivery *delivery, uint64_t now_ms);
/** When delivery_tick has something to do; DELIVERY_NEVER. */
uint64_t delivery_deadline(const struct delivery *delivery);

/** The next frame whose attempts are used up; then one of the next two. False: there is none. */
bool delivery_dead(struct delivery *delivery, struct frame_id *id, uint64_t *attempts);
/** It is put aside elsewhere: done. */
void delivery_buried(struct delivery *delivery, struct frame_id id);
/** It could not be: it is dead as before. */
void delivery_unburied(struct delivery *delivery, struct frame_id id);

/* --- looking ---------------------------------------------------------------------------------- */

/** Nothing waits to be handed out. */
bool delivery_idle(const struct delivery *delivery);
/** Frames above low that are done. */
size_t delivery_done(const struct delivery *delivery);

/** What is to be recorded of the delivery. */
struct delivery_record {
    struct frame_id low;
    struct frame_id *done; /**< above low; the caller frees it */
    size_t count;
};
/**
 * Whether there is something to record: acknowledgements, or (with `moved`) a low that moved
 * without one.
 */
bool delivery_dirty(const struct delivery *delivery, bool moved);
/** Takes it. -ENOMEM, and then it is there still. */
int delivery_record(struct delivery *delivery, struct delivery_record *out);
/** The record taken was not made. */
void delivery_record_failed(struct delivery *delivery);

#endif
