#include <strings.h>

#include "daemon/http/guard.h"

static bool same_name(struct span a, const char *b)
{
    return b && a.len == strlen(b) && strncasecmp((const char *)a.ptr, b, a.len) == 0;
}

/* The host of "host", "host:port" or "[v6]:port", brackets kept. */
static struct span host_of(struct span text)
{
    const uint8_t *end =
        text.len ? memchr(text.ptr, text.ptr[0] == '[' ? ']' : ':', text.len) : NULL;
    if (!end)
        return text;
    return span_of(text.ptr, (size_t)(end - text.ptr) + (text.ptr[0] == '['));
}

static bool is_loopback(struct span host)
{
    return same_name(host, "localhost") || same_name(host, "127.0.0.1") || same_name(host, "[::1]");
}

/* Only names matter here: a page bound to a foreign name that resolves to us shows that name as
 * Host. */
static bool host_is_ours(struct span header, const struct guard *g)
{
    struct span host = host_of(header);
    if (is_loopback(host) || same_name(host, g->host) || same_name(header, g->host))
        return true;
    for (const char *const *a = g->addresses; a && *a; a++)
        if (span_eq(host, host_of(span_str(*a))))
            return true;
    return false;
}

static bool origin_is_same(struct span origin, struct span host)
{
    static const char scheme[] = "http://";
    size_t skip = sizeof(scheme) - 1;
    return origin.len > skip && memcmp(origin.ptr, scheme, skip) == 0 &&
           span_eq(span_of(origin.ptr + skip, origin.len - skip), host);
}

static bool cors_allows(const struct guard *g, struct span origin)
{
    return g->cors && (strcmp(g->cors, "*") == 0 || span_is(origin, g->cors));
}

static void add_cors_fields(struct http_req *req, const struct guard *g)
{
    /* What cannot be added for want of memory only makes the browser refuse the answer. */
    (void)http_add_field(req, "Access-Control-Allow-Origin", g->cors);
    (void)http_add_field(req, "Access-Control-Expose-Headers", "weir-repeat, ETag, Content-Range");
    if (strcmp(g->cors, "*") != 0)
        (void)http_add_field(req, "Vary", "Origin");
}

int guard_check(struct http_req *req, const struct guard *g, const char **why)
{
    if (http_via(req) == HTTP_VIA_UNIX)
        return 0;
    struct span host = http_header(req, "Host");
    struct span origin = http_header(req, "Origin");
    bool allowed = g->cors && (origin.ptr ? cors_allows(g, origin) : strcmp(g->cors, "*") == 0);
    /* Without Host only HTTP/1.0 comes this far, which no browser speaks. */
    if (host.ptr && !host_is_ours(host, g))
        *why = "this Host is not served here; start the daemon with --host NAME to allow it";
    else if (origin.ptr && !allowed && !origin_is_same(origin, host))
        *why = "pages of this Origin may not come here; start the daemon with --cors ORIGIN to "
               "allow it";
    else if (!allowed && span_is(http_header(req, "Sec-Fetch-Site"), "cross-site"))
        *why = "cross-site requests may not come here; start the daemon with --cors ORIGIN to "
               "allow it";
    else {
        if (allowed && origin.ptr)
            add_cors_fields(req, g);
        return 0;
    }
    return ERR_FORBIDDEN;
}

bool guard_preflight(struct http_req *req, const struct guard *g)
{
    static const struct http_field fields[] = {
        {"Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE"},
        {"Access-Control-Allow-Headers",
         "Content-Type, xs-meta, Last-Event-ID, Range, If-None-Match, Authorization"},
        {"Access-Control-Max-Age", "600"},
        {NULL, NULL}};
    if (!g->cors || http_via(req) == HTTP_VIA_UNIX || http_method(req) != HTTP_OPTIONS ||
        !http_header(req, "Origin").ptr || !http_header(req, "Access-Control-Request-Method").ptr)
        return false;
    http_reply(req, 204, NULL, (struct span){NULL, 0}, fields);
    return true;
}
