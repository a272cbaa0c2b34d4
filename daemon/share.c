#include "daemon/share_impl.h"

#include <errno.h>
#include <stdlib.h>

/* --- members ---------------------------------------------------------------------------------- */

static void ring_add(struct share_member **ring, struct share_member *m)
{
    struct share_member *first = *ring ? *ring : m;
    if (first == m)
        m->prev = m->next = m;
    m->next = first;
    m->prev = first->prev;
    m->prev->next = m;
    first->prev = m;
    *ring = first;
}

static void ring_remove(struct share_member **ring, struct share_member *m)
{
    if (*ring == m)
        *ring = m->next == m ? NULL : m->next;
    m->prev->next = m->next;
    m->next->prev = m->prev;
    m->prev = m->next = NULL;
}

static void see_room(struct share *share, struct share_member *m)
{
    bool room = m->willing && m->open < m->window;
    if (room == m->in_ring)
        return;
    m->in_ring = room;
    (room ? ring_add : ring_remove)(&share->ring, m);
}

void share_willing(struct share *share, struct share_member *member, bool willing)
{
    member->willing = willing;
    see_room(share, member);
}

/* To who is next in turn. */
static struct share_member *hand_out(struct share *share, struct share_frame *f, uint64_t now_ms)
{
    struct share_member *m = share->ring;
    share->ring = m->next;
    f->member = m;
    f->since_ms = now_ms;
    f->attempts++;
    share_set_state(share, f, SHARE_OPEN);
    m->open++;
    see_room(share, m);
    return m;
}

static void take_off(struct share *share, struct share_frame *f)
{
    struct share_member *m = f->member;
    f->member = NULL;
    if (!m)
        return;
    m->open--;
    see_room(share, m);
}

/* It may go to anybody, once it is its topic's turn. */
static void make_due(struct share *share, struct share_frame *f)
{
    bool turn = share_topic_turn(share, f);
    take_off(share, f);
    share_set_state(share, f, turn ? SHARE_DUE : SHARE_HELD);
}

static void hand_back(struct share *share, struct share_frame *f)
{
    if (share->rules.max == 0 || f->attempts < share->rules.max) {
        make_due(share, f);
        return;
    }
    take_off(share, f);
    share_set_state(share, f, SHARE_DEAD);
}

static void hand_back_all(struct share *share, const struct share_member *member)
{
    struct share_frame *next;
    for (struct share_frame *f = share->lists[SHARE_OPEN].first; f; f = next) {
        next = f->next;
        if (f->member == member)
            hand_back(share, f);
    }
}

void share_leave(struct share *share, struct share_member *member, uint64_t now_ms,
                 uint64_t grace_ms)
{
    share_willing(share, member, false);
    if (grace_ms == 0) {
        hand_back_all(share, member);
    } else if (grace_ms != SHARE_NEVER && !member->leaving) {
        member->leaving = true;
        member->leaves_ms = now_ms + grace_ms;
        ring_add(&share->leaving, member);
    }
}

void share_forget(struct share *share, struct share_member *member)
{
    share_willing(share, member, false);
    if (member->leaving)
        ring_remove(&share->leaving, member);
    member->leaving = false;
}

/* --- done ------------------------------------------------------------------------------------- */

static void finish_frame(struct share *share, struct share_frame *f)
{
    take_off(share, f);
    share_set_state(share, f, SHARE_DONE);
    share_topic_remove(share, f);
    share_note_fresh(share, f->id);
}

bool share_ack(struct share *share, struct frame_id id)
{
    if (id_cmp(id, share->low) <= 0)
        return true;
    struct share_frame *f = share_find(share, id);
    if (!f || f->state == SHARE_HELD)
        return false;
    if (f->state == SHARE_DONE || f->state == SHARE_BURIED)
        return true;
    finish_frame(share, f);
    share_advance(share);
    return true;
}

size_t share_ack_upto(struct share *share, const struct share_member *member, struct frame_id id)
{
    size_t count = 0;
    struct share_frame *next;
    for (struct share_frame *f = share->lists[SHARE_OPEN].first; f; f = next) {
        next = f->next;
        if (f->member != member || id_cmp(f->id, id) > 0)
            continue;
        finish_frame(share, f);
        count++;
    }
    share_advance(share);
    return count;
}

static struct share_frame *find_in(const struct share *share, struct frame_id id,
                                   enum share_state state)
{
    struct share_frame *f = share_find(share, id);
    return f && f->state == state ? f : NULL;
}

bool share_nack(struct share *share, struct frame_id id, const struct share_member *member)
{
    struct share_frame *f = find_in(share, id, SHARE_OPEN);
    if (!f || (member && f->member != member))
        return false;
    hand_back(share, f);
    return true;
}

void share_return(struct share *share, struct frame_id id, const struct share_member *member)
{
    struct share_frame *f = find_in(share, id, SHARE_OPEN);
    if (!f || f->member != member)
        return;
    f->attempts--;
    make_due(share, f);
}

/* --- time ------------------------------------------------------------------------------------- */

void share_tick(struct share *share, uint64_t now_ms)
{
    struct share_frame *f;
    while ((f = share->lists[SHARE_OPEN].first) &&
           now_ms >= f->since_ms + share->rules.timeout_ms)
        hand_back(share, f);
    struct share_member *m = share->leaving, *last = m ? m->prev : NULL;
    while (m) {
        struct share_member *next = m == last ? NULL : m->next;
        if (now_ms >= m->leaves_ms || m->open == 0) {
            hand_back_all(share, m);
            share_forget(share, m);
        }
        m = next;
    }
}

uint64_t share_deadline(const struct share *share)
{
    const struct share_frame *f = share->lists[SHARE_OPEN].first;
    uint64_t deadline = f ? f->since_ms + share->rules.timeout_ms : SHARE_NEVER;
    const struct share_member *m = share->leaving;
    while (m) {
        if (m->leaves_ms < deadline)
            deadline = m->leaves_ms;
        m = m->next == share->leaving ? NULL : m->next;
    }
    return deadline;
}

/* --- handing out ------------------------------------------------------------------------------ */

int share_offer(struct share *share, struct frame_id id, uint64_t topic, uint64_t now_ms,
                struct share_member **to)
{
    if (id_cmp(id, share->low) <= 0 || share_find(share, id)) {
        share_passed(share, id);
        return SHARE_PASS;
    }
    bool busy = share_topic_busy(share, topic);
    if (!share->ring || share->end - share->first >= SHARE_MAX ||
        share->lists[SHARE_DUE].count + share->lists[SHARE_TAKEN].count > 0)
        return SHARE_WAIT;
    struct share_frame *f = share_add_frame(share, id, topic);
    if (!f)
        return -ENOMEM;
    if (share_topic_add(share, f) < 0) {
        share_drop_frame(share, f);
        return -ENOMEM;
    }
    if (busy)
        share_set_state(share, f, SHARE_HELD);
    else
        *to = hand_out(share, f, now_ms);
    share_passed(share, id);
    return busy ? SHARE_KEEP : SHARE_GIVE;
}

void share_passed(struct share *share, struct frame_id position)
{
    if (id_cmp(position, share->read) > 0)
        share->read = position;
    share_advance(share);
}

size_t share_room(const struct share *share, size_t most)
{
    size_t room = 0;
    const struct share_member *m = share->ring;
    while (m && room < most) {
        room += m->window - m->open;
        m = m->next == share->ring ? NULL : m->next;
    }
    return room < most ? room : most;
}

bool share_take(struct share *share, struct frame_id *id)
{
    struct share_frame *f = share->lists[SHARE_DUE].first;
    if (!f)
        return false;
    share_set_state(share, f, SHARE_TAKEN);
    *id = f->id;
    return true;
}

bool share_give(struct share *share, struct frame_id id, uint64_t now_ms, struct share_member **to)
{
    struct share_frame *f = find_in(share, id, SHARE_TAKEN);
    if (!f)
        return false;
    if (!share->ring) {
        make_due(share, f);
        return false;
    }
    *to = hand_out(share, f, now_ms);
    return true;
}

static void end_frame(struct share *share, struct frame_id id, enum share_state from)
{
    struct share_frame *f = find_in(share, id, from);
    if (!f)
        return;
    finish_frame(share, f);
    share_advance(share);
}

void share_untake(struct share *share, struct frame_id id)
{
    struct share_frame *f = find_in(share, id, SHARE_TAKEN);
    if (f)
        make_due(share, f);
}

void share_gone(struct share *share, struct frame_id id)
{
    end_frame(share, id, SHARE_TAKEN);
}

bool share_dead(struct share *share, struct frame_id *id, uint64_t *attempts)
{
    struct share_frame *f = share->lists[SHARE_DEAD].first;
    if (!f)
        return false;
    share_set_state(share, f, SHARE_BURIED);
    *id = f->id;
    *attempts = f->attempts;
    return true;
}

void share_buried(struct share *share, struct frame_id id)
{
    end_frame(share, id, SHARE_BURIED);
}

void share_unburied(struct share *share, struct frame_id id)
{
    struct share_frame *f = find_in(share, id, SHARE_BURIED);
    if (f)
        share_set_state(share, f, SHARE_DEAD);
}

/* --- looking ---------------------------------------------------------------------------------- */

bool share_idle(const struct share *share)
{
    return share->lists[SHARE_HELD].count + share->lists[SHARE_DUE].count +
               share->lists[SHARE_TAKEN].count ==
           0;
}

size_t share_done(const struct share *share)
{
    size_t count = share->end - share->first;
    for (int state = 0; state < SHARE_DONE; state++)
        count -= share->lists[state].count;
    return count;
}

/* --- life ------------------------------------------------------------------------------------- */

int share_init(struct share *share, const struct share_rules *rules, struct frame_id low)
{
    *share = (struct share){.low = low, .read = low, .recorded = low};
    return share_set_rules(share, rules);
}

int share_load(struct share *share, const struct frame_id *done, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (id_cmp(done[i], share->low) > 0 && !share_find(share, done[i]) &&
            !share_add_frame(share, done[i], 0))
            return -ENOMEM;
    return 0;
}

/* Members have nothing open any more. */
static void forget_frames(struct share *share)
{
    for (struct share_frame *f = share->lists[SHARE_OPEN].first; f; f = f->next)
        take_off(share, f);
    share_free_frames(share);
}

void share_reset(struct share *share, struct frame_id low)
{
    forget_frames(share);
    share->low = share->read = share->recorded = low;
    share->fresh_count = 0;
    share->record_all = false;
}

int share_set_rules(struct share *share, const struct share_rules *rules)
{
    int rc = share_order(share, rules->by_topic);
    if (rc == 0)
        share->rules = *rules;
    return rc;
}

void share_finish(struct share *share)
{
    forget_frames(share);
    share_order(share, false);
    free(share->frames);
    free(share->fresh);
}
