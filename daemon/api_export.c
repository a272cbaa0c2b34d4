/*
 * GET /export: the store, or part of it, as a dump.
 *
 * Made on the pool a part at a time, the next while one is sent, with memory for two parts and the
 * marks. Contents that frames of the dump share are written once.
 *
 * A dump of everything has the topics' rows and the marks, too: those of one moment, and the frames up to that
 * moment, so that nothing acknowledged comes without what was appended with it.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/dump.h"
#include "daemon/exchange.h"

#define PART (256 * 1024)

/* Digests of the blobs that are in the dump: open addressing, since digests are random. */
struct seen {
    uint8_t (*slots)[DIGEST_SIZE];
    size_t size, count;
};

struct export
{
    struct exchange x;
    struct store_cursor *cursor;
    struct dump_writer *writer;
    struct seen seen;
    struct cas_reader *blob;
    uint64_t blob_at;
    struct buf held; /* the item of the frame that names the blob being written */
    struct frame held_frame;
    bool whole; /* it has topics and marks */
    bool exec;  /* access tokens are among the marks */
    bool marks;
    struct buf rest; /* their items */
    size_t rest_put;
    struct frame_id newest; /* stored, when the marks were read */
    struct err unmarked;    /* why they could not be */
    bool headed, framed, over;
    uint64_t missing;

    struct job job;
    bool busy, started, next_ready;
    struct buf out, next;
    size_t sent;
    int result;
    struct err err;
};

/* --- blobs that are there already
 * ---------------------------------------------------------------------- */

static uint8_t *seen_slot(struct seen *seen, const uint8_t *digest)
{
    static const uint8_t empty[DIGEST_SIZE];
    uint64_t hash;
    memcpy(&hash, digest, sizeof(hash));
    for (size_t i = hash & (seen->size - 1);; i = (i + 1) & (seen->size - 1))
        if (memcmp(seen->slots[i], empty, DIGEST_SIZE) == 0 ||
            memcmp(seen->slots[i], digest, DIGEST_SIZE) == 0)
            return seen->slots[i];
}

static int seen_grow(struct seen *seen)
{
    struct seen larger = {.size = seen->size ? seen->size * 2 : 64, .count = seen->count};
    static const uint8_t empty[DIGEST_SIZE];
    if (seen->count * 2 < seen->size)
        return 0;
    larger.slots = calloc(larger.size, DIGEST_SIZE);
    if (!larger.slots)
        return -ENOMEM;
    for (size_t i = 0; i < seen->size; i++)
        if (memcmp(seen->slots[i], empty, DIGEST_SIZE) != 0)
            memcpy(seen_slot(&larger, seen->slots[i]), seen->slots[i], DIGEST_SIZE);
    free(seen->slots);
    *seen = larger;
    return 0;
}

/* 1: it is new, and noted. 0: it was there. */
static int seen_add(struct seen *seen, const uint8_t *digest)
{
    int rc = seen_grow(seen);
    if (rc < 0)
        return rc;
    uint8_t *slot = seen_slot(seen, digest);
    if (memcmp(slot, digest, DIGEST_SIZE) == 0)
        return 0;
    memcpy(slot, digest, DIGEST_SIZE);
    seen->count++;
    return 1;
}

/* --- making the dump (pool)
 * ------------------------------------------------------------------------------- */

/* A frame leaves the cursor's hands as a copy: its blob may have to be written before it. */
static int hold_frame(struct export *e, const struct frame *frame)
{
    struct span parts[4] = {frame->topic, frame->meta, frame->origin,
                            frame->has_content ? frame->content : (struct span){0}};
    struct span copies[4];
    size_t total = 1;
    for (int i = 0; i < 4; i++)
        total += parts[i].len;
    buf_reset(&e->held);
    if (buf_reserve(&e->held, total) < 0)
        return -ENOMEM;
    for (int i = 0; i < 4; i++) {
        copies[i] = span_of(e->held.ptr + e->held.len, parts[i].len);
        buf_add_span(&e->held, parts[i]);
    }
    e->held_frame = *frame;
    e->held_frame.topic = copies[0];
    e->held_frame.meta = copies[1];
    e->held_frame.origin = copies[2];
    e->held_frame.content = copies[3];
    return 0;
}

/* Small content lies in another frame's record, or in none: it is put into this one's item. */
static int find_inline(struct export *e, struct frame *frame, struct buf *bytes, bool *missing)
{
    enum store_place place;
    int rc = store_content(e->x.site->store, frame->digest, &place, bytes, &e->err);
    *missing = rc == ERR_NOT_FOUND || (rc == 0 && place == STORE_BLOB);
    if (rc == 0 && place == STORE_INLINE) {
        frame->has_content = true;
        frame->content = buf_span(bytes);
        frame->content_size = bytes->len;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* 1: a blob has to be written first. 0: the frame's item was written. */
static int put_frame(struct export *e, struct buf *out, struct frame *frame)
{
    CLEAN_BUF bytes = BUF_INIT;
    bool missing = false;
    uint64_t size;
    int rc = 0;
    if (frame->has_hash && !frame->has_content) {
        if (cas_stat(e->x.site->cas, frame->digest, &size) == 0) {
            rc = seen_add(&e->seen, frame->digest);
            if (rc != 0)
                return rc;
        } else {
            rc = find_inline(e, frame, &bytes, &missing);
        }
    }
    e->missing += missing;
    return rc == 0 ? dump_put_frame(e->writer, out, frame, missing) : rc;
}

static int begin_blob(struct export *e, struct buf *out)
{
    int rc = cas_reader_open(e->x.site->cas, &e->blob, e->held_frame.digest, &e->err);
    e->blob_at = 0;
    return rc < 0 ? rc
                  : dump_put_blob(e->writer, out, e->held_frame.digest, cas_reader_size(e->blob));
}

/* One piece of the blob; at its end the frame that waited for it. */
static int go_on_with_blob(struct export *e, struct buf *out)
{
    size_t got;
    uint8_t *piece = malloc(DUMP_DATA_MAX);
    if (!piece)
        return -ENOMEM;
    int rc = cas_reader_read(e->blob, e->blob_at, piece, DUMP_DATA_MAX, &got, &e->err);
    if (rc == 0 && got > 0)
        rc = dump_put_data(e->writer, out, span_of(piece, got));
    free(piece);
    if (rc < 0)
        return rc;
    e->blob_at += got;
    if (e->blob_at < cas_reader_size(e->blob))
        return got > 0 ? 0 : err_set(&e->err, ERR_DAMAGED, "a content is shorter than it was");
    cas_reader_close(e->blob);
    e->blob = NULL;
    return dump_put_frame(e->writer, out, &e->held_frame, false);
}

struct export_take {
    struct export *export;
    struct buf *out;
    bool blob; /* the frame just taken needs its blob first: the slice ends */
};

static long take(void *arg, const struct store_item *item)
{
    struct export_take *t = arg;
    struct frame frame = *item->frame;
    size_t before = t->out->len;
    int rc = put_frame(t->export, t->out, &frame);
    if (rc == 1) {
        rc = hold_frame(t->export, item->frame);
        t->blob = rc == 0;
        return rc < 0 ? rc : (long)PART * 2; /* over any budget: the read stops behind this frame */
    }
    return rc < 0 ? rc : (long)(t->out->len - before);
}

static int go_on_with_frames(struct export *e, struct buf *out)
{
    struct export_take t = {.export = e, .out = out};
    enum store_step step = STORE_MORE;
    int rc = store_cursor_read(e->cursor, PART, true, take, &t, &step, &e->err);
    if (rc == 0 && t.blob)
        return begin_blob(e, out);
    if (rc == 0 && step == STORE_DONE) {
        e->framed = true;
    }
    return rc;
}

static int go_on_with_rest(struct export *e, struct buf *out)
{
    size_t left = e->rest.len - e->rest_put, len = left < PART ? left : PART;
    if (len > 0) {
        struct span items = span_of(e->rest.ptr + e->rest_put, len);
        e->rest_put += len;
        return dump_put_rest(e->writer, out, items);
    }
    e->over = true;
    return dump_put_end(e->writer, out);
}

static int take_mark(void *arg, const struct store_mark_view *mark)
{
    static const char tokens[] = "token"; /* how the names of their marks begin */
    struct export *e = arg;
    e->newest = mark->newest;
    if (!e->exec && mark->name.len >= sizeof(tokens) - 1 && memcmp(mark->name.ptr, tokens, sizeof(tokens) - 1) == 0)
        return 0;
    e->marks = true;
    return dump_mark_items(&e->rest, mark);
}

static int take_topic(void *arg, const struct store_topic *topic)
{
    struct export *e = arg;
    return dump_topic_item(&e->rest, topic);
}

/* The topics, the marks, and a cursor up to the moment these are of. On a full disk the newest of them cannot be
 * read: frames can, so the dump is made without, which is told as missing contents are. */
static int begin_whole(struct export *e)
{
    struct store_query query = {0};
    int rc = store_topic_list(e->x.site->store, (struct span){0}, (struct span){0}, take_topic, e, &e->unmarked);
    if (rc == 0)
        rc = store_marks(e->x.site->store, (struct span){0}, take_mark, e, &e->unmarked);
    if (rc == -ENOMEM)
        return rc;
    if (rc != 0) {
        buf_reset(&e->rest);
        e->marks = false;
    }
    if (e->marks) {
        query.until = e->newest;
        query.has_limit = id_is_zero(e->newest); /* no frame has the id zero */
    }
    return store_cursor_open(&e->cursor, e->x.site->store, &query, &e->err);
}

static int put_head(struct export *e, struct buf *out)
{
    struct store_stat stat;
    int rc = store_stat(e->x.site->store, &stat, &e->err);
    if (rc == 0 && e->whole)
        rc = begin_whole(e);
    if (rc < 0)
        return rc;
    e->headed = true;
    /* Records of streams may be larger than older versions have them. */
    return dump_put_head(e->writer, out, stat.uuid, e->marks, true);
}

static struct export *export_of(struct job *job)
{
    return (struct export *)((char *)job - offsetof(struct export, job));
}

static void work(struct job *job)
{
    struct export *e = export_of(job);
    int rc = e->headed ? 0 : put_head(e, &e->next);
    while (rc == 0 && !e->over && e->next.len < PART)
        rc = e->blob     ? go_on_with_blob(e, &e->next)
             : e->framed ? go_on_with_rest(e, &e->next)
                         : go_on_with_frames(e, &e->next);
    if (rc < 0 && e->err.code != rc)
        err_set(&e->err, rc, "%s", err_code_text(rc));
    e->result = rc;
}

/* --- sending
 * ------------------------------------------------------------------------------------------------
 */

static void after(struct job *job);

static void start_job(struct export *e)
{
    e->busy = true;
    buf_reset(&e->next);
    exchange_hold(&e->x);
    e->job = (struct job){.work = work, .after = after};
    exchange_job(&e->x, &e->job);
}

static long read_dump(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct export *e = http_state(req);
    (void)arg;
    if (e->sent == e->out.len) {
        if (!e->next_ready)
            return e->busy ? HTTP_WAIT : e->result < 0 ? HTTP_ABORT : 0;
        struct buf was = e->out;
        e->out = e->next;
        e->next = was;
        e->sent = 0;
        e->next_ready = false;
        if (!e->over)
            start_job(e);
    }
    size_t len = e->out.len - e->sent < room ? e->out.len - e->sent : room;
    memcpy(into, e->out.ptr + e->sent, len);
    e->sent += len;
    return (long)len;
}

static void tell(struct export *e)
{
    if (e->result < 0)
        log_say(e->x.daemon->log, LOG_ERROR, "export", "error=\"%s\"", e->err.text);
    else if (e->over && e->missing > 0)
        log_say(e->x.daemon->log, LOG_WARN, "export", "missing_contents=%llu",
                (unsigned long long)e->missing);
    if (e->over && e->unmarked.code != 0)
        log_say(e->x.daemon->log, LOG_WARN, "export", "topics=none marks=none reason=\"%s\"", e->unmarked.text);
}

static void after(struct job *job)
{
    struct export *e = export_of(job);
    e->busy = false;
    e->next_ready = e->result == 0;
    tell(e);
    if (e->started) {
        exchange_wake(&e->x);
    } else if (e->result < 0) {
        exchange_fail(&e->x, e->result, &e->err, NULL);
    } else {
        e->started = true;
        exchange_stream(&e->x, "application/x-weir-dump", UINT64_MAX, read_dump, NULL);
    }
    exchange_drop(&e->x);
}

static int begin(struct exchange *x, struct err *err)
{
    struct export *e = (struct export *)x;
    struct store_query query = {0};
    int rc = exchange_query(x, QUERY_TOPIC | QUERY_AFTER | QUERY_UNTIL, err);
    if (rc < 0)
        return rc;
    e->whole = x->query.topics.all && !(x->query.given & (QUERY_AFTER | QUERY_UNTIL)) && !exchange_is_narrow(x);
    e->exec = exchange_authority(x) == AUTHORITY_EXEC;
    query.topics = &x->query.topics;
    if (!query_bounds(&x->query, &query.from, &query.until))
        query = (struct store_query){.has_limit = true};
    struct pattern_list seen = {0};
    rc = exchange_narrow(x, &query, &seen);
    if (rc == 0 && !e->whole)
        rc = store_cursor_open(&e->cursor, x->site->store, &query, err);
    pattern_finish(&seen);
    if (rc == 0)
        rc = dump_writer_create(&e->writer);
    if (rc == 0)
        start_job(e);
    return rc;
}

static void finish(struct exchange *x)
{
    struct export *e = (struct export *)x;
    store_cursor_close(e->cursor);
    dump_writer_destroy(e->writer);
    cas_reader_close(e->blob);
    free(e->seen.slots);
    buf_finish(&e->held);
    buf_finish(&e->rest);
    buf_finish(&e->out);
    buf_finish(&e->next);
}

const struct route route_export = {.size = sizeof(struct export), .op = AUTH_READ, .begin = begin, .finish = finish};
