/*
 * The two slots: each history of lifecycle frames and what it starts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "daemon/run/slots.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/*
 * A history as text: a letter an event, a digit the definition it points at.
 * c create, a active, i invalid, t term, o fin.ok, e fin.error, f fin.term, r replaced, s stopped, y retry
 */
static enum program_event event_of(char letter)
{
    static const char letters[] = "ctaioefrsy";
    static const enum program_event events[] = {
        EVENT_CREATE, EVENT_TERM,      EVENT_ACTIVE,   EVENT_INVALID,  EVENT_FIN_OK,
        EVENT_FIN_ERROR, EVENT_FIN_TERM, EVENT_REPLACED, EVENT_STOPPED, EVENT_RETRY,
    };
    const char *at = strchr(letters, letter);
    assert_non_null(at);
    return events[at - letters];
}

static const struct {
    const char *history;
    char first, fallback; /* 0: none */
} cases[] = {
    {"", '0', '0'},
    {"c1", '1', '0'},
    {"c1a1", '1', '0'},
    {"c1a1a1a1", '1', '0'},
    {"c1i1", '0', '0'},
    {"c1a1c2", '2', '1'},         /* a replacement that was not tried: the good one is behind it */
    {"c1a1c2i2", '1', '0'},       /* a broken one: the good one */
    {"c1a1c2a2", '2', '0'},
    {"c1a1c2c3", '3', '1'},
    {"c1a1c2c3i2", '3', '1'},     /* an answer to an older one changes nothing of the newer */
    {"c1a1c2c3a2", '3', '2'},
    {"c1c2a1", '2', '1'},
    {"c1a1t0", '0', '0'},
    {"c1t0", '0', '0'},
    {"c1a1o1", '0', '0'},
    {"c1a1e1", '0', '0'},
    {"c1a1f1", '0', '0'},
    {"c1a1c2e1", '0', '0'},
    {"c1a1c2o1", '0', '0'},
    {"c1a1t0c2f1", '2', '0'},     /* it took its time to end */
    {"c1t0c2f1", '2', '0'},
    {"c1a1t0c2f1t0", '0', '0'},
    {"c1a1c2f2", '0', '0'},
    {"c1a1c2a2c3e2", '0', '0'},
    {"c1a1r1", '1', '0'},         /* replaced says nothing: the newer one's active does */
    {"c1a1c2r1", '2', '1'},
    {"c1a1c2r1a2", '2', '0'},
    {"c1a1s1", '1', '0'},         /* the daemon's end is not the program's */
    {"c1a1s1a1s1", '1', '0'},
    {"c1a1y1", '1', '0'},
    {"c1a1t0f1c2a2", '2', '0'},
    {"c1a1t0c2", '2', '0'},
    {"i1", '0', '0'},
    {"a1", '1', '0'},
    {"a1i1", '1', '0'},
};

static struct frame_id id_of_digit(char digit)
{
    return (struct frame_id){0, (uint64_t)(digit - '0')};
}

static void test_histories(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slots slots = {0};
        struct frame_id first, fallback;
        for (const char *p = cases[i].history; *p; p += 2)
            slots_apply(&slots, event_of(p[0]), id_of_digit(p[1]));
        slots_pick(&slots, &first, &fallback);
        assert_int_equal(id_cmp(first, id_of_digit(cases[i].first)), 0);
        assert_int_equal(id_cmp(fallback, id_of_digit(cases[i].fallback)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
