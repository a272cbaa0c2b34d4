/*
 * Frames `http.response` on their way to clients.
 *
 * What a client has not taken waits in its own queue. A long one holds back the program (see brake.c), and is cut when it is full. A large answer
 * is best one frame: its content then is a blob, and is read as fast as the client takes it.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/serve/response_head.h"
#include "daemon/serve/spent.h"

/* --- the queue ------------------------------------------------------------------------------------- */

static size_t weight(const struct part *part)
{
    return sizeof(*part) + part->len;
}

static void count_queued(struct visit *visit, const struct part *part, bool in)
{
    size_t bytes = weight(part);
    visit->queued = in ? visit->queued + bytes : visit->queued - bytes;
    visit->serve->queued = in ? visit->serve->queued + bytes : visit->serve->queued - bytes;
}

static struct part *take_out(struct visit *visit)
{
    struct part *part = visit->parts;
    visit->parts = part->next;
    if (!visit->parts)
        visit->parts_end = &visit->parts;
    count_queued(visit, part, false);
    return part;
}

static void free_part(struct visit *visit, struct part *part)
{
    if (part->blob)
        cas_unpin(visit->serve->site->cas, part->digest);
    if (part->ephemeral)
        spent_remove(visit->serve, part->digest, part->id);
    free(part);
}

static void pop(struct visit *visit)
{
    free_part(visit, take_out(visit));
}

/* What a frame carries, behind what waits. A blob is pinned as long as it waits. */
static int push(struct visit *visit, const struct frame *frame)
{
    bool blob = frame->has_hash && !frame->has_content;
    size_t len = frame->has_content ? frame->content.len : 0;
    if (!blob && len == 0)
        return 0;
    struct part *part = malloc(sizeof(*part) + len);
    if (!part || (blob && cas_pin(visit->serve->site->cas, frame->digest) < 0)) {
        free(part);
        return -ENOMEM;
    }
    *part = (struct part){.blob = blob, .ephemeral = spent_can_be(frame), .id = frame->id, .len = len};
    memcpy(part->digest, frame->digest, DIGEST_SIZE);
    if (len > 0)
        memcpy(part->bytes, frame->content.ptr, len);
    *visit->parts_end = part;
    visit->parts_end = &part->next;
    visit->pushed = frame->id;
    count_queued(visit, part, true);
    return 0;
}

/* --- sending --------------------------------------------------------------------------------------- */

static void blob_ready(struct blob *blob)
{
    struct visit *visit = blob->owner;
    if (visit->req)
        http_wake(visit->req);
}

static void blob_released(struct blob *blob)
{
    visit_drop(blob->owner);
}

static bool start_blob(struct visit *visit)
{
    struct site *site = visit->serve->site;
    visit->blob = (struct blob){.loop = site->daemon->loop,
                                .cas = site->cas,
                                .wake = blob_ready,
                                .released = blob_released,
                                .owner = visit};
    visit->sending_blob = blob_start(&visit->blob, visit->parts->digest) == 0;
    return visit->sending_blob;
}

/* Bytes of the blob that stands first, 0 when it is sent. */
static long send_blob(struct visit *visit, uint8_t *into, size_t room)
{
    if (!visit->sending_blob && !start_blob(visit))
        return HTTP_ABORT;
    long n = blob_read(&visit->blob, into, room);
    if (n == HTTP_ABORT)
        log_say(visit->serve->site->daemon->log, LOG_ERROR, "serve", "error=\"%s\"",
                visit->blob.err.text);
    if (n == 0) {
        visit->sending_blob = false;
        pop(visit);
    }
    return n;
}

static size_t send_bytes(struct visit *visit, uint8_t *into, size_t room)
{
    size_t n = 0;
    while (n < room && visit->parts && !visit->parts->blob) {
        struct part *part = visit->parts;
        size_t len = part->len - part->at;
        len = len < room - n ? len : room - n;
        memcpy(into + n, part->bytes + part->at, len);
        part->at += len;
        n += len;
        if (part->at == part->len)
            pop(visit);
    }
    return n;
}

static long read_parts(struct visit *visit, uint8_t *into, size_t room)
{
    while (visit->parts) {
        long n = visit->parts->blob ? send_blob(visit, into, room)
                                    : (long)send_bytes(visit, into, room);
        if (n != 0)
            return n;
    }
    return visit->ended ? 0 : HTTP_WAIT;
}

static long read_answer(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct visit *visit = http_state(req);
    (void)arg;
    long n = read_parts(visit, into, room);
    brake_look(visit);
    return n;
}

void response_stop(struct visit *visit)
{
    brake_release(visit);
    if (visit->sending_blob) {
        visit->left = take_out(visit);
        visit->holds++;
        visit->sending_blob = false;
        if (blob_stop(&visit->blob))
            visit_drop(visit);
    }
    while (visit->parts)
        pop(visit);
}

void response_finish(struct visit *visit)
{
    if (visit->left)
        free_part(visit, visit->left);
    visit->left = NULL;
    free(visit->program);
}

/* --- frames ---------------------------------------------------------------------------------------- */

static void say(const struct visit *visit, const char *what, const struct frame *frame)
{
    char request[ID_TEXT_LEN + 1], response[ID_TEXT_LEN + 1];
    id_format(request, visit->id);
    id_format(response, frame->id);
    log_say(visit->serve->site->daemon->log, LOG_WARN, "serve", "%s=%s request=%s", what, response,
            request);
}

void response_cut(struct visit *visit, const char *why)
{
    char id[ID_TEXT_LEN + 1];
    id_format(id, visit->id);
    log_say(visit->serve->site->daemon->log, LOG_WARN, "serve", "cut=%s reason=\"%s\"", id, why);
    http_abort(visit->req);
}

static void begin_stream(struct visit *visit, const struct response_head *head, uint64_t size,
                         const struct frame *frame)
{
    if (push(visit, frame) < 0)
        response_cut(visit, "out of memory");
    else
        http_reply_stream(visit->req, (int)head->status, NULL, size, read_answer, head->fields);
}

static bool takes_no_body(unsigned status)
{
    return status == 204 || status == 205 || status == 304;
}

static void begin_answer(struct visit *visit, const struct response_head *head, bool more,
                         const struct frame *frame)
{
    bool blob = frame->has_hash && !frame->has_content;
    bool bare = takes_no_body(head->status);
    visit->answered = true;
    visit->ended = !more;
    if (bare)
        http_reply(visit->req, (int)head->status, NULL, (struct span){0}, head->fields);
    else if (more)
        begin_stream(visit, head, UINT64_MAX, frame);
    else if (blob)
        begin_stream(visit, head, frame->content_size, frame);
    else
        http_reply(visit->req, (int)head->status, NULL, frame->has_content ? frame->content : (struct span){0},
                   head->fields);
}

static void take_first(struct visit *visit, const struct response_tag *tag, const struct frame *frame)
{
    struct err err = ERR_INIT;
    struct response_head head;
    int rc = response_head_parse(&head, frame->meta, &err);
    if (rc < 0) {
        say(visit, "refused", frame);
        log_say(visit->serve->site->daemon->log, LOG_WARN, "serve", "error=\"%s\"", err.text);
        visit_fail(visit, 502, "bad_response", rc == ERR_INVALID ? err.text : "out of memory");
        return;
    }
    visit->claimed = true;
    visit->claim = tag->claim;
    visit_unlist(visit);
    if (tag->more)
        brake_claim(visit, frame);
    begin_answer(visit, &head, tag->more, frame);
    response_head_finish(&head);
}

static void take_next(struct visit *visit, const struct response_tag *tag, const struct frame *frame)
{
    int rc = push(visit, frame);
    visit->ended = !tag->more;
    if (rc < 0)
        response_cut(visit, "out of memory");
    else if (visit->queued > VISIT_QUEUE_MAX || visit->serve->queued > VISIT_QUEUES_MAX)
        response_cut(visit, "the client does not take its answer");
    else
        http_wake(visit->req);
    brake_look(visit);
}

static void take(struct visit *visit, const struct response_tag *tag, const struct frame *frame)
{
    if (!visit->claimed)
        take_first(visit, tag, frame);
    else if (visit->claim != tag->claim)
        say(visit, "ignored", frame);
    else if (visit->ended)
        say(visit, "late", frame);
    else
        take_next(visit, tag, frame);
}

bool response_frame(void *arg, const struct frame *frame)
{
    struct serve *serve = arg;
    struct response_tag tag;
    serve->seen = frame->id;
    if (!response_tag(&tag, frame))
        return true;
    if (serve->streaming || (tag.more && serve->open > 0)) {
        store_hold(serve->site->store, &serve->unread, frame->id);
        serve->streaming = true;
    }
    struct visit *visit = visit_find(serve, tag.request);
    if (visit && !visit->req)
        visit = NULL; /* late: the request is over */
    if (visit)
        take(visit, &tag, frame);
    if (spent_can_be(frame) && !(visit && id_cmp(visit->pushed, frame->id) == 0))
        spent_remove(serve, frame->digest, frame->id);
    return true;
}
