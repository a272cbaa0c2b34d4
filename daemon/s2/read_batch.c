#include "daemon/s2/read_batch.h"

#include <inttypes.h>

#include "base/s2/frame.h"
#include "base/s2/proto.h"

static bool is_json(const struct read_batch *batch)
{
    return batch->form == READ_JSON_RAW || batch->form == READ_JSON_BASE64;
}

static int add_json(struct read_batch *batch, const struct s2_record *record)
{
    enum s2_format format = batch->form == READ_JSON_RAW ? S2_RAW : S2_BASE64;
    int rc = buf_add_str(&batch->bytes, batch->count == 0 ? "{\"records\":[" : ",");
    return rc == 0 ? s2_json_put_record(&batch->bytes, record, format) : rc;
}

/* A frame's head comes first, and is filled in at the end. */
static int add_proto(struct read_batch *batch, const struct s2_record *record)
{
    static const uint8_t head[S2S_HEAD];
    int rc = batch->form == READ_FRAME && batch->bytes.len == 0 ? buf_add(&batch->bytes, head, S2S_HEAD) : 0;
    return rc == 0 && record ? s2_proto_put_record(&batch->bytes, record) : rc;
}

int read_batch_add(struct read_batch *batch, const struct s2_record *record, uint64_t metered)
{
    size_t before = batch->bytes.len;
    int rc = is_json(batch) ? add_json(batch, record) : add_proto(batch, record);
    if (rc < 0) {
        batch->bytes.len = before;
        return rc;
    }
    batch->count++;
    batch->metered += metered;
    batch->last = (struct s2_position){record->seq_num, record->timestamp};
    return 0;
}

static int end_json(struct read_batch *batch, const struct s2_position *tail)
{
    int rc = buf_add_str(&batch->bytes, batch->count == 0 ? "{\"records\":[]" : "]");
    if (rc == 0 && tail)
        rc = buf_add_str(&batch->bytes, ",\"tail\":");
    if (rc == 0 && tail)
        rc = s2_json_put_position(&batch->bytes, tail);
    return rc == 0 ? buf_add_str(&batch->bytes, "}") : rc;
}

static int pack_frame(struct read_batch *batch, struct span message, bool reconnect)
{
    struct buf framed = BUF_INIT;
    int rc = s2s_put(&framed, message, batch->coding, reconnect);
    if (rc < 0) {
        buf_finish(&framed);
        return rc;
    }
    buf_finish(&batch->bytes);
    batch->bytes = framed;
    return 0;
}

static int end_frame(struct read_batch *batch, bool reconnect)
{
    uint8_t *head = batch->bytes.ptr;
    size_t len = batch->bytes.len - S2S_HEAD;
    if (batch->coding != CODING_NONE && len >= S2S_PACK_FROM)
        return pack_frame(batch, span_of(head + S2S_HEAD, len), reconnect);
    if (len + 1 > S2S_LENGTH_MAX)
        return ERR_TOO_LARGE;
    head[0] = (uint8_t)((len + 1) >> 16);
    head[1] = (uint8_t)((len + 1) >> 8);
    head[2] = (uint8_t)(len + 1);
    head[3] = reconnect ? READ_RECONNECT : 0;
    return 0;
}

int read_batch_end(struct read_batch *batch, const struct s2_position *tail, bool reconnect)
{
    if (is_json(batch))
        return end_json(batch, tail);
    int rc = add_proto(batch, NULL);
    if (rc == 0 && tail)
        rc = s2_proto_put_tail(&batch->bytes, tail);
    if (rc == 0 && batch->form == READ_FRAME)
        rc = end_frame(batch, reconnect);
    return rc;
}

void read_batch_finish(struct read_batch *batch)
{
    buf_finish(&batch->bytes);
}

/* --- events -------------------------------------------------------------------------------------------------- */

int read_event_batch(struct buf *out, uint64_t last_seq, uint64_t count, uint64_t bytes)
{
    return buf_addf(out, "event: batch\nid: %" PRIu64 ",%" PRIu64 ",%" PRIu64 "\ndata: ", last_seq, count, bytes);
}

int read_event_ping(struct buf *out, uint64_t now_ms, const struct s2_position *tail)
{
    size_t before = out->len;
    int rc = buf_addf(out, "event: ping\ndata: {\"timestamp\":%" PRIu64 ",\"tail\":", now_ms);
    if (rc == 0)
        rc = s2_json_put_position(out, tail);
    if (rc == 0)
        rc = buf_add_str(out, "}" READ_EVENT_END);
    if (rc < 0)
        out->len = before;
    return rc;
}

int read_event_error(struct buf *out, struct span json)
{
    size_t before = out->len;
    int rc = buf_add_str(out, "event: error\ndata: ");
    if (rc == 0)
        rc = buf_add_span(out, json);
    if (rc == 0)
        rc = buf_add_str(out, READ_EVENT_END);
    if (rc < 0)
        out->len = before;
    return rc;
}
