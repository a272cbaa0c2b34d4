/*
 * NAME.send -> stdin of a service, over all its runs.
 *
 *   pump -> pending -> process_write -> flight
 *             ^--- what a run that ended did not read <---'
 *
 * A frame is taken only when nothing is pending, so pending holds at most a part of one content,
 * and what came back.
 */
#include <errno.h>

#include "daemon/run/hops.h"
#include "daemon/run/service.h"

#define WRITE_MAX (64 * 1024)
#define FLIGHT_MAX (512 * 1024) /* more than a pipe holds, with what the process keeps behind it */

static struct service *service_of(struct job *job)
{
    return (struct service *)((char *)job - offsetof(struct service, input.job));
}

/* --- into the process ------------------------------------------------------------------------- */

/* What was written stays for a while: whoever ends without reading it leaves it to the next. */
static void note_flight(struct buf *flight, struct span taken)
{
    if (flight->len > FLIGHT_MAX && flight->len + taken.len > 2 * FLIGHT_MAX)
        buf_consume(flight, flight->len - FLIGHT_MAX);
    buf_add_span(flight, taken); /* without memory it is as if it were read */
}

/* True: all of it is written. */
static bool write_pending(struct service *s)
{
    struct service_input *in = &s->input;
    while (in->sent < in->pending.len) {
        size_t left = in->pending.len - in->sent;
        struct span part =
            span_of(in->pending.ptr + in->sent, left < WRITE_MAX ? left : WRITE_MAX);
        if (!s->running || s->stopping || in->deaf)
            return false;
        size_t taken = process_write(s->process, part);
        note_flight(&in->flight, span_of(part.ptr, taken));
        in->sent += taken;
        if (taken < part.len)
            return false;
    }
    buf_reset(&in->pending);
    in->sent = 0;
    return true;
}

static void read_on(struct service *s);

void service_input_flush(struct service *s)
{
    struct service_input *in = &s->input;
    if (!write_pending(s) || in->reading || !in->pump)
        return;
    if (in->content.open) {
        read_on(s);
    } else if (in->pump_waits && s->running && !in->deaf) {
        in->pump_waits = false;
        pump_resume(in->pump);
    }
}

void service_input_begin(struct service *s)
{
    s->input.deaf = false;
    service_input_flush(s);
}

void service_input_end(struct service *s, size_t unread)
{
    struct service_input *in = &s->input;
    struct buf next = BUF_INIT;
    size_t back = unread < in->flight.len ? unread : in->flight.len;
    struct span rest = span_of(in->pending.ptr + in->sent, in->pending.len - in->sent);
    if (back > 0 && buf_add(&next, in->flight.ptr + in->flight.len - back, back) == 0 &&
        buf_add_span(&next, rest) == 0) {
        buf_finish(&in->pending);
        in->pending = next;
        in->sent = 0;
    } else {
        buf_finish(&next);
    }
    buf_finish(&in->flight);
}

/* --- contents that lie elsewhere -------------------------------------------------------------- */

static void tell_lost(struct service *s, const struct err *err)
{
    char text[ERR_TEXT_SIZE + 40];
    snprintf(text, sizeof(text), "the content was not given: %s", err->text);
    instance_error(&s->base, &(struct failure){.error = span_str(text),
                                               .has_frame = true,
                                               .frame = s->input.frame});
}

static void read_part(struct job *job)
{
    struct service_input *in = &service_of(job)->input;
    in->read_result = content_next(&in->content, CONTENT_PART, &in->read_err);
}

static void part_read(struct job *job)
{
    struct service *s = service_of(job);
    struct service_input *in = &s->input;
    in->reading = false;
    if (in->read_result == 0 && buf_add_span(&in->pending, buf_span(&in->content.part)) < 0) {
        in->read_result = err_set(&in->read_err, -ENOMEM, "no memory");
        in->content.open = false;
    }
    if (in->pump && in->read_result < 0)
        tell_lost(s, &in->read_err);
    if (!in->content.open)
        content_close(&in->content);
    service_input_flush(s);
    service_settle(s);
}

static void read_on(struct service *s)
{
    struct service_input *in = &s->input;
    in->reading = true;
    in->job = (struct job){.work = read_part, .after = part_read};
    pool_submit(s->base.site->daemon->loop, &in->job);
}

/* --- frames ----------------------------------------------------------------------------------- */

static bool hop(struct service *s, const struct frame *frame)
{
    char text[ERR_TEXT_SIZE];
    if (hops_take(&s->base, &s->calm, frame, text))
        return true;
    if (text[0])
        instance_error(&s->base, &(struct failure){.error = span_str(text), .has_frame = true, .frame = frame->id});
    return false;
}

static bool is_wanted(const struct service *s, const struct frame *frame)
{
    return frame->has_hash && !span_is(frame->origin, s->base.origin.text);
}

static bool take_frame(void *arg, const struct frame *frame)
{
    struct service *s = arg;
    struct service_input *in = &s->input;
    if (!is_wanted(s, frame))
        return true;
    if (!s->running || in->deaf || in->reading || in->content.open || in->pending.len > 0) {
        in->pump_waits = true;
        return false;
    }
    if (!hop(s, frame))
        return true;
    in->frame = frame->id;
    if (!frame->has_content)
        content_begin(&in->content, s->base.site->store, s->base.site->cas, frame);
    else if (buf_add_span(&in->pending, frame->content) < 0)
        tell_lost(s, &(struct err){.text = "no memory"});
    service_input_flush(s);
    return true;
}

/* The site ends: the service is stopped soon. Or the log cannot be read. */
static void read_ended(void *arg, const struct err *err)
{
    struct service *s = arg;
    if (!err || s->stopping)
        return;
    s->fault = *err;
    err_prefix(&s->fault, "its input cannot be read");
    if (s->process)
        process_stop(s->process, 0);
    else
        service_fail(s, &s->fault);
}

int service_input_open(struct service *s, struct err *err)
{
    char topic[PROGRAM_NAME_MAX + 8];
    int len = snprintf(topic, sizeof(topic), "%s.send", s->base.def.name);
    struct pump_options options = {
        .site = s->base.site,
        .query = {.stream = span_of(topic, (size_t)len), .follow = true, .skip_history = true},
        .contents = true,
        .frame = take_frame,
        .ended = read_ended,
        .arg = s,
    };
    return pump_create(&s->input.pump, &options, err);
}

void service_input_close(struct service *s)
{
    pump_destroy(s->input.pump);
    s->input.pump = NULL;
}

void service_input_finish(struct service *s)
{
    content_finish(&s->input.content);
    buf_finish(&s->input.pending);
    buf_finish(&s->input.flight);
}
