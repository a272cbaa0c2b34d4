/*
 * A handler's process: what becomes of it, and its output as frames.
 */
#include "daemon/run/handler.h"

#include <errno.h>
#include <stdio.h>

static void started(void *arg, pid_t pid, const char *notes)
{
    struct handler *h = arg;
    (void)pid;
    h->running = true;
    h->started_ms = uv_now(h->base.site->daemon->loop);
    h->way->started(h, notes);
}

static void drop_process(struct handler *h)
{
    process_destroy(h->process);
    output_destroy(h->output);
    h->process = NULL;
    h->output = NULL;
    h->running = h->print_waits = h->draining = false;
}

static void failed(void *arg, const struct err *err)
{
    struct handler *h = arg;
    struct err why = *err;
    drop_process(h);
    if (h->stopping)
        handler_end(h, INSTANCE_STOPPED, NULL);
    else
        h->way->ended(h, &(struct failure){.error = span_str(why.text)}, why.code);
}

static size_t take_output(void *arg, struct span bytes)
{
    struct handler *h = arg;
    return h->fault ? bytes.len : output_take(h->output, bytes);
}

static void ended(void *arg, const struct process_end *end)
{
    struct handler *h = arg;
    struct failure failure = {0};
    char text[ERR_TEXT_SIZE];
    CLEAN_BUF said = BUF_INIT;
    h->draining = true;
    if (!h->fault)
        output_end(h->output);
    bool bad = failure_of(&failure, text, sizeof(text), end);
    failure_keep(&failure, &said, &failure);
    drop_process(h);
    if (h->fault)
        failure = (struct failure){.error = span_str(h->fault), .last_stderr = failure.last_stderr};
    bad = bad || h->fault;
    h->fault = NULL;
    if (h->stopping)
        handler_end(h, INSTANCE_STOPPED, NULL);
    else if (h->blind)
        handler_end(h, INSTANCE_FIN_ERROR, &failure);
    else
        h->way->ended(h, bad ? &failure : NULL, 0);
}

static void room(void *arg)
{
    struct handler *h = arg;
    h->way->room(h);
}

static void deaf(void *arg)
{
    struct handler *h = arg;
    h->way->deaf(h);
}

/* -1: the log has no room now, and go_on comes back to it. 1: nobody wants it any more. */
static int may_print(struct handler *h)
{
    if (h->fault)
        return 1;
    h->print_waits = !h->draining && handler_log_is_full(h);
    return h->print_waits ? -1 : 0;
}

static int print_frame(void *arg, const struct printed *printed)
{
    struct handler *h = arg;
    int may = may_print(h);
    if (may != 0)
        return may < 0 ? -1 : 0;
    return h->way->printed(h, printed);
}

static int print_bad(void *arg, uint64_t line, const struct err *why)
{
    struct handler *h = arg;
    char text[ERR_TEXT_SIZE + 40];
    int may = may_print(h);
    if (may != 0)
        return may < 0 ? -1 : 0;
    snprintf(text, sizeof(text), "line %llu: %s", (unsigned long long)line, why->text);
    struct failure failure = {.error = span_str(text), .frame = hold_oldest(&h->hold)};
    failure.has_frame = !id_is_zero(failure.frame);
    handler_error(h, &failure, NULL);
    return 0;
}

int handler_spawn(struct handler *h, uint64_t timeout_ms, const char *const *extra, struct err *err)
{
    const struct definition *def = &h->base.def;
    struct output_options output = {.form = def->output,
                                    .binary = def->binary,
                                    .target = def->target,
                                    .frame = print_frame,
                                    .bad = print_bad,
                                    .arg = h};
    struct process_options options = {.timeout_ms = timeout_ms,
                                      .input = true,
                                      .started = started,
                                      .failed = failed,
                                      .output = take_output,
                                      .room = room,
                                      .deaf = deaf,
                                      .ended = ended,
                                      .arg = h};
    if (output_create(&h->output, &output) < 0)
        return err_set(err, -ENOMEM, "no memory for the program's output");
    int rc = instance_run(&h->base, &h->process, &options, extra, err);
    if (rc < 0)
        drop_process(h);
    return rc;
}
