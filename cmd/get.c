/* weir get: one frame by its id. */
#include "base/clean.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/table.h"
#include "cmd/target.h"

#define FRAME_TEXT_MAX ((size_t)4 << 20)

enum { TIMESTAMP = 1, SEQ };

static const struct option_row options[] = {
    {.id = TIMESTAMP, .name = "with-timestamp", .help = "add \"timestamp\" to the frame"},
    {.id = SEQ, .name = "with-seq", .help = "add \"seq\" to the frame"},
    {.name = NULL},
};

static int make_target(const struct call *call, struct buf *target)
{
    int rc = buf_add_str(target, "/");
    if (rc == 0)
        rc = target_segment(target, call_operand(call, 0));
    if (rc == 0)
        rc = target_option(target, call, TIMESTAMP, "with-timestamp");
    if (rc == 0)
        rc = target_option(target, call, SEQ, "with-seq");
    return rc == 0 ? 0 : call_failf(call, "out of memory");
}

static int fetch(const struct call *call, struct weir *w, const char *target)
{
    struct err err = ERR_INIT;
    struct weir_response res;
    CLEAN_FREE char *json = NULL;
    CLEAN_BUF text = BUF_INIT;
    size_t len;
    int rc = call_get(w, target, &res, &err);
    if (rc == ERR_NOT_FOUND)
        return call_failf(call, "no frame %s", call_operand(call, 0));
    if (rc == 0)
        rc = weir_read_all(w, &json, &len, FRAME_TEXT_MAX, &err);
    if (rc != 0)
        return call_fail(call, &err);
    if (!call_for_people(call))
        return output_line(call, span_of(json, len));
    if (human_frame_block(&text, span_of(json, len)) != 0)
        return call_failf(call, "out of memory");
    return output_write(buf_span(&text), &err) < 0 ? call_fail(call, &err) : 0;
}

static int exec(struct call *call)
{
    struct weir *w = NULL;
    CLEAN_BUF target = BUF_INIT;
    int rc = call_operands(call, 1, 1);
    if (rc == 0)
        rc = call_check_id(call, "ID", call_operand(call, 0));
    if (rc == 0)
        rc = make_target(call, &target);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc == 0)
        rc = fetch(call, w, target_text(&target));
    weir_close(w);
    return rc;
}

const struct cmd cmd_get = {
    .name = "get",
    .group = GROUP_READ,
    .summary = "one frame by its id",
    .operands = "ID",
    .about = "Prints the frame of that id.\n",
    .options = options,
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
