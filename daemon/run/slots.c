#include "daemon/run/slots.h"

static void created(struct slots *slots, struct frame_id of)
{
    slots->pending = of;
}

static void proved(struct slots *slots, struct frame_id of, bool good)
{
    if (good)
        slots->confirmed = of;
    if (id_cmp(slots->pending, of) == 0)
        slots->pending = ID_MIN;
}

/* The term itself cleared both: what is pending now was asked for while this one was on its way out. */
static void ended_as_asked(struct slots *slots, struct frame_id of)
{
    slots->confirmed = ID_MIN;
    if (id_cmp(slots->pending, of) <= 0)
        slots->pending = ID_MIN;
}

void slots_apply(struct slots *slots, enum program_event event, struct frame_id of)
{
    switch (event) {
    case EVENT_CREATE:
        created(slots, of);
        break;
    case EVENT_ACTIVE:
    case EVENT_INVALID:
        proved(slots, of, event == EVENT_ACTIVE);
        break;
    case EVENT_TERM:
    case EVENT_FIN_OK:
    case EVENT_FIN_ERROR:
        *slots = (struct slots){0};
        break;
    case EVENT_FIN_TERM:
        ended_as_asked(slots, of);
        break;
    case EVENT_REPLACED:
    case EVENT_STOPPED:
    case EVENT_RETRY:
        break;
    }
}

void slots_pick(const struct slots *slots, struct frame_id *first, struct frame_id *fallback)
{
    bool trying = !id_is_zero(slots->pending);
    *first = trying ? slots->pending : slots->confirmed;
    *fallback = trying ? slots->confirmed : ID_MIN;
}
