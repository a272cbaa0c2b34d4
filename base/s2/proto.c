#include "base/s2/proto.h"

#include <errno.h>
#include <stdlib.h>

#include "base/s2/wire.h"
#include "base/utf8.h"

/* Fields by message; the wire's numbers. */
enum { POSITION_SEQ = 1, POSITION_TIMESTAMP = 2 };
enum { HEADER_NAME = 1, HEADER_VALUE = 2 };
enum { INPUT_RECORDS = 1, INPUT_MATCH = 2, INPUT_TOKEN = 3 };
enum { ACK_START = 1, ACK_END = 2, ACK_TAIL = 3 };
enum { BATCH_RECORDS = 1, BATCH_TAIL = 2 };
/* AppendRecord begins with a timestamp, SequencedRecord with a seq_num before it. */
struct record_fields {
    uint32_t seq_num, timestamp, headers, body;
};
static const struct record_fields append_record = {
    .seq_num = 0, .timestamp = 1, .headers = 2, .body = 3};
static const struct record_fields sequenced_record = {
    .seq_num = 1, .timestamp = 2, .headers = 3, .body = 4};

/* Of an append more is refused by s2_input_check; what comes after is not kept, so that a small
 * message does not ask for much memory. */
#define RECORDS_KEPT (S2_RECORDS_MAX + 1)
#define HEADERS_KEPT (S2_METERED_MAX / 2 + 1)
#define ITEMS_FIRST 16

/* --- reading ---------------------------------------------------------------------------------- */

/* The lists of an input or a batch while they grow. */
struct reader {
    struct s2_record *records;
    size_t count, cap, max;
    struct s2_header *headers;
    size_t header_count, header_cap, header_max;
    const struct record_fields *fields;
};

/* The list with room for one more; NULL without memory, and then it is as it was. */
static void *more(void *items, size_t size, size_t count, size_t *cap)
{
    if (count < *cap)
        return items;
    size_t larger = *cap ? *cap * 2 : ITEMS_FIRST;
    void *moved = realloc(items, larger * size);
    if (moved)
        *cap = larger;
    return moved;
}

static int read_header(struct s2_header *out, struct span message)
{
    struct wire_field field;
    int rc;
    *out = (struct s2_header){0};
    while ((rc = wire_next(&field, &message)) > 0) {
        if (wire_is(&field, HEADER_NAME, WIRE_BYTES))
            out->name = field.bytes;
        else if (wire_is(&field, HEADER_VALUE, WIRE_BYTES))
            out->value = field.bytes;
    }
    return rc;
}

static int add_header(struct reader *r, struct span message)
{
    struct s2_header header;
    int rc = read_header(&header, message);
    if (rc < 0 || r->header_count == r->header_max)
        return rc;
    struct s2_header *headers = more(r->headers, sizeof(header), r->header_count, &r->header_cap);
    if (!headers)
        return -ENOMEM;
    r->headers = headers;
    headers[r->header_count++] = header;
    return 0;
}

static int read_record(struct reader *r, struct s2_record *out, struct span message)
{
    const struct record_fields *fields = r->fields;
    struct wire_field field;
    size_t headers_before = r->header_count;
    int rc;
    *out = (struct s2_record){.has_timestamp = fields->seq_num != 0};
    while ((rc = wire_next(&field, &message)) > 0) {
        if (wire_is(&field, fields->body, WIRE_BYTES)) {
            out->body = field.bytes;
        } else if (wire_is(&field, fields->headers, WIRE_BYTES)) {
            rc = add_header(r, field.bytes);
        } else if (wire_is(&field, fields->timestamp, WIRE_VARINT)) {
            out->has_timestamp = true;
            out->timestamp = field.value;
        } else if (wire_is(&field, fields->seq_num, WIRE_VARINT)) {
            out->seq_num = field.value;
        }
        if (rc < 0)
            return rc;
    }
    out->header_count = r->header_count - headers_before;
    return rc;
}

static int add_record(struct reader *r, struct span message)
{
    struct s2_record record;
    int rc = read_record(r, &record, message);
    if (rc < 0 || r->count == r->max)
        return rc;
    struct s2_record *records = more(r->records, sizeof(record), r->count, &r->cap);
    if (!records)
        return -ENOMEM;
    r->records = records;
    records[r->count++] = record;
    return 0;
}

/* Their list does not move any more. */
static void point_to_headers(struct reader *r)
{
    const struct s2_header *next = r->headers;
    for (size_t i = 0; i < r->count && next; i++) {
        r->records[i].headers = next;
        next += r->records[i].header_count;
    }
}

static int refuse(int rc, const char *what, struct err *err)
{
    if (rc == ERR_FORMAT)
        return err_set(err, rc, "not a protobuf message: %s", what);
    return err_set(err, rc, "no memory for %s", what);
}

/* Fields that come twice are merged, as protobuf wants it. */
static int read_position(struct s2_position *out, struct span message)
{
    struct wire_field field;
    int rc;
    while ((rc = wire_next(&field, &message)) > 0) {
        if (wire_is(&field, POSITION_SEQ, WIRE_VARINT))
            out->seq_num = field.value;
        else if (wire_is(&field, POSITION_TIMESTAMP, WIRE_VARINT))
            out->timestamp = field.value;
    }
    return rc;
}

static int read_token(struct s2_input *input, struct span token)
{
    if (!utf8_valid(token))
        return ERR_FORMAT;
    input->has_token = true;
    input->token = token;
    return 0;
}

static int read_input(struct reader *r, struct s2_input *input, struct span message)
{
    struct wire_field field;
    int rc;
    while ((rc = wire_next(&field, &message)) > 0) {
        if (wire_is(&field, INPUT_RECORDS, WIRE_BYTES)) {
            rc = add_record(r, field.bytes);
        } else if (wire_is(&field, INPUT_MATCH, WIRE_VARINT)) {
            input->has_match = true;
            input->match_seq_num = field.value;
        } else if (wire_is(&field, INPUT_TOKEN, WIRE_BYTES)) {
            rc = read_token(input, field.bytes);
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}

int s2_proto_read_input(struct s2_input *out, struct span message, struct err *err)
{
    struct s2_input input = {0};
    struct reader r = {.fields = &append_record, .max = RECORDS_KEPT, .header_max = HEADERS_KEPT};
    int rc = read_input(&r, &input, message);
    point_to_headers(&r);
    input.records = r.records;
    input.count = r.count;
    input.headers = r.headers;
    if (rc < 0) {
        s2_input_finish(&input);
        return refuse(rc, "AppendInput", err);
    }
    s2_input_finish(out);
    *out = input;
    return 0;
}

int s2_proto_read_ack(struct s2_ack *out, struct span message, struct err *err)
{
    struct s2_ack ack = {0};
    struct wire_field field;
    int rc;
    while ((rc = wire_next(&field, &message)) > 0) {
        if (wire_is(&field, ACK_START, WIRE_BYTES))
            rc = read_position(&ack.start, field.bytes);
        else if (wire_is(&field, ACK_END, WIRE_BYTES))
            rc = read_position(&ack.end, field.bytes);
        else if (wire_is(&field, ACK_TAIL, WIRE_BYTES))
            rc = read_position(&ack.tail, field.bytes);
        if (rc < 0)
            break;
    }
    if (rc < 0)
        return refuse(rc, "AppendAck", err);
    *out = ack;
    return 0;
}

static int read_batch(struct reader *r, struct s2_batch *batch, struct span message)
{
    struct wire_field field;
    int rc;
    while ((rc = wire_next(&field, &message)) > 0) {
        if (wire_is(&field, BATCH_RECORDS, WIRE_BYTES)) {
            rc = add_record(r, field.bytes);
        } else if (wire_is(&field, BATCH_TAIL, WIRE_BYTES)) {
            batch->has_tail = true;
            rc = read_position(&batch->tail, field.bytes);
        }
        if (rc < 0)
            return rc;
    }
    return rc;
}

int s2_proto_read_batch(struct s2_batch *out, struct span message, struct err *err)
{
    struct s2_batch batch = {0};
    struct reader r = {.fields = &sequenced_record, .max = SIZE_MAX, .header_max = SIZE_MAX};
    int rc = read_batch(&r, &batch, message);
    point_to_headers(&r);
    batch.records = r.records;
    batch.count = r.count;
    batch.headers = r.headers;
    if (rc < 0) {
        s2_batch_finish(&batch);
        return refuse(rc, "ReadBatch", err);
    }
    s2_batch_finish(out);
    *out = batch;
    return 0;
}

/* --- writing: first how long, then without looking for room ----------------------------------- */

static size_t bytes_size(struct span bytes)
{
    return bytes.len > 0 ? wire_size_bytes(bytes.len) : 0;
}

static uint8_t *put_bytes(uint8_t *at, unsigned number, struct span bytes)
{
    return bytes.len > 0 ? wire_put_bytes(at, number, bytes) : at;
}

static uint8_t *put_number(uint8_t *at, unsigned number, uint64_t value)
{
    return value > 0 ? wire_put_number(at, number, value) : at;
}

static size_t header_size(const struct s2_header *header)
{
    return bytes_size(header->name) + bytes_size(header->value);
}

static size_t record_size(const struct s2_record *record, const struct record_fields *fields)
{
    size_t size = bytes_size(record->body);
    if (fields->seq_num)
        size += wire_size_number(record->seq_num) + wire_size_number(record->timestamp);
    else if (record->has_timestamp)
        size += 1 + wire_size_u64(record->timestamp);
    for (size_t i = 0; i < record->header_count; i++)
        size += wire_size_bytes(header_size(&record->headers[i]));
    return size;
}

static uint8_t *put_record(uint8_t *at, const struct s2_record *record,
                           const struct record_fields *fields)
{
    if (fields->seq_num) {
        at = put_number(at, fields->seq_num, record->seq_num);
        at = put_number(at, fields->timestamp, record->timestamp);
    } else if (record->has_timestamp) {
        at = wire_put_number(at, fields->timestamp, record->timestamp);
    }
    for (size_t i = 0; i < record->header_count; i++) {
        const struct s2_header *header = &record->headers[i];
        at = wire_put_head(at, fields->headers, header_size(header));
        at = put_bytes(at, HEADER_NAME, header->name);
        at = put_bytes(at, HEADER_VALUE, header->value);
    }
    return put_bytes(at, fields->body, record->body);
}

static size_t input_size(const struct s2_input *input)
{
    size_t size = 0;
    for (size_t i = 0; i < input->count; i++)
        size += wire_size_bytes(record_size(&input->records[i], &append_record));
    if (input->has_match)
        size += 1 + wire_size_u64(input->match_seq_num);
    if (input->has_token)
        size += wire_size_bytes(input->token.len);
    return size;
}

int s2_proto_put_input(struct buf *out, const struct s2_input *input)
{
    int rc = buf_reserve(out, input_size(input) + 1); /* never NULL, also for an empty message */
    if (rc < 0)
        return rc;
    uint8_t *at = out->ptr + out->len;
    for (size_t i = 0; i < input->count; i++) {
        const struct s2_record *record = &input->records[i];
        at = wire_put_head(at, INPUT_RECORDS, record_size(record, &append_record));
        at = put_record(at, record, &append_record);
    }
    if (input->has_match)
        at = wire_put_number(at, INPUT_MATCH, input->match_seq_num);
    if (input->has_token)
        at = wire_put_bytes(at, INPUT_TOKEN, input->token);
    out->len = (size_t)(at - out->ptr);
    return 0;
}

static size_t position_size(const struct s2_position *position)
{
    return wire_size_number(position->seq_num) + wire_size_number(position->timestamp);
}

static uint8_t *put_position(uint8_t *at, unsigned number, const struct s2_position *position)
{
    at = wire_put_head(at, number, position_size(position));
    at = put_number(at, POSITION_SEQ, position->seq_num);
    return put_number(at, POSITION_TIMESTAMP, position->timestamp);
}

int s2_proto_put_ack(struct buf *out, const struct s2_ack *ack)
{
    int rc = buf_reserve(out, wire_size_bytes(position_size(&ack->start)) +
                                  wire_size_bytes(position_size(&ack->end)) +
                                  wire_size_bytes(position_size(&ack->tail)));
    if (rc < 0)
        return rc;
    uint8_t *at = out->ptr + out->len;
    at = put_position(at, ACK_START, &ack->start);
    at = put_position(at, ACK_END, &ack->end);
    at = put_position(at, ACK_TAIL, &ack->tail);
    out->len = (size_t)(at - out->ptr);
    return 0;
}

int s2_proto_put_record(struct buf *out, const struct s2_record *record)
{
    size_t size = record_size(record, &sequenced_record);
    int rc = buf_reserve(out, wire_size_bytes(size));
    if (rc < 0)
        return rc;
    uint8_t *at = wire_put_head(out->ptr + out->len, BATCH_RECORDS, size);
    at = put_record(at, record, &sequenced_record);
    out->len = (size_t)(at - out->ptr);
    return 0;
}

int s2_proto_put_tail(struct buf *out, const struct s2_position *tail)
{
    int rc = buf_reserve(out, wire_size_bytes(position_size(tail)));
    if (rc < 0)
        return rc;
    uint8_t *at = put_position(out->ptr + out->len, BATCH_TAIL, tail);
    out->len = (size_t)(at - out->ptr);
    return 0;
}
