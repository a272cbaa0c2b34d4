/*
 * Calls of actions: handed to the one that runs, kept for one that is about to, answered with an error where there is none.
 */
#include <stdlib.h>

#include "daemon/run/registry.h"

/* A definition that was replaced does not take calls any more: they are its successor's. */
static struct instance *taker(const struct program *p)
{
    struct instance *i = p->instance;
    return i && i->state->active && !i->state->ended && i->state->why == WHY_NONE ? i : NULL;
}

static void give(struct instance *i, const struct frame *frame)
{
    if (i->ops->called)
        i->ops->called(i, frame);
}

static bool is_coming(const struct program *p)
{
    return (p->instance && p->instance->state->why == WHY_NONE) || p->ready || p->queue;
}

static void keep(struct program *p, const struct frame *frame)
{
    struct kept_frame *kept = NULL;
    if (p->call_count < PROGRAM_CALLS_MAX && p->call_bytes < PROGRAM_CALLS_BYTES)
        kept = kept_frame(frame);
    if (!kept) {
        programs_tell_uncalled(p->all, span_str(p->name), frame, true);
        return;
    }
    p->call_count++;
    p->call_bytes += kept->size;
    *p->calls_end = kept;
    p->calls_end = &kept->next;
}

void program_call(struct programs *all, struct program *p, struct span name, const struct frame *frame)
{
    struct instance *i = p ? taker(p) : NULL;
    if (i)
        give(i, frame);
    else if (p && is_coming(p))
        keep(p, frame);
    else
        programs_tell_uncalled(all, name, frame, false);
}

static struct kept_frame *take_calls(struct program *p)
{
    struct kept_frame *calls = p->calls;
    p->calls = NULL;
    p->calls_end = &p->calls;
    p->call_count = p->call_bytes = 0;
    return calls;
}

void program_give_calls(struct program *p)
{
    for (struct kept_frame *call = take_calls(p), *next; call; call = next) {
        next = call->next;
        program_call(p->all, p, span_str(p->name), &call->frame);
        free(call);
    }
}

void program_refuse_calls(struct program *p)
{
    for (struct kept_frame *call = take_calls(p), *next; call; call = next) {
        next = call->next;
        programs_tell_uncalled(p->all, span_str(p->name), &call->frame, false);
        free(call);
    }
}
