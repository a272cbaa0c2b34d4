/*
 * A request about groups: what the files of the routes under /groups have in common.
 */
#ifndef DAEMON_ASKING_H
#define DAEMON_ASKING_H

#include "daemon/exchange.h"
#include "daemon/groups/groups.h"

/** Waits until the groups are known, then acts. */
struct asking {
    struct exchange x;
    struct group_call call;
    struct buf name; /**< empty: all of them */
    struct group_ask ask;
    struct buf body;
    bool nack;
    int (*act)(struct asking *a, struct err *err);
    struct group_host *host; /**< held while something is recorded */
    size_t acked, unknown;

    bool lag;
    struct buf out;
    struct group_host *at; /**< whose lag is counted, held */
    struct store_cursor *cursor;
    struct job job;
    uint64_t counted;
    enum store_step step;
    int result;
    struct err err;
};

static inline struct asking *asking_of(struct group_call *call)
{
    return (struct asking *)((char *)call - offsetof(struct asking, call));
}

/**
 * Takes G of the operand G or G/VERB; the verb's span stays raw, without ptr when there is none.
 * ERR_INVALID.
 */
int asking_name(struct asking *a, struct span *verb, struct err *err);
/** Reads the groups where that was not done, then calls act. */
void asking_start(struct asking *a);
/** The group that is named, ready to be changed. ERR_NOT_FOUND, ERR_UNAVAILABLE. */
int asking_find(struct asking *a, struct group_host **out, struct err *err);
/** Whether the token of the request sees everything that the group gives, and may write what the group does (GROUP.dead, where
 * frames are put aside there). ERR_FORBIDDEN. */
int asking_check(const struct exchange *x, const struct group_config *config, struct span name, bool write, struct err *err);
/** Appends a group as JSON, but for the last brace. -ENOMEM. */
int asking_put_group(struct buf *out, const struct group_host *host);
/** As of struct route: a body is gathered, its end starts. */
size_t asking_body(struct exchange *x, struct span bytes);
void asking_end(struct exchange *x);
void asking_finish(struct exchange *x);

#endif
