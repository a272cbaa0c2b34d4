#include "daemon/run/hops.h"

#include <stdio.h>

#include "daemon/run/programs.h"

#define CALM_MS 60000

static void start_over(uv_timer_t *timer)
{
    struct instance *instance = timer->data;
    instance->origin.hops = 1;
}

bool hops_take(struct instance *instance, uv_timer_t *calm, const struct frame *frame, char text[static ERR_TEXT_SIZE])
{
    unsigned *hops = &instance->origin.hops;
    text[0] = '\0';
    *hops = 1;
    if (frame->origin.len == 0)
        return true;
    *hops = programs_hops(instance->programs, frame->origin) + 1;
    uv_timer_start(calm, start_over, CALM_MS, 0);
    if (*hops == HOPS_MAX + 1)
        snprintf(text, ERR_TEXT_SIZE,
                 "the frame comes out of a loop of programs that answer each other, last of %.*s: it is "
                 "not handed over",
                 SPAN_ARG(frame->origin));
    return *hops <= HOPS_MAX;
}
