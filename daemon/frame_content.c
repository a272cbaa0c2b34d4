#include "daemon/frame_content.h"

#include <errno.h>

#include "base/frame_json.h"

bool frame_content_lacks(const struct frame *frame)
{
    return frame->has_hash && !frame->has_content && frame->content_size <= FRAME_JSON_CONTENT_MAX;
}

void frame_content_want(struct frame_content *content, const struct frame *frame)
{
    content->of = frame->id;
    memcpy(content->digest, frame->digest, DIGEST_SIZE);
    content->fetched = content->found = false;
}

static int read_blob(struct cas_reader *reader, struct buf *out, struct err *err)
{
    size_t size = (size_t)cas_reader_size(reader), got = 0;
    int rc = buf_reserve(out, size);
    if (rc == 0)
        rc = cas_reader_read(reader, 0, out->ptr, size, &got, err);
    out->len = rc == 0 ? got : 0;
    return rc;
}

static int fetch_blob(struct frame_content *content, const struct site *site, struct err *err)
{
    struct cas_reader *reader = NULL;
    int rc = cas_reader_open(site->cas, &reader, content->digest, err);
    if (rc == 0 && cas_reader_size(reader) > FRAME_JSON_CONTENT_MAX)
        rc = ERR_TOO_LARGE;
    if (rc == 0)
        rc = read_blob(reader, &content->bytes, err);
    cas_reader_close(reader);
    return rc;
}

int frame_content_fetch(struct frame_content *content, const struct site *site, struct err *err)
{
    enum store_place place = STORE_BLOB;
    buf_reset(&content->bytes);
    int rc = store_content(site->store, content->digest, &place, &content->bytes, err);
    if (rc == ERR_NOT_FOUND || (rc == 0 && place == STORE_BLOB))
        rc = fetch_blob(content, site, err);
    content->fetched = rc != -ENOMEM;
    content->found = rc == 0 && content->bytes.len > 0;
    return rc == ERR_NOT_FOUND || rc == ERR_TOO_LARGE ? 0 : rc;
}

bool frame_content_give(const struct frame_content *content, struct frame *frame)
{
    if (!content->fetched || id_cmp(content->of, frame->id) != 0)
        return false;
    frame->has_content = content->found;
    if (content->found) {
        frame->content = buf_span(&content->bytes);
        frame->content_size = content->bytes.len;
    }
    return true;
}

void frame_content_finish(struct frame_content *content)
{
    buf_finish(&content->bytes);
    content->fetched = false;
}
