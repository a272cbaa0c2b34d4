/*
 * Clients that take their answers more slowly than a program prints them.
 *
 * The program waits, as it does when the log is full: so an answer of any length gets through, and its client decides how fast. As the
 * program may serve others too, a client that is too slow even then is cut after a while. Whoever answers and is no program of
 * the site cannot be held back; see VISIT_QUEUE_MAX.
 */
#include <stdlib.h>

#include "daemon/run/programs.h"
#include "daemon/serve/visit.h"

void brake_claim(struct visit *visit, const struct frame *frame)
{
    if (frame->origin.len > 0) /* without memory for it nobody is held back */
        visit->program = strndup((const char *)frame->origin.ptr, frame->origin.len);
}

static void set_patience(struct serve *serve)
{
    const struct visit *oldest = serve->holding.first;
    uint64_t now = uv_now(serve->site->daemon->loop);
    if (!oldest)
        uv_timer_stop(&serve->patience);
    else
        uv_timer_start(&serve->patience, brake_tick,
                       oldest->patience_ms > now ? oldest->patience_ms - now : 0, 0);
}

static void hold(struct visit *visit)
{
    struct serve *serve = visit->serve;
    if (!programs_hold(serve->site->programs, span_str(visit->program), &visit->program_id))
        return;
    visit->holding = true;
    visit->patience_ms = uv_now(serve->site->daemon->loop) + VISIT_HELD_MS;
    visit->prev = serve->holding.last;
    visit->next = NULL;
    *(visit->prev ? &visit->prev->next : &serve->holding.first) = visit;
    serve->holding.last = visit;
    set_patience(serve);
}

void brake_release(struct visit *visit)
{
    struct visit_list *list = &visit->serve->holding;
    if (!visit->holding)
        return;
    visit->holding = false;
    *(visit->prev ? &visit->prev->next : &list->first) = visit->next;
    *(visit->next ? &visit->next->prev : &list->last) = visit->prev;
    visit->prev = visit->next = NULL;
    set_patience(visit->serve);
    programs_unhold(visit->serve->site->programs, span_str(visit->program), visit->program_id);
}

void brake_look(struct visit *visit)
{
    if (visit->holding && (visit->ended || visit->queued < VISIT_QUEUE_HELD / 2))
        brake_release(visit);
    else if (!visit->holding && !visit->ended && visit->program && visit->queued > VISIT_QUEUE_HELD)
        hold(visit);
}

void brake_tick(uv_timer_t *timer)
{
    struct serve *serve = timer->data;
    uint64_t now = uv_now(serve->site->daemon->loop);
    struct visit *visit;
    while ((visit = serve->holding.first) && visit->patience_ms <= now) {
        brake_release(visit);
        response_cut(visit, "the client takes its answer too slowly");
    }
    set_patience(serve);
}
