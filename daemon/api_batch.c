/*
 * POST /append: many frames, one a line; all or nothing, or with ?stream in groups as they come.
 */
#include "daemon/intake.h"

static int begin(struct exchange *x, struct err *err)
{
    struct intake *in = (struct intake *)x;
    int rc =
        exchange_query(x, QUERY_STREAM_FLAG | QUERY_TIMESTAMP | QUERY_SEQ | QUERY_CONDITIONS | QUERY_BRIEF, err);
    if (rc < 0)
        return rc;
    if (x->query.lines && x->query.given & QUERY_CONDITIONS)
        return err_set(err, ERR_INVALID,
                       "conditions and keys need an atomic batch; leave stream out");
    uint64_t announced = http_body_length(x->req);
    if (!x->query.lines && announced != UINT64_MAX && announced > INTAKE_BODY_MAX)
        return err_set(err, ERR_TOO_LARGE,
                       "the body is over 8 MiB; use ?stream (append --batch without --atomic), which commits in groups");
    rc = exchange_origin(x, &in->origin, err);
    if (rc < 0)
        return rc;
    intake_begin(in, x->query.lines ? INTAKE_LINES : INTAKE_BATCH, STORE_APPEND);
    return 0;
}

const struct route route_batch = {.size = sizeof(struct intake),
                                  .op = AUTH_APPEND,
                                  .begin = begin,
                                  .body = intake_body,
                                  .end = intake_end,
                                  .finish = intake_finish};
