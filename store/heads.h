/*
 * Topic heads: what the writer must know of each topic it appends to. The writer thread's own.
 *
 * A head is loaded from the index when it is first needed and then kept true by the writer. It may
 * be dropped only when the index holds every change of it.
 */
#ifndef STORE_HEADS_H
#define STORE_HEADS_H

#include <weir/frame.h>
#include <weir/store.h>

/** A frame of the topic that the index may not have yet. */
struct head_recent {
    struct frame_id id;
    uint64_t seq;
    uint64_t number; /**< its record */
};

struct head {
    struct head *chain;
    uint32_t no;
    uint64_t next_seq;
    struct frame_id last_id;
    uint64_t last_stamp;
    uint64_t live;              /**< frames, with and without seq */
    uint64_t live_seq;          /**< frames with seq */
    uint64_t first_seq;         /**< no live frame has a lower seq */
    uint64_t trim;              /**< frames with a lower seq were trimmed or cut; <= first_seq */
    bool uncounted;             /**< live and live_seq are at most: a trim went through holes */
    uint64_t created_ms, revision;
    struct topic_rules rules;
    uint8_t *note;              /**< the owner's; NULL = none */
    uint16_t note_len;
    uint8_t token_len;
    uint8_t token[TOKEN_MAX];
    uint64_t changed;           /**< newest record that changed it */
    struct head_recent *recent; /**< live frames with seq, oldest first */
    size_t recent_at, recent_count, recent_cap;
    size_t name_len;
    char name[];
};

struct heads {
    struct head **buckets;
    size_t mask, count;
    size_t trim_above;   /**< heads_trim walks when there are more */
    uint32_t topic_last; /**< highest topic number given */
};

/** Topics kept before clean ones are dropped. */
#define HEADS_MAX 65536

int heads_init(struct heads *heads, uint32_t topic_last);
void heads_finish(struct heads *heads);
/** Forgets all heads (after a failed append: they are loaded anew). */
void heads_clear(struct heads *heads);
/** Drops heads that the index knows whole, once there are too many. */
void heads_trim(struct heads *heads, uint64_t indexed);

struct head *heads_find(const struct heads *heads, struct span name);
/** A new, zeroed head under this name; NULL without memory. */
struct head *heads_add(struct heads *heads, struct span name);

/** Forgets a head. */
void heads_remove(struct heads *heads, struct head *head);

/** The owner's note; copied. -ENOMEM, and then nothing changed. */
int head_set_note(struct head *head, struct span note);
/** The fencing token, up to TOKEN_MAX bytes; copied. */
void head_set_token(struct head *head, struct span token);
/** As if the topic had never been, since record `number`; the name stays. */
void head_forget(struct head *head, uint64_t number);

/** Notes a live frame; -ENOMEM. */
int head_push_recent(struct head *head, struct frame_id id, uint64_t seq, uint64_t number);
/** Forgets recents that the index has. */
void head_drop_recent(struct head *head, uint64_t indexed);
/** A frame was removed: takes it out of the recents if it is there. */
void head_remove_recent(struct head *head, uint64_t seq);
/** Recents with a lower seq go. */
void head_cut_recent(struct head *head, uint64_t seq);

#endif
