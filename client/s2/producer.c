/* Producer: single records into batches, batches into an append session, acks back to records. */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "client/s2/batch.h"
#include "client/s2/fault.h"

struct weir_s2_producer {
    struct weir_s2 *s2;
    struct weir_s2_producer_options options;
    char *basin, *stream, *token;
    struct weir_s2_appender *session;
    struct s2c_batch batch;
    bool knows_next; /* next_match is the seq_num of the next batch */
    uint64_t next_match;
    uint64_t numbers, durable;
};

static bool keep(char **out, const char *text)
{
    *out = text ? strdup(text) : NULL;
    return !text || *out;
}

int weir_s2_producer_open(struct weir_s2_producer **out, struct weir_s2 *s2,
                          struct weir_s2_stream to, const struct weir_s2_producer_options *options,
                          struct weir_s2_err *err)
{
    struct weir_s2_producer *p = calloc(1, sizeof(*p));
    if (!p)
        return s2c_no_memory(err);
    p->s2 = s2;
    p->options = options ? *options : WEIR_S2_PRODUCER_INIT;
    p->knows_next = p->options.has_match;
    p->next_match = p->options.match_seq_num;
    s2c_batch_init(&p->batch, p->options.batch_records, p->options.batch_bytes);
    int rc = keep(&p->basin, to.basin) && keep(&p->stream, to.stream) &&
                     keep(&p->token, p->options.token)
                 ? 0
                 : s2c_no_memory(err);
    if (rc == 0)
        rc = weir_s2_appender_open(&p->session, s2, to, &p->options.session, err);
    if (rc != 0) {
        weir_s2_producer_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void weir_s2_producer_close(struct weir_s2_producer *p)
{
    if (!p)
        return;
    weir_s2_appender_close(p->session);
    s2c_batch_finish(&p->batch);
    free(p->basin);
    free(p->stream);
    free(p->token);
    free(p);
}

/* Records of one ack follow each other in the stream. */
static void tell(struct weir_s2_producer *p, const struct s2_ack *ack)
{
    for (uint64_t seq_num = ack->start.seq_num; seq_num < ack->end.seq_num; seq_num++) {
        if (p->options.acked)
            p->options.acked(p->options.arg, p->durable, seq_num);
        p->durable++;
    }
}

static int take_acks(struct weir_s2_producer *p, struct weir_s2_err *err)
{
    struct weir_s2_err why;
    struct s2_ack ack;
    uint64_t ticket;
    int rc;
    while ((rc = weir_s2_appender_ack(p->session, &ticket, &ack, 0, &why)) == 0)
        tell(p, &ack);
    return rc == -EAGAIN || rc == ERR_END ? 0 : s2c_fail_again(err, &why);
}

/* Without a place to begin the tail is it: whoever appends meanwhile makes the first batch fail. A
 * stream that is not there yet may be made by the first append. */
static int learn_next(struct weir_s2_producer *p, struct weir_s2_err *err)
{
    struct weir_s2_err why;
    struct s2_position tail = {0};
    if (p->knows_next || !p->options.idempotent)
        return 0;
    int rc = weir_s2_tail(p->s2, (struct weir_s2_stream){p->basin, p->stream}, &tail, &why);
    if (rc != 0 && why.what != WEIR_S2_STREAM_NOT_FOUND)
        return s2c_fail_again(err, &why);
    p->next_match = tail.seq_num;
    p->knows_next = true;
    return 0;
}

static int send(struct weir_s2_producer *p, struct weir_s2_err *err)
{
    size_t count = p->batch.count;
    int rc = learn_next(p, err);
    if (rc != 0 || count == 0)
        return rc;
    struct weir_s2_input input = {
        .records = s2c_batch_records(&p->batch),
        .count = count,
        .has_match = p->options.idempotent || p->options.has_match,
        .match_seq_num = p->next_match,
        .token = p->token,
    };
    rc = weir_s2_appender_submit(p->session, &input, NULL, err);
    if (rc != 0)
        return rc;
    p->next_match += count;
    s2c_batch_reset(&p->batch);
    return take_acks(p, err);
}

int weir_s2_producer_append(struct weir_s2_producer *p, const struct s2_record *record,
                            uint64_t *number, struct weir_s2_err *err)
{
    int rc = s2c_batch_check(record, err);
    if (rc == 0 && !s2c_batch_fits(&p->batch, record))
        rc = send(p, err);
    if (rc == 0 && s2c_batch_add(&p->batch, record) != 0)
        rc = s2c_no_memory(err);
    if (rc != 0)
        return rc;
    if (number)
        *number = p->numbers;
    p->numbers++;
    if (s2c_batch_full(&p->batch) || weir_s2_producer_due(p) == 0) {
        rc = send(p, err);
        /* With never_block the record is taken and its batch goes later. */
        return rc == -EAGAIN ? 0 : rc;
    }
    return 0;
}

int weir_s2_producer_due(const struct weir_s2_producer *p)
{
    if (p->batch.count == 0)
        return -1;
    uint64_t passed = (time_mono_us() - p->batch.begun_us) / 1000;
    return passed >= p->options.linger_ms ? 0 : (int)(p->options.linger_ms - passed);
}

int weir_s2_producer_turn(struct weir_s2_producer *p, int wait_ms, struct weir_s2_err *err)
{
    int due = weir_s2_producer_due(p);
    int rc = due == 0 ? send(p, err) : 0;
    if (rc != 0 && rc != -EAGAIN)
        return rc;
    due = weir_s2_producer_due(p);
    if (due >= 0 && (wait_ms < 0 || due < wait_ms))
        wait_ms = due;
    size_t batches;
    uint64_t bytes;
    weir_s2_appender_inflight(p->session, &batches, &bytes);
    rc = batches > 0 ? weir_s2_appender_turn(p->session, wait_ms, err) : 0;
    return rc == 0 ? take_acks(p, err) : rc;
}

int weir_s2_producer_flush(struct weir_s2_producer *p, struct weir_s2_err *err)
{
    int rc = 0;
    while (rc == 0 && p->batch.count > 0) {
        rc = send(p, err);
        if (rc == -EAGAIN)
            rc = weir_s2_appender_turn(p->session, -1, err);
    }
    if (rc == 0)
        rc = weir_s2_appender_flush(p->session, err);
    /* What did get its ack before a failure is told all the same. */
    int more = take_acks(p, rc == 0 ? err : NULL);
    return rc == 0 ? more : rc;
}

uint64_t weir_s2_producer_durable(const struct weir_s2_producer *p)
{
    return p->durable;
}

int weir_s2_producer_fd(const struct weir_s2_producer *p, bool *wants_write)
{
    return weir_s2_appender_fd(p->session, wants_write);
}
