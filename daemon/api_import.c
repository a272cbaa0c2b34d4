/*
 * POST /import: a frame, lines of frames, or a dump.
 */
#include <strings.h>

#include "daemon/intake.h"

static bool is_dump(const struct exchange *x)
{
    static const char type[] = "application/x-weir-dump";
    struct span header = http_header(x->req, "Content-Type");
    return header.len >= sizeof(type) - 1 &&
           strncasecmp((const char *)header.ptr, type, sizeof(type) - 1) == 0;
}

static int begin(struct exchange *x, struct err *err)
{
    struct intake *in = (struct intake *)x;
    int rc = exchange_query(
        x, QUERY_STREAM_FLAG | QUERY_ALLOW_MISSING | QUERY_TIMESTAMP | QUERY_SEQ, err);
    if (rc < 0)
        return rc;
    enum intake_form form = is_dump(x) ? INTAKE_DUMP : x->query.lines ? INTAKE_LINES : INTAKE_ONE;
    uint64_t announced = http_body_length(x->req);
    if (form == INTAKE_ONE && announced != UINT64_MAX && announced > INTAKE_BODY_MAX)
        return err_set(err, ERR_TOO_LARGE, "the body is over 8 MiB");
    intake_begin(in, form, STORE_IMPORT);
    return 0;
}

const struct route route_import = {.size = sizeof(struct intake),
                                   .op = AUTH_APPEND,
                                   .begin = begin,
                                   .body = intake_body,
                                   .end = intake_end,
                                   .finish = intake_finish};
