/*
 * Records of a benchmark: filled with numbers, chained by a hash, stamped with the moment they were
 * made.
 *
 *   0  8  hash of all records before       8  8  monotonic microseconds       16 -  numbers from a
 * generator
 */
#ifndef CMD_S2_CHAIN_H
#define CMD_S2_CHAIN_H

#include <stdbool.h>

#include <weir/span.h>

#define CHAIN_HEAD 16

struct chain {
    uint64_t hash;  /**< of all bodies so far */
    uint64_t state; /**< of the generator */
    uint64_t records;
    bool broken; /**< a body did not follow */
};
#define CHAIN_INIT ((struct chain){.hash = 0x9e3779b97f4a7c15u, .state = 0x2545f4914f6cdd1du})

/** Makes the next body of `len` bytes (CHAIN_HEAD or more). */
void chain_make(struct chain *c, uint8_t *body, size_t len, uint64_t now_us);
/** Checks that this is the next body. Returns when it was made. */
uint64_t chain_check(struct chain *c, struct span body);

#endif
