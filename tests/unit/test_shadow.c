/*
 * The shadow against a plain list: what hides a frame at which record, over forgetting and growth.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store/shadow.h"

static struct frame frame_of(uint64_t id, uint32_t topic_no, bool has_seq, uint64_t seq)
{
    return (struct frame){.id = {id, 1}, .topic_no = topic_no, .has_seq = has_seq, .seq = seq};
}

static void add_removal(struct shadow *shadow, uint64_t number, uint64_t id)
{
    assert_int_equal(shadow_reserve(shadow, 1), 0);
    shadow_add(shadow, number, &(struct tail_hide){.id = {id, 1}});
}

static void add_cut(struct shadow *shadow, uint64_t number, uint32_t topic_no, uint64_t seq)
{
    assert_int_equal(shadow_reserve(shadow, 1), 0);
    shadow_add(shadow, number, &(struct tail_hide){.cut = true, .topic_no = topic_no, .seq = seq});
}

static void test_empty(void **state)
{
    (void)state;
    struct shadow *shadow = shadow_create();
    struct frame frame = frame_of(1, 1, true, 1);
    assert_false(shadow_hides(shadow, UINT64_MAX, &frame));
    assert_int_equal(shadow_count(shadow), 0);
    shadow_forget(shadow, 10);
    assert_false(shadow_hides(shadow, UINT64_MAX, &frame));
    shadow_destroy(shadow);
    shadow_destroy(NULL);
}

static void test_removal_by_record(void **state)
{
    (void)state;
    struct shadow *shadow = shadow_create();
    struct frame seven = frame_of(7, 1, true, 0), eight = frame_of(8, 1, true, 1);
    add_removal(shadow, 5, 7);
    assert_false(shadow_hides(shadow, 4, &seven)); /* a reader pinned before record 5 */
    assert_true(shadow_hides(shadow, 5, &seven));
    assert_true(shadow_hides(shadow, 6, &seven));
    assert_false(shadow_hides(shadow, 6, &eight));
    shadow_forget(shadow, 4);
    assert_true(shadow_hides(shadow, 6, &seven));
    shadow_forget(shadow, 5);
    assert_false(shadow_hides(shadow, 6, &seven));
    assert_int_equal(shadow_count(shadow), 0);
    shadow_destroy(shadow);
}

static void test_cut_by_record(void **state)
{
    (void)state;
    struct shadow *shadow = shadow_create();
    add_cut(shadow, 3, 1, 10);
    add_cut(shadow, 5, 1, 20);
    add_cut(shadow, 5, 2, 5);
    for (uint64_t seq = 0; seq < 30; seq++) {
        struct frame one = frame_of(seq + 100, 1, true, seq),
                     two = frame_of(seq + 200, 2, true, seq);
        struct frame none = frame_of(seq + 300, 1, false, 0),
                     other = frame_of(seq + 400, 3, true, seq);
        assert_false(shadow_hides(shadow, 2, &one));
        assert_int_equal(shadow_hides(shadow, 4, &one), seq < 10);
        assert_int_equal(shadow_hides(shadow, 5, &one), seq < 20);
        assert_int_equal(shadow_hides(shadow, 9, &two), seq < 5);
        assert_false(shadow_hides(shadow, 9, &none)); /* without seq no cut is about it */
        assert_false(shadow_hides(shadow, 9, &other));
    }
    shadow_destroy(shadow);
}

/* Thousands of entries, so that chains collide, the ring turns over and grows. */
static void test_against_a_list(void **state)
{
    enum { STEPS = 20000, IDS = 500, TOPICS = 50 };
    (void)state;
    struct shadow *shadow = shadow_create();
    static uint64_t removed_at[IDS][8]; /* records that removed the id, newest last */
    static struct {
        uint64_t number, seq;
    } cuts[TOPICS][STEPS / 10];
    static size_t removals[IDS], cut_count[TOPICS];
    uint64_t number = 1, forgotten = 0, mix = 12345;
    for (int i = 0; i < STEPS; i++) {
        mix = mix * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t r = mix >> 33;
        number += r % 3;
        size_t id = r / 3 % IDS, topic = r / 7 % TOPICS;
        if (r % 5 == 0 && cut_count[topic] < STEPS / 10) {
            uint64_t before = cut_count[topic] ? cuts[topic][cut_count[topic] - 1].seq : 0;
            add_cut(shadow, number, (uint32_t)topic, before + r % 10);
            cuts[topic][cut_count[topic]].number = number;
            cuts[topic][cut_count[topic]++].seq = before + r % 10;
        } else if (removals[id] < 8) {
            add_removal(shadow, number, id);
            removed_at[id][removals[id]++] = number;
        }
        if (i % 97 == 0 && number > 40)
            shadow_forget(shadow, forgotten = number - 40);
        id = r / 11 % IDS;
        topic = r / 13 % TOPICS;
        uint64_t at = number - r % 60;
        struct frame frame =
            frame_of(id, (uint32_t)topic, true,
                     cut_count[topic] ? cuts[topic][cut_count[topic] - 1].seq - 5 : 3);
        bool hidden = false;
        for (size_t k = 0; k < removals[id]; k++)
            hidden |= removed_at[id][k] > forgotten && removed_at[id][k] <= at;
        for (size_t k = 0; k < cut_count[topic]; k++)
            hidden |= cuts[topic][k].number > forgotten && cuts[topic][k].number <= at &&
                      frame.seq < cuts[topic][k].seq;
        assert_int_equal(shadow_hides(shadow, at, &frame), hidden);
    }
    shadow_destroy(shadow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_removal_by_record),
        cmocka_unit_test(test_cut_by_record),
        cmocka_unit_test(test_against_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
