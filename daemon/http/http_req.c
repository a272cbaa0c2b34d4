/*
 * A request's life, as MHD tells it: first line, head, body piece by piece, end of body, over.
 *
 * MHD calls one handler for all of it. A reply queued on its first call would close the connection,
 * so replies wait for the call after the body; a whole answer that is due before the body is complete is
 * handled in discard() here and in reply_direct(). One that comes by and by waits, and the route gets the body's rest.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/text.h"
#include "daemon/http/http_conn.h"

void *req_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_conn *conn = conn_of(mhd);
    (void)cls;
    if (!conn)
        return NULL;
    size_t len = target ? strlen(target) : 0;
    struct mhd_req *req = calloc(1, sizeof(*req) + len + 1);
    if (!req)
        return NULL;
    if (len > 0)
        memcpy(req->target, target, len);
    req->base.ops = &mhd_ops;
    req->base.door = conn->door;
    req->base.target = span_of(req->target, len);
    uri_split(req->base.target, &req->base.path, &req->base.query);
    req->conn = conn;
    conn->req = req;
    return req;
}

static uint64_t announced_length(const struct mhd_req *req)
{
    uint64_t length = 0;
    if (mhd_header(&req->base, "Transfer-Encoding").ptr)
        return UINT64_MAX;
    struct span text = mhd_header(&req->base, "Content-Length");
    if (text.ptr && text_u64(text, &length) < 0)
        return UINT64_MAX; /* MHD refuses it by itself */
    return length;
}

/* The rest of the body is of no use. An answer that comes by and by may need it. */
static bool answered_whole(const struct mhd_req *req)
{
    return req->response && !req->read;
}

/* The body is not wanted, and too long to be waited for or held back by the client until told so.
 */
static bool refuse_body(struct mhd_req *req)
{
    bool known = req->base.body_length != UINT64_MAX;
    return (known && req->base.body_length > HTTP_UNWANTED_BYTES) ||
           (req->base.body_length > 0 && mhd_header(&req->base, "Expect").ptr);
}

static enum MHD_Result queue_answer(struct mhd_req *req)
{
    if (MHD_queue_response(req->conn->mhd, req->status, req->response) != MHD_YES)
        return MHD_NO;
    req->phase = REQ_ANSWER;
    conn_time(req->conn, NULL);
    return MHD_YES;
}

static enum MHD_Result head_call(struct mhd_req *req, const char *method, const char *version)
{
    struct http_server *server = req->conn->server;
    const struct http_door *door = req->conn->door;
    if (strncmp(version, "HTTP/1.", 7) != 0)
        return MHD_NO;
    req->base.old = strcmp(version, "HTTP/1.0") == 0;
    req->base.method = http_method_of(method);
    req->base.method_text = method;
    req->base.body_length = announced_length(req);
    if (!mhd_refused(req)) {
        req->begun = true;
        door->handler->begin(door->arg, &req->base);
    }
    if (req->conn->cut)
        return MHD_NO;
    if (answered_whole(req) && refuse_body(req)) {
        req->conn->linger = true;
        return queue_answer(req);
    }
    req->phase = REQ_BODY;
    conn_time(req->conn, answered_whole(req) && req->base.body_length ? &server->lingering : &server->idle);
    return MHD_YES;
}

/* Body bytes after the answer: they are read, so that the client gets to reading, but not for ever.
 */
static enum MHD_Result discard(struct mhd_req *req, size_t *size)
{
    req->pending += *size;
    *size = 0;
    if (req->pending <= (req->direct ? HTTP_LINGER_BYTES : HTTP_UNWANTED_BYTES))
        return MHD_YES;
    if (req->direct)
        return MHD_NO;
    req->pending = 0;
    reply_direct(req);
    conn_time(req->conn, &req->conn->server->lingering);
    return MHD_YES;
}

/* Slow senders: each byte of a chunked body keeps it alive, since a pipe may be slow; a body of
 * known length lies ready somewhere and must show some speed. */
static void note_progress(struct mhd_req *req, size_t taken)
{
    req->pending += taken;
    if (req->pending >= HTTP_PROGRESS || req->base.body_length == UINT64_MAX) {
        req->pending = 0;
        conn_time(req->conn, &req->conn->server->idle);
    }
}

static enum MHD_Result body_call(struct mhd_req *req, const char *data, size_t *size)
{
    const struct http_door *door = req->conn->door;
    size_t taken = 0;
    if (answered_whole(req))
        return discard(req, size);
    do {
        req->resume = false;
        taken += door->handler->body(door->arg, &req->base, span_of(data + taken, *size - taken));
    } while (taken < *size && req->resume && !answered_whole(req));
    if (req->conn->cut)
        return MHD_NO;
    if (answered_whole(req))
        taken = *size;
    *size -= taken;
    if (*size > 0) {
        req->paused = true;
        conn_time(req->conn, NULL);
        conn_suspend(req->conn);
    } else if (!answered_whole(req)) {
        note_progress(req, taken);
    }
    return MHD_YES;
}

static enum MHD_Result answer_or_wait(struct mhd_req *req)
{
    if (req->direct)
        return MHD_NO;
    if (req->response)
        return queue_answer(req);
    conn_suspend(req->conn);
    return MHD_YES;
}

static enum MHD_Result end_call(struct mhd_req *req)
{
    const struct http_door *door = req->conn->door;
    req->phase = REQ_DONE;
    conn_time(req->conn, NULL);
    if (!answered_whole(req))
        door->handler->end(door->arg, &req->base);
    if (req->conn->cut)
        return MHD_NO;
    return answer_or_wait(req);
}

enum MHD_Result req_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                           const char *method, const char *version, const char *data, size_t *size,
                           void **context)
{
    struct mhd_req *req = *context;
    (void)cls, (void)mhd, (void)url;
    if (!req || req->conn->cut)
        return MHD_NO;
    switch (req->phase) {
    case REQ_HEAD:
        return head_call(req, method, version);
    case REQ_BODY:
        return *size > 0 ? body_call(req, data, size) : end_call(req);
    case REQ_DONE:
        return answer_or_wait(req);
    case REQ_ANSWER:
        break;
    }
    return MHD_YES;
}

static void free_request(struct mhd_req *req)
{
    if (req->response)
        MHD_destroy_response(req->response);
    buf_finish(&req->early);
    http_req_finish(&req->base);
    free(req);
}

void req_completed(void *cls, struct MHD_Connection *mhd, void **context,
                   enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;
    struct mhd_req *req = *context;
    (void)mhd;
    *context = NULL;
    if (!req)
        return;
    struct http_conn *conn = req->conn;
    bool answered = req->phase == REQ_ANSWER && code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    const struct http_door *door = conn->door;
    if (req->begun)
        door->handler->gone(door->arg, &req->base,
                            req->direct ? req->direct_ok : answered && !req->failed);
    if (!answered && !conn->cut)
        conn->linger = true; /* MHD's own error answers: the client may be sending still */
    conn->req = NULL;
    conn->served = true;
    conn_time(conn, &server->idle);
    if (server->draining || door->ending)
        shutdown(conn->fd, SHUT_RD);
    free_request(req);
}

static void resume_body(struct http_req *base)
{
    struct mhd_req *req = mhd_req_of(base);
    req->resume = true;
    if (!req->paused)
        return;
    req->paused = false;
    conn_time(req->conn, answered_whole(req) ? NULL : &req->conn->server->idle);
    conn_resume(req->conn);
}

static bool client_ended(const struct http_req *base)
{
    struct pollfd poll_fd = {.fd = ((const struct mhd_req *)base)->conn->fd, .events = POLLRDHUP};
    return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLRDHUP);
}

static void cut(struct http_req *base)
{
    conn_cut(mhd_req_of(base)->conn);
}

const struct http_ops mhd_ops = {.header = mhd_header,
                                 .each_header = mhd_each_header,
                                 .peer = mhd_peer,
                                 .client_ended = client_ended,
                                 .resume_body = resume_body,
                                 .reply = mhd_reply,
                                 .reply_stream = mhd_reply_stream,
                                 .abort = cut,
                                 .add_trailer = mhd_add_trailer,
                                 .wake = mhd_wake};
