#include "cmd/content.h"

#include <errno.h>

#include "base/clean.h"
#include "cmd/target.h"

int content_open(struct weir *w, struct span hash, struct err *err)
{
    CLEAN_BUF target = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    struct weir_response res;
    if (buf_add_span(&text, hash) != 0 || !buf_cstr(&text) || buf_add_str(&target, "/cas/") != 0 ||
        target_segment(&target, buf_cstr(&text)) != 0)
        return err_set(err, -ENOMEM, "out of memory");
    int rc = call_get(w, target_text(&target), &res, err);
    return rc == ERR_NOT_FOUND ? err_set(err, rc, "the content %.*s is gone", SPAN_ARG(hash)) : rc;
}

int content_read(struct weir *w, struct span hash, size_t max, struct buf *out, struct err *err)
{
    CLEAN_FREE char *bytes = NULL;
    size_t len = 0;
    int rc = content_open(w, hash, err);
    if (rc == 0)
        rc = weir_read_all(w, &bytes, &len, max, err);
    if (rc == 0 && buf_add(out, bytes, len) != 0)
        rc = err_set(err, -ENOMEM, "out of memory");
    return rc;
}
