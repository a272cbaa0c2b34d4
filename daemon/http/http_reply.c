/*
 * Answers: whole ones, streams, and those that overtake their request's body.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/http/http_conn.h"

#define SIZED_BLOCK (64u * 1024)
#define OLD_BLOCK (32u * 1024)

/* --- building ------------------------------------------------------------------------------------
 */

static int put_field(struct mhd_req *req, const char *name, const char *value)
{
    if (MHD_add_response_header(req->response, name, value) != MHD_YES)
        return -ENOMEM;
    if (req->early.len > 0)
        return buf_addf(&req->early, "%s: %s\r\n", name, value);
    return 0;
}

static int put_fields(struct mhd_req *req, const char *content_type,
                      const struct http_field *fields)
{
    int rc = content_type ? put_field(req, "Content-Type", content_type) : 0;
    for (; rc == 0 && fields && fields->name; fields++)
        rc = put_field(req, fields->name, fields->value);
    for (const struct http_extra *e = req->base.extras; rc == 0 && e; e = e->next)
        rc = put_field(req, e->name, e->value);
    if (rc == 0 && (req->conn->server->draining || req->conn->door->ending))
        rc = MHD_add_response_header(req->response, "Connection", "close") == MHD_YES ? 0 : -ENOMEM;
    return rc;
}

static bool body_outstanding(const struct mhd_req *req)
{
    return req->phase <= REQ_BODY && req->base.body_length > 0;
}

/* The answer is there; see that it gets on its way. */
static void answer_ready(struct mhd_req *req)
{
    struct http_conn *conn = req->conn;
    if (req->phase == REQ_HEAD)
        return; /* head_call goes on with it */
    if (req->phase == REQ_BODY && req->read)
        return; /* end_call goes on with it */
    if (req->phase == REQ_BODY) {
        req->pending = 0;
        req->paused = false;
        conn_time(conn, &conn->server->lingering);
    }
    conn_resume(conn);
}

/* Without memory for an answer the client is cut off, and knows that it has none. */
static void finish_reply(struct mhd_req *req, int rc)
{
    if (rc < 0 || !req->response)
        conn_cut(req->conn);
    else
        answer_ready(req);
}

static int early_start(struct mhd_req *req, int status)
{
    if (!body_outstanding(req))
        return 0;
    return buf_addf(&req->early, "HTTP/1.1 %d %s\r\nConnection: close\r\n", status,
                    MHD_get_reason_phrase_for((unsigned)status));
}

static int early_finish(struct mhd_req *req, int status, struct span body)
{
    if (req->early.len == 0)
        return 0;
    bool bare = status == 204 || status == 304;
    int rc = bare ? buf_add_str(&req->early, "\r\n")
                  : buf_addf(&req->early, "Content-Length: %zu\r\n\r\n", body.len);
    if (rc == 0 && !bare && req->base.method != HTTP_HEAD)
        rc = buf_add_span(&req->early, body);
    return rc;
}

void mhd_reply(struct http_req *base, int status, const char *content_type, struct span body, const struct http_field *fields)
{
    struct mhd_req *req = mhd_req_of(base);
    assert(!req->response);
    if (req->response || req->conn->cut)
        return;
    req->status = (unsigned)status;
    req->response = MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr,
                                                    MHD_RESPMEM_MUST_COPY);
    int rc = req->response ? early_start(req, status) : -ENOMEM;
    if (rc == 0)
        rc = put_fields(req, content_type, fields);
    if (rc == 0)
        rc = early_finish(req, status, body);
    finish_reply(req, rc);
}

/* --- streams -----------------------------------------------------------------------------------
 */

/* A waiting answer needs no buffer: the whole pages of the one offered go back to the system. What
 * lies in them is sent, and MHD hands the buffer out anew with the next call. */
static void release_pages(struct mhd_req *req, char *room, size_t len)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)room + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)room + len) & ~(page - 1);
    if (req->wide && req->size == UINT64_MAX && !req->base.old && end > first)
        madvise((void *)first, end - first, MADV_DONTNEED);
    req->wide = false;
}

static ssize_t wait_for_wake(struct mhd_req *req, char *room, size_t len)
{
    release_pages(req, room, len);
    req->waiting = true;
    conn_suspend(req->conn);
    if (req->woken)
        mhd_wake(&req->base);
    return 0;
}

static ssize_t on_read(void *cls, uint64_t position, char *room, size_t len)
{
    struct mhd_req *req = cls;
    (void)position;
    if (req->conn->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    req->reading = true;
    req->woken = false;
    long n = req->read(req->base.door->arg, &req->base, (uint8_t *)room, len);
    req->reading = false;
    if (n == HTTP_WAIT)
        return wait_for_wake(req, room, len);
    bool short_of = n == 0 && req->size != UINT64_MAX && req->produced < req->size;
    if (n < 0 || (size_t)n > len || short_of) {
        req->failed = true;
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    if (n == 0)
        return MHD_CONTENT_READER_END_OF_STREAM;
    req->produced += (uint64_t)n;
    req->wide = req->wide || n > 4096;
    return (ssize_t)n;
}

/* MHD allocates the block with the response but reads chunks straight into the connection's pool.
 */
static size_t block_size(const struct mhd_req *req, uint64_t size)
{
    if (size == UINT64_MAX)
        return req->base.old ? OLD_BLOCK : 1;
    return size < SIZED_BLOCK ? (size_t)size + 1 : SIZED_BLOCK;
}

void mhd_reply_stream(struct http_req *base, int status, const char *content_type, uint64_t size, http_read_fn read,
                      const struct http_field *fields)
{
    struct mhd_req *req = mhd_req_of(base);
    assert(!req->response);
    if (req->response || req->conn->cut)
        return;
    req->status = (unsigned)status;
    req->read = read;
    req->size = size;
    req->wide =
        true; /* MHD clears what the head did not use of its read buffer, and so touches it */
    req->response = MHD_create_response_from_callback(size == UINT64_MAX ? MHD_SIZE_UNKNOWN : size,
                                                      block_size(req, size), on_read, req, NULL);
    /* MHD ends a chunked answer to HEAD with a last chunk, which no client expects. As an answer of
     * the old version it ends with the connection. */
    if (req->response && req->base.method == HTTP_HEAD && size == UINT64_MAX)
        MHD_set_response_options(req->response, MHD_RF_HTTP_VERSION_1_0_RESPONSE, MHD_RO_END);
    finish_reply(req, req->response ? put_fields(req, content_type, fields) : -ENOMEM);
}

int mhd_add_trailer(struct http_req *base, const char *name, const char *value)
{
    struct mhd_req *req = mhd_req_of(base);
    if (!http_fits_a_field(value))
        return ERR_INVALID;
    if (!req->response || req->base.old || req->size != UINT64_MAX || req->base.method == HTTP_HEAD)
        return 0;
    return MHD_add_response_footer(req->response, name, value) == MHD_YES ? 0 : -ENOMEM;
}

void mhd_wake(struct http_req *base)
{
    struct mhd_req *req = mhd_req_of(base);
    if (req->reading) {
        req->woken = true;
    } else if (req->waiting) {
        req->waiting = false;
        conn_resume(req->conn);
    }
}

/* --- past MHD ------------------------------------------------------------------------------------
 */

static bool send_raw(int fd, struct span bytes)
{
    return send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)bytes.len;
}

void reply_direct(struct mhd_req *req)
{
    static const char unasked[] =
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 76\r\n\r\n"
        "{\"error\":\"too_large\",\"message\":\"this request takes no body "
        "of that length\"}\n";
    struct span bytes = req->early.len ? buf_span(&req->early) : span_str(unasked);
    /* MHD has sent nothing yet but maybe 100 Continue, so our bytes stand in their place. */
    req->direct_ok = send_raw(req->conn->fd, bytes) && req->early.len > 0;
    req->direct = true;
    shutdown(req->conn->fd, SHUT_WR);
}

void reply_timeout(int fd)
{
    static const char late[] =
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 65\r\n\r\n"
        "{\"error\":\"invalid\",\"message\":\"the request was not sent in time\"}\n";
    send_raw(fd, span_str(late));
}

void reply_ended(int fd)
{
    static const char cut[] =
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 66\r\n\r\n"
        "{\"error\":\"invalid\",\"message\":\"the request was cut in its middle\"}\n";
    send_raw(fd, span_str(cut));
}
