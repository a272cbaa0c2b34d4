/*
 * A share: frames of the log shared out to members, each to one of them, until it is done.
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
#ifndef DAEMON_SHARE_H
#define DAEMON_SHARE_H

#include <weir/id.h>

#define SHARE_MAX 10000 /**< frames above low: open, waiting and done together */
#define SHARE_NEVER UINT64_MAX

struct share_rules {
    bool by_topic;       /**< one frame of a topic at a time, in order */
    uint64_t max;        /**< times a frame is handed out before it is dead; 0 = no bound */
    uint64_t timeout_ms; /**< an open frame is handed to somebody else after that */
};

/**
 * Who gets frames. The owner's memory, zeroed first, which must stay until it has left and `open`
 * is 0.
 */
struct share_member {
    size_t open;   /**< frames it has and did not acknowledge */
    size_t window; /**< the most of them */
    bool willing;  /**< see share_willing */
    bool in_ring;
    bool leaving;
    uint64_t leaves_ms;
    struct share_member *prev, *next; /**< of those with room, or of those leaving */
};

enum share_state {
    SHARE_HELD,   /**< an older one of its topic comes first */
    SHARE_DUE,    /**< to be fetched and handed out */
    SHARE_TAKEN,  /**< being fetched */
    SHARE_OPEN,   /**< a member has it */
    SHARE_DEAD,   /**< its attempts are used up */
    SHARE_BURIED, /**< being put aside */
    SHARE_DONE
};
#define SHARE_STATES (SHARE_DONE + 1)

/** What is known of a frame. */
struct share_frame {
    struct frame_id id;
    uint64_t topic;
    uint64_t since_ms; /**< handed out */
    uint64_t attempts; /**< times it was handed out */
    struct share_member *member; /**< of an open one */
    struct share_frame *prev, *next; /**< of the same state, but done */
    struct share_frame *younger;     /**< of the same topic, not done */
    enum share_state state;
};

struct share_list {
    struct share_frame *first, *last;
    size_t count;
};

struct share_topic;

struct share {
    struct share_rules rules;
    struct frame_id low;  /**< everything offered up to here is done */
    struct frame_id read; /**< everything up to here was offered */
    struct share_frame **frames; /**< those above low, by id: [first, end) */
    size_t first, end, cap;
    struct share_list lists[SHARE_STATES];
    struct share_member *ring;    /**< members with room: who is next */
    struct share_member *leaving; /**< those who left and may still acknowledge */
    struct share_topic **topics;  /**< by_topic: topics with frames that are not done */
    struct frame_id *fresh;       /**< done and not recorded */
    size_t fresh_count, fresh_cap;
    struct frame_id recorded; /**< low of the last record */
    bool record_all;          /**< a record failed: the next has everything */
};

/** A share that begins behind `low`. -ENOMEM. */
int share_init(struct share *share, const struct share_rules *rules, struct frame_id low);
/** Members must have left. */
void share_finish(struct share *share);
/** After init: these frames above low are done. -ENOMEM. */
int share_load(struct share *share, const struct frame_id *done, size_t count);
/** Other rules from now on. -ENOMEM, and then nothing changed. */
int share_set_rules(struct share *share, const struct share_rules *rules);
/** Forgets every frame and begins behind `low`. Members stay, with nothing open. */
void share_reset(struct share *share, struct frame_id low);

/* --- members ---------------------------------------------------------------------------------- */

/** Whether the member can be given frames now; within its window. */
void share_willing(struct share *share, struct share_member *member, bool willing);
/**
 * It gets nothing more. What it has is handed back after grace_ms (SHARE_NEVER: when it times out).
 */
void share_leave(struct share *share, struct share_member *member, uint64_t now_ms,
                 uint64_t grace_ms);
/** It left and is forgotten: open is 0. */
void share_forget(struct share *share, struct share_member *member);

/* --- handing out ------------------------------------------------------------------------------ */

enum share_offer {
    SHARE_PASS, /**< known already, or done */
    SHARE_KEEP, /**< kept for later */
    SHARE_GIVE, /**< handed out to `to` */
    SHARE_WAIT, /**< nobody has room, or older ones come first: offer it again */
};
/** Offers the next frame; topic: a number of its topic. -ENOMEM. */
int share_offer(struct share *share, struct frame_id id, uint64_t topic, uint64_t now_ms,
                struct share_member **to);
/** Everything up to here was offered, or is not wanted. */
void share_passed(struct share *share, struct frame_id position);

/** Frames that members have room for, up to `most`. */
size_t share_room(const struct share *share, size_t most);
/** Takes the oldest that is due, to be fetched; then one of the next three. False: none is. */
bool share_take(struct share *share, struct frame_id *id);
/**
 * Hands a taken frame out. False: nobody has room, it is due again; or it was acknowledged
 * meanwhile.
 */
bool share_give(struct share *share, struct frame_id id, uint64_t now_ms, struct share_member **to);
/** A taken frame could not be fetched now: it is due again. */
void share_untake(struct share *share, struct frame_id id);
/** It is not in the log any more: done. */
void share_gone(struct share *share, struct frame_id id);

/* --- coming back ------------------------------------------------------------------------------ */

/**
 * The frame is done. False: it is not known, or was not handed out yet. True also when it was done
 * before.
 */
bool share_ack(struct share *share, struct frame_id id);
/** Everything that the member has up to this id; returns how many. */
size_t share_ack_upto(struct share *share, const struct share_member *member, struct frame_id id);
/** Hands an open frame back; `member` not NULL: only its own. False: it is not open. */
bool share_nack(struct share *share, struct frame_id id, const struct share_member *member);
/** Takes an open frame back that the member never saw: that is no attempt. */
void share_return(struct share *share, struct frame_id id, const struct share_member *member);
/** Hands back what timed out and what belongs to members whose grace is over. */
void share_tick(struct share *share, uint64_t now_ms);
/** When share_tick has something to do; SHARE_NEVER. */
uint64_t share_deadline(const struct share *share);

/** The next frame whose attempts are used up; then one of the next two. False: there is none. */
bool share_dead(struct share *share, struct frame_id *id, uint64_t *attempts);
/** It is put aside elsewhere: done. */
void share_buried(struct share *share, struct frame_id id);
/** It could not be: it is dead as before. */
void share_unburied(struct share *share, struct frame_id id);

/* --- looking ---------------------------------------------------------------------------------- */

/** Nothing waits to be handed out. */
bool share_idle(const struct share *share);
/** Frames above low that are done. */
size_t share_done(const struct share *share);

/** What is to be recorded of the share. */
struct share_record {
    struct frame_id low;
    struct frame_id *done; /**< above low; the caller frees it */
    size_t count;
};
/**
 * Whether there is something to record: acknowledgements, or (with `moved`) a low that moved
 * without one.
 */
bool share_dirty(const struct share *share, bool moved);
/** Takes it. -ENOMEM, and then it is there still. */
int share_record(struct share *share, struct share_record *out);
/** The record taken was not made. */
void share_record_failed(struct share *share);

#endif
