/*
 * Attempts and the random waits between them.
 */
#ifndef CLIENT_S2_BACKOFF_H
#define CLIENT_S2_BACKOFF_H

#include "client/s2/handle.h"

/** Zeroed: nothing failed yet. */
struct s2c_backoff {
    unsigned failed; /**< attempts in a row */
};

/** Counts a failure. False: no attempt is left. `*wait_us`: how long to wait before the next, at
 * least what the server asked for. */
bool s2c_backoff_next(struct s2c_backoff *b, const struct s2c_settings *set,
                      uint64_t retry_after_ms, uint64_t *wait_us);
/** Sleeps until then. */
void s2c_backoff_sleep(uint64_t wait_us);
/** A random number below `bound` (0: 0). */
uint64_t s2c_random_below(uint64_t bound);
/** Fills `out` with `len` random letters and digits and a NUL. */
void s2c_random_name(char *out, size_t len);

#endif
