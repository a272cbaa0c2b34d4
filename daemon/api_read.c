/*
 * GET /, GET /last, GET /ID, DELETE /ID.
 */
#include <errno.h>
#include <strings.h>

#include "base/frame_json.h"
#include "base/text.h"
#include "daemon/groups/group_reader.h"
#include "daemon/read_seq.h"
#include "daemon/reader.h"

/* --- GET /
 * ----------------------------------------------------------------------------------------- */

static bool wants_events(const struct exchange *x)
{
    static const char type[] = "text/event-stream";
    struct span accept = http_header(x->req, "Accept");
    for (size_t i = 0, end; (end = i + sizeof(type) - 1) <= accept.len; i++)
        if (strncasecmp((const char *)accept.ptr + i, type, sizeof(type) - 1) == 0 &&
            (i == 0 || strchr(", \t", accept.ptr[i - 1])) &&
            (end == accept.len || strchr(",; \t", accept.ptr[end])))
            return true;
    return false;
}

/* A browser that reconnects says where it was. A value that is none of ours tells nothing. */
static void take_last_event_id(struct exchange *x)
{
    struct span header = http_header(x->req, "Last-Event-ID");
    if (header.len > 0 && !(x->query.given & (QUERY_AFTER | QUERY_FROM)) &&
        id_parse(&x->query.after, header, NULL) == 0)
        x->query.given |= QUERY_AFTER;
}

static int check_query(const struct query *q, struct err *err)
{
    if (q->follow && (q->reverse || q->count))
        return err_set(err, ERR_INVALID, "%s cannot be combined with follow",
                       q->reverse ? "reverse" : "count");
    if (q->follow && q->given & (QUERY_BEFORE | QUERY_UNTIL))
        return err_set(err, ERR_INVALID, "%s ends a read and cannot be combined with follow",
                       q->given & QUERY_BEFORE ? "before" : "until");
    if (q->given & QUERY_FROM_SEQ && (q->stream.len == 0 || q->reverse || q->fresh || q->count || q->given & QUERY_LAST))
        return err_set(err, ERR_INVALID, "from-seq needs stream, and goes without reverse, new, count and last");
    return 0;
}

/* The store's query; nothing allowed is a limit of none. */
static struct store_query store_query_of(const struct query *q)
{
    struct query bounds = *q;
    if (q->given & QUERY_LAST)
        bounds.given &= ~(uint64_t)(QUERY_FROM | QUERY_AFTER); /* last overrides them */
    struct store_query s = {.topics = &q->topics,
                            .stream = buf_span(&q->stream),
                            .reverse = q->reverse,
                            .has_limit = q->given & QUERY_LIMIT,
                            .limit = q->limit,
                            .has_last = q->given & QUERY_LAST,
                            .last = q->last,
                            .follow = q->follow,
                            .want_lines = q->follow && !query_shown(q),
                            .skip_history = q->fresh};
    bool any = query_bounds(&bounds, &s.from, &s.until);
    if (!any && q->follow)
        s.from = ID_MAX;
    else if (!any)
        s = (struct store_query){.topics = &q->topics, .has_limit = true};
    return s;
}

struct count {
    struct exchange x;
    struct store_cursor *cursor;
    struct job job;
    uint64_t frames;
    enum store_step step;
    int result;
    struct err err;
};

/* One struct for both, so that the route can decide when it has seen the query. */
union read {
    struct exchange x;
    struct reader reader;
    struct count count;
    struct group_reader member;
};

static long count_one(void *arg, const struct store_item *item)
{
    uint64_t *frames = arg;
    (void)item;
    ++*frames;
    return 1;
}

#define COUNT_SLICES 64 /* of a millisecond, then the pool's others have their turn */

static struct count *count_of_job(struct job *job)
{
    return (struct count *)((char *)job - offsetof(struct count, job));
}

static void count_work(struct job *job)
{
    struct count *c = count_of_job(job);
    c->step = STORE_MORE;
    c->result = 0;
    for (int i = 0; i < COUNT_SLICES && c->result == 0 && c->step == STORE_MORE; i++)
        c->result = store_cursor_read(c->cursor, SIZE_MAX / 2, true, count_one, &c->frames,
                                      &c->step, &c->err);
}

static void count_start(struct count *c);

static void count_after(struct job *job)
{
    struct count *c = count_of_job(job);
    CLEAN_BUF body = BUF_INIT;
    if (c->result < 0)
        exchange_fail(&c->x, c->result, &c->err, NULL);
    else if (c->step == STORE_MORE && exchange_open(&c->x))
        count_start(c);
    else if (buf_addf(&body, "{\"count\":%llu}", (unsigned long long)c->frames) == 0)
        exchange_reply(&c->x, 200, "application/json", buf_span(&body), NULL);
    exchange_drop(&c->x);
}

static void count_start(struct count *c)
{
    exchange_hold(&c->x);
    c->job = (struct job){.work = count_work, .after = count_after};
    exchange_job(&c->x, &c->job);
}

/* The read of x->query, from `low` on. */
static int start_read(struct exchange *x, struct frame_id low, struct err *err)
{
    union read *r = (union read *)x;
    struct store_query query = store_query_of(&x->query);
    struct pattern_list seen = {0};
    if (id_cmp(low, query.from) > 0)
        query.from = low;
    int rc = exchange_narrow(x, &query, &seen);
    if (rc == 0 && !x->query.count) {
        r->reader.least_seq = x->query.from_seq;
        rc = reader_start(&r->reader, &query, err);
    } else if (rc == 0) {
        rc = store_cursor_open(&r->count.cursor, x->site->store, &query, err);
        if (rc == 0)
            count_start(&r->count);
    }
    pattern_finish(&seen);
    return rc;
}

static void seq_found(struct exchange *x, int result, struct frame_id from, const struct err *err)
{
    struct err why = *err;
    if (result == 0 && exchange_open(x))
        result = start_read(x, from, &why);
    if (result < 0)
        exchange_fail(x, result, &why, NULL);
}

static int begin_read(struct exchange *x, struct err *err)
{
    union read *r = (union read *)x;
    int rc = exchange_query(x, QUERY_READ | QUERY_GROUP, err);
    if (rc == 0)
        rc = check_query(&x->query, err);
    if (rc < 0)
        return rc;
    bool sse = wants_events(x);
    if (x->query.given & QUERY_GROUP)
        return group_reader_begin(&r->member, sse, err);
    if (sse)
        take_last_event_id(x);
    if (!x->query.count)
        r->reader.sse = sse;
    if (x->query.given & QUERY_FROM_SEQ)
        return read_seq_start(x, buf_span(&x->query.stream), x->query.from_seq, seq_found);
    return start_read(x, ID_MIN, err);
}

static void read_gone(struct exchange *x)
{
    if (x->query.given & QUERY_GROUP)
        group_reader_gone(x);
    else if (!x->query.count)
        reader_gone(x);
}

static void read_finish(struct exchange *x)
{
    if (x->query.given & QUERY_GROUP)
        group_reader_finish(x);
    else if (x->query.count)
        store_cursor_close(((struct count *)x)->cursor);
    else
        reader_finish(x);
}

const struct route route_read = {
    .size = sizeof(union read), .op = AUTH_READ, .begin = begin_read, .gone = read_gone, .finish = read_finish};

/* --- GET /last, /last/PATTERN, /head/TOPIC
 * ------------------------------------------------------------ */

static int begin_last(struct exchange *x, struct err *err)
{
    struct reader *r = (struct reader *)x;
    CLEAN_BUF pattern = BUF_INIT;
    int rc = exchange_query(x, QUERY_LAST_ROUTE, err);
    if (rc == 0)
        rc = exchange_operand(x, &pattern, err);
    if (rc < 0)
        return rc;
    x->query.topics = PATTERN_ALL;
    if (x->operand.len > 0)
        rc = pattern_parse(&x->query.topics, buf_span(&pattern), err);
    if (rc < 0)
        return rc;
    struct store_query query = {
        .topics = &x->query.topics,
        .has_last = true,
        .last = x->query.given & QUERY_LAST ? x->query.last : 1,
        .follow = x->query.follow,
    };
    r->object = query.last == 1 && !query.follow;
    r->need_some = !query.follow;
    struct pattern_list seen = {0};
    rc = exchange_narrow(x, &query, &seen);
    if (rc == 0)
        rc = reader_start(r, &query, err);
    pattern_finish(&seen);
    return rc;
}

const struct route route_last = {.size = sizeof(struct reader),
                                 .op = AUTH_READ,
                                 .begin = begin_last,
                                 .gone = reader_gone,
                                 .finish = reader_finish};

/* --- GET /ID
 * -------------------------------------------------------------------------------------------- */

struct get {
    struct exchange x;
    struct frame_id id;
    unsigned flags;
    struct job job;
    struct frame_content content;
    struct buf json;
    int result;
    struct err err;
};

static struct get *get_of_job(struct job *job)
{
    return (struct get *)((char *)job - offsetof(struct get, job));
}

static long take_frame(void *arg, const struct store_item *item)
{
    struct get *g = arg;
    struct frame frame = *item->frame;
    if (!exchange_allows(&g->x, AUTH_READ, frame.topic))
        return ERR_NOT_FOUND;
    if (!(g->flags & FRAME_JSON_CONTENT) || !frame_content_lacks(&frame) || frame_content_give(&g->content, &frame))
        return frame_json(&g->json, &frame, g->flags);
    frame_content_want(&g->content, &frame);
    return ERR_END;
}

static void get_work(struct job *job)
{
    struct get *g = get_of_job(job);
    g->result = store_get(g->x.site->store, g->id, take_frame, g, &g->err);
    if (g->result != ERR_END)
        return;
    g->result = frame_content_fetch(&g->content, g->x.site, &g->err);
    if (g->result != -ENOMEM) /* what is damaged is printed without */
        g->result = store_get(g->x.site->store, g->id, take_frame, g, &g->err);
}

static void get_after(struct job *job)
{
    struct get *g = get_of_job(job);
    if (g->result < 0)
        exchange_fail(&g->x, g->result, &g->err, NULL);
    else
        exchange_reply(&g->x, 200, "application/json", buf_span(&g->json), NULL);
    exchange_drop(&g->x);
}

static int take_id(struct exchange *x, struct frame_id *out, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    int rc = exchange_operand(x, &text, err);
    return rc == 0 ? id_parse(out, buf_span(&text), err) : rc;
}

static int begin_get(struct exchange *x, struct err *err)
{
    struct get *g = (struct get *)x;
    int rc = take_id(x, &g->id, err);
    if (rc == 0)
        rc = exchange_query(x, QUERY_SHOWN, err);
    if (rc < 0)
        return rc;
    g->flags = query_shown(&x->query);
    exchange_hold(x);
    g->job = (struct job){.work = get_work, .after = get_after};
    exchange_job(x, &g->job);
    return 0;
}

static void get_finish(struct exchange *x)
{
    struct get *g = (struct get *)x;
    frame_content_finish(&g->content);
    buf_finish(&g->json);
}

const struct route route_get = {
    .size = sizeof(struct get), .op = AUTH_READ, .begin = begin_get, .finish = get_finish};

/* --- DELETE /ID
 * ------------------------------------------------------------------------------------------ */

struct removal {
    struct exchange x;
    struct submission submission;
    struct job job; /* looks whether the token has the frame's topic */
    int result;
    struct err err;
};

static void removed(struct submission *submission)
{
    struct removal *r =
        (struct removal *)((char *)submission - offsetof(struct removal, submission));
    if (submission->op.result < 0)
        exchange_refuse(&r->x, &submission->op);
    else
        exchange_reply(&r->x, 204, NULL, (struct span){0}, NULL);
    exchange_drop(&r->x);
}

static void remove_it(struct removal *r)
{
    r->submission.after = removed;
    exchange_hold(&r->x);
    submit_op(&r->x.site->source, &r->submission);
}

static long look_at_topic(void *arg, const struct store_item *item)
{
    const struct removal *r = arg;
    return exchange_allows(&r->x, AUTH_TRIM, item->frame->topic) ? 0 : ERR_NOT_FOUND;
}

static void look_work(struct job *job)
{
    struct removal *r = (struct removal *)((char *)job - offsetof(struct removal, job));
    r->result = store_get(r->x.site->store, r->submission.op.id, look_at_topic, r, &r->err);
}

/* One that is not there and one that is not the token's are the same to who asks. */
static void look_after(struct job *job)
{
    struct removal *r = (struct removal *)((char *)job - offsetof(struct removal, job));
    if (r->result == 0)
        remove_it(r);
    else
        exchange_fail(&r->x, r->result, &r->err, NULL);
    exchange_drop(&r->x);
}

static int begin_remove(struct exchange *x, struct err *err)
{
    struct removal *r = (struct removal *)x;
    struct store_op *op = &r->submission.op;
    int rc = take_id(x, &op->id, err);
    if (rc < 0)
        return rc;
    op->kind = STORE_REMOVE;
    op->authority = exchange_authority(x);
    if (!exchange_is_narrow(x)) {
        remove_it(r);
        return 0;
    }
    exchange_hold(x);
    r->job = (struct job){.work = look_work, .after = look_after};
    exchange_job(x, &r->job);
    return 0;
}

const struct route route_remove = {.size = sizeof(struct removal), .op = AUTH_TRIM, .begin = begin_remove};
