/*
 * What the S2 dialect counts of its work: histograms for GET /metrics, and usage of the account and its basins.
 *
 * Kept in memory since the daemon's start, for the whole daemon. Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_STATS_H
#define DAEMON_S2_STATS_H

#include <weir/span.h>

#include "base/buf.h"
#include "daemon/s2/usage.h"

/** Appends the histograms in Prometheus' text form. -ENOMEM. */
int s2_stats_put(struct buf *out);
/** The account's usage. */
const struct usage *s2_usage_account(void);
/** A basin's usage; NULL: nothing happened there. */
const struct usage *s2_usage_basin(struct span name);
/** Every basin that was used; each: 0 = go on; another value ends and is returned. */
int s2_usage_basins(int (*each)(void *arg, struct span name, const struct usage *usage), void *arg);

#endif
