/*
 * The route table of the S2 v1 API. Paths are looked at raw, segment by segment, so that a name may hold an escaped slash.
 */
#include "daemon/s2/s2.h"

#define METHODS (HTTP_OPTIONS + 1)

/* A `*` stands for one segment, which is not empty; the operand begins at the first of them. */
static const struct entry {
    const char *path;
    const struct route *methods[METHODS];
    const char *allow;
} table[] = {
    {.path = "/v1/basins",
     .methods = {[HTTP_GET] = &s2_route_basins_list, [HTTP_POST] = &s2_route_basins_post},
     .allow = "GET, HEAD, POST"},
    {.path = "/v1/basins/*",
     .methods = {[HTTP_GET] = &s2_route_basin_get,
                 [HTTP_PUT] = &s2_route_basin_put,
                 [HTTP_PATCH] = &s2_route_basin_patch,
                 [HTTP_DELETE] = &s2_route_basin_delete},
     .allow = "GET, HEAD, PUT, PATCH, DELETE"},
    {.path = "/v1/streams",
     .methods = {[HTTP_GET] = &s2_route_streams_list, [HTTP_POST] = &s2_route_streams_post},
     .allow = "GET, HEAD, POST"},
    {.path = "/v1/streams/*",
     .methods = {[HTTP_GET] = &s2_route_stream_get,
                 [HTTP_PUT] = &s2_route_stream_put,
                 [HTTP_PATCH] = &s2_route_stream_patch,
                 [HTTP_DELETE] = &s2_route_stream_delete},
     .allow = "GET, HEAD, PUT, PATCH, DELETE"},
    {.path = "/v1/streams/*/records/tail",
     .methods = {[HTTP_GET] = &s2_route_tail},
     .allow = "GET, HEAD"},
    {.path = "/v1/streams/*/records",
     .methods = {[HTTP_GET] = &s2_route_records, [HTTP_POST] = &s2_route_append},
     .allow = "GET, HEAD, POST"},
    {.path = "/v1/access-tokens",
     .methods = {[HTTP_GET] = &s2_route_tokens_list, [HTTP_POST] = &s2_route_tokens_post},
     .allow = "GET, HEAD, POST"},
    {.path = "/v1/access-tokens/*",
     .methods = {[HTTP_DELETE] = &s2_route_token_delete},
     .allow = "DELETE"},
    {.path = "/v1/locations", .methods = {[HTTP_GET] = &s2_route_locations}, .allow = "GET, HEAD"},
    {.path = "/v1/locations/default",
     .methods = {[HTTP_GET] = &s2_route_location_get, [HTTP_PUT] = &s2_route_location_put},
     .allow = "GET, HEAD, PUT"},
    {.path = "/v1/metrics", .methods = {[HTTP_GET] = &s2_route_metrics}, .allow = "GET, HEAD"},
    {.path = "/v1/metrics/*", .methods = {[HTTP_GET] = &s2_route_metrics}, .allow = "GET, HEAD"},
    {.path = "/v1/metrics/*/*", .methods = {[HTTP_GET] = &s2_route_metrics}, .allow = "GET, HEAD"},
    {.path = "/health", .methods = {[HTTP_GET] = &s2_route_health}, .allow = "GET, HEAD"},
    {.path = "/ping", .methods = {[HTTP_GET] = &s2_route_health}, .allow = "GET, HEAD"},
};

bool s2_path(struct span path)
{
    return (path.len >= 4 && memcmp(path.ptr, "/v1/", 4) == 0) || span_is(path, "/health") ||
           span_is(path, "/ping");
}

static bool fits(const char *pattern, struct span path, struct span *operand)
{
    size_t at = 0;
    *operand = (struct span){0};
    for (; *pattern; pattern++) {
        if (*pattern != '*') {
            if (at == path.len || path.ptr[at++] != (uint8_t)*pattern)
                return false;
            continue;
        }
        const size_t start = at;
        while (at < path.len && path.ptr[at] != '/')
            at++;
        if (at == start)
            return false;
        if (!operand->ptr)
            *operand = span_of(path.ptr + start, path.len - start);
    }
    return at == path.len;
}

const struct route *s2_route(struct http_req *req, struct span *operand)
{
    enum http_method method = http_method(req) == HTTP_HEAD ? HTTP_GET : http_method(req);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct entry *e = &table[i];
        if (!fits(e->path, http_path(req), operand))
            continue;
        if (method < METHODS && e->methods[method])
            return e->methods[method];
        reply_not_allowed(req, e->allow);
        return NULL;
    }
    reply_not_found(req);
    return NULL;
}
