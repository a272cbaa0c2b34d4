/*
 * GET /cas/HASH with ranges, POST /cas.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/text.h"
#include "daemon/exchange.h"
#include "daemon/upload.h"

#define PART (256 * 1024)

/* --- GET /cas/HASH
 * ------------------------------------------------------------------------------------ */

struct content {
    struct exchange x;
    uint8_t digest[DIGEST_SIZE];
    struct buf range; /* the header, for the job */
    bool has_range;
    struct job job;
    bool busy;
    struct buf bytes;          /* inline: the content; blob: the part that is sent */
    struct cas_reader *reader; /* of a blob */
    uint64_t size, start, len; /* of the content; what was asked for */
    uint64_t read;             /* of len, from the blob */
    size_t at;                 /* next byte of `bytes` to be sent */
    bool partial;
    struct buf next;
    bool next_ready;
    int result;
    struct err err;
};

static struct content *content_of_job(struct job *job)
{
    return (struct content *)((char *)job - offsetof(struct content, job));
}

static int open_blob(struct content *c)
{
    int rc = cas_reader_open(c->x.site->cas, &c->reader, c->digest, &c->err);
    if (rc == 0)
        c->size = cas_reader_size(c->reader);
    return rc;
}

static int find(struct content *c)
{
    enum store_place place;
    int rc = exchange_shows(&c->x, c->digest, &c->err);
    if (rc < 0)
        return rc;
    rc = store_content(c->x.site->store, c->digest, &place, &c->bytes, &c->err);
    if (rc == 0 && place == STORE_INLINE) {
        c->size = c->bytes.len;
        return 0;
    }
    return rc == 0 || rc == ERR_NOT_FOUND ? open_blob(c) : rc;
}

static int set_range(struct content *c)
{
    c->start = 0;
    c->len = c->size;
    int rc =
        c->has_range ? range_parse(buf_span(&c->range), c->size, &c->start, &c->len) : ERR_INVALID;
    if (rc == ERR_RANGE)
        return err_set(&c->err, rc, "the content has %" PRIu64 " bytes", c->size);
    c->partial = rc == 0;
    return 0;
}

/* Reads the blob's next part into c->next. */
static int read_part(struct content *c)
{
    uint64_t left = c->len - c->read;
    size_t want = left < PART ? (size_t)left : PART;
    buf_reset(&c->next);
    if (buf_reserve(&c->next, want) < 0)
        return -ENOMEM;
    while (c->next.len < want) {
        size_t got;
        int rc = cas_reader_read(c->reader, c->start + c->read, c->next.ptr + c->next.len,
                                 want - c->next.len, &got, &c->err);
        if (rc < 0 || got == 0)
            return rc < 0 ? rc
                          : err_set(&c->err, ERR_DAMAGED, "the content is shorter than it was");
        c->next.len += got;
        c->read += got;
    }
    return 0;
}

static void find_work(struct job *job)
{
    struct content *c = content_of_job(job);
    c->result = find(c);
    if (c->result == 0)
        c->result = set_range(c);
    if (c->result == 0 && c->reader)
        c->result = read_part(c);
}

static void part_work(struct job *job)
{
    struct content *c = content_of_job(job);
    c->result = read_part(c);
}

static void start_job(struct content *c, void (*work)(struct job *), void (*after)(struct job *))
{
    c->busy = true;
    exchange_hold(&c->x);
    c->job = (struct job){.work = work, .after = after};
    exchange_job(&c->x, &c->job);
}

static void part_after(struct job *job)
{
    struct content *c = content_of_job(job);
    c->busy = false;
    c->next_ready = c->result == 0;
    if (c->result < 0 && c->x.req)
        log_say(c->x.daemon->log, LOG_ERROR, "cas", "error=\"%s\"", c->err.text);
    exchange_wake(&c->x);
    exchange_drop(&c->x);
}

static long read_content(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    struct content *c = http_state(req);
    (void)arg;
    if (c->at == c->bytes.len) {
        if (c->busy) /* the result is the job's now */
            return HTTP_WAIT;
        if (c->result < 0)
            return HTTP_ABORT;
        if (!c->next_ready)
            return 0;
        struct buf was = c->bytes;
        c->bytes = c->next;
        c->next = was;
        c->next_ready = false;
        c->at = 0;
        if (c->read < c->len)
            start_job(c, part_work, part_after);
    }
    return (long)buf_copy(&c->bytes, &c->at, into, room);
}

struct head {
    char etag[SRI_TEXT_LEN + 3];
    char range[80];
    struct http_field fields[4];
};

static void make_head(const struct content *c, struct head *head)
{
    char hash[SRI_TEXT_LEN + 1];
    sri_format(hash, c->digest);
    snprintf(head->etag, sizeof(head->etag), "\"%s\"", hash);
    head->fields[0] = (struct http_field){"ETag", head->etag};
    head->fields[1] = (struct http_field){"Accept-Ranges", "bytes"};
    head->fields[2] = head->fields[3] = (struct http_field){NULL, NULL};
    if (!c->partial)
        return;
    snprintf(head->range, sizeof(head->range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, c->start,
             c->start + c->len - 1, c->size);
    head->fields[2] = (struct http_field){"Content-Range", head->range};
}

static void refuse_range(struct content *c)
{
    char range[40];
    snprintf(range, sizeof(range), "bytes */%" PRIu64, c->size);
    if (exchange_open(&c->x))
        http_add_field(c->x.req, "Content-Range", range);
    exchange_fail(&c->x, ERR_RANGE, &c->err, NULL);
}

static void found(struct job *job)
{
    struct content *c = content_of_job(job);
    struct head head = {0};
    c->busy = false;
    make_head(c, &head);
    int status = c->partial ? 206 : 200;
    if (c->result == ERR_RANGE) {
        refuse_range(c);
    } else if (c->result < 0) {
        exchange_fail(&c->x, c->result, &c->err, NULL);
    } else if (!c->reader) {
        exchange_reply(&c->x, status, "application/octet-stream",
                       span_of(c->bytes.ptr + c->start, (size_t)c->len), head.fields);
    } else if (exchange_open(&c->x)) {
        buf_reset(&c->bytes);
        c->next_ready = c->next.len > 0;
        c->x.answered = true;
        http_reply_stream(c->x.req, status, "application/octet-stream", c->len, read_content,
                          head.fields);
    }
    exchange_drop(&c->x);
}

/* Whether If-None-Match names the content, which never changes under its name. */
static bool is_known(const struct content *c)
{
    struct head head = {0};
    struct span header = http_header(c->x.req, "If-None-Match");
    make_head(c, &head);
    return header.len > 0 &&
           (span_is(header, "*") || memmem(header.ptr, header.len, head.etag, strlen(head.etag)));
}

static int check_present(struct content *c)
{
    c->result = 0;
    start_job(c, find_work, found);
    return 0;
}

static void found_known(struct job *job)
{
    struct content *c = content_of_job(job);
    struct head head = {0};
    c->busy = false;
    c->partial = false;
    make_head(c, &head);
    if (c->result < 0 && c->result != ERR_RANGE)
        exchange_fail(&c->x, c->result, &c->err, NULL);
    else
        exchange_reply(&c->x, 304, NULL, (struct span){0}, head.fields);
    exchange_drop(&c->x);
}

static int begin_get(struct exchange *x, struct err *err)
{
    struct content *c = (struct content *)x;
    CLEAN_BUF text = BUF_INIT;
    int rc = exchange_operand(x, &text, err);
    if (rc == 0)
        rc = sri_parse(c->digest, buf_span(&text), err);
    if (rc < 0)
        return rc == ERR_NOT_FOUND ? err_set(err, ERR_INVALID, "contents are named by sha256 here")
                                   : rc;
    if (is_known(c)) {
        start_job(c, find_work, found_known);
        return 0;
    }
    struct span range = http_header(x->req, "Range");
    c->has_range = range.ptr != NULL;
    rc = buf_add_span(&c->range, range);
    return rc < 0 ? rc : check_present(c);
}

static void content_finish(struct exchange *x)
{
    struct content *c = (struct content *)x;
    cas_reader_close(c->reader);
    buf_finish(&c->range);
    buf_finish(&c->bytes);
    buf_finish(&c->next);
}

const struct route route_cas_get = {
    .size = sizeof(struct content), .op = AUTH_READ, .begin = begin_get, .finish = content_finish};

/* --- POST /cas
 * -------------------------------------------------------------------------------------------- */

struct post {
    struct exchange x;
    struct upload upload;
    struct submission submission;
};

static void answer_hash(struct post *p)
{
    char hash[SRI_TEXT_LEN + 1];
    sri_format(hash, p->upload.digest);
    exchange_reply(&p->x, 200, "text/plain", span_str(hash), NULL);
}

static void kept(struct submission *submission)
{
    struct post *p = (struct post *)((char *)submission - offsetof(struct post, submission));
    if (submission->op.result < 0)
        exchange_refuse(&p->x, &submission->op);
    else
        answer_hash(p);
    exchange_drop(&p->x);
}

static void submit_content(struct post *p)
{
    struct store_op *op = &p->submission.op;
    op->kind = STORE_CONTENT;
    op->content = buf_span(&p->upload.bytes);
    memcpy(op->digest, p->upload.digest, DIGEST_SIZE);
    p->submission.after = kept;
    exchange_hold(&p->x);
    submit_op(&p->x.site->source, &p->submission);
}

static void content_ready(struct upload *upload)
{
    struct post *p = upload->owner;
    struct err err = ERR_INIT;
    if (upload->result < 0) {
        exchange_fail(&p->x, upload->result, &upload->err, NULL);
    } else if (upload->size == 0) {
        err_set(&err, ERR_INVALID, "the body is empty; there is nothing to keep");
        exchange_fail(&p->x, ERR_INVALID, &err, NULL);
    } else if (!upload->blob) {
        submit_content(p);
    } else {
        cas_unpin(p->x.site->cas, upload->digest);
        upload->blob = false;
        answer_hash(p);
    }
}

static void content_room(struct upload *upload)
{
    struct post *p = upload->owner;
    if (p->x.req)
        http_resume_body(p->x.req);
}

static void content_released(struct upload *upload)
{
    struct post *p = upload->owner;
    exchange_drop(&p->x);
}

static int begin_post(struct exchange *x, struct err *err)
{
    struct post *p = (struct post *)x;
    (void)err;
    p->upload = (struct upload){.loop = x->daemon->loop,
                                .cas = x->site->cas,
                                .ready = content_ready,
                                .room = content_room,
                                .released = content_released,
                                .owner = p};
    return 0;
}

static size_t post_body(struct exchange *x, struct span bytes)
{
    return upload_take(&((struct post *)x)->upload, bytes);
}

static void post_end(struct exchange *x)
{
    upload_end(&((struct post *)x)->upload);
}

static void post_gone(struct exchange *x)
{
    exchange_hold(x);
    if (upload_cancel(&((struct post *)x)->upload))
        exchange_drop(x);
}

static void post_finish(struct exchange *x)
{
    upload_finish(&((struct post *)x)->upload);
}

const struct route route_cas_post = {.size = sizeof(struct post),
                                     .op = AUTH_APPEND,
                                     .begin = begin_post,
                                     .body = post_body,
                                     .end = post_end,
                                     .gone = post_gone,
                                     .finish = post_finish};
