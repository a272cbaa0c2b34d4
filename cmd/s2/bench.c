/* weir s2 bench: writes at a rate, follows, reads it all again, checks that nothing is missing or
 * changed. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/s2/backoff.h"
#include "cmd/s2/chain.h"
#include "cmd/s2/config.h"
#include "cmd/s2/meter.h"
#include "cmd/s2/times.h"

enum { SIZE = 1, RATE, DURATION, DELAY, RECORDS, LINGER, INFLIGHT, KEEP, NO_FOLLOW };

static const struct option_row options[] = {
    {.id = SIZE,
     .letter = 'b',
     .name = "record-size",
     .arg = "BYTES",
     .help = "metered bytes of a record (8192)"},
    {.id = RATE,
     .letter = 't',
     .name = "target-mibps",
     .arg = "MIB",
     .help = "MiB a second to write (1); 0: as fast as it goes"},
    {.id = DURATION,
     .letter = 'd',
     .name = "duration",
     .arg = "TIME",
     .help = "how long to write (60s)"},
    {.id = DELAY,
     .letter = 'w',
     .name = "catchup-delay",
     .arg = "TIME",
     .help = "wait before reading it all again (20s)"},
    {.id = RECORDS,
     .name = "batch-records",
     .arg = "N",
     .help = "records of a batch at most (1000)"},
    {.id = LINGER,
     .name = "linger",
     .arg = "TIME",
     .help = "how long a batch waits for more records (5ms)"},
    {.id = INFLIGHT,
     .name = "inflight",
     .arg = "BYTES",
     .help = "metered bytes without an ack at most (5 MiB)"},
    {.id = NO_FOLLOW, .name = "no-follow", .help = "no reader beside the writer"},
    {.id = KEEP, .name = "keep", .help = "leave the stream where it is"},
    {.name = NULL},
};

struct bench {
    struct args *args;
    struct weir_s2_stream stream;
    uint64_t size, rate, duration_ms, delay_ms, records, inflight;
    unsigned linger_ms;
    /* writing */
    struct chain made;
    struct times acks;
    uint64_t *begun_us; /* of records without an ack: ring */
    size_t ring;
    uint64_t begun, acked;
    double write_s;
    /* following, in its own thread */
    struct chain followed;
    struct times delivered;
    struct weir_s2_err follow_err;
    int follow_rc;
    _Atomic bool written;
    _Atomic uint64_t total; /* records, once written */
};

static double mib(uint64_t records, uint64_t size)
{
    return (double)records * (double)size / 1048576;
}

/* --- writing
 * -------------------------------------------------------------------------------------- */

static void on_ack(void *arg, uint64_t record, uint64_t seq_num)
{
    struct bench *b = arg;
    (void)seq_num;
    times_add(&b->acks, time_mono_us() - b->begun_us[record % b->ring]);
    b->acked = record + 1;
}

/* As many records may be without an ack as the limits of the session let, and a batch more. */
static bool make_ring(struct bench *b)
{
    b->ring = (size_t)((b->inflight + 2 * 1024 * 1024) / b->size + b->records + 16);
    b->begun_us = calloc(b->ring, sizeof(*b->begun_us));
    return b->begun_us != NULL;
}

static int write_one(struct bench *b, struct weir_s2_producer *p, uint8_t *body, size_t len,
                     struct weir_s2_err *err)
{
    uint64_t now = time_mono_us();
    struct s2_record record = {.body = span_of(body, len)};
    chain_make(&b->made, body, len, now);
    b->begun_us[b->begun++ % b->ring] = now;
    return weir_s2_producer_append(p, &record, NULL, err);
}

/* Milliseconds until the next record is due; 0: now. */
static int early_ms(const struct bench *b, uint64_t begin_us)
{
    if (b->rate == 0)
        return 0;
    double due = (double)(b->begun * b->size) / ((double)b->rate * 1048576) * 1e6;
    double passed = (double)(time_mono_us() - begin_us);
    return due > passed ? (int)((due - passed) / 1000) + 1 : 0;
}

static int write_all(struct bench *b, struct weir_s2_producer *p, struct weir_s2_err *err)
{
    size_t len = (size_t)b->size - 8;
    uint8_t *body = malloc(len);
    struct meter meter;
    int rc = body ? 0 : err_set(&err->err, -ENOMEM, "out of memory");
    meter_begin(&meter, "write");
    uint64_t begin = meter.begun_us, end = begin + b->duration_ms * 1000;
    while (rc == 0 && time_mono_us() < end) {
        int early = early_ms(b, begin);
        rc = early > 0 ? weir_s2_producer_turn(p, early, err) : write_one(b, p, body, len, err);
        if (rc == 0 && early > 0 && weir_s2_producer_durable(p) == b->begun)
            s2c_backoff_sleep((uint64_t)early * 1000);
        meter.records = b->acked;
        meter.bytes = b->acked * b->size;
        meter_tick(&meter);
    }
    if (rc == 0)
        rc = weir_s2_producer_flush(p, err);
    b->write_s = (double)(time_mono_us() - begin) / 1e6;
    meter_end(&meter);
    free(body);
    return rc;
}

static int run_writer(struct bench *b)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_producer *p = NULL;
    struct weir_s2_producer_options o = WEIR_S2_PRODUCER_INIT;
    o.batch_records = (size_t)b->records;
    o.linger_ms = b->linger_ms;
    o.session.inflight_bytes = b->inflight;
    o.acked = on_ack;
    o.arg = b;
    int rc = weir_s2_producer_open(&p, b->args->s2, b->stream, &o, &err);
    if (rc == 0)
        rc = write_all(b, p, &err);
    weir_s2_producer_close(p);
    return rc == 0 ? 0 : args_fail(b->args, &err);
}

/* --- reading
 * --------------------------------------------------------------------------------------- */

static int take_batch(struct chain *chain, struct times *times, const struct weir_s2_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        uint64_t made = chain_check(chain, batch->records[i].body);
        if (chain->broken)
            return ERR_DAMAGED;
        if (times)
            times_add(times, time_mono_us() - made);
    }
    return 0;
}

static bool follow_is_over(struct bench *b)
{
    return atomic_load(&b->written) && b->followed.records >= atomic_load(&b->total);
}

static void *follow(void *arg)
{
    struct bench *b = arg;
    struct weir_s2_reader *r = NULL;
    struct weir_s2_batch batch;
    struct weir_s2_read what = {0};
    int rc = weir_s2_reader_open(&r, b->args->s2, b->stream, &what, &b->follow_err);
    while (rc == 0 && !follow_is_over(b)) {
        rc = weir_s2_reader_next(r, &batch, 100, &b->follow_err);
        if (rc == 0)
            rc = take_batch(&b->followed, &b->delivered, &batch);
        else if (rc == -EAGAIN)
            rc = 0;
    }
    weir_s2_reader_close(r);
    b->follow_rc = rc;
    return NULL;
}

static int catch_up(struct bench *b, struct chain *chain, double *seconds)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    struct weir_s2_reader *r = NULL;
    struct weir_s2_batch batch;
    struct meter meter;
    struct weir_s2_read what = {.has_count = true, .count = b->begun};
    int rc = weir_s2_reader_open(&r, b->args->s2, b->stream, &what, &err);
    meter_begin(&meter, "catch up");
    while (rc == 0) {
        rc = weir_s2_reader_next(r, &batch, -1, &err);
        if (rc == 0)
            rc = take_batch(chain, NULL, &batch);
        meter.records = chain->records;
        meter.bytes = chain->records * b->size;
        meter_tick(&meter);
    }
    *seconds = (double)(time_mono_us() - meter.begun_us) / 1e6;
    meter_end(&meter);
    weir_s2_reader_close(r);
    return rc == ERR_END || rc == ERR_DAMAGED ? 0 : args_fail(b->args, &err);
}

/* --- the whole
 * ------------------------------------------------------------------------------------- */

static int take_options(struct bench *b)
{
    struct args *args = b->args;
    uint64_t linger = 5;
    b->size = 8192;
    b->rate = 1;
    b->duration_ms = 60000;
    b->delay_ms = 20000;
    b->records = 1000;
    b->inflight = 5 * 1024 * 1024;
    int rc = args_u64(args, SIZE, &b->size, NULL);
    if (rc == 0)
        rc = args_u64(args, RATE, &b->rate, NULL);
    if (rc == 0)
        rc = args_duration(args, DURATION, &b->duration_ms, NULL);
    if (rc == 0)
        rc = args_duration(args, DELAY, &b->delay_ms, NULL);
    if (rc == 0)
        rc = args_u64(args, RECORDS, &b->records, NULL);
    if (rc == 0)
        rc = args_duration(args, LINGER, &linger, NULL);
    if (rc == 0)
        rc = args_u64(args, INFLIGHT, &b->inflight, NULL);
    b->linger_ms = linger < 60000 ? (unsigned)linger : 60000;
    if (rc == 0 && (b->size < 8 + CHAIN_HEAD || b->size > 1048576))
        rc = args_usage(args, "--record-size is from %d to 1048576", 8 + CHAIN_HEAD);
    if (rc == 0 && (b->records == 0 || b->records > 1000 || b->inflight < b->size ||
                    b->inflight > UINT64_C(1) << 32))
        rc = args_usage(args,
                        "--batch-records is from 1 to 1000, --inflight from a record to 4 GiB");
    return rc;
}

static int check(const struct bench *b, const char *who, const struct chain *chain)
{
    if (!chain->broken && chain->records == b->made.records && chain->hash == b->made.hash)
        return 0;
    return args_failf(b->args, "%s: %llu of %llu records%s", who,
                      (unsigned long long)chain->records, (unsigned long long)b->made.records,
                      chain->broken ? ", then one that does not follow" : "");
}

static void print_times(const char *what, const struct times *t)
{
    printf("%s ms: p50 %.3f  p90 %.3f  p99 %.3f\n", what, (double)times_percentile(t, 50) / 1000,
           (double)times_percentile(t, 90) / 1000, (double)times_percentile(t, 99) / 1000);
}

static int write_and_follow(struct bench *b)
{
    pthread_t thread;
    bool following = !args_has(b->args, NO_FOLLOW);
    if (following && pthread_create(&thread, NULL, follow, b) != 0)
        return args_failf(b->args, "no thread for the reader");
    int rc = run_writer(b);
    atomic_store(&b->total, rc == 0 ? b->begun : 0);
    atomic_store(&b->written, true);
    if (following)
        pthread_join(thread, NULL);
    if (rc != 0)
        return rc;
    printf("write: %.1f MiB/s, %llu records of %llu bytes in %.1f s\n",
           mib(b->begun, b->size) / b->write_s, (unsigned long long)b->begun,
           (unsigned long long)b->size, b->write_s);
    print_times("ack", &b->acks);
    if (!following)
        return 0;
    if (b->follow_rc != 0 && !b->followed.broken)
        return args_fail(b->args, &b->follow_err);
    print_times("delivery", &b->delivered);
    return check(b, "following", &b->followed);
}

static int run(struct bench *b)
{
    double seconds = 0;
    struct chain chain = CHAIN_INIT;
    int rc = write_and_follow(b);
    if (rc != 0)
        return rc;
    fflush(stdout);
    s2c_backoff_sleep(b->delay_ms * 1000);
    rc = catch_up(b, &chain, &seconds);
    if (rc != 0)
        return rc;
    printf("catch-up read: %.1f MiB/s in %.1f s\n",
           mib(chain.records, b->size) / (seconds > 0 ? seconds : 1e-6), seconds);
    rc = check(b, "catch-up read", &chain);
    if (rc == 0)
        printf("hash chain: ok\n");
    return rc;
}

static int with_stream(struct bench *b)
{
    struct weir_s2_err err = WEIR_S2_ERR_INIT;
    CLEAN_BUF config = BUF_INIT;
    char name[32] = "bench/";
    s2c_random_name(name + strlen(name), 12);
    b->stream.stream = name;
    int rc = stream_config_put(b->args, &config);
    if (rc == 0)
        rc = args_open(b->args, NULL);
    if (rc != 0)
        return rc;
    if (weir_s2_stream_ensure(b->args->s2, b->stream.basin, name, buf_cstr(&config), &err) != 0)
        return args_fail(b->args, &err);
    rc = make_ring(b) ? run(b) : args_failf(b->args, "out of memory");
    if (!args_has(b->args, KEEP) &&
        weir_s2_stream_delete(b->args->s2, b->stream.basin, name, &err) != 0 && rc == 0)
        rc = args_fail(b->args, &err);
    return rc;
}

static int exec(struct args *args)
{
    struct bench *b = calloc(1, sizeof(*b));
    CLEAN_BUF room = BUF_INIT;
    const char *rest;
    if (!b)
        return args_failf(args, "out of memory");
    b->args = args;
    b->made = b->followed = CHAIN_INIT;
    int rc = args_basin(args, args_operand(args, 0), &room, &b->stream.basin, &rest);
    if (rc == 0)
        rc = take_options(b);
    if (rc == 0)
        rc = with_stream(b);
    free(b->begun_us);
    free(b);
    return rc;
}

const struct verb verb_bench = {
    .name = "bench",
    .operands = "BASIN",
    .about = "measure writing, following and reading\n"
             "Makes a stream, writes records at a rate while it follows them, reads them all "
             "again, checks that\n"
             "each follows the one before, and deletes the stream. Latencies of acks are from the "
             "moment a\n"
             "record is given to the producer, so the linger is part of them.\n",
    .options = options,
    .options2 = stream_config_options,
    .min = 1,
    .max = 1,
    .exec = exec,
};
