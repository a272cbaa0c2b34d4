/*
 * The sending half of a request. A server may answer before it has read everything (a bad query, a
 * body over its limit) and stop reading: every wait for room is therefore also a wait for an
 * answer.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/clean.h"
#include "base/text.h"
#include "client/http.h"

#define PIECE (64 * 1024) /* content bytes per chunk */
#define SIZE_ROOM 20      /* room for a chunk's size line before its bytes */

/* --- head ------------------------------------------------------------------------------------- */

static bool is_clean(const char *text, bool blanks)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == 0x7f || *p < 0x20 || (*p == ' ' && !blanks))
            return false;
    }
    return true;
}

static int check_request(const struct weir_request *req, struct err *err)
{
    if (req->target[0] != '/' || !is_clean(req->target, false) || !is_clean(req->method, false))
        return err_set(err, ERR_INVALID, "a request's target starts with / and is percent-encoded");
    for (size_t i = 0; i < req->header_count; i++) {
        const struct weir_header *h = &req->headers[i];
        if (!h->name[0] || !is_clean(h->name, false) || !is_clean(h->value, true))
            return err_set(err, ERR_INVALID, "header \"%.40s\" holds a control byte", h->name);
    }
    return 0;
}

static int add_host(struct buf *out, const struct weir_addr *addr)
{
    bool bracket = addr->kind == WEIR_TCP && strchr(addr->host, ':');
    bool port = addr->kind == WEIR_TCP && strcmp(addr->port, "80") != 0;

    return buf_addf(out, "Host: %s%s%s%s%s\r\n", bracket ? "[" : "",
                    addr->kind == WEIR_TCP ? addr->host : "localhost", bracket ? "]" : "",
                    port ? ":" : "", port ? addr->port : "");
}

/* The URL's user or the access token, unless the caller brings an authorization of its own. */
static int add_user(struct buf *out, const struct weir_addr *addr, const struct weir_request *req)
{
    int rc;

    if (!addr->basic_auth && !addr->token)
        return 0;
    for (size_t i = 0; i < req->header_count; i++) {
        if (strcasecmp(req->headers[i].name, "authorization") == 0)
            return 0;
    }
    if (!addr->basic_auth)
        return buf_addf(out, "Authorization: Bearer %s\r\n", addr->token);
    rc = buf_add_str(out, "Authorization: Basic ");
    if (rc == 0)
        rc = b64_encode(out, span_str(addr->basic_auth));
    return rc == 0 ? buf_add_str(out, "\r\n") : rc;
}

static int add_framing(struct buf *out, const struct weir_request *req)
{
    bool post = strcmp(req->method, "POST") == 0 || strcmp(req->method, "PUT") == 0;

    if (req->read)
        return buf_add_str(out, "Transfer-Encoding: chunked\r\n");
    if (req->has_body || req->body.len > 0 || post)
        return buf_addf(out, "Content-Length: %zu\r\n", req->body.len);
    return 0;
}

int upload_write_head(struct weir *w, const struct weir_request *req, struct err *err)
{
    struct buf *out = &w->head;
    int rc = check_request(req, err);

    if (rc < 0)
        return rc;
    buf_reset(out);
    rc = buf_addf(out, "%s %s HTTP/1.1\r\n", req->method, req->target);
    if (rc == 0)
        rc = add_host(out, &w->addr);
    if (rc == 0)
        rc = add_user(out, &w->addr, req);
    for (size_t i = 0; rc == 0 && i < req->header_count; i++)
        rc = buf_addf(out, "%s: %s\r\n", req->headers[i].name, req->headers[i].value);
    if (rc == 0)
        rc = add_framing(out, req);
    if (rc == 0)
        rc = buf_add_str(out, "\r\n");
    return rc < 0 ? err_set(err, -ENOMEM, "no memory for a request") : 0;
}

/* --- bytes ------------------------------------------------------------------------------------ */

static bool is_hangup(int errnum)
{
    return errnum == EPIPE || errnum == ECONNRESET || errnum == ENOTCONN;
}

/* Looks, without waiting, whether an answer is there. 1: stop sending, 0: go on. */
static int look_for_answer(struct weir *w, struct err *err)
{
    long n = http_fill(w, MSG_DONTWAIT);

    if (n == -EAGAIN)
        return 0;
    return n <= 0 ? 1 : http_take_head(w, err);
}

/* Waits until there is room to send, or an answer. 1: stop sending, 0: there is room. */
static int wait_for_room(struct weir *w, struct err *err)
{
    struct pollfd p = {.fd = w->fd, .events = POLLIN | POLLOUT};
    int rc;

    do
        rc = poll(&p, 1, -1);
    while (rc < 0 && errno == EINTR);
    if (rc < 0)
        return err_sys(err, errno, "wait for %s", w->addr.shown);
    return p.revents & (POLLIN | POLLHUP | POLLERR) ? look_for_answer(w, err) : 0;
}

static void advance(struct iovec *iov, size_t count, size_t n)
{
    for (size_t i = 0; i < count && n > 0; i++) {
        size_t part = n < iov[i].iov_len ? n : iov[i].iov_len;
        iov[i].iov_base = (uint8_t *)iov[i].iov_base + part;
        iov[i].iov_len -= part;
        n -= part;
    }
}

/* Sends the two pieces, in one call where they fit. 1: given up, see wait_for_room. */
static int send_pieces(struct weir *w, struct span first, struct span second, struct err *err)
{
    struct iovec iov[2] = {{(void *)first.ptr, first.len}, {(void *)second.ptr, second.len}};
    size_t left = first.len + second.len;
    int rc = 0;

    while (left > 0 && rc == 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};
        ssize_t n = sendmsg(w->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            advance(iov, 2, (size_t)n);
            left -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            rc = wait_for_room(w, err);
        } else if (is_hangup(errno)) {
            rc = 1;
        } else if (errno != EINTR) {
            rc = err_sys(err, errno, "send to %s", w->addr.shown);
        }
    }
    return rc;
}

/*
 * One chunk: `before` goes out in front of it (the head with the first chunk). The buffer has
 * SIZE_ROOM bytes before the content and two behind it. Returns 0 go on, 1 given up, 2 that was the
 * last.
 */
static int send_chunk(struct weir *w, const struct weir_request *req, struct span before,
                      uint8_t *piece, struct err *err)
{
    char size[SIZE_ROOM];
    long n = req->read(req->read_arg, piece + SIZE_ROOM, PIECE);
    int rc;

    if (n < 0)
        return err_sys(err, (int)-n, "read the content to send");
    int len = snprintf(size, sizeof(size), "%lx\r\n", (unsigned long)n);
    uint8_t *start = piece + SIZE_ROOM - len;
    memcpy(start, size, (size_t)len);
    memcpy(piece + SIZE_ROOM + n, "\r\n", 2);
    rc = send_pieces(w, before, span_of(start, (size_t)len + (size_t)n + 2), err);
    if (rc != 0)
        return rc;
    return n == 0 ? 2 : look_for_answer(w, err);
}

static int send_chunks(struct weir *w, const struct weir_request *req, struct err *err)
{
    CLEAN_FREE uint8_t *piece = malloc(SIZE_ROOM + PIECE + 2);
    struct span before = buf_span(&w->head);
    int rc = 0;

    if (!piece)
        return err_set(err, -ENOMEM, "no memory for an upload");
    while (rc == 0) {
        rc = send_chunk(w, req, before, piece, err);
        before = span_of(NULL, 0);
    }
    return rc == 2 ? 0 : rc;
}

int upload_send(struct weir *w, const struct weir_request *req, struct err *err)
{
    int rc;

    if (req->read)
        rc = send_chunks(w, req, err);
    else
        rc = send_pieces(w, buf_span(&w->head), req->body, err);
    /* Half a request leaves the connection useless for another one. */
    if (rc != 0)
        w->spoiled = true;
    return rc;
}
