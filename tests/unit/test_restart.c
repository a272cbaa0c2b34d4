/*
 * When a service runs again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/run/restart.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The ends of runs: how long they ran, whether they failed, and what is to follow. */
struct step {
    bool failed;
    uint64_t ran_ms;
    enum restart_next next;
    uint64_t wait_ms;
};

static void follow(const struct definition *def, const struct step *steps, size_t count)
{
    struct restart restart = {0};
    for (size_t i = 0; i < count; i++) {
        uint64_t wait_ms = 0;
        assert_int_equal(
            restart_after(&restart, def, steps[i].failed, steps[i].ran_ms, &wait_ms),
            steps[i].next);
        assert_true(wait_ms == steps[i].wait_ms);
    }
}

static void test_as_the_peer(void **state)
{
    (void)state;
    static const struct definition def = {.backoff_ms = 50, .max_backoff_ms = 60};
    static const struct step steps[] = {
        {false, 0, RESTART_AGAIN, 1000},
        {false, 99999, RESTART_AGAIN, 1000},
        {true, 5, RESTART_FAILED, 0},
    };
    follow(&def, steps, COUNT(steps));
}

static void test_always(void **state)
{
    (void)state;
    static const struct definition def = {
        .has_restart = true,
        .restart = RESTART_ALWAYS,
        .backoff_ms = 300,
        .max_backoff_ms = 1000,
        .max_restarts = UINT64_MAX,
    };
    static const struct step steps[] = {
        {true, 0, RESTART_RETRY, 300},      {true, 10, RESTART_RETRY, 600},
        {true, 10000, RESTART_RETRY, 1000}, {true, 0, RESTART_RETRY, 1000},
        {true, 10001, RESTART_RETRY, 300}, /* it ran well for a while */
        {true, 0, RESTART_RETRY, 600},      {false, 0, RESTART_AGAIN, 300},
        {true, 0, RESTART_RETRY, 300},
    };
    follow(&def, steps, COUNT(steps));
}

static void test_long_waits(void **state)
{
    (void)state;
    static const struct definition def = {
        .has_restart = true,
        .restart = RESTART_ON_FAILURE,
        .backoff_ms = 30000,
        .max_backoff_ms = UINT64_C(1) << 53,
        .max_restarts = 3,
    };
    static const struct step steps[] = {
        {true, 0, RESTART_RETRY, 30000},
        {true, 30000, RESTART_RETRY, 60000}, /* not longer than the wait before it */
        {true, 0, RESTART_RETRY, 120000},
        {true, 0, RESTART_FAILED, 0},
    };
    follow(&def, steps, COUNT(steps));
    static const struct step steady[] = {
        {true, 0, RESTART_RETRY, 30000},
        {true, 30001, RESTART_RETRY, 30000},
        {false, 0, RESTART_DONE, 30000},
    };
    follow(&def, steady, COUNT(steady));
}

static void test_never(void **state)
{
    (void)state;
    static const struct definition def = {
        .has_restart = true, .restart = RESTART_NEVER, .backoff_ms = 1, .max_restarts = 9};
    static const struct step well[] = {{false, 0, RESTART_DONE, 1}};
    static const struct step badly[] = {{true, 0, RESTART_FAILED, 0}};
    follow(&def, well, 1);
    follow(&def, badly, 1);
}

static void test_no_retries(void **state)
{
    (void)state;
    static const struct definition def = {
        .has_restart = true, .restart = RESTART_ALWAYS, .backoff_ms = 1, .max_backoff_ms = 1};
    static const struct step badly[] = {{true, 0, RESTART_FAILED, 0}};
    follow(&def, badly, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_the_peer), cmocka_unit_test(test_always),
        cmocka_unit_test(test_long_waits),  cmocka_unit_test(test_never),
        cmocka_unit_test(test_no_retries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
