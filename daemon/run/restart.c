#include "daemon/run/restart.h"

static enum restart_next after_success(struct restart *restart, const struct definition *def,
                                       uint64_t *wait_ms)
{
    *restart = (struct restart){0};
    *wait_ms = def->has_restart ? def->backoff_ms : RESTART_CLEAN_MS;
    return !def->has_restart || def->restart == RESTART_ALWAYS ? RESTART_AGAIN : RESTART_DONE;
}

static uint64_t next_wait(const struct restart *restart, const struct definition *def)
{
    if (restart->failures == 1)
        return def->backoff_ms;
    bool last = restart->wait_ms > def->max_backoff_ms / 2;
    return last ? def->max_backoff_ms : restart->wait_ms * 2;
}

enum restart_next restart_after(struct restart *restart, const struct definition *def, bool failed,
                                uint64_t ran_ms, uint64_t *wait_ms)
{
    if (!failed)
        return after_success(restart, def, wait_ms);
    if (!def->has_restart || def->restart == RESTART_NEVER)
        return RESTART_FAILED;
    if (ran_ms > RESTART_STEADY_MS && ran_ms > restart->wait_ms)
        *restart = (struct restart){0};
    restart->failures++;
    if (restart->failures > def->max_restarts)
        return RESTART_FAILED;
    restart->wait_ms = next_wait(restart, def);
    *wait_ms = restart->wait_ms;
    return RESTART_RETRY;
}
