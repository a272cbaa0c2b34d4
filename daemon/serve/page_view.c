/*
 * What the live page asks for: frames as they come, and contents.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/frame_json.h"
#include "base/text.h"
#include "daemon/serve/page.h"

#define HISTORY 100
#define AHEAD (256 * 1024) /* written and not sent; the frames behind stay in the store */
#define PREVIEW (64 * 1024)

/* --- frames ---------------------------------------------------------------------------------------- */

struct events {
    struct caller caller;
    struct serve *serve;
    struct http_req *req;
    struct pump *pump;
    struct buf out;
    size_t at;
    bool stuck, ended;
};

static bool put_frame(void *arg, const struct frame *frame)
{
    struct events *e = arg;
    char id[ID_TEXT_LEN + 1];
    if (e->out.len - e->at >= AHEAD) {
        e->stuck = true;
        return false;
    }
    size_t was = e->out.len;
    id_format(id, frame->id);
    int rc = buf_addf(&e->out, "id: %s\ndata: ", id);
    if (rc == 0)
        rc = frame_json(&e->out, frame, FRAME_JSON_TIMESTAMP | FRAME_JSON_SEQ);
    if (rc == 0)
        rc = buf_add_str(&e->out, "\n\n");
    if (rc < 0)
        e->out.len = was;
    http_wake(e->req);
    return true;
}

static void put_live(void *arg)
{
    struct events *e = arg;
    if (buf_add_str(&e->out, "event: live\ndata: {}\n\n") == 0)
        http_wake(e->req);
}

static void put_lost(void *arg, uint64_t count)
{
    struct events *e = arg;
    if (buf_addf(&e->out, "event: lost\ndata: %llu\n\n", (unsigned long long)count) == 0)
        http_wake(e->req);
}

static void pump_ended(void *arg, const struct err *err)
{
    struct events *e = arg;
    (void)err;
    e->ended = true;
    http_wake(e->req);
}

static long read_events(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct events *e = (struct events *)http_state(req);
    size_t len = e->out.len - e->at;
    (void)arg;
    len = len < room ? len : room;
    if (len > 0)
        memcpy(into, e->out.ptr + e->at, len);
    e->at += len;
    if (e->at == e->out.len) {
        e->at = 0;
        buf_reset(&e->out);
        buf_trim(&e->out);
    }
    if (e->stuck && e->out.len - e->at < AHEAD / 2) {
        e->stuck = false;
        pump_resume(e->pump);
    }
    return len > 0 ? (long)len : e->ended ? 0 : HTTP_WAIT;
}

static void events_gone(struct caller *caller, bool complete)
{
    struct events *e = (struct events *)caller;
    (void)complete;
    pump_destroy(e->pump);
    buf_finish(&e->out);
    serve_drop(e->serve);
    free(e);
}

static int start_pump(struct events *e, struct span last_seen, struct err *err)
{
    struct pump_options options = {.site = e->serve->site,
                                   .query = {.follow = true},
                                   .frame = put_frame,
                                   .threshold = put_live,
                                   .lost = put_lost,
                                   .ended = pump_ended,
                                   .arg = e};
    struct frame_id last;
    if (last_seen.len > 0 && id_parse(&last, last_seen, NULL) == 0) {
        options.query.from = id_succ(last);
    } else {
        options.query.has_last = true;
        options.query.last = HISTORY;
    }
    return pump_create(&e->pump, &options, err);
}

void page_events(struct way *way, struct http_req *req, const struct http_field *fields)
{
    struct err err = ERR_INIT;
    struct events *e = calloc(1, sizeof(*e));
    if (e) {
        e->caller.gone = events_gone;
        e->serve = way->serve;
        e->req = req;
        if (start_pump(e, http_header(req, "Last-Event-ID"), &err) < 0) {
            free(e);
            e = NULL;
        }
    }
    if (!e) {
        http_reply(req, 503, NULL, (struct span){0}, fields);
        return;
    }
    serve_hold(e->serve);
    http_set_state(req, &e->caller);
    http_reply_stream(req, 200, "text/event-stream", UINT64_MAX, read_events, fields);
}

/* --- contents -------------------------------------------------------------------------------------- */

struct content {
    struct caller caller;
    struct serve *serve;
    struct http_req *req; /* NULL once it is over */
    const struct http_field *fields;
    struct job job;
    bool busy;
    uint8_t digest[DIGEST_SIZE];
    struct buf bytes;
    uint64_t size;
    int result;
};

static int read_blob(struct content *c)
{
    struct cas_reader *reader;
    size_t got = 0;
    int rc = cas_reader_open(c->serve->site->cas, &reader, c->digest, NULL);
    if (rc < 0)
        return rc;
    c->size = cas_reader_size(reader);
    rc = buf_reserve(&c->bytes, PREVIEW);
    if (rc == 0)
        rc = cas_reader_read(reader, 0, c->bytes.ptr, PREVIEW, &got, NULL);
    c->bytes.len = rc == 0 ? got : 0;
    cas_reader_close(reader);
    return rc;
}

static void find(struct job *job)
{
    struct content *c = (struct content *)((char *)job - offsetof(struct content, job));
    enum store_place place = STORE_BLOB;
    int rc = store_content(c->serve->site->store, c->digest, &place, &c->bytes, NULL);
    c->size = c->bytes.len;
    if (rc == ERR_NOT_FOUND || (rc == 0 && place == STORE_BLOB))
        rc = read_blob(c);
    c->result = rc;
}

static void free_content(struct content *c)
{
    buf_finish(&c->bytes);
    serve_drop(c->serve);
    free(c);
}

static void found(struct job *job)
{
    struct content *c = (struct content *)((char *)job - offsetof(struct content, job));
    char size[24];
    c->busy = false;
    if (!c->req) {
        free_content(c);
        return;
    }
    snprintf(size, sizeof(size), "%llu", (unsigned long long)c->size);
    if (c->result == 0 && http_add_field(c->req, "weir-size", size) == 0)
        http_reply(c->req, 200, "application/octet-stream", buf_span(&c->bytes), c->fields);
    else
        http_reply(c->req, c->result == ERR_NOT_FOUND ? 404 : 500, NULL, (struct span){0}, c->fields);
}

static void content_gone(struct caller *caller, bool complete)
{
    struct content *c = (struct content *)caller;
    (void)complete;
    c->req = NULL;
    if (!c->busy)
        free_content(c);
}

void page_content(struct way *way, struct http_req *req, struct span hash,
                  const struct http_field *fields)
{
    CLEAN_BUF text = BUF_INIT;
    struct content *c = calloc(1, sizeof(*c));
    if (!c || uri_decode(&text, hash, false, NULL) < 0 ||
        sri_parse(c->digest, buf_span(&text), NULL) < 0) {
        free(c);
        http_reply(req, 404, NULL, (struct span){0}, fields);
        return;
    }
    c->caller.gone = content_gone;
    c->serve = way->serve;
    c->req = req;
    c->fields = fields;
    c->busy = true;
    c->job = (struct job){.work = find, .after = found};
    serve_hold(c->serve);
    http_set_state(req, &c->caller);
    pool_submit(c->serve->site->daemon->loop, &c->job);
}
