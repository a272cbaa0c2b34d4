/*
 * A handler's life: from its definition to its end, and what of it goes into the log.
 */
#include "daemon/run/handler.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct uv_loop_s *loop_of(const struct handler *h)
{
    return h->base.site->daemon->loop;
}

/* --- the end --------------------------------------------------------------------------------------- */

static void end_if_through(struct handler *h)
{
    if (h->ending && h->handles == 0 && !h->working)
        instance_ended(&h->base, h->how,
                       h->how == INSTANCE_INVALID || h->how == INSTANCE_FIN_ERROR ? &h->failure
                                                                                  : NULL);
}

static void closed(uv_handle_t *handle)
{
    struct handler *h = handle->data;
    h->handles--;
    end_if_through(h);
}

static void close_handles(struct handler *h)
{
    uv_handle_t *all[] = {(uv_handle_t *)&h->pulse, (uv_handle_t *)&h->again,
                          (uv_handle_t *)&h->settle, (uv_handle_t *)&h->calm,
                          (uv_handle_t *)&h->flush};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        uv_close(all[i], closed);
}

void handler_end(struct handler *h, enum instance_how how, const struct failure *failure)
{
    if (h->ending)
        return;
    h->ending = true;
    h->how = how;
    if (failure)
        failure_keep(&h->failure, &h->failure_bytes, failure);
    pump_destroy(h->pump);
    h->pump = NULL;
    close_handles(h);
}

static void end_invalid(struct handler *h, const struct err *err)
{
    const char *text = err ? err->text : "the log cannot be written";
    handler_end(h, INSTANCE_INVALID, &(struct failure){.error = span_str(text)});
}

static void handler_finish(struct instance *instance)
{
    struct handler *h = handler_of(instance);
    hold_finish(&h->hold);
    content_finish(&h->input);
    buf_finish(&h->failure_bytes);
    buf_finish(&h->lines.bytes);
    buf_finish(&h->run.bytes);
    buf_finish(&h->run.json);
    free(h->run.file);
}

/* --- the pool -------------------------------------------------------------------------------------- */

struct handler *handler_of_job(struct job *job)
{
    return (struct handler *)((char *)job - offsetof(struct handler, job));
}

void handler_work(struct handler *h, void (*work)(struct job *job), void (*after)(struct job *job))
{
    h->working = true;
    h->job_result = 0;
    h->job_err = ERR_INIT;
    h->job = (struct job){.work = work, .after = after};
    pool_submit(loop_of(h), &h->job);
}

bool handler_worked(struct handler *h)
{
    h->working = false;
    if (h->ending)
        end_if_through(h);
    else if (h->stopping && !h->process)
        handler_end(h, INSTANCE_STOPPED, NULL);
    return !h->ending && !h->stopping;
}

/* --- into the log ---------------------------------------------------------------------------------- */

static void go_on(struct handler *h)
{
    if (h->ending || emit_full(h->base.out))
        return;
    if (h->print_waits && h->process) {
        h->print_waits = false;
        process_resume(h->process);
    }
    if (h->pump_waits && h->pump) {
        h->pump_waits = false;
        pump_resume(h->pump);
    }
}

static void handler_room(struct instance *instance)
{
    go_on(handler_of(instance));
}

bool handler_log_is_full(struct handler *h)
{
    return emit_full(h->base.out);
}

/* What is refused now (the store is read-only, for one) is given again at the next start. */
static void put_done(void *arg, const struct emit_result *result)
{
    struct handler *h = arg;
    if (result->code < 0)
        log_say(h->base.site->daemon->log, LOG_ERROR, "handler", "name=%s error=\"%s\"",
                h->base.def.name, result->err ? result->err->text : "refused");
    go_on(h);
}

static struct store_mark mark_at(const struct handler *h, struct frame_id low)
{
    return (struct store_mark){.kind = STORE_MARK_ACK, .name = span_str(h->mark), .low = low};
}

static void no_memory(struct handler *h)
{
    log_say(h->base.site->daemon->log, LOG_ERROR, "handler", "name=%s error=\"no memory\"",
            h->base.def.name);
}

void handler_print(struct handler *h, const struct printed *frames, size_t count,
                   const struct frame_id *cause, const struct frame_id *upto)
{
    struct store_mark mark = upto ? mark_at(h, *upto) : (struct store_mark){0};
    if (count == 0 && !upto)
        return;
    if (instance_print(&h->base, frames, count, cause, upto ? &mark : NULL, put_done, h) < 0)
        no_memory(h);
}

void handler_error(struct handler *h, const struct failure *failure, const struct frame_id *upto)
{
    struct store_mark mark = upto ? mark_at(h, *upto) : (struct store_mark){0};
    if (instance_error_at(&h->base, failure, upto ? &mark : NULL) < 0)
        no_memory(h);
}

/* --- the beginning ---------------------------------------------------------------------------------- */

static void pulse(uv_timer_t *timer)
{
    struct handler *h = timer->data;
    h->way->note(h, "xs.pulse", (struct span){0});
}

static void again(uv_timer_t *timer)
{
    struct handler *h = timer->data;
    h->way->again(h);
}

void handler_wait(struct handler *h, uint64_t ms)
{
    uv_timer_start(&h->again, again, ms, 0);
}

static void begin(struct handler *h)
{
    if (!handler_read_first(h))
        return;
    if (h->base.def.pulse_ms > 0)
        uv_timer_start(&h->pulse, pulse, h->base.def.pulse_ms, h->base.def.pulse_ms);
    h->way->begin(h);
}

static int take_mark(void *arg, const struct store_mark_view *mark)
{
    struct handler *h = arg;
    h->hold.low = mark->low;
    h->has_mark = true;
    return 0;
}

static void find_mark(struct job *job)
{
    struct handler *h = handler_of_job(job);
    int rc = store_mark(h->base.site->store, span_str(h->mark), take_mark, h, &h->job_err);
    h->job_result = rc == ERR_NOT_FOUND ? 0 : rc;
}

static void marked(void *arg, const struct emit_result *result)
{
    struct handler *h = arg;
    if (!handler_worked(h))
        return;
    if (result->code < 0)
        end_invalid(h, result->err);
    else
        begin(h);
}

/* The first time it starts behind its definition; the mark is there before `active` is, so nothing after that is ever missed. */
static void set_mark(struct handler *h)
{
    struct store_mark mark = mark_at(h, h->base.def.id);
    h->hold.low = mark.low;
    h->working = true;
    if (instance_print(&h->base, NULL, 0, NULL, &mark, marked, h) == 0)
        return;
    h->working = false;
    handler_end(h, INSTANCE_INVALID, &(struct failure){.error = span_str("no memory")});
}

static void mark_found(struct job *job)
{
    struct handler *h = handler_of_job(job);
    if (!handler_worked(h))
        return;
    if (h->job_result < 0)
        end_invalid(h, &h->job_err);
    else if (h->has_mark)
        begin(h);
    else
        set_mark(h);
}

static void open_handles(struct handler *h)
{
    uv_timer_t *timers[] = {&h->pulse, &h->settle, &h->calm, &h->again};
    for (size_t i = 0; i < sizeof(timers) / sizeof(timers[0]); i++) {
        uv_timer_init(loop_of(h), timers[i]);
        timers[i]->data = h;
    }
    uv_prepare_init(loop_of(h), &h->flush);
    h->flush.data = h;
    h->handles = 5;
}

static int handler_start(struct instance *instance, struct err *err)
{
    struct handler *h = handler_of(instance);
    (void)err;
    h->way = instance->def.mode == MODE_EACH ? &handler_each : &handler_stream;
    h->own = span_str(instance->origin.text);
    h->resumes = instance->def.start == START_RESUME;
    id_format(h->id, instance->def.id);
    snprintf(h->mark, sizeof(h->mark), "handler/%s", instance->def.name);
    instance->origin.hops = 1;
    open_handles(h);
    if (h->resumes)
        handler_work(h, find_mark, mark_found);
    else
        begin(h);
    return 0;
}

static void handler_stop(struct instance *instance, unsigned grace_ms)
{
    struct handler *h = handler_of(instance);
    h->stopping = true;
    pump_destroy(h->pump);
    h->pump = NULL;
    if (h->process)
        process_stop(h->process, grace_ms);
    else if (!h->working)
        handler_end(h, INSTANCE_STOPPED, NULL);
}

const struct kind_ops handler_ops = {
    .size = sizeof(struct handler),
    .start = handler_start,
    .stop = handler_stop,
    .finish = handler_finish,
    .room = handler_room,
};
