/*
 * The programs of one site: which are defined, which run, and what the log is told of it.
 *
 *   start-up:  topics of the site -> lifecycle topics only -> slots -> instances
 *   live:      defining and ending frames (exec authority) -> definition -> instance; its answers -> frames (daemon authority)
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_RUN_PROGRAMS_H
#define DAEMON_RUN_PROGRAMS_H

#include "daemon/site.h"

/**
 * Starts the site's programs: reads the lifecycle frames on the pool, then runs what is in force, then watches for new ones. `ready` (may be NULL)
 * is called once when all that were in force have been started or told invalid. -ENOMEM.
 */
int programs_start(struct site *site, void (*ready)(void *arg), void *arg, struct err *err);
/**
 * Ends all of them with "stopped" (reason shutdown), SIGKILL after two seconds; `stopped` is called once all trees are gone and all lifecycle
 * frames are durable. Nothing is begun any more.
 */
void programs_stop(struct programs *programs, void (*stopped)(void *arg), void *arg);
/** After `stopped`. Takes NULL. */
void programs_destroy(struct programs *programs);
/**
 * The hops of the running program whose origin text (KIND/NAME) this is, of whatever kind; 0 when none of the site's is. A program that is given a frame
 * with that origin is one hop further: its own origin.hops = this + 1. Takes NULL.
 */
unsigned programs_hops(const struct programs *programs, struct span origin);
/**
 * Holds back what the program whose origin text this is prints, as a full log would: somebody who has to take it is behind. True: it runs;
 * `id` is its definition, and programs_unhold must be called once. Takes NULL.
 */
bool programs_hold(struct programs *programs, struct span origin, struct frame_id *id);
/** It goes on, if it is still that definition which runs. Takes NULL. */
void programs_unhold(struct programs *programs, struct span origin, struct frame_id id);
/** The newest frame when the programs were started: calls up to there are of an earlier life of the daemon. */
struct frame_id programs_since(const struct programs *programs);
/** Programs in force; while there are any, the site stays open. Takes NULL. */
size_t programs_count(const struct programs *programs);
/**
 * Whether a handler is given the frames of this topic, or one that is about to run may be; also while history is read and nobody knows yet.
 * Takes NULL.
 */
bool programs_await(const struct programs *programs, struct span topic);

#endif
