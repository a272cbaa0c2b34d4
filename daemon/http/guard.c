#include <arpa/inet.h>
#include <string.h>
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

static bool is_numeric(struct span host)
{
    char text[64];
    uint8_t address[16];
    bool v6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    struct span bare = v6 ? span_of(host.ptr + 1, host.len - 2) : host;
    if (bare.len == 0 || bare.len >= sizeof(text))
        return false;
    memcpy(text, bare.ptr, bare.len);
    text[bare.len] = '\0';
    return inet_pton(v6 ? AF_INET6 : AF_INET, text, address) == 1;
}

/* "*.example.org" of a certificate is one label more. */
static bool name_fits(struct span host, const char *name)
{
    if (strncmp(name, "*.", 2) != 0)
        return same_name(host, name);
    const uint8_t *dot = host.len > 0 ? memchr(host.ptr, '.', host.len) : NULL;
    return dot && dot > host.ptr && same_name(span_of(dot, host.len - (size_t)(dot - host.ptr)), name + 1);
}

/* Only names matter here: a page bound to a foreign name that resolves to us shows that name as
 * Host. So where we listen on every address, any numeric one is ours. */
static bool host_is_ours(struct span header, const struct guard *g)
{
    struct span host = host_of(header);
    if (is_loopback(host) || same_name(host, g->host) || same_name(header, g->host))
        return true;
    for (const char *const *a = g->addresses; a && *a; a++) {
        struct span address = host_of(span_str(*a));
        bool every = span_is(address, "0.0.0.0") || span_is(address, "[::]");
        if (span_eq(host, address) || (every && is_numeric(host)))
            return true;
    }
    for (const char *const *name = g->names; name && *name; name++)
        if (name_fits(host, *name))
            return true;
    return false;
}

static bool origin_is_same(struct span origin, struct span host)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t skip = strlen(schemes[i]);
        if (origin.len > skip && memcmp(origin.ptr, schemes[i], skip) == 0 &&
            span_eq(span_of(origin.ptr + skip, origin.len - skip), host))
            return true;
    }
    return false;
}

static bool cors_allows(const struct guard *g, struct span origin)
{
    return g->cors && (strcmp(g->cors, "*") == 0 || span_is(origin, g->cors));
}

/* A header's value as text when each byte is one that may go back into an answer. */
static bool echo(char *out, size_t size, struct span value)
{
    if (value.len == 0 || value.len >= size)
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] < 0x20 || value.ptr[i] > 0x7e)
            return false;
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

/* The origin itself, never `*`: with that a browser lets no page send a token it keeps. */
static void add_cors_fields(struct http_req *req, struct span origin)
{
    char text[512];
    if (!echo(text, sizeof(text), origin))
        return;
    /* What cannot be added for want of memory only makes the browser refuse the answer. */
    (void)http_add_field(req, "Access-Control-Allow-Origin", text);
    (void)http_add_field(req, "Access-Control-Allow-Credentials", "true");
    (void)http_add_field(req, "Access-Control-Expose-Headers",
                         "weir-repeat, weir-member, ETag, Content-Range, WWW-Authenticate, s2-provision-result, retry-after-ms");
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
            add_cors_fields(req, origin);
        return 0;
    }
    return ERR_FORBIDDEN;
}

bool guard_preflight(struct http_req *req, const struct guard *g)
{
    char asked[1024];
    struct http_field fields[] = {
        {"Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"},
        {"Access-Control-Allow-Headers",
         "Content-Type, xs-meta, Last-Event-ID, Range, If-None-Match, Authorization, Content-Encoding, "
         "s2-basin, s2-format, s2-request-token, s2-stream-config, s2-encryption-key"},
        {"Access-Control-Max-Age", "600"},
        {NULL, NULL}};
    if (!g->cors || http_via(req) == HTTP_VIA_UNIX || http_method(req) != HTTP_OPTIONS ||
        !http_header(req, "Origin").ptr || !http_header(req, "Access-Control-Request-Method").ptr)
        return false;
    if (echo(asked, sizeof(asked), http_header(req, "Access-Control-Request-Headers")))
        fields[1].value = asked;
    http_reply(req, 200, NULL, (struct span){NULL, 0}, fields);
    return true;
}
