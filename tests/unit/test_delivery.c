/*
 * Frames shared out to members: each to one, handed over, in order, until done; compared with a
 * naive model over random deliveries, acknowledgements, departures and restarts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/groups/delivery.h"

static const struct delivery_rules plain = {.max = 3, .timeout_ms = 100};
static const struct delivery_rules ordered = {.by_topic = true, .max = 3, .timeout_ms = 100};

static struct frame_id id_of(uint64_t n)
{
    return (struct frame_id){1, n};
}

static void join(struct delivery *delivery, struct delivery_member *m, size_t window)
{
    *m = (struct delivery_member){.window = window};
    delivery_willing(delivery, m, true);
}

/* --- small cases ------------------------------------------------------------------------------ */

static void test_turns_and_windows(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, b, *to;
    assert_int_equal(delivery_init(&delivery, &plain, ID_MIN), 0);
    assert_int_equal(delivery_offer(&delivery, id_of(1), 0, 0, &to), DELIVERY_WAIT);
    join(&delivery, &a, 2);
    join(&delivery, &b, 1);
    size_t to_a = 0;
    for (uint64_t n = 1; n <= 3; n++) {
        assert_int_equal(delivery_offer(&delivery, id_of(n), 0, 0, &to), DELIVERY_GIVE);
        to_a += to == &a;
    }
    assert_int_equal(to_a, 2);
    assert_int_equal(delivery_offer(&delivery, id_of(4), 0, 0, &to), DELIVERY_WAIT);
    assert_int_equal(delivery_room(&delivery, 9), 0);
    assert_true(delivery_ack(&delivery, id_of(1)));
    assert_int_equal(delivery_offer(&delivery, id_of(1), 0, 0, &to), DELIVERY_PASS);
    assert_int_equal(delivery_offer(&delivery, id_of(4), 0, 0, &to), DELIVERY_GIVE);
    delivery_reset(&delivery, ID_MIN);
    assert_int_equal(a.open + b.open, 0);
    delivery_finish(&delivery);
}

static void test_low_follows_the_oldest(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, *to;
    struct delivery_record record;
    delivery_init(&delivery, &plain, ID_MIN);
    join(&delivery, &a, 10);
    for (uint64_t n = 1; n <= 4; n++)
        delivery_offer(&delivery, id_of(n * 10), 0, 0, &to);
    assert_false(delivery_ack(&delivery, id_of(15)));
    assert_true(delivery_ack(&delivery, id_of(30)));
    assert_int_equal(delivery.low.lo, 9);
    assert_int_equal(delivery_done(&delivery), 1);
    assert_true(delivery_ack(&delivery, id_of(10)));
    assert_int_equal(delivery.low.lo, 19);
    assert_int_equal(delivery_record(&delivery, &record), 0);
    assert_int_equal(record.low.lo, 19);
    assert_int_equal(record.count, 1);
    assert_int_equal(record.done[0].lo, 30);
    free(record.done);
    assert_false(delivery_dirty(&delivery, true));
    assert_true(delivery_ack(&delivery, id_of(20)));
    assert_int_equal(delivery.low.lo, 39);
    assert_int_equal(delivery_ack_upto(&delivery, &a, id_of(99)), 1);
    delivery_passed(&delivery, id_of(77));
    assert_int_equal(delivery.low.lo, 77);
    assert_true(delivery_ack(&delivery, id_of(40))); /* again: it is done */
    delivery_finish(&delivery);
}

static void test_a_failed_record_comes_whole(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, *to;
    struct delivery_record record;
    delivery_init(&delivery, &plain, ID_MIN);
    join(&delivery, &a, 10);
    for (uint64_t n = 1; n <= 4; n++)
        delivery_offer(&delivery, id_of(n), 0, 0, &to);
    delivery_ack(&delivery, id_of(2));
    delivery_record(&delivery, &record);
    free(record.done);
    delivery_record_failed(&delivery);
    delivery_ack(&delivery, id_of(4));
    assert_true(delivery_dirty(&delivery, false));
    delivery_record(&delivery, &record);
    assert_int_equal(record.count, 2);
    assert_int_equal(record.done[0].lo, 2);
    free(record.done);
    delivery_reset(&delivery, ID_MIN);
    delivery_finish(&delivery);
}

static void test_order_of_a_topic(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, *to;
    struct frame_id id;
    delivery_init(&delivery, &ordered, ID_MIN);
    join(&delivery, &a, 10);
    assert_int_equal(delivery_offer(&delivery, id_of(1), 7, 0, &to), DELIVERY_GIVE);
    assert_int_equal(delivery_offer(&delivery, id_of(2), 7, 0, &to), DELIVERY_KEEP);
    assert_int_equal(delivery_offer(&delivery, id_of(3), 8, 0, &to), DELIVERY_GIVE);
    assert_false(delivery_take(&delivery, &id));
    assert_false(delivery_ack(&delivery, id_of(2))); /* nobody has it yet */
    assert_true(delivery_nack(&delivery, id_of(1), NULL));
    assert_true(delivery_take(&delivery, &id));
    assert_int_equal(id.lo, 1);
    assert_true(delivery_give(&delivery, id, 5, &to));
    assert_true(delivery_ack(&delivery, id));
    assert_true(delivery_take(&delivery, &id));
    assert_int_equal(id.lo, 2);
    delivery_untake(&delivery, id);
    assert_int_equal(delivery_set_rules(&delivery, &plain), 0);
    assert_int_equal(delivery_offer(&delivery, id_of(4), 8, 0, &to), DELIVERY_WAIT); /* 2 is due and older */
    delivery_reset(&delivery, ID_MIN);
    delivery_finish(&delivery);
}

static void test_order_taken_up_later(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, *to;
    struct frame_id id;
    delivery_init(&delivery, &plain, ID_MIN);
    join(&delivery, &a, 10);
    delivery_offer(&delivery, id_of(1), 7, 0, &to);
    delivery_offer(&delivery, id_of(2), 7, 0, &to);
    assert_int_equal(delivery_set_rules(&delivery, &ordered), 0);
    assert_true(delivery_nack(&delivery, id_of(2), NULL));
    assert_false(delivery_take(&delivery, &id)); /* 1 is open */
    assert_true(delivery_ack(&delivery, id_of(1)));
    assert_true(delivery_take(&delivery, &id));
    assert_int_equal(id.lo, 2);
    delivery_reset(&delivery, ID_MIN);
    delivery_finish(&delivery);
}

static void test_timeout_leave_and_death(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, b, *to;
    struct frame_id id;
    uint64_t attempts;
    delivery_init(&delivery, &plain, ID_MIN);
    join(&delivery, &a, 10);
    delivery_offer(&delivery, id_of(1), 0, 50, &to);
    assert_int_equal(delivery_deadline(&delivery), 150);
    delivery_tick(&delivery, 149);
    assert_int_equal(a.open, 1);
    delivery_tick(&delivery, 150);
    assert_int_equal(a.open, 0);
    assert_true(delivery_take(&delivery, &id) && delivery_give(&delivery, id, 200, &to));
    delivery_return(&delivery, id, &a); /* no attempt */
    assert_true(delivery_take(&delivery, &id) && delivery_give(&delivery, id, 200, &to));
    delivery_leave(&delivery, &a, 210, 20);
    assert_int_equal(delivery_deadline(&delivery), 230);
    delivery_tick(&delivery, 230);
    assert_int_equal(a.open, 0);
    assert_false(delivery_dead(&delivery, &id, &attempts));
    join(&delivery, &b, 1);
    assert_true(delivery_take(&delivery, &id) && delivery_give(&delivery, id, 300, &to));
    assert_ptr_equal(to, &b);
    delivery_leave(&delivery, &b, 300, 0);
    assert_false(delivery_take(&delivery, &id));
    assert_true(delivery_dead(&delivery, &id, &attempts));
    assert_int_equal(attempts, 3);
    delivery_unburied(&delivery, id);
    assert_true(delivery_dead(&delivery, &id, &attempts));
    delivery_buried(&delivery, id);
    assert_int_equal(delivery.low.lo, 1);
    delivery_finish(&delivery);
}

static void test_at_most_so_many(void **state)
{
    (void)state;
    struct delivery delivery;
    struct delivery_member a, *to;
    delivery_init(&delivery, &plain, ID_MIN);
    join(&delivery, &a, 2 * DELIVERY_MAX);
    for (uint64_t n = 1; n <= DELIVERY_MAX; n++)
        assert_int_equal(delivery_offer(&delivery, id_of(n), 0, 0, &to), DELIVERY_GIVE);
    for (uint64_t n = DELIVERY_MAX; n > 1; n--)
        assert_true(delivery_ack(&delivery, id_of(n)));
    assert_int_equal(delivery_offer(&delivery, id_of(DELIVERY_MAX + 1), 0, 0, &to), DELIVERY_WAIT);
    delivery_ack(&delivery, id_of(1));
    assert_int_equal(delivery.low.lo, DELIVERY_MAX);
    assert_int_equal(delivery_offer(&delivery, id_of(DELIVERY_MAX + 1), 0, 0, &to), DELIVERY_GIVE);
    delivery_reset(&delivery, ID_MIN);
    delivery_finish(&delivery);
}

/* --- the model -------------------------------------------------------------------------------- */

#define FRAMES 400
#define MEMBERS 5

struct known {
    bool offered, done, durable, dead;
    uint64_t topic, since, attempts;
    int owner; /* -1 = nobody */
};

struct world {
    struct delivery delivery;
    struct delivery_rules rules;
    struct delivery_member members[MEMBERS];
    bool here[MEMBERS];
    struct known known[FRAMES + 1];
    uint64_t next, now, seed;
    struct frame_id kept_low; /* durable */
};

static uint64_t rnd(struct world *w, uint64_t below)
{
    w->seed = w->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (w->seed >> 33) % below;
}

static bool older_of_topic(const struct world *w, uint64_t n)
{
    for (uint64_t k = 1; k < n; k++)
        if (w->known[k].offered && !w->known[k].done && w->known[k].topic == w->known[n].topic)
            return true;
    return false;
}

static void handed_out(struct world *w, uint64_t n, struct delivery_member *to)
{
    struct known *k = &w->known[n];
    int m = (int)(to - w->members);
    assert_true(m >= 0 && m < MEMBERS && w->here[m] && to->open <= to->window);
    assert_false(k->done || k->dead);
    assert_int_equal(k->owner, -1);
    if (w->rules.by_topic)
        assert_false(older_of_topic(w, n));
    k->owner = m;
    k->since = w->now;
    k->attempts++;
    assert_true(k->attempts <= w->rules.max);
}

static bool somebody_has_room(const struct world *w)
{
    for (int m = 0; m < MEMBERS; m++)
        if (w->here[m] && w->members[m].willing && w->members[m].open < w->members[m].window)
            return true;
    return false;
}

static void offer(struct world *w)
{
    struct delivery_member *to;
    uint64_t n = w->next;
    if (n > FRAMES)
        return;
    struct known *k = &w->known[n];
    int rc = delivery_offer(&w->delivery, id_of(n), k->topic, w->now, &to);
    assert_true(rc >= 0);
    if (rc == DELIVERY_WAIT) {
        assert_true(!somebody_has_room(w) || w->delivery.lists[DELIVERY_DUE].count > 0);
        return;
    }
    assert_int_equal(rc == DELIVERY_PASS, k->done);
    k->offered = true;
    w->next++;
    if (rc == DELIVERY_GIVE)
        handed_out(w, n, to);
    if (rc == DELIVERY_KEEP)
        assert_true(w->rules.by_topic && older_of_topic(w, n));
}

static void handed_back(struct world *w, uint64_t n)
{
    struct known *k = &w->known[n];
    k->owner = -1;
    k->dead = k->attempts >= w->rules.max;
}

static void fetch(struct world *w)
{
    struct frame_id id;
    struct delivery_member *to;
    if (!delivery_take(&w->delivery, &id))
        return;
    struct known *k = &w->known[id.lo];
    assert_true(k->offered && !k->done && k->owner == -1 && !k->dead);
    switch (rnd(w, 8)) {
    case 0:
        delivery_untake(&w->delivery, id);
        break;
    case 1:
        delivery_gone(&w->delivery, id);
        k->done = true;
        break;
    default:
        if (delivery_give(&w->delivery, id, w->now, &to))
            handed_out(w, id.lo, to);
        else
            assert_false(somebody_has_room(w));
    }
}

static void ack(struct world *w, uint64_t n)
{
    struct known *k = &w->known[n];
    bool held = false;
    for (const struct delivery_frame *f = w->delivery.lists[DELIVERY_HELD].first; f; f = f->next)
        held = held || f->id.lo == n;
    bool known = delivery_ack(&w->delivery, id_of(n));
    assert_int_equal(known, k->done || (k->offered && !held));
    if (known && !k->done) {
        k->done = true;
        k->owner = -1;
    }
}

static void bury(struct world *w)
{
    struct frame_id id;
    uint64_t attempts;
    if (!delivery_dead(&w->delivery, &id, &attempts))
        return;
    struct known *k = &w->known[id.lo];
    assert_true(k->dead && !k->done);
    assert_int_equal(attempts, k->attempts);
    if (rnd(w, 4) == 0) {
        delivery_unburied(&w->delivery, id);
        return;
    }
    delivery_buried(&w->delivery, id);
    k->done = true;
}

static void tick(struct world *w, uint64_t ms)
{
    w->now += ms;
    for (uint64_t n = 1; n <= FRAMES; n++) {
        struct known *k = &w->known[n];
        const struct delivery_member *m = k->owner >= 0 ? &w->members[k->owner] : NULL;
        if (m && (w->now >= k->since + w->rules.timeout_ms ||
                  (m->leaving && w->now >= m->leaves_ms)))
            handed_back(w, n);
    }
    delivery_tick(&w->delivery, w->now);
}

static void come(struct world *w, int m)
{
    if (w->here[m] || w->members[m].open > 0)
        return;
    delivery_forget(&w->delivery, &w->members[m]);
    w->here[m] = true;
    join(&w->delivery, &w->members[m], 1 + (size_t)rnd(w, 6));
}

static void go(struct world *w, int m)
{
    uint64_t grace = rnd(w, 3) * 30;
    if (!w->here[m])
        return;
    w->here[m] = false;
    delivery_leave(&w->delivery, &w->members[m], w->now, grace == 60 ? DELIVERY_NEVER : grace);
    for (uint64_t n = 1; n <= FRAMES && grace == 0; n++)
        if (w->known[n].owner == m)
            handed_back(w, n);
}

static void record(struct world *w)
{
    struct delivery_record r;
    if (!delivery_dirty(&w->delivery, true))
        return;
    assert_int_equal(delivery_record(&w->delivery, &r), 0);
    if (rnd(w, 5) == 0) {
        delivery_record_failed(&w->delivery);
    } else {
        if (id_cmp(r.low, w->kept_low) > 0)
            w->kept_low = r.low;
        for (size_t i = 0; i < r.count; i++)
            w->known[r.done[i].lo].durable = true;
    }
    free(r.done);
}

/* What the store has is all that is known afterwards. */
static void restart(struct world *w)
{
    struct frame_id done[FRAMES];
    size_t count = 0;
    delivery_reset(&w->delivery, ID_MIN);
    delivery_finish(&w->delivery);
    w->next = FRAMES + 1;
    for (uint64_t n = FRAMES; n > 0; n--) {
        struct known *k = &w->known[n];
        bool below = id_cmp(id_of(n), w->kept_low) <= 0;
        if (!below && k->durable)
            done[count++] = id_of(n);
        if (!below)
            w->next = n;
        k->owner = -1;
        k->done = below || k->durable;
        k->offered = below;
        k->dead = false;
        k->attempts = 0;
    }
    assert_int_equal(delivery_init(&w->delivery, &w->rules, w->kept_low), 0);
    assert_int_equal(delivery_load(&w->delivery, done, count), 0);
    memset(w->members, 0, sizeof(w->members));
    memset(w->here, 0, sizeof(w->here));
}

/* Everything that delivery knows is what the model knows. */
static void compare(struct world *w)
{
    size_t open[MEMBERS] = {0}, undone = 0;
    uint64_t low = w->next - 1;
    for (uint64_t n = w->next - 1; n >= 1; n--)
        if (!w->known[n].done)
            low = n - 1;
    if (id_cmp(id_of(low), w->kept_low) < 0)
        low = w->kept_low.lo;
    if (low > 0 && w->delivery.read.hi)
        assert_int_equal(w->delivery.low.lo, low);
    for (uint64_t n = 1; n < w->next; n++) {
        undone += !w->known[n].done;
        if (w->known[n].owner >= 0)
            open[w->known[n].owner]++;
    }
    for (int m = 0; m < MEMBERS; m++)
        assert_int_equal(w->members[m].open, open[m]);
    size_t listed = 0;
    for (int s = 0; s < DELIVERY_DONE; s++)
        listed += w->delivery.lists[s].count;
    assert_int_equal(listed, undone);
}

static void one_step(struct world *w)
{
    int m = (int)rnd(w, MEMBERS);
    uint64_t n = 1 + rnd(w, w->next < FRAMES ? w->next : FRAMES);
    switch (rnd(w, 12)) {
    case 0:
        come(w, m);
        break;
    case 1:
        if (rnd(w, 3) == 0)
            go(w, m);
        break;
    case 2:
        tick(w, rnd(w, 40));
        break;
    case 3:
        if (w->here[m])
            delivery_willing(&w->delivery, &w->members[m], rnd(w, 4) > 0);
        break;
    case 4:
    case 5:
        ack(w, n);
        break;
    case 6:
        if (w->known[n].owner >= 0) {
            assert_true(delivery_nack(&w->delivery, id_of(n), NULL));
            handed_back(w, n);
        } else {
            assert_false(delivery_nack(&w->delivery, id_of(n), NULL));
        }
        break;
    case 7:
        bury(w);
        break;
    case 8:
        record(w);
        if (rnd(w, 40) == 0)
            restart(w);
        break;
    case 9:
    case 10:
        fetch(w);
        break;
    default:
        offer(w);
    }
    compare(w);
}

/* With everybody at work, everything comes to be done. */
static void drain(struct world *w)
{
    for (int i = 0; i < 100000 && w->delivery.low.lo < FRAMES; i++) {
        come(w, i % MEMBERS);
        if (w->here[i % MEMBERS])
            delivery_willing(&w->delivery, &w->members[i % MEMBERS], true);
        offer(w);
        fetch(w);
        bury(w);
        if (i % 7 == 0)
            tick(w, 20);
        for (uint64_t n = 1; n < w->next && i % 3 == 0; n++)
            if (w->known[n].owner >= 0)
                ack(w, n);
    }
    compare(w);
    assert_int_equal(w->delivery.low.lo, FRAMES);
}

static void walk(const struct delivery_rules *rules, uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    w->rules = *rules;
    w->seed = seed;
    w->next = 1;
    w->kept_low = id_of(0);
    for (uint64_t n = 1; n <= FRAMES; n++) {
        w->known[n].owner = -1;
        w->known[n].topic = rnd(w, 6);
    }
    assert_int_equal(delivery_init(&w->delivery, rules, w->kept_low), 0);
    for (int i = 0; i < 3000; i++)
        one_step(w);
    drain(w);
    delivery_reset(&w->delivery, ID_MIN);
    delivery_finish(&w->delivery);
    free(w);
}

static void test_random_walks(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        walk(&plain, seed);
        walk(&ordered, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turns_and_windows),
        cmocka_unit_test(test_low_follows_the_oldest),
        cmocka_unit_test(test_a_failed_record_comes_whole),
        cmocka_unit_test(test_order_of_a_topic),
        cmocka_unit_test(test_order_taken_up_later),
        cmocka_unit_test(test_timeout_leave_and_death),
        cmocka_unit_test(test_at_most_so_many),
        cmocka_unit_test(test_random_walks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
