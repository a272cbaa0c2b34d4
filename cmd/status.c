/* weir status: what the daemon says about its store. */
#include "base/clean.h"
#include "cmd/human.h"
#include "cmd/output.h"
#include "cmd/table.h"

#define STATUS_MAX ((size_t)1 << 20)

static int print(const struct call *call, struct span json)
{
    struct err err = ERR_INIT;
    CLEAN_BUF text = BUF_INIT;
    if (!call_for_people(call))
        return output_line(call, json);
    if (human_object(&text, json) != 0)
        return call_failf(call, "out of memory");
    return output_write(buf_span(&text), &err) < 0 ? call_fail(call, &err) : 0;
}

static int exec(struct call *call)
{
    CLEAN_FREE char *json = NULL;
    size_t len;
    int rc = call_operands(call, 0, 0);
    if (rc == 0)
        rc = call_fetch(call, "/status", STATUS_MAX, &json, &len);
    return rc == 0 ? print(call, span_of(json, len)) : rc;
}

const struct cmd cmd_status = {
    .name = "status",
    .group = GROUP_DAEMON,
    .summary = "how the store and its daemon are",
    .operands = "",
    .about =
        "Prints what the daemon says about its store and itself: JSON, or lines for people on a\n"
        "terminal.\n",
    .takes = TAKES_ADDR | TAKES_JSON,
    .exec = exec,
};
