/*
 * POST /append/TOPIC and the seed's POST /TOPIC: one frame, its content the body.
 */
#include <errno.h>

#include "base/frame_json.h"
#include "base/s2/names.h"
#include "base/text.h"
#include "daemon/exchange.h"
#include "daemon/meta.h"
#include "daemon/recall.h"
#include "daemon/run/words.h"
#include "daemon/upload.h"

#define URGENT_META_MAX 4096
#define KEYS (QUERY_TIMESTAMP | QUERY_SEQ | QUERY_CONDITIONS)

struct append {
    struct exchange x;
    struct buf topic, meta;
    struct upload upload;
    struct submission submission;
    struct store_frame frame;
    struct recall recall;
    bool pinned; /* the content's blob, by us */
};

static struct append *append_of(struct exchange *x)
{
    return (struct append *)x;
}

/* --- the answer
 * ------------------------------------------------------------------------------------ */

static void answer(struct append *a)
{
    static const struct http_field repeat[] = {{"weir-repeat", "1"}, {NULL, NULL}};
    const struct store_frame *in = &a->frame;
    struct frame frame = {.id = in->id,
                          .topic = in->topic,
                          .meta = in->meta,
                          .ttl = in->ttl,
                          .has_hash = in->has_hash,
                          .has_seq = in->has_seq,
                          .seq = in->seq};
    CLEAN_BUF body = BUF_INIT;
    unsigned flags = (a->x.query.with_timestamp ? FRAME_JSON_TIMESTAMP : 0) |
                     (a->x.query.with_seq ? FRAME_JSON_SEQ : 0);
    memcpy(frame.digest, in->digest, DIGEST_SIZE);
    if (frame_json(&body, &frame, flags) < 0)
        exchange_fail(&a->x, ERR_UNKNOWN, NULL, NULL);
    else
        exchange_reply(&a->x, 200, "application/json", buf_span(&body),
                       a->submission.op.repeated ? repeat : NULL);
}

/* A pin is kept until what names the blob is in the index; without a record nothing names it. */
static void pass_pin_on(struct append *a)
{
    const struct store_op *op = &a->submission.op;
    if (!a->pinned)
        return;
    a->pinned = false;
    if (op->number > 0)
        held_keep(&a->x.site->held, op->number, a->frame.digest);
    else
        cas_unpin(a->x.site->cas, a->frame.digest);
}

static void recalled(struct recall *recall)
{
    struct append *a = (struct append *)((char *)recall - offsetof(struct append, recall));
    answer(a);
    exchange_drop(&a->x);
}

static void submitted(struct submission *submission)
{
    struct append *a = (struct append *)((char *)submission - offsetof(struct append, submission));
    pass_pin_on(a);
    if (submission->op.result == 0 && submission->op.repeated && a->x.query.with_seq) {
        a->recall = (struct recall){
            .store = a->x.site->store, .frames = &a->frame, .count = 1, .done = recalled};
        recall_start(&a->recall, a->x.daemon->loop);
        return;
    }
    if (submission->op.result < 0)
        exchange_refuse(&a->x, &submission->op);
    else
        answer(a);
    exchange_drop(&a->x);
}

/* --- the content
 * ------------------------------------------------------------------------------------ */

static void set_content(struct append *a)
{
    struct upload *u = &a->upload;
    struct store_frame *frame = &a->frame;
    frame->has_hash = u->size > 0;
    frame->content_size = u->size;
    frame->has_content = frame->has_hash && !u->blob;
    frame->content = frame->has_content ? buf_span(&u->bytes) : (struct span){0};
    memcpy(frame->digest, u->digest, DIGEST_SIZE);
    a->pinned = u->blob;
    u->blob = false;
}

static void content_ready(struct upload *upload)
{
    struct append *a = upload->owner;
    if (upload->result < 0) {
        exchange_fail(&a->x, upload->result, &upload->err, NULL);
        return;
    }
    set_content(a);
    struct store_op *op = &a->submission.op;
    op->kind = STORE_APPEND;
    op->frames = &a->frame;
    op->count = 1;
    a->submission.after = submitted;
    exchange_hold(&a->x);
    submit_op(&a->x.site->source, &a->submission);
}

static void content_room(struct upload *upload)
{
    struct append *a = upload->owner;
    if (a->x.req)
        http_resume_body(a->x.req);
}

static void content_released(struct upload *upload)
{
    struct append *a = upload->owner;
    exchange_drop(&a->x);
}

static size_t body(struct exchange *x, struct span bytes)
{
    return upload_take(&append_of(x)->upload, bytes);
}

static void end(struct exchange *x)
{
    upload_end(&append_of(x)->upload);
}

static void gone(struct exchange *x)
{
    struct append *a = append_of(x);
    exchange_hold(x);
    if (upload_cancel(&a->upload))
        exchange_drop(x);
}

static void finish(struct exchange *x)
{
    struct append *a = append_of(x);
    buf_finish(&a->topic);
    buf_finish(&a->meta);
    upload_finish(&a->upload);
}

/* --- the head
 * --------------------------------------------------------------------------------------- */

static int take_meta(struct append *a, struct err *err)
{
    struct span header = http_header(a->x.req, "xs-meta");
    int rc = header.ptr ? meta_parse(&a->meta, header, err) : 0;
    a->frame.meta = buf_span(&a->meta);
    return rc;
}

/* Only the root store's log says which stores there are; in another one's they would be asked for in vain. */
static int check_store(const struct site *site, struct span topic, struct err *err)
{
    static const char prefix[] = "xs.store.";
    const size_t len = sizeof(prefix) - 1;
    if (!site->name[0] || topic.len < len || memcmp(topic.ptr, prefix, len) != 0)
        return 0;
    return err_set(err, ERR_FORBIDDEN, "stores are asked for in the root store: %s", site->daemon->root->path);
}

/* On a full disk a program that fills it can still be ended. */
static bool ends_program(const struct append *a)
{
    struct words words;
    return a->submission.op.authority == AUTHORITY_EXEC && a->meta.len < URGENT_META_MAX &&
           words_parse(&words, a->frame.topic) && words.event == EVENT_TERM;
}

static int begin_with(struct append *a, uint64_t keys, struct err *err)
{
    struct exchange *x = &a->x;
    a->upload = (struct upload){.loop = x->daemon->loop,
                                .cas = x->site->cas,
                                .ready = content_ready,
                                .room = content_room,
                                .released = content_released,
                                .owner = a};
    int rc = exchange_operand(x, &a->topic, err);
    a->frame.topic = buf_span(&a->topic);
    if (rc == 0)
        rc = exchange_query(x, keys, err);
    if (rc == 0)
        rc = x->query.lines ? s2_stream_name(a->frame.topic, err) : topic_check(a->frame.topic, err);
    if (rc == 0)
        rc = exchange_check_append(x, exchange_authority(x), a->frame.topic, err);
    if (rc == 0)
        rc = check_store(x->site, a->frame.topic, err);
    if (rc == 0)
        rc = exchange_query(x, keys, err);
    if (rc == 0)
        rc = exchange_origin(x, &a->frame.origin, err);
    if (rc == 0)
        rc = take_meta(a, err);
    if (rc < 0)
        return rc;
    a->frame.ttl = x->query.given & (QUERY_TTL | QUERY_TTL_OLD) ? x->query.ttl
                                                                : (struct ttl){.kind = TTL_FOREVER};
    exchange_conditions(x, &a->submission.op);
    a->submission.op.urgent = ends_program(a);
    return 0;
}

static int begin(struct exchange *x, struct err *err)
{
    return begin_with(append_of(x), KEYS | QUERY_TTL | QUERY_STREAM_FLAG, err);
}

static int begin_seed(struct exchange *x, struct err *err)
{
    return begin_with(append_of(x), KEYS | QUERY_TTL_OLD, err);
}

const struct route route_append = {.size = sizeof(struct append),
                                   .op = AUTH_APPEND,
                                   .begin = begin,
                                   .body = body,
                                   .end = end,
                                   .gone = gone,
                                   .finish = finish};

const struct route route_seed_append = {.size = sizeof(struct append),
                                        .op = AUTH_APPEND,
                                        .begin = begin_seed,
                                        .body = body,
                                        .end = end,
                                        .gone = gone,
                                        .finish = finish};
