/* Ids in order, each once, whatever the order they come and go in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/id_set.h"

#define MOST 200

static struct frame_id id_of(uint64_t number)
{
    return (struct frame_id){0x018bcfe568000000, number};
}

static void assert_is(const struct id_set *set, const bool *in)
{
    size_t at = 0;
    for (uint64_t n = 0; n < MOST; n++) {
        assert_int_equal(id_set_has(set, id_of(n)), in[n]);
        assert_int_equal(id_set_place(set, id_of(n)), at);
        if (in[n])
            assert_int_equal(id_cmp(set->ids[at++], id_of(n)), 0);
    }
    assert_int_equal(set->count, at);
}

static void test_random(void **state)
{
    (void)state;
    struct id_set set = {0};
    bool in[MOST] = {false};
    assert_is(&set, in);
    srand(3);
    for (int step = 0; step < 3000; step++) {
        uint64_t n = (uint64_t)rand() % MOST;
        in[n] = rand() % 2;
        if (in[n])
            assert_int_equal(id_set_add(&set, id_of(n)), 0);
        else
            id_set_remove(&set, id_of(n));
        if (step % 50 == 0)
            assert_is(&set, in);
    }
    id_set_finish(&set);
    assert_int_equal(set.count, 0);
    assert_int_equal(id_set_add(&set, id_of(1)), 0);
    assert_true(id_set_has(&set, id_of(1)));
    id_set_finish(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
