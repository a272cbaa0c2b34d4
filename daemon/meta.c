#include "daemon/meta.h"

#include <weir/frame.h>

#include "base/json.h"
#include "base/text.h"

/* What JSON may begin with and that tells it from base64, or nearly: the rest is tried. */
static bool looks_like_json(struct span text)
{
    static const char starts[] = "{[\"-0123456789";
    return text.len > 0 && text.ptr[0] && strchr(starts, text.ptr[0]);
}

static int minify(struct buf *out, struct span text, struct err *err)
{
    size_t before = out->len;
    int rc = json_validate(text, META_DEPTH, out, err);
    if (rc < 0)
        return rc;
    struct span meta = span_of(out->ptr + before, out->len - before);
    if (meta.len > META_MAX) {
        out->len = before;
        return err_set(err, ERR_TOO_LARGE, "meta is over %d bytes", META_MAX);
    }
    if (span_is(meta, "null"))
        out->len = before;
    return 0;
}

int meta_parse(struct buf *out, struct span header, struct err *err)
{
    CLEAN_BUF text = BUF_INIT;
    if (looks_like_json(header) && json_validate(header, META_DEPTH, NULL, NULL) == 0)
        return minify(out, header, err);
    if (b64_decode(&text, header, NULL) < 0)
        return err_set(err, ERR_INVALID, "xs-meta is neither JSON nor base64 of JSON");
    int rc = minify(out, buf_span(&text), err);
    if (rc < 0)
        err_prefix(err, "xs-meta");
    return rc;
}
