#include "daemon/s2/append_gate.h"

#include <stddef.h>

static bool fits(const struct append_gate *gate, uint64_t bytes)
{
    uint64_t limit = gate->limit ? gate->limit : GATE_LIMIT;
    return gate->used == 0 || (gate->used <= limit && bytes <= limit - gate->used);
}

static void unlink_wait(struct append_gate *gate, struct gate_wait *wait)
{
    *(wait->prev ? &wait->prev->next : &gate->first) = wait->next;
    *(wait->next ? &wait->next->prev : &gate->last) = wait->prev;
    wait->prev = wait->next = NULL;
    wait->waiting = false;
}

bool gate_enter(struct append_gate *gate, struct gate_wait *wait)
{
    if (!gate->first && fits(gate, wait->bytes)) {
        gate->used += wait->bytes;
        return true;
    }
    wait->waiting = true;
    wait->prev = gate->last;
    wait->next = NULL;
    *(gate->last ? &gate->last->next : &gate->first) = wait;
    gate->last = wait;
    return false;
}

static void let_in(struct append_gate *gate)
{
    while (gate->first && fits(gate, gate->first->bytes)) {
        struct gate_wait *wait = gate->first;
        unlink_wait(gate, wait);
        gate->used += wait->bytes;
        wait->admitted(wait);
    }
}

void gate_leave(struct append_gate *gate, uint64_t bytes)
{
    gate->used -= bytes;
    let_in(gate);
}

void gate_cancel(struct append_gate *gate, struct gate_wait *wait)
{
    if (!wait->waiting)
        return;
    unlink_wait(gate, wait);
    let_in(gate);
}
