/*
 * When a service runs again: the rule over how its runs ended.
 *
 *   no "restart"   clean end: again after 1 s            failure: over
 *   always         clean end: again after backoff_ms     failure: tried again
 *   on-failure     clean end: over, well                 failure: tried again
 *   never          clean end: over, well                 failure: over
 *
 * Tried again: after backoff_ms, twice that, and so on up to max_backoff_ms, at most max_restarts times in a row. A clean end, and
 * a run longer than ten seconds and than the last wait, end the row. Pure.
 */
#ifndef DAEMON_RUN_RESTART_H
#define DAEMON_RUN_RESTART_H

#include "daemon/run/definition.h"

#define RESTART_CLEAN_MS 1000
#define RESTART_STEADY_MS 10000

/** Zeroed: nothing failed yet. */
struct restart {
    uint64_t failures; /**< in a row */
    uint64_t wait_ms;  /**< the last wait after one */
};

enum restart_next {
    RESTART_AGAIN, /**< after wait_ms */
    RESTART_RETRY, /**< after wait_ms; it is told as a retry */
    RESTART_DONE,
    RESTART_FAILED,
};

/** A run ended. Sets the wait for AGAIN and RETRY. */
enum restart_next restart_after(struct restart *restart, const struct definition *def, bool failed, uint64_t ran_ms,
                                uint64_t *wait_ms);

#endif
