/*
 * GET /groups, GET /groups/G.
 */
#include <inttypes.h>

#include "base/text.h"
#include "daemon/groups/asking.h"

#define LAG_SLICES 64 /* of a millisecond, then the pool's others have their turn */

static int put_members(struct buf *out, const struct group_host *host)
{
    bool first = true;
    int rc = buf_add_str(out, ",\"members\":[");
    for (const struct group_seat *seat = host->seats; rc == 0 && seat; seat = seat->next) {
        rc = buf_addf(out, "%s{\"name\":\"%s\",\"open\":%zu,\"connected\":%s}", first ? "" : ",",
                      seat->name, seat->core.open, seat->connected ? "true" : "false");
        first = false;
    }
    return rc == 0 ? buf_add_str(out, "]") : rc;
}

static size_t waiting(const struct delivery *delivery)
{
    size_t count = 0;
    for (int state = 0; state < DELIVERY_DONE; state++)
        count += state == DELIVERY_OPEN ? 0 : delivery->lists[state].count;
    return count;
}

int asking_put_group(struct buf *out, const struct group_host *host)
{
    char low[ID_TEXT_LEN + 1];
    id_format(low, host->delivery.low);
    int rc = buf_addf(out, "{\"name\":\"%.*s\",", SPAN_ARG(group_host_name(host)));
    if (rc == 0)
        rc = group_config_json(&host->config, out);
    if (rc == 0)
        rc = buf_addf(out, ",\"low\":\"%s\",\"open\":%zu,\"waiting\":%zu,\"acked\":%zu", low,
                      host->delivery.lists[DELIVERY_OPEN].count, waiting(&host->delivery),
                      delivery_done(&host->delivery));
    return rc == 0 ? put_members(out, host) : rc;
}

static struct asking *asking_of_job(struct job *job)
{
    return (struct asking *)((char *)job - offsetof(struct asking, job));
}

static long count_one(void *arg, const struct store_item *item)
{
    struct asking *a = arg;
    if (item->frame->ttl.kind != TTL_EPHEMERAL &&
        !span_eq(item->frame->topic, buf_span(&a->at->own_dead)))
        a->counted++;
    return 1;
}

static void lag_work(struct job *job)
{
    struct asking *a = asking_of_job(job);
    a->step = STORE_MORE;
    for (int i = 0; i < LAG_SLICES && a->result == 0 && a->step == STORE_MORE; i++) {
        a->result =
            store_cursor_read(a->cursor, SIZE_MAX / 2, true, count_one, a, &a->step, &a->err);
        if (a->result == ERR_DAMAGED)
            a->result = 0;
    }
}

static int look(struct asking *a, struct err *err);

static void lag_start(struct asking *a)
{
    exchange_hold(&a->x);
    exchange_job(&a->x, &a->job);
}

static int lag_end(struct asking *a, struct err *err)
{
    size_t done = delivery_done(&a->at->delivery);
    store_cursor_close(a->cursor);
    a->cursor = NULL;
    int rc = buf_addf(&a->out, ",\"lag\":%" PRIu64 "}\n",
                      a->counted > done ? a->counted - done : 0);
    return rc == 0 ? look(a, err) : rc;
}

static void lag_after(struct job *job)
{
    struct asking *a = asking_of_job(job);
    int rc = a->result;
    if (rc == 0 && a->step == STORE_MORE && exchange_open(&a->x))
        lag_start(a);
    else if (rc == 0 && exchange_open(&a->x))
        rc = lag_end(a, &a->err);
    if (rc < 0)
        exchange_fail(&a->x, rc, &a->err, NULL);
    exchange_drop(&a->x);
}

/* Counts what of a group is not done. */
static int count_lag(struct asking *a, struct err *err)
{
    struct delivery *delivery = &a->at->delivery;
    const struct store_query query = {.topics = &a->at->config.topics,
                                      .from = id_succ(delivery->low)};
    int rc = store_cursor_open(&a->cursor, a->x.site->store, &query, err);
    if (rc < 0)
        return rc;
    a->counted = 0;
    a->job = (struct job){.work = lag_work, .after = lag_after};
    lag_start(a);
    return 0;
}

static bool is_hidden(const struct asking *a, const struct group_host *host)
{
    return host->dropped || asking_check(&a->x, &host->config, group_host_name(host), false, NULL) < 0;
}

/* The next group of the list, or the one that is asked for. NULL at the end. */
static struct group_host *next_host(struct asking *a)
{
    struct groups *groups = a->x.site->groups;
    struct group_host *host = a->at;
    if (a->name.len > 0) {
        host = host ? NULL : groups_find(groups, buf_span(&a->name));
        return host && asking_check(&a->x, &host->config, buf_span(&a->name), false, NULL) == 0 ? host : NULL;
    }
    host = host && host->dropped ? NULL : groups_next(groups, host);
    while (host && is_hidden(a, host))
        host = groups_next(groups, host);
    return host;
}

static void answer(struct asking *a)
{
    struct span body = buf_span(&a->out);
    bool one = a->name.len > 0;
    body.len -= one && body.len > 0; /* an object stands alone, without newline */
    if (one && body.len == 0)
        exchange_fail(&a->x, ERR_NOT_FOUND, NULL, NULL);
    else
        exchange_reply(&a->x, 200, one ? "application/json" : "application/x-ndjson", body, NULL);
}

static int look(struct asking *a, struct err *err)
{
    struct group_host *host;
    int rc = 0;
    while (rc == 0 && (host = next_host(a))) {
        group_host_hold(host);
        if (a->at)
            group_host_drop(a->at);
        a->at = host;
        rc = asking_put_group(&a->out, host);
        if (rc == 0 && a->lag)
            return count_lag(a, err);
        if (rc == 0)
            rc = buf_add_str(&a->out, "}\n");
    }
    if (rc == 0)
        answer(a);
    return rc;
}

static bool has_flag(struct span raw, const char *name)
{
    struct span key, value;
    bool has_value;
    while (uri_query_next(&raw, &key, &value, &has_value))
        if (span_is(key, name))
            return !span_is(value, "false") && !span_is(value, "no") && !span_is(value, "0");
    return false;
}

static int begin_look(struct exchange *x, struct err *err)
{
    struct asking *a = (struct asking *)x;
    struct span verb;
    int rc = asking_name(a, &verb, err);
    if (rc < 0)
        return rc;
    if (verb.ptr)
        return err_set(err, ERR_NOT_FOUND, "no such route");
    a->act = look;
    a->lag = has_flag(http_query(x->req), "lag");
    asking_start(a);
    return 0;
}

const struct route route_groups = {
    .size = sizeof(struct asking), .op = AUTH_READ, .begin = begin_look, .finish = asking_finish};
