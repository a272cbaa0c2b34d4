/*
 * Who waits for which new frames. A follower holds a place in the log, never a queue: here it only
 * says what it waits for, and is woken when a published frame is of that.
 *
 * Answers of appends go out before anybody is woken, and wakings come in slices, so that many
 * followers delay neither the appends nor each other for long. Loop thread.
 */
#ifndef DAEMON_FEED_H
#define DAEMON_FEED_H

#include "base/topic.h"
#include "daemon/site.h"

struct wait_key;

/** One who waits. Zeroed; `wake` and `waiting` are the owner's, the rest the feed's. */
struct follower {
    /** Something may be there to read, or the site ends. */
    void (*wake)(struct follower *follower);
    bool waiting; /**< set by the owner when it has read everything; cleared before wake */
    bool queued;
    bool own; /**< set by the owner: the daemon's, not a client's; feed_count leaves it out */
    struct wait_key *keys;
    struct follower *prev, *next;
    struct follower *queue_next;
};

int feed_create(struct feed **out, struct site *site, struct err *err);
/** No follower may be left. The loop must run once more before the daemon's memory goes. Takes
 * NULL. */
void feed_destroy(struct feed *feed);

/** Adds a follower of an exact topic (stream.len > 0) or of patterns. -ENOMEM. */
int feed_add(struct feed *feed, struct follower *follower, const struct pattern_list *topics,
             struct span stream);
/** Takes it out; also one that was never added. */
void feed_remove(struct feed *feed, struct follower *follower);
/** Wakes it in one of the loop's next turns. */
void feed_later(struct feed *feed, struct follower *follower);

/** Something became visible in the store: logs it and wakes whom it concerns. */
void feed_published(struct feed *feed);
/** The site ends: followers are woken, and find feed_ending true. */
void feed_end(struct feed *feed);
bool feed_ending(const struct feed *feed);
/** Followers that clients opened. */
size_t feed_count(const struct feed *feed);
/** Whether somebody waits for this topic by its name or a prefix of it. Followers of everything do not count: they look on. */
bool feed_awaited(const struct feed *feed, struct span topic);

#endif
