/*
 * The groups of a site: known by name, read from the store when the first of them is asked for.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_GROUPS_H
#define DAEMON_GROUPS_H

#include "daemon/groups/group_host.h"

#define GROUPS_MAX 1024 /**< of a site */

struct groups;

int groups_create(struct groups **out, struct site *site, struct err *err);
/** Nothing of theirs may be under way in the store; the loop must run once more. Takes NULL. */
void groups_destroy(struct groups *groups);

/**
 * Reads them from the store where that was not done. False: they are known, call->after will not
 * come.
 */
bool groups_load(struct groups *groups, struct group_call *call);
/**
 * An import may have changed them in the store: they are read again when they are next asked for.
 * One that is in use stays as it is.
 */
void groups_refresh(struct groups *groups);
/** One by name, NULL when there is none. After groups_load. */
struct group_host *groups_find(struct groups *groups, struct span name);
/** In order of names; NULL begins, NULL ends. */
struct group_host *groups_next(struct groups *groups, const struct group_host *host);
/**
 * Makes one: takes config over; its first record is under way (see group_host_wait). ERR_FULL above
 * GROUPS_MAX; -ENOMEM; as store_cursor_open.
 */
int groups_make(struct groups *groups, struct span name, struct group_config *config,
                const struct group_place *place, struct group_host **out, struct err *err);
/** It was removed from the store, or never got there. */
void groups_forget(struct groups *groups, struct group_host *host);
/** The id behind which a group begins that begins there. As store_cursor_open. */
int groups_place(struct groups *groups, const struct group_place *place, struct frame_id *low,
                 struct err *err);

#endif
