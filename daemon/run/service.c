#include "daemon/run/service.h"

#include <errno.h>
#include <stdio.h>

#define PAST_FULL_MAX (4 * 1024 * 1024) /* printed while it is to stop and the log is full */

static uv_loop_t *loop_of(const struct service *s)
{
    return s->base.site->daemon->loop;
}

static struct service *service_of(struct instance *instance)
{
    return (struct service *)instance;
}

/* --- the end ---------------------------------------------------------------------------------- */

void service_settle(struct service *s)
{
    if (!s->ending || s->handles > 0 || s->input.reading)
        return;
    bool bad = s->how == INSTANCE_INVALID || s->how == INSTANCE_FIN_ERROR;
    instance_ended(&s->base, s->how, bad ? &s->failure : NULL);
}

static void closed(uv_handle_t *handle)
{
    struct service *s = handle->data;
    s->handles--;
    service_settle(s);
}

static void end(struct service *s, enum instance_how how, const struct failure *failure)
{
    if (s->ending)
        return;
    s->ending = true;
    s->how = how;
    if (failure)
        failure_keep(&s->failure, &s->failure_bytes, failure);
    service_input_close(s);
    uv_close((uv_handle_t *)&s->pause, closed);
    uv_close((uv_handle_t *)&s->calm, closed);
}

void service_fail(struct service *s, const struct err *err)
{
    end(s, s->ran ? INSTANCE_FIN_ERROR : INSTANCE_INVALID,
        &(struct failure){.error = span_str(err->text)});
}

static void service_finish(struct instance *instance)
{
    struct service *s = service_of(instance);
    service_input_finish(s);
    buf_finish(&s->failure_bytes);
}

/* --- what it prints --------------------------------------------------------------------------- */

static void print_done(void *arg, const struct emit_result *result)
{
    struct service *s = arg;
    if (result->code < 0)
        log_say(s->base.site->daemon->log, LOG_ERROR, "service", "name=%s error=\"%s\"",
                s->base.def.name, result->err ? result->err->text : "refused");
}

static void no_memory(struct service *s)
{
    log_say(s->base.site->daemon->log, LOG_ERROR, "service", "name=%s error=\"no memory\"",
            s->base.def.name);
}

/* Whether what it prints waits for room in the log. */
static bool must_wait(struct service *s)
{
    s->print_waits = !s->over && !s->stopping && emit_full(s->base.out);
    return s->print_waits;
}

/* What a program prints while it is being stopped does not keep it from ending: a full log takes
 * only so much of it. */
static bool is_too_much(struct service *s, size_t bytes)
{
    if (!s->stopping || !emit_full(s->base.out))
        return false;
    s->past_full += bytes;
    return s->past_full > PAST_FULL_MAX;
}

static int print_frame(void *arg, const struct printed *printed)
{
    struct service *s = arg;
    if (must_wait(s))
        return -1;
    if (!printed->has_frame || is_too_much(s, printed->content.len + printed->meta.len + 64))
        return 0;
    const struct frame_id *cause = printed->has_cause ? &printed->cause : NULL;
    if (instance_print(&s->base, printed, 1, cause, NULL, print_done, s) < 0)
        no_memory(s);
    return 0;
}

static int print_bad(void *arg, uint64_t line, const struct err *why)
{
    struct service *s = arg;
    char text[ERR_TEXT_SIZE + 40];
    if (must_wait(s))
        return -1;
    if (is_too_much(s, sizeof(text)))
        return 0;
    snprintf(text, sizeof(text), "line %ju: %s", (uintmax_t)line, why->text);
    if (instance_error(&s->base, &(struct failure){.error = span_str(text)}) < 0)
        no_memory(s);
    return 0;
}

static size_t take_output(void *arg, struct span bytes)
{
    struct service *s = arg;
    return output_take(s->output, bytes);
}

static void service_room(struct instance *instance)
{
    struct service *s = service_of(instance);
    if (!s->print_waits || !s->process)
        return;
    s->print_waits = false;
    process_resume(s->process);
}

/* --- a run ------------------------------------------------------------------------------------ */

static void run(uv_timer_t *timer);

static void drop_process(struct service *s)
{
    process_destroy(s->process);
    output_destroy(s->output);
    s->process = NULL;
    s->output = NULL;
    s->running = s->print_waits = s->over = false;
}

static void retry(struct service *s, const struct failure *failure, uint64_t wait_ms)
{
    struct failure told = *failure;
    uint64_t failures = s->restart.failures;
    told.attempt = failures < UINT32_MAX ? (unsigned)failures : UINT32_MAX;
    told.next_ms = wait_ms;
    instance_retrying(&s->base, &told);
    uv_timer_start(&s->pause, run, wait_ms, 0);
}

/* A run is over; `failure` NULL: it ended well. */
static void run_over(struct service *s, const struct failure *failure, uint64_t ran_ms)
{
    uint64_t wait_ms = 0;
    if (s->stopping) {
        end(s, INSTANCE_STOPPED, NULL);
        return;
    }
    switch (restart_after(&s->restart, &s->base.def, failure != NULL, ran_ms, &wait_ms)) {
    case RESTART_AGAIN:
        uv_timer_start(&s->pause, run, wait_ms, 0);
        break;
    case RESTART_RETRY:
        retry(s, failure, wait_ms);
        break;
    case RESTART_DONE:
        end(s, INSTANCE_FIN_OK, NULL);
        break;
    case RESTART_FAILED:
        end(s, INSTANCE_FIN_ERROR, failure);
        break;
    }
}

/* It could not be started: the first time that says that it cannot be run at all. */
static void not_started(struct service *s, const struct err *err)
{
    struct err why = *err;
    struct failure failure = {.error = span_str(why.text)};
    drop_process(s);
    if (s->ran || s->stopping)
        run_over(s, &failure, 0);
    else
        end(s, INSTANCE_INVALID, &failure);
}

static void failed(void *arg, const struct err *err)
{
    not_started(arg, err);
}

static void give_up(struct service *s, const struct err *err)
{
    s->fault = *err;
    process_stop(s->process, 0);
}

static void started(void *arg, pid_t pid, const char *notes)
{
    struct service *s = arg;
    struct err err = ERR_INIT;
    (void)pid;
    if (s->stopping)
        return;
    /* What is sent once it is told active reaches it. */
    if (s->base.def.duplex && !s->input.pump && service_input_open(s, &err) < 0) {
        give_up(s, &err);
        return;
    }
    s->running = s->ran = true;
    s->started_ms = uv_now(loop_of(s));
    instance_active(&s->base, notes);
    service_input_begin(s);
}

static void deaf(void *arg)
{
    struct service *s = arg;
    s->input.deaf = true;
}

static void room(void *arg)
{
    service_input_flush(arg);
}

static void ended(void *arg, const struct process_end *process_end)
{
    struct service *s = arg;
    struct failure failure = {0};
    char text[ERR_TEXT_SIZE];
    CLEAN_BUF said = BUF_INIT;
    s->over = true;
    output_end(s->output);
    service_input_end(s, process_end->unread);
    bool bad = failure_of(&failure, text, sizeof(text), process_end);
    failure_keep(&failure, &said, &failure);
    uint64_t ran_ms = s->running ? uv_now(loop_of(s)) - s->started_ms : 0;
    drop_process(s);
    /* A fault of ours is for good: neither the program's doing nor gone at the next try. */
    if (s->fault.code < 0 && !s->stopping)
        service_fail(s, &s->fault);
    else
        run_over(s, bad ? &failure : NULL, ran_ms);
}

static int spawn(struct service *s, struct err *err)
{
    const struct definition *def = &s->base.def;
    struct output_options output = {
        .form = def->output,
        .binary = def->binary,
        .target = def->target,
        .frame = print_frame,
        .bad = print_bad,
        .arg = s,
    };
    struct process_options options = {
        .timeout_ms = def->timeout_ms,
        .input = def->duplex,
        .started = started,
        .failed = failed,
        .output = take_output,
        .room = room,
        .deaf = deaf,
        .ended = ended,
        .arg = s,
    };
    if (output_create(&s->output, &output) < 0)
        return err_set(err, -ENOMEM, "no memory for the program's output");
    return instance_run(&s->base, &s->process, &options, NULL, err);
}

static void run(uv_timer_t *timer)
{
    struct service *s = timer->data;
    struct err err = ERR_INIT;
    if (spawn(s, &err) < 0)
        not_started(s, &err);
}

/* --- beginning and end of all ----------------------------------------------------------------- */

static void open_timer(struct service *s, uv_timer_t *timer)
{
    uv_timer_init(loop_of(s), timer);
    timer->data = s;
    s->handles++;
}

static int service_start(struct instance *instance, struct err *err)
{
    struct service *s = service_of(instance);
    (void)err;
    instance->origin.hops = 1;
    open_timer(s, &s->pause);
    open_timer(s, &s->calm);
    run(&s->pause);
    return 0;
}

static void service_stop(struct instance *instance, unsigned grace_ms)
{
    struct service *s = service_of(instance);
    s->stopping = true;
    service_input_close(s);
    if (!s->process) {
        end(s, INSTANCE_STOPPED, NULL);
        return;
    }
    if (s->base.def.duplex)
        process_end_input(s->process);
    process_stop(s->process, grace_ms);
    service_room(instance);
}

const struct kind_ops service_ops = {
    .size = sizeof(struct service),
    .start = service_start,
    .stop = service_stop,
    .finish = service_finish,
    .room = service_room,
};
