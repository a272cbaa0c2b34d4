#include "daemon/groups/delivery_impl.h"

#include <errno.h>
#include <stdlib.h>

/* --- members ---------------------------------------------------------------------------------- */

static void ring_add(struct delivery_member **ring, struct delivery_member *m)
{
    struct delivery_member *first = *ring ? *ring : m;
    if (first == m)
        m->prev = m->next = m;
    m->next = first;
    m->prev = first->prev;
    m->prev->next = m;
    first->prev = m;
    *ring = first;
}

static void ring_remove(struct delivery_member **ring, struct delivery_member *m)
{
    if (*ring == m)
        *ring = m->next == m ? NULL : m->next;
    m->prev->next = m->next;
    m->next->prev = m->prev;
    m->prev = m->next = NULL;
}

static void see_room(struct delivery *delivery, struct delivery_member *m)
{
    bool room = m->willing && m->open < m->window;
    if (room == m->in_ring)
        return;
    m->in_ring = room;
    (room ? ring_add : ring_remove)(&delivery->ring, m);
}

void delivery_willing(struct delivery *delivery, struct delivery_member *member, bool willing)
{
    member->willing = willing;
    see_room(delivery, member);
}

/* To who is next in turn. */
static struct delivery_member *hand_out(struct delivery *delivery, struct delivery_frame *f, uint64_t now_ms)
{
    struct delivery_member *m = delivery->ring;
    delivery->ring = m->next;
    f->member = m;
    f->since_ms = now_ms;
    f->attempts++;
    delivery_set_state(delivery, f, DELIVERY_OPEN);
    m->open++;
    see_room(delivery, m);
    return m;
}

static void take_off(struct delivery *delivery, struct delivery_frame *f)
{
    struct delivery_member *m = f->member;
    f->member = NULL;
    if (!m)
        return;
    m->open--;
    see_room(delivery, m);
}

/* It may go to anybody, once it is its topic's turn. */
static void make_due(struct delivery *delivery, struct delivery_frame *f)
{
    bool turn = delivery_topic_turn(delivery, f);
    take_off(delivery, f);
    delivery_set_state(delivery, f, turn ? DELIVERY_DUE : DELIVERY_HELD);
}

static void hand_back(struct delivery *delivery, struct delivery_frame *f)
{
    if (delivery->rules.max == 0 || f->attempts < delivery->rules.max) {
        make_due(delivery, f);
        return;
    }
    take_off(delivery, f);
    delivery_set_state(delivery, f, DELIVERY_DEAD);
}

static void hand_back_all(struct delivery *delivery, const struct delivery_member *member)
{
    struct delivery_frame *next;
    for (struct delivery_frame *f = delivery->lists[DELIVERY_OPEN].first; f; f = next) {
        next = f->next;
        if (f->member == member)
            hand_back(delivery, f);
    }
}

void delivery_leave(struct delivery *delivery, struct delivery_member *member, uint64_t now_ms,
                 uint64_t grace_ms)
{
    delivery_willing(delivery, member, false);
    if (grace_ms == 0) {
        hand_back_all(delivery, member);
    } else if (grace_ms != DELIVERY_NEVER && !member->leaving) {
        member->leaving = true;
        member->leaves_ms = now_ms + grace_ms;
        ring_add(&delivery->leaving, member);
    }
}

void delivery_forget(struct delivery *delivery, struct delivery_member *member)
{
    delivery_willing(delivery, member, false);
    if (member->leaving)
        ring_remove(&delivery->leaving, member);
    member->leaving = false;
}

/* --- done ------------------------------------------------------------------------------------- */

static void finish_frame(struct delivery *delivery, struct delivery_frame *f)
{
    take_off(delivery, f);
    delivery_set_state(delivery, f, DELIVERY_DONE);
    delivery_topic_remove(delivery, f);
    delivery_note_fresh(delivery, f->id);
}

bool delivery_ack(struct delivery *delivery, struct frame_id id)
{
    if (id_cmp(id, delivery->low) <= 0)
        return true;
    struct delivery_frame *f = delivery_find(delivery, id);
    if (!f || f->state == DELIVERY_HELD)
        return false;
    if (f->state == DELIVERY_DONE || f->state == DELIVERY_BURIED)
        return true;
    finish_frame(delivery, f);
    delivery_advance(delivery);
    return true;
}

size_t delivery_ack_upto(struct delivery *delivery, const struct delivery_member *member, struct frame_id id)
{
    size_t count = 0;
    struct delivery_frame *next;
    for (struct delivery_frame *f = delivery->lists[DELIVERY_OPEN].first; f; f = next) {
        next = f->next;
        if (f->member != member || id_cmp(f->id, id) > 0)
            continue;
        finish_frame(delivery, f);
        count++;
    }
    delivery_advance(delivery);
    return count;
}

static struct delivery_frame *find_in(const struct delivery *delivery, struct frame_id id,
                                   enum delivery_state state)
{
    struct delivery_frame *f = delivery_find(delivery, id);
    return f && f->state == state ? f : NULL;
}

bool delivery_nack(struct delivery *delivery, struct frame_id id, const struct delivery_member *member)
{
    struct delivery_frame *f = find_in(delivery, id, DELIVERY_OPEN);
    if (!f || (member && f->member != member))
        return false;
    hand_back(delivery, f);
    return true;
}

void delivery_return(struct delivery *delivery, struct frame_id id, const struct delivery_member *member)
{
    struct delivery_frame *f = find_in(delivery, id, DELIVERY_OPEN);
    if (!f || f->member != member)
        return;
    f->attempts--;
    make_due(delivery, f);
}

/* --- time ------------------------------------------------------------------------------------- */

void delivery_tick(struct delivery *delivery, uint64_t now_ms)
{
    struct delivery_frame *f;
    while ((f = delivery->lists[DELIVERY_OPEN].first) &&
           now_ms >= f->since_ms + delivery->rules.timeout_ms)
        hand_back(delivery, f);
    struct delivery_member *m = delivery->leaving, *last = m ? m->prev : NULL;
    while (m) {
        struct delivery_member *next = m == last ? NULL : m->next;
        if (now_ms >= m->leaves_ms || m->open == 0) {
            hand_back_all(delivery, m);
            delivery_forget(delivery, m);
        }
        m = next;
    }
}

uint64_t delivery_deadline(const struct delivery *delivery)
{
    const struct delivery_frame *f = delivery->lists[DELIVERY_OPEN].first;
    uint64_t deadline = f ? f->since_ms + delivery->rules.timeout_ms : DELIVERY_NEVER;
    const struct delivery_member *m = delivery->leaving;
    while (m) {
        if (m->leaves_ms < deadline)
            deadline = m->leaves_ms;
        m = m->next == delivery->leaving ? NULL : m->next;
    }
    return deadline;
}

/* --- handing out ------------------------------------------------------------------------------ */

int delivery_offer(struct delivery *delivery, struct frame_id id, uint64_t topic, uint64_t now_ms,
                struct delivery_member **to)
{
    if (id_cmp(id, delivery->low) <= 0 || delivery_find(delivery, id)) {
        delivery_passed(delivery, id);
        return DELIVERY_PASS;
    }
    bool busy = delivery_topic_busy(delivery, topic);
    if (!delivery->ring || delivery->end - delivery->first >= DELIVERY_MAX ||
        delivery->lists[DELIVERY_DUE].count + delivery->lists[DELIVERY_TAKEN].count > 0)
        return DELIVERY_WAIT;
    struct delivery_frame *f = delivery_add_frame(delivery, id, topic);
    if (!f)
        return -ENOMEM;
    if (delivery_topic_add(delivery, f) < 0) {
        delivery_drop_frame(delivery, f);
        return -ENOMEM;
    }
    if (busy)
        delivery_set_state(delivery, f, DELIVERY_HELD);
    else
        *to = hand_out(delivery, f, now_ms);
    delivery_passed(delivery, id);
    return busy ? DELIVERY_KEEP : DELIVERY_GIVE;
}

void delivery_passed(struct delivery *delivery, struct frame_id position)
{
    if (id_cmp(position, delivery->read) > 0)
        delivery->read = position;
    delivery_advance(delivery);
}

size_t delivery_room(const struct delivery *delivery, size_t most)
{
    size_t room = 0;
    const struct delivery_member *m = delivery->ring;
    while (m && room < most) {
        room += m->window - m->open;
        m = m->next == delivery->ring ? NULL : m->next;
    }
    return room < most ? room : most;
}

bool delivery_take(struct delivery *delivery, struct frame_id *id)
{
    struct delivery_frame *f = delivery->lists[DELIVERY_DUE].first;
    if (!f)
        return false;
    delivery_set_state(delivery, f, DELIVERY_TAKEN);
    *id = f->id;
    return true;
}

bool delivery_give(struct delivery *delivery, struct frame_id id, uint64_t now_ms, struct delivery_member **to)
{
    struct delivery_frame *f = find_in(delivery, id, DELIVERY_TAKEN);
    if (!f)
        return false;
    if (!delivery->ring) {
        make_due(delivery, f);
        return false;
    }
    *to = hand_out(delivery, f, now_ms);
    return true;
}

static void end_frame(struct delivery *delivery, struct frame_id id, enum delivery_state from)
{
    struct delivery_frame *f = find_in(delivery, id, from);
    if (!f)
        return;
    finish_frame(delivery, f);
    delivery_advance(delivery);
}

void delivery_untake(struct delivery *delivery, struct frame_id id)
{
    struct delivery_frame *f = find_in(delivery, id, DELIVERY_TAKEN);
    if (f)
        make_due(delivery, f);
}

void delivery_gone(struct delivery *delivery, struct frame_id id)
{
    end_frame(delivery, id, DELIVERY_TAKEN);
}

bool delivery_dead(struct delivery *delivery, struct frame_id *id, uint64_t *attempts)
{
    struct delivery_frame *f = delivery->lists[DELIVERY_DEAD].first;
    if (!f)
        return false;
    delivery_set_state(delivery, f, DELIVERY_BURIED);
    *id = f->id;
    *attempts = f->attempts;
    return true;
}

void delivery_buried(struct delivery *delivery, struct frame_id id)
{
    end_frame(delivery, id, DELIVERY_BURIED);
}

void delivery_unburied(struct delivery *delivery, struct frame_id id)
{
    struct delivery_frame *f = find_in(delivery, id, DELIVERY_BURIED);
    if (f)
        delivery_set_state(delivery, f, DELIVERY_DEAD);
}

/* --- looking ---------------------------------------------------------------------------------- */

bool delivery_idle(const struct delivery *delivery)
{
    return delivery->lists[DELIVERY_HELD].count + delivery->lists[DELIVERY_DUE].count +
               delivery->lists[DELIVERY_TAKEN].count ==
           0;
}

size_t delivery_done(const struct delivery *delivery)
{
    size_t count = delivery->end - delivery->first;
    for (int state = 0; state < DELIVERY_DONE; state++)
        count -= delivery->lists[state].count;
    return count;
}

/* --- life ------------------------------------------------------------------------------------- */

int delivery_init(struct delivery *delivery, const struct delivery_rules *rules, struct frame_id low)
{
    *delivery = (struct delivery){.low = low, .read = low, .recorded = low};
    return delivery_set_rules(delivery, rules);
}

int delivery_load(struct delivery *delivery, const struct frame_id *done, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (id_cmp(done[i], delivery->low) > 0 && !delivery_find(delivery, done[i]) &&
            !delivery_add_frame(delivery, done[i], 0))
            return -ENOMEM;
    return 0;
}

/* Members have nothing open any more. */
static void forget_frames(struct delivery *delivery)
{
    for (struct delivery_frame *f = delivery->lists[DELIVERY_OPEN].first; f; f = f->next)
        take_off(delivery, f);
    delivery_free_frames(delivery);
}

void delivery_reset(struct delivery *delivery, struct frame_id low)
{
    forget_frames(delivery);
    delivery->low = delivery->read = delivery->recorded = low;
    delivery->fresh_count = 0;
    delivery->record_all = false;
}

int delivery_set_rules(struct delivery *delivery, const struct delivery_rules *rules)
{
    int rc = delivery_order(delivery, rules->by_topic);
    if (rc == 0)
        delivery->rules = *rules;
    return rc;
}

void delivery_finish(struct delivery *delivery)
{
    forget_frames(delivery);
    delivery_order(delivery, false);
    free(delivery->frames);
    free(delivery->fresh);
}
