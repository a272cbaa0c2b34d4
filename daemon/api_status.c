/*
 * GET /version, /status, /metrics.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/exchange.h"
#include "daemon/feed.h"
#include "daemon/run/programs.h"
#include "daemon/s2/s2_stats.h"
#include "daemon/stores.h"

static int begin_version(struct exchange *x, struct err *err)
{
    (void)err;
    exchange_reply(x, 200, "application/json", span_str("{\"version\":\"" WEIR_VERSION "\"}"),
                   NULL);
    return 0;
}

const struct route route_version = {.size = sizeof(struct exchange), .open = true, .begin = begin_version};

/* --- figures
 * ------------------------------------------------------------------------------------------ */

struct figures {
    struct exchange x;
    struct job job;
    struct store_stat stat;
    int result;
    struct err err;
    struct buf body;
};

static struct figures *figures_of_job(struct job *job)
{
    return (struct figures *)((char *)job - offsetof(struct figures, job));
}

static void work(struct job *job)
{
    struct figures *f = figures_of_job(job);
    f->result = store_stat(f->x.site->store, &f->stat, &f->err);
}

static uint64_t uptime_ms(const struct site *site)
{
    return (time_mono_us() - site->daemon->started_us) / 1000;
}

static uint64_t lag(const struct store_stat *s)
{
    return s->journal_last > s->index_last ? s->journal_last - s->index_last : 0;
}

static int put_uuid(struct buf *out, const uint8_t uuid[static 16])
{
    int rc = buf_add_str(out, "\"");
    for (int i = 0; rc == 0 && i < 16; i++)
        rc = buf_addf(out, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

static int put_path(struct buf *out, const char *path)
{
    char *whole = realpath(path, NULL);
    int rc = json_put_string(out, span_str(whole ? whole : path));
    free(whole);
    return rc;
}

static int put_state(struct buf *out, const struct store_stat *s)
{
    if (!s->read_only)
        return buf_add_str(out, ",\"state\":\"ok\"}");
    int rc = buf_add_str(out, ",\"state\":\"read-only\",\"reason\":");
    if (rc == 0)
        rc = json_put_string(out, span_str(s->reason));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

/* What the daemon does beside answering; of other stores only the root knows. */
static int put_work(struct buf *out, const struct site *site)
{
    size_t open, attached = stores_count(site->daemon->stores, &open);
    int rc = buf_addf(out, ",\"programs\":%zu", programs_count(site->programs));
    if (rc == 0 && site->daemon->options->memory)
        rc = buf_add_str(out, ",\"memory\":true");
    if (rc == 0 && !site->name[0])
        rc = buf_addf(out, ",\"stores\":{\"attached\":%zu,\"open\":%zu}", attached, open);
    return rc;
}

static int put_status(struct buf *out, const struct site *site, const struct store_stat *s)
{
    int rc =
        buf_addf(out, "{\"version\":\"%s\",\"pid\":%ld,\"uuid\":", WEIR_VERSION, (long)getpid());
    if (rc == 0)
        rc = put_uuid(out, s->uuid);
    if (rc == 0)
        rc = buf_add_str(out, ",\"path\":");
    if (rc == 0)
        rc = put_path(out, site->path);
    if (rc == 0)
        rc = buf_addf(out,
                      ",\"format\":%u,\"uptime_ms\":%" PRIu64 ",\"frames\":%" PRIu64
                      ",\"topics\":%" PRIu64 ",\"bytes\":%" PRIu64
                      ",\"followers\":%zu,\"connections\":%zu",
                      s->format, uptime_ms(site), s->frames, s->topics, s->bytes, feed_count(site->feed),
                      http_connections(site->daemon->http));
    if (rc == 0)
        rc = put_work(out, site);
    if (rc == 0)
        rc = buf_addf(out,
                      ",\"journal\":{\"first\":%" PRIu64 ",\"last\":%" PRIu64
                      ",\"segments\":%" PRIu64 ",\"bytes\":%" PRIu64
                      "},\"index\":{\"last\":%" PRIu64 ",\"lag_records\":%" PRIu64
                      ",\"bytes\":%" PRIu64 "},\"sync\":\"every-append\"",
                      s->journal_first, s->journal_last, s->journal_segments, s->journal_bytes,
                      s->index_last, lag(s), s->index_bytes);
    return rc == 0 ? put_state(out, s) : rc;
}

static void start(struct exchange *x, void (*after)(struct job *job))
{
    struct figures *f = (struct figures *)x;
    exchange_hold(x);
    f->job = (struct job){.work = work, .after = after};
    exchange_job(x, &f->job);
}

static void answer(struct figures *f, int rc, const char *type)
{
    if (f->result < 0)
        exchange_fail(&f->x, f->result, &f->err, NULL);
    else if (rc < 0)
        exchange_fail(&f->x, rc, NULL, NULL);
    else
        exchange_reply(&f->x, 200, type, buf_span(&f->body), NULL);
    exchange_drop(&f->x);
}

static void status_after(struct job *job)
{
    struct figures *f = figures_of_job(job);
    answer(f, put_status(&f->body, f->x.site, &f->stat), "application/json");
}

static int begin_status(struct exchange *x, struct err *err)
{
    (void)err;
    start(x, status_after);
    return 0;
}

static void finish(struct exchange *x)
{
    buf_finish(&((struct figures *)x)->body);
}

const struct route route_status = {
    .size = sizeof(struct figures), .op = AUTH_ACCOUNT_METRICS, .begin = begin_status, .finish = finish};

/* --- GET /metrics
 * ---------------------------------------------------------------------------------------- */

struct metric {
    const char *name, *type, *help;
    uint64_t value;
};

static int put_metric(struct buf *out, const struct metric *m)
{
    return buf_addf(out, "# HELP weir_%s %s\n# TYPE weir_%s %s\nweir_%s %" PRIu64 "\n", m->name,
                    m->help, m->name, m->type, m->name, m->value);
}

static int put_metrics(struct buf *out, const struct site *site, const struct store_stat *s)
{
    const struct metric metrics[] = {
        {"frames", "gauge", "Frames in the store.", s->frames},
        {"topics", "gauge", "Topics that hold frames.", s->topics},
        {"content_bytes", "gauge", "Bytes of frames and their contents.", s->bytes},
        {"appended_frames_total", "counter", "Frames appended since the start.", s->appended},
        {"groups_total", "counter", "Groups committed since the start.", s->groups},
        {"syncs_total", "counter", "Syncs of the journal since the start.", s->syncs},
        {"journal_bytes", "gauge", "Bytes of journal segments.", s->journal_bytes},
        {"index_bytes", "gauge", "Bytes of the index file.", s->index_bytes},
        {"index_lag_records", "gauge", "Records not in the index yet.", lag(s)},
        {"tail_bytes", "gauge", "Memory that the newest frames take.", s->tail_bytes},
        {"followers", "gauge", "Open follow reads.", feed_count(site->feed)},
        {"connections", "gauge", "Open connections.", http_connections(site->daemon->http)},
        {"programs", "gauge", "Programs in force.", programs_count(site->programs)},
        {"requests_total", "counter", "Requests since the start.", site->requests},
        {"uptime_seconds", "gauge", "Seconds since the start.", uptime_ms(site) / 1000},
        {"read_only", "gauge", "1 when the store refuses changes.", s->read_only},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(metrics) / sizeof(metrics[0]); i++)
        rc = put_metric(out, &metrics[i]);
    return rc == 0 ? s2_stats_put(out) : rc;
}

static void metrics_after(struct job *job)
{
    struct figures *f = figures_of_job(job);
    answer(f, put_metrics(&f->body, f->x.site, &f->stat), "text/plain; version=0.0.4");
}

static int begin_metrics(struct exchange *x, struct err *err)
{
    (void)err;
    start(x, metrics_after);
    return 0;
}

const struct route route_metrics = {
    .size = sizeof(struct figures), .op = AUTH_ACCOUNT_METRICS, .begin = begin_metrics, .finish = finish};
