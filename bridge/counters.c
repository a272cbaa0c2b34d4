/* The counters of a process: open addressing, one allocation for the key of each stream. */
#include <errno.h>
#include <stdlib.h>

#include "bridge/line.h"

#define FIRST_CAP 16

struct ss_counter {
    char *key; /* NULL: a free slot */
    size_t len;
    uint64_t hash;
    uint64_t shard;
    uint64_t next;
    bool named; /* a message of the stream named its sequence once */
};

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(const struct ss_counters *c, struct span key, uint64_t shard)
{
    uint64_t hash = mix(c->seed ^ shard, UINT64_C(0x9e3779b97f4a7c15) ^ key.len);
    for (size_t i = 0; i < key.len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, key.ptr + i, key.len - i < 8 ? key.len - i : 8);
        hash = mix(hash ^ word, UINT64_C(0xd6e8feb86659fd93));
    }
    return hash;
}

static inline bool is_it(const struct ss_counter *slot, struct span key, uint64_t shard)
{
    return slot->shard == shard && slot->len == key.len && memcmp(slot->key, key.ptr, key.len) == 0;
}

/* The slot of the stream, or the free one where it belongs. */
static size_t find(const struct ss_counters *c, uint64_t hash, struct span key, uint64_t shard)
{
    size_t i = hash & (c->cap - 1);
    while (c->slots[i].key && !(c->slots[i].hash == hash && is_it(&c->slots[i], key, shard)))
        i = (i + 1) & (c->cap - 1);
    return i;
}

/* Keeps a quarter of the slots free. */
static int make_room(struct ss_counters *c)
{
    if (c->used < c->cap / 4 * 3)
        return 0;
    size_t cap = c->cap ? c->cap * 2 : FIRST_CAP;
    struct ss_counter *slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < c->cap; i++) {
        size_t at = c->slots[i].hash & (cap - 1);
        if (!c->slots[i].key)
            continue;
        while (slots[at].key)
            at = (at + 1) & (cap - 1);
        slots[at] = c->slots[i];
    }
    free(c->slots);
    c->slots = slots;
    c->cap = cap;
    return 0;
}

static int make(struct ss_counters *c, struct span key, uint64_t shard, size_t *out)
{
    /* Where memory lies is not known to who writes the keys, so nobody can choose ones that collide. */
    if (c->cap == 0)
        c->seed = mix((uint64_t)(uintptr_t)c, UINT64_C(0xa0761d6478bd642f));
    int rc = make_room(c);
    char *copy = rc == 0 ? malloc(key.len ? key.len : 1) : NULL;
    if (!copy)
        return -ENOMEM;
    memcpy(copy, key.ptr, key.len);
    uint64_t hash = hash_of(c, key, shard);
    *out = find(c, hash, key, shard);
    c->slots[*out] = (struct ss_counter){.key = copy, .len = key.len, .hash = hash, .shard = shard};
    c->used++;
    return 0;
}

/* The stream's counter, made when there is none. NULL without memory. */
static struct ss_counter *get(struct ss_counters *c, struct span key, uint64_t shard)
{
    if (c->used > 0 && c->slots[c->last].key && is_it(&c->slots[c->last], key, shard))
        return &c->slots[c->last];
    size_t at = c->cap ? find(c, hash_of(c, key, shard), key, shard) : 0;
    if ((c->cap == 0 || !c->slots[at].key) && make(c, key, shard, &at) != 0)
        return NULL;
    c->last = at;
    return &c->slots[at];
}

int ss_counters_give(struct ss_counters *c, struct ss_message *m, bool *named)
{
    struct ss_counter *slot = get(c, m->key, m->shard);
    if (!slot)
        return -ENOMEM;
    if (m->no_seq) {
        m->seq = slot->next++;
    } else {
        slot->next = m->seq;
        slot->named = true;
    }
    if (named)
        *named = slot->named;
    return 0;
}

int ss_counters_next(struct ss_counters *c, struct span key, uint64_t shard, uint64_t *seq)
{
    struct ss_counter *slot = get(c, key, shard);
    if (!slot)
        return -ENOMEM;
    *seq = slot->next++;
    return 0;
}

void ss_counters_finish(struct ss_counters *c)
{
    for (size_t i = 0; i < c->cap; i++)
        free(c->slots[i].key);
    free(c->slots);
    *c = (struct ss_counters){.slots = NULL};
}
