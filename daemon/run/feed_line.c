#include "daemon/run/feed_line.h"

#include "base/frame_json.h"
#include "base/json.h"
#include "base/text.h"
#include "base/utf8.h"

static int put_bytes(struct buf *out, struct span bytes)
{
    if (utf8_valid(bytes)) {
        int rc = buf_add_str(out, ",\"content\":");
        return rc == 0 ? json_put_string(out, bytes) : rc;
    }
    int rc = buf_add_str(out, ",\"content_base64\":\"");
    if (rc == 0)
        rc = b64_encode(out, bytes);
    return rc == 0 ? buf_add_str(out, "\"") : rc;
}

static int put_content(struct buf *out, const struct feed_more *more)
{
    switch (more->content) {
    case FEED_CONTENT_NO:
        return 0;
    case FEED_CONTENT_NONE:
        return buf_add_str(out, ",\"content\":null");
    case FEED_CONTENT_LARGE:
        return buf_add_str(out, ",\"content_too_large\":true");
    case FEED_CONTENT_BYTES:
        break;
    }
    return put_bytes(out, more->bytes);
}

/* The keys go before the brace that ends the frame's object. */
static int put_more(struct buf *out, const struct feed_more *more)
{
    int rc = 0;
    out->len--;
    if (more->attempt > 0)
        rc = buf_addf(out, ",\"attempt\":%u", more->attempt);
    if (rc == 0)
        rc = put_content(out, more);
    return rc == 0 ? buf_add(out, "}\n", 2) : rc;
}

int feed_line(struct buf *out, const struct frame *frame, const struct feed_more *more)
{
    size_t before = out->len;
    int rc = frame_json(out, frame, 0);
    if (rc == 0 && more->attempt == 0 && more->content == FEED_CONTENT_NO)
        rc = buf_add(out, "\n", 1);
    else if (rc == 0)
        rc = put_more(out, more);
    if (rc < 0)
        out->len = before;
    return rc;
}
