#include "daemon/serve/visit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/reply.h"
#include "daemon/serve/request.h"
#include "daemon/serve/spent.h"

/* --- table and list -------------------------------------------------------------------------------- */

static struct visit **bucket_of(struct serve *serve, struct frame_id id)
{
    return &serve->buckets[(id.lo ^ id.lo >> 32) & serve->bucket_mask];
}

struct visit *visit_find(struct serve *serve, struct frame_id id)
{
    struct visit *visit = *bucket_of(serve, id);
    while (visit && id_cmp(visit->id, id) != 0)
        visit = visit->chain;
    return visit;
}

static void enter_table(struct visit *visit)
{
    struct visit **bucket = bucket_of(visit->serve, visit->id);
    visit->chain = *bucket;
    *bucket = visit;
    visit->in_table = true;
}

static void leave_table(struct visit *visit)
{
    struct visit **at = bucket_of(visit->serve, visit->id);
    if (!visit->in_table)
        return;
    while (*at != visit)
        at = &(*at)->chain;
    *at = visit->chain;
    visit->in_table = false;
}

/* The store keeps ephemeral frames from the oldest one's on. */
static void keep_frames(struct serve *serve)
{
    const struct visit *oldest = serve->waiting.first;
    if (oldest && serve->keeping && id_cmp(serve->kept.from, oldest->floor) == 0)
        return;
    if (oldest)
        store_hold(serve->site->store, &serve->kept, oldest->floor);
    else
        store_unhold(serve->site->store, &serve->kept);
    serve->keeping = oldest != NULL;
}

static void on_clock(uv_timer_t *clock);

static void set_clock(struct serve *serve)
{
    const struct visit *oldest = serve->waiting.first;
    uint64_t now = uv_now(serve->site->daemon->loop);
    if (!oldest || uv_is_active((uv_handle_t *)&serve->clock))
        return; /* it runs out early for one that is gone, and is then set anew */
    uv_timer_start(&serve->clock, on_clock, oldest->deadline_ms > now ? oldest->deadline_ms - now : 0,
                   0);
}

static void on_clock(uv_timer_t *clock)
{
    struct serve *serve = clock->data;
    uint64_t now = uv_now(serve->site->daemon->loop);
    while (serve->waiting.first && serve->waiting.first->deadline_ms <= now)
        visit_fail(serve->waiting.first, 504, "timeout", "nobody answered in time");
    set_clock(serve);
}

static void enlist(struct visit *visit)
{
    struct serve *serve = visit->serve;
    visit->floor = pump_position(serve->responses);
    visit->deadline_ms = uv_now(serve->site->daemon->loop) + serve->timeout_ms;
    visit->prev = serve->waiting.last;
    *(serve->waiting.last ? &serve->waiting.last->next : &serve->waiting.first) = visit;
    serve->waiting.last = visit;
    visit->listed = true;
    keep_frames(serve);
    set_clock(serve);
}

void visit_unlist(struct visit *visit)
{
    struct visit_list *list = &visit->serve->waiting;
    if (!visit->listed)
        return;
    *(visit->prev ? &visit->prev->next : &list->first) = visit->next;
    *(visit->next ? &visit->next->prev : &list->last) = visit->prev;
    visit->prev = visit->next = NULL;
    visit->listed = false;
    keep_frames(visit->serve);
}

/* --- the end of one -------------------------------------------------------------------------------- */

/* An ephemeral frame's blob has served. */
static void forget_body(struct visit *visit)
{
    struct site *site = visit->serve->site;
    if (!visit->pinned)
        return;
    cas_unpin(site->cas, visit->frame.digest);
    spent_remove(visit->serve, visit->frame.digest, visit->id);
}

void visit_drop(struct visit *visit)
{
    if (--visit->holds > 0)
        return;
    struct serve *serve = visit->serve;
    response_finish(visit);
    forget_body(visit);
    buf_finish(&visit->meta);
    upload_finish(&visit->upload);
    free(visit);
    serve_drop(serve);
}

/* The program that has the request need not go on with it. */
static void tell_disconnect(const struct visit *visit)
{
    char meta[64], id[ID_TEXT_LEN + 1];
    id_format(id, visit->id);
    int len = snprintf(meta, sizeof(meta), "{\"request_id\":\"%s\"}", id);
    const struct emit_frame frame = {.topic = span_str("http.disconnect"),
                                     .meta = span_of(meta, (size_t)len),
                                     .ttl = {.kind = TTL_EPHEMERAL}};
    if (!visit->serve->destroyed)
        emit_put(visit->serve->emit, &frame, 1, NULL, NULL, NULL); /* without memory nobody is told */
}

static void leave(struct visit *visit)
{
    visit_unlist(visit);
    leave_table(visit);
}

/* Answers by ourselves. A program that has the frame is told when the request is over. */
void visit_fail(struct visit *visit, int status, const char *name, const char *text)
{
    CLEAN_BUF body = BUF_INIT;
    const struct http_field fields[] = {{"Retry-After", status == 503 ? "1" : NULL}, {NULL, NULL}};
    leave(visit);
    visit->ended = true;
    if (!visit->req || visit->answered)
        return;
    visit->answered = true;
    int rc = buf_addf(&body, "{\"error\":\"%s\",\"message\":", name);
    if (rc == 0)
        rc = json_put_string(&body, span_str(text));
    if (rc == 0)
        rc = buf_add_str(&body, "}\n");
    if (rc < 0)
        buf_reset(&body);
    http_reply(visit->req, status, "application/json", buf_span(&body),
               fields + (status == 503 ? 0 : 1));
}

static void fail_with(struct visit *visit, int code, const struct err *err)
{
    visit_fail(visit, reply_status(code), reply_code_name(code),
               err->text[0] ? err->text : err_code_text(code));
}

static void gone(struct caller *caller, bool complete)
{
    struct visit *visit = (struct visit *)caller;
    bool answered_well = complete && visit->claimed && visit->ended;
    visit->req = NULL;
    if (--visit->serve->open == 0 && visit->serve->streaming) {
        store_unhold(visit->serve->site->store, &visit->serve->unread);
        visit->serve->streaming = false;
    }
    leave(visit);
    if (visit->known && !answered_well)
        tell_disconnect(visit);
    response_stop(visit);
    if (upload_cancel(&visit->upload)) /* else content_released lets go */
        visit_drop(visit);
}

void visit_end_all(struct serve *serve)
{
    while (serve->waiting.first)
        visit_fail(serve->waiting.first, 503, "unavailable", "the daemon is stopping");
    for (size_t i = 0; i <= serve->bucket_mask; i++)
        for (struct visit *visit = serve->buckets[i]; visit; visit = visit->chain)
            if (visit->req)
                http_abort(visit->req);
}

/* --- the frame ------------------------------------------------------------------------------------- */

/* A pin is kept until what names the blob is in the index; where nothing will, until the visit ends. */
static void pass_pin_on(struct visit *visit)
{
    const struct store_op *op = &visit->submission.op;
    bool stored = op->result == 0 && visit->serve->durable;
    if (!visit->pinned || !stored)
        return;
    visit->pinned = false;
    held_keep(&visit->serve->site->held, op->number, visit->frame.digest);
}

static void submitted(struct submission *submission)
{
    struct visit *visit =
        (struct visit *)((char *)submission - offsetof(struct visit, submission));
    const struct store_op *op = &submission->op;
    pass_pin_on(visit);
    if (op->result < 0) {
        fail_with(visit, op->result, &op->err);
    } else {
        visit->known = true;
        visit->id = visit->floor = visit->frame.id;
        if (!visit->req) {
            tell_disconnect(visit);
        } else if (!visit->answered) {
            enter_table(visit);
            if (visit->serve->waiting.first == visit)
                keep_frames(visit->serve);
        }
    }
    visit_drop(visit);
}

static void submit(struct visit *visit)
{
    struct upload *u = &visit->upload;
    struct store_frame *frame = &visit->frame;
    frame->topic = span_str("http.request");
    frame->meta = buf_span(&visit->meta);
    frame->ttl.kind = visit->serve->durable ? TTL_FOREVER : TTL_EPHEMERAL;
    frame->has_hash = u->size > 0;
    frame->content_size = u->size;
    frame->has_content = frame->has_hash && !u->blob;
    frame->content = frame->has_content ? buf_span(&u->bytes) : (struct span){0};
    memcpy(frame->digest, u->digest, DIGEST_SIZE);
    visit->pinned = u->blob;
    u->blob = false;
    visit->submission = (struct submission){
        .op = {.kind = STORE_APPEND, .authority = AUTHORITY_NONE, .frames = frame, .count = 1},
        .after = submitted};
    visit->holds++;
    enlist(visit);
    submit_op(&visit->serve->site->source, &visit->submission);
}

/* --- the body -------------------------------------------------------------------------------------- */

static void content_ready(struct upload *upload)
{
    struct visit *visit = upload->owner;
    if (!visit->req || visit->answered)
        return;
    if (upload->result < 0)
        fail_with(visit, upload->result, &upload->err);
    else if (visit->serve->ending)
        visit_fail(visit, 503, "unavailable", "the daemon is stopping");
    else
        submit(visit);
}

static void content_room(struct upload *upload)
{
    struct visit *visit = upload->owner;
    if (visit->req)
        http_resume_body(visit->req);
}

static void content_released(struct upload *upload)
{
    visit_drop(upload->owner);
}

static void refuse_size(struct visit *visit)
{
    char text[80];
    snprintf(text, sizeof(text), "the body is over %" PRIu64 " bytes", visit->serve->body_max);
    visit_fail(visit, 413, "too_large", text);
}

static size_t body(struct caller *caller, struct span bytes)
{
    struct visit *visit = (struct visit *)caller;
    if (visit->upload.size + bytes.len <= visit->serve->body_max)
        return upload_take(&visit->upload, bytes);
    refuse_size(visit);
    return bytes.len;
}

static void end(struct caller *caller)
{
    upload_end(&((struct visit *)caller)->upload);
}

/* --- the head -------------------------------------------------------------------------------------- */

static struct visit *make_visit(struct serve *serve, struct http_req *req)
{
    struct visit *visit = calloc(1, sizeof(*visit));
    if (!visit)
        return NULL;
    visit->caller = (struct caller){.body = body, .end = end, .gone = gone};
    visit->serve = serve;
    visit->req = req;
    visit->holds = 1;
    visit->parts_end = &visit->parts;
    visit->upload = (struct upload){.loop = serve->site->daemon->loop,
                                    .cas = serve->site->cas,
                                    .ready = content_ready,
                                    .room = content_room,
                                    .released = content_released,
                                    .owner = visit};
    serve_hold(serve);
    serve->open++;
    http_set_state(req, &visit->caller);
    return visit;
}

static void refuse_busy(struct http_req *req)
{
    static const struct http_field fields[] = {{"Retry-After", "1"}, {NULL, NULL}};
    http_reply(req, 503, "application/json",
               span_str("{\"error\":\"unavailable\",\"message\":\"too many requests are open\"}\n"),
               fields);
}

void visit_begin(struct serve *serve, struct http_req *req)
{
    struct err err = ERR_INIT;
    uint64_t length = http_body_length(req);
    struct visit *visit = serve->open < serve->request_max ? make_visit(serve, req) : NULL;
    if (!visit) {
        refuse_busy(req);
        return;
    }
    int rc = request_meta(&visit->meta, req, &err);
    if (rc == ERR_TOO_LARGE)
        visit_fail(visit, 431, "too_large", err.text);
    else if (rc < 0)
        fail_with(visit, rc, &err);
    else if (length != UINT64_MAX && length > serve->body_max)
        refuse_size(visit);
}
