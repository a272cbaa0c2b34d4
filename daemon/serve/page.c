/*
 * The live page: who may see it, and its parts.
 */
#include "daemon/serve/page.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <strings.h>
#include <sys/random.h>

#include "base/text.h"

static const struct http_field fields[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"Cache-Control", "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {NULL, NULL}};

/* --- secrets --------------------------------------------------------------------------------------- */

static int make_secret(char out[static WAY_SECRET + 1])
{
    uint8_t bytes[WAY_SECRET / 2];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return -errno;
    sodium_bin2hex(out, WAY_SECRET + 1, bytes, sizeof(bytes));
    return 0;
}

static bool is_secret(struct span given, const char *secret)
{
    return secret[0] != '\0' && given.len == WAY_SECRET &&
           sodium_memcmp(given.ptr, secret, WAY_SECRET) == 0;
}

static bool is_loopback_address(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0;
}

int page_open(struct way *way, struct err *err)
{
    const char *address = listen_address(way->listener);
    struct daemon *daemon = way->serve->site->daemon;
    way->page = listen_via(way->listener) == HTTP_VIA_TCP && is_loopback_address(address);
    if (!way->page)
        return 0;
    int rc = make_secret(way->key);
    if (rc == 0)
        rc = make_secret(way->cookie);
    if (rc < 0)
        return err_sys(err, -rc, "make a key for the live page");
    fprintf(stderr, "live page: http://%s/?key=%s\n", address, way->key);
    if (daemon->options && daemon->options->log) /* standard error is that file, or was */
        log_say(daemon->log, LOG_INFO, "serve", "page=http://%s/?key=%s", address, way->key);
    return 0;
}

/* --- who may see it -------------------------------------------------------------------------------- */

/* With a port or without. */
static bool host_is(struct span host, const char *name)
{
    size_t len = strlen(name);
    if (host.len < len || strncasecmp((const char *)host.ptr, name, len) != 0)
        return false;
    for (size_t i = len; i < host.len; i++)
        if (i == len ? host.ptr[i] != ':' : host.ptr[i] < '0' || host.ptr[i] > '9')
            return false;
    return true;
}

/* A page of a foreign name that resolves to us shows that name as Host. */
static bool asks_locally(const struct http_req *req)
{
    struct span host = http_header(req, "Host");
    struct span site = http_header(req, "Sec-Fetch-Site");
    bool local = host_is(host, "localhost") || host_is(host, "127.0.0.1") || host_is(host, "[::1]");
    return local && (!site.ptr || span_is(site, "none") || span_is(site, "same-origin"));
}

/* Cookies know no ports, so the name has it: two daemons do not overwrite each other's. */
static void cookie_name(char out[static 32], const struct way *way)
{
    const char *port = strrchr(listen_address(way->listener), ':');
    snprintf(out, 32, "weir_page_%.5s", port ? port + 1 : "");
}

static bool has_cookie(const struct way *way, const struct http_req *req)
{
    char name[32];
    struct span rest = http_header(req, "Cookie");
    cookie_name(name, way);
    size_t len = strlen(name);
    while (rest.len > 0) {
        const uint8_t *end = memchr(rest.ptr, ';', rest.len);
        struct span one = span_of(rest.ptr, end ? (size_t)(end - rest.ptr) : rest.len);
        rest = end ? span_of(end + 1, rest.len - one.len - 1) : (struct span){0};
        while (one.len > 0 && one.ptr[0] == ' ')
            one = span_of(one.ptr + 1, one.len - 1);
        if (one.len > len && memcmp(one.ptr, name, len) == 0 && one.ptr[len] == '=' &&
            is_secret(span_of(one.ptr + len + 1, one.len - len - 1), way->cookie))
            return true;
    }
    return false;
}

static bool has_key(const struct way *way, const struct http_req *req)
{
    struct span rest = http_query(req), name, value;
    bool has_value;
    if (!span_is(http_path(req), "/"))
        return false;
    while (uri_query_next(&rest, &name, &value, &has_value))
        if (span_is(name, "key") && is_secret(value, way->key))
            return true;
    return false;
}

/* --- answers --------------------------------------------------------------------------------------- */

/* The key goes; the browser comes again with the cookie, and without the key in its history. */
static void take_key(struct way *way, struct http_req *req)
{
    char name[32], cookie[160];
    cookie_name(name, way);
    snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict", name, way->cookie);
    const struct http_field moved[] = {{"Location", "/"},
                                       {"Set-Cookie", cookie},
                                       {"Cache-Control", "no-store"},
                                       {"Referrer-Policy", "no-referrer"},
                                       {NULL, NULL}};
    sodium_memzero(way->key, sizeof(way->key));
    http_reply(req, 303, NULL, (struct span){0}, moved);
}

static void show(struct way *way, struct http_req *req)
{
    static const char contents[] = "/_weir/cas/";
    const size_t skip = sizeof(contents) - 1;
    struct span path = http_path(req);
    const struct page_asset *asset = page_asset(path);
    if (asset)
        http_reply(req, 200, asset->type, span_of(asset->begin, (size_t)(asset->end - asset->begin)),
                   fields);
    else if (span_is(path, "/_weir/events"))
        page_events(way, req, fields);
    else if (path.len > skip && memcmp(path.ptr, contents, skip) == 0)
        page_content(way, req, span_of(path.ptr + skip, path.len - skip), fields);
    else
        http_reply(req, 404, NULL, (struct span){0}, fields);
}

void page_begin(struct way *way, struct http_req *req)
{
    bool allowed = way->page && http_method(req) == HTTP_GET && asks_locally(req);
    if (allowed && has_key(way, req))
        take_key(way, req);
    else if (allowed && has_cookie(way, req))
        show(way, req);
    else
        http_reply(req, 503, NULL, (struct span){0}, NULL);
}
