#include "daemon/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"

#define MAGIC "weirdump"
#define VERSION 3u /* has topics */
#define VERSION_MARKS 2u
#define FRAME_HEAD 100
#define BLOB_BODY 40
#define END_BODY 24
#define TOPIC_HEAD 64
#define MARK_HEAD 22
#define MORE_HEAD 2

#define FLAG_HASH 1u
#define FLAG_CONTENT 2u
#define FLAG_SEQ 4u
#define FLAG_COMMAND 8u
#define FLAG_MISSING 16u
#define FLAGS_KNOWN 31u
#define FLAG_UNCAPPED 1u

/* --- writing
 * --------------------------------------------------------------------------------------------- */

struct dump_writer {
    XXH3_state_t *sum;
    uint64_t frames, blobs;
};

int dump_writer_create(struct dump_writer **out)
{
    struct dump_writer *w = calloc(1, sizeof(*w));
    if (w)
        w->sum = XXH3_createState();
    if (!w || !w->sum) {
        free(w);
        return -ENOMEM;
    }
    XXH3_64bits_reset(w->sum);
    *out = w;
    return 0;
}

void dump_writer_destroy(struct dump_writer *w)
{
    if (!w)
        return;
    XXH3_freeState(w->sum);
    free(w);
}

/* Counts what was added to out since `from` into the checksum. */
static int summed(struct dump_writer *w, const struct buf *out, size_t from)
{
    XXH3_64bits_update(w->sum, out->ptr + from, out->len - from);
    return 0;
}

int dump_put_head(struct dump_writer *w, struct buf *out, const uint8_t uuid[static 16], bool marks,
                  bool topics)
{
    uint8_t head[DUMP_HEAD] = MAGIC;
    size_t from = out->len;
    put_be32(head + 8, topics ? VERSION : marks ? VERSION_MARKS : 1);
    memcpy(head + 16, uuid, 16);
    int rc = buf_add(out, head, sizeof(head));
    return rc == 0 ? summed(w, out, from) : rc;
}

static void put_item_head(uint8_t *p, char type, size_t len)
{
    p[0] = (uint8_t)type;
    put_be32(p + 1, (uint32_t)len);
}

static void put_frame_head(uint8_t *p, const struct frame *f, bool missing)
{
    memset(p, 0, FRAME_HEAD);
    p[0] = (uint8_t)((f->has_hash ? FLAG_HASH : 0) | (f->has_content ? FLAG_CONTENT : 0) |
                     (f->has_seq ? FLAG_SEQ : 0) | (f->command ? FLAG_COMMAND : 0) |
                     (missing ? FLAG_MISSING : 0));
    p[1] = (uint8_t)f->authority;
    p[2] = (uint8_t)f->ttl.kind;
    id_put(p + 4, f->id);
    put_be64(p + 20, f->has_seq ? f->seq : 0);
    put_be64(p + 28, f->ttl.kind == TTL_TIME || f->ttl.kind == TTL_LAST ? f->ttl.value : 0);
    put_be64(p + 36, f->deadline_ms);
    put_be64(p + 44, f->stamp);
    if (f->has_hash) {
        put_be64(p + 52, f->content_size);
        memcpy(p + 60, f->digest, DIGEST_SIZE);
    }
    put_be32(p + 92, (uint32_t)f->meta.len);
    put_be16(p + 96, (uint16_t)f->topic.len);
    put_be16(p + 98, (uint16_t)f->origin.len);
}

int dump_put_frame(struct dump_writer *w, struct buf *out, const struct frame *frame, bool missing)
{
    uint8_t head[DUMP_ITEM_HEAD + FRAME_HEAD];
    struct span content = frame->has_content ? frame->content : (struct span){0};
    size_t len = FRAME_HEAD + frame->topic.len + frame->meta.len + frame->origin.len + content.len;
    size_t from = out->len;
    if (len > DUMP_BODY_MAX || frame->topic.len > UINT16_MAX || frame->origin.len > UINT16_MAX)
        return ERR_TOO_LARGE;
    int rc = buf_reserve(out, DUMP_ITEM_HEAD + len);
    if (rc < 0)
        return rc;
    put_item_head(head, 'F', len);
    put_frame_head(head + DUMP_ITEM_HEAD, frame, missing);
    buf_add(out, head, sizeof(head));
    buf_add_span(out, frame->topic);
    buf_add_span(out, frame->meta);
    buf_add_span(out, frame->origin);
    buf_add_span(out, content);
    w->frames++;
    return summed(w, out, from);
}

int dump_put_blob(struct dump_writer *w, struct buf *out, const uint8_t digest[static DIGEST_SIZE],
                  uint64_t size)
{
    uint8_t item[DUMP_ITEM_HEAD + BLOB_BODY];
    size_t from = out->len;
    put_item_head(item, 'B', BLOB_BODY);
    memcpy(item + DUMP_ITEM_HEAD, digest, DIGEST_SIZE);
    put_be64(item + DUMP_ITEM_HEAD + DIGEST_SIZE, size);
    w->blobs++;
    int rc = buf_add(out, item, sizeof(item));
    return rc == 0 ? summed(w, out, from) : rc;
}

int dump_put_data(struct dump_writer *w, struct buf *out, struct span bytes)
{
    uint8_t head[DUMP_ITEM_HEAD];
    size_t from = out->len;
    put_item_head(head, 'D', bytes.len);
    int rc = buf_reserve(out, sizeof(head) + bytes.len);
    if (rc < 0)
        return rc;
    buf_add(out, head, sizeof(head));
    buf_add_span(out, bytes);
    return summed(w, out, from);
}

static void put_topic_head(uint8_t p[static TOPIC_HEAD], const struct store_topic *topic)
{
    memset(p, 0, TOPIC_HEAD);
    put_be16(p, (uint16_t)topic->name.len);
    p[2] = (uint8_t)topic->token.len;
    p[3] = (uint8_t)topic->rules.stamp_mode;
    p[4] = topic->rules.uncapped ? FLAG_UNCAPPED : 0;
    put_be16(p + 6, (uint16_t)topic->note.len);
    put_be64(p + 8, topic->created_ms);
    put_be64(p + 16, topic->revision);
    put_be64(p + 24, topic->rules.retention_ms);
    put_be64(p + 32, topic->rules.empty_after_ms);
    put_be64(p + 40, topic->next_seq);
    put_be64(p + 48, topic->last_stamp);
    put_be64(p + 56, topic->trim);
}

int dump_topic_item(struct buf *out, const struct store_topic *topic)
{
    uint8_t head[DUMP_ITEM_HEAD + TOPIC_HEAD];
    size_t len = TOPIC_HEAD + topic->name.len + topic->token.len + topic->note.len;
    int rc = buf_reserve(out, DUMP_ITEM_HEAD + len);
    if (rc < 0)
        return rc;
    put_item_head(head, 'T', len);
    put_topic_head(head + DUMP_ITEM_HEAD, topic);
    buf_add(out, head, sizeof(head));
    buf_add_span(out, topic->name);
    buf_add_span(out, topic->token);
    buf_add_span(out, topic->note);
    return 0;
}

/* Ids `from` to `end` of a mark, behind the head of an item. */
static int put_ids(struct buf *out, const struct store_mark_view *mark, size_t from, size_t end)
{
    size_t len = (end - from) * ID_SIZE;
    int rc = len > 0 ? buf_reserve(out, len) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = from; i < end; i++)
        id_put(out->ptr + out->len + (i - from) * ID_SIZE, mark->acked[i]);
    out->len += len;
    return 0;
}

static size_t ids_until(const struct store_mark_view *mark, size_t from)
{
    return mark->acked_count - from > MARK_ACKED_MAX ? from + MARK_ACKED_MAX : mark->acked_count;
}

static int put_more(struct buf *out, const struct store_mark_view *mark, size_t from, size_t end)
{
    uint8_t head[DUMP_ITEM_HEAD + MORE_HEAD];
    put_item_head(head, 'A', MORE_HEAD + mark->name.len + (end - from) * ID_SIZE);
    put_be16(head + DUMP_ITEM_HEAD, (uint16_t)mark->name.len);
    int rc = buf_add(out, head, sizeof(head));
    if (rc == 0)
        rc = buf_add_span(out, mark->name);
    return rc == 0 ? put_ids(out, mark, from, end) : rc;
}

int dump_mark_items(struct buf *out, const struct store_mark_view *mark)
{
    uint8_t head[DUMP_ITEM_HEAD + MARK_HEAD];
    size_t end = ids_until(mark, 0);
    put_item_head(head, 'M',
                  MARK_HEAD + mark->name.len + mark->config.len + end * ID_SIZE);
    put_be16(head + DUMP_ITEM_HEAD, (uint16_t)mark->name.len);
    put_be32(head + DUMP_ITEM_HEAD + 2, (uint32_t)mark->config.len);
    id_put(head + DUMP_ITEM_HEAD + 6, mark->low);
    int rc = buf_add(out, head, sizeof(head));
    if (rc == 0)
        rc = buf_add_span(out, mark->name);
    if (rc == 0)
        rc = buf_add_span(out, mark->config);
    if (rc == 0)
        rc = put_ids(out, mark, 0, end);
    for (size_t at = end; rc == 0 && at < mark->acked_count; at = end) {
        end = ids_until(mark, at);
        rc = put_more(out, mark, at, end);
    }
    return rc;
}

int dump_put_rest(struct dump_writer *w, struct buf *out, struct span items)
{
    size_t from = out->len;
    int rc = buf_add_span(out, items);
    return rc == 0 ? summed(w, out, from) : rc;
}

int dump_put_end(struct dump_writer *w, struct buf *out)
{
    uint8_t item[DUMP_ITEM_HEAD + END_BODY];
    put_item_head(item, 'E', END_BODY);
    put_be64(item + DUMP_ITEM_HEAD, w->frames);
    put_be64(item + DUMP_ITEM_HEAD + 8, w->blobs);
    put_be64(item + DUMP_ITEM_HEAD + 16, XXH3_64bits_digest(w->sum));
    return buf_add(out, item, sizeof(item));
}

/* --- reading
 * -----------------------------------------------------------------------------------------------
 */

struct dump_reader {
    XXH3_state_t *sum;
    uint64_t frames, blobs;
    uint64_t left; /* bytes of the content begun last that are still to come */
    struct frame_id last;
    bool headed, ended;
    uint32_t version;
    bool in_marks;            /* a mark was read, else maybe topics */
    uint8_t name[TOPIC_MAX > MARK_NAME_MAX ? TOPIC_MAX : MARK_NAME_MAX]; /* of the topic or mark begun last, and */
    size_t name_len;          /* its length; 0 = none yet */
    struct frame_id mark_low; /* of it, and */
    struct frame_id mark_last; /* its highest id so far */
};

int dump_reader_create(struct dump_reader **out)
{
    struct dump_reader *r = calloc(1, sizeof(*r));
    if (r)
        r->sum = XXH3_createState();
    if (!r || !r->sum) {
        free(r);
        return -ENOMEM;
    }
    XXH3_64bits_reset(r->sum);
    *out = r;
    return 0;
}

void dump_reader_destroy(struct dump_reader *r)
{
    if (!r)
        return;
    XXH3_freeState(r->sum);
    free(r);
}

bool dump_ended(const struct dump_reader *r)
{
    return r->ended;
}

static void take(struct dump_reader *r, struct span *rest, size_t len)
{
    XXH3_64bits_update(r->sum, rest->ptr, len);
    rest->ptr += len;
    rest->len -= len;
}

static int read_head(struct dump_reader *r, struct span *rest, struct err *err)
{
    size_t known = rest->len < 8 ? rest->len : 8;
    if (memcmp(rest->ptr, MAGIC, known) != 0)
        return err_set(err, ERR_INVALID, "this is not a dump of weir");
    if (rest->len < DUMP_HEAD)
        return ERR_END;
    uint32_t version = get_be32(rest->ptr + 8);
    if (version > VERSION)
        return err_set(err, ERR_INVALID,
                       "the dump has version %" PRIu32
                       "; this weir reads up to %u: take a newer one",
                       version, VERSION);
    if (version == 0 || get_be32(rest->ptr + 12) != 0)
        return err_set(err, ERR_INVALID, "the head of the dump is damaged");
    take(r, rest, DUMP_HEAD);
    r->version = version;
    r->headed = true;
    return 0;
}

static int damaged(const struct dump_reader *r, struct err *err, const char *what)
{
    return err_set(err, ERR_INVALID, "the dump is damaged behind frame %" PRIu64 ": %s", r->frames,
                   what);
}

static bool ttl_is_known(unsigned kind, uint64_t value)
{
    if (kind == TTL_LAST)
        return value > 0 && value <= UINT32_MAX;
    return kind == TTL_TIME || (kind <= TTL_FOREVER && value == 0);
}

/* What the flags say must fit the fields, so that every frame has one form. */
static const char *check_frame(unsigned flags, const uint8_t *p, const struct frame *f)
{
    static const uint8_t zero[DIGEST_SIZE];
    bool hash = flags & FLAG_HASH;
    if (flags & ~FLAGS_KNOWN || p[3] != 0 || p[1] > AUTHORITY_DAEMON)
        return "unknown flags";
    if (!ttl_is_known(p[2], f->ttl.value))
        return "an unknown ttl";
    if (!hash && (flags & (FLAG_CONTENT | FLAG_MISSING) || f->content_size ||
                  memcmp(p + 60, zero, sizeof(zero))))
        return "content without a hash";
    if (flags & FLAG_CONTENT && flags & FLAG_MISSING)
        return "content that is there and missing";
    if (!(flags & FLAG_SEQ) && f->seq != 0)
        return "a seq where there is none";
    if (flags & FLAG_CONTENT && f->content_size > RECORD_CONTENT_MAX)
        return "a content that is too large for its frame";
    return NULL;
}

static int read_frame(struct dump_reader *r, struct span body, struct dump_item *out,
                      struct err *err)
{
    const uint8_t *p = body.ptr;
    if (body.len < FRAME_HEAD)
        return damaged(r, err, "a short frame");
    unsigned flags = p[0];
    struct frame f = {.id = id_get(p + 4),
                      .ttl = {.kind = p[2], .value = get_be64(p + 28)},
                      .authority = p[1],
                      .has_hash = flags & FLAG_HASH,
                      .has_content = flags & FLAG_CONTENT,
                      .has_seq = flags & FLAG_SEQ,
                      .command = flags & FLAG_COMMAND,
                      .content_size = get_be64(p + 52),
                      .seq = get_be64(p + 20),
                      .stamp = get_be64(p + 44),
                      .deadline_ms = get_be64(p + 36)};
    const char *fault = check_frame(flags, p, &f);
    size_t meta = get_be32(p + 92), topic = get_be16(p + 96), origin = get_be16(p + 98);
    size_t content = f.has_content && !fault ? (size_t)f.content_size : 0;
    if (!fault && (uint64_t)FRAME_HEAD + topic + meta + origin + content != body.len)
        fault = "lengths that do not add up";
    if (!fault && r->frames > 0 && id_cmp(f.id, r->last) <= 0)
        fault = "frames out of order";
    if (fault)
        return damaged(r, err, fault);
    memcpy(f.digest, p + 60, DIGEST_SIZE);
    f.topic = span_of(p + FRAME_HEAD, topic);
    f.meta = span_of(p + FRAME_HEAD + topic, meta);
    f.origin = span_of(p + FRAME_HEAD + topic + meta, origin);
    f.content = span_of(p + FRAME_HEAD + topic + meta + origin, content);
    r->last = f.id;
    r->frames++;
    *out = (struct dump_item){.type = DUMP_FRAME, .frame = f, .missing = flags & FLAG_MISSING};
    return 0;
}

static int read_blob(struct dump_reader *r, struct span body, struct dump_item *out,
                     struct err *err)
{
    if (body.len != BLOB_BODY)
        return damaged(r, err, "a short head of a content");
    *out = (struct dump_item){.type = DUMP_BLOB, .size = get_be64(body.ptr + DIGEST_SIZE)};
    memcpy(out->digest, body.ptr, DIGEST_SIZE);
    r->left = out->size;
    out->whole = r->left == 0;
    r->blobs++;
    return 0;
}

static int read_data(struct dump_reader *r, struct span body, struct dump_item *out,
                     struct err *err)
{
    if (body.len == 0 || body.len > r->left)
        return damaged(r, err, "more bytes than the content has");
    r->left -= body.len;
    *out = (struct dump_item){.type = DUMP_DATA, .bytes = body, .whole = r->left == 0};
    return 0;
}

/* Ids that rise above the ones before. */
static bool ids_rise(struct dump_reader *r, struct span ids)
{
    if (ids.len % ID_SIZE != 0 || ids.len / ID_SIZE > MARK_ACKED_MAX)
        return false;
    for (size_t at = 0; at < ids.len; at += ID_SIZE) {
        struct frame_id id = id_get(ids.ptr + at);
        if (id_cmp(id, r->mark_last) <= 0)
            return false;
        r->mark_last = id;
    }
    return true;
}

static bool name_rises(const struct dump_reader *r, struct span name)
{
    int c = memcmp(r->name, name.ptr, r->name_len < name.len ? r->name_len : name.len);
    return c < 0 || (c == 0 && r->name_len < name.len);
}

static void note_name(struct dump_reader *r, struct span name)
{
    memcpy(r->name, name.ptr, name.len);
    r->name_len = name.len;
}

/* Whether the lengths add up, and what is known has meaning. */
static bool topic_fits(struct span body)
{
    const uint8_t *p = body.ptr;
    if (body.len < TOPIC_HEAD || p[3] > STAMP_ARRIVAL || (p[4] & ~FLAG_UNCAPPED) != 0 || p[5] != 0)
        return false;
    size_t name = get_be16(p), token = p[2], note = get_be16(p + 6);
    return name > 0 && name <= TOPIC_MAX && token <= TOKEN_MAX && note <= TOPIC_NOTE_MAX &&
           body.len == TOPIC_HEAD + name + token + note && get_be64(p + 56) <= get_be64(p + 40);
}

static int read_topic(struct dump_reader *r, struct span body, struct dump_item *out, struct err *err)
{
    const uint8_t *p = body.ptr;
    if (!topic_fits(body))
        return damaged(r, err, "a topic that does not fit");
    size_t name = get_be16(p), token = p[2], note = get_be16(p + 6);
    *out = (struct dump_item){
        .type = DUMP_TOPIC,
        .topic = {.name = span_of(p + TOPIC_HEAD, name),
                  .token = span_of(p + TOPIC_HEAD + name, token),
                  .note = span_of(p + TOPIC_HEAD + name + token, note),
                  .created_ms = get_be64(p + 8),
                  .revision = get_be64(p + 16),
                  .rules = {.retention_ms = get_be64(p + 24),
                            .stamp_mode = (enum stamp_mode)p[3],
                            .uncapped = p[4] & FLAG_UNCAPPED,
                            .empty_after_ms = get_be64(p + 32)},
                  .next_seq = get_be64(p + 40),
                  .last_stamp = get_be64(p + 48),
                  .trim = get_be64(p + 56)},
    };
    if (!name_rises(r, out->topic.name))
        return damaged(r, err, "topics out of order");
    note_name(r, out->topic.name);
    return 0;
}

static int read_mark(struct dump_reader *r, struct span body, struct dump_item *out,
                     struct err *err)
{
    size_t name = body.len < MARK_HEAD ? 0 : get_be16(body.ptr);
    size_t config = body.len < MARK_HEAD ? 0 : get_be32(body.ptr + 2);
    if (name == 0 || name > MARK_NAME_MAX || config > MARK_CONFIG_MAX ||
        body.len - MARK_HEAD < name + config)
        return damaged(r, err, "a mark whose lengths do not add up");
    const uint8_t *p = body.ptr + MARK_HEAD;
    *out = (struct dump_item){.type = DUMP_MARK,
                              .name = span_of(p, name),
                              .config = span_of(p + name, config),
                              .low = id_get(body.ptr + 6),
                              .acked = span_of(p + name + config, body.len - MARK_HEAD - name - config)};
    if (r->in_marks && !name_rises(r, out->name))
        return damaged(r, err, "marks out of order");
    r->in_marks = true;
    note_name(r, out->name);
    r->mark_low = r->mark_last = out->low;
    return ids_rise(r, out->acked) ? 0 : damaged(r, err, "a mark whose ids do not rise");
}

static int read_more(struct dump_reader *r, struct span body, struct dump_item *out,
                     struct err *err)
{
    size_t name = body.len < MORE_HEAD ? 0 : get_be16(body.ptr);
    if (!r->in_marks || name != r->name_len || body.len - MORE_HEAD <= name ||
        memcmp(body.ptr + MORE_HEAD, r->name, name) != 0)
        return damaged(r, err, "more of a mark that did not begin");
    const uint8_t *p = body.ptr + MORE_HEAD;
    *out = (struct dump_item){.type = DUMP_MARK,
                              .more = true,
                              .name = span_of(p, name),
                              .low = r->mark_low,
                              .acked = span_of(p + name, body.len - MORE_HEAD - name)};
    return ids_rise(r, out->acked) ? 0 : damaged(r, err, "a mark whose ids do not rise");
}

static int read_end(struct dump_reader *r, struct span body, struct dump_item *out, struct err *err)
{
    if (body.len != END_BODY || get_be64(body.ptr) != r->frames ||
        get_be64(body.ptr + 8) != r->blobs)
        return damaged(r, err, "counts that do not fit");
    if (get_be64(body.ptr + 16) != XXH3_64bits_digest(r->sum))
        return damaged(r, err, "a checksum that does not fit");
    r->ended = true;
    *out = (struct dump_item){.type = DUMP_END};
    return 0;
}

static int read_body(struct dump_reader *r, char type, struct span body, struct dump_item *out,
                     struct err *err)
{
    if (r->left > 0 && type != 'D')
        return damaged(r, err, "a content that is cut");
    if (r->name_len > 0 && (type == 'F' || type == 'B'))
        return damaged(r, err, r->in_marks ? "frames behind a mark" : "frames behind a topic");
    if (r->in_marks && type == 'T')
        return damaged(r, err, "topics behind a mark");
    switch (type) {
    case 'F':
        return read_frame(r, body, out, err);
    case 'B':
        return read_blob(r, body, out, err);
    case 'D':
        return read_data(r, body, out, err);
    case 'T':
        return r->version >= VERSION ? read_topic(r, body, out, err)
                                     : damaged(r, err, "an item of an unknown type");
    case 'M':
    case 'A':
        if (r->version < VERSION_MARKS)
            return damaged(r, err, "an item of an unknown type");
        return type == 'M' ? read_mark(r, body, out, err) : read_more(r, body, out, err);
    case 'E':
        return read_end(r, body, out, err);
    default:
        return damaged(r, err, "an item of an unknown type");
    }
}

int dump_next(struct dump_reader *r, struct span *rest, struct dump_item *out, struct err *err)
{
    int rc = r->headed || rest->len == 0 ? 0 : read_head(r, rest, err);
    if (rc < 0)
        return rc;
    if (rest->len > 0 && r->ended)
        return damaged(r, err, "bytes behind its end");
    if (rest->len < DUMP_ITEM_HEAD)
        return ERR_END;
    uint32_t len = get_be32(rest->ptr + 1);
    if (len > DUMP_BODY_MAX)
        return damaged(r, err, "an item of impossible length");
    if (rest->len - DUMP_ITEM_HEAD < len)
        return ERR_END;
    rc = read_body(r, (char)rest->ptr[0], span_of(rest->ptr + DUMP_ITEM_HEAD, len), out, err);
    if (rc == 0)
        take(r, rest, DUMP_ITEM_HEAD + (size_t)len);
    return rc;
}
