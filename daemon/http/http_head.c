/*
 * A request's head as it was sent, for routes that pass it on, and the end of a request by force.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include <netinet/in.h>

#include "daemon/http/http_conn.h"

const char *http_method_text(const struct http_req *req)
{
    return req->method_text;
}

bool http_is_old(const struct http_req *req)
{
    return req->old;
}

struct span http_target(const struct http_req *req)
{
    return span_str(req->target);
}

struct field_walk {
    void (*each)(void *arg, struct span name, struct span value);
    void *arg;
};

static enum MHD_Result give_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                  size_t name_len, const char *value, size_t value_len)
{
    const struct field_walk *walk = cls;
    (void)kind;
    walk->each(walk->arg, span_of(name, name_len), span_of(value, value ? value_len : 0));
    return MHD_YES;
}

void http_each_header(const struct http_req *req,
                      void (*each)(void *arg, struct span name, struct span value), void *arg)
{
    struct field_walk walk = {.each = each, .arg = arg};
    MHD_get_connection_values_n(req->conn->mhd, MHD_HEADER_KIND, give_field, &walk);
}

bool http_peer(const struct http_req *req, struct http_peer *out)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof(peer);
    if (getpeername(req->conn->fd, (struct sockaddr *)&peer, &len) < 0)
        return false;
    if (peer.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)&peer;
        out->port = ntohs(in->sin_port);
        return inet_ntop(AF_INET, &in->sin_addr, out->ip, sizeof(out->ip)) != NULL;
    }
    if (peer.ss_family != AF_INET6)
        return false;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)&peer;
    out->port = ntohs(in6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr))
        return inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], out->ip, sizeof(out->ip)) != NULL;
    return inet_ntop(AF_INET6, &in6->sin6_addr, out->ip, sizeof(out->ip)) != NULL;
}

void http_abort(struct http_req *req)
{
    conn_cut(req->conn);
}
