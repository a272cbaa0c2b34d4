#include "store/shadow.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Entries lie in a ring in record order (the old end is forgotten first) and in two hash tables of
 * chains: removals by id, cuts by topic. A chain runs from the newest entry to older ones; an entry
 * that was forgotten ends its chain, so nothing is ever unlinked.
 */

struct entry {
    uint64_t number;
    struct tail_hide hide;
    uint64_t older; /* position of the next entry of the chain, 0 = none */
};

struct shadow {
    struct entry *ring;   /* entry of position p at ring[p & mask] */
    uint64_t *buckets;    /* newest position of each chain */
    uint64_t mask;        /* of both */
    uint64_t first, next; /* positions held: [first, next), from 1 */
    uint64_t strict;      /* newest position of a strict cut; 0 = none */
    atomic_size_t count;
};

struct shadow *shadow_create(void)
{
    struct shadow *shadow = calloc(1, sizeof *shadow);
    if (shadow)
        shadow->first = shadow->next = 1;
    return shadow;
}

void shadow_destroy(struct shadow *shadow)
{
    if (!shadow)
        return;
    free(shadow->ring);
    free(shadow->buckets);
    free(shadow);
}

static uint64_t mix(uint64_t v)
{
    v ^= v >> 33;
    v *= 0xff51afd7ed558ccdull;
    return v ^ (v >> 33);
}

static uint64_t key_of(bool cut, struct frame_id id, uint32_t topic_no)
{
    return cut ? mix(topic_no + 0x9e3779b97f4a7c15ull) : mix(id.hi ^ mix(id.lo));
}

static void link_entry(struct shadow *shadow, uint64_t position)
{
    struct entry *entry = &shadow->ring[position & shadow->mask];
    uint64_t *bucket =
        &shadow->buckets[key_of(entry->hide.cut, entry->hide.id, entry->hide.topic_no) &
                         shadow->mask];
    entry->older = *bucket;
    *bucket = position;
}

int shadow_reserve(struct shadow *shadow, size_t more)
{
    uint64_t held = shadow->next - shadow->first;
    if (shadow->ring && held + more <= shadow->mask + 1)
        return 0;
    uint64_t size = shadow->ring ? shadow->mask + 1 : 64;
    while (size < held + more)
        size *= 2;
    struct entry *ring = malloc(size * sizeof *ring);
    uint64_t *buckets = calloc(size, sizeof *buckets);
    if (!ring || !buckets) {
        free(ring);
        free(buckets);
        return -ENOMEM;
    }
    for (uint64_t p = shadow->first; p < shadow->next; p++)
        ring[p & (size - 1)] = shadow->ring[p & shadow->mask];
    free(shadow->ring);
    free(shadow->buckets);
    shadow->ring = ring;
    shadow->buckets = buckets;
    shadow->mask = size - 1;
    for (uint64_t p = shadow->first; p < shadow->next; p++)
        link_entry(shadow, p);
    return 0;
}

void shadow_add(struct shadow *shadow, uint64_t number, const struct tail_hide *hide)
{
    shadow->ring[shadow->next & shadow->mask] = (struct entry){number, *hide, 0};
    link_entry(shadow, shadow->next);
    if (hide->strict)
        shadow->strict = shadow->next;
    shadow->next++;
    atomic_store_explicit(&shadow->count, shadow->next - shadow->first, memory_order_relaxed);
}

void shadow_forget(struct shadow *shadow, uint64_t number)
{
    while (shadow->first < shadow->next &&
           shadow->ring[shadow->first & shadow->mask].number <= number)
        shadow->first++;
    atomic_store_explicit(&shadow->count, shadow->next - shadow->first, memory_order_relaxed);
}

static bool entry_hides(const struct entry *entry, const struct frame *frame)
{
    const struct tail_hide *hide = &entry->hide;
    if (!hide->cut)
        return id_cmp(hide->id, frame->id) == 0;
    if (hide->topic_no != frame->topic_no)
        return false;
    return hide->drop ? frame->ttl.kind != TTL_EPHEMERAL : frame->has_seq && frame->seq < hide->seq;
}

/* cut: looks for cuts, else removals; strict: only for strict ones. */
static bool chain_hides(const struct shadow *shadow, uint64_t number, bool cut, bool strict,
                        const struct frame *frame)
{
    uint64_t p = shadow->buckets[key_of(cut, frame->id, frame->topic_no) & shadow->mask];
    while (p >= shadow->first) {
        const struct entry *entry = &shadow->ring[p & shadow->mask];
        if (entry->number <= number && entry->hide.cut == cut && (!strict || entry->hide.strict)) {
            if (entry_hides(entry, frame))
                return true;
            /* Cuts of a topic only rise: the newest visible one decides. */
            if (cut && entry->hide.topic_no == frame->topic_no)
                return false;
        }
        p = entry->older;
    }
    return false;
}

bool shadow_removes(const struct shadow *shadow, uint64_t number, const struct frame *frame)
{
    if (shadow->first == shadow->next)
        return false;
    return chain_hides(shadow, number, false, false, frame) ||
           (shadow->strict >= shadow->first && chain_hides(shadow, number, true, true, frame));
}

bool shadow_hides(const struct shadow *shadow, uint64_t number, const struct frame *frame)
{
    if (shadow->first == shadow->next)
        return false;
    return chain_hides(shadow, number, false, false, frame) ||
           chain_hides(shadow, number, true, false, frame);
}

size_t shadow_count(const struct shadow *shadow)
{
    return atomic_load_explicit(&shadow->count, memory_order_relaxed);
}
