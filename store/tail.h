/*
 * The tail: the newest frames in memory, in id order, by groups as they were committed; and the
 * shadow: what removals and cuts hide until the index has them.
 *
 * Invariants:
 *  1. Every record above the index's last one is here. Groups leave only from the old end, only
 * when indexed, and never while a pin taken before is held.
 *  2. Everything with an id above `floor` is here; everything stored at or below it is in the index
 * (imports, which are never here, empty the tail up to themselves before they are answered).
 *  3. While holds are in force, a group with an ephemeral frame at or above the lowest of them leaves
 *     only when the tail has TAIL_HOLD_MAX bytes, or by tail_evict: what an import empties it does
 *     empty, since a reader looks for the import below the floor.
 *  4. Removals and cuts of record n hide for every reader whose pin ends at n or later; they are
 *     forgotten with the group of record n.
 *
 * Thread rule: publish by the writer thread; tail_indexed and tail_evict by the index thread; pins
 * reads and holds by any thread. Groups reached through a pin are immutable (but for their rendered
 * lines) and live until it is given back. Pins are held for about a millisecond, never over a
 * socket.
 */
#ifndef STORE_TAIL_H
#define STORE_TAIL_H

#include <pthread.h>
#include <stdatomic.h>

#include <weir/frame.h>
#include <weir/store.h>

#include "base/buf.h"

#define TAIL_HOLD_MAX (32u * 1024 * 1024)

/** One frame of a group: where its record lies. */
struct tail_frame {
    struct frame_id id;
    struct span record;    /**< stored form; points into the group */
    uint64_t content_next; /**< older entry of the same content bucket, 0 = none */
    uint32_t topic_no;
    bool ephemeral;
};

/** Frames of one group rendered as JSON lines: line i is bytes[at[i]..at[i+1]). */
struct tail_lines {
    struct buf bytes;
    uint32_t *at;
};

/** What one commit made visible. */
struct tail_group {
    uint64_t ordinal; /**< 1, 2, ... of all groups since open */
    uint64_t
        number;  /**< its record; of a group of ephemeral frames only: the last record before it */
    bool stored; /**< has a record */
    struct buf ops;       /**< the record's operations */
    struct buf ephemeral; /**< frame records of ephemeral frames */
    struct tail_frame *frames;
    size_t count;
    size_t ephemerals;
    struct frame_id last_ephemeral; /**< the highest of them; set when it is published */
    struct frame_id last_id; /**< no frame of this record or one before has a higher id. The writer
                                sets it for imports, which are not in `frames` */
    _Atomic(struct tail_lines *) lines;
    size_t lines_bytes; /**< counted for them, under the tail's lock */
};

struct shadow;

struct tail_pin {
    uint64_t first;           /**< ordinal of the oldest group; first > last: empty */
    uint64_t last;            /**< ordinal of the newest group */
    uint64_t number;          /**< newest record visible */
    struct frame_id floor;    /**< invariant 2 */
    struct frame_id end;      /**< highest id visible */
    uint64_t ephemerals;      /**< ephemeral frames published since open */
    uint64_t lost_ephemerals; /**< and of these, evicted */
    struct tail_pin *prev, *next;
};

struct tail {
    pthread_mutex_t lock;
    pthread_cond_t unpinned;
    struct tail_group **ring; /**< group of ordinal o at ring[o & mask] */
    uint64_t mask;
    uint64_t first, last; /**< ordinals; first > last: empty */
    uint64_t number;      /**< newest record */
    uint64_t indexed;     /**< newest record in the index */
    struct frame_id floor, end;
    size_t bytes, unindexed; /**< of groups held; of those that must stay: not indexed, or ephemeral
                                behind such */
    size_t budget;
    size_t frames;
    uint64_t ephemerals, lost_ephemerals; /* published, evicted since open */
    struct tail_pin pins;                 /**< list head, oldest pin first */
    struct store_hold holds;              /**< list head; its `from` is the lowest, ID_MAX = none */
    uint64_t *content; /**< buckets: packed group ordinal and frame, see tail_content */
    size_t content_mask, content_used;
    struct shadow *shadow;
};

/** Starts empty behind record `number` with everything up to `floor` in the index. -ENOMEM. */
int tail_init(struct tail *tail, size_t budget, uint64_t number, struct frame_id floor);
void tail_finish(struct tail *tail);

/** A group with room for `frames`; NULL without memory. */
struct tail_group *tail_group_create(size_t frames);
void tail_group_destroy(struct tail_group *group);

/** What a record hides. Cuts, trims and drops of one topic only rise. */
struct tail_hide {
    bool cut;    /**< frames of a topic below a seq; else a removal of one frame */
    bool strict; /**< cut: a trim; live followers are spared what it hides too */
    bool drop;   /**< cut: the topic is dropped, all its stored frames go; strict */
    struct frame_id id;
    uint32_t topic_no;
    uint64_t seq;
};

/** Makes a group visible; takes it. hides: what its record removes. -ENOMEM: nothing happened. */
int tail_publish(struct tail *tail, struct tail_group *group, const struct tail_hide *hides,
                 size_t hide_count);
/** Reserves so that the next tail_publish with up to `hides` cannot fail. -ENOMEM. */
int tail_reserve(struct tail *tail, size_t frames, size_t hides);

/** The index holds records up to `number`; evicts within the budget. */
void tail_indexed(struct tail *tail, uint64_t number);
/** Evicts every group up to record `number` (all indexed), held or not, waiting for pins. */
void tail_evict(struct tail *tail, uint64_t number);
/** Evicts within the budget what piled up while it was held. */
void tail_trim(struct tail *tail);
/** Changes the budget, and evicts within it. */
void tail_keep(struct tail *tail, size_t budget);

/** Holds from an id on; one that is held already moves. True: something was kept by it alone, and tail_trim is due. */
bool tail_hold(struct tail *tail, struct store_hold *hold, struct frame_id from);
/** Ends a hold, if it is held. Returns as above. */
bool tail_unhold(struct tail *tail, struct store_hold *hold);

void tail_pin(struct tail *tail, struct tail_pin *pin);
void tail_unpin(struct tail *tail, struct tail_pin *pin);

/** Bytes that must stay until the index has moved. */
size_t tail_unindexed(struct tail *tail);

/** A group by ordinal within the pin. */
struct tail_group *tail_at(struct tail *tail, uint64_t ordinal);
/** Ordinal of the first group in the pin of a record above `number`, or behind it; pin->last + 1 when none. */
uint64_t tail_after(struct tail *tail, const struct tail_pin *pin, uint64_t number);
/** Ordinal of the first group in the pin whose last id is >= id; pin->last + 1 when none. */
uint64_t tail_seek(struct tail *tail, const struct tail_pin *pin, struct frame_id id);
/** Index of the first frame of the group with an id >= id; group->count when none. */
size_t tail_group_seek(const struct tail_group *group, struct frame_id id);
/** A frame by id within the pin; false when not there. */
bool tail_find(struct tail *tail, const struct tail_pin *pin, struct frame_id id,
               struct span *record, bool *ephemeral);
/** Calls each for frames of the tail whose content prefix fits (newest first) until it returns
 * nonzero, which is returned. */
int tail_content(struct tail *tail, const struct tail_pin *pin,
                 const uint8_t digest[static DIGEST_SIZE],
                 int (*each)(void *arg, const struct frame *frame), void *arg);

/**
 * The group's frames as JSON lines; rendered once, by the first who asks, and counted in the budget. NULL without memory.
 * The caller holds a pin.
 */
const struct tail_lines *tail_group_lines(struct tail *tail, struct tail_group *group);

/** Whether a removal or cut of a record visible to the pin hides this frame. */
bool tail_hides(struct tail *tail, const struct tail_pin *pin, const struct frame *frame);
/** Whether a removal, a trim or a drop does: what a live follower is spared. It gets what last:N cut since, as it was appended. */
bool tail_removes(struct tail *tail, const struct tail_pin *pin, const struct frame *frame);

#endif
