#include "daemon/s2/read_piece.h"

#include <stdlib.h>

#include "base/text.h"

#define SLOTS 64
#define SHARED_MAX (2 * 1024 * 1024) /* bytes of shared pieces */
#define FRESH_US 1000000             /* a piece is not given out later: what it shows may have been trimmed */

struct read_piece *read_piece_create(enum read_form form, enum coding coding)
{
    struct read_piece *piece = calloc(1, sizeof(*piece));
    if (!piece)
        return NULL;
    piece->refs = 1;
    piece->batch.form = form;
    piece->batch.coding = coding;
    return piece;
}

void read_piece_drop(struct read_piece *piece)
{
    if (!piece || --piece->refs > 0)
        return;
    read_batch_finish(&piece->batch);
    free(piece);
}

/* --- shared ones --------------------------------------------------------------------------------------------- */

struct slot {
    struct read_key key;
    struct read_piece *piece;
    uint64_t made_us;
};

/* The newest slot is the one before `at`; older ones are overwritten in turn. */
static struct {
    struct slot slots[SLOTS];
    size_t at;
    size_t bytes;
} shared;

static bool same(const struct read_key *a, const struct read_key *b)
{
    return a->topic_no == b->topic_no && id_cmp(a->from, b->from) == 0 && a->site == b->site && a->form == b->form &&
           a->coding == b->coding && a->born_ms == b->born_ms;
}

static void empty(struct slot *slot)
{
    if (slot->piece)
        shared.bytes -= slot->piece->batch.bytes.len;
    read_piece_drop(slot->piece);
    *slot = (struct slot){0};
}

static struct slot *find(const struct read_key *key)
{
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &shared.slots[(shared.at + SLOTS - 1 - i) % SLOTS];
        if (slot->piece && same(&slot->key, key))
            return slot;
    }
    return NULL;
}

struct read_piece *read_pieces_find(const struct read_key *key)
{
    struct slot *slot = find(key);
    if (!slot)
        return NULL;
    if (time_mono_us() - slot->made_us > FRESH_US) {
        empty(slot);
        return NULL;
    }
    slot->piece->refs++;
    return slot->piece;
}

void read_pieces_share(const struct read_key *key, struct read_piece *piece)
{
    size_t len = piece->batch.bytes.len;
    if (len > SHARED_MAX / 2)
        return;
    empty(&shared.slots[shared.at]);
    for (size_t i = 1; i < SLOTS && shared.bytes + len > SHARED_MAX; i++)
        empty(&shared.slots[(shared.at + i) % SLOTS]);
    piece->refs++;
    shared.slots[shared.at] = (struct slot){.key = *key, .piece = piece, .made_us = time_mono_us()};
    shared.at = (shared.at + 1) % SLOTS;
    shared.bytes += len;
}

/* --- pieces that are being made ------------------------------------------------------------------------------ */

#define MAKING 64

static struct making {
    bool busy;
    struct read_key key;
    struct read_turn turns; /* list head */
} making[MAKING];

static struct making *find_making(const struct read_key *key)
{
    for (size_t i = 0; i < MAKING; i++)
        if (making[i].busy && same(&making[i].key, key))
            return &making[i];
    return NULL;
}

bool read_pieces_make(const struct read_key *key)
{
    struct making *free_one = NULL;
    for (size_t i = 0; i < MAKING && !free_one; i++)
        free_one = making[i].busy ? NULL : &making[i];
    if (!free_one || find_making(key))
        return false;
    *free_one = (struct making){.busy = true, .key = *key};
    free_one->turns.prev = free_one->turns.next = &free_one->turns;
    return true;
}

bool read_pieces_wait(const struct read_key *key, struct read_turn *turn)
{
    struct making *m = find_making(key);
    if (!m)
        return false;
    turn->next = &m->turns;
    turn->prev = m->turns.prev;
    turn->prev->next = turn;
    m->turns.prev = turn;
    return true;
}

void read_pieces_made(const struct read_key *key)
{
    struct making *m = find_making(key);
    if (!m)
        return;
    m->busy = false; /* who is told may begin anew, but not in this slot while its list is walked */
    struct read_turn head = m->turns;
    if (m->turns.next == &m->turns)
        return;
    head.next->prev = &head;
    head.prev->next = &head;
    while (head.next != &head) {
        struct read_turn *turn = head.next;
        read_turn_leave(turn);
        turn->ready(turn);
    }
}

void read_turn_leave(struct read_turn *turn)
{
    if (!turn->next)
        return;
    turn->prev->next = turn->next;
    turn->next->prev = turn->prev;
    turn->prev = turn->next = NULL;
}

bool read_turn_waits(const struct read_turn *turn)
{
    return turn->next != NULL;
}

void read_pieces_clear(void)
{
    for (size_t i = 0; i < SLOTS; i++)
        empty(&shared.slots[i]);
}
