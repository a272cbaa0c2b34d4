#include "daemon/s2/append_batch.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* --- checks --------------------------------------------------------------------------------------------- */

int append_batch_check(struct append_batch *batch, struct err *err)
{
    const struct s2_input *input = &batch->input;
    int rc = s2_input_check(input, err);
    batch->metered = 0;
    for (size_t i = 0; rc == 0 && i < input->count; i++) {
        enum s2_command command;
        rc = s2_record_command(&input->records[i], &command, err);
        batch->fences |= rc == 0 && command == S2_FENCE;
        batch->trims |= rc == 0 && command == S2_TRIM;
        batch->metered += s2_metered(&input->records[i]);
    }
    batch->held = sizeof(*batch) + (size_t)batch->metered +
                  input->count * (sizeof(struct store_frame) + sizeof(struct s2_record));
    return rc;
}

static int need(const struct s2_request *s, enum auth_op op, const char *what, struct err *err)
{
    if (grant_allows(s->x.grant, op, s->basin_name, buf_span(&s->stream)))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "this access token does not allow to %s here", what);
}

/* Only the root store's log says which stores there are; in another one's they would be asked for in vain. */
static int check_store(const struct site *site, struct span topic, struct err *err)
{
    static const char prefix[] = "xs.store.";
    const size_t len = sizeof(prefix) - 1;
    if (!site->name[0] || topic.len < len || memcmp(topic.ptr, prefix, len) != 0)
        return 0;
    return err_set(err, ERR_FORBIDDEN, "stores are asked for in the root store");
}

int append_allowed(struct s2_request *s, const struct append_batch *batch, struct err *err)
{
    struct span stream = buf_span(&s->stream);
    int rc = need(s, AUTH_APPEND, "append", err);
    if (rc == 0 && batch->fences)
        rc = need(s, AUTH_FENCE, "fence", err);
    if (rc == 0 && batch->trims)
        rc = need(s, AUTH_TRIM, "trim", err);
    if (rc == 0)
        rc = exchange_may_append(exchange_authority(&s->x), stream, err);
    return rc == 0 ? check_store(s->x.site, stream, err) : rc;
}

/* --- frames --------------------------------------------------------------------------------------------- */

static enum store_command command_of(const struct s2_record *record)
{
    enum s2_command command = S2_DATA;
    s2_record_command(record, &command, NULL);
    return command == S2_FENCE ? COMMAND_FENCE : command == S2_TRIM ? COMMAND_TRIM : COMMAND_NONE;
}

/* Meta and content that are made here lie one after the other in buffers which may still move: `len` now, `ptr` at the end. */
static int make_plain(struct append_batch *batch, struct store_frame *frame, const struct s2_record *record)
{
    size_t before = batch->metas.len;
    int rc = s2_headers_to_meta(&batch->metas, record->headers, record->header_count);
    frame->meta.len = batch->metas.len - before;
    frame->content = record->body;
    return rc;
}

static int make_sealed(struct append_batch *batch, struct store_frame *frame, const struct s2_record *record, struct err *err)
{
    const struct append_stream *stream = batch->stream;
    const struct store_topic topic = {.name = stream->name, .no = stream->no, .created_ms = stream->created_ms};
    size_t before = batch->contents.len;
    frame->meta = span_str(S2_SEALED_META);
    int rc = s2_seal(&batch->contents, stream->key, &topic, record, err);
    frame->content.len = batch->contents.len - before;
    return rc;
}

static int make_frame(struct append_batch *batch, size_t i, struct err *err)
{
    const struct s2_record *record = &batch->input.records[i];
    const struct append_stream *stream = batch->stream;
    struct store_frame *frame = &batch->frames[i];
    *frame = (struct store_frame){.topic = stream->name,
                                  .origin = stream->origin,
                                  .command = command_of(record),
                                  .has_stamp = record->has_timestamp,
                                  .stamp = record->timestamp};
    return stream->sealed && frame->command == COMMAND_NONE ? make_sealed(batch, frame, record, err)
                                                            : make_plain(batch, frame, record);
}

static void place(struct append_batch *batch)
{
    const uint8_t *meta = batch->metas.ptr, *content = batch->contents.ptr;
    for (size_t i = 0; i < batch->input.count; i++) {
        struct store_frame *frame = &batch->frames[i];
        if (batch->stream->sealed && frame->command == COMMAND_NONE) {
            frame->content.ptr = content;
            content += frame->content.len;
        } else if (frame->meta.len > 0) {
            frame->meta.ptr = meta;
            meta += frame->meta.len;
        }
        frame->has_hash = frame->has_content = frame->content.len > 0;
        frame->content_size = frame->content.len;
        if (frame->has_hash)
            cas_digest(frame->digest, frame->content);
    }
}

int append_batch_frames(struct append_batch *batch, const struct append_stream *stream, struct err *err)
{
    int rc = 0;
    batch->stream = stream;
    buf_reset(&batch->metas);
    buf_reset(&batch->contents);
    if (!batch->frames)
        batch->frames = calloc(batch->input.count, sizeof(*batch->frames));
    if (!batch->frames)
        return err_set(err, -ENOMEM, "no memory for the records");
    for (size_t i = 0; rc == 0 && i < batch->input.count; i++)
        rc = make_frame(batch, i, err);
    if (rc == 0)
        place(batch);
    return rc;
}

/* --- the operation ---------------------------------------------------------------------------------------- */

/* Writer thread. */
static int admit(struct store_op *op, const struct store_topic *topic)
{
    struct submission *submission = op->owner;
    struct append_batch *batch = (struct append_batch *)((char *)submission - offsetof(struct append_batch, submission));
    const struct append_stream *stream = batch->stream;
    struct s2_stream_note note;
    if (stream->no > 0)
        return topic->no == stream->no && topic->created_ms == stream->created_ms
                   ? 0
                   : err_set(&op->err, ERR_NOT_FOUND, "the stream was deleted meanwhile");
    if (topic->note.len == 0)
        return 0;
    int rc = s2_stream_note_read(&note, topic->note, &op->err);
    if (rc < 0 || note.cipher == S2_PLAIN)
        return rc;
    batch->needs_key = true;
    return err_set(&op->err, ERR_INVALID, "records of this stream are encrypted");
}

void append_batch_op(struct append_batch *batch, const struct topic_make *make, struct store_chain *chain)
{
    const struct s2_input *input = &batch->input;
    batch->needs_key = false;
    batch->submission.op = (struct store_op){.kind = STORE_APPEND,
                                             .authority = batch->stream->authority,
                                             .frames = batch->frames,
                                             .count = input->count,
                                             .stream = true,
                                             .make = make,
                                             .chain = chain,
                                             .admit = admit,
                                             .has_expect_seq = input->has_match,
                                             .expect_seq = input->match_seq_num,
                                             .has_expect_token = input->has_token,
                                             .expect_token = input->token};
}

struct s2_ack append_batch_ack(const struct append_batch *batch)
{
    const struct store_frame *first = &batch->frames[0];
    const struct store_frame *last = &batch->frames[batch->input.count - 1];
    struct s2_position end = {last->seq + 1, last->stamp};
    return (struct s2_ack){.start = {first->seq, first->stamp}, .end = end, .tail = end};
}

void append_batch_finish(struct append_batch *batch)
{
    s2_input_finish(&batch->input);
    free(batch->frames);
    buf_finish(&batch->message);
    buf_finish(&batch->metas);
    buf_finish(&batch->contents);
}
