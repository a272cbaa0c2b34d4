/*
 * Bodies of unary requests: gathered whole, unpacked by their content-encoding, never more than S2_BODY_MAX.
 */
#include <errno.h>

#include "daemon/s2/s2.h"

static int too_long(struct err *err)
{
    return err_set(err, ERR_TOO_LARGE, "length limit exceeded: a body has at most %d bytes", S2_BODY_MAX);
}

/* Refused while it comes: what is over the limit need not be waited for. */
static void refuse(struct s2_request *s, int rc, struct err *err)
{
    s->body_refused = true;
    if (rc == ERR_TOO_LARGE)
        s2_fail(s, s->content == S2_TYPE_PROTO ? S2_BAD_PROTO : S2_BAD_JSON, "%s", err->text);
    else
        s2_fail_err(s, rc, err);
}

size_t s2_body_take(struct exchange *x, struct span bytes)
{
    struct s2_request *s = (struct s2_request *)x;
    struct err err = ERR_INIT;
    if (s->body_refused)
        return bytes.len;
    int rc = bytes.len > S2_BODY_MAX - s->body.len ? too_long(&err) : buf_add_span(&s->body, bytes);
    if (rc < 0)
        refuse(s, rc, &err);
    return bytes.len;
}

bool s2_body_coding(struct s2_request *s, enum s2_code code, enum coding *out)
{
    if (s->body_refused || !s->x.req)
        return false;
    if (coding_parse(out, http_header(s->x.req, "content-encoding")))
        return true;
    s2_fail(s, code, "content-encoding: gzip and zstd are understood");
    return false;
}

int s2_body_unpack(struct s2_request *s, enum coding coding, struct span *out, struct err *err)
{
    *out = buf_span(&s->body);
    if (coding == CODING_NONE)
        return 0;
    buf_reset(&s->unpacked);
    int rc = coding_unpack(&s->unpacked, coding, *out, S2_BODY_MAX, err);
    *out = buf_span(&s->unpacked);
    return rc == ERR_TOO_LARGE ? too_long(err) : rc;
}

bool s2_body(struct s2_request *s, enum s2_code code, struct span *out)
{
    struct err err = ERR_INIT;
    enum coding coding = CODING_NONE;
    if (!s2_body_coding(s, code, &coding))
        return false;
    int rc = s2_body_unpack(s, coding, out, &err);
    if (rc == -ENOMEM)
        s2_fail_err(s, rc, &err);
    else if (rc < 0)
        s2_fail(s, code, "%s", err.text);
    return rc == 0;
}
