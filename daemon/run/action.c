#include "daemon/run/action.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/clean.h"
#include "daemon/run/programs.h"

static struct action *action_of(struct instance *instance)
{
    return (struct action *)instance;
}

/* --- turns ------------------------------------------------------------------------------------ */

static void settle(struct action *action)
{
    if (!action->stopping || action->starting || action->calls || action->ended)
        return;
    action->ended = true;
    instance_ended(&action->base, INSTANCE_STOPPED, NULL);
}

static struct kept_frame *take_first(struct action *action)
{
    struct kept_frame *first = action->queue;
    action->queue = first->next;
    if (!action->queue)
        action->queue_end = &action->queue;
    action->queue_count--;
    action->queue_bytes -= first->size;
    return first;
}

/* A call that is over keeps its turn until it is answered, so that answers never pile up. */
static void give_turns(struct action *action)
{
    while (action->queue && action->call_count < action->base.def.concurrency) {
        struct kept_frame *frame = take_first(action);
        struct frame_id id = frame->frame.id;
        if (!call_begin(action, frame))
            action_refuse(action, id, "no memory");
    }
}

bool action_has_room(const struct call *call, size_t bytes)
{
    const struct action *action = call->action;
    const struct call *oldest = action->calls;
    while (oldest && !oldest->process)
        oldest = oldest->next;
    return call == oldest ||
           action->collected + bytes <= ACTION_COLLECTED_MAX - ACTION_OUTPUT_MAX;
}

static void resume(struct action *action)
{
    for (struct call *call = action->calls; call; call = call->next)
        call_resume(call);
}

void action_call_over(struct action *action)
{
    resume(action);
    for (struct call *call = action->calls; call; call = call->next) {
        if (!action->stopping && emit_full(action->base.out))
            return;
        if (call->over) {
            call->over = false;
            action_answer(call);
            call_clear(call);
            resume(action);
        }
    }
}

void action_call_gone(struct call *call)
{
    struct action *action = call->action;
    struct call **at = &action->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (!*at)
        action->calls_end = at;
    action->call_count--;
    content_finish(&call->input);
    buf_finish(&call->json);
    buf_finish(&call->out);
    buf_finish(&call->failure_bytes);
    free(call->frame);
    free(call->file);
    free(call);
    give_turns(action);
    settle(action);
}

static void action_room(struct instance *instance)
{
    action_call_over(action_of(instance));
    action_owed_answer(action_of(instance));
}

/* --- calls come in ---------------------------------------------------------------------------- */

/* Why a call is not taken; NULL: it is. */
static const char *refusal(struct action *action, const struct frame *frame)
{
    unsigned hops = 1;
    if (action->stopping)
        return "stopped";
    if (id_cmp(frame->id, action->base.def.id) < 0)
        return "the call is older than the definition that runs now";
    if (action->queue_count == ACTION_QUEUE_MAX || action->queue_bytes > ACTION_QUEUE_BYTES)
        return "too many calls";
    if (span_is(frame->origin, action->base.origin.text))
        return "an action does not call itself";
    if (frame->origin.len > 0)
        hops = programs_hops(action->base.programs, frame->origin) + 1;
    if (hops > HOPS_MAX)
        return "the call comes out of a loop of programs that answer each other";
    action->base.origin.hops = hops;
    return NULL;
}

static void action_called(struct instance *instance, const struct frame *frame)
{
    struct action *action = action_of(instance);
    const char *why = refusal(action, frame);
    action_owed_take(action, frame);
    struct kept_frame *kept = why ? NULL : kept_frame(frame);
    if (!kept) {
        action_refuse(action, frame->id, why ? why : "no memory");
        return;
    }
    kept->next = NULL;
    *action->queue_end = kept;
    action->queue_end = &kept->next;
    action->queue_count++;
    action->queue_bytes += kept->size;
    give_turns(action);
}

/* --- beginning and end of all ----------------------------------------------------------------- */

static struct action *action_of_job(struct job *job)
{
    return (struct action *)((char *)job - offsetof(struct action, job));
}

/* Files of calls that a killed daemon left. */
static void sweep(const char *directory)
{
    CLEAN_DIR DIR *dir = opendir(directory);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        size_t len = strlen(e->d_name);
        if (len == ID_TEXT_LEN + 10 && strncmp(e->d_name, "call-", 5) == 0 &&
            strcmp(e->d_name + len - 5, ".json") == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    }
}

static void begin_work(struct job *job)
{
    struct action *action = action_of_job(job);
    sweep(action->base.directory);
    action->job_result = action_owed_find(action, &action->job_err);
}

/* It is known what is owed: the action can take calls. */
static void begin(struct action *action, int code, const struct err *err)
{
    action->starting = false;
    if (!action->stopping && code < 0) {
        const char *text = err ? err->text : err_code_text(code);
        action->ended = true;
        instance_ended(&action->base, INSTANCE_INVALID, &(struct failure){.error = span_str(text)});
        return;
    }
    if (!action->stopping) {
        instance_active(&action->base, "");
        action_owed_answer(action);
    }
    settle(action);
}

static void marked(void *arg, const struct emit_result *result)
{
    begin(arg, result->code, result->err);
}

/* The mark is there before `active` is, so that no call after that is ever missed. */
static void found(struct job *job)
{
    struct action *action = action_of_job(job);
    int rc = action->job_result;
    if (rc == 0 && !action->has_mark && !action->stopping) {
        struct store_mark mark = action_owed_mark(action, &action->base.def.id);
        rc = instance_print(&action->base, NULL, 0, NULL, &mark, marked, action);
        if (rc == 0)
            return;
        err_set(&action->job_err, rc, "no memory for the action's mark");
    }
    begin(action, rc, &action->job_err);
}

static int action_start(struct instance *instance, struct err *err)
{
    struct action *action = action_of(instance);
    (void)err;
    action->calls_end = &action->calls;
    action->queue_end = &action->queue;
    action->starting = true;
    action_owed_begin(action);
    action->job = (struct job){.work = begin_work, .after = found};
    pool_submit(instance->site->daemon->loop, &action->job);
    return 0;
}

static void action_stop(struct instance *instance, unsigned grace_ms)
{
    struct action *action = action_of(instance);
    action->stopping = true;
    action->grace_ms = grace_ms;
    for (struct call *call = action->calls; call; call = call->next)
        call_stop(call, "stopped", grace_ms);
    while (action->queue) {
        struct kept_frame *frame = take_first(action);
        action_refuse(action, frame->frame.id, "stopped");
        free(frame);
    }
    action_call_over(action);
    settle(action);
}

static void action_finish(struct instance *instance)
{
    struct action *action = action_of(instance);
    while (action->queue)
        free(take_first(action));
    action_forget_answers(action);
    owed_finish(&action->owed);
}

const struct kind_ops action_ops = {
    .size = sizeof(struct action),
    .start = action_start,
    .stop = action_stop,
    .called = action_called,
    .finish = action_finish,
    .room = action_room,
};
