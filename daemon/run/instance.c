#include "daemon/run/instance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "daemon/run/registry.h"

/* --- what a kind tells --------------------------------------------------------------------------------- */

/* The end is told when everything before it is in the log. */
static void over_if_through(struct instance *i)
{
    struct instance_state *state = i->state;
    if (state->ended && state->puts == 0 && !state->starting)
        program_over(state->program);
}

/* {"start":..,"notes":..} */
static int active_members(struct buf *out, const struct instance *i)
{
    static const char *const starts[] = {[START_NEW] = "\"new\"", [START_FIRST] = "\"first\"", [START_RESUME] = "\"resume\""};
    char id[ID_TEXT_LEN + 1];
    bool handler = i->def.kind == PROGRAM_HANDLER;
    int rc = buf_add_str(out, "{");
    id_format(id, i->def.after);
    if (rc == 0 && handler && i->def.start == START_AFTER)
        rc = buf_addf(out, "\"start\":{\"after\":\"%s\"}", id);
    else if (rc == 0 && handler)
        rc = buf_addf(out, "\"start\":%s", starts[i->def.start]);
    if (rc == 0 && i->notes) {
        rc = buf_add_str(out, handler ? ",\"notes\":" : "\"notes\":");
        if (rc == 0)
            rc = json_put_string(out, span_str(i->notes));
    }
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static void tell(struct instance *i, enum program_event event, struct span own, bool again)
{
    programs_tell(i->programs,
                  &(struct telling){.kind = i->def.kind,
                                    .name = span_str(i->def.name),
                                    .words = i->def.words,
                                    .event = event,
                                    .of = i->def.id,
                                    .own = own,
                                    .ttl = again ? (struct ttl){.kind = TTL_LAST, .value = 20}
                                                 : (struct ttl){.kind = TTL_NULL}});
}

void instance_active(struct instance *i, const char *notes)
{
    CLEAN_BUF own = BUF_INIT;
    struct instance_state *state = i->state;
    bool first = !state->active;
    if (state->ended)
        return;
    if (notes && *notes && !i->notes)
        i->notes = strdup(notes);
    state->active = true;
    if (active_members(&own, i) < 0)
        buf_reset(&own);
    tell(i, EVENT_ACTIVE, buf_span(&own), !first || state->candidate->was_active);
    if (!first)
        return;
    log_say(i->site->daemon->log, LOG_INFO, words_kind(i->def.kind), "name=%s active%s%s", i->def.name,
            i->notes ? " notes=" : "", i->notes ? i->notes : "");
    program_running(state->program);
}

void instance_ended(struct instance *i, enum instance_how how, const struct failure *failure)
{
    struct instance_state *state = i->state;
    if (state->ended)
        return;
    state->ended = true;
    state->how = how;
    if (failure && failure_put(&state->failure, failure) < 0)
        buf_reset(&state->failure);
    if (failure)
        log_say(i->site->daemon->log, LOG_WARN, words_kind(i->def.kind), "name=%s error=\"%.*s\"", i->def.name,
                SPAN_ARG(failure->error));
    over_if_through(i);
}

void instance_retrying(struct instance *i, const struct failure *failure)
{
    CLEAN_BUF own = BUF_INIT;
    if (failure_put(&own, failure) == 0)
        tell(i, EVENT_RETRY, buf_span(&own), true);
}

/* --- appends --------------------------------------------------------------------------------------------- */

/* A put on its way, so that the end can wait for it. */
struct instance_put {
    struct instance *instance;
    void (*done)(void *arg, const struct emit_result *result);
    void *arg;
};

static void put_done(void *arg, const struct emit_result *result)
{
    struct instance_put *put = arg;
    struct instance *i = put->instance;
    if (put->done)
        put->done(put->arg, result);
    free(put);
    i->state->puts--;
    over_if_through(i);
}

int instance_put(struct instance *i, const struct emit_frame *frames, size_t count, const struct store_mark *mark,
                 void (*done)(void *arg, const struct emit_result *result), void *arg)
{
    struct instance_put *put = malloc(sizeof(*put));
    if (!put)
        return -ENOMEM;
    *put = (struct instance_put){.instance = i, .done = done, .arg = arg};
    int rc = emit_put(i->out, frames, count, mark, put_done, put);
    if (rc < 0)
        free(put);
    else
        i->state->puts++;
    return rc;
}

/* --- life -------------------------------------------------------------------------------------------------- */

static const struct kind_ops *ops_of(enum program_kind kind)
{
    static const struct kind_ops *const ops[PROGRAM_KINDS] = {&service_ops, &handler_ops, &action_ops};
    return ops[kind];
}

static void on_room(void *arg)
{
    struct instance *i = arg;
    if (i->ops->room && !i->state->ended)
        i->ops->room(i);
}

static int open_out(struct instance *i, struct err *err)
{
    const struct emit_options out = {.site = i->site,
                                     .authority = i->def.exec ? AUTHORITY_EXEC : AUTHORITY_NONE,
                                     .room = on_room,
                                     .arg = i};
    const struct emit_options log = {.site = i->site, .authority = AUTHORITY_NONE};
    int rc = emit_create(&i->out, &out, err);
    return rc == 0 ? emit_create(&i->state->log, &log, err) : rc;
}

static struct instance *allocate(struct program *program, struct candidate *c)
{
    const struct kind_ops *ops = ops_of(program->kind);
    struct instance *i = calloc(1, ops->size);
    struct instance_state *state = calloc(1, sizeof(*state));
    if (!i || !state) {
        free(i);
        free(state);
        return NULL;
    }
    *state = (struct instance_state){.program = program, .candidate = c};
    *i = (struct instance){.site = program->all->site,
                           .programs = program->all,
                           .ops = ops,
                           .def = c->def,
                           .directory = c->directory,
                           .program = c->file,
                           .state = state};
    snprintf(i->origin.text, sizeof(i->origin.text), "%s/%s", words_kind(program->kind), program->name);
    return i;
}

int instance_create(struct instance **out, struct program *program, struct candidate *c, struct err *err)
{
    struct instance *i = allocate(program, c);
    if (!i)
        return err_set(err, -ENOMEM, "no memory to start %s", program->name);
    int rc = open_out(i, err);
    if (rc == 0 && !i->def.confine)
        rc = instance_open_door(i, err);
    program->all->running++;
    if (rc < 0) {
        instance_destroy(i);
        return rc;
    }
    *out = i;
    return 0;
}

void instance_begin(struct instance *i)
{
    struct err err = ERR_INIT;
    i->state->starting = true;
    int rc = i->ops->start(i, &err);
    i->state->starting = false;
    i->state->started = rc >= 0;
    if (rc < 0 && !i->state->ended) {
        if (err.text[0] == '\0')
            err_set(&err, rc, "%s", err_code_text(rc));
        instance_ended(i, INSTANCE_INVALID, &(struct failure){.error = span_str(err.text)});
    } else {
        over_if_through(i);
    }
}

/* A later reason wins only where it is the stronger one. */
void instance_halt(struct instance *i, enum instance_why why)
{
    enum instance_why before = i->state->why;
    if (why > before && !(before == WHY_TERM && why == WHY_SHUTDOWN))
        i->state->why = why;
    if (i->state->ended || i->state->halted)
        return;
    i->state->halted = true;
    if (i->out)
        emit_let_go(i->out); /* an end waits for no reader */
    i->ops->stop(i, PROGRAM_GRACE_MS);
}

struct candidate *instance_retire(struct instance *i)
{
    struct candidate *c = i->state->candidate;
    if (i->state->started && i->ops->finish)
        i->ops->finish(i);
    instance_close_door(i);
    if (i->entrance.door.connections > 0)
        programs_linger(i->programs, i);
    else
        instance_destroy(i);
    return c;
}

void instance_destroy(struct instance *i)
{
    struct instance_state *state = i->state;
    listen_destroy(i->listener);
    i->programs->running--;
    emit_destroy(i->out);
    emit_destroy(state->log);
    buf_finish(&state->failure);
    free(i->notes);
    free(state);
    free(i);
}
