/*
 * One name of one kind, from its first definition to its end.
 *
 *   defining frame -> queue -> (pool: prepared, checked) -> ready -> instance -> spare, once a newer one took its place
 *
 * Definitions are prepared one after the other while what runs goes on. One that is good makes the running one end; when that is over it
 * begins. Until it has told that it runs, the last good one is kept as the spare.
 */
#include <stdlib.h>

#include "daemon/run/registry.h"

/* --- telling --------------------------------------------------------------------------------------------- */

static void tell_end(struct program *p, struct frame_id of, enum program_event event, const struct candidate_end *end)
{
    programs_tell(p->all, &(struct telling){.kind = p->kind,
                                            .name = span_str(p->name),
                                            .words = end->words,
                                            .event = event,
                                            .of = of,
                                            .cause = &end->id});
}

static void tell_replaced(struct program *p, struct frame_id old, const struct candidate *by)
{
    programs_tell(p->all, &(struct telling){.kind = p->kind,
                                            .name = span_str(p->name),
                                            .words = by->words,
                                            .event = EVENT_REPLACED,
                                            .of = old,
                                            .cause = &by->id,
                                            .update = &by->id});
}

static void tell_of(struct program *p, const struct instance *instance, enum program_event event)
{
    programs_tell(p->all, &(struct telling){.kind = p->kind,
                                            .name = span_str(p->name),
                                            .words = instance->def.words,
                                            .event = event,
                                            .of = instance->def.id,
                                            .own = buf_span(&instance->state->failure)});
}

/* --- candidates -------------------------------------------------------------------------------------------- */

/* Its directory goes too, if it made one. */
static void discard(struct candidate *c)
{
    if (!c)
        return;
    if (c->dirfd >= 0)
        programs_remove_dir(c->program->all, c->id);
    candidate_destroy(c);
}

static void drop_spare(struct program *p)
{
    discard(p->spare);
    p->spare = NULL;
}

static void drop_ready(struct program *p)
{
    discard(p->ready);
    p->ready = NULL;
}

static void enqueue(struct program *p, struct candidate *c)
{
    struct candidate **end = &p->queue;
    while (*end)
        end = &(*end)->next;
    *end = c;
}

/* The last good one is tried again, unless something newer is good already. */
static void revive_spare(struct program *p)
{
    struct candidate *c = p->spare;
    if (!c || p->ready || p->all->stopping)
        return;
    p->spare = NULL;
    if (c->state == CANDIDATE_READY)
        p->ready = c;
    else
        enqueue(p, c);
}

static void not_good(struct program *p, struct candidate *c)
{
    if (!c->defines) {
        candidate_destroy(c);
        return;
    }
    /* At start-up what the disk or memory did to us is no verdict: the next start tries it again. */
    if (p->booting && c->our_fault)
        log_say(p->all->site->daemon->log, LOG_ERROR, words_kind(p->kind), "name=%s not_started=\"%s\"", p->name, c->err.text);
    else
        programs_tell_invalid(p, c);
    discard(c);
    if (!p->instance)
        revive_spare(p);
}

static void take_good(struct program *p, struct candidate *c)
{
    if (p->ready)
        tell_replaced(p, p->ready->id, c);
    drop_ready(p);
    p->ready = c;
}

/* It was ended before it could run. */
static void end_candidate(struct program *p, struct candidate *c)
{
    if (c->defines && !p->all->stopping)
        tell_end(p, c->id, EVENT_FIN_TERM, &c->end);
    discard(c);
}

static void prepared(struct job *job)
{
    struct candidate *c = candidate_of(job);
    struct program *p = c->program;
    p->all->jobs--;
    p->queue = c->next;
    c->next = NULL;
    c->state = CANDIDATE_READY;
    if (c->defines)
        program_know(p, c->id, !c->dropped);
    if (c->dropped)
        end_candidate(p, c);
    else if (p->all->stopping)
        candidate_destroy(c);
    else if (c->result < 0 || !c->defines)
        not_good(p, c);
    else
        take_good(p, c);
    program_step(p);
    programs_settle(p->all);
}

/* --- steps ---------------------------------------------------------------------------------------------------- */

/* False: there was no memory for it, or no socket. */
static bool make_instance(struct program *p, struct candidate *c)
{
    c->err = ERR_INIT;
    c->result = instance_create(&p->instance, p, c, &c->err);
    return c->result == 0;
}

static void start_ready(struct program *p)
{
    while (p->ready && !p->instance) {
        struct candidate *c = p->ready;
        p->ready = NULL;
        if (make_instance(p, c)) {
            instance_begin(p->instance);
            return;
        }
        not_good(p, c);
    }
}

void program_step(struct program *p)
{
    if (p->all->stopping)
        return;
    if (p->queue && p->queue->state == CANDIDATE_WAITING) {
        p->all->jobs++;
        candidate_submit(p->queue, prepared);
    }
    if (p->ready && p->instance) {
        if (p->instance->state->why == WHY_NONE)
            instance_halt(p->instance, WHY_REPLACED);
        return;
    }
    start_ready(p);
    if (program_is_still(p)) {
        program_refuse_calls(p);
        programs_booted(p->all, p);
    }
}

/* --- what frames ask for ---------------------------------------------------------------------------------------- */

void program_define(struct program *p, const struct words *words, const struct frame *frame)
{
    struct candidate *c = candidate_create(p->all->site, frame->id, frame);
    if (!c) {
        log_say(p->all->site->daemon->log, LOG_ERROR, words_kind(p->kind), "name=%s error=\"no memory\"", p->name);
        return;
    }
    c->program = p;
    c->words = words->words;
    c->defines = words->words == WORDS_NEW || frame->has_content;
    enqueue(p, c);
    program_step(p);
}

/* True: something was ended, and is told so, now or once it is known to be a definition. */
static bool end_candidates(struct program *p, const struct candidate_end *end)
{
    bool any = p->ready != NULL;
    if (p->ready)
        tell_end(p, p->ready->id, EVENT_FIN_TERM, end);
    drop_ready(p);
    for (struct candidate *c = p->queue; c; c = c->next) {
        any |= c->state == CANDIDATE_PREPARING ? c->supposed : c->defines;
        if (c->dropped)
            continue;
        c->dropped = true;
        c->end = *end;
    }
    drop_spare(p);
    return any;
}

/* Those that wait need no look at the disk to be over. */
static void clear_queue(struct program *p)
{
    struct candidate **at = &p->queue;
    while (*at) {
        struct candidate *c = *at;
        if (c->state == CANDIDATE_WAITING && c->dropped && c->defines) {
            *at = c->next;
            end_candidate(p, c);
        } else {
            at = &c->next;
        }
    }
}

void program_term(struct program *p, const struct words *words, struct frame_id id, const struct slots *in_force)
{
    struct candidate_end end = {.id = id, .words = words->words};
    bool any = end_candidates(p, &end);
    clear_queue(p);
    if (p->instance) {
        if (p->instance->state->why != WHY_TERM)
            p->instance->state->end = end;
        instance_halt(p->instance, WHY_TERM);
        return;
    }
    struct frame_id first, fallback;
    slots_pick(in_force, &first, &fallback);
    if (!any && !id_is_zero(first))
        tell_end(p, first, EVENT_FIN_TERM, &end);
    program_step(p);
}

void program_boot(struct program *p, struct candidate *c)
{
    if (c->result < 0 || !c->defines)
        not_good(p, c);
    else
        p->ready = c;
    program_step(p);
}

void program_shut(struct program *p)
{
    candidate_destroy(p->ready);
    candidate_destroy(p->spare);
    p->ready = p->spare = NULL;
    struct candidate *with_pool = p->queue && p->queue->state == CANDIDATE_PREPARING ? p->queue : NULL;
    struct candidate *waiting = with_pool ? with_pool->next : p->queue;
    p->queue = with_pool;
    if (with_pool)
        with_pool->next = NULL;
    while (waiting) {
        struct candidate *next = waiting->next;
        candidate_destroy(waiting);
        waiting = next;
    }
    if (p->instance)
        instance_halt(p->instance, WHY_SHUTDOWN);
}

/* --- what instances tell ------------------------------------------------------------------------------------------ */

void program_running(struct program *p)
{
    drop_spare(p);
    program_give_calls(p);
    programs_booted(p->all, p);
}

/* An end by itself is told as what it is; one that was asked for says why it was. */
static void tell_over(struct program *p, const struct instance *i)
{
    static const enum program_event events[] = {[INSTANCE_STOPPED] = EVENT_FIN_OK,
                                                [INSTANCE_INVALID] = EVENT_INVALID,
                                                [INSTANCE_FIN_OK] = EVENT_FIN_OK,
                                                [INSTANCE_FIN_ERROR] = EVENT_FIN_ERROR};
    const struct instance_state *state = i->state;
    if (state->why == WHY_TERM)
        tell_end(p, i->def.id, EVENT_FIN_TERM, &state->end);
    else if (state->why == WHY_SHUTDOWN)
        tell_of(p, i, EVENT_STOPPED);
    else if (state->why == WHY_REPLACED && p->ready && state->how != INSTANCE_INVALID)
        tell_replaced(p, i->def.id, p->ready);
    else
        tell_of(p, i, events[state->how]);
}

void program_over(struct program *p)
{
    struct instance *i = p->instance;
    enum instance_why why = i->state->why;
    bool was_active = i->state->active, bad = i->state->how == INSTANCE_INVALID;
    tell_over(p, i);
    p->instance = NULL;
    struct candidate *c = instance_retire(i);
    c->was_active |= was_active;
    if (why == WHY_REPLACED && was_active && !bad) {
        drop_spare(p);
        p->spare = c;
    } else if (why == WHY_SHUTDOWN) {
        candidate_destroy(c);
    } else {
        discard(c);
    }
    if (bad && why != WHY_TERM)
        revive_spare(p);
    program_step(p);
    programs_settle(p->all);
}

/* --- life ------------------------------------------------------------------------------------------------------------ */

bool program_is_still(const struct program *p)
{
    return !p->instance && !p->ready && !p->queue;
}

bool program_is_idle(const struct program *p)
{
    return program_is_still(p) && !p->spare && !p->booting && !p->calls && id_is_zero(p->slots.confirmed) &&
           id_is_zero(p->slots.pending);
}

struct program *program_create(struct programs *all, enum program_kind kind, struct span name)
{
    struct program *p = calloc(1, sizeof(*p) + name.len + 1);
    if (!p)
        return NULL;
    p->all = all;
    p->kind = kind;
    p->calls_end = &p->calls;
    memcpy(p->name, name.ptr, name.len);
    return p;
}

void program_destroy(struct program *p)
{
    while (p->calls) {
        struct kept_frame *next = p->calls->next;
        free(p->calls);
        p->calls = next;
    }
    candidate_destroy(p->spare);
    id_set_finish(&p->known);
    free(p);
}
