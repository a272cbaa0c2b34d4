#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "cas/pin.h"

#define SLOTS_FIRST 64

struct pin {
    struct pin *next;
    size_t held;
    uint8_t digest[DIGEST_SIZE];
};

/* A digest is as good as random, so its first bytes are the hash. */
static struct pin **slot_of(struct pin **slots, size_t slot_count, const uint8_t *digest)
{
    return &slots[get_be64(digest) & (slot_count - 1)];
}

/* The link that points to the digest's pin, or to the NULL at the end of its chain. */
static struct pin **find(const struct pins *pins, const uint8_t *digest)
{
    struct pin **link = slot_of(pins->slots, pins->slot_count, digest);
    while (*link && memcmp((*link)->digest, digest, DIGEST_SIZE) != 0)
        link = &(*link)->next;
    return link;
}

static void rehash(const struct pins *pins, struct pin **slots, size_t slot_count)
{
    for (size_t i = 0; i < pins->slot_count; i++) {
        struct pin *pin = pins->slots[i];
        while (pin) {
            struct pin *next = pin->next;
            struct pin **slot = slot_of(slots, slot_count, pin->digest);
            pin->next = *slot;
            *slot = pin;
            pin = next;
        }
    }
}

/* Failing to grow only makes chains longer, unless there is no table yet. */
static int grow(struct pins *pins)
{
    size_t slot_count = pins->slot_count ? pins->slot_count * 2 : SLOTS_FIRST;
    struct pin **slots = calloc(slot_count, sizeof(struct pin *));
    if (!slots)
        return pins->slot_count ? 0 : -ENOMEM;
    rehash(pins, slots, slot_count);
    free(pins->slots);
    pins->slots = slots;
    pins->slot_count = slot_count;
    return 0;
}

int pins_add(struct pins *pins, const uint8_t digest[static DIGEST_SIZE])
{
    if (pins->count >= pins->slot_count && grow(pins) < 0)
        return -ENOMEM;
    struct pin **link = find(pins, digest);
    if (!*link) {
        struct pin *pin = calloc(1, sizeof(*pin));
        if (!pin)
            return -ENOMEM;
        memcpy(pin->digest, digest, DIGEST_SIZE);
        *link = pin;
        pins->count++;
    }
    (*link)->held++;
    return 0;
}

void pins_sub(struct pins *pins, const uint8_t digest[static DIGEST_SIZE])
{
    assert(pins->slot_count > 0);
    struct pin **link = find(pins, digest);
    struct pin *pin = *link;
    assert(pin);
    if (--pin->held > 0)
        return;
    *link = pin->next;
    free(pin);
    pins->count--;
}

bool pins_has(const struct pins *pins, const uint8_t digest[static DIGEST_SIZE])
{
    return pins->slot_count > 0 && *find(pins, digest);
}

void pins_finish(struct pins *pins)
{
    for (size_t i = 0; i < pins->slot_count; i++) {
        while (pins->slots[i]) {
            struct pin *pin = pins->slots[i];
            pins->slots[i] = pin->next;
            free(pin);
        }
    }
    free(pins->slots);
    *pins = (struct pins){0};
}
