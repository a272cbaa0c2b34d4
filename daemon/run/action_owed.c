/*
 * Which calls an action owes an answer over the lives of daemons: the mark `action/NAME`.
 *
 * Each answer goes into the log together with its mark: the call is answered, and so is everything up to the place. What a killed daemon
 * owed are thus the calls above the place that the mark does not list. They are not run again: nobody knows how far they came. An error
 * of a call whose action did not run says nothing to the mark, so errors are read as well.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/run/action.h"
#include "daemon/run/programs.h"
#include "daemon/run/words.h"

#define SLICE (1024 * 1024)

/* --- what a life before owed (pool) ----------------------------------------------------------- */

/* The calls of the log and what is known of them. */
struct search {
    struct action *action;
    struct buf answered; /* ids above the place, ascending */
};

static int take_mark(void *arg, const struct store_mark_view *mark)
{
    struct search *search = arg;
    search->action->has_mark = true;
    search->action->owed.low = mark->low;
    return buf_add(&search->answered, mark->acked, mark->acked_count * sizeof(*mark->acked));
}

static int by_id(const void *a, const void *b)
{
    const struct frame_id *one = a, *other = b;
    return id_cmp(*one, *other);
}

static bool is_answered(const struct search *search, struct frame_id id)
{
    const struct buf *ids = &search->answered;
    return ids->len > 0 && bsearch(&id, ids->ptr, ids->len / sizeof(id), sizeof(id), by_id);
}

static bool is_call(struct span topic)
{
    return topic.len > 5 && memcmp(topic.ptr + topic.len - 5, ".call", 5) == 0;
}

static long look(void *arg, const struct store_item *item)
{
    struct search *search = arg;
    struct owed *owed = &search->action->owed;
    const struct frame *frame = item->frame;
    struct frame_id call;
    int rc = 0;
    if (!is_call(frame->topic)) {
        if (words_id(&call, frame->meta, "frame_id", NULL))
            owed_done(owed, call);
    } else if (!is_answered(search, frame->id)) {
        rc = owed_take(owed, frame->id);
    }
    return rc < 0 ? rc : (long)(64 + frame->topic.len + frame->meta.len);
}

/* A frame that cannot be read is passed over. */
static int read_all(struct store_cursor *cursor, struct search *search, struct err *err)
{
    enum store_step step = STORE_MORE;
    int rc = 0;
    while ((rc == 0 && step != STORE_DONE) || rc == ERR_DAMAGED)
        rc = store_cursor_read(cursor, SLICE, true, look, search, &step, err);
    return rc;
}

static int read_calls(struct search *search, struct err *err)
{
    const struct action *action = search->action;
    const char *name = action->base.def.name;
    struct pattern_list topics;
    struct store_cursor *cursor;
    char text[2 * PROGRAM_NAME_MAX + 32];
    snprintf(text, sizeof(text), "%s.call,%s.error", name, name);
    int rc = pattern_parse(&topics, span_str(text), err);
    if (rc < 0)
        return rc;
    const struct store_query query = {
        .topics = &topics, .from = id_succ(action->owed.low), .until = action->since};
    rc = store_cursor_open(&cursor, action->base.site->store, &query, err);
    pattern_finish(&topics);
    if (rc < 0)
        return rc;
    rc = read_all(cursor, search, err);
    store_cursor_close(cursor);
    return rc;
}

int action_owed_find(struct action *action, struct err *err)
{
    struct search search = {.action = action};
    struct owed *owed = &action->owed;
    int rc = store_mark(action->base.site->store, span_str(action->mark), take_mark, &search, err);
    if (rc == 0 && id_cmp(owed->low, action->since) < 0) {
        rc = read_calls(&search, err);
        owed->read = action->since;
    }
    buf_finish(&search.answered);
    if (rc != ERR_NOT_FOUND || action->has_mark)
        return rc;
    owed->low = id_cmp(action->base.def.id, action->since) > 0 ? action->base.def.id : action->since;
    return 0;
}

/* --- this life -------------------------------------------------------------------------------- */

void action_owed_begin(struct action *action)
{
    snprintf(action->mark, sizeof(action->mark), "action/%s", action->base.def.name);
    action->since = programs_since(action->base.programs);
}

/* Ephemeral calls have no place in the log. */
void action_owed_take(struct action *action, const struct frame *frame)
{
    if (frame->ttl.kind != TTL_EPHEMERAL)
        owed_take(&action->owed, frame->id);
}

struct store_mark action_owed_mark(const struct action *action, const struct frame_id *call)
{
    return (struct store_mark){.kind = STORE_MARK_ACK,
                               .name = span_str(action->mark),
                               .low = owed_place(&action->owed, *call),
                               .acked = call,
                               .acked_count = owed_has(&action->owed, *call)};
}

void action_owed_answer(struct action *action)
{
    struct frame_id id;
    while (!action->stopping && !emit_full(action->base.out) &&
           owed_next(&action->owed, action->earlier, &id) && id_cmp(id, action->since) <= 0) {
        action->earlier = id;
        action_refuse(action, id, "the daemon ended before this call did");
    }
}
