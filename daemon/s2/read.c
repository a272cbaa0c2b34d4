/*
 * GET /v1/streams/{stream}/records: the request, and what its three forms share.
 */
#include "daemon/s2/read.h"

#include <errno.h>
#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/text.h"

#define PACK_FROM 1024              /* longer unary answers are compressed */
#define FIRST_BYTES (288 * 1024)   /* what most batches of the pool come to */
#define SESSION_BYTES (256 * 1024) /* metered, of a session's batch: what a reader that stalls keeps in memory */

static struct s2_read *read_of(struct s2_request *s)
{
    return (struct s2_read *)s;
}

/* --- one fill ------------------------------------------------------------------------------------------------ */

/* The batch is whole. A reader at the tail is told it: everything up to there was looked at. */
static int end_piece(struct s2_read *r)
{
    struct read_batch *batch = &r->next->batch;
    struct s2_position tail = r->tail;
    if (batch->count > 0 && batch->last.seq_num >= tail.seq_num)
        tail = (struct s2_position){batch->last.seq_num + 1, batch->last.timestamp};
    r->next->told_tail = r->live && r->step != READ_CUT && batch->count > 0;
    r->next->cut = r->step == READ_CUT;
    r->next->end = r->src.next;
    if (batch->count == 0 && r->how != READ_UNARY)
        return 0;
    int rc = read_batch_end(batch, r->next->told_tail ? &tail : NULL, false);
    buf_trim(&batch->bytes);
    return rc;
}

static void fill(struct s2_read *r, bool may_block)
{
    r->result = 0;
    if (!r->next)
        r->next = read_piece_create(r->form, r->coding);
    if (!r->next)
        r->result = err_set(&r->err, -ENOMEM, "no memory for a batch");
    if (r->result == 0 && !r->sought)
        r->result = read_source_seek(&r->src, &r->plan, &r->err);
    r->sought = true;
    if (r->result == 0 && may_block && r->next->batch.bytes.cap == 0)
        buf_reserve(&r->next->batch.bytes, FIRST_BYTES); /* or else it grows */
    if (r->result == 0)
        r->result = read_source_fill(&r->src, &r->next->batch, may_block, &r->step, &r->err);
    if (r->result == 0 && r->step != READ_DISK && r->step != READ_AGAIN && end_piece(r) < 0)
        r->result = err_set(&r->err, -ENOMEM, "no memory for a batch, or it is too long for a frame");
}

void read_fill_now(struct s2_read *r)
{
    fill(r, false);
}

static struct s2_read *read_of_job(struct job *job)
{
    return (struct s2_read *)((char *)job - offsetof(struct s2_read, job));
}

/* A whole answer is long work to compress. What cannot be packed goes as it is. */
static void pack(struct s2_read *r)
{
    CLEAN_BUF packed = BUF_INIT;
    struct buf *body = &r->next->batch.bytes;
    if (r->coding == CODING_NONE || body->len <= PACK_FROM || coding_pack(&packed, r->coding, buf_span(body)) < 0)
        return;
    struct buf plain = *body;
    *body = packed;
    packed = plain;
    r->packed = true;
}

static void work(struct job *job)
{
    struct s2_read *r = read_of_job(job);
    fill(r, true);
    if (r->how == READ_UNARY && r->result == 0)
        pack(r);
}

static void after(struct job *job)
{
    struct s2_read *r = read_of_job(job);
    r->busy = false;
    r->filled(r);
    exchange_drop(&r->s.x);
}

void read_fill_later(struct s2_read *r, void (*filled)(struct s2_read *r))
{
    r->busy = true;
    r->filled = filled;
    exchange_hold(&r->s.x);
    r->job = (struct job){.work = work, .after = after};
    exchange_job(&r->s.x, &r->job);
}

enum s2_code read_failure(const struct s2_read *r, const char **message)
{
    if (r->deleted || r->result == ERR_NOT_FOUND) {
        *message = "the stream was deleted";
        return S2_UNAVAILABLE;
    }
    log_say(r->s.x.daemon->log, r->result == ERR_FORBIDDEN ? LOG_WARN : LOG_ERROR, "s2", "read=failed error=\"%s\"", r->err.text);
    *message = r->err.text;
    return r->result == ERR_FORBIDDEN ? S2_DECRYPTION_FAILED : r->result == -ENOMEM ? S2_OTHER : S2_STORAGE;
}

/* --- following ----------------------------------------------------------------------------------------------- */

int read_follow(struct s2_read *r, void (*wake)(struct follower *follower))
{
    r->follower.wake = wake;
    return feed_add(r->s.x.site->feed, &r->follower, NULL, buf_span(&r->s.stream));
}

void read_timer(struct s2_read *r)
{
    if (r->has_timer)
        return;
    uv_timer_init(r->s.x.daemon->loop, &r->timer);
    r->timer.data = r;
    r->has_timer = true;
    exchange_hold(&r->s.x);
}

static void timer_closed(uv_handle_t *handle)
{
    struct s2_read *r = handle->data;
    exchange_drop(&r->s.x);
}

struct glance {
    struct submission submission;
    struct store_topic_op topic;
    struct s2_read *r;
    void (*looked)(struct s2_read *r);
};

static void note_glance(struct s2_read *r, const struct store_op *op)
{
    const struct store_topic *topic = &op->topic->view;
    r->deleted |= op->result == ERR_NOT_FOUND || (op->result == 0 && topic->no != r->topic_no);
    if (op->result == 0 && !r->deleted && topic->next_seq >= r->tail.seq_num)
        r->tail = (struct s2_position){topic->next_seq, topic->last_stamp};
}

static void glanced(struct submission *submission)
{
    struct glance *glance = (struct glance *)((char *)submission - offsetof(struct glance, submission));
    struct s2_read *r = glance->r;
    r->looking = false;
    note_glance(r, &submission->op);
    if (r->s.x.req)
        glance->looked(r);
    free(glance);
    exchange_drop(&r->s.x);
}

void read_look(struct s2_read *r, void (*looked)(struct s2_read *r))
{
    struct glance *glance = calloc(1, sizeof(*glance));
    if (!glance) {
        looked(r); /* what is known has to do */
        return;
    }
    glance->r = r;
    glance->looked = looked;
    glance->topic.deed = TOPIC_LOOK;
    glance->topic.name = buf_span(&r->s.stream);
    glance->submission.op.kind = STORE_TOPIC;
    glance->submission.op.topic = &glance->topic;
    glance->submission.after = glanced;
    r->looking = true;
    exchange_hold(&r->s.x);
    submit_op(&r->s.x.site->source, &glance->submission);
}

void read_handed_out(struct s2_read *r, const struct read_batch *batch)
{
    uint64_t minute = time_mono_us() / 60000000 + 1;
    if (r->minute != minute)
        s2_count_op(&r->s, AUTH_READ);
    r->minute = minute;
    if (batch->count == 0)
        return;
    s2_count_read(&r->s, batch->count, batch->metered);
    r->reached = batch->last.seq_num + 1;
    if (r->reached > r->tail.seq_num)
        r->tail = (struct s2_position){r->reached, batch->last.timestamp};
}

/* --- the request --------------------------------------------------------------------------------------------- */

static void deleted(struct s2_watch *watch)
{
    struct s2_read *r = (struct s2_read *)((char *)watch - offsetof(struct s2_read, watch));
    r->watched = false;
    if (feed_ending(r->s.x.site->feed))
        return; /* the store is closed, and all who wait are told of that */
    r->deleted = true;
    if (r->how == READ_UNARY)
        read_unary_deleted(r);
    else
        read_session_deleted(r);
}

static void first_fill(struct s2_read *r)
{
    if (!exchange_open(&r->s.x))
        return;
    bool none = r->result == 0 && r->step == READ_LAST && r->next->batch.count == 0;
    if (none && r->plan.begin == READ_FROM_STAMP && !r->plan.follow)
        s2_out_of_range(&r->s, &r->tail);
    else if (r->how == READ_UNARY)
        read_unary_filled(r);
    else
        read_session_filled(r);
}

static void set_source(struct s2_read *r, const struct store_topic *topic)
{
    struct site *site = r->s.x.site;
    bool unary = r->how == READ_UNARY;
    r->topic_no = topic->no;
    r->src.store = site->store;
    r->src.cas = site->cas;
    r->src.topic = (struct store_topic){.name = buf_span(&r->s.stream), .no = topic->no, .created_ms = topic->created_ms};
    r->src.caps = (struct read_caps){S2_RECORDS_MAX, unary ? S2_METERED_MAX : SESSION_BYTES};
    r->src.limits = r->plan.limits;
}

/* 0: go on. The stream's cipher, and the key the request has for it. */
static int set_key(struct s2_read *r, const struct store_topic *topic)
{
    struct s2_stream_note note;
    struct err err = ERR_INIT;
    if (s2_stream_note_read(&note, topic->note, &err) < 0) {
        s2_fail(&r->s, S2_STORAGE, "%s", err.text);
        return -1;
    }
    int rc = s2_key(&r->s, note.cipher, r->src.key);
    r->src.sealed = rc == 1;
    return rc < 0 ? -1 : 0;
}

static void start(struct s2_read *r, const struct store_topic *topic)
{
    switch (r->plan.begin) {
    case READ_NOTHING:
        (r->how == READ_UNARY ? read_unary_nothing : read_session_nothing)(r);
        return;
    case READ_OUT_OF_RANGE:
        s2_out_of_range(&r->s, &r->tail);
        return;
    default:
        break;
    }
    set_source(r, topic);
    r->watched = true;
    s2_watch(&r->watch, r->s.x.site, topic->no, deleted);
    read_fill_later(r, first_fill);
}

static void looked(struct s2_request *s, const struct store_topic *topic)
{
    struct s2_read *r = read_of(s);
    r->tail = (struct s2_position){topic->next_seq, topic->last_stamp};
    r->plan = read_resolve(&r->asked, &r->tail, r->how == READ_UNARY);
    r->goal = r->tail.seq_num;
    r->reached = r->plan.begin == READ_FROM_SEQ ? r->plan.from : 0;
    if (set_key(r, topic) == 0)
        start(r, topic);
}

/* --- what is asked for --------------------------------------------------------------------------------------- */

/* 1 when it is there, 0 when not, -1 when an answer was given. */
static int take_number(struct s2_read *r, const char *name, bool *has, uint64_t *value)
{
    int rc = s2_query_u64(&r->s, name, value);
    if (has)
        *has = rc > 0;
    return rc < 0 ? -1 : 0;
}

static int take_query(struct s2_read *r)
{
    struct read_asked *a = &r->asked;
    if (take_number(r, "seq_num", &a->has_seq, &a->seq) < 0 || take_number(r, "timestamp", &a->has_stamp, &a->stamp) < 0 ||
        take_number(r, "tail_offset", &a->has_offset, &a->offset) < 0 || take_number(r, "count", &a->has_count, &a->count) < 0 ||
        take_number(r, "bytes", &a->has_bytes, &a->bytes) < 0 || take_number(r, "until", &a->has_until, &a->until) < 0 ||
        take_number(r, "wait", &a->has_wait, &a->wait_s) < 0)
        return -1;
    return s2_query_flag(&r->s, "clamp", &a->clamp) < 0 ? -1 : 0;
}

/* The answer's form. -1: answered. */
static int take_form(struct s2_read *r)
{
    enum s2_format format = S2_RAW;
    r->how = r->s.content == S2_TYPE_SESSION ? READ_SESSION : r->s.accept == S2_TYPE_EVENTS ? READ_EVENTS : READ_UNARY;
    if (r->how != READ_EVENTS)
        r->coding = coding_choose(http_header(r->s.x.req, "accept-encoding"));
    if (r->how == READ_SESSION) {
        r->form = READ_FRAME;
        return 0;
    }
    if (r->how == READ_UNARY && r->s.accept == S2_TYPE_PROTO) {
        r->form = READ_PROTO;
        return 0;
    }
    if (!s2_format_parse(&format, http_header(r->s.x.req, "s2-format"))) {
        s2_fail(&r->s, S2_BAD_HEADER, "s2-format is raw or base64");
        return -1;
    }
    r->form = format == S2_RAW ? READ_JSON_RAW : READ_JSON_BASE64;
    return 0;
}

/* A client that lost its event stream says where it was. -1: answered. */
static int take_place(struct s2_read *r)
{
    struct read_place place;
    struct span header = http_header(r->s.x.req, "last-event-id");
    if (r->how != READ_EVENTS || !header.ptr)
        return 0;
    if (read_place_parse(&place, header) < 0) {
        s2_fail(&r->s, S2_BAD_HEADER, "last-event-id is SEQ_NUM,COUNT,BYTES");
        return -1;
    }
    read_resume(&r->asked, &place);
    r->events_count = place.count;
    r->events_bytes = place.bytes;
    return 0;
}

static void entered(struct s2_request *s)
{
    struct s2_read *r = read_of(s);
    struct err err = ERR_INIT;
    if (!exchange_open(&s->x) || take_form(r) < 0 || take_query(r) < 0)
        return;
    if (read_check(&r->asked, &err) < 0) {
        s2_fail(s, S2_INVALID, "%s", err.text);
        return;
    }
    if (take_place(r) == 0)
        s2_look(s, S2_AUTO_READ, looked);
}

static int begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, S2_NEED_BASIN | S2_NEED_STREAM, AUTH_READ, entered);
}

static void gone(struct exchange *x)
{
    struct s2_read *r = (struct s2_read *)x;
    feed_remove(x->site->feed, &r->follower);
    read_turn_leave(&r->turn);
    if (r->watched)
        s2_unwatch(&r->watch);
    if (r->has_timer)
        uv_close((uv_handle_t *)&r->timer, timer_closed);
}

static void finish(struct exchange *x)
{
    struct s2_read *r = (struct s2_read *)x;
    read_piece_drop(r->next);
    read_piece_drop(r->sending);
    sodium_memzero(r->src.key, sizeof(r->src.key));
    read_source_finish(&r->src);
    buf_finish(&r->head);
    s2_finish(&r->s);
}

const struct route s2_route_records = {.size = sizeof(struct s2_read), .begin = begin, .gone = gone, .finish = finish};
