#include "cmd/s2/times.h"

/* Slots: powers of two, each cut into 32 parts; below 32 exact. */
static unsigned slot_of(uint64_t us)
{
    if (us < 32)
        return (unsigned)us;
    unsigned top = 63u - (unsigned)__builtin_clzll(us);
    return (top - 4) * 32 + (unsigned)((us >> (top - 5)) & 31);
}

static uint64_t middle_of(unsigned slot)
{
    if (slot < 32)
        return slot;
    unsigned top = slot / 32 + 4;
    uint64_t step = UINT64_C(1) << (top - 5);
    return (32 + slot % 32) * step + step / 2;
}

void times_add(struct times *t, uint64_t us)
{
    t->count++;
    t->slots[slot_of(us)]++;
}

uint64_t times_percentile(const struct times *t, double percent)
{
    uint64_t want = (uint64_t)((double)t->count * percent / 100);
    uint64_t seen = 0;
    for (unsigned i = 0; i < TIMES_SLOTS; i++) {
        seen += t->slots[i];
        if (t->slots[i] > 0 && seen >= want)
            return middle_of(i);
    }
    return 0;
}
