/*
 * PUT /groups/G, DELETE /groups/G.
 */
#include "daemon/groups/asking.h"

static void set(struct group_call *call, int result, const struct err *err)
{
    struct asking *a = asking_of(call);
    struct err why = err ? *err : ERR_INIT;
    if (result < 0 && a->host->dropped)
        groups_forget(a->x.site->groups, a->host);
    if (result == 0)
        result = asking_put_group(&a->out, a->host);
    if (result == 0)
        result = buf_add_str(&a->out, "}");
    if (result == 0)
        exchange_reply(&a->x, 200, "application/json", buf_span(&a->out), NULL);
    else
        exchange_fail(&a->x, result, &why, NULL);
    exchange_drop(&a->x);
}

/* The call is waited for from here on. */
static void wait_set(struct asking *a, struct group_host *host)
{
    group_host_hold(host);
    a->host = host;
    a->call = (struct group_call){.after = set};
    exchange_hold(&a->x);
}

static int make(struct asking *a, struct group_config *asked, const struct group_place *place,
                struct err *err)
{
    struct group_host *host;
    struct group_place from = *place;
    if (from.start == GROUP_START_NONE)
        from.start = GROUP_START_FIRST;
    int rc = asking_check(&a->x, asked, buf_span(&a->name), true, err);
    if (rc == 0)
        rc = groups_make(a->x.site->groups, buf_span(&a->name), asked, &from, &host, err);
    if (rc < 0)
        return rc;
    wait_set(a, host);
    group_host_wait(host, &a->call);
    return 0;
}

/* What it will be is to be allowed; what it is was looked at. */
static int check_change(const struct asking *a, const struct group_host *host, const struct group_config *asked, struct err *err)
{
    struct group_config after = host->config;
    if (asked->given & GROUP_TOPICS)
        after.topics = asked->topics;
    if (asked->given & GROUP_MAX)
        after.rules.max = asked->rules.max;
    return asking_check(&a->x, &after, buf_span(&a->name), asked->given & (GROUP_TOPICS | GROUP_MAX), err);
}

static int reconfigure(struct asking *a, struct group_host *host, const struct group_config *asked,
                       const struct group_place *place, struct err *err)
{
    struct frame_id low;
    int rc = check_change(a, host, asked, err);
    if (rc == 0)
        rc = groups_place(a->x.site->groups, place, &low, err);
    if (rc == 0)
        rc = group_host_configure(host, asked);
    if (rc < 0)
        return rc;
    if (place->start != GROUP_START_NONE)
        group_host_reset(host, low);
    wait_set(a, host);
    rc = group_host_set(host, &a->call);
    if (rc < 0)
        exchange_drop(&a->x);
    group_host_settle(host);
    return rc;
}

static int act_put(struct asking *a, struct err *err)
{
    struct group_config asked;
    struct group_place place = {.start = GROUP_START_NONE};
    struct group_host *host = NULL;
    struct span body = a->body.len > 0 ? buf_span(&a->body) : span_str("{}");
    int rc = group_config_init(&asked);
    if (rc == 0)
        rc = group_config_parse(&asked, body, &place, err);
    if (rc == 0) {
        rc = asking_find(a, &host, err);
        if (rc == ERR_NOT_FOUND)
            rc = make(a, &asked, &place, err);
        else if (rc == 0)
            rc = reconfigure(a, host, &asked, &place, err);
    }
    group_config_finish(&asked);
    return rc;
}

static int begin_named(struct asking *a, struct err *err)
{
    struct span verb;
    int rc = asking_name(a, &verb, err);
    return rc == 0 && verb.ptr ? err_set(err, ERR_NOT_FOUND, "no such route") : rc;
}

static int begin_put(struct exchange *x, struct err *err)
{
    struct asking *a = (struct asking *)x;
    a->act = act_put;
    return begin_named(a, err);
}

const struct route route_groups_put = {.size = sizeof(struct asking),
                                       .op = AUTH_READ,
                                       .begin = begin_put,
                                       .body = asking_body,
                                       .end = asking_end,
                                       .finish = asking_finish};

static void removed(struct group_call *call, int result, const struct err *err)
{
    struct asking *a = asking_of(call);
    if (result == 0) {
        groups_forget(a->x.site->groups, a->host);
        exchange_reply(&a->x, 204, NULL, (struct span){0}, NULL);
    } else {
        exchange_fail(&a->x, result, err, NULL);
    }
    exchange_drop(&a->x);
}

static int act_remove(struct asking *a, struct err *err)
{
    struct group_host *host;
    int rc = asking_find(a, &host, err);
    if (rc < 0)
        return rc;
    group_host_hold(host);
    a->host = host;
    a->call = (struct group_call){.after = removed};
    exchange_hold(&a->x);
    rc = group_host_remove(host, &a->call);
    if (rc < 0)
        exchange_drop(&a->x);
    return rc;
}

static int begin_remove(struct exchange *x, struct err *err)
{
    struct asking *a = (struct asking *)x;
    int rc = begin_named(a, err);
    a->act = act_remove;
    if (rc == 0)
        asking_start(a);
    return rc;
}

const struct route route_groups_remove = {
    .size = sizeof(struct asking), .op = AUTH_READ, .begin = begin_remove, .finish = asking_finish};
