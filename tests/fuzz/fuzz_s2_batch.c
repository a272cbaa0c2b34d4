/*
 * Any bytes as a ReadBatch or an AppendAck: what is read is written and read again as the same, and
 * its JSON is JSON.
 */
#include <stdlib.h>

#include "base/json.h"
#include "base/s2/json.h"
#include "base/s2/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void demand_json(const struct s2_record *record)
{
    CLEAN_BUF text = BUF_INIT;
    for (enum s2_format format = S2_RAW; format <= S2_BASE64; format++) {
        buf_reset(&text);
        demand(s2_json_put_record(&text, record, format) == 0);
        demand(json_validate(buf_span(&text), 4, NULL, NULL) == 0);
    }
}

static void demand_same(const struct s2_record *a, const struct s2_record *b)
{
    demand(a->seq_num == b->seq_num && a->timestamp == b->timestamp && span_eq(a->body, b->body));
    demand(a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++)
        demand(span_eq(a->headers[i].name, b->headers[i].name) &&
               span_eq(a->headers[i].value, b->headers[i].value));
}

static void try_batch(struct span message)
{
    struct s2_batch batch = {0};
    struct s2_batch again = {0};
    CLEAN_BUF out = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = s2_proto_read_batch(&batch, message, &err);
    demand(rc == 0 || (rc == ERR_FORMAT && err.text[0] != '\0' && !batch.records));
    for (size_t i = 0; i < batch.count; i++) {
        demand(s2_proto_put_record(&out, &batch.records[i]) == 0);
        demand_json(&batch.records[i]);
    }
    if (batch.has_tail)
        demand(s2_proto_put_tail(&out, &batch.tail) == 0);
    demand(s2_proto_read_batch(&again, buf_span(&out), NULL) == 0);
    demand(again.count == batch.count && again.has_tail == batch.has_tail);
    demand(again.tail.seq_num == batch.tail.seq_num &&
           again.tail.timestamp == batch.tail.timestamp);
    for (size_t i = 0; i < batch.count; i++)
        demand_same(&batch.records[i], &again.records[i]);
    s2_batch_finish(&batch);
    s2_batch_finish(&again);
}

static void try_ack(struct span message)
{
    struct s2_ack ack = {0};
    struct s2_ack again = {0};
    CLEAN_BUF out = BUF_INIT;
    if (s2_proto_read_ack(&ack, message, NULL) < 0)
        return;
    demand(s2_proto_put_ack(&out, &ack) == 0);
    demand(s2_proto_read_ack(&again, buf_span(&out), NULL) == 0);
    demand(memcmp(&ack, &again, sizeof(ack)) == 0);
    buf_reset(&out);
    demand(s2_json_put_ack(&out, &ack) == 0 && json_validate(buf_span(&out), 2, NULL, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_batch(span_of(data, size));
    try_ack(span_of(data, size));
    return 0;
}
