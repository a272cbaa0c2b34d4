#include "daemon/http/http_base.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include "base/json.h"

enum http_method http_method_of(const char *name)
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

void http_req_finish(struct http_req *req)
{
    while (req->extras) {
        struct http_extra *extra = req->extras;
        req->extras = extra->next;
        free(extra);
    }
}

static bool v4_text(const struct in_addr *address, struct http_peer *out)
{
    return inet_ntop(AF_INET, address, out->ip, sizeof(out->ip)) != NULL;
}

bool http_peer_of(int fd, struct http_peer *out)
{
    struct sockaddr_storage peer = {0};
    struct in_addr mapped;
    socklen_t len = sizeof(peer);
    if (getpeername(fd, (struct sockaddr *)&peer, &len) < 0)
        return false;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&peer;
        out->port = ntohs(in->sin_port);
        return v4_text(&in->sin_addr, out);
    }
    if (peer.ss_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&peer;
    out->port = ntohs(in6->sin6_port);
    memcpy(&mapped, &in6->sin6_addr.s6_addr[12], sizeof(mapped));
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return v4_text(&mapped, out);
    return inet_ntop(AF_INET6, &in6->sin6_addr, out->ip, sizeof(out->ip)) != NULL;
}

/* --- heads and errors ------------------------------------------------------------------------------ */

static bool is_name(struct span name, const char *text)
{
    return name.len == strlen(text) && strncasecmp((const char *)name.ptr, text, name.len) == 0;
}

void http_count_field(struct http_counts *counts, struct span name)
{
    counts->hosts += is_name(name, "Host");
    counts->lengths += is_name(name, "Content-Length");
    counts->metas += is_name(name, "xs-meta");
}

const char *http_head_fault(const struct http_counts *counts, bool chunked, bool host_needed)
{
    if (chunked && counts->lengths > 0)
        return "Content-Length and Transfer-Encoding together are ambiguous";
    if (counts->lengths > 1)
        return "more than one Content-Length header";
    if (counts->metas > 1)
        return "more than one xs-meta header";
    if (counts->hosts > 1)
        return "more than one Host header";
    return counts->hosts == 0 && host_needed ? "the Host header is missing" : NULL;
}

int http_error_body(struct buf *out, const char *code, const char *message)
{
    int rc = buf_addf(out, "{\"error\":\"%s\",\"message\":", code);
    if (rc == 0)
        rc = json_put_string(out, span_str(message));
    return rc == 0 ? buf_add_str(out, "}\n") : rc;
}

void http_reply_error(struct http_req *req, int status, const char *code, const char *message)
{
    CLEAN_BUF body = BUF_INIT;
    if (http_error_body(&body, code, message) == 0)
        http_reply(req, status, "application/json", buf_span(&body), NULL);
    else
        http_abort(req);
}

bool http_fits_a_field(const char *value)
{
    const char *p = value;
    while ((unsigned char)*p >= 0x20 && *p != 0x7f)
        p++;
    return p > value && !*p;
}

/* --- what the routes see --------------------------------------------------------------------------- */

enum http_method http_method(const struct http_req *req)
{
    return req->method;
}

const char *http_method_text(const struct http_req *req)
{
    return req->method_text;
}

struct span http_target(const struct http_req *req)
{
    return req->target;
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
    return req->ops->header(req, name);
}

void http_each_header(const struct http_req *req,
                      void (*each)(void *arg, struct span name, struct span value), void *arg)
{
    req->ops->each_header(req, each, arg);
}

bool http_is_duplex(const struct http_req *req)
{
    return req->ops->duplex;
}

bool http_is_old(const struct http_req *req)
{
    return req->old;
}

struct http_door *http_door(const struct http_req *req)
{
    return req->door;
}

enum http_via http_via(const struct http_req *req)
{
    return req->door->via;
}

bool http_peer(const struct http_req *req, struct http_peer *out)
{
    return req->ops->peer(req, out);
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
    req->ops->resume_body(req);
}

int http_add_field(struct http_req *req, const char *name, const char *value)
{
    size_t name_size = strlen(name) + 1;
    size_t value_size = strlen(value) + 1;
    struct http_extra *extra = malloc(sizeof(*extra) + name_size + value_size);
    if (!extra)
        return -ENOMEM;
    memcpy(extra->name, name, name_size);
    extra->value = extra->name + name_size;
    memcpy(extra->value, value, value_size);
    extra->next = req->extras;
    req->extras = extra;
    return 0;
}

void http_reply(struct http_req *req, int status, const char *content_type, struct span body,
                const struct http_field *fields)
{
    req->ops->reply(req, status, content_type, body, fields);
}

void http_reply_stream(struct http_req *req, int status, const char *content_type, uint64_t size,
                       long (*read)(void *arg, struct http_req *req, uint8_t *into, size_t room),
                       const struct http_field *fields)
{
    req->ops->reply_stream(req, status, content_type, size, read, fields);
}

bool http_client_ended(const struct http_req *req)
{
    return req->ops->client_ended && req->ops->client_ended(req);
}

void http_abort(struct http_req *req)
{
    req->ops->abort(req);
}

int http_add_trailer(struct http_req *req, const char *name, const char *value)
{
    return req->ops->add_trailer(req, name, value);
}

void http_wake(struct http_req *req)
{
    req->ops->wake(req);
}
