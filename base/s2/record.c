#include "base/s2/record.h"

#include <stdlib.h>

#include "base/utf8.h"

#define TRIM_SIZE 8 /* bytes of a trim command's body */

uint64_t s2_metered(const struct s2_record *record)
{
    uint64_t size = 8 + 2 * (uint64_t)record->header_count + record->body.len;
    for (size_t i = 0; i < record->header_count; i++)
        size += record->headers[i].name.len + record->headers[i].value.len;
    return size;
}

static int check_fence(struct span token, struct err *err)
{
    if (token.len > S2_TOKEN_MAX)
        return err_set(err, ERR_INVALID, "a fencing token has at most %d bytes, this one has %zu",
                       S2_TOKEN_MAX, token.len);
    if (!utf8_valid(token))
        return err_set(err, ERR_INVALID, "a fencing token is UTF-8");
    return 0;
}

/* Name is empty: what the value asks for. */
static int check_command(const struct s2_record *record, enum s2_command *out, struct err *err)
{
    struct span value = record->headers[0].value;
    if (span_is(value, "fence")) {
        int rc = check_fence(record->body, err);
        if (rc < 0)
            return rc;
        *out = S2_FENCE;
        return 0;
    }
    if (!span_is(value, "trim"))
        return err_set(err, ERR_INVALID, "no such command: '%.*s' (there are fence and trim)",
                       (int)(value.len < 40 ? value.len : 40), (const char *)value.ptr);
    if (record->body.len != TRIM_SIZE)
        return err_set(
            err, ERR_INVALID,
            "the body of a trim command is a big-endian number of %d bytes, not %zu bytes",
            TRIM_SIZE, record->body.len);
    *out = S2_TRIM;
    return 0;
}

int s2_record_command(const struct s2_record *record, enum s2_command *out, struct err *err)
{
    if (record->header_count == 1 && record->headers[0].name.len == 0)
        return check_command(record, out, err);
    for (size_t i = 0; i < record->header_count; i++) {
        if (record->headers[i].name.len == 0)
            return err_set(
                err, ERR_INVALID,
                "an empty header name makes a command, and beside it there is no other header");
    }
    *out = S2_DATA;
    return 0;
}

void s2_input_finish(struct s2_input *input)
{
    free(input->records);
    free(input->headers);
    free(input->bytes);
    *input = (struct s2_input){0};
}

static int check_records(const struct s2_input *input, struct err *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < input->count; i++) {
        enum s2_command command;
        int rc = s2_record_command(&input->records[i], &command, err);
        if (rc < 0) {
            err_prefix(err, "record %zu", i);
            return rc;
        }
        total += s2_metered(&input->records[i]);
    }
    if (total > S2_METERED_MAX)
        return err_set(err, ERR_INVALID,
                       "an append has at most %d metered bytes, this one has %llu", S2_METERED_MAX,
                       (unsigned long long)total);
    return 0;
}

int s2_input_check(const struct s2_input *input, struct err *err)
{
    if (input->count == 0)
        return err_set(err, ERR_INVALID, "an append has at least one record");
    if (input->count > S2_RECORDS_MAX)
        return err_set(err, ERR_INVALID, "an append has at most %d records", S2_RECORDS_MAX);
    if (input->has_token) {
        int rc = check_fence(input->token, err);
        if (rc < 0)
            return rc;
    }
    return check_records(input, err);
}

void s2_batch_finish(struct s2_batch *batch)
{
    free(batch->records);
    free(batch->headers);
    *batch = (struct s2_batch){0};
}
