/*
 * Bytes of S2 appends that were taken and are not durable yet: above the limit further ones wait, first come first served.
 *
 * Thread rule: the loop thread.
 */
#ifndef DAEMON_S2_APPEND_GATE_H
#define DAEMON_S2_APPEND_GATE_H

#include <stdbool.h>
#include <stdint.h>

#define GATE_LIMIT (UINT64_C(128) * 1024 * 1024) /**< where nothing else is said */

struct gate_wait;

/** Zeroed is an empty one. */
struct append_gate {
    uint64_t limit; /**< 0 = GATE_LIMIT */
    uint64_t used;
    struct gate_wait *first, *last;
};

/** One that wants in; zeroed, the owner's. */
struct gate_wait {
    uint64_t bytes;
    void (*admitted)(struct gate_wait *wait); /**< it is in, after it had to wait */
    struct gate_wait *prev, *next;
    bool waiting;
};

/** True: it is in. False: `admitted` is called later. One larger than the limit gets in when nobody else is. */
bool gate_enter(struct append_gate *gate, struct gate_wait *wait);
/** What is in is durable, or was refused: lets others in. */
void gate_leave(struct append_gate *gate, uint64_t bytes);
/** It does not want in any more. Takes one that does not wait. */
void gate_cancel(struct append_gate *gate, struct gate_wait *wait);

#endif
