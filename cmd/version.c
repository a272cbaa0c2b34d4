/* weir version: the daemon's version. */
#include "base/clean.h"
#include "cmd/output.h"
#include "cmd/table.h"

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    struct weir_response res;
    CLEAN_FREE char *json = NULL;
    size_t len;
    int rc = call_operands(call, 0, 0);
    if (rc == 0)
        rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    rc = call_get(w, "/version", &res, &err);
    if (rc == 0)
        rc = weir_read_all(w, &json, &len, 4096, &err);
    weir_close(w);
    if (rc != 0)
        return call_fail(call, &err);
    while (len > 0 && json[len - 1] == '\n')
        len--;
    return output_line(call, span_of(json, len));
}

const struct cmd cmd_version = {
    .name = "version",
    .group = GROUP_DAEMON,
    .summary = "the daemon's version",
    .operands = "",
    .about = "Prints the version of the daemon as JSON. (--version as the first argument is this\n"
             "program's own.)\n",
    .takes = TAKES_ADDR,
    .exec = exec,
};
