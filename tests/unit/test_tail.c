/*
 * The tail by itself: groups, pins, eviction, budget, seeking, contents, lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "store/record.h"
#include "store/tail.h"

static struct frame_id id_of(uint64_t n)
{
    return (struct frame_id){n, 1};
}

/* A group of `count` frames with ids from first on; contents named by `tag` + index. */
static struct tail_group *make(uint64_t number, uint64_t first, size_t count, bool ephemeral,
                               uint64_t tag)
{
    struct tail_group *group = tail_group_create(count);
    struct buf *bytes = ephemeral ? &group->ephemeral : &group->ops;
    size_t at[8], end[8];
    for (size_t i = 0; i < count; i++) {
        struct frame frame = {
            .id = id_of(first + i), .topic = span_str("t"), .topic_no = 1, .has_hash = true};
        frame.has_seq = !ephemeral;
        frame.seq = ephemeral ? 0 : first + i;
        frame.ttl.kind = ephemeral ? TTL_EPHEMERAL : TTL_FOREVER;
        put_be64(frame.digest, tag + i);
        at[i] = bytes->len;
        assert_int_equal(record_put_frame(bytes, &frame), 0);
        end[i] = bytes->len;
    }
    if (count == 0 && !ephemeral)
        assert_int_equal(buf_add(bytes, "xx", 2), 0);
    for (size_t i = 0; i < count; i++)
        group->frames[i] =
            (struct tail_frame){.id = id_of(first + i),
                                .record = span_of(bytes->ptr + at[i], end[i] - at[i]),
                                .topic_no = 1,
                                .ephemeral = ephemeral};
    group->count = count;
    group->ephemerals = ephemeral ? count : 0;
    group->stored = !ephemeral;
    group->number = number;
    return group;
}

static void publish(struct tail *tail, struct tail_group *group)
{
    assert_int_equal(tail_publish(tail, group, NULL, 0), 0);
}

static bool finds(struct tail *tail, uint64_t id)
{
    struct tail_pin pin;
    struct span record;
    bool ephemeral;
    tail_pin(tail, &pin);
    bool found = tail_find(tail, &pin, id_of(id), &record, &ephemeral);
    tail_unpin(tail, &pin);
    return found;
}

static void test_publish_and_find(void **state)
{
    (void)state;
    struct tail tail;
    struct tail_pin before, after;
    struct span record;
    bool ephemeral;
    assert_int_equal(tail_init(&tail, 1 << 20, 10, id_of(100)), 0);
    tail_pin(&tail, &before);
    assert_true(before.first > before.last);
    for (uint64_t i = 0; i < 200; i++)
        publish(&tail, make(11 + i, 110 + i * 10, 1 + i % 5, i % 7 == 3, 0));
    tail_pin(&tail, &after);
    assert_false(tail_find(&tail, &before, id_of(110), &record, &ephemeral));
    assert_int_equal(id_cmp(after.floor, id_of(100)), 0);
    for (uint64_t i = 0; i < 200; i++)
        for (uint64_t k = 0; k < 10; k++) {
            bool there = k < 1 + i % 5;
            assert_int_equal(tail_find(&tail, &after, id_of(110 + i * 10 + k), &record, &ephemeral),
                             there);
            if (there)
                assert_int_equal(ephemeral, i % 7 == 3);
        }
    assert_int_equal(tail_seek(&tail, &after, id_of(5)), after.first);
    assert_int_equal(tail_seek(&tail, &after, ID_MAX), after.last + 1);
    tail_unpin(&tail, &before);
    tail_unpin(&tail, &after);
    tail_finish(&tail);
}

/* What is not indexed stays whatever the budget; what is pinned stays until the pin is given back.
 */
static void test_eviction(void **state)
{
    (void)state;
    struct tail tail;
    struct tail_pin pin;
    assert_int_equal(tail_init(&tail, 1, 0, ID_MIN), 0);
    for (uint64_t i = 1; i <= 10; i++)
        publish(&tail, make(i, i * 10, 2, false, 0));
    assert_true(finds(&tail, 10));
    tail_pin(&tail, &pin);
    tail_indexed(&tail, 5);
    assert_true(finds(&tail, 10));
    assert_true(tail_unindexed(&tail) < tail.bytes);
    tail_unpin(&tail, &pin);
    assert_false(finds(&tail, 51));
    assert_true(finds(&tail, 60));
    assert_int_equal(id_cmp(tail.floor, id_of(51)), 0);
    tail_indexed(&tail, 10);
    assert_int_equal(tail_unindexed(&tail), 0);
    assert_int_equal(tail.frames, 0);
    assert_int_equal(tail.bytes, 0);
    assert_int_equal(id_cmp(tail.floor, id_of(101)), 0);
    tail_finish(&tail);
}

static void test_budget(void **state)
{
    (void)state;
    struct tail tail;
    assert_int_equal(tail_init(&tail, 5000, 0, ID_MIN), 0);
    for (uint64_t i = 1; i <= 100; i++) {
        publish(&tail, make(i, i * 10, 2, false, 0));
        tail_indexed(&tail, i);
        assert_true(tail.bytes <= 5000);
    }
    assert_true(tail.bytes > 3000);
    tail_evict(&tail, 98);
    assert_false(finds(&tail, 980));
    assert_true(finds(&tail, 990));
    tail_finish(&tail);
}

/* Ephemeral groups behind a record that is not indexed must stay, so they count as what appends
 * wait for. */
static void test_ephemerals(void **state)
{
    (void)state;
    struct tail tail;
    assert_int_equal(tail_init(&tail, 1, 0, ID_MIN), 0);
    publish(&tail, make(0, 5, 3, true, 0));
    assert_int_equal(tail_unindexed(&tail), 0);
    assert_int_equal(tail.lost_ephemerals, 3); /* the budget is nothing */
    publish(&tail, make(1, 10, 1, false, 0));
    size_t stored = tail_unindexed(&tail);
    publish(&tail, make(0, 20, 4, true, 0));
    assert_true(tail_unindexed(&tail) > stored);
    assert_true(finds(&tail, 20));
    assert_int_equal(tail.number, 1);
    tail_indexed(&tail, 1);
    assert_int_equal(tail_unindexed(&tail), 0);
    assert_int_equal(tail.ephemerals, 7);
    assert_int_equal(tail.lost_ephemerals, 7);
    assert_int_equal(id_cmp(tail.floor, id_of(23)), 0);
    tail_finish(&tail);
}

/* A record of imports only: nothing to read here, but the end and later the floor lie above its
 * ids. */
static void test_highest_id_of_imports(void **state)
{
    (void)state;
    struct tail tail;
    assert_int_equal(tail_init(&tail, 1, 0, ID_MIN), 0);
    publish(&tail, make(1, 10, 1, false, 0));
    struct tail_group *imports = make(2, 0, 0, false, 0);
    imports->last_id = id_of(15);
    publish(&tail, imports);
    assert_int_equal(id_cmp(tail.end, id_of(15)), 0);
    assert_false(finds(&tail, 15));
    struct tail_group *removals = make(3, 0, 0, false, 0);
    publish(&tail, removals);
    assert_int_equal(id_cmp(tail.end, id_of(15)), 0);
    publish(&tail, make(4, 20, 1, false, 0));
    assert_true(finds(&tail, 20) && finds(&tail, 10));
    tail_indexed(&tail, 2);
    assert_int_equal(id_cmp(tail.floor, id_of(15)), 0);
    tail_finish(&tail);
}

static void test_hides(void **state)
{
    (void)state;
    struct tail tail;
    struct tail_pin before, after;
    struct frame frame = {.id = id_of(10), .topic_no = 1, .has_seq = true, .seq = 10};
    struct tail_hide hide = {.id = id_of(10)};
    assert_int_equal(tail_init(&tail, 1, 0, ID_MIN), 0);
    publish(&tail, make(1, 10, 1, false, 0));
    tail_pin(&tail, &before);
    assert_int_equal(tail_publish(&tail, make(2, 0, 0, false, 0), &hide, 1), 0);
    tail_pin(&tail, &after);
    assert_false(tail_hides(&tail, &before, &frame));
    assert_true(tail_hides(&tail, &after, &frame));
    tail_unpin(&tail, &before);
    tail_indexed(&tail, 2);
    assert_true(tail_hides(&tail, &after, &frame)); /* as long as this reader reads */
    tail_unpin(&tail, &after);
    tail_pin(&tail, &after);
    assert_false(tail_hides(&tail, &after, &frame));
    tail_unpin(&tail, &after);
    tail_finish(&tail);
}

/* What is held stays, with what lies behind it; groups before it go. */
static void test_holds(void **state)
{
    (void)state;
    struct tail tail;
    struct store_hold low = {0}, high = {0}, never = {0};
    assert_int_equal(tail_init(&tail, 1, 0, ID_MIN), 0);
    tail_hold(&tail, &high, id_of(40));
    tail_hold(&tail, &low, id_of(21));
    publish(&tail, make(0, 5, 3, true, 0)); /* below what is held */
    assert_int_equal(tail.lost_ephemerals, 3);
    publish(&tail, make(1, 10, 2, false, 0));
    publish(&tail, make(0, 20, 2, true, 0)); /* 20 goes with 21 or not at all */
    publish(&tail, make(2, 30, 2, false, 0));
    publish(&tail, make(0, 40, 2, true, 0));
    publish(&tail, make(3, 50, 2, false, 0));
    tail_indexed(&tail, 3);
    assert_false(finds(&tail, 10)); /* stored, and nothing held is older */
    assert_true(finds(&tail, 20) && finds(&tail, 30) && finds(&tail, 40) && finds(&tail, 50));
    assert_int_equal(id_cmp(tail.floor, id_of(11)), 0);
    assert_int_equal(tail_unindexed(&tail), 0);
    tail_hold(&tail, &low, id_of(22)); /* moves */
    tail_trim(&tail);
    assert_false(finds(&tail, 20) || finds(&tail, 30));
    assert_true(finds(&tail, 40));
    tail_unhold(&tail, &low);
    tail_unhold(&tail, &never);
    tail_trim(&tail);
    assert_true(finds(&tail, 40) && finds(&tail, 50));
    tail_unhold(&tail, &high);
    tail_unhold(&tail, &high);
    tail_trim(&tail);
    assert_int_equal(tail.frames, 0);
    assert_int_equal(tail.bytes, 0);
    assert_int_equal(tail.lost_ephemerals, 7);
    tail_finish(&tail);
}

/* What an import must empty is emptied; and a hold keeps no more than so many bytes. */
static void test_holds_have_bounds(void **state)
{
    (void)state;
    struct tail tail;
    struct store_hold hold = {0};
    assert_int_equal(tail_init(&tail, 1, 0, ID_MIN), 0);
    tail_hold(&tail, &hold, ID_MIN);
    publish(&tail, make(0, 5, 3, true, 0));
    publish(&tail, make(1, 10, 1, false, 0));
    tail_indexed(&tail, 1);
    assert_true(finds(&tail, 5));
    tail_evict(&tail, 1);
    assert_int_equal(tail.lost_ephemerals, 3);
    assert_int_equal(tail.frames, 0);
    uint64_t published = 0;
    for (uint64_t id = 100; tail.lost_ephemerals == 3; id += 10, published += 8) {
        assert_true(tail.bytes < TAIL_HOLD_MAX);
        publish(&tail, make(0, id, 8, true, 0));
    }
    assert_true(tail.bytes < TAIL_HOLD_MAX && tail.bytes > TAIL_HOLD_MAX - 5000);
    assert_int_equal(tail.frames, published - (tail.lost_ephemerals - 3));
    assert_true(published > 10000);
    tail_unhold(&tail, &hold);
    tail_trim(&tail);
    assert_int_equal(tail.frames, 0);
    tail_finish(&tail);
}

static void test_after(void **state)
{
    (void)state;
    struct tail tail;
    struct tail_pin pin;
    assert_int_equal(tail_init(&tail, 1 << 20, 10, ID_MIN), 0);
    tail_pin(&tail, &pin);
    assert_int_equal(tail_after(&tail, &pin, 10), 1);
    tail_unpin(&tail, &pin);
    for (uint64_t i = 0; i < 30; i++) {
        publish(&tail, make(11 + i, 100 + 10 * i, 1, false, 0));
        publish(&tail, make(0, 105 + 10 * i, 1, true, 0));
    }
    tail_pin(&tail, &pin);
    assert_int_equal(tail_after(&tail, &pin, 0), 1);
    assert_int_equal(tail_after(&tail, &pin, 10), 1);
    assert_int_equal(tail_after(&tail, &pin, 11), 3);
    assert_int_equal(tail_after(&tail, &pin, 39), 59);
    assert_int_equal(tail_after(&tail, &pin, 40), 61);
    tail_unpin(&tail, &pin);
    tail_finish(&tail);
}

struct search {
    struct tail *tail;
    uint64_t ids[64];
    size_t count, stop_at, grow_at;
};

static int note_id(void *arg, const struct frame *frame)
{
    struct search *search = arg;
    search->ids[search->count++] = frame->id.hi;
    if (search->count ==
        search->grow_at) /* the table of contents grows in the middle of the search */
        assert_int_equal(tail_reserve(search->tail, 100000, 0), 0);
    return search->count == search->stop_at ? 9 : 0;
}

static void test_contents(void **state)
{
    (void)state;
    struct tail tail;
    struct tail_pin pin;
    uint8_t digest[DIGEST_SIZE] = {0};
    assert_int_equal(tail_init(&tail, 1 << 24, 0, ID_MIN), 0);
    /* Tag 7 is in each group's first frame; the others share its bucket of a small table. */
    for (uint64_t i = 1; i <= 20; i++) {
        publish(&tail, make(2 * i - 1, i * 100, 1, false, 7));
        publish(&tail, make(2 * i, i * 100 + 10, 1, false, 7 + 256 * i));
    }
    tail_pin(&tail, &pin);
    publish(&tail, make(41, 5000, 1, false, 7)); /* after the pin */
    put_be64(digest, 7);
    struct search search = {.tail = &tail, .grow_at = 5};
    assert_int_equal(tail_content(&tail, &pin, digest, note_id, &search), 0);
    assert_int_equal(search.count, 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal(search.ids[i], (20 - i) * 100);
    search = (struct search){.tail = &tail, .stop_at = 3};
    assert_int_equal(tail_content(&tail, &pin, digest, note_id, &search), 9);
    put_be64(digest, 8);
    search = (struct search){.tail = &tail};
    assert_int_equal(tail_content(&tail, &pin, digest, note_id, &search), 0);
    assert_int_equal(search.count, 0);
    tail_unpin(&tail, &pin);
    /* What was evicted is found no more. */
    tail_indexed(&tail, 41);
    tail_evict(&tail, 30);
    tail_pin(&tail, &pin);
    put_be64(digest, 7);
    assert_int_equal(tail_content(&tail, &pin, digest, note_id, &search), 0);
    assert_int_equal(search.count, 6);
    tail_unpin(&tail, &pin);
    tail_finish(&tail);
}

static void test_lines(void **state)
{
    (void)state;
    struct tail tail;
    struct tail_group *group = make(1, 10, 5, false, 0);
    assert_int_equal(tail_init(&tail, 1 << 20, 0, ID_MIN), 0);
    assert_int_equal(tail_publish(&tail, group, NULL, 0), 0);
    size_t before = tail.bytes;
    const struct tail_lines *lines = tail_group_lines(&tail, group);
    assert_non_null(lines);
    assert_ptr_equal(lines, tail_group_lines(&tail, group));
    assert_true(tail.bytes > before);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(lines->bytes.ptr[lines->at[i]], '{');
        assert_int_equal(lines->bytes.ptr[lines->at[i + 1] - 1], '\n');
    }
    assert_int_equal(lines->at[5], lines->bytes.len);
    tail_finish(&tail);
    tail_group_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publish_and_find),
        cmocka_unit_test(test_eviction),
        cmocka_unit_test(test_budget),
        cmocka_unit_test(test_ephemerals),
        cmocka_unit_test(test_hides),
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_highest_id_of_imports),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_holds_have_bounds),
        cmocka_unit_test(test_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
