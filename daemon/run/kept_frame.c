#include "daemon/run/kept_frame.h"

#include <stdlib.h>

static struct span put(uint8_t **to, struct span span)
{
    struct span kept = {*to, span.len};
    if (span.len > 0)
        memcpy(*to, span.ptr, span.len);
    *to += span.len;
    return kept;
}

struct kept_frame *kept_frame(const struct frame *frame)
{
    size_t content = frame->has_content ? frame->content.len : 0;
    size_t size = sizeof(struct kept_frame) + frame->topic.len + frame->meta.len + frame->origin.len + content;
    struct kept_frame *kept = malloc(size);
    if (!kept)
        return NULL;
    uint8_t *to = (uint8_t *)(kept + 1);
    *kept = (struct kept_frame){.frame = *frame, .size = size};
    kept->frame.topic = put(&to, frame->topic);
    kept->frame.meta = put(&to, frame->meta);
    kept->frame.origin = put(&to, frame->origin);
    kept->frame.content = put(&to, span_of(frame->content.ptr, content));
    return kept;
}
