/*
 * Any bytes as an append, in JSON, JSON with base64, or protobuf (the first byte says which): what
 * is read is written as protobuf and read again as the same; what passes the check keeps the
 * limits.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/s2/json.h"
#include "base/s2/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void demand_same(const struct s2_record *a, const struct s2_record *b)
{
    demand(a->has_timestamp == b->has_timestamp && a->timestamp == b->timestamp &&
           span_eq(a->body, b->body));
    demand(a->header_count == b->header_count);
    for (size_t i = 0; i < a->header_count; i++)
        demand(span_eq(a->headers[i].name, b->headers[i].name) &&
               span_eq(a->headers[i].value, b->headers[i].value));
}

static void demand_kept(const struct s2_input *in)
{
    CLEAN_BUF out = BUF_INIT;
    CLEAN_S2_INPUT again = {0};
    demand(s2_proto_put_input(&out, in) == 0);
    demand(s2_proto_read_input(&again, buf_span(&out), NULL) == 0);
    demand(again.count == in->count && again.has_match == in->has_match &&
           again.has_token == in->has_token);
    demand(again.match_seq_num == in->match_seq_num && span_eq(again.token, in->token));
    for (size_t i = 0; i < in->count; i++)
        demand_same(&again.records[i], &in->records[i]);
}

static void demand_limits(const struct s2_input *in)
{
    uint64_t metered = 0;
    demand(in->count > 0 && in->count <= S2_RECORDS_MAX &&
           (!in->has_token || in->token.len <= S2_TOKEN_MAX));
    for (size_t i = 0; i < in->count; i++)
        metered += s2_metered(&in->records[i]);
    demand(metered <= S2_METERED_MAX);
}

static int read_input(struct s2_input *in, uint8_t how, struct span text, struct err *err)
{
    switch (how % 3) {
    case 0:
        return s2_json_read_input(in, text, S2_RAW, err);
    case 1:
        return s2_json_read_input(in, text, S2_BASE64, err);
    default:
        return s2_proto_read_input(in, text, err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_S2_INPUT in = {0};
    struct err err = ERR_INIT;
    if (size == 0)
        return 0;
    int rc = read_input(&in, data[0], span_of(data + 1, size - 1), &err);
    if (rc < 0) {
        demand(err.code == rc && err.text[0] != '\0' && !in.records && !in.headers && !in.bytes);
        demand(rc == ERR_FORMAT || (rc == ERR_INVALID && data[0] % 3 == 1));
        return 0;
    }
    demand_kept(&in);
    if (s2_input_check(&in, NULL) == 0)
        demand_limits(&in);
    return 0;
}
