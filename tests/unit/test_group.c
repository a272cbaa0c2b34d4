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

#include "daemon/share.h"

static const struct share_rules plain = {.max = 3, .timeout_ms = 100};
static const struct share_rules ordered = {.by_topic = true, .max = 3, .timeout_ms = 100};

static struct frame_id id_of(uint64_t n)
{
    return (struct frame_id){1, n};
}

static void join(struct share *share, struct share_member *m, size_t window)
{
    *m = (struct share_member){.window = window};
    share_willing(share, m, true);
}

/* --- small cases ------------------------------------------------------------------------------ */

static void test_turns_and_windows(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, b, *to;
    assert_int_equal(share_init(&share, &plain, ID_MIN), 0);
    assert_int_equal(share_offer(&share, id_of(1), 0, 0, &to), SHARE_WAIT);
    join(&share, &a, 2);
    join(&share, &b, 1);
    size_t to_a = 0;
    for (uint64_t n = 1; n <= 3; n++) {
        assert_int_equal(share_offer(&share, id_of(n), 0, 0, &to), SHARE_GIVE);
        to_a += to == &a;
    }
    assert_int_equal(to_a, 2);
    assert_int_equal(share_offer(&share, id_of(4), 0, 0, &to), SHARE_WAIT);
    assert_int_equal(share_room(&share, 9), 0);
    assert_true(share_ack(&share, id_of(1)));
    assert_int_equal(share_offer(&share, id_of(1), 0, 0, &to), SHARE_PASS);
    assert_int_equal(share_offer(&share, id_of(4), 0, 0, &to), SHARE_GIVE);
    share_reset(&share, ID_MIN);
    assert_int_equal(a.open + b.open, 0);
    share_finish(&share);
}

static void test_low_follows_the_oldest(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, *to;
    struct share_record record;
    share_init(&share, &plain, ID_MIN);
    join(&share, &a, 10);
    for (uint64_t n = 1; n <= 4; n++)
        share_offer(&share, id_of(n * 10), 0, 0, &to);
    assert_false(share_ack(&share, id_of(15)));
    assert_true(share_ack(&share, id_of(30)));
    assert_int_equal(share.low.lo, 9);
    assert_int_equal(share_done(&share), 1);
    assert_true(share_ack(&share, id_of(10)));
    assert_int_equal(share.low.lo, 19);
    assert_int_equal(share_record(&share, &record), 0);
    assert_int_equal(record.low.lo, 19);
    assert_int_equal(record.count, 1);
    assert_int_equal(record.done[0].lo, 30);
    free(record.done);
    assert_false(share_dirty(&share, true));
    assert_true(share_ack(&share, id_of(20)));
    assert_int_equal(share.low.lo, 39);
    assert_int_equal(share_ack_upto(&share, &a, id_of(99)), 1);
    share_passed(&share, id_of(77));
    assert_int_equal(share.low.lo, 77);
    assert_true(share_ack(&share, id_of(40))); /* again: it is done */
    share_finish(&share);
}

static void test_a_failed_record_comes_whole(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, *to;
    struct share_record record;
    share_init(&share, &plain, ID_MIN);
    join(&share, &a, 10);
    for (uint64_t n = 1; n <= 4; n++)
        share_offer(&share, id_of(n), 0, 0, &to);
    share_ack(&share, id_of(2));
    share_record(&share, &record);
    free(record.done);
    share_record_failed(&share);
    share_ack(&share, id_of(4));
    assert_true(share_dirty(&share, false));
    share_record(&share, &record);
    assert_int_equal(record.count, 2);
    assert_int_equal(record.done[0].lo, 2);
    free(record.done);
    share_reset(&share, ID_MIN);
    share_finish(&share);
}

static void test_order_of_a_topic(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, *to;
    struct frame_id id;
    share_init(&share, &ordered, ID_MIN);
    join(&share, &a, 10);
    assert_int_equal(share_offer(&share, id_of(1), 7, 0, &to), SHARE_GIVE);
    assert_int_equal(share_offer(&share, id_of(2), 7, 0, &to), SHARE_KEEP);
    assert_int_equal(share_offer(&share, id_of(3), 8, 0, &to), SHARE_GIVE);
    assert_false(share_take(&share, &id));
    assert_false(share_ack(&share, id_of(2))); /* nobody has it yet */
    assert_true(share_nack(&share, id_of(1), NULL));
    assert_true(share_take(&share, &id));
    assert_int_equal(id.lo, 1);
    assert_true(share_give(&share, id, 5, &to));
    assert_true(share_ack(&share, id));
    assert_true(share_take(&share, &id));
    assert_int_equal(id.lo, 2);
    share_untake(&share, id);
    assert_int_equal(share_set_rules(&share, &plain), 0);
    assert_int_equal(share_offer(&share, id_of(4), 8, 0, &to), SHARE_WAIT); /* 2 is due and older */
    share_reset(&share, ID_MIN);
    share_finish(&share);
}

static void test_order_taken_up_later(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, *to;
    struct frame_id id;
    share_init(&share, &plain, ID_MIN);
    join(&share, &a, 10);
    share_offer(&share, id_of(1), 7, 0, &to);
    share_offer(&share, id_of(2), 7, 0, &to);
    assert_int_equal(share_set_rules(&share, &ordered), 0);
    assert_true(share_nack(&share, id_of(2), NULL));
    assert_false(share_take(&share, &id)); /* 1 is open */
    assert_true(share_ack(&share, id_of(1)));
    assert_true(share_take(&share, &id));
    assert_int_equal(id.lo, 2);
    share_reset(&share, ID_MIN);
    share_finish(&share);
}

static void test_timeout_leave_and_death(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, b, *to;
    struct frame_id id;
    uint64_t attempts;
    share_init(&share, &plain, ID_MIN);
    join(&share, &a, 10);
    share_offer(&share, id_of(1), 0, 50, &to);
    assert_int_equal(share_deadline(&share), 150);
    share_tick(&share, 149);
    assert_int_equal(a.open, 1);
    share_tick(&share, 150);
    assert_int_equal(a.open, 0);
    assert_true(share_take(&share, &id) && share_give(&share, id, 200, &to));
    share_return(&share, id, &a); /* no attempt */
    assert_true(share_take(&share, &id) && share_give(&share, id, 200, &to));
    share_leave(&share, &a, 210, 20);
    assert_int_equal(share_deadline(&share), 230);
    share_tick(&share, 230);
    assert_int_equal(a.open, 0);
    assert_false(share_dead(&share, &id, &attempts));
    join(&share, &b, 1);
    assert_true(share_take(&share, &id) && share_give(&share, id, 300, &to));
    assert_ptr_equal(to, &b);
    share_leave(&share, &b, 300, 0);
    assert_false(share_take(&share, &id));
    assert_true(share_dead(&share, &id, &attempts));
    assert_int_equal(attempts, 3);
    share_unburied(&share, id);
    assert_true(share_dead(&share, &id, &attempts));
    share_buried(&share, id);
    assert_int_equal(share.low.lo, 1);
    share_finish(&share);
}

static void test_at_most_so_many(void **state)
{
    (void)state;
    struct share share;
    struct share_member a, *to;
    share_init(&share, &plain, ID_MIN);
    join(&share, &a, 2 * SHARE_MAX);
    for (uint64_t n = 1; n <= SHARE_MAX; n++)
        assert_int_equal(share_offer(&share, id_of(n), 0, 0, &to), SHARE_GIVE);
    for (uint64_t n = SHARE_MAX; n > 1; n--)
        assert_true(share_ack(&share, id_of(n)));
    assert_int_equal(share_offer(&share, id_of(SHARE_MAX + 1), 0, 0, &to), SHARE_WAIT);
    share_ack(&share, id_of(1));
    assert_int_equal(share.low.lo, SHARE_MAX);
    assert_int_equal(share_offer(&share, id_of(SHARE_MAX + 1), 0, 0, &to), SHARE_GIVE);
    share_reset(&share, ID_MIN);
    share_finish(&share);
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
    struct share share;
    struct share_rules rules;
    struct share_member members[MEMBERS];
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

static void handed_out(struct world *w, uint64_t n, struct share_member *to)
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
    struct share_member *to;
    uint64_t n = w->next;
    if (n > FRAMES)
        return;
    struct known *k = &w->known[n];
    int rc = share_offer(&w->share, id_of(n), k->topic, w->now, &to);
    assert_true(rc >= 0);
    if (rc == SHARE_WAIT) {
        assert_true(!somebody_has_room(w) || w->share.lists[SHARE_DUE].count > 0);
        return;
    }
    assert_int_equal(rc == SHARE_PASS, k->done);
    k->offered = true;
    w->next++;
    if (rc == SHARE_GIVE)
        handed_out(w, n, to);
    if (rc == SHARE_KEEP)
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
    struct share_member *to;
    if (!share_take(&w->share, &id))
        return;
    struct known *k = &w->known[id.lo];
    assert_true(k->offered && !k->done && k->owner == -1 && !k->dead);
    switch (rnd(w, 8)) {
    case 0:
        share_untake(&w->share, id);
        break;
    case 1:
        share_gone(&w->share, id);
        k->done = true;
        break;
    default:
        if (share_give(&w->share, id, w->now, &to))
            handed_out(w, id.lo, to);
        else
            assert_false(somebody_has_room(w));
    }
}

static void ack(struct world *w, uint64_t n)
{
    struct known *k = &w->known[n];
    bool held = false;
    for (const struct share_frame *f = w->share.lists[SHARE_HELD].first; f; f = f->next)
        held = held || f->id.lo == n;
    bool known = share_ack(&w->share, id_of(n));
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
    if (!share_dead(&w->share, &id, &attempts))
        return;
    struct known *k = &w->known[id.lo];
    assert_true(k->dead && !k->done);
    assert_int_equal(attempts, k->attempts);
    if (rnd(w, 4) == 0) {
        share_unburied(&w->share, id);
        return;
    }
    share_buried(&w->share, id);
    k->done = true;
}

static void tick(struct world *w, uint64_t ms)
{
    w->now += ms;
    for (uint64_t n = 1; n <= FRAMES; n++) {
        struct known *k = &w->known[n];
        const struct share_member *m = k->owner >= 0 ? &w->members[k->owner] : NULL;
        if (m && (w->now >= k->since + w->rules.timeout_ms ||
                  (m->leaving && w->now >= m->leaves_ms)))
            handed_back(w, n);
    }
    share_tick(&w->share, w->now);
}

static void come(struct world *w, int m)
{
    if (w->here[m] || w->members[m].open > 0)
        return;
    share_forget(&w->share, &w->members[m]);
    w->here[m] = true;
    join(&w->share, &w->members[m], 1 + (size_t)rnd(w, 6));
}

static void go(struct world *w, int m)
{
    uint64_t grace = rnd(w, 3) * 30;
    if (!w->here[m])
        return;
    w->here[m] = false;
    share_leave(&w->share, &w->members[m], w->now, grace == 60 ? SHARE_NEVER : grace);
    for (uint64_t n = 1; n <= FRAMES && grace == 0; n++)
        if (w->known[n].owner == m)
            handed_back(w, n);
}

static void record(struct world *w)
{
    struct share_record r;
    if (!share_dirty(&w->share, true))
        return;
    assert_int_equal(share_record(&w->share, &r), 0);
    if (rnd(w, 5) == 0) {
        share_record_failed(&w->share);
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
    share_reset(&w->share, ID_MIN);
    share_finish(&w->share);
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
    assert_int_equal(share_init(&w->share, &w->rules, w->kept_low), 0);
    assert_int_equal(share_load(&w->share, done, count), 0);
    memset(w->members, 0, sizeof(w->members));
    memset(w->here, 0, sizeof(w->here));
}

/* Everything that share knows is what the model knows. */
static void compare(struct world *w)
{
    size_t open[MEMBERS] = {0}, undone = 0;
    uint64_t low = w->next - 1;
    for (uint64_t n = w->next - 1; n >= 1; n--)
        if (!w->known[n].done)
            low = n - 1;
    if (id_cmp(id_of(low), w->kept_low) < 0)
        low = w->kept_low.lo;
    if (low > 0 && w->share.read.hi)
        assert_int_equal(w->share.low.lo, low);
    for (uint64_t n = 1; n < w->next; n++) {
        undone += !w->known[n].done;
        if (w->known[n].owner >= 0)
            open[w->known[n].owner]++;
    }
    for (int m = 0; m < MEMBERS; m++)
        assert_int_equal(w->members[m].open, open[m]);
    size_t listed = 0;
    for (int s = 0; s < SHARE_DONE; s++)
        listed += w->share.lists[s].count;
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
            share_willing(&w->share, &w->members[m], rnd(w, 4) > 0);
        break;
    case 4:
    case 5:
        ack(w, n);
        break;
    case 6:
        if (w->known[n].owner >= 0) {
            assert_true(share_nack(&w->share, id_of(n), NULL));
            handed_back(w, n);
        } else {
            assert_false(share_nack(&w->share, id_of(n), NULL));
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
    for (int i = 0; i < 100000 && w->share.low.lo < FRAMES; i++) {
        come(w, i % MEMBERS);
        if (w->here[i % MEMBERS])
            share_willing(&w->share, &w->members[i % MEMBERS], true);
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
    assert_int_equal(w->share.low.lo, FRAMES);
}

static void walk(const struct share_rules *rules, uint64_t seed)
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
    assert_int_equal(share_init(&w->share, rules, w->kept_low), 0);
    for (int i = 0; i < 3000; i++)
        one_step(w);
    drain(w);
    share_reset(&w->share, ID_MIN);
    share_finish(&w->share);
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
