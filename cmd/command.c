#include "cmd/command.h"

#include <stdlib.h>
#include <string.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/text.h"
#include "cmd/address.h"
#include "cmd/output.h"
#include "cmd/target.h"

#define ANSWER_MAX 4096

enum { STREAM = 1, BASIN, TOKEN, EXPECT_SEQ };

const struct option_row command_options[] = {
    {.id = STREAM, .name = "stream", .arg = "NAME", .help = "the topic of exactly this name, instead of TOPIC"},
    {.id = BASIN, .name = "basin", .arg = "NAME", .help = "the store of this name; over TCP it must be said"},
    {.id = TOKEN, .name = "if-token", .arg = "TOKEN", .help = "only if this is the token in force"},
    {.id = EXPECT_SEQ, .name = "expect-seq", .arg = "N", .help = "only if the topic's next seq is N"},
    {.name = NULL},
};

int command_operands(struct call *call, const char **value)
{
    const char *stream = call_value(call, STREAM);
    size_t count = stream ? 1 : 2;
    int rc = address_take_counted(call, count);
    if (rc == 0)
        rc = address_check_count(call, count, count);
    if (rc == 0 && !stream)
        rc = call_check_topic(call, call_operand(call, 0));
    if (rc == 0)
        rc = call_check_number(call, EXPECT_SEQ);
    *value = rc == 0 ? call_operand(call, count - 1) : NULL;
    return rc;
}

/* --- the request ---------------------------------------------------------------------------------- */

static int put_base64(struct buf *out, struct span bytes)
{
    int rc = buf_add_str(out, "\"");
    if (rc == 0)
        rc = b64_encode(out, bytes);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

static int put_record(struct buf *out, const char *command, struct span body)
{
    int rc = buf_add_str(out, "{\"records\":[{\"headers\":[[\"\",");
    if (rc == 0)
        rc = put_base64(out, span_str(command));
    if (rc == 0)
        rc = buf_add_str(out, "]],\"body\":");
    if (rc == 0)
        rc = put_base64(out, body);
    return rc == 0 ? buf_add_str(out, "}]") : rc;
}

static int make_body(const struct call *call, struct buf *out, const char *command, struct span body)
{
    const char *token = call_value(call, TOKEN), *seq = call_value(call, EXPECT_SEQ);
    int rc = put_record(out, command, body);
    if (rc == 0 && token)
        rc = buf_add_str(out, ",\"fencing_token\":");
    if (rc == 0 && token)
        rc = json_put_string(out, span_str(token));
    if (rc == 0 && seq)
        rc = buf_addf(out, ",\"match_seq_num\":%llu", strtoull(seq, NULL, 10));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

static int make_target(const struct call *call, struct buf *target)
{
    const char *stream = call_value(call, STREAM);
    int rc = buf_add_str(target, "/v1/streams/");
    if (rc == 0)
        rc = target_segment(target, stream ? stream : call_operand(call, 0));
    return rc == 0 ? buf_add_str(target, "/records") : rc;
}

/* --- the answer ------------------------------------------------------------------------------------ */

/* What does not hold, from {"seq_num_mismatch":N} or {"fencing_token_mismatch":TOKEN}. */
static int tell_condition(const struct call *call, struct span body)
{
    struct json_iter it;
    struct span key;
    struct json_value value;
    CLEAN_BUF token = BUF_INIT;
    if (json_validate(body, 2, NULL, NULL) < 0 || json_iter_init(&it, body) < 0 || !json_iter_next(&it, &key, &value))
        return call_failf(call, "a condition does not hold");
    if (value.type != JSON_STRING)
        return call_failf(call, "the topic's next seq is %.*s", SPAN_ARG(value.raw));
    if (json_string_decode(value.raw, &token, NULL) < 0 || token.len == 0)
        return call_failf(call, "no token is in force");
    return call_failf(call, "another token is in force: %s", buf_cstr(&token));
}

static int take_answer(const struct call *call, struct weir *w, const struct weir_response *res)
{
    struct err err = ERR_INIT;
    CLEAN_FREE char *body = NULL;
    size_t len = 0;
    if (res->status != 412 && weir_check(w, res, &err) < 0)
        return call_fail(call, &err);
    if (weir_read_all(w, &body, &len, ANSWER_MAX, &err) < 0)
        return call_fail(call, &err);
    struct span text = span_of(body, len);
    return res->status == 412 ? tell_condition(call, text) : output_line(call, text);
}

int command_send(const struct call *call, const char *command, struct span body)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    struct weir_response res;
    CLEAN_BUF target = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    struct weir_header headers[3] = {{"Content-Type", "application/json"}, {"s2-format", "base64"}};
    const char *basin = call_value(call, BASIN);
    if (basin)
        headers[2] = (struct weir_header){"s2-basin", basin};
    if (make_target(call, &target) < 0 || make_body(call, &text, command, body) < 0)
        return call_failf(call, "out of memory");
    int rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    const struct weir_request req = {.method = "POST",
                                     .target = target_text(&target),
                                     .headers = headers,
                                     .header_count = basin ? 3 : 2,
                                     .body = buf_span(&text),
                                     .has_body = true};
    rc = weir_request(w, &req, &res, &err) < 0 ? call_fail(call, &err) : take_answer(call, w, &res);
    weir_close(w);
    return rc;
}
