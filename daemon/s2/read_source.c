#include "daemon/s2/read_source.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/text.h"

#define SLICE_BYTES (256 * 1024)
#define LOOP_SLICES 2         /* of about a millisecond */
#define POOL_SLICES 256       /* then others have their turn */
#define KEEP_IDLE 4096        /* buffers above this are given back at rest */
#define SHOWN_MAX (1024 * 1024) /* contents above are named, not shown */
#define SEALED_MAX (4 * SHOWN_MAX) /* no append makes a longer one */

/* What the sink ends a slice with; `stop` says it. */
enum { STOP_FULL = 1, STOP_OVER, STOP_GONE, STOP_BLOB };

/* --- a frame as a record ------------------------------------------------------------------------------------- */

static int stop_with(struct read_source *src, int stop)
{
    src->stop = stop;
    return ERR_END;
}

static int more_room(struct read_source *src, size_t count)
{
    if (count <= src->more_cap)
        return 0;
    struct s2_header *more = realloc(src->more, count * sizeof(*more));
    if (!more)
        return -ENOMEM;
    src->more = more;
    src->more_cap = count;
    return 0;
}

/* Large content is told by name and size, behind the record's own headers. */
static int name_content(struct read_source *src, struct s2_record *record, const struct frame *frame)
{
    char hash[SRI_TEXT_LEN + 1], size[U64_TEXT_MAX];
    size_t count = record->header_count;
    int rc = more_room(src, count + 2);
    buf_reset(&src->room);
    sri_format(hash, frame->digest);
    size_t digits = text_format_u64(size, frame->content_size);
    if (rc == 0)
        rc = buf_add(&src->room, hash, SRI_TEXT_LEN);
    if (rc == 0)
        rc = buf_add(&src->room, size, digits);
    if (rc < 0)
        return rc;
    if (count > 0)
        memcpy(src->more, record->headers, count * sizeof(*src->more));
    src->more[count] = (struct s2_header){span_str("weir-hash"), span_of(src->room.ptr, SRI_TEXT_LEN)};
    src->more[count + 1] = (struct s2_header){span_str("weir-size"), span_of(src->room.ptr + SRI_TEXT_LEN, digits)};
    record->headers = src->more;
    record->header_count = count + 2;
    return 0;
}

/* The content where it lies in the record or was fetched; else it is to be fetched. */
static int find_content(struct read_source *src, const struct frame *frame, struct span *out)
{
    *out = (struct span){0};
    if (!frame->has_hash || frame->content_size == 0)
        return 0;
    if (frame->has_content) {
        *out = frame->content;
        return 0;
    }
    if (src->has_blob && id_cmp(src->blob_of, frame->id) == 0) {
        *out = buf_span(&src->blob);
        return 0;
    }
    src->has_blob = false;
    src->blob_of = frame->id;
    src->blob_size = frame->content_size;
    memcpy(src->blob_digest, frame->digest, DIGEST_SIZE);
    return stop_with(src, STOP_BLOB);
}

static int plain_record(struct read_source *src, const struct frame *frame, struct s2_record *record, bool shown,
                        struct span content)
{
    int rc = s2_headers_from_meta(&src->headers, frame->meta, frame->command);
    if (rc < 0)
        return rc;
    record->headers = src->headers.items;
    record->header_count = src->headers.count;
    record->body = content;
    return shown ? 0 : name_content(src, record, frame);
}

static int record_of(struct read_source *src, const struct frame *frame, struct s2_record *record)
{
    struct span content = {0};
    bool sealed = src->sealed && !frame->command && frame->content_size <= SEALED_MAX && span_is(frame->meta, S2_SEALED_META);
    bool shown = frame->content_size <= SHOWN_MAX || frame->has_content;
    int rc = shown || sealed ? find_content(src, frame, &content) : 0;
    if (rc < 0)
        return rc;
    if (sealed) {
        buf_reset(&src->room);
        rc = s2_unseal(record, &src->headers, &src->room, src->key, &src->topic, content, &src->why);
    } else {
        rc = plain_record(src, frame, record, shown, content);
    }
    record->has_timestamp = true;
    record->timestamp = frame->stamp;
    record->seq_num = frame->seq;
    return rc;
}

static long take(void *arg, const struct store_item *item)
{
    struct read_source *src = arg;
    const struct frame *frame = item->frame;
    struct read_batch *batch = src->batch;
    struct s2_record record = {0};
    if (!frame->has_seq)
        return 64; /* looking costs too */
    if (frame->topic_no != src->topic.no)
        return stop_with(src, STOP_GONE);
    int rc = record_of(src, frame, &record);
    if (rc < 0)
        return rc;
    uint64_t metered = s2_metered(&record);
    enum read_fit fit = read_fit(&src->limits, &src->caps, batch->count, batch->metered, frame->stamp, metered);
    if (fit != READ_FITS)
        return stop_with(src, fit == READ_OVER ? STOP_OVER : STOP_FULL);
    size_t before = batch->bytes.len;
    rc = read_batch_add(batch, &record, metered);
    if (rc < 0)
        return rc;
    read_took(&src->limits, 1, metered);
    return (long)(batch->bytes.len - before);
}

/* --- contents that lie elsewhere ----------------------------------------------------------------------------- */

static int fetch(struct read_source *src, struct err *err)
{
    struct cas_reader *reader = NULL;
    size_t size = (size_t)src->blob_size, got = 0;
    buf_reset(&src->blob);
    int rc = cas_reader_open(src->cas, &reader, src->blob_digest, err);
    if (rc == 0 && cas_reader_size(reader) != src->blob_size)
        rc = err_set(err, ERR_DAMAGED, "a content has another size than its frame says");
    if (rc == 0)
        rc = buf_reserve(&src->blob, size);
    if (rc == 0)
        rc = cas_reader_read(reader, 0, src->blob.ptr, size, &got, err);
    src->blob.len = rc == 0 ? got : 0;
    cas_reader_close(reader);
    src->has_blob = rc == 0;
    return rc == ERR_NOT_FOUND ? err_set(err, ERR_DAMAGED, "the content of a frame is missing") : rc;
}

/* --- a fill -------------------------------------------------------------------------------------------------- */

/* A read to the end of what is visible now: following is to do so again. */
static int open_cursor(struct read_source *src, struct err *err)
{
    struct store_query query = {.stream = src->topic.name, .stored_only = true, .from = src->next};
    return src->cursor ? 0 : store_cursor_open(&src->cursor, src->store, &query, err);
}

static void close_cursor(struct read_source *src)
{
    store_cursor_close(src->cursor);
    src->cursor = NULL;
}

static void note_place(struct read_source *src)
{
    struct frame_id place = store_cursor_position(src->cursor);
    if (id_cmp(id_succ(place), src->next) > 0)
        src->next = id_succ(place);
}

/* Why the sink ended a slice. 1: the fill is over, and *step says how. */
static int stopped(struct read_source *src, bool may_block, enum read_step *step, struct err *err)
{
    switch (src->stop) {
    case STOP_FULL:
        *step = READ_CUT;
        return 1;
    case STOP_OVER:
        *step = READ_ENDED;
        return 1;
    case STOP_GONE:
        return err_set(err, ERR_NOT_FOUND, "the stream was deleted");
    default:
        *step = READ_DISK;
        return may_block ? fetch(src, err) : 1;
    }
}

/* An error with its reason, where that is known. */
static int told(const struct read_source *src, int rc, struct err *err)
{
    if (src->why.code)
        return err_set(err, rc, "%s", src->why.text);
    return err->code == rc ? rc : err_set(err, rc, "a record cannot be read");
}

/* One slice. 1: the fill is over. */
static int slice(struct read_source *src, bool may_block, enum read_step *step, struct err *err)
{
    enum store_step at = STORE_MORE;
    src->stop = 0;
    src->why.code = 0;
    int rc = store_cursor_read(src->cursor, SLICE_BYTES, may_block, take, src, &at, err);
    note_place(src);
    if (rc == ERR_END && src->stop)
        return stopped(src, may_block, step, err);
    if (rc < 0)
        return told(src, rc, err);
    if (at == STORE_DONE) {
        close_cursor(src);
        *step = READ_LAST;
        return 1;
    }
    *step = READ_DISK;
    return at == STORE_DISK;
}

int read_source_fill(struct read_source *src, struct read_batch *batch, bool may_block, enum read_step *step, struct err *err)
{
    int slices = may_block ? POOL_SLICES : LOOP_SLICES;
    int rc = open_cursor(src, err);
    src->batch = batch;
    while (rc == 0 && slices-- > 0)
        rc = slice(src, may_block, step, err);
    if (rc < 0)
        return rc;
    if (rc == 0)
        *step = batch->count > 0 ? READ_CUT : READ_AGAIN;
    if (read_spent(&src->limits))
        *step = READ_ENDED;
    return 0;
}

void read_source_move(struct read_source *src, struct frame_id next)
{
    close_cursor(src);
    src->next = next;
}

int read_source_seek(struct read_source *src, const struct read_plan *plan, struct err *err)
{
    enum store_seek by = plan->begin == READ_FROM_STAMP ? SEEK_STAMP : SEEK_SEQ;
    return store_seek(src->store, src->topic.no, by, plan->from, &src->next, err);
}

/* --- life ---------------------------------------------------------------------------------------------------- */

static void shrink(struct buf *buf)
{
    if (buf->cap > KEEP_IDLE)
        buf_finish(buf);
}

void read_source_rest(struct read_source *src)
{
    src->has_blob = false;
    shrink(&src->blob);
    shrink(&src->room);
    shrink(&src->headers.bytes);
}

void read_source_finish(struct read_source *src)
{
    close_cursor(src);
    if (src->sealed && src->room.ptr)
        sodium_memzero(src->room.ptr, src->room.cap);
    buf_finish(&src->blob);
    buf_finish(&src->room);
    s2_headers_finish(&src->headers);
    free(src->more);
}
