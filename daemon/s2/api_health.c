/*
 * GET /health, GET /ping: whether the store works.
 */
#include "daemon/s2/s2.h"

struct health {
    struct s2_request s;
    struct job job;
    struct store_stat stat;
    int result;
    struct err err;
};

static struct health *health_of_job(struct job *job)
{
    return (struct health *)((char *)job - offsetof(struct health, job));
}

static void look(struct job *job)
{
    struct health *h = health_of_job(job);
    h->result = store_stat(h->s.x.site->store, &h->stat, &h->err);
}

static void answer(struct health *h, int status, const char *text)
{
    exchange_reply(&h->s.x, status, "text/plain; charset=utf-8", span_str(text), NULL);
}

static void looked(struct job *job)
{
    struct health *h = health_of_job(job);
    if (h->result < 0)
        answer(h, 503, h->err.text);
    else if (h->stat.read_only)
        answer(h, 503, h->stat.reason);
    else
        answer(h, 200, "OK");
    exchange_drop(&h->s.x);
}

static int begin(struct exchange *x, struct err *err)
{
    struct health *h = (struct health *)x;
    (void)err;
    h->job = (struct job){.work = look, .after = looked};
    exchange_hold(x);
    exchange_job(x, &h->job);
    return 0;
}

static void finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

const struct route s2_route_health = {
    .open = true,
    .size = sizeof(struct health), .begin = begin, .finish = finish};
