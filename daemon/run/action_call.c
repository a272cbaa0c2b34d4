/*
 * One call of an action: its file, its process, its stdin, what it prints.
 *
 *   prepare (pool: file, first part of the content) -> process -> over -> answered
 *   -> clear (pool: file) -> gone
 */
#include "daemon/run/action.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "daemon/run/call_env.h"
#include "daemon/run/feed_line.h"
#include "daemon/run/scratch.h"

static struct call *call_of(struct job *job)
{
    return (struct call *)((char *)job - offsetof(struct call, job));
}

static void work(struct call *call, void (*part)(struct job *job), void (*after)(struct job *job))
{
    call->reading = true;
    call->job = (struct job){.work = part, .after = after};
    pool_submit(call->action->base.site->daemon->loop, &call->job);
}

/* --- the end ---------------------------------------------------------------------------------- */

void call_fail(struct call *call, const struct failure *failure)
{
    if (call->failed)
        return;
    call->failed = true;
    failure_keep(&call->failure, &call->failure_bytes, failure);
}

/* The process is gone, or there never was one. What the pool does for it ends first. */
static void over(struct call *call)
{
    process_destroy(call->process);
    call->process = NULL;
    call->running = false;
    call->fed = true;
    if (call->fault)
        call_fail(call, &(struct failure){.error = span_str(call->fault)});
    if (call->reading)
        return;
    call->over = true;
    action_call_over(call->action);
}

static void fail_over(struct call *call, const struct err *err)
{
    call_fail(call, &(struct failure){.error = span_str(err->text)});
    over(call);
}

void call_stop(struct call *call, const char *fault, unsigned grace_ms)
{
    if (!call->fault)
        call->fault = fault;
    call_resume(call);
    if (call->process)
        process_stop(call->process, grace_ms);
}

void call_resume(struct call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    if (call->process)
        process_resume(call->process);
}

static void remove_file(struct job *job)
{
    unlink(call_of(job)->file);
}

static void removed(struct job *job)
{
    action_call_gone(call_of(job));
}

void call_clear(struct call *call)
{
    call->action->collected -= call->out.len;
    buf_finish(&call->out);
    work(call, remove_file, removed);
}

/* --- stdin ------------------------------------------------------------------------------------ */

static void feed(struct call *call);

static void read_part(struct job *job)
{
    struct call *call = call_of(job);
    call->job_result = content_next(&call->input, CONTENT_PART, &call->job_err);
}

static void part_read(struct job *job)
{
    struct call *call = call_of(job);
    call->reading = false;
    call->sent = 0;
    if (!call->process) {
        over(call);
    } else if (call->job_result < 0 && !call->fed) {
        call_fail(call, &(struct failure){.error = span_str(call->job_err.text)});
        process_stop(call->process, 0);
    } else {
        feed(call);
    }
}

static void feed(struct call *call)
{
    struct span part = buf_span(&call->input.part);
    if (!call->running || call->reading || call->fed)
        return;
    if (call->sent < part.len)
        call->sent +=
            process_write(call->process, span_of(part.ptr + call->sent, part.len - call->sent));
    if (call->sent < part.len)
        return;
    if (call->input.open) {
        work(call, read_part, part_read);
        return;
    }
    call->fed = true;
    process_end_input(call->process);
}

/* --- the process ------------------------------------------------------------------------------ */

static void started(void *arg, pid_t pid, const char *notes)
{
    struct call *call = arg;
    (void)pid;
    (void)notes;
    call->running = true;
    feed(call);
}

static void failed(void *arg, const struct err *err)
{
    fail_over(arg, err);
}

static const char *add_output(struct call *call, struct span bytes)
{
    struct action *action = call->action;
    if (call->out.len + bytes.len > ACTION_OUTPUT_MAX)
        return "the output is larger than 64 MiB";
    if (buf_add_span(&call->out, bytes) < 0)
        return "no memory for the output";
    action->collected += bytes.len;
    return NULL;
}

static size_t take_output(void *arg, struct span bytes)
{
    struct call *call = arg;
    if (!call->fault && !action_has_room(call, bytes.len)) {
        call->paused = true;
        return 0;
    }
    const char *fault = call->fault ? NULL : add_output(call, bytes);
    if (fault) {
        call->action->collected -= call->out.len;
        buf_finish(&call->out);
        call_stop(call, fault, 0);
    }
    return bytes.len;
}

static void room(void *arg)
{
    feed(arg);
}

static void deaf(void *arg)
{
    struct call *call = arg;
    call->fed = true;
}

static void ended(void *arg, const struct process_end *end)
{
    struct call *call = arg;
    struct failure failure = {0};
    char text[ERR_TEXT_SIZE];
    if (!call->fault && failure_of(&failure, text, sizeof(text), end))
        call_fail(call, &failure);
    over(call);
}

static int spawn(struct call *call, struct err *err)
{
    struct instance *base = &call->action->base;
    struct call_env env = {0};
    int rc =
        call_env_make(&env, call->file, buf_span(&call->json), &call->frame->frame, err);
    if (rc < 0)
        return rc;
    struct process_options options = {
        .argv = env.argv,
        .timeout_ms = base->def.timeout_ms,
        .input = true,
        .started = started,
        .failed = failed,
        .output = take_output,
        .room = room,
        .deaf = deaf,
        .ended = ended,
        .arg = call,
    };
    rc = instance_run(base, &call->process, &options, (const char *const *)env.variables, err);
    call_env_finish(&env);
    buf_finish(&call->json);
    return rc;
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void prepare(struct job *job)
{
    struct call *call = call_of(job);
    const char *name = strrchr(call->file, '/') + 1;
    int rc = scratch_write(call->action->base.directory, name, 0600, buf_span(&call->json),
                           &call->job_err);
    if (rc == 0 && call->input.open)
        rc = content_next(&call->input, CONTENT_PART, &call->job_err);
    call->job_result = rc;
}

static void prepared(struct job *job)
{
    struct call *call = call_of(job);
    struct err err = call->job_err;
    int rc = call->job_result;
    call->reading = false;
    if (call->fault) {
        over(call);
        return;
    }
    if (rc == 0)
        rc = spawn(call, &err);
    if (rc < 0)
        fail_over(call, &err);
}

static bool fill(struct call *call)
{
    const struct instance *base = &call->action->base;
    const struct frame *frame = &call->frame->frame;
    char id[ID_TEXT_LEN + 1];
    id_format(id, frame->id);
    if (asprintf(&call->file, "%s/call-%s.json", base->directory, id) < 0) {
        call->file = NULL;
        return false;
    }
    if (feed_line(&call->json, frame, &(struct feed_more){0}) < 0)
        return false;
    call->json.len--; /* the newline */
    if (!frame->has_hash)
        return true;
    if (frame->has_content)
        return content_set(&call->input, frame->content) == 0;
    content_begin(&call->input, base->site->store, base->site->cas, frame);
    return true;
}

static void free_call(struct call *call)
{
    content_finish(&call->input);
    buf_finish(&call->json);
    free(call->file);
    free(call->frame);
    free(call);
}

bool call_begin(struct action *action, struct kept_frame *frame)
{
    struct call *call = calloc(1, sizeof(*call));
    if (!call) {
        free(frame);
        return false;
    }
    call->action = action;
    call->frame = frame;
    if (!fill(call)) {
        free_call(call);
        return false;
    }
    *action->calls_end = call;
    action->calls_end = &call->next;
    action->call_count++;
    work(call, prepare, prepared);
    return true;
}
