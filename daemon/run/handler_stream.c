/*
 * The handler that is one process: a frame is a line of its stdin.
 *
 * What the program does not read stays where it is: in its pipe, behind it in `lines` up to LINES_MAX, and then in the log.
 *
 * When the process fails it is started again. With resume the log is read again from the mark, so the oldest frame without ack comes first and says
 * "attempt"; the process that fails there too often ("retry" times, else FRAME_TRIES) does so without it. Otherwise it goes on behind the
 * frame given last, which the error frame names: what it had not read from its pipe is gone.
 */
#include "daemon/run/handler.h"

#include <errno.h>

#define LINES_FLUSH (64 * 1024) /* written at once */
#define LINES_MAX (256 * 1024)  /* waiting for the pipe, at most about */
#define KEEP_IDLE 4096          /* above this memory is given back when there is little to do */
#define FRAME_TRIES 3
#define BACKOFF_MS 1000
#define BACKOFF_MAX_MS 60000
#define WELL_MS 10000 /* a process that ran so long starts again with the first backoff */

/* --- lines to the program ---------------------------------------------------------------------------- */

static void write_lines(struct handler *h)
{
    struct handler_lines *lines = &h->lines;
    if (!h->running || lines->sent == lines->bytes.len)
        return;
    struct span rest = span_of(lines->bytes.ptr + lines->sent, lines->bytes.len - lines->sent);
    lines->sent += process_write(h->process, rest);
    if (lines->sent < lines->bytes.len && lines->sent < LINES_MAX)
        return;
    buf_consume(&lines->bytes, lines->sent);
    lines->sent = 0;
}

static void flush(uv_prepare_t *prepare)
{
    struct handler *h = prepare->data;
    struct buf *bytes = &h->lines.bytes;
    size_t had = bytes->len;
    uv_prepare_stop(prepare);
    write_lines(h);
    if (bytes->len == 0 && bytes->cap > KEEP_IDLE && had < bytes->cap / 8)
        buf_finish(bytes);
}

static size_t waiting(const struct handler *h)
{
    return h->lines.bytes.len - h->lines.sent;
}

/* Lines of one turn of the loop are written together, before it sleeps. */
static void line_added(struct handler *h)
{
    if (waiting(h) >= LINES_FLUSH)
        write_lines(h);
    if (waiting(h) > 0)
        uv_prepare_start(&h->flush, flush);
}

static void stream_room(struct handler *h)
{
    write_lines(h);
    if (h->pump && waiting(h) < LINES_MAX)
        pump_resume(h->pump);
}

/* It may live on and answer; frames wait for the next one. */
static void stream_deaf(struct handler *h)
{
    h->lines.deaf = true;
    h->lines.sent = 0;
    buf_reset(&h->lines.bytes);
}

static bool takes_lines(const struct handler *h)
{
    return h->running && !h->fault && !h->lines.deaf && waiting(h) < LINES_MAX;
}

/* --- contents that lie elsewhere ---------------------------------------------------------------------- */

static void fetch(struct job *job)
{
    struct handler *h = handler_of_job(job);
    h->job_result = content_next(&h->input, FEED_CONTENT_MAX + 1, &h->job_err);
    content_close(&h->input);
}

static void fetched(struct job *job)
{
    struct handler *h = handler_of_job(job);
    if (!handler_worked(h))
        return;
    if (h->job_result < 0 && h->job_result != ERR_NOT_FOUND)
        log_say(h->base.site->daemon->log, LOG_ERROR, "handler", "name=%s content=\"%s\"",
                h->base.def.name, h->job_err.text);
    h->lines.has_content = true;
    if (h->pump)
        pump_resume(h->pump);
}

/* Reads what is not in the frame; the frame is offered again then. */
static bool has_content(struct handler *h, const struct frame *frame)
{
    struct handler_lines *lines = &h->lines;
    if (h->working)
        return false;
    if (lines->has_content && id_cmp(lines->content_of, frame->id) == 0)
        return true;
    lines->has_content = false;
    lines->content_of = frame->id;
    content_begin(&h->input, h->base.site->store, h->base.site->cas, frame);
    handler_work(h, fetch, fetched);
    return false;
}

static void forget_content(struct handler *h)
{
    h->lines.has_content = false;
    buf_finish(&h->input.part);
}

/* False: not there yet. */
static bool find_content(struct handler *h, const struct frame *frame, struct feed_more *more)
{
    more->content = FEED_CONTENT_BYTES;
    more->bytes = frame->content;
    if (frame->has_content)
        return true;
    more->content = frame->content_size > FEED_CONTENT_MAX ? FEED_CONTENT_LARGE : FEED_CONTENT_NONE;
    if (!frame->has_hash || more->content == FEED_CONTENT_LARGE)
        return true;
    if (!has_content(h, frame))
        return false;
    more->bytes = buf_span(&h->input.part);
    if (more->bytes.len > FEED_CONTENT_MAX)
        more->content = FEED_CONTENT_LARGE;
    else if (h->job_result == 0)
        more->content = FEED_CONTENT_BYTES;
    return true;
}

/* --- giving ------------------------------------------------------------------------------------------ */

static void fail(struct handler *h, const char *why)
{
    h->fault = why;
    process_stop(h->process, 0);
}

/* The frame at which the last process ended comes first again. */
static unsigned attempt_at(struct handler *h, struct frame_id id)
{
    if (!h->lines.again)
        return 0;
    h->lines.again = false;
    return id_cmp(id, h->suspect) == 0 ? h->deaths + 1 : 0;
}

static void note_given(struct handler *h, struct frame_id id)
{
    if (!h->resumes)
        h->hold.newest = h->hold.line = id;
    else if (hold_give(&h->hold, id) < 0)
        fail(h, "no memory for the frames it was given");
}

static bool stream_frame(struct handler *h, const struct frame *frame)
{
    struct feed_more more = {0};
    if (!takes_lines(h) || (h->base.def.content && !find_content(h, frame, &more)))
        return false;
    if (!handler_hop(h, frame))
        return true;
    more.attempt = attempt_at(h, frame->id);
    if (feed_line(&h->lines.bytes, frame, &more) < 0)
        fail(h, "no memory for a frame's line");
    if (h->lines.has_content)
        forget_content(h);
    note_given(h, frame->id);
    line_added(h);
    return true;
}

/* A pulse that finds no room is left out; the next one comes. */
static void stream_note(struct handler *h, const char *topic, struct span meta)
{
    struct frame frame = {
        .topic = span_str(topic), .meta = meta, .ttl = {.kind = TTL_EPHEMERAL, .value = 0}};
    bool may_be_left_out = strcmp(topic, "xs.pulse") == 0;
    if (!h->pump || h->lines.deaf || h->fault || (may_be_left_out && !takes_lines(h)))
        return;
    frame.id = pump_synthetic_id(h->pump);
    if (feed_line(&h->lines.bytes, &frame, &(struct feed_more){0}) < 0)
        return;
    hold_give_line(&h->hold, frame.id);
    if (h->running)
        line_added(h);
}

/* --- answers ----------------------------------------------------------------------------------------- */

static void refuse_ack(struct handler *h, const struct err *why)
{
    handler_error(h, &(struct failure){.error = span_str(why->text)}, NULL);
}

/* What is due and the mark's move are one record. */
static void take_ack(struct handler *h, struct frame_id id)
{
    struct frame_id upto;
    struct err err = ERR_INIT;
    struct printed *due;
    size_t count;
    if (hold_ack(&h->hold, id, &upto, &err) < 0) {
        refuse_ack(h, &err);
        return;
    }
    if (hold_due(&h->hold, upto, &due, &count) < 0) {
        fail(h, "no memory for what it printed");
        return;
    }
    if (count > 0 || id_cmp(upto, h->hold.low) > 0)
        handler_print(h, due, count, NULL, &upto);
    if (id_cmp(upto, h->hold.low) > 0)
        h->deaths = 0;
    hold_settle(&h->hold, upto);
    handler_stir(h);
}

static int stream_printed(struct handler *h, const struct printed *printed)
{
    if (!h->resumes) {
        struct frame_id cause = h->hold.newest;
        if (printed->has_frame)
            handler_print(h, printed, 1, id_is_zero(cause) ? NULL : &cause, NULL);
        return 0;
    }
    if (printed->has_frame) {
        int rc = hold_add(&h->hold, printed);
        if (rc < 0) {
            fail(h, rc == ERR_TOO_LARGE ? "held output over 1 MiB without an ack"
                                        : "no memory for what it printed");
            return 0;
        }
    }
    if (printed->has_ack)
        take_ack(h, printed->ack);
    return 0;
}

/* --- the process' life ------------------------------------------------------------------------------- */

static void stream_started(struct handler *h, const char *notes)
{
    if (!h->ran) {
        h->ran = true;
        instance_active(&h->base, notes);
    }
    write_lines(h);
    if (h->pump)
        pump_resume(h->pump);
}

static void run(struct handler *h)
{
    struct err err = ERR_INIT;
    int rc = handler_spawn(h, 0, NULL, &err);
    if (rc == 0)
        return;
    if (h->ran)
        handler_wait(h, BACKOFF_MS);
    else
        handler_end(h, INSTANCE_INVALID, &(struct failure){.error = span_str(err.text)});
}

/* What was on its way to the last process. */
static void forget_lines(struct handler *h)
{
    uv_prepare_stop(&h->flush);
    buf_reset(&h->lines.bytes);
    h->lines.sent = 0;
    h->lines.deaf = false;
    hold_reset(&h->hold);
}

/* The frame to be blamed for the end, and how often it was in a row. */
static void count_death(struct handler *h)
{
    struct frame_id blamed = h->hold.newest;
    if (h->resumes)
        blamed = hold_open(&h->hold) ? hold_oldest(&h->hold) : ID_MIN;
    h->deaths = id_cmp(blamed, h->suspect) == 0 ? h->deaths + 1 : 1;
    h->suspect = blamed;
}

static uint64_t next_backoff(struct handler *h)
{
    const struct definition *def = &h->base.def;
    uint64_t ran_ms = uv_now(h->base.site->daemon->loop) - h->started_ms;
    bool retries = def->on_error == ERROR_RETRY;
    if (h->deaths == 1 && (h->backoff_ms == 0 || ran_ms >= WELL_MS || h->resumes || retries))
        h->backoff_ms = retries ? def->retry_backoff_ms : BACKOFF_MS;
    uint64_t now = h->backoff_ms;
    h->backoff_ms = now * 2 < BACKOFF_MAX_MS ? now * 2 : now < BACKOFF_MAX_MS ? BACKOFF_MAX_MS : now;
    return now;
}

/* The frame is passed over: the mark moves in the record of the error frame. */
static void skip(struct handler *h, struct failure *failure)
{
    bool at_frame = !id_is_zero(h->suspect);
    if (h->resumes && at_frame) {
        handler_error(h, failure, &h->suspect);
        hold_settle(&h->hold, h->suspect);
    } else {
        handler_error(h, failure, NULL);
    }
    h->lines.again = false;
}

static bool is_last_try(const struct handler *h)
{
    const struct definition *def = &h->base.def;
    if (def->on_error == ERROR_RETRY)
        return h->deaths > def->retry_times;
    return !h->resumes || h->deaths >= FRAME_TRIES;
}

static void stream_again(struct handler *h)
{
    struct frame_id from = h->hold.low;
    if (h->lines.again && !h->resumes)
        from = id_pred(h->suspect);
    if ((h->resumes || h->lines.again) && !handler_read_from(h, from))
        return;
    run(h);
}

/* The log is read again before the next start. Until then nothing is open, and the mark must not follow a reader that is ahead of it. */
static void stop_reading(struct handler *h)
{
    if (!h->resumes && !h->lines.again)
        return;
    pump_destroy(h->pump);
    h->pump = NULL;
}

static void start_again(struct handler *h, const struct failure *failure)
{
    struct failure told = *failure;
    bool at_frame = !id_is_zero(h->suspect);
    told.has_frame = at_frame;
    told.frame = h->suspect;
    if (at_frame)
        told.attempt = h->deaths;
    told.next_ms = next_backoff(h);
    h->lines.again = at_frame;
    if (is_last_try(h) || !at_frame)
        skip(h, &told);
    else
        instance_retrying(&h->base, &told);
    forget_lines(h);
    stop_reading(h);
    handler_wait(h, told.next_ms);
}

static void stream_ended(struct handler *h, const struct failure *failure, int code)
{
    struct failure told = failure ? *failure : (struct failure){0};
    if (!failure) {
        handler_end(h, INSTANCE_FIN_OK, NULL);
        return;
    }
    if (code < 0 && !h->ran) {
        handler_end(h, INSTANCE_INVALID, &told);
        return;
    }
    count_death(h);
    if (h->base.def.on_error == ERROR_STOP) {
        told.has_frame = !id_is_zero(h->suspect);
        told.frame = h->suspect;
        handler_end(h, INSTANCE_FIN_ERROR, &told);
        return;
    }
    start_again(h, &told);
}

const struct handler_way handler_stream = {
    .begin = run,
    .frame = stream_frame,
    .note = stream_note,
    .again = stream_again,
    .printed = stream_printed,
    .started = stream_started,
    .room = stream_room,
    .deaf = stream_deaf,
    .ended = stream_ended,
};
