#include "base/s2/json.h"

#include <errno.h>
#include <stdlib.h>

#include "base/s2/fields.h"
#include "base/text.h"

/* More is refused by s2_input_check; what comes after is not kept, so that a small text does not
 * ask for much memory. */
#define RECORDS_KEPT (S2_RECORDS_MAX + 1)
#define HEADERS_KEPT (S2_METERED_MAX / 2 + 1)
#define ITEMS_FIRST 16

bool s2_format_parse(enum s2_format *out, struct span text)
{
    static const struct {
        const char *name;
        enum s2_format format;
    } names[] = {
        {"raw", S2_RAW}, {"json", S2_RAW}, {"base64", S2_BASE64}, {"json-binsafe", S2_BASE64}};
    if (!text.ptr) {
        *out = S2_RAW;
        return true;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_is(text, names[i].name)) {
            *out = names[i].format;
            return true;
        }
    }
    return false;
}

/* --- reading ---------------------------------------------------------------------------------- */

struct reader {
    struct s2_input *input;
    enum s2_format format;
    size_t record_cap, header_count, header_cap;
    struct buf bytes;   /* becomes the input's: has room for all that the text can decode to, so it
                           never moves */
    struct buf scratch; /* base64 that had escapes in it */
    size_t room;
    struct err *err;
};

static int no_memory(struct reader *r)
{
    return err_set(r->err, -ENOMEM, "no memory for an append");
}

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

static struct span from(const struct buf *bytes, size_t start)
{
    return span_of(bytes->ptr + start, bytes->len - start);
}

/* A string without escapes stays where it is. */
static int read_text(struct reader *r, const struct json_value *value, struct buf *into,
                     const char *what, struct span *out)
{
    if (value->type == JSON_STRING && !memchr(value->raw.ptr, '\\', value->raw.len)) {
        *out = span_of(value->raw.ptr + 1, value->raw.len - 2);
        return 0;
    }
    if (into == &r->bytes && buf_reserve(&r->bytes, r->bytes.cap ? 0 : r->room) < 0)
        return no_memory(r);
    size_t start = into->len;
    struct s2_field field = {*value};
    int rc = s2_field_text(into, &field, what, r->err);
    if (rc == 0)
        *out = from(into, start);
    return rc;
}

static int read_base64(struct reader *r, const struct json_value *value, const char *what,
                       struct span *out)
{
    struct span text;
    buf_reset(&r->scratch);
    int rc = read_text(r, value, &r->scratch, what, &text);
    if (rc < 0)
        return rc;
    if (buf_reserve(&r->bytes, r->bytes.cap ? 0 : r->room) < 0)
        return no_memory(r);
    size_t start = r->bytes.len;
    rc = b64_decode(&r->bytes, text, r->err);
    if (rc < 0) {
        err_prefix(r->err, "%s", what);
        return rc;
    }
    *out = from(&r->bytes, start);
    return 0;
}

static int read_bytes(struct reader *r, const struct json_value *value, const char *what,
                      struct span *out)
{
    return r->format == S2_BASE64 ? read_base64(r, value, what, out)
                                  : read_text(r, value, &r->bytes, what, out);
}

static int read_header(struct reader *r, struct span raw)
{
    struct json_iter it;
    struct json_value part[3];
    size_t parts = 0;
    if (json_iter_init(&it, raw) == 0 && it.array) {
        while (parts < 3 && json_iter_next(&it, NULL, &part[parts]))
            parts++;
    }
    if (parts != 2)
        return err_set(r->err, ERR_FORMAT, "a header is an array of a name and a value");
    struct s2_header header;
    int rc = read_bytes(r, &part[0], "a header's name", &header.name);
    if (rc == 0)
        rc = read_bytes(r, &part[1], "a header's value", &header.value);
    if (rc < 0 || r->header_count == HEADERS_KEPT)
        return rc;
    struct s2_header *headers =
        more(r->input->headers, sizeof(header), r->header_count, &r->header_cap);
    if (!headers)
        return no_memory(r);
    r->input->headers = headers;
    headers[r->header_count++] = header;
    return 0;
}

static int read_headers(struct reader *r, const struct s2_field *field)
{
    struct json_iter it;
    struct json_value value;
    if (json_iter_init(&it, field->value.raw) < 0 || !it.array)
        return err_set(r->err, ERR_FORMAT, "headers are an array of arrays");
    while (json_iter_next(&it, NULL, &value)) {
        int rc = read_header(r, value.raw);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int read_record(struct reader *r, struct span raw)
{
    static const char *const names[] = {"timestamp", "headers", "body"};
    struct s2_field part[3];
    struct s2_record record = {0};
    size_t headers_before = r->header_count;
    int rc = s2_fields(part, names, 3, raw, "a record", r->err);
    if (rc == 0 && s2_field_set(&part[0])) {
        record.has_timestamp = true;
        rc = s2_field_u64(&record.timestamp, &part[0], "timestamp", r->err);
    }
    if (rc == 0 && s2_field_set(&part[1]))
        rc = read_headers(r, &part[1]);
    if (rc == 0 && s2_field_set(&part[2]))
        rc = read_bytes(r, &part[2].value, "body", &record.body);
    if (rc < 0 || r->input->count == RECORDS_KEPT)
        return rc;
    record.header_count = r->header_count - headers_before;
    struct s2_record *records =
        more(r->input->records, sizeof(record), r->input->count, &r->record_cap);
    if (!records)
        return no_memory(r);
    r->input->records = records;
    records[r->input->count++] = record;
    return 0;
}

/* Their list does not move any more. */
static void point_to_headers(struct s2_input *input)
{
    const struct s2_header *next = input->headers;
    for (size_t i = 0; i < input->count; i++) {
        input->records[i].headers = next;
        next += input->records[i].header_count;
    }
}

static int read_records(struct reader *r, const struct s2_field *field)
{
    struct json_iter it;
    struct json_value value;
    if (!s2_field_there(field) || json_iter_init(&it, field->value.raw) < 0 || !it.array)
        return err_set(r->err, ERR_FORMAT, "records is needed and an array");
    while (json_iter_next(&it, NULL, &value)) {
        int rc = read_record(r, value.raw);
        if (rc < 0) {
            err_prefix(r->err, "record %zu", r->input->count);
            return rc;
        }
    }
    if (r->header_count > 0)
        point_to_headers(r->input);
    return 0;
}

static int read_token(struct reader *r, const struct s2_field *field)
{
    struct span token;
    int rc = read_text(r, &field->value, &r->bytes, "fencing_token", &token);
    if (rc < 0)
        return rc;
    if (token.len > S2_TOKEN_MAX)
        return err_set(r->err, ERR_FORMAT, "a fencing_token has at most %d bytes, this one has %zu",
                       S2_TOKEN_MAX, token.len);
    r->input->has_token = true;
    r->input->token = token;
    return 0;
}

static int read_input(struct reader *r, struct span text)
{
    static const char *const names[] = {"records", "match_seq_num", "fencing_token"};
    struct s2_field part[3];
    int rc = s2_json_valid(text, r->err);
    if (rc == 0)
        rc = s2_fields(part, names, 3, text, "an append", r->err);
    if (rc == 0)
        rc = read_records(r, &part[0]);
    if (rc == 0 && s2_field_set(&part[1])) {
        r->input->has_match = true;
        rc = s2_field_u64(&r->input->match_seq_num, &part[1], "match_seq_num", r->err);
    }
    if (rc == 0 && s2_field_set(&part[2]))
        rc = read_token(r, &part[2]);
    return rc;
}

int s2_json_read_input(struct s2_input *out, struct span text, enum s2_format format,
                       struct err *err)
{
    struct s2_input input = {0};
    struct reader r = {.input = &input, .format = format, .room = text.len, .err = err};
    int rc = read_input(&r, text);
    input.bytes = r.bytes.ptr;
    buf_finish(&r.scratch);
    if (rc < 0) {
        s2_input_finish(&input);
        return rc;
    }
    s2_input_finish(out);
    *out = input;
    return 0;
}

/* --- writing ---------------------------------------------------------------------------------- */

#define POSITION_MAX (sizeof("{\"seq_num\":,\"timestamp\":}") + (size_t)2 * U64_TEXT_MAX)

static void add(struct buf *out, const char *text, size_t len)
{
    memcpy(out->ptr + out->len, text, len);
    out->len += len;
}
#define ADD(out, text) add(out, text, sizeof(text) - 1)

static void add_u64(struct buf *out, uint64_t value)
{
    char digits[U64_TEXT_MAX];
    size_t len = text_format_u64(digits, value);
    add(out, digits, len);
}

/* Without the closing brace; there is room. */
static void add_position(struct buf *out, uint64_t seq_num, uint64_t timestamp)
{
    ADD(out, "{\"seq_num\":");
    add_u64(out, seq_num);
    ADD(out, ",\"timestamp\":");
    add_u64(out, timestamp);
}

int s2_json_put_position(struct buf *out, const struct s2_position *position)
{
    int rc = buf_reserve(out, POSITION_MAX);
    if (rc < 0)
        return rc;
    add_position(out, position->seq_num, position->timestamp);
    ADD(out, "}");
    return 0;
}

int s2_json_put_tail(struct buf *out, const struct s2_position *tail)
{
    int rc = buf_reserve(out, sizeof("{\"tail\":}}") + POSITION_MAX);
    if (rc < 0)
        return rc;
    ADD(out, "{\"tail\":");
    add_position(out, tail->seq_num, tail->timestamp);
    ADD(out, "}}");
    return 0;
}

int s2_json_put_ack(struct buf *out, const struct s2_ack *ack)
{
    int rc = buf_reserve(out, sizeof("{\"start\":},\"end\":},\"tail\":}}") + 3 * POSITION_MAX);
    if (rc < 0)
        return rc;
    ADD(out, "{\"start\":");
    add_position(out, ack->start.seq_num, ack->start.timestamp);
    ADD(out, "},\"end\":");
    add_position(out, ack->end.seq_num, ack->end.timestamp);
    ADD(out, "},\"tail\":");
    add_position(out, ack->tail.seq_num, ack->tail.timestamp);
    ADD(out, "}}");
    return 0;
}

static int put_bytes(struct buf *out, struct span bytes, enum s2_format format)
{
    if (format == S2_RAW)
        return json_put_string(out, bytes);
    int rc = buf_add(out, "\"", 1);
    if (rc == 0)
        rc = b64_encode(out, bytes);
    return rc < 0 ? rc : buf_add(out, "\"", 1);
}

static int put_headers(struct buf *out, const struct s2_record *record, enum s2_format format)
{
    int rc = buf_add_str(out, ",\"headers\":[");
    for (size_t i = 0; i < record->header_count && rc == 0; i++) {
        rc = buf_add_str(out, i ? ",[" : "[");
        if (rc == 0)
            rc = put_bytes(out, record->headers[i].name, format);
        if (rc == 0)
            rc = buf_add(out, ",", 1);
        if (rc == 0)
            rc = put_bytes(out, record->headers[i].value, format);
        if (rc == 0)
            rc = buf_add(out, "]", 1);
    }
    return rc < 0 ? rc : buf_add(out, "]", 1);
}

static int put_body(struct buf *out, struct span body, enum s2_format format)
{
    int rc = buf_add_str(out, ",\"body\":");
    return rc < 0 ? rc : put_bytes(out, body, format);
}

int s2_json_put_record(struct buf *out, const struct s2_record *record, enum s2_format format)
{
    size_t before = out->len;
    int rc = buf_reserve(out, POSITION_MAX + record->body.len);
    if (rc < 0)
        return rc;
    add_position(out, record->seq_num, record->timestamp);
    if (record->header_count > 0)
        rc = put_headers(out, record, format);
    if (rc == 0 && record->body.len > 0)
        rc = put_body(out, record->body, format);
    if (rc == 0)
        rc = buf_add(out, "}", 1);
    if (rc < 0)
        out->len = before;
    return rc;
}
