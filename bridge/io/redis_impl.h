/*
 * A consumer's inside, shared by redis_consumer.c (opening, places), redis_receive.c (waiting), redis_read.c (asking and giving
 * out), redis_link.c (connections), redis_group.c (groups, acks) and redis_claim.c.
 *
 * Two connections: on the first a read may be under way that blocks in the server, so everything else goes over the second, `side`.
 */
#ifndef BRIDGE_IO_REDIS_IMPL_H
#define BRIDGE_IO_REDIS_IMPL_H

#include "bridge/io/redis_consumer.h"

typedef int (*redis_each)(void *arg, const struct ss_message *m, struct redis_id id);

/** An entry that was given out and not acknowledged. */
struct redis_owed {
    struct redis_id id;
    uint64_t at_us;
};

struct redis_stream {
    char *name;
    struct span key; /**< the consumer's */
    uint64_t shard;
    struct redis_id at;  /**< the last entry given out */
    struct redis_id got; /**< the last that came; of a group: of its pending list */
    bool history;        /**< groups: the pending list is being read, and was when the read under way was asked: */
    bool asked_history;
    bool dry;            /**< the last answer had nothing of it */
    struct redis_id mark; /**< readers that do not follow: its end at the beginning */
    struct redis_owed *owed;
    size_t owed_count, owed_cap;
    size_t acked; /**< so many of them, from the front, redis_consumer_ack was called for */
    struct redis_id *seen; /**< sorted: of the pending list, what was given out before */
    size_t seen_count;
};

/** An answer that is being given out. */
struct redis_held {
    struct redisReply *reply;
    bool claimed;  /**< a list of entries of list[stream]; else an array of streams */
    size_t stream; /**< index in the consumer's list */
    size_t next;   /**< index in reply of the stream behind it */
    bool open;     /**< `entries` stands within a list */
    const struct redisReply *list;
    struct redis_entries entries;
};

struct redis_consumer {
    struct redis_consumer_options o; /**< its texts: */
    char *group, *member, *field, *ca_file;
    struct ss_redis_node node;
    struct redis_options connect;
    char **keys;
    size_t key_count;
    struct redis_stream *list;
    size_t count;

    struct redis_conn *conn, *side;
    bool asked; /**< a read is under way on conn, answered by: */
    uint64_t answer_us;
    uint64_t asked_bytes; /**< redis_conn_bytes when it was asked */
    unsigned batch;       /**< COUNT of the next one; asked_batch of that under way */
    unsigned asked_batch;
    bool full; /**< the last answer had all that was asked of a stream */
    struct redis_held held;
    struct span *words; /**< of the command */
    char (*ids)[REDIS_ID_TEXT];
    redis_each each; /**< of the call under way */
    void *arg;
    bool enough;
    uint64_t skipped;

    uint64_t down_us; /**< when the server went away; 0: it answers */
    uint64_t retry_us, linked_us;
    unsigned tries;
    struct err why;
    uint64_t commit_us;           /**< when acks were sent last */
    uint64_t claim_us, alive_us;  /**< when to claim next; when to show that this member is alive */
};

static inline bool redis_grouped(const struct redis_consumer *c)
{
    return c->o.mode != SS_REALTIME;
}
static inline int redis_id_cmp(struct redis_id a, struct redis_id b)
{
    return a.ms != b.ms ? (a.ms > b.ms) - (a.ms < b.ms) : (a.n > b.n) - (a.n < b.n);
}

/* redis_link.c */

/** Whether the server went away, or is about to be there. */
bool redis_away(int code);
/** Drops both connections; says so once. */
void redis_lost(struct redis_consumer *c, const struct err *why);
/** Connects again when it is time. 0: connected; -EAGAIN: later, see retry_us; the last error when it took too long. */
int redis_link(struct redis_consumer *c, struct err *err);
/** A command over the side connection, which is made when there is none. */
int redis_side(struct redis_consumer *c, const struct span *words, size_t count, struct redisReply **out, struct err *err);
/** The side connection; NULL with `err` set. */
struct redis_conn *redis_side_conn(struct redis_consumer *c, struct err *err);

/* redis_read.c */

/** Sends the next read. */
int redis_ask(struct redis_consumer *c, struct err *err);
/** Takes an answer, which is kept or freed here. */
int redis_take(struct redis_consumer *c, struct redisReply *reply, struct err *err);
/** Gives out of what is held until that is over or `each` says enough. */
int redis_give(struct redis_consumer *c, struct err *err);
void redis_drop_held(struct redis_consumer *c);

/* redis_group.c */

/** Makes the group in each stream. */
int redis_group_make(struct redis_consumer *c, struct err *err);
/** Remembers an entry that was given out. */
int redis_owe(struct redis_stream *s, struct redis_id id);
/** When acks are due: time_mono_us; UINT64_MAX: never by itself. */
uint64_t redis_acks_due(const struct redis_consumer *c);
/** From here the pending lists are read anew, without what was given out. */
int redis_history_again(struct redis_consumer *c);

/* redis_claim.c */

/** When to claim, or to show that this member is alive, next. */
uint64_t redis_claim_due(const struct redis_consumer *c);
/** Both are due in the times that the options say. */
void redis_claim_later(struct redis_consumer *c);
/** Does what is due: takes over what idle members have pending, so that the answer is held. */
int redis_claim(struct redis_consumer *c, struct err *err);

#endif
