/*
 * One group at work: its place in the store, the frames it shares out, the members that are
 * connected.
 *
 * What happens to a frame is decided in daemon/groups/delivery.c; here are the log (a pump while somebody is
 * connected), the clock, and the records: acknowledgements that come while one is being written go
 * into the next. Thread rule: the loop thread.
 */
#ifndef DAEMON_GROUP_HOST_H
#define DAEMON_GROUP_HOST_H

#include "daemon/groups/group_bury.h"
#include "daemon/groups/group_config.h"
#include "daemon/groups/group_fetch.h"
#include "daemon/pump.h"

struct group_host;

/**
 * One who waits for something of a group. The caller's memory; `after` comes once, never before the
 * call that took it returned.
 */
struct group_call {
    void (*after)(struct group_call *call, int result, const struct err *err);
    struct group_call *next;
};

/** A member, connected or gone with frames still open. The host's memory. */
struct group_seat {
    struct delivery_member core;
    struct group_host *host;
    char name[GROUP_MEMBER_MAX + 1];
    bool connected;
    bool follow; /**< else it ends where nothing is left */
    bool contents; /**< it prints frames with their contents */
    int closed;  /**< 1: the site ends; negative: why nothing comes any more */
    /** A frame is handed out to it; spans live for the call. */
    void (*frame)(void *arg, const struct frame *frame);
    /** It may have come to its end. */
    void (*look)(void *arg);
    /** Somebody comes under its name. When its client seems to be gone it leaves, and may be freed: true. */
    bool (*yield)(void *arg);
    void *arg;
    struct group_seat *prev, *next;
};

struct group_host {
    struct site *site;
    struct buf mark; /**< "group/NAME" */
    struct group_config config;
    struct buf own_dead; /**< NAME.dead: never given to the group itself */
    struct delivery delivery;
    struct pump *pump;
    struct group_seat *seats;
    size_t connected;
    bool making;   /**< its first record is not made yet */
    bool at_end;   /**< the pump has come to the end of history */
    bool contents; /**< the pump gives contents, too */
    bool dropped;  /**< not in the store any more, or never was: nothing is recorded */
    bool set_again; /**< settings that could not be recorded yet */
    bool stopped;  /**< the site is going */
    size_t writes; /**< records under way */
    uint64_t retry_ms, flush_ms; /**< 0 = not wanted */
    unsigned failures;           /**< of records, in a row */
    uint64_t buried_retry_ms;
    struct group_call *waiting; /**< for `making` */
    struct group_fetch fetch;
    struct group_bury bury;
    uv_timer_t timer;
    unsigned holds;
    struct group_host *next; /**< the registry's */
};

/**
 * A group of that name, held once; takes config over. `done`: frames above low that are done.
 * -ENOMEM.
 */
int group_host_create(struct group_host **out, struct site *site, struct span name,
                      struct group_config *config, struct frame_id low,
                      const struct frame_id *done, size_t count, struct err *err);
void group_host_hold(struct group_host *host);
void group_host_drop(struct group_host *host);
struct span group_host_name(const struct group_host *host);

/**
 * Records settings and place as they are; the first record of a new group as well. call may be
 * NULL. -ENOMEM.
 */
int group_host_set(struct group_host *host, struct group_call *call);
/**
 * Forgets it in the store; members are cut. When that fails the group is as before, without them.
 * -ENOMEM.
 */
int group_host_remove(struct group_host *host, struct group_call *call);
/** Other settings. -ENOMEM, and then nothing changed. */
int group_host_configure(struct group_host *host, const struct group_config *config);
/** Begins behind this id; what is open is forgotten. */
void group_host_reset(struct group_host *host, struct frame_id low);
/** Waits until the group's first record is made. False: it is. */
bool group_host_wait(struct group_host *host, struct group_call *call);
/** Records what was acknowledged. False: it is recorded already, call->after will not come. */
bool group_host_record(struct group_host *host, struct group_call *call, int *result);
/** Something changed in `delivery`: goes on. */
void group_host_settle(struct group_host *host);
/** Nothing is left to be handed out up to the end of history. */
bool group_host_drained(const struct group_host *host);
/** The site goes: nothing more is read. Then group_host_drop. */
void group_host_stop(struct group_host *host);

/** A member by name, connected or not; NULL. */
struct group_seat *group_host_seat(const struct group_host *host, struct span name);
/**
 * Joins under a name (empty: one is made up). ERR_CONFLICT when such a member is connected. The
 * callbacks are to be set at once, and then delivery_willing.
 */
int group_host_join(struct group_host *host, struct span name, size_t window, bool follow,
                    struct group_seat **out, struct err *err);
/** It prints frames with the contents that lie in their records; others it has to fetch. Before it is willing. */
void group_host_show_contents(struct group_seat *seat);
/** Leaves; see delivery_leave for the grace. The seat is the host's alone from then on. */
void group_host_leave(struct group_seat *seat, uint64_t grace_ms);
/** Whether it takes frames now. */
void group_host_willing(struct group_seat *seat, bool willing);

#endif
