#include "daemon/upload.h"

#include <errno.h>

static struct upload *upload_of(struct job *job)
{
    return (struct upload *)((char *)job - offsetof(struct upload, job));
}

static void drop(struct job *job)
{
    struct upload *u = upload_of(job);
    cas_put_drop(u->put);
    u->put = NULL;
}

static void work(struct job *job)
{
    struct upload *u = upload_of(job);
    int rc = u->put ? 0 : cas_put_begin(u->cas, &u->put, &u->err);
    if (rc == 0)
        rc = cas_put_write(u->put, buf_span(&u->writing), &u->err);
    if (rc == 0 && u->finished) {
        rc = cas_put_finish(u->put, u->digest, &u->size, &u->err);
        u->put = NULL;
        u->blob = rc == 0;
    }
    u->result = rc;
}

static void after(struct job *job);

/* Gives what waits to the pool. */
static void write_out(struct upload *u)
{
    struct buf empty = u->writing;
    u->writing = u->bytes;
    u->bytes = empty;
    buf_reset(&u->bytes);
    u->busy = true;
    u->finished = u->ended;
    u->job = (struct job){.work = work, .after = after};
    pool_submit(u->loop, &u->job);
}

static void clean_up(struct upload *u)
{
    u->busy = true;
    u->job = (struct job){.work = drop, .after = after};
    pool_submit(u->loop, &u->job);
}

static void after_cancel(struct upload *u)
{
    if (u->put) {
        clean_up(u);
        return;
    }
    if (u->blob)
        cas_unpin(u->cas, u->digest);
    u->blob = false;
    u->released(u);
}

static void after(struct job *job)
{
    struct upload *u = upload_of(job);
    u->busy = false;
    if (u->cancelled) {
        after_cancel(u);
        return;
    }
    buf_reset(&u->writing);
    if (u->result < 0 || u->finished) {
        u->finished = true;
        u->ready(u);
    } else if (u->ended || u->bytes.len >= UPLOAD_PART / 2) {
        write_out(u);
        if (!u->ended)
            u->room(u);
    } else {
        u->room(u);
    }
}

static size_t refuse(struct upload *u, size_t len)
{
    u->result = err_set(&u->err, -ENOMEM, "no memory for the body");
    u->finished = true;
    u->ready(u);
    return len;
}

size_t upload_take(struct upload *u, struct span bytes)
{
    if (u->finished && !u->busy)
        return bytes.len;
    size_t room = u->bytes.len < UPLOAD_PART ? UPLOAD_PART - u->bytes.len : 0;
    size_t len = bytes.len < room ? bytes.len : room;
    if (len > 0 && buf_add(&u->bytes, bytes.ptr, len) < 0)
        return u->busy ? 0 : refuse(u, bytes.len);
    u->size += len;
    if (u->size > INLINE_MAX && !u->busy && u->bytes.len >= UPLOAD_PART / 2)
        write_out(u);
    if (len < bytes.len)
        len += u->bytes.len == 0 ? upload_take(u, span_of(bytes.ptr + len, bytes.len - len)) : 0;
    return len;
}

void upload_end(struct upload *u)
{
    u->ended = true;
    if (u->size <= INLINE_MAX) {
        cas_digest(u->digest, buf_span(&u->bytes));
        u->finished = true;
        u->ready(u);
    } else if (!u->busy && !u->finished) {
        write_out(u);
    }
}

bool upload_cancel(struct upload *u)
{
    u->cancelled = true;
    if (u->busy)
        return false;
    if (u->blob)
        cas_unpin(u->cas, u->digest);
    u->blob = false;
    if (!u->put)
        return true;
    clean_up(u);
    return false;
}

void upload_finish(struct upload *u)
{
    buf_finish(&u->bytes);
    buf_finish(&u->writing);
}
