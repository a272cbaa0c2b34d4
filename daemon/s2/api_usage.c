/*
 * GET /v1/metrics, /v1/metrics/{basin}, /v1/metrics/{basin}/{stream}: what was used since the daemon's start, and what is
 * stored now.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/auth/scope.h"
#include "daemon/s2/s2.h"
#include "daemon/s2/s2_stats.h"

#define RANGE_MAX_S (90ull * 24 * 3600)
#define AHEAD_MAX_S 60

enum level { LEVEL_ACCOUNT, LEVEL_BASIN, LEVEL_STREAM };
enum kind { KIND_BASINS, KIND_OPS, KIND_BILL, KIND_STORAGE, KIND_SUM };

/* What can be asked for. A sum is of one series, or of two that are told apart by their names. */
struct set {
    const char *name;
    enum level level;
    enum kind kind;
    const char *unit;
    struct {
        const char *name;
        unsigned series;
    } sums[2];
};

static const struct set sets[] = {
    {"active-basins", LEVEL_ACCOUNT, KIND_BASINS, NULL, {{NULL, 0}}},
    {"account-ops", LEVEL_ACCOUNT, KIND_OPS, "operations", {{NULL, 0}}},
    {"estimated-billable-usage", LEVEL_ACCOUNT, KIND_BILL, "usd", {{NULL, 0}}},
    {"storage", LEVEL_BASIN, KIND_STORAGE, "bytes", {{NULL, 0}}},
    {"append-ops", LEVEL_BASIN, KIND_SUM, "operations", {{"append-ops", USAGE_APPEND_OPS}}},
    {"append-throughput", LEVEL_BASIN, KIND_SUM, "bytes", {{"append-throughput", USAGE_APPEND_BYTES}}},
    {"read-ops", LEVEL_BASIN, KIND_SUM, "operations", {{"unary", USAGE_READ_UNARY}, {"streaming", USAGE_READ_STREAMING}}},
    {"read-throughput", LEVEL_BASIN, KIND_SUM, "bytes", {{"read-throughput", USAGE_READ_BYTES}}},
    {"basin-ops", LEVEL_BASIN, KIND_OPS, "operations", {{NULL, 0}}},
    {"storage", LEVEL_STREAM, KIND_STORAGE, "bytes", {{NULL, 0}}},
};

struct usage_request {
    struct s2_request s;
    enum level level;
    const struct set *set;
    uint64_t start, end; /* seconds since the epoch, inclusive */
    uint32_t interval;
    struct job job;
    struct store_stat stat;
    int result;
    struct err err;
};

/* --- the question -------------------------------------------------------------------------------------------- */

/* What there is of this level, as a message has it. */
static void name_sets(char *out, size_t size, enum level level)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        if (sets[i].level == level && len < size)
            len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", sets[i].name);
}

static int take_set(struct usage_request *u)
{
    char room[64], known[160];
    struct span name;
    int rc = s2_query_text(&u->s, "set", room, sizeof(room), &name);
    for (size_t i = 0; rc == 1 && i < sizeof(sets) / sizeof(sets[0]); i++)
        if (sets[i].level == u->level && span_is(name, sets[i].name))
            u->set = &sets[i];
    if (u->set || rc < 0)
        return u->set ? 0 : -1;
    name_sets(known, sizeof(known), u->level);
    if (rc)
        s2_fail(&u->s, S2_BAD_QUERY, "set: there is no set `%s' here, but %s", room, known);
    else
        s2_fail(&u->s, S2_BAD_QUERY, "set is missing: one of %s", known);
    return -1;
}

static int take_interval(struct usage_request *u)
{
    char room[16];
    struct span name;
    int rc = s2_query_text(&u->s, "interval", room, sizeof(room), &name);
    if (rc < 0)
        return -1;
    u->interval = rc == 0 ? (u->level == LEVEL_ACCOUNT ? USAGE_HOUR : USAGE_MINUTE)
                          : span_is(name, "minute") ? USAGE_MINUTE
                          : span_is(name, "hour")   ? USAGE_HOUR
                          : span_is(name, "day")    ? USAGE_DAY
                                                    : 0;
    if (u->interval == 0)
        s2_fail(&u->s, S2_BAD_QUERY, "interval is minute, hour or day");
    return u->interval ? 0 : -1;
}

/* A moment: seconds in 32 bits. -1: answered. */
static int take_time(struct usage_request *u, const char *name, uint64_t *out)
{
    int rc = s2_query_u64(&u->s, name, out);
    if (rc == 1 && *out <= UINT32_MAX)
        return 0;
    if (rc == 0)
        s2_fail(&u->s, S2_INVALID, "start and end are needed: seconds since the epoch");
    else if (rc == 1)
        s2_fail(&u->s, S2_BAD_QUERY, "%s: seconds since the epoch, in 32 bits", name);
    return -1;
}

static int check_range(struct usage_request *u)
{
    if (u->start > u->end)
        s2_fail(&u->s, S2_INVALID, "start is behind end");
    else if (u->end > time_now_ms() / 1000 + AHEAD_MAX_S)
        s2_fail(&u->s, S2_INVALID, "end lies in the future");
    else if (u->end - u->start > RANGE_MAX_S)
        s2_fail(&u->s, S2_INVALID, "a range has at most 90 days");
    else
        return 0;
    return -1;
}

static int take_question(struct usage_request *u)
{
    if (take_set(u) < 0 || take_interval(u) < 0 || take_time(u, "start", &u->start) < 0 || take_time(u, "end", &u->end) < 0)
        return -1;
    return check_range(u);
}

/* --- the answer ---------------------------------------------------------------------------------------------- */

struct answer {
    struct buf body;
    const struct usage_request *u;
    size_t metrics, values;
};

static int begin_metric(struct answer *a, const char *kind, const char *name, const char *unit)
{
    int rc = buf_addf(&a->body, "%s{\"%s\":{\"name\":\"%s\"", a->metrics++ ? "," : "", kind, name);
    if (rc == 0 && unit)
        rc = buf_addf(&a->body, ",\"unit\":\"%s\"", unit);
    a->values = 0;
    return rc;
}

static int put_value(void *arg, uint64_t at, uint64_t sum)
{
    struct answer *a = arg;
    return buf_addf(&a->body, "%s[%" PRIu64 ",%" PRIu64 ".0]", a->values++ ? "," : "", at, sum);
}

static int put_sum(struct answer *a, const struct usage *usage, const char *name, unsigned series)
{
    const struct usage_request *u = a->u;
    const char *interval = u->interval == USAGE_MINUTE ? "minute" : u->interval == USAGE_HOUR ? "hour" : "day";
    int rc = begin_metric(a, "accumulation", name, u->set->unit);
    if (rc == 0)
        rc = buf_addf(&a->body, ",\"interval\":\"%s\",\"values\":[", interval);
    if (rc == 0 && usage)
        rc = usage_each(usage, series, u->start, u->end, u->interval, put_value, a);
    return rc == 0 ? buf_add_str(&a->body, "]}}") : rc;
}

static int put_sums(struct answer *a, const struct usage *usage)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < 2 && a->u->set->sums[i].name; i++)
        rc = put_sum(a, usage, a->u->set->sums[i].name, a->u->set->sums[i].series);
    return rc;
}

static int one_is_there(void *arg, uint64_t at, uint64_t sum)
{
    (void)arg, (void)at, (void)sum;
    return 1;
}

/* One for each operation that happened. */
static int put_ops(struct answer *a, const struct usage *usage)
{
    const struct usage_request *u = a->u;
    int rc = 0;
    for (unsigned op = 1; usage && rc == 0 && op < USAGE_OPS; op++)
        if (usage_each(usage, op, u->start, u->end, u->interval, one_is_there, NULL))
            rc = put_sum(a, usage, auth_op_name((enum auth_op)op), op);
    return rc;
}

static int put_basin(void *arg, struct span name, const struct usage *usage)
{
    struct answer *a = arg;
    const struct usage_request *u = a->u;
    if (!usage_any(usage, u->start, u->end))
        return 0;
    int rc = a->values++ ? buf_add_str(&a->body, ",") : 0;
    return rc == 0 ? json_put_string(&a->body, name) : rc;
}

static int put_basins(struct answer *a)
{
    int rc = begin_metric(a, "label", a->u->set->name, NULL);
    if (rc == 0)
        rc = buf_add_str(&a->body, ",\"values\":[");
    if (rc == 0)
        rc = s2_usage_basins(put_basin, a);
    return rc == 0 ? buf_add_str(&a->body, "]}}") : rc;
}

/* What is stored is known of now alone: the hour that is under way, if it is asked for. */
static int put_storage(struct answer *a, uint64_t bytes)
{
    const struct usage_request *u = a->u;
    uint64_t now = time_now_ms() / 1000, hour = now - now % USAGE_HOUR;
    int rc = begin_metric(a, "gauge", u->set->name, u->set->unit);
    if (rc == 0)
        rc = buf_add_str(&a->body, ",\"values\":[");
    if (rc == 0 && u->end >= hour && u->start <= now)
        rc = put_value(a, u->end < now ? u->end : now, bytes);
    return rc == 0 ? buf_add_str(&a->body, "]}}") : rc;
}

static int put_bill(struct answer *a)
{
    int rc = begin_metric(a, "scalar", a->u->set->name, a->u->set->unit);
    return rc == 0 ? buf_add_str(&a->body, ",\"value\":0.0}}") : rc;
}

static int put_answer(struct answer *a, uint64_t bytes)
{
    const struct usage_request *u = a->u;
    const struct usage *usage = u->level == LEVEL_ACCOUNT ? s2_usage_account() : s2_usage_basin(u->s.basin_name);
    switch (u->set->kind) {
    case KIND_BASINS:
        return put_basins(a);
    case KIND_OPS:
        return put_ops(a, usage);
    case KIND_BILL:
        return put_bill(a);
    case KIND_STORAGE:
        return put_storage(a, bytes);
    default:
        return put_sums(a, usage);
    }
}

static void answer(struct usage_request *u, uint64_t bytes)
{
    struct answer a = {.u = u};
    int rc = buf_add_str(&a.body, "{\"values\":[");
    if (rc == 0)
        rc = put_answer(&a, bytes);
    if (rc == 0)
        rc = buf_add_str(&a.body, "]}");
    if (rc < 0)
        s2_fail(&u->s, S2_OTHER, "no memory for the answer");
    else
        s2_reply(&u->s, 200, "application/json", buf_span(&a.body), NULL);
    buf_finish(&a.body);
}

/* --- what is stored ------------------------------------------------------------------------------------------ */

static struct usage_request *request_of(struct s2_request *s)
{
    return (struct usage_request *)s;
}

static void stream_looked(struct s2_request *s, const struct store_topic *topic)
{
    answer(request_of(s), topic->bytes);
}

static struct usage_request *of_job(struct job *job)
{
    return (struct usage_request *)((char *)job - offsetof(struct usage_request, job));
}

static void measure(struct job *job)
{
    struct usage_request *u = of_job(job);
    u->result = store_stat(u->s.x.site->store, &u->stat, &u->err);
}

static void measured(struct job *job)
{
    struct usage_request *u = of_job(job);
    if (u->result < 0)
        s2_fail(&u->s, S2_STORAGE, "%s", u->err.text);
    else if (u->s.x.req)
        answer(u, u->stat.bytes);
    exchange_drop(&u->s.x);
}

static void measure_store(struct usage_request *u)
{
    exchange_hold(&u->s.x);
    u->job = (struct job){.work = measure, .after = measured};
    exchange_job(&u->s.x, &u->job);
}

/* --- the way in ---------------------------------------------------------------------------------------------- */

static void entered(struct s2_request *s)
{
    static const enum auth_op ops[] = {AUTH_ACCOUNT_METRICS, AUTH_BASIN_METRICS, AUTH_STREAM_METRICS};
    struct usage_request *u = request_of(s);
    if (!exchange_open(&s->x) || take_question(u) < 0)
        return;
    s2_count_op(s, ops[u->level]);
    if (u->level == LEVEL_STREAM)
        s2_look(s, S2_AUTO_NOT, stream_looked);
    else if (u->set->kind == KIND_STORAGE)
        measure_store(u);
    else
        answer(u, 0);
}

static int begin(struct exchange *x, struct err *err)
{
    struct usage_request *u = (struct usage_request *)x;
    (void)err;
    if (x->operand.len == 0)
        return s2_enter(&u->s, 0, AUTH_ACCOUNT_METRICS, entered);
    bool stream = memchr(x->operand.ptr, '/', x->operand.len) != NULL;
    u->level = stream ? LEVEL_STREAM : LEVEL_BASIN;
    return s2_enter(&u->s, S2_NEED_PATH_BASIN | (stream ? S2_NEED_PATH_STREAM : 0u),
                    stream ? AUTH_STREAM_METRICS : AUTH_BASIN_METRICS, entered);
}

static void finish(struct exchange *x)
{
    s2_finish((struct s2_request *)x);
}

const struct route s2_route_metrics = {.size = sizeof(struct usage_request), .begin = begin, .finish = finish};
