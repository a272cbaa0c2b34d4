/* weir cas-post: store content without a frame. */
#include <unistd.h>

#include "base/clean.h"
#include "cmd/bulk.h"
#include "cmd/output.h"
#include "cmd/table.h"

static int exec(struct call *call)
{
    struct err err = ERR_INIT;
    struct weir *w = NULL;
    struct weir_response res;
    struct progress progress;
    CLEAN_FREE char *hash = NULL;
    size_t len;
    uint8_t first;
    int rc = call_operands(call, 0, 0);
    if (rc != 0)
        return rc;
    struct bulk_source source = {.fd = STDIN_FILENO};
    /* Looked at before anything is sent, so that the message is ours. */
    long n = bulk_read(&source, &first, 1);
    if (n <= 0)
        return n < 0 ? call_failf(call, "read standard input: %s", err_code_text((int)n))
                     : call_failf(call, "there is no content on standard input");
    source = (struct bulk_source){
        .ahead = span_of(&first, 1), .fd = STDIN_FILENO, .progress = &progress};
    struct weir_request req = {.method = "POST",
                               .target = "/cas",
                               .has_body = true,
                               .read = bulk_read,
                               .read_arg = &source};
    rc = call_open(call, &w);
    if (rc != 0)
        return rc;
    progress_begin(&progress, "cas-post", 0);
    rc = weir_request(w, &req, &res, &err);
    progress_end(&progress);
    if (rc == 0)
        rc = weir_check(w, &res, &err);
    if (rc == 0)
        rc = weir_read_all(w, &hash, &len, 4096, &err);
    rc = rc == 0 ? output_line(call, span_of(hash, len)) : call_fail(call, &err);
    weir_close(w);
    return rc;
}

const struct cmd cmd_cas_post = {
    .name = "cas-post",
    .group = GROUP_CONTENT,
    .summary = "store content, print its hash",
    .operands = "",
    .about =
        "Stores standard input as content without a frame and prints its hash. Content that no\n"
        "frame comes to name is collected after a while.\n",
    .takes = TAKES_ADDR,
    .exec = exec,
};
