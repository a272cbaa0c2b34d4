#include "client/s2/backoff.h"

#include <errno.h>
#include <sodium.h>
#include <time.h>

#define RETRY_AFTER_MAX_MS 30000 /* a server's wish is no command to hang */

uint64_t s2c_random_below(uint64_t bound)
{
    uint64_t n;
    if (bound == 0 || sodium_init() < 0)
        return 0;
    randombytes_buf(&n, sizeof(n));
    return n % bound;
}

void s2c_random_name(char *out, size_t len)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (size_t i = 0; i < len; i++)
        out[i] = letters[s2c_random_below(sizeof(letters) - 1)];
    out[len] = '\0';
}

bool s2c_backoff_next(struct s2c_backoff *b, const struct s2c_settings *set,
                      uint64_t retry_after_ms, uint64_t *wait_us)
{
    uint64_t ceiling = set->backoff_ms;
    if (++b->failed >= set->attempts)
        return false;
    for (unsigned i = 1; i < b->failed && ceiling < set->backoff_max_ms; i++)
        ceiling *= 2;
    if (ceiling > set->backoff_max_ms)
        ceiling = set->backoff_max_ms;
    *wait_us = s2c_random_below(ceiling * 1000 + 1);
    if (retry_after_ms > RETRY_AFTER_MAX_MS)
        retry_after_ms = RETRY_AFTER_MAX_MS;
    if (*wait_us < retry_after_ms * 1000)
        *wait_us = retry_after_ms * 1000;
    return true;
}

void s2c_backoff_sleep(uint64_t wait_us)
{
    struct timespec left = {.tv_sec = (time_t)(wait_us / 1000000),
                            .tv_nsec = (long)(wait_us % 1000000) * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}
