/* Browser rules, over a stand-in for the HTTP layer: a table of heads and verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <strings.h>

#include "daemon/http/guard.h"

/* The guard sees requests through daemon/http/http.h alone; these five calls are all it makes. */
struct http_req {
    enum http_via via;
    enum http_method method;
    const char *host;
    const char *origin;
    const char *site;
    const char *asks;
    char fields[512];
    int status;
};

enum http_via http_via(const struct http_req *req)
{
    return req->via;
}

enum http_method http_method(const struct http_req *req)
{
    return req->method;
}

struct span http_header(const struct http_req *req, const char *name)
{
    if (strcasecmp(name, "Host") == 0)
        return span_str(req->host);
    if (strcasecmp(name, "Origin") == 0)
        return span_str(req->origin);
    if (strcasecmp(name, "Sec-Fetch-Site") == 0)
        return span_str(req->site);
    return span_str(req->asks);
}

int http_add_field(struct http_req *req, const char *name, const char *value)
{
    size_t len = strlen(req->fields);
    snprintf(req->fields + len, sizeof(req->fields) - len, "%s: %s\n", name, value);
    return 0;
}

void http_reply(struct http_req *req, int status, const char *content_type, struct span body,
                const struct http_field *fields)
{
    (void)content_type, (void)body, (void)fields;
    req->status = status;
}

static const char *const addresses[] = {"127.0.0.2:8080", "[::1]:9000", NULL};

static bool passes(const char *cors, const char *host, const char *origin, const char *site)
{
    struct guard g = {addresses, "box.lan", cors};
    struct http_req req = {.via = HTTP_VIA_TCP, .host = host, .origin = origin, .site = site};
    const char *why = NULL;
    int rc = guard_check(&req, &g, &why);
    assert_true(rc == 0 || (rc == ERR_FORBIDDEN && why));
    assert_true(rc == 0 || req.fields[0] == '\0');
    return rc == 0;
}

static void test_hosts(void **state)
{
    (void)state;
    const char *good[] = {"localhost", "LocalHost:99", "127.0.0.1:8080",
                          "[::1]",     "[::1]:1",      "127.0.0.2:8080",
                          "127.0.0.2", "box.lan",      "Box.Lan:80"};
    const char *bad[] = {"evil.example", "localhost.evil.example", "127.0.0.3",   "",
                         "[::2]",        "127.0.0.1.nip.io:8080",  "box.lan.evil"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(passes(NULL, good[i], NULL, NULL));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(passes(NULL, bad[i], NULL, NULL));
        assert_false(passes("*", bad[i], NULL, NULL));
    }
    assert_true(passes(NULL, NULL, NULL, NULL)); /* HTTP/1.0 */
}

static void test_origins(void **state)
{
    (void)state;
    const char *host = "localhost:8080";
    assert_true(passes(NULL, host, "http://localhost:8080", "same-origin"));
    assert_false(passes(NULL, host, "http://localhost:3000", "same-site"));
    assert_false(passes(NULL, host, "https://localhost:8080", NULL));
    assert_false(passes(NULL, host, "http://evil.example", "cross-site"));
    assert_false(passes(NULL, host, "null", NULL));
    assert_false(passes(NULL, host, "", NULL));
    assert_false(passes(NULL, host, NULL, "cross-site"));
    assert_true(passes(NULL, host, NULL, "none"));
    assert_true(passes("http://app.example", host, "http://app.example", "cross-site"));
    assert_false(passes("http://app.example", host, "http://app.example.evil", "cross-site"));
    assert_false(passes("http://app.example", host, NULL, "cross-site"));
    assert_true(passes("*", host, "http://any.example", "cross-site"));
    assert_true(passes("*", host, NULL, "cross-site"));
}

static void test_unix_passes(void **state)
{
    (void)state;
    struct guard g = {NULL, NULL, NULL};
    struct http_req req = {.via = HTTP_VIA_UNIX, .host = "x", .origin = "http://evil.example"};
    const char *why = NULL;
    assert_int_equal(guard_check(&req, &g, &why), 0);
}

static void test_cors_fields(void **state)
{
    (void)state;
    struct guard g = {NULL, NULL, "http://app.example"};
    struct http_req req = {
        .via = HTTP_VIA_TCP, .host = "localhost", .origin = "http://app.example"};
    const char *why = NULL;
    assert_int_equal(guard_check(&req, &g, &why), 0);
    assert_non_null(strstr(req.fields, "Access-Control-Allow-Origin: http://app.example\n"));
    assert_non_null(strstr(req.fields, "Vary: Origin\n"));
    g.cors = "*";
    req.fields[0] = '\0';
    assert_int_equal(guard_check(&req, &g, &why), 0);
    assert_non_null(strstr(req.fields, "Access-Control-Allow-Origin: *\n"));
    assert_null(strstr(req.fields, "Vary"));
}

static void test_preflight(void **state)
{
    (void)state;
    struct guard g = {NULL, NULL, "*"};
    struct http_req req = {.via = HTTP_VIA_TCP,
                           .method = HTTP_OPTIONS,
                           .host = "localhost",
                           .origin = "http://app.example",
                           .asks = "POST"};
    assert_true(guard_preflight(&req, &g));
    assert_int_equal(req.status, 204);
    req.method = HTTP_POST;
    assert_false(guard_preflight(&req, &g));
    req.method = HTTP_OPTIONS;
    req.asks = NULL;
    assert_false(guard_preflight(&req, &g));
    req.asks = "POST";
    g.cors = NULL;
    assert_false(guard_preflight(&req, &g));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),       cmocka_unit_test(test_origins),
        cmocka_unit_test(test_unix_passes), cmocka_unit_test(test_cors_fields),
        cmocka_unit_test(test_preflight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
