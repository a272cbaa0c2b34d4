#include "daemon/run/content.h"

#include <errno.h>

void content_begin(struct content *content, struct store *store, struct cas *cas,
                   const struct frame *frame)
{
    content_close(content);
    buf_reset(&content->part);
    content->store = store;
    content->cas = cas;
    content->open = frame->has_hash;
    memcpy(content->digest, frame->digest, DIGEST_SIZE);
}

int content_set(struct content *content, struct span bytes)
{
    content_close(content);
    buf_reset(&content->part);
    return buf_add_span(&content->part, bytes);
}

/* Small contents lie in the store, some of them under a frame that is not this one. */
static int find(struct content *content, struct err *err)
{
    enum store_place place;
    int rc = store_content(content->store, content->digest, &place, &content->part, err);
    content->found = true;
    if (rc == 0 && place == STORE_INLINE) {
        content->open = false;
        return 1;
    }
    if (rc < 0 && rc != ERR_NOT_FOUND)
        return rc;
    return cas_reader_open(content->cas, &content->reader, content->digest, err);
}

static int read_part(struct content *content, size_t max, struct err *err)
{
    size_t got = 1;
    if (buf_reserve(&content->part, max) < 0)
        return err_set(err, -ENOMEM, "no memory for a content");
    while (content->part.len < max && got > 0) {
        int rc = cas_reader_read(content->reader, content->at,
                                 content->part.ptr + content->part.len, max - content->part.len,
                                 &got, err);
        if (rc < 0)
            return rc;
        content->part.len += got;
        content->at += got;
    }
    content->open = got > 0;
    return 0;
}

int content_next(struct content *content, size_t max, struct err *err)
{
    buf_reset(&content->part);
    if (!content->open)
        return 0;
    int rc = content->found ? 0 : find(content, err);
    if (rc == 0)
        rc = read_part(content, max, err);
    if (rc < 0)
        content->open = false;
    return rc < 0 ? rc : 0;
}

void content_close(struct content *content)
{
    cas_reader_close(content->reader);
    content->reader = NULL;
    content->at = 0;
    content->open = content->found = false;
}

void content_finish(struct content *content)
{
    content_close(content);
    buf_finish(&content->part);
}
