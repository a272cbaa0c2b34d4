/*
 * A request's life, as MHD tells it: first line, head, body piece by piece, end of body, over.
 *
 * MHD calls one handler for all of it. A reply queued on its first call would close the connection,
 * so replies wait for the call after the body; an answer that is due before the body is complete is
 * handled in discard() here and in reply_direct().
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/text.h"
#include "daemon/http/http_conn.h"

static enum http_method method_of(const char *name)
{
    static const char *const names[] = {
        [HTTP_GET] = "GET",        [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
        [HTTP_PUT] = "PUT",        [HTTP_DELETE] = "DELETE", [HTTP_PATCH] = "PATCH",
        [HTTP_OPTIONS] = "OPTIONS"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum http_method)i;
    return HTTP_OTHER;
}

void *req_target(void *cls, const char *target, struct MHD_Connection *mhd)
{
    struct http_conn *conn = conn_of(mhd);
    (void)cls;
    if (!conn)
        return NULL;
    size_t len = target ? strlen(target) : 0;
    struct http_req *req = calloc(1, sizeof(*req) + len + 1);
    if (!req)
        return NULL;
    if (len > 0)
        memcpy(req->target, target, len);
    uri_split(span_of(req->target, len), &req->path, &req->query);
    req->conn = conn;
    conn->req = req;
    return req;
}

static uint64_t announced_length(const struct http_req *req)
{
    uint64_t length = 0;
    if (http_header(req, "Transfer-Encoding").ptr)
        return UINT64_MAX;
    struct span text = http_header(req, "Content-Length");
    if (text.ptr && text_u64(text, &length) < 0)
        return UINT64_MAX; /* MHD refuses it by itself */
    return length;
}

struct head_count {
    unsigned hosts, lengths, metas;
    size_t bytes;
};

static enum MHD_Result count_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct head_count *count = cls;
    (void)kind;
    count->hosts += strcasecmp(name, "Host") == 0;
    count->lengths += strcasecmp(name, "Content-Length") == 0;
    count->metas += strcasecmp(name, "xs-meta") == 0;
    count->bytes += strlen(name) + (value ? strlen(value) : 0) + 4;
    return MHD_YES;
}

/* What no route should have to think of. True: answered. */
static bool refused(struct http_req *req)
{
    struct head_count count = {0};
    MHD_get_connection_values(req->conn->mhd, MHD_HEADER_KIND, count_field, &count);
    const char *why = NULL;
    if (count.bytes > HTTP_HEAD_MAX) {
        reply_error(req, 431, "too_large", "the head of the request is over 64 KiB");
        return true;
    }
    bool chunked = http_header(req, "Transfer-Encoding").ptr != NULL;
    bool unclear = count.lengths > 1 || (chunked && count.lengths > 0); /* where the body ends */
    if (unclear)
        http_add_field(req, "Connection", "close"); /* what follows may be a part of it */
    if (chunked && count.lengths > 0)
        why = "Content-Length and Transfer-Encoding together are ambiguous";
    else if (count.lengths > 1)
        why = "more than one Content-Length header";
    else if (count.metas > 1)
        why = "more than one xs-meta header";
    else if (count.hosts > 1)
        why = "more than one Host header";
    else if (count.hosts == 0 && req->conn->door->via == HTTP_VIA_TCP && !req->old)
        why = "the Host header is missing";
    if (why)
        reply_error(req, 400, "invalid", why);
    return why != NULL;
}

/* The body is not wanted, and too long to be waited for or held back by the client until told so.
 */
static bool refuse_body(struct http_req *req)
{
    bool known = req->body_length != UINT64_MAX;
    return (known && req->body_length > HTTP_UNWANTED_BYTES) ||
           (req->body_length > 0 && http_header(req, "Expect").ptr);
}

static enum MHD_Result queue_answer(struct http_req *req)
{
    if (MHD_queue_response(req->conn->mhd, req->status, req->response) != MHD_YES)
        return MHD_NO;
    req->phase = REQ_ANSWER;
    conn_time(req->conn, NULL);
    return MHD_YES;
}

static enum MHD_Result head_call(struct http_req *req, const char *method, const char *version)
{
    struct http_server *server = req->conn->server;
    const struct http_door *door = req->conn->door;
    if (strncmp(version, "HTTP/1.", 7) != 0)
        return MHD_NO;
    req->old = strcmp(version, "HTTP/1.0") == 0;
    req->method = method_of(method);
    req->method_text = method;
    req->body_length = announced_length(req);
    if (!refused(req)) {
        req->begun = true;
        door->handler->begin(door->arg, req);
    }
    if (req->conn->cut)
        return MHD_NO;
    if (req->response && refuse_body(req)) {
        req->conn->linger = true;
        return queue_answer(req);
    }
    req->phase = REQ_BODY;
    conn_time(req->conn, req->response && req->body_length ? &server->lingering : &server->idle);
    return MHD_YES;
}

/* Body bytes after the answer: they are read, so that the client gets to reading, but not for ever.
 */
static enum MHD_Result discard(struct http_req *req, size_t *size)
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
static void note_progress(struct http_req *req, size_t taken)
{
    req->pending += taken;
    if (req->pending >= HTTP_PROGRESS || req->body_length == UINT64_MAX) {
        req->pending = 0;
        conn_time(req->conn, &req->conn->server->idle);
    }
}

static enum MHD_Result body_call(struct http_req *req, const char *data, size_t *size)
{
    const struct http_door *door = req->conn->door;
    size_t taken = 0;
    if (req->response)
        return discard(req, size);
    do {
        req->resume = false;
        taken += door->handler->body(door->arg, req, span_of(data + taken, *size - taken));
    } while (taken < *size && req->resume && !req->response);
    if (req->conn->cut)
        return MHD_NO;
    if (req->response)
        taken = *size;
    *size -= taken;
    if (*size > 0) {
        req->paused = true;
        conn_time(req->conn, NULL);
        conn_suspend(req->conn);
    } else if (!req->response) {
        note_progress(req, taken);
    }
    return MHD_YES;
}

static enum MHD_Result answer_or_wait(struct http_req *req)
{
    if (req->direct)
        return MHD_NO;
    if (req->response)
        return queue_answer(req);
    conn_suspend(req->conn);
    return MHD_YES;
}

static enum MHD_Result end_call(struct http_req *req)
{
    const struct http_door *door = req->conn->door;
    req->phase = REQ_DONE;
    conn_time(req->conn, NULL);
    if (!req->response)
        door->handler->end(door->arg, req);
    if (req->conn->cut)
        return MHD_NO;
    return answer_or_wait(req);
}

enum MHD_Result req_handle(void *cls, struct MHD_Connection *mhd, const char *url,
                           const char *method, const char *version, const char *data, size_t *size,
                           void **context)
{
    struct http_req *req = *context;
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

static void free_request(struct http_req *req)
{
    if (req->response)
        MHD_destroy_response(req->response);
    buf_finish(&req->early);
    while (req->extras) {
        struct http_extra *extra = req->extras;
        req->extras = extra->next;
        free(extra);
    }
    free(req);
}

void req_completed(void *cls, struct MHD_Connection *mhd, void **context,
                   enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;
    struct http_req *req = *context;
    (void)mhd;
    *context = NULL;
    if (!req)
        return;
    struct http_conn *conn = req->conn;
    bool answered = req->phase == REQ_ANSWER && code == MHD_REQUEST_TERMINATED_COMPLETED_OK;
    const struct http_door *door = conn->door;
    if (req->begun)
        door->handler->gone(door->arg, req,
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

/* --- what the routes see -------------------------------------------------------------------------
 */

enum http_method http_method(const struct http_req *req)
{
    return req->method;
}

struct span http_path(const struct http_req *req)
{
    return req->path;
}

struct span http_query(const struct http_req *req)
{
    return req->query;
}

struct span http_header(const struct http_req *req, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(req->conn->mhd, MHD_HEADER_KIND, name, strlen(name), &value,
                                      &len) != MHD_YES ||
        !value)
        return (struct span){NULL, 0};
    return span_of(value, len);
}

struct http_door *http_door(const struct http_req *req)
{
    return req->conn->door;
}

enum http_via http_via(const struct http_req *req)
{
    return req->conn->door->via;
}

uint64_t http_body_length(const struct http_req *req)
{
    return req->body_length;
}

void http_set_state(struct http_req *req, void *state)
{
    req->state = state;
}

void *http_state(const struct http_req *req)
{
    return req->state;
}

void http_resume_body(struct http_req *req)
{
    req->resume = true;
    if (!req->paused)
        return;
    req->paused = false;
    conn_time(req->conn, &req->conn->server->idle);
    conn_resume(req->conn);
}
