#include "daemon/s2/s2_stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/s2/s2.h"

/* --- histograms ---------------------------------------------------------------------------------------------- */

#define BOUNDS 9

struct histogram {
    const char *name, *help;
    size_t bounds;
    double upto[BOUNDS]; /* inclusive */
    uint64_t counts[BOUNDS + 1];
    double sum;
};

#define SECONDS .bounds = 9, .upto = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}

static struct histogram permits = {
    .name = "s2_append_permit_latency_seconds", .help = "Time an append waited before it was admitted.", SECONDS};
static struct histogram acks = {
    .name = "s2_append_ack_latency_seconds", .help = "Time from an append to its acknowledgement.", SECONDS};
static struct histogram batch_records = {.name = "s2_append_batch_records",
                                         .help = "Records of acknowledged appends.",
                                         .bounds = 7,
                                         .upto = {1, 10, 50, 100, 250, 500, 1000}};
static struct histogram batch_bytes = {.name = "s2_append_batch_bytes",
                                       .help = "Metered bytes of acknowledged appends.",
                                       .bounds = 8,
                                       .upto = {512, 1024, 4096, 16384, 65536, 262144, 524288, 1048576}};

static void observe(struct histogram *h, double value)
{
    size_t i = 0;
    while (i < h->bounds && value > h->upto[i])
        i++;
    h->counts[i]++;
    h->sum += value;
}

static int put_histogram(struct buf *out, const struct histogram *h)
{
    uint64_t total = 0;
    int rc = buf_addf(out, "# HELP %s %s\n# TYPE %s histogram\n", h->name, h->help, h->name);
    for (size_t i = 0; rc == 0 && i < h->bounds; i++) {
        total += h->counts[i];
        rc = buf_addf(out, "%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", h->name, h->upto[i], total);
    }
    total += h->counts[h->bounds];
    if (rc == 0)
        rc = buf_addf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.10g\n%s_count %" PRIu64 "\n", h->name, total, h->name,
                      h->sum, h->name, total);
    return rc;
}

int s2_stats_put(struct buf *out)
{
    const struct histogram *all[] = {&permits, &acks, &batch_records, &batch_bytes};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(all) / sizeof(all[0]); i++)
        rc = put_histogram(out, all[i]);
    return rc;
}

/* --- usage --------------------------------------------------------------------------------------------------- */

#define BASINS_MAX 4096 /* beyond that the one not used for longest is forgotten */

struct basin_usage {
    struct usage usage;
    uint64_t used; /* counts up */
    size_t len;
    char name[S2_BASIN_MAX];
};

static struct usage account;
static struct {
    struct basin_usage **items; /* by name */
    size_t count, cap;
    uint64_t used;
} basins;

static struct span name_of(const struct basin_usage *b)
{
    return span_of(b->name, b->len);
}

static int order(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int d = len ? memcmp(a.ptr, b.ptr, len) : 0;
    return d ? d : (a.len > b.len) - (a.len < b.len);
}

/* The first whose name is not below. */
static size_t place_of(struct span name)
{
    size_t low = 0, high = basins.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (order(name_of(basins.items[middle]), name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct basin_usage *find(struct span name)
{
    size_t at = place_of(name);
    return at < basins.count && span_eq(name_of(basins.items[at]), name) ? basins.items[at] : NULL;
}

static void forget(size_t at)
{
    usage_finish(&basins.items[at]->usage);
    free(basins.items[at]);
    basins.count--;
    memmove(basins.items + at, basins.items + at + 1, (basins.count - at) * sizeof(*basins.items));
}

static void forget_oldest(void)
{
    size_t oldest = 0;
    for (size_t i = 1; i < basins.count; i++)
        if (basins.items[i]->used < basins.items[oldest]->used)
            oldest = i;
    forget(oldest);
}

static bool room(void)
{
    if (basins.count == BASINS_MAX)
        forget_oldest();
    if (basins.count < basins.cap)
        return true;
    size_t cap = basins.cap ? basins.cap * 2 : 16;
    struct basin_usage **items = realloc(basins.items, cap * sizeof(struct basin_usage *));
    if (!items)
        return false;
    basins.items = items;
    basins.cap = cap;
    return true;
}

static struct basin_usage *add_basin(struct span name)
{
    struct basin_usage *b = name.len <= S2_BASIN_MAX && room() ? calloc(1, sizeof(*b)) : NULL;
    if (!b)
        return NULL;
    size_t at = place_of(name);
    memcpy(b->name, name.ptr, name.len);
    b->len = name.len;
    memmove(basins.items + at + 1, basins.items + at, (basins.count - at) * sizeof(*basins.items));
    basins.items[at] = b;
    basins.count++;
    return b;
}

static void count_basin(struct span name, unsigned series, uint64_t value)
{
    struct basin_usage *b = name.len > 0 ? find(name) : NULL;
    if (!b && name.len > 0)
        b = add_basin(name);
    if (!b)
        return;
    b->used = ++basins.used;
    usage_add(&b->usage, series, value, time_now_ms() / 1000);
}

const struct usage *s2_usage_account(void)
{
    return &account;
}

const struct usage *s2_usage_basin(struct span name)
{
    const struct basin_usage *b = find(name);
    return b ? &b->usage : NULL;
}

int s2_usage_basins(int (*each)(void *arg, struct span name, const struct usage *usage), void *arg)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < basins.count; i++)
        rc = each(arg, name_of(basins.items[i]), &basins.items[i]->usage);
    return rc;
}

/* --- what the routes tell ------------------------------------------------------------------------------------ */

void s2_count_append(struct s2_request *s, size_t records, uint64_t bytes, double seconds)
{
    observe(&acks, seconds);
    observe(&batch_records, (double)records);
    observe(&batch_bytes, (double)bytes);
    count_basin(s->basin_name, USAGE_APPEND_OPS, 1);
    count_basin(s->basin_name, USAGE_APPEND_BYTES, bytes);
}

void s2_count_permit(double seconds)
{
    observe(&permits, seconds);
}

void s2_count_read(struct s2_request *s, size_t records, uint64_t bytes)
{
    (void)records;
    count_basin(s->basin_name, USAGE_READ_BYTES, bytes);
}

static bool is_basin_op(enum auth_op op)
{
    return op == AUTH_GET_BASIN_CONFIG || (op >= AUTH_LIST_STREAMS && op <= AUTH_CHECK_TAIL);
}

void s2_count_op(struct s2_request *s, enum auth_op op)
{
    bool streaming = s->content == S2_TYPE_SESSION || s->accept == S2_TYPE_EVENTS;
    if (op == AUTH_READ)
        count_basin(s->basin_name, streaming ? USAGE_READ_STREAMING : USAGE_READ_UNARY, 1);
    else if (is_basin_op(op))
        count_basin(s->basin_name, (unsigned)op, 1);
    else if ((unsigned)op < USAGE_OPS && op != AUTH_NONE && op != AUTH_APPEND && op != AUTH_TRIM && op != AUTH_FENCE)
        usage_add(&account, (unsigned)op, 1, time_now_ms() / 1000);
}
