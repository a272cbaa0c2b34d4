/* What is owed to callers: the place up to which every call is answered, whatever the order of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "daemon/run/owed.h"

static struct frame_id id_of(uint64_t number)
{
    return (struct frame_id){0x018bcfe568000000, number};
}

#define assert_id(id, number) assert_int_equal(id_cmp(id, id_of(number)), 0)

static void the_place_stays_below_the_oldest_that_is_owed(void **state)
{
    (void)state;
    struct owed owed = {.low = id_of(5)};
    assert_id(owed_place(&owed, id_of(9)), 5);
    for (uint64_t n = 10; n <= 40; n += 10)
        assert_int_equal(owed_take(&owed, id_of(n)), 0);
    assert_id(owed_place(&owed, id_of(20)), 9); /* 10 is owed still */
    assert_id(owed_place(&owed, id_of(10)), 19);
    owed_done(&owed, id_of(20));
    assert_id(owed_place(&owed, id_of(10)), 29);
    owed_done(&owed, id_of(40));
    owed_done(&owed, id_of(10));
    assert_id(owed_place(&owed, id_of(30)), 40); /* the last one: everything that came is answered */
    owed_done(&owed, id_of(30));
    owed_done(&owed, id_of(30));
    assert_int_equal(owed.calls.count, 0);
    assert_id(owed_place(&owed, id_of(50)), 40);
    owed_finish(&owed);
}

static void what_is_owed_is_found_in_order(void **state)
{
    (void)state;
    struct owed owed = {.low = id_of(1)};
    struct frame_id id = ID_MIN;
    assert_false(owed_next(&owed, ID_MIN, &id));
    for (uint64_t n = 200; n > 100; n--)
        assert_int_equal(owed_take(&owed, id_of(n)), 0);
    assert_int_equal(owed_take(&owed, id_of(150)), 0);
    assert_int_equal(owed.calls.count, 100);
    for (uint64_t n = 101; n <= 200; n++) {
        assert_true(owed_next(&owed, id, &id));
        assert_id(id, n);
    }
    assert_false(owed_next(&owed, id, &id));
    owed_done(&owed, id_of(150));
    assert_false(owed_has(&owed, id_of(150)));
    assert_true(owed_has(&owed, id_of(151)));
    assert_true(owed_next(&owed, id_of(149), &id));
    assert_id(id, 151);
    owed_finish(&owed);
}

static void the_place_is_never_below_the_beginning_and_can_be_stuck(void **state)
{
    (void)state;
    struct owed owed = {.low = id_of(100), .read = id_of(120)};
    assert_id(owed_place(&owed, id_of(7)), 120);
    assert_int_equal(owed_take(&owed, id_of(50)), 0); /* an older one than the beginning */
    assert_int_equal(owed_take(&owed, id_of(130)), 0);
    assert_id(owed_place(&owed, id_of(130)), 100);
    owed_done(&owed, id_of(50));
    assert_id(owed_place(&owed, id_of(130)), 130);
    owed.stuck = true;
    assert_id(owed_place(&owed, id_of(130)), 100);
    owed_finish(&owed);
}

/* Any order of answers: the place never passes an unanswered call, and ends at the newest. */
static void random_orders(void **state)
{
    (void)state;
    srand(7);
    for (int round = 0; round < 200; round++) {
        struct owed owed = {.low = id_of(1)};
        bool open[64] = {false};
        uint64_t came = 1;
        for (int step = 0; step < 300; step++) {
            uint64_t n = 2 + (uint64_t)rand() % 62;
            if (came < 63 && rand() % 2) {
                came++;
                open[came] = owed_take(&owed, id_of(came)) == 0;
            }
            if (!open[n])
                continue;
            struct frame_id place = owed_place(&owed, id_of(n));
            for (uint64_t k = 2; k <= came; k++)
                assert_true(k == n || !open[k] || id_cmp(id_of(k), place) > 0);
            owed_done(&owed, id_of(n));
            open[n] = false;
        }
        owed_finish(&owed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_place_stays_below_the_oldest_that_is_owed),
        cmocka_unit_test(what_is_owed_is_found_in_order),
        cmocka_unit_test(the_place_is_never_below_the_beginning_and_can_be_stuck),
        cmocka_unit_test(random_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
