/*
 * GET /v1/streams: a page of names, read from the index by the pool, looked at here for what the token may see.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/s2/s2_info.h"
#include "daemon/s2/streams.h"

#define HIDDEN "xs." /* what the daemon says of itself is no stream of anybody's */

struct found {
    size_t at, len; /* of the name, in `names` */
    uint64_t created_ms;
    enum s2_cipher cipher;
};

struct listing {
    struct s2_request s;
    struct s2_page page;
    struct job job;
    struct buf prefix, after; /* with the token's prefix */
    struct buf names;
    struct found *found; /* one more than fits the page, to see that there are more */
    size_t count, most;
    struct buf json;
    size_t shown;
    bool end; /* the index has no more */
    int result;
    struct err err;
};

static struct listing *listing_of(struct s2_request *s)
{
    return (struct listing *)s;
}

/* --- on the pool ------------------------------------------------------------------------------------- */

static int take(void *arg, const struct store_topic *topic)
{
    struct listing *l = arg;
    struct s2_stream_note note;
    const size_t hidden = sizeof(HIDDEN) - 1;
    if (topic->name.len >= hidden && memcmp(topic->name.ptr, HIDDEN, hidden) == 0)
        return 0;
    int rc = s2_stream_note_read(&note, topic->note, &l->err);
    if (rc < 0)
        return rc;
    l->found[l->count] = (struct found){.at = l->names.len,
                                        .len = topic->name.len,
                                        .created_ms = topic->created_ms,
                                        .cipher = note.cipher};
    rc = buf_add_span(&l->names, topic->name);
    if (rc < 0)
        return rc;
    return ++l->count == l->most;
}

static void work(struct job *job)
{
    struct listing *l = (struct listing *)((char *)job - offsetof(struct listing, job));
    l->count = 0;
    buf_reset(&l->names);
    int rc = store_topic_list(l->s.x.site->store, buf_span(&l->prefix), buf_span(&l->after), take, l,
                              &l->err);
    l->end = l->count < l->most;
    l->result = rc < 0 ? rc : 0;
}

/* --- on the loop ------------------------------------------------------------------------------------- */

static int put_one(struct listing *l, const struct found *f, struct span name)
{
    const size_t skip = grant_prefix(l->s.x.grant).len;
    const struct stream_info info = {.name = span_of(name.ptr + skip, name.len - skip),
                                     .created_ms = f->created_ms,
                                     .cipher = f->cipher};
    int rc = l->shown++ > 0 ? buf_add_str(&l->json, ",") : 0;
    return rc == 0 ? stream_info_put(&l->json, &info) : rc;
}

/* Puts what may be seen. 1: the page is full and there is another one; 0: not yet. */
static int put_found(struct listing *l)
{
    const struct s2_request *s = &l->s;
    for (size_t i = 0; i < l->count; i++) {
        const struct found *f = &l->found[i];
        const struct span name = span_of(l->names.ptr + f->at, f->len);
        if (!grant_allows(s->x.grant, AUTH_LIST_STREAMS, s->basin_name, name))
            continue;
        if (l->shown == l->page.limit)
            return 1;
        int rc = put_one(l, f, name);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void answer(struct listing *l, bool more)
{
    struct s2_request *s = &l->s;
    int rc = buf_addf(&l->json, "],\"has_more\":%s}", more ? "true" : "false");
    if (rc < 0)
        s2_fail(s, S2_UNAVAILABLE, "no memory for the list");
    else
        s2_reply_json(s, buf_span(&l->json));
    s2_count_op(s, AUTH_LIST_STREAMS);
}

static void listed(struct job *job);

static void go_on(struct listing *l)
{
    l->job = (struct job){.work = work, .after = listed};
    exchange_hold(&l->s.x);
    exchange_job(&l->s.x, &l->job);
}

/* What the token hides leaves room: then the next part of the index is read, from the last name on. */
static int read_more(struct listing *l)
{
    const struct found *last = &l->found[l->count - 1];
    buf_reset(&l->after);
    int rc = buf_add_span(&l->after, span_of(l->names.ptr + last->at, last->len));
    if (rc == 0)
        go_on(l);
    return rc;
}

static void listed(struct job *job)
{
    struct listing *l = (struct listing *)((char *)job - offsetof(struct listing, job));
    struct s2_request *s = &l->s;
    int rc = l->result;
    if (exchange_open(&s->x)) {
        if (rc == 0)
            rc = put_found(l);
        if (rc == 0 && !l->end)
            rc = read_more(l);
        else if (rc >= 0)
            answer(l, rc == 1);
        if (rc < 0)
            s2_fail_err(s, rc, &l->err);
    }
    exchange_drop(&s->x);
}

static int start(struct listing *l, struct err *err)
{
    struct s2_request *s = &l->s;
    const struct span own = grant_prefix(s->x.grant);
    int rc = buf_add_span(&l->prefix, own);
    if (rc == 0)
        rc = buf_add_span(&l->prefix, l->page.prefix);
    if (rc == 0 && l->page.after.len > 0)
        rc = buf_add_span(&l->after, own);
    if (rc == 0)
        rc = buf_add_span(&l->after, l->page.after);
    if (rc == 0)
        rc = buf_add_str(&l->json, "{\"streams\":[");
    l->most = l->page.limit + 1;
    l->found = calloc(l->most, sizeof(*l->found));
    return rc < 0 || !l->found ? err_set(err, -ENOMEM, "no memory for the list") : 0;
}

static void entered(struct s2_request *s)
{
    struct listing *l = listing_of(s);
    if (start(l, &l->err) < 0)
        s2_fail_err(s, l->err.code, &l->err);
    else
        go_on(l);
}

/* --- the way in -------------------------------------------------------------------------------------- */

/* A basin that is being deleted has no streams any more, and is closed. */
static void named(struct s2_request *s)
{
    struct listing *l = listing_of(s);
    const struct basin *basin = basins_find(s->x.daemon->basins, s->basin_name);
    if (!s2_page_read(s, &l->page, s2_stream_prefix))
        return;
    if (basin && basin_deleting(basin))
        s2_reply_json(s, span_str("{\"streams\":[],\"has_more\":false}"));
    else
        s2_enter(s, S2_NEED_BASIN, AUTH_LIST_STREAMS, entered);
}

static int begin(struct exchange *x, struct err *err)
{
    (void)err;
    return s2_enter((struct s2_request *)x, S2_NEED_BASIN | S2_NEED_NAMES_ONLY, AUTH_LIST_STREAMS,
                    named);
}

static void finish(struct exchange *x)
{
    struct listing *l = (struct listing *)x;
    buf_finish(&l->prefix);
    buf_finish(&l->after);
    buf_finish(&l->names);
    buf_finish(&l->json);
    free(l->found);
    s2_finish(&l->s);
}

const struct route s2_route_streams_list = {
    .size = sizeof(struct listing), .begin = begin, .finish = finish};
