#include "daemon/serve/blob.h"

#include <errno.h>

#include "daemon/http/http.h"

static struct blob *blob_of(struct job *job)
{
    return (struct blob *)((char *)job - offsetof(struct blob, job));
}

static int fill(struct blob *b)
{
    size_t got = 1;
    int rc = b->reader ? 0 : cas_reader_open(b->cas, &b->reader, b->digest, &b->err);
    buf_reset(&b->next);
    if (rc == 0)
        rc = buf_reserve(&b->next, BLOB_PART);
    while (rc == 0 && got > 0 && b->next.len < BLOB_PART) {
        rc = cas_reader_read(b->reader, b->read, b->next.ptr + b->next.len,
                             BLOB_PART - b->next.len, &got, &b->err);
        if (rc == 0) {
            b->next.len += got;
            b->read += got;
        }
    }
    b->complete = rc == 0 && b->read == cas_reader_size(b->reader);
    if (rc == 0 && !b->complete && b->next.len < BLOB_PART)
        rc = err_set(&b->err, ERR_DAMAGED, "a content is shorter than it was");
    return rc;
}

static void work(struct job *job)
{
    struct blob *b = blob_of(job);
    b->result = fill(b);
}

static void close_up(struct blob *b)
{
    cas_reader_close(b->reader);
    cas_unpin(b->cas, b->digest);
    b->reader = NULL;
    buf_finish(&b->sending);
    buf_finish(&b->next);
    b->open = false;
}

static void after(struct job *job)
{
    struct blob *b = blob_of(job);
    b->busy = false;
    b->ready = b->result == 0;
    if (!b->stopped) {
        b->wake(b);
        return;
    }
    close_up(b);
    b->released(b);
}

static void read_ahead(struct blob *b)
{
    b->busy = true;
    b->job = (struct job){.work = work, .after = after};
    pool_submit(b->loop, &b->job);
}

int blob_start(struct blob *b, const uint8_t digest[static DIGEST_SIZE])
{
    int rc = cas_pin(b->cas, digest);
    if (rc < 0)
        return rc;
    memcpy(b->digest, digest, DIGEST_SIZE);
    b->open = true;
    b->ready = b->complete = b->stopped = false;
    b->at = 0;
    b->read = 0;
    read_ahead(b);
    return 0;
}

/* The part behind becomes the one that is sent. False: there is none yet. */
static bool turn(struct blob *b)
{
    if (!b->ready)
        return false;
    struct buf was = b->sending;
    b->sending = b->next;
    b->next = was;
    b->at = 0;
    b->ready = false;
    if (!b->complete)
        read_ahead(b);
    return true;
}

long blob_read(struct blob *b, uint8_t *into, size_t room)
{
    if (b->at == b->sending.len && !turn(b)) {
        if (b->busy) /* the result is the job's now */
            return HTTP_WAIT;
        if (b->result < 0)
            return HTTP_ABORT;
        close_up(b);
        return 0;
    }
    size_t len = b->sending.len - b->at;
    len = len < room ? len : room;
    memcpy(into, b->sending.ptr + b->at, len);
    b->at += len;
    return (long)len;
}

bool blob_stop(struct blob *b)
{
    b->stopped = true;
    if (b->busy)
        return false;
    if (b->open)
        close_up(b);
    return true;
}
