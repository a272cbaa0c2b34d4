/* weir s2: usage of the account, of a basin, of a stream. */
#include "base/text.h"
#include "cmd/s2/verb.h"

enum { START = 1, END, INTERVAL };

#define DAY_MS ((uint64_t)24 * 60 * 60 * 1000)

static const struct option_row options[] = {
    {.id = START,
     .name = "start",
     .arg = "MOMENT",
     .help = "1d ago by default: a duration, RFC 3339, @SECONDS"},
    {.id = END, .name = "end", .arg = "MOMENT", .help = "now by default"},
    {.id = INTERVAL, .name = "interval", .arg = "UNIT", .help = "minute, hour or day"},
    {.name = NULL},
};

static int moment(const struct args *args, int id, uint64_t fallback, uint64_t *seconds)
{
    struct err err = ERR_INIT;
    const char *text = args_value(args, id);
    uint64_t ms = fallback;
    if (text && time_parse_moment(span_str(text), time_now_ms(), &ms, &err) != 0)
        return args_usage(args, "%s", err.text);
    *seconds = ms / 1000;
    return 0;
}

/* Operands are the place, if any, and the set last. */
static int get(struct args *args, const char *basin, const char *stream, const char *set)
{
    CLEAN_BUF query = BUF_INIT;
    const char *interval = args_value(args, INTERVAL);
    uint64_t start = 0, end = 0;
    int rc = moment(args, START, time_now_ms() - DAY_MS, &start);
    if (rc == 0)
        rc = moment(args, END, time_now_ms(), &end);
    if (rc != 0)
        return rc;
    rc = buf_add_str(&query, "set=");
    if (rc == 0)
        rc = uri_encode(&query, span_str(set), "");
    if (rc == 0)
        rc = buf_addf(&query, "&start=%llu&end=%llu", (unsigned long long)start,
                      (unsigned long long)end);
    if (rc == 0 && interval && (rc = buf_add_str(&query, "&interval=")) == 0)
        rc = uri_encode(&query, span_str(interval), "");
    if (rc != 0 || !buf_cstr(&query))
        return args_failf(args, "out of memory");
    rc = args_open(args, NULL);
    if (rc != 0)
        return rc;
    return args_call(args, &(struct weir_s2_request){.method = "GET",
                                                     .collection = "metrics",
                                                     .name = basin,
                                                     .name2 = stream,
                                                     .query = (char *)query.ptr});
}

static int of_account(struct args *args)
{
    return get(args, NULL, NULL, args_operand(args, 0));
}

static int of_basin(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    const char *basin, *rest;
    int rc = args_basin(args, args_operand(args, 0), &room, &basin, &rest);
    return rc == 0 ? get(args, basin, NULL, args_operand(args, 1)) : rc;
}

static int of_stream(struct args *args)
{
    CLEAN_BUF room = BUF_INIT;
    struct weir_s2_stream of;
    int rc = args_stream(args, args_operand(args, 0), &room, &of);
    return rc == 0 ? get(args, of.basin, of.stream, args_operand(args, 1)) : rc;
}

const struct verb verb_account_metrics = {
    .name = "get-account-metrics",
    .operands = "active-basins|account-ops",
    .about = "print usage of the account\n",
    .options = options,
    .min = 1,
    .max = 1,
    .exec = of_account,
};

const struct verb verb_basin_metrics = {
    .name = "get-basin-metrics",
    .operands = "BASIN storage|append-ops|append-throughput|read-ops|read-throughput|basin-ops",
    .about = "print usage of a basin\n",
    .options = options,
    .min = 2,
    .max = 2,
    .exec = of_basin,
};

const struct verb verb_stream_metrics = {
    .name = "get-stream-metrics",
    .operands = "s2://BASIN/STREAM storage",
    .about = "print usage of a stream\n",
    .options = options,
    .min = 2,
    .max = 2,
    .exec = of_stream,
};
