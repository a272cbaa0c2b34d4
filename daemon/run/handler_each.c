/*
 * The handler that is a process for each frame, one at a time.
 *
 * The program has the frame's content as stdin, and
 *   WEIR_FRAME_FILE  a file with the frame as JSON, always
 *   WEIR_FRAME       the same text, up to 64 KiB
 *   WEIR_FRAME_ID    its id
 *   WEIR_TOPIC       its topic
 *   WEIR_META        its meta as JSON, up to 64 KiB; null when it has none
 *   WEIR_ATTEMPT     1, and more when it failed at this frame before
 * Exit 0: the frame is done, and what was printed goes into the log, all at once. Anything else: nothing of it does.
 */
#include "daemon/run/handler.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/fd.h"

#define ENV_MAX (64 * 1024) /* bytes of a variable; the system's own bound is 128 KiB */
#define FRAME_FILE "frame.json"
#define BUSY_WAIT_MS 1000 /* before a start is tried again that failed for want of processes or memory */

/* --- the frame of the run ---------------------------------------------------------------------------- */

static struct span keep(struct buf *bytes, struct span span)
{
    struct span kept = {bytes->ptr + bytes->len, span.len};
    if (span.len > 0)
        buf_add_span(bytes, span); /* room was reserved */
    return kept;
}

static int keep_frame(struct handler_run *run, const struct frame *frame)
{
    buf_reset(&run->bytes);
    buf_reset(&run->json);
    int rc = feed_line(&run->json, frame, &(struct feed_more){0});
    if (rc == 0)
        rc = buf_reserve(&run->bytes, frame->topic.len + frame->meta.len + frame->content.len + 1);
    if (rc < 0) {
        buf_reset(&run->json);
        return rc;
    }
    run->json.len--; /* the newline */
    run->frame = *frame;
    run->frame.topic = keep(&run->bytes, frame->topic);
    run->frame.meta = keep(&run->bytes, frame->meta);
    run->frame.content = keep(&run->bytes, frame->has_content ? frame->content : (struct span){0});
    run->frame.origin = (struct span){0};
    return 0;
}

/* --- the program's environment --------------------------------------------------------------------------- */

enum { VARIABLES = 6 };

static void free_variables(char *variables[VARIABLES + 1])
{
    for (size_t i = 0; i < VARIABLES; i++)
        free(variables[i]);
}

static bool add_variable(char *variables[VARIABLES + 1], const char *name, struct span value)
{
    size_t i = 0;
    if (value.len > ENV_MAX)
        return true;
    while (variables[i])
        i++;
    if (asprintf(&variables[i], "%s=%.*s", name, SPAN_ARG(value)) >= 0)
        return true;
    variables[i] = NULL;
    return false;
}

static bool make_variables(const struct handler_run *run, char *variables[VARIABLES + 1])
{
    char id[ID_TEXT_LEN + 1], attempt[16];
    struct span meta = run->frame.meta.len > 0 ? run->frame.meta : span_str("null");
    id_format(id, run->frame.id);
    snprintf(attempt, sizeof(attempt), "%u", run->attempt);
    return add_variable(variables, "WEIR_FRAME", buf_span(&run->json)) &&
           add_variable(variables, "WEIR_FRAME_FILE", span_str(run->file)) &&
           add_variable(variables, "WEIR_FRAME_ID", span_str(id)) &&
           add_variable(variables, "WEIR_TOPIC", run->frame.topic) &&
           add_variable(variables, "WEIR_META", meta) &&
           add_variable(variables, "WEIR_ATTEMPT", span_str(attempt));
}

/* --- its stdin --------------------------------------------------------------------------------------------- */

static void feed(struct handler *h);

static void read_part(struct job *job)
{
    struct handler *h = handler_of_job(job);
    h->job_result = content_next(&h->input, CONTENT_PART, &h->job_err);
}

static void start_run(struct handler *h);

static void part_read(struct job *job)
{
    struct handler *h = handler_of_job(job);
    if (!handler_worked(h))
        return;
    h->run.sent = 0;
    if (h->run.rerun)
        start_run(h);
    else if (h->job_result < 0 && h->process && !h->fault) {
        h->fault = "the frame's content could not be read";
        process_stop(h->process, 0);
    } else {
        feed(h);
    }
}

static void feed(struct handler *h)
{
    struct handler_run *run = &h->run;
    struct span rest = span_of(h->input.part.ptr + run->sent, h->input.part.len - run->sent);
    if (!h->running || h->working || run->fed || h->fault)
        return;
    if (rest.len > 0)
        run->sent += process_write(h->process, rest);
    if (run->sent < h->input.part.len)
        return;
    if (h->input.open) {
        handler_work(h, read_part, part_read);
        return;
    }
    run->fed = true;
    process_end_input(h->process);
}

static void each_deaf(struct handler *h)
{
    h->run.fed = true;
}

/* --- a run --------------------------------------------------------------------------------------------------- */

static void next(struct handler *h);
static void failed(struct handler *h, const struct failure *failure);

/* The program may have put anything there: what it left leads nowhere else. */
static int write_file(struct handler *h)
{
    struct buf *json = &h->run.json;
    CLEAN_FD int dir = open(h->base.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    if (unlinkat(dir, FRAME_FILE, 0) < 0 && errno != ENOENT)
        return -errno;
    CLEAN_FD int fd =
        openat(dir, FRAME_FILE, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    return fd_write_all(fd, buf_span(json));
}

static void prepare(struct job *job)
{
    struct handler *h = handler_of_job(job);
    int rc = write_file(h);
    h->job_result =
        rc < 0 ? err_sys(&h->job_err, -rc, "cannot write %s", h->run.file)
               : (h->input.open ? content_next(&h->input, CONTENT_PART, &h->job_err) : 0);
}

static bool is_want_of_room(int code)
{
    return code == -EAGAIN || code == -ENOMEM || code == -EMFILE || code == -ENFILE ||
           code == -ENOSPC || code == -EDQUOT || code == ERR_UNAVAILABLE;
}

/* It never ran. That is the frame's fault only when trying again would not help. */
static void not_run(struct handler *h, int code, struct span text)
{
    if (is_want_of_room(code)) {
        h->run.attempt--;
        handler_wait(h, BUSY_WAIT_MS);
    } else {
        failed(h, &(struct failure){.error = text});
    }
}

static void prepared(struct job *job)
{
    struct handler *h = handler_of_job(job);
    char *variables[VARIABLES + 1] = {0};
    struct err err = h->job_err;
    int rc = h->job_result;
    if (!handler_worked(h))
        return;
    if (rc == 0)
        rc = make_variables(&h->run, variables) ? 0 : err_set(&err, -ENOMEM, "no memory");
    if (rc == 0)
        rc = handler_spawn(h, h->base.def.timeout_ms, (const char *const *)variables, &err);
    free_variables(variables);
    if (rc < 0)
        not_run(h, rc, span_str(err.text));
}

/* A blob may still be read for the last run: then this one waits. */
static void start_run(struct handler *h)
{
    struct handler_run *run = &h->run;
    run->rerun = h->working;
    if (h->working)
        return;
    int rc = 0;
    run->sent = 0;
    run->fed = false;
    run->attempt++;
    hold_reset(&h->hold);
    if (!run->is_pulse)
        rc = hold_give(&h->hold, run->frame.id);
    if (run->frame.has_content || !run->frame.has_hash)
        rc = rc < 0 ? rc : content_set(&h->input, run->frame.content);
    else
        content_begin(&h->input, h->base.site->store, h->base.site->cas, &run->frame);
    if (!run->file && asprintf(&run->file, "%s/" FRAME_FILE, h->base.directory) < 0)
        run->file = NULL;
    if (rc < 0 || !run->file)
        not_run(h, -ENOMEM, span_str("no memory"));
    else
        handler_work(h, prepare, prepared);
}

static bool begin_run(struct handler *h, const struct frame *frame, bool is_pulse)
{
    if (keep_frame(&h->run, frame) < 0)
        return false;
    h->run.busy = true;
    h->run.is_pulse = is_pulse;
    h->run.attempt = 0;
    start_run(h);
    return true;
}

static bool each_frame(struct handler *h, const struct frame *frame)
{
    if (h->run.busy)
        return false;
    if (handler_log_is_full(h)) {
        h->pump_waits = true;
        return false;
    }
    if (!handler_hop(h, frame))
        return true;
    if (!begin_run(h, frame, false)) {
        h->run.busy = true; /* until there is memory again */
        handler_wait(h, BUSY_WAIT_MS);
        return false;
    }
    return true;
}

static void start_pulse(struct handler *h)
{
    struct frame frame = {.topic = span_str("xs.pulse"),
                          .ttl = {.kind = TTL_EPHEMERAL, .value = 0},
                          .id = pump_synthetic_id(h->pump)};
    h->run.pulse_due = false;
    h->base.origin.hops = 1;
    begin_run(h, &frame, true);
}

/* Only pulses, which were asked for, make runs. Those that come while one is due are one, and frames have their turn between. */
static void each_note(struct handler *h, const char *topic, struct span meta)
{
    (void)meta;
    if (strcmp(topic, "xs.pulse") != 0)
        return;
    h->run.pulse_due = true;
    if (!h->run.busy && h->pump && !handler_log_is_full(h))
        start_pulse(h);
}

static void next(struct handler *h)
{
    h->run.busy = false;
    if (!h->working)
        content_close(&h->input);
    handler_stir(h);
    if (!h->pump)
        return;
    if (h->run.pulse_due && !h->run.is_pulse)
        start_pulse(h);
    else
        pump_resume(h->pump);
}

/* --- how a run ended ------------------------------------------------------------------------------------------- */

/* The frame is done: the mark moves with what is told of it. */
static const struct frame_id *done_with(struct handler *h)
{
    return h->resumes && !h->run.is_pulse ? &h->run.frame.id : NULL;
}

static void succeeded(struct handler *h)
{
    const struct frame_id *cause = h->run.is_pulse ? NULL : &h->run.frame.id;
    struct printed *due;
    size_t count;
    if (hold_due(&h->hold, ID_MAX, &due, &count) < 0) {
        failed(h, &(struct failure){.error = span_str("no memory for what it printed")});
        return;
    }
    handler_print(h, due, count, cause, done_with(h));
    hold_settle(&h->hold, h->run.is_pulse ? h->hold.low : h->run.frame.id);
    next(h);
}

static uint64_t backoff_of(const struct handler *h)
{
    unsigned doublings = h->run.attempt - 1;
    return h->base.def.retry_backoff_ms << (doublings < 16 ? doublings : 16);
}

static void failed(struct handler *h, const struct failure *failure)
{
    struct failure told = *failure;
    const struct definition *def = &h->base.def;
    bool again = def->on_error == ERROR_RETRY && h->run.attempt <= def->retry_times;
    if (!h->run.is_pulse) {
        told.has_frame = true;
        told.frame = h->run.frame.id;
    }
    told.attempt = def->on_error == ERROR_RETRY ? h->run.attempt : 0;
    if (def->on_error == ERROR_STOP) {
        handler_end(h, INSTANCE_FIN_ERROR, &told);
    } else if (again) {
        told.next_ms = backoff_of(h);
        instance_retrying(&h->base, &told);
        handler_wait(h, told.next_ms);
    } else {
        handler_error(h, &told, done_with(h));
        hold_settle(&h->hold, h->run.is_pulse ? h->hold.low : h->run.frame.id);
        next(h);
    }
}

static void each_ended(struct handler *h, const struct failure *failure, int code)
{
    if (code < 0)
        not_run(h, code, failure->error);
    else if (failure)
        failed(h, failure);
    else
        succeeded(h);
}

static void each_again(struct handler *h)
{
    if (h->run.json.len > 0)
        start_run(h);
    else
        next(h);
}

static int each_printed(struct handler *h, const struct printed *printed)
{
    if (!printed->has_frame)
        return 0;
    int rc = hold_add(&h->hold, printed);
    if (rc < 0) {
        h->fault =
            rc == ERR_TOO_LARGE ? "held output over 1 MiB" : "no memory for what it printed";
        process_stop(h->process, 0);
    }
    return 0;
}

static void each_started(struct handler *h, const char *notes)
{
    (void)notes;
    feed(h);
}

static void each_begin(struct handler *h)
{
    h->ran = true;
    instance_active(&h->base, NULL);
}

const struct handler_way handler_each = {
    .begin = each_begin,
    .frame = each_frame,
    .note = each_note,
    .again = each_again,
    .printed = each_printed,
    .started = each_started,
    .room = feed,
    .deaf = each_deaf,
    .ended = each_ended,
};
