/*
 * Any line as a frame: what parses is written by the frame writer and parses to the same. And as a line of an append.
 */
#include <stdlib.h>

#include "base/frame_json.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static struct frame as_frame(const struct frame_in *in)
{
    struct frame frame = {
        .id = in->id,
        .topic = in->topic,
        .meta = in->meta,
        .ttl = in->ttl,
        .has_hash = in->has_hash,
    };
    memcpy(frame.digest, in->digest, DIGEST_SIZE);
    return frame;
}

/* Lines of an append: a frame or a cursor, never both, and nothing decoded outside scratch. */
static void try_append(struct span line)
{
    CLEAN_BUF scratch = BUF_INIT;
    struct frame_in in;
    struct err err = ERR_INIT;
    if (frame_in_parse(&in, line, &scratch, false, &err) < 0) {
        demand(err.text[0] != '\0' && scratch.len == 0);
        return;
    }
    demand(scratch.len <= 2 * line.len);
    if (in.is_cursor)
        demand(in.topic.len == 0 && !in.has_stamp && !in.has_content && !in.has_hash && !in.stream && in.meta.len == 0);
    else
        demand(in.cursor.len == 0 && in.position.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_BUF scratch = BUF_INIT;
    CLEAN_BUF line = BUF_INIT;
    CLEAN_BUF more = BUF_INIT;
    struct frame_in in;
    struct frame_in again;
    struct err err = ERR_INIT;
    try_append(span_of(data, size));
    demand(buf_add_str(&scratch, "earlier") == 0);
    if (frame_in_parse(&in, span_of(data, size), &scratch, true, &err) < 0) {
        demand(err.text[0] != '\0' && span_is(buf_span(&scratch), "earlier"));
        return 0;
    }
    struct frame frame = as_frame(&in);
    demand(frame_json(&line, &frame, FRAME_JSON_SEQ | FRAME_JSON_TIMESTAMP) == 0);
    demand(!memchr(line.ptr, '\n', line.len));
    demand(json_validate(buf_span(&line), META_DEPTH + 1, NULL, NULL) == 0);
    demand(frame_in_parse(&again, buf_span(&line), &more, false, NULL) == 0);
    demand(span_eq(again.topic, in.topic) && id_cmp(again.id, in.id) == 0);
    demand(again.has_hash == in.has_hash && memcmp(again.digest, in.digest, DIGEST_SIZE) == 0);
    demand(again.ttl.kind == in.ttl.kind && again.ttl.value == in.ttl.value);
    demand(span_eq(again.meta, in.meta));
    return 0;
}
