/*
 * Pins: which digests must not be removed now, and how many hold each.
 *
 * Thread rule: none of its own; the owner of the table holds a lock around every call.
 */
#ifndef CAS_PIN_H
#define CAS_PIN_H

#include <stdbool.h>
#include <stddef.h>

#include <weir/frame.h>

struct pin;

/** A hash table; zeroed memory is an empty one. */
struct pins {
    struct pin **slots;
    size_t slot_count; /**< 0 or a power of two */
    size_t count;      /**< distinct digests */
};

/** One more pin on the digest. -ENOMEM, and then nothing changed. */
int pins_add(struct pins *pins, const uint8_t digest[static DIGEST_SIZE]);

/** One pin less; the digest must have one. */
void pins_sub(struct pins *pins, const uint8_t digest[static DIGEST_SIZE]);

/** Whether anybody holds the digest. */
bool pins_has(const struct pins *pins, const uint8_t digest[static DIGEST_SIZE]);

/** Frees the table, also when pins are left. */
void pins_finish(struct pins *pins);

#endif
