#include "daemon/serve/request.h"

#include <errno.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/serve/pairs.h"

/* --- the query ------------------------------------------------------------------------------------- */

static bool is_text(struct span text)
{
    return !memchr(text.ptr, 0, text.len);
}

/* Decoded into scratch, or as it was sent when that does not work. */
static struct span decoded(struct buf *scratch, struct span raw)
{
    buf_reset(scratch);
    if (uri_decode(scratch, raw, true, NULL) < 0)
        return raw;
    struct span text = buf_span(scratch);
    return text.len == 0 || is_text(text) ? text : raw;
}

int request_query(struct buf *out, struct span raw)
{
    CLEAN_BUF name = BUF_INIT;
    CLEAN_BUF value = BUF_INIT;
    struct pairs pairs = {0};
    struct span raw_name, raw_value;
    bool has_value;
    int rc = 0;
    while (rc == 0 && uri_query_next(&raw, &raw_name, &raw_value, &has_value))
        if (raw_name.len > 0 || has_value)
            rc = pairs_add(&pairs, decoded(&name, raw_name), decoded(&value, raw_value));
    if (rc == 0)
        rc = pairs_put(&pairs, PAIRS_LAST, out);
    pairs_finish(&pairs);
    return rc;
}

/* --- headers --------------------------------------------------------------------------------------- */

struct gathering {
    struct pairs pairs;
    struct buf name;
    int rc;
};

static void gather(void *arg, struct span name, struct span value)
{
    struct gathering *g = arg;
    buf_reset(&g->name);
    if (g->rc == 0)
        g->rc = buf_add_span(&g->name, name);
    if (g->rc < 0)
        return;
    for (size_t i = 0; i < g->name.len; i++)
        if (g->name.ptr[i] >= 'A' && g->name.ptr[i] <= 'Z')
            g->name.ptr[i] = (uint8_t)(g->name.ptr[i] + ('a' - 'A'));
    g->rc = pairs_add(&g->pairs, buf_span(&g->name), value);
}

static int put_headers(struct buf *out, const struct http_req *req)
{
    struct gathering g = {.rc = 0};
    http_each_header(req, gather, &g);
    if (g.rc == 0)
        g.rc = pairs_put(&g.pairs, PAIRS_LISTS, out);
    pairs_finish(&g.pairs);
    buf_finish(&g.name);
    return g.rc;
}

/* --- the whole ------------------------------------------------------------------------------------- */

struct span request_authority(struct span target)
{
    const uint8_t *mark = memmem(target.ptr, target.len, "://", 3);
    if (!mark || target.ptr[0] == '/')
        return (struct span){0};
    const uint8_t *begin = mark + 3, *end = begin;
    while (end < target.ptr + target.len && *end != '/' && *end != '?')
        end++;
    return span_of(begin, (size_t)(end - begin));
}

static int put_member(struct buf *out, const char *name, struct span text)
{
    int rc = buf_addf(out, ",\"%s\":", name);
    return rc == 0 ? pairs_put_text(out, text) : rc;
}

static int put_peer(struct buf *out, const struct http_req *req)
{
    struct http_peer peer;
    if (http_via(req) != HTTP_VIA_TCP || !http_peer(req, &peer))
        return 0;
    return buf_addf(out, ",\"remote_ip\":\"%s\",\"remote_port\":%u", peer.ip, peer.port);
}

static int put_all(struct buf *out, const struct http_req *req)
{
    struct span target = http_target(req);
    struct span authority = request_authority(target);
    if (authority.len == 0)
        authority = http_header(req, "Host");
    int rc = buf_addf(out, "{\"proto\":\"HTTP/1.%d\"", http_is_old(req) ? 0 : 1);
    if (rc == 0)
        rc = put_member(out, "method", span_str(http_method_text(req)));
    if (rc == 0 && authority.len > 0)
        rc = put_member(out, "authority", authority);
    if (rc == 0)
        rc = put_peer(out, req);
    if (rc == 0)
        rc = buf_add_str(out, ",\"headers\":");
    if (rc == 0)
        rc = put_headers(out, req);
    if (rc == 0)
        rc = put_member(out, "uri", target);
    if (rc == 0)
        rc = put_member(out, "path", http_path(req));
    if (rc == 0)
        rc = buf_add_str(out, ",\"query\":");
    if (rc == 0)
        rc = request_query(out, http_query(req));
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

int request_meta(struct buf *out, const struct http_req *req, struct err *err)
{
    int rc = put_all(out, req);
    if (rc < 0)
        return err_set(err, rc, "no memory for the request");
    if (out->len > META_MAX)
        return err_set(err, ERR_TOO_LARGE, "the head of the request is over %d KiB as JSON",
                       META_MAX / 1024);
    return 0;
}
