/* weir cas: content by its hash. */
#include <errno.h>

#include "base/text.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"

enum { RANGE = 1 };

static const struct option_row options[] = {
    {.id = RANGE,
     .name = "range",
     .arg = "A-B",
     .help = "only bytes A to B (from 0; A- to the end, -N the last N)"},
    {.name = NULL},
};

static int check_hash(const struct call *call)
{
    struct err err = ERR_INIT;
    uint8_t digest[32];
    int rc = sri_parse(digest, span_str(call_operand(call, 0)), &err);
    if (rc == 0)
        return 0;
    return rc == ERR_NOT_FOUND ? call_failf(call, "no content %s", call_operand(call, 0))
                               : call_fail(call, &err);
}

static int show(void *arg, struct span bytes, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    (void)arg;
    if (human_bytes(&text, bytes) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    return output_write(buf_span(&text), err);
}

static int fetch(const struct call *call, struct weir *w, const struct weir_request *req)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    int rc = weir_request(w, req, &res, &err);
    if (rc == 0 && res.status == 404)
        return call_failf(call, "no content %s", call_operand(call, 0));
    if (rc == 0 && res.status == 416)
        return call_failf(call, "--range %s is outside the content", call_value(call, RANGE));
    if (rc == 0)
        rc = weir_check(w, &res, &err);
    if (rc == 0 && call_has(call, RANGE) && res.status != 206)
        return call_usage(call, "--range: `%s' is no byte range: A-B, A- or -N",
                          call_value(call, RANGE));
    if (rc == 0)
        rc = output_copy(w, call_for_people(call) ? show : NULL, NULL, &err);
    return rc < 0 ? call_fail(call, &err) : 0;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    CLEAN_BUF range = BUF_INIT;
    int rc = call_operands(call, 1, 1);
    if (rc == 0)
        rc = check_hash(call);
    if (rc != 0)
        return rc;
    if (buf_add_str(&target, "/cas/") != 0 || target_segment(&target, call_operand(call, 0)) != 0 ||
        buf_addf(&range, "bytes=%s", call_has(call, RANGE) ? call_value(call, RANGE) : "") != 0)
        return call_failf(call, "out of memory");
    const struct weir_header header = {"Range", target_text(&range)};
    struct weir_request req = {
        .method = "GET", .target = target_text(&target), .replay_safe = true};
    if (call_has(call, RANGE)) {
        req.headers = &header;
        req.header_count = 1;
    }
    rc = call_open(call, &w);
    if (rc == 0)
        rc = fetch(call, w, &req);
    weir_close(w);
    return rc;
}

const struct cmd cmd_cas = {
    .name = "cas",
    .group = GROUP_CONTENT,
    .summary = "print content by its hash",
    .operands = "HASH",
    .about = "Prints the content of that hash, sha256-..., byte for byte; a terminal gets control "
             "bytes\n"
             "made harmless.\n",
    .options = options,
    .takes = TAKES_ADDR,
    .exec = exec,
};
