/*
 * The items of a dump as frames and contents, on the pool.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/intake.h"

static int check_meta(struct intake *in, struct span meta)
{
    CLEAN_BUF minified = BUF_INIT;
    if (meta.len == 0)
        return 0;
    if (meta.len > RECORD_META_MAX)
        return err_set(&in->err, ERR_INVALID, "a meta is over %d bytes", RECORD_META_MAX);
    int rc = json_validate(meta, META_DEPTH, &minified, &in->err);
    if (rc == 0 && (!span_eq(buf_span(&minified), meta) || span_is(meta, "null")))
        return err_set(&in->err, ERR_INVALID, "a meta is not in its stored form");
    return rc;
}

static int set_content(struct intake *in, struct store_frame *frame, const struct dump_item *item)
{
    const struct frame *f = &item->frame;
    if (!f->has_hash)
        return 0;
    memcpy(frame->digest, f->digest, DIGEST_SIZE);
    if (!f->has_content)
        return intake_named(in, frame, in->allow_missing || item->missing);
    /* It lies in its frame's record, whatever its size: a record of a stream keeps more there than others. */
    cas_digest(frame->digest, f->content);
    if (memcmp(frame->digest, f->digest, DIGEST_SIZE) != 0)
        return err_set(&in->err, ERR_INVALID, "a content does not fit its hash");
    frame->has_hash = frame->has_content = true;
    frame->content = f->content;
    frame->content_size = f->content.len;
    return 0;
}

/* Whatever any dialect allows: names of streams, too. */
static int check_name(struct intake *in, struct span topic)
{
    if (topic.len == 0 || topic.len > TOPIC_MAX)
        return err_set(&in->err, ERR_INVALID, "a topic has 1 to %d bytes, this has %zu", TOPIC_MAX, topic.len);
    return exchange_check_append(&in->x, in->authority, topic, &in->err);
}

static int take_frame(struct intake *in, const struct dump_item *item)
{
    const struct frame *f = &item->frame;
    int rc = check_name(in, f->topic);
    if (rc == 0)
        rc = check_meta(in, f->meta);
    if (rc < 0)
        return rc;
    struct store_frame *frame = intake_add(in);
    if (!frame)
        return -ENOMEM;
    frame->topic = f->topic;
    frame->meta = f->meta;
    frame->ttl = f->ttl;
    frame->id = f->id;
    frame->has_seq = f->has_seq;
    frame->seq = f->seq;
    frame->has_stamp = true;
    frame->stamp = f->stamp;
    frame->deadline_ms = f->deadline_ms;
    frame->command = f->command ? COMMAND_PLAIN : COMMAND_NONE;
    frame->origin = f->origin;
    rc = set_content(in, frame, item);
    if (rc < 0) {
        free(in->group.notes[in->group.count - 1].copy);
        in->group.count--;
    }
    return rc;
}

/* The blob is pinned until its request is over: the frame that names it may come in a later part.
 */
static int end_blob(struct intake *in)
{
    uint8_t digest[DIGEST_SIZE];
    uint64_t size;
    struct cas_put *put = in->put;
    in->put = NULL;
    int rc = buf_reserve(&in->group.pinned, DIGEST_SIZE);
    if (rc < 0) {
        cas_put_drop(put);
        return rc;
    }
    rc = cas_put_finish(put, digest, &size, &in->err);
    if (rc < 0)
        return rc;
    buf_add(&in->group.pinned, digest, DIGEST_SIZE);
    if (memcmp(digest, in->blob, DIGEST_SIZE) != 0)
        return err_set(&in->err, ERR_INVALID, "a content of the dump does not fit its hash");
    return 0;
}

/* The ids of a mark as the store takes them. NULL without memory. */
static struct frame_id *copy_ids(struct span ids)
{
    size_t count = ids.len / ID_SIZE;
    struct frame_id *out = malloc((count ? count : 1) * sizeof(*out));
    for (size_t i = 0; out && i < count; i++)
        out[i] = id_get(ids.ptr + i * ID_SIZE);
    return out;
}

/* Marks move what programs do next, so whoever may not define programs may not import them. */
static int take_mark(struct intake *in, const struct dump_item *item)
{
    if (in->authority == AUTHORITY_NONE)
        return err_set(&in->err, ERR_FORBIDDEN,
                       "a dump with marks is imported over the store's own socket, or with a token for exec");
    struct frame_id *acked = copy_ids(item->acked);
    struct store_mark *mark = acked ? intake_add_mark(in) : NULL;
    if (!mark) {
        free(acked);
        return -ENOMEM;
    }
    *mark = (struct store_mark){.kind = item->more ? STORE_MARK_ACK : STORE_MARK_SET,
                                .name = item->name,
                                .config = item->config,
                                .low = item->low,
                                .acked = acked,
                                .acked_count = item->acked.len / ID_SIZE};
    return 0;
}

/* Settings, tokens and trim points are not for everybody who may append. */
static int take_topic(struct intake *in, const struct dump_item *item)
{
    static const enum auth_op needs[] = {AUTH_CREATE_STREAM, AUTH_RECONFIGURE_STREAM, AUTH_FENCE, AUTH_TRIM};
    const struct store_topic *topic = &item->topic;
    int rc = check_name(in, topic->name);
    for (size_t i = 0; rc == 0 && i < sizeof(needs) / sizeof(needs[0]); i++)
        if (!grant_allows(in->x.grant, needs[i], (struct span){0}, topic->name))
            rc = err_set(&in->err, ERR_FORBIDDEN, "this token may not restore topic %.*s", SPAN_ARG(topic->name));
    if (rc < 0)
        return rc;
    struct store_topic *into = intake_add_topic(in);
    if (!into)
        return -ENOMEM;
    *into = *topic;
    return 0;
}

static int take_item(struct intake *in, const struct dump_item *item)
{
    int rc = 0;
    switch (item->type) {
    case DUMP_FRAME:
        in->lines++;
        return take_frame(in, item);
    case DUMP_BLOB:
        memcpy(in->blob, item->digest, DIGEST_SIZE);
        rc = cas_put_begin(in->x.site->cas, &in->put, &in->err);
        break;
    case DUMP_DATA:
        rc = cas_put_write(in->put, item->bytes, &in->err);
        break;
    case DUMP_TOPIC:
        return take_topic(in, item);
    case DUMP_MARK:
        return take_mark(in, item);
    case DUMP_END:
        return 0;
    }
    return rc == 0 && item->whole ? end_blob(in) : rc;
}

void intake_decode_dump(struct intake *in)
{
    struct span rest = buf_span(&in->part);
    struct dump_item item;
    int rc = in->dump ? 0 : dump_reader_create(&in->dump);
    while (rc == 0 && in->group.count < INTAKE_GROUP && in->group.mark_count < INTAKE_GROUP &&
           in->group.topic_count < INTAKE_GROUP) {
        rc = dump_next(in->dump, &rest, &item, &in->err);
        if (rc == ERR_END) /* the head may be taken without an item */
            in->taken = in->part.len - rest.len;
        if (rc == 0)
            rc = take_item(in, &item);
        if (rc == 0)
            in->taken = in->part.len - rest.len;
    }
    if (rc < 0 && rc != ERR_END && in->err.code != rc)
        err_set(&in->err, rc, "%s", err_code_text(rc));
    in->result = rc == ERR_END ? 0 : rc;
    in->bad_line = in->lines;
}
