/* The route table of the S2 API, over stand-ins for the routes and for the request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/s2/s2.h"

#define ROUTE(name) const struct route name = {.size = sizeof(#name)};
ROUTE(s2_route_append)
ROUTE(s2_route_records)
ROUTE(s2_route_tail)
ROUTE(s2_route_basins_list)
ROUTE(s2_route_basins_post)
ROUTE(s2_route_basin_get)
ROUTE(s2_route_basin_put)
ROUTE(s2_route_basin_patch)
ROUTE(s2_route_basin_delete)
ROUTE(s2_route_streams_list)
ROUTE(s2_route_streams_post)
ROUTE(s2_route_stream_get)
ROUTE(s2_route_stream_put)
ROUTE(s2_route_stream_patch)
ROUTE(s2_route_stream_delete)
ROUTE(s2_route_tokens_list)
ROUTE(s2_route_tokens_post)
ROUTE(s2_route_token_delete)
ROUTE(s2_route_locations)
ROUTE(s2_route_location_get)
ROUTE(s2_route_location_put)
ROUTE(s2_route_metrics)
ROUTE(s2_route_health)

struct http_req {
    enum http_method method;
    const char *path;
    int status;
};

enum http_method http_method(const struct http_req *req)
{
    return req->method;
}

struct span http_path(const struct http_req *req)
{
    return span_str(req->path);
}

void reply_not_found(struct http_req *req)
{
    req->status = 404;
}

void reply_not_allowed(struct http_req *req, const char *allow)
{
    assert_non_null(allow);
    req->status = 405;
}

static void expect(enum http_method method, const char *path, const struct route *want,
                   const char *want_operand)
{
    struct http_req req = {.method = method, .path = path};
    struct span operand = {0};
    const struct route *got = s2_route(&req, &operand);
    if (got != want || req.status != 0 || !span_is(operand, want_operand))
        fail_msg("%s: status %d, operand \"%.*s\"", path, req.status, SPAN_ARG(operand));
}

static void refused(enum http_method method, const char *path, int status)
{
    struct http_req req = {.method = method, .path = path};
    struct span operand;
    assert_null(s2_route(&req, &operand));
    if (req.status != status)
        fail_msg("%s: %d, not %d", path, req.status, status);
}

static void test_each_route_is_reached(void **state)
{
    (void)state;
    expect(HTTP_GET, "/v1/basins", &s2_route_basins_list, "");
    expect(HTTP_HEAD, "/v1/basins", &s2_route_basins_list, "");
    expect(HTTP_POST, "/v1/basins", &s2_route_basins_post, "");
    expect(HTTP_GET, "/v1/basins/my-basin", &s2_route_basin_get, "my-basin");
    expect(HTTP_PUT, "/v1/basins/my-basin", &s2_route_basin_put, "my-basin");
    expect(HTTP_PATCH, "/v1/basins/my-basin", &s2_route_basin_patch, "my-basin");
    expect(HTTP_DELETE, "/v1/basins/my-basin", &s2_route_basin_delete, "my-basin");
    expect(HTTP_GET, "/v1/streams", &s2_route_streams_list, "");
    expect(HTTP_POST, "/v1/streams", &s2_route_streams_post, "");
    expect(HTTP_GET, "/v1/streams/s", &s2_route_stream_get, "s");
    expect(HTTP_PUT, "/v1/streams/s", &s2_route_stream_put, "s");
    expect(HTTP_PATCH, "/v1/streams/s", &s2_route_stream_patch, "s");
    expect(HTTP_DELETE, "/v1/streams/s", &s2_route_stream_delete, "s");
    expect(HTTP_GET, "/v1/access-tokens", &s2_route_tokens_list, "");
    expect(HTTP_POST, "/v1/access-tokens", &s2_route_tokens_post, "");
    expect(HTTP_DELETE, "/v1/access-tokens/id", &s2_route_token_delete, "id");
    expect(HTTP_GET, "/v1/locations", &s2_route_locations, "");
    expect(HTTP_GET, "/v1/locations/default", &s2_route_location_get, "");
    expect(HTTP_PUT, "/v1/locations/default", &s2_route_location_put, "");
    expect(HTTP_GET, "/v1/metrics", &s2_route_metrics, "");
    expect(HTTP_GET, "/v1/metrics/b", &s2_route_metrics, "b");
    expect(HTTP_GET, "/v1/metrics/b/s", &s2_route_metrics, "b/s");
    expect(HTTP_GET, "/health", &s2_route_health, "");
    expect(HTTP_GET, "/ping", &s2_route_health, "");
}

static void test_a_name_is_one_raw_segment(void **state)
{
    (void)state;
    expect(HTTP_GET, "/v1/streams/a%2Fb/records", &s2_route_records, "a%2Fb/records");
    expect(HTTP_POST, "/v1/streams/a%2Fb/records", &s2_route_append, "a%2Fb/records");
    expect(HTTP_GET, "/v1/streams/a%2Fb/records/tail", &s2_route_tail, "a%2Fb/records/tail");
    expect(HTTP_GET, "/v1/streams/records/records", &s2_route_records, "records/records");
    expect(HTTP_GET, "/v1/streams/%zz", &s2_route_stream_get, "%zz"); /* refused by s2_enter */
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    static const char *const paths[] = {"/v1/",
                                        "/v1/basins/",
                                        "/v1/basin",
                                        "/v1/basins/a/b",
                                        "/v1/streams/a/b",
                                        "/v1/streams//records",
                                        "/v1/streams/a/records/",
                                        "/v1/streams/a/records/tails",
                                        "/v1/access-tokens/",
                                        "/v1/locations/other",
                                        "/v1/metrics/a/b/c",
                                        "/v2/basins"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        refused(HTTP_GET, paths[i], 404);
}

static void test_other_methods(void **state)
{
    (void)state;
    refused(HTTP_DELETE, "/v1/basins", 405);
    refused(HTTP_POST, "/v1/basins/my-basin", 405);
    refused(HTTP_PUT, "/v1/streams/s/records", 405);
    refused(HTTP_POST, "/v1/streams/s/records/tail", 405);
    refused(HTTP_GET, "/v1/access-tokens/id", 405);
    refused(HTTP_OPTIONS, "/v1/basins", 405);
    refused(HTTP_OTHER, "/health", 405);
}

static void test_which_paths_are_the_apis(void **state)
{
    (void)state;
    assert_true(s2_path(span_str("/v1/basins")));
    assert_true(s2_path(span_str("/v1/")));
    assert_true(s2_path(span_str("/health")));
    assert_true(s2_path(span_str("/ping")));
    assert_false(s2_path(span_str("/v1")));
    assert_false(s2_path(span_str("/v1x")));
    assert_false(s2_path(span_str("/healthy")));
    assert_false(s2_path(span_str("/append/v1")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_route_is_reached),
        cmocka_unit_test(test_a_name_is_one_raw_segment),
        cmocka_unit_test(test_what_is_not_there),
        cmocka_unit_test(test_other_methods),
        cmocka_unit_test(test_which_paths_are_the_apis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
