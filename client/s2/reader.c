/* Read sessions: batches as they come, and the way back behind the last record when the connection
 * goes. */
#include <errno.h>
#include <stdlib.h>

#include "base/s2/proto.h"
#include "base/text.h"
#include "client/s2/backoff.h"
#include "client/s2/records.h"
#include "client/s2/request.h"
#include "client/s2/session.h"

struct weir_s2_reader {
    const struct weir_s2 *s2;
    char *basin, *stream;
    struct weir_s2_read what; /* what is still wanted */
    struct s2c_session session;
    struct s2c_backoff backoff;
    struct s2_batch batch;
    size_t at; /* of _record, in the batch */
    bool has_batch;
    bool begun; /* records or a tail came: what.start is where to go on */
    bool ended;
    uint64_t heard_us, retry_us;
    bool spoiled;
    struct weir_s2_err why;
};

int weir_s2_reader_open(struct weir_s2_reader **out, struct weir_s2 *s2, struct weir_s2_stream of,
                        const struct weir_s2_read *what, struct weir_s2_err *err)
{
    struct weir_s2_reader *r = calloc(1, sizeof(*r));
    if (!r)
        return s2c_no_memory(err);
    r->s2 = s2;
    r->what = *what;
    r->basin = strdup(of.basin);
    r->stream = strdup(of.stream);
    if (!r->basin || !r->stream) {
        weir_s2_reader_close(r);
        return s2c_no_memory(err);
    }
    *out = r;
    return 0;
}

void weir_s2_reader_close(struct weir_s2_reader *r)
{
    if (!r)
        return;
    s2_batch_finish(&r->batch);
    s2c_session_finish(&r->session);
    free(r->basin);
    free(r->stream);
    free(r);
}

static int spoil(struct weir_s2_reader *r, const struct weir_s2_err *why)
{
    r->spoiled = true;
    r->why = *why;
    s2c_session_drop(&r->session);
    return why->err.code;
}

/* The session failed. 0: it will be tried again. */
static int lost(struct weir_s2_reader *r, const struct weir_s2_err *why)
{
    uint64_t wait_us;
    s2c_session_drop(&r->session);
    /* All that was there came, and nothing may follow. */
    if (why->what == WEIR_S2_OUT_OF_RANGE && r->begun && why->tail.seq_num == r->what.start)
        r->ended = true;
    if (r->ended)
        return ERR_END;
    if (!why->retryable ||
        !s2c_backoff_next(&r->backoff, &r->s2->set, why->retry_after_ms, &wait_us))
        return spoil(r, why);
    r->retry_us = time_mono_us() + wait_us;
    return 0;
}

/* --- what came
 * ------------------------------------------------------------------------------------- */

static void count_down(uint64_t *left, uint64_t by)
{
    *left = *left > by ? *left - by : 0;
}

/* A session that comes back goes on behind this batch, with what is left of its limits. */
static void move_on(struct weir_s2_reader *r)
{
    const struct s2_batch *b = &r->batch;
    uint64_t bytes = 0;
    for (size_t i = 0; i < b->count; i++)
        bytes += s2_metered(&b->records[i]);
    if (b->count > 0) {
        r->what.from = WEIR_S2_FROM_SEQ_NUM;
        r->what.start = b->records[b->count - 1].seq_num + 1;
        r->what.clamp = false;
        r->begun = true;
        r->backoff.failed = 0;
    } else if (b->has_tail && !r->begun) {
        r->what.from = WEIR_S2_FROM_SEQ_NUM;
        r->what.start = b->tail.seq_num;
        r->what.clamp = false;
        r->begun = true;
    }
    count_down(&r->what.count, b->count);
    count_down(&r->what.bytes, bytes);
}

/* Records that were given before are never given again. */
static void drop_old(struct weir_s2_reader *r)
{
    struct s2_batch *b = &r->batch;
    size_t old = 0;
    while (r->begun && old < b->count && b->records[old].seq_num < r->what.start)
        old++;
    if (old == 0)
        return;
    b->count -= old;
    memmove(b->records, b->records + old, b->count * sizeof(*b->records));
}

/* 1: a batch stands in r->batch. */
static int take_message(struct weir_s2_reader *r, struct span message, struct weir_s2_err *why)
{
    struct err bad = ERR_INIT;
    s2_batch_finish(&r->batch);
    r->batch = (struct s2_batch){0};
    if (s2_proto_read_batch(&r->batch, message, &bad) != 0)
        return s2c_fail(why, WEIR_S2_TRANSPORT, ERR_REMOTE, "a batch: %s", bad.text);
    if (r->batch.count == 0 && !r->batch.has_tail)
        return s2c_fail(why, WEIR_S2_TRANSPORT, ERR_REMOTE, "a batch without records and tail");
    drop_old(r);
    move_on(r);
    r->at = 0;
    r->has_batch = true;
    return 1;
}

/* 1: a batch; 0: none yet; ERR_END, or spoiled. */
static int take(struct weir_s2_reader *r)
{
    struct weir_s2_err why;
    struct span message;
    int rc = s2c_session_next(&r->session, &message, &why);
    if (rc == ERR_END && r->session.reconnect) {
        s2c_session_drop(&r->session);
        return 0;
    }
    if (rc == ERR_END) {
        s2c_session_drop(&r->session);
        r->ended = true;
        return ERR_END;
    }
    if (rc == 1) {
        r->heard_us = time_mono_us();
        rc = take_message(r, message, &why);
    }
    return rc < 0 ? lost(r, &why) : rc;
}

static int connect_now(struct weir_s2_reader *r, uint64_t deadline)
{
    CLEAN_BUF path = BUF_INIT;
    struct weir_s2_err why;
    uint64_t now = time_mono_us();
    if (now < r->retry_us) {
        s2c_backoff_sleep((r->retry_us < deadline ? r->retry_us
                           : deadline > now       ? deadline
                                                  : now) -
                          now);
        if (time_mono_us() < r->retry_us)
            return 0;
    }
    if (r->begun &&
        ((r->what.has_count && r->what.count == 0) || (r->what.has_bytes && r->what.bytes == 0))) {
        r->ended = true;
        return ERR_END;
    }
    int rc = s2c_stream_path(&path, r->stream, "/records");
    if (rc == 0)
        rc = s2c_read_query(&path, &r->what);
    if (rc == 0)
        rc = s2c_session_open(&r->session, r->s2, r->basin, "GET", buf_span(&path), &why);
    else
        s2c_no_memory(&why);
    r->heard_us = time_mono_us();
    return rc == 0 ? 0 : lost(r, &why);
}

static uint64_t patience(const struct weir_s2_reader *r)
{
    uint64_t ms = r->session.flow.head ? r->s2->set.silence_ms : r->s2->set.request_ms;
    return r->heard_us + ms * 1000;
}

/* 1: a batch. */
static int turn(struct weir_s2_reader *r, uint64_t deadline)
{
    struct weir_s2_err why;
    int rc = 0;
    if (!r->session.conn)
        rc = connect_now(r, deadline);
    if (rc != 0 || !r->session.conn)
        return rc;
    rc = take(r);
    if (rc != 0 || !r->session.conn)
        return rc;
    if (r->session.reconnect) { /* behind a whole batch is a good place to go */
        s2c_session_drop(&r->session);
        return 0;
    }
    uint64_t end = patience(r);
    int moved = s2c_session_turn(&r->session, end < deadline ? end : deadline);
    rc = take(r);
    if (rc == 0 && moved == 0 && r->session.conn && time_mono_us() >= patience(r)) {
        s2c_fail(&why, WEIR_S2_TIMEOUT, -ETIMEDOUT, "nothing came for too long");
        rc = lost(r, &why);
    }
    return rc;
}

/* --- the calls
 * -------------------------------------------------------------------------------------- */

static int wait_for_batch(struct weir_s2_reader *r, uint64_t deadline, struct weir_s2_err *err)
{
    r->has_batch = false;
    for (;;) {
        if (r->spoiled)
            return s2c_fail_again(err, &r->why);
        if (r->ended)
            return s2c_fail(err, WEIR_S2_OK, ERR_END, "all was read");
        int rc = turn(r, deadline);
        if (rc == 1)
            return 0;
        if (rc == 0 && time_mono_us() >= deadline)
            return s2c_fail(err, WEIR_S2_LOCAL, -EAGAIN, "nothing yet");
    }
}

int weir_s2_reader_next(struct weir_s2_reader *r, struct weir_s2_batch *out, int wait_ms,
                        struct weir_s2_err *err)
{
    uint64_t deadline = wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
    int rc = wait_for_batch(r, deadline, err);
    if (rc != 0)
        return rc;
    r->at = r->batch.count;
    *out = (struct weir_s2_batch){.records = r->batch.records,
                                  .count = r->batch.count,
                                  .has_tail = r->batch.has_tail,
                                  .tail = r->batch.tail};
    return 0;
}

int weir_s2_reader_record(struct weir_s2_reader *r, struct s2_record *out, int wait_ms,
                          struct weir_s2_err *err)
{
    uint64_t deadline = wait_ms < 0 ? UINT64_MAX : time_mono_us() + (uint64_t)wait_ms * 1000;
    while (!r->has_batch || r->at == r->batch.count) {
        int rc = wait_for_batch(r, deadline, err);
        if (rc != 0)
            return rc;
    }
    *out = r->batch.records[r->at++];
    return 0;
}

bool weir_s2_reader_position(const struct weir_s2_reader *r, uint64_t *seq_num)
{
    if (r->begun)
        *seq_num = r->has_batch && r->at < r->batch.count ? r->batch.records[r->at].seq_num
                                                          : r->what.start;
    return r->begun;
}

int weir_s2_reader_fd(const struct weir_s2_reader *r)
{
    return r->session.conn ? s2c_conn_fd(r->session.conn) : -1;
}
