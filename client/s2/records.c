#include "client/s2/records.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/s2/proto.h"
#include "client/s2/request.h"

uint64_t weir_s2_metered(const struct s2_record *record)
{
    return s2_metered(record);
}

/* --- append -------------------------------------------------------------------------------------
 */

int s2c_encode_input(struct buf *out, const struct weir_s2_input *input, uint64_t *metered,
                     struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    struct s2_input in = {
        .records = (struct s2_record *)(uintptr_t)input->records, /* only read */
        .count = input->count,
        .has_match = input->has_match,
        .match_seq_num = input->match_seq_num,
        .has_token = input->token != NULL,
        .token = span_str(input->token),
    };
    if (s2_input_check(&in, &why) != 0)
        return s2c_fail_local(err, &why);
    *metered = 0;
    for (size_t i = 0; i < input->count; i++)
        *metered += s2_metered(&input->records[i]);
    return s2_proto_put_input(out, &in) == 0 ? 0 : s2c_no_memory(err);
}

static int read_ack(const struct s2c_answer *answer, struct s2_ack *out, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    if (s2_proto_read_ack(out, buf_span(&answer->body), &why) == 0)
        return 0;
    return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "the ack: %s", why.text);
}

/* What an append ended with; a mismatch after an attempt whose answer was lost may be our own
 * doing. */
static int judge(struct weir_s2 *s2, struct weir_s2_stream to, struct span message,
                 const struct s2c_answer *answer, struct s2_ack *out, struct weir_s2_err *err)
{
    struct weir_s2_err why;
    if (!answer->in_doubt)
        return err->err.code;
    if (err->what != WEIR_S2_SEQ_NUM_MISMATCH) {
        err->no_effect = false;
        return err->err.code;
    }
    int found = s2c_find_input(s2, to, message, out, &why);
    if (found == 1)
        return 0;
    if (found == 0)
        return err->err.code;
    return s2c_fail(err, WEIR_S2_UNKNOWN_OUTCOME, ERR_UNKNOWN,
                    "it is not known whether the batch was appended: %s", why.err.text);
}

int weir_s2_append(struct weir_s2 *s2, struct weir_s2_stream to, const struct weir_s2_input *input,
                   struct s2_ack *out, struct weir_s2_err *err)
{
    struct weir_s2_err own = WEIR_S2_ERR_INIT;
    CLEAN_BUF path = BUF_INIT;
    CLEAN_BUF message = BUF_INIT;
    struct s2c_answer answer = {0};
    uint64_t metered;
    err = err ? err : &own;
    int rc = s2c_encode_input(&message, input, &metered, err);
    if (rc == 0 && s2c_stream_path(&path, to.stream, "/records") != 0)
        rc = s2c_no_memory(err);
    if (rc != 0)
        return rc;
    struct s2c_request r = {
        .method = "POST",
        .basin = to.basin,
        .path = buf_span(&path),
        .content_type = "application/protobuf",
        .accept = "application/protobuf",
        .body = buf_span(&message),
        .has_body = true,
        .of_records = true,
        .careful = s2->set.retry == WEIR_S2_RETRY_CERTAIN && !input->has_match,
    };
    rc = s2c_request(s2, &r, &answer, err);
    rc = rc == 0 ? read_ack(&answer, out, err)
                 : judge(s2, to, buf_span(&message), &answer, out, err);
    s2c_answer_finish(&answer);
    return rc;
}

/* --- commands ------------------------------------------------------------------------------------
 */

static int command(struct weir_s2 *s2, struct weir_s2_stream of, const char *name, struct span body,
                   const char *token, struct s2_ack *out, struct weir_s2_err *err)
{
    struct s2_header header = {.value = span_str(name)};
    struct s2_record record = {.headers = &header, .header_count = 1, .body = body};
    struct s2_ack ack;
    int rc = weir_s2_append(
        s2, of, &(struct weir_s2_input){.records = &record, .count = 1, .token = token}, &ack, err);
    if (rc == 0 && out)
        *out = ack;
    return rc;
}

int weir_s2_fence(struct weir_s2 *s2, struct weir_s2_stream of, const char *token, const char *next,
                  struct s2_ack *out, struct weir_s2_err *err)
{
    return command(s2, of, "fence", span_str(next), token, out, err);
}

int weir_s2_trim(struct weir_s2 *s2, struct weir_s2_stream of, uint64_t seq_num, const char *token,
                 struct s2_ack *out, struct weir_s2_err *err)
{
    uint8_t bytes[8];
    put_be64(bytes, seq_num);
    return command(s2, of, "trim", span_of(bytes, sizeof(bytes)), token, out, err);
}

/* --- tail and read
 * -------------------------------------------------------------------------------- */

static int get(struct weir_s2 *s2, const char *basin, struct span path, const char *accept,
               uint64_t more_ms, struct s2c_answer *answer, struct weir_s2_err *err)
{
    struct s2c_request r = {.method = "GET",
                            .basin = basin,
                            .path = path,
                            .accept = accept,
                            .of_records = true,
                            .more_ms = more_ms};
    return s2c_request(s2, &r, answer, err);
}

int s2c_read_query(struct buf *out, const struct weir_s2_read *what)
{
    static const char *const starts[] = {[WEIR_S2_FROM_SEQ_NUM] = "seq_num",
                                         [WEIR_S2_FROM_TIMESTAMP] = "timestamp",
                                         [WEIR_S2_FROM_TAIL_OFFSET] = "tail_offset"};
    int rc = buf_addf(out, "?%s=%llu", starts[what->from], (unsigned long long)what->start);
    if (rc == 0 && what->clamp)
        rc = buf_add_str(out, "&clamp=true");
    if (rc == 0 && what->has_count)
        rc = buf_addf(out, "&count=%llu", (unsigned long long)what->count);
    if (rc == 0 && what->has_bytes)
        rc = buf_addf(out, "&bytes=%llu", (unsigned long long)what->bytes);
    if (rc == 0 && what->has_until)
        rc = buf_addf(out, "&until=%llu", (unsigned long long)what->until);
    if (rc == 0 && what->has_wait)
        rc = buf_addf(out, "&wait=%llu", (unsigned long long)what->wait_s);
    return rc;
}

/* The answer whose bytes the batch points into. */
struct held {
    struct s2c_answer answer;
    struct s2_batch batch;
};

static void release(struct held *held)
{
    s2_batch_finish(&held->batch);
    s2c_answer_finish(&held->answer);
    free(held);
}

void weir_s2_batch_finish(struct weir_s2_batch *batch)
{
    if (batch->held)
        release(batch->held);
    *batch = (struct weir_s2_batch){0};
}

static int take_batch(struct held *held, struct weir_s2_batch *out, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    if (s2_proto_read_batch(&held->batch, buf_span(&held->answer.body), &why) != 0)
        return s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "the batch: %s", why.text);
    *out = (struct weir_s2_batch){
        .records = held->batch.records,
        .count = held->batch.count,
        .has_tail = held->batch.has_tail,
        .tail = held->batch.tail,
        .held = held,
    };
    return 0;
}

int weir_s2_read(struct weir_s2 *s2, struct weir_s2_stream of, const struct weir_s2_read *what,
                 struct weir_s2_batch *out, struct weir_s2_err *err)
{
    CLEAN_BUF path = BUF_INIT;
    struct held *held = calloc(1, sizeof(*held));
    uint64_t wait_ms = what->has_wait ? (what->wait_s < 60 ? what->wait_s : 60) * 1000 : 0;
    if (!held || s2c_stream_path(&path, of.stream, "/records") != 0 ||
        s2c_read_query(&path, what) != 0) {
        free(held);
        return s2c_no_memory(err);
    }
    int rc =
        get(s2, of.basin, buf_span(&path), "application/protobuf", wait_ms, &held->answer, err);
    if (rc == 0)
        rc = take_batch(held, out, err);
    if (rc != 0)
        release(held);
    return rc;
}

/* TailResponse is JSON: its shape is that of a 416, whose reader is in fault.c. */
int weir_s2_tail(struct weir_s2 *s2, struct weir_s2_stream of, struct s2_position *out,
                 struct weir_s2_err *err)
{
    CLEAN_BUF path = BUF_INIT;
    struct s2c_answer answer = {0};
    struct weir_s2_err parsed;
    if (s2c_stream_path(&path, of.stream, "/records/tail") != 0)
        return s2c_no_memory(err);
    int rc = get(s2, of.basin, buf_span(&path), "application/json", 0, &answer, err);
    if (rc == 0) {
        s2c_fail_answer(&parsed, 416, buf_span(&answer.body), 0);
        if (parsed.what == WEIR_S2_OUT_OF_RANGE)
            *out = parsed.tail;
        else
            rc = s2c_fail(err, WEIR_S2_TRANSPORT, ERR_REMOTE, "the answer holds no tail");
    }
    s2c_answer_finish(&answer);
    return rc;
}

/* --- looking up what became of an append ---------------------------------------------------------
 */

static bool same_record(const struct s2_record *a, const struct s2_record *b)
{
    if (a->header_count != b->header_count || !span_eq(a->body, b->body))
        return false;
    for (size_t i = 0; i < a->header_count; i++) {
        if (!span_eq(a->headers[i].name, b->headers[i].name) ||
            !span_eq(a->headers[i].value, b->headers[i].value))
            return false;
    }
    return true;
}

/* Takes the records of a batch that are the next ones of the input. False: another stands there. */
static bool compare(const struct weir_s2_batch *batch, const struct s2_input *input, size_t *at,
                    struct s2_ack *out)
{
    for (size_t i = 0; i < batch->count && *at < input->count; i++, ++*at) {
        const struct s2_record *r = &batch->records[i];
        if (r->seq_num != input->match_seq_num + *at || !same_record(r, &input->records[*at]))
            return false;
        if (*at == 0)
            out->start = (struct s2_position){r->seq_num, r->timestamp};
        out->end = (struct s2_position){r->seq_num + 1, r->timestamp};
    }
    return true;
}

static int find(struct weir_s2 *s2, struct weir_s2_stream of, const struct s2_input *input,
                struct s2_ack *out, struct weir_s2_err *err)
{
    size_t at = 0;
    while (at < input->count) {
        struct weir_s2_batch batch = {0};
        struct weir_s2_read what = {
            .start = input->match_seq_num + at, .has_count = true, .count = input->count - at};
        int rc = weir_s2_read(s2, of, &what, &batch, err);
        if (rc == ERR_RANGE)
            return 0;
        if (rc != 0)
            return rc;
        size_t before = at;
        bool gone = batch.count > 0 && batch.records[0].seq_num > what.start;
        bool same = compare(&batch, input, &at, out);
        weir_s2_batch_finish(&batch);
        if (gone)
            return s2c_fail(err, WEIR_S2_UNKNOWN_OUTCOME, ERR_UNKNOWN,
                            "its place in the stream was trimmed");
        if (!same || at == before)
            return 0;
    }
    int rc = weir_s2_tail(s2, of, &out->tail, err);
    return rc == 0 ? 1 : rc;
}

int s2c_find_input(struct weir_s2 *s2, struct weir_s2_stream of, struct span message,
                   struct s2_ack *out, struct weir_s2_err *err)
{
    CLEAN_S2_INPUT input = {0};
    struct err why = ERR_INIT;
    if (s2_proto_read_input(&input, message, &why) != 0)
        return s2c_fail_local(err, &why);
    return find(s2, of, &input, out, err);
}
