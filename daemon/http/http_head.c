/*
 * A request's head as it was sent, and the heads that no route should have to think of.
 */
#include "daemon/http/http_conn.h"

struct span mhd_header(const struct http_req *base, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n(mhd_req_of(base)->conn->mhd, MHD_HEADER_KIND, name, strlen(name), &value, &len) !=
            MHD_YES ||
        !value)
        return (struct span){NULL, 0};
    return span_of(value, len);
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

void mhd_each_header(const struct http_req *base, void (*each)(void *arg, struct span name, struct span value), void *arg)
{
    struct field_walk walk = {.each = each, .arg = arg};
    MHD_get_connection_values_n(mhd_req_of(base)->conn->mhd, MHD_HEADER_KIND, give_field, &walk);
}

bool mhd_peer(const struct http_req *base, struct http_peer *out)
{
    const struct http_conn *conn = mhd_req_of(base)->conn;
    if (!conn->has_peer)
        return http_peer_of(conn->fd, out);
    *out = conn->peer;
    return true;
}

struct head_count {
    struct http_counts counts;
    size_t bytes;
};

static void count_field(void *arg, struct span name, struct span value)
{
    struct head_count *count = arg;
    http_count_field(&count->counts, name);
    count->bytes += name.len + value.len + 4;
}

bool mhd_refused(struct mhd_req *req)
{
    struct head_count count = {0};
    mhd_each_header(&req->base, count_field, &count);
    if (count.bytes > HTTP_HEAD_MAX) {
        http_reply_error(&req->base, 431, "too_large", "the head of the request is over 64 KiB");
        return true;
    }
    bool chunked = mhd_header(&req->base, "Transfer-Encoding").ptr != NULL;
    bool unclear = count.counts.lengths > 1 || (chunked && count.counts.lengths > 0); /* where the body ends */
    if (unclear)
        http_add_field(&req->base, "Connection", "close"); /* what follows may be a part of it */
    const char *why = http_head_fault(&count.counts, chunked, req->base.door->via == HTTP_VIA_TCP && !req->base.old);
    if (why)
        http_reply_error(&req->base, 400, "invalid", why);
    return why != NULL;
}
