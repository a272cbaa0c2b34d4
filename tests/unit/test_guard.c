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
    const char *headers;
    char allowed[1100];
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
    return span_str(strcasecmp(name, "Access-Control-Request-Headers") == 0 ? req->headers : req->asks);
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
    (void)content_type, (void)body;
    req->status = status;
    for (; fields->name; fields++)
        if (strcmp(fields->name, "Access-Control-Allow-Headers") == 0)
            snprintf(req->allowed, sizeof(req->allowed), "%s", fields->value);
}

static const char *const addresses[] = {"127.0.0.2:8080", "[::1]:9000", NULL};
static const char *const certified[] = {"weir.example", "*.wild.example", NULL};

static bool passes(const char *cors, const char *host, const char *origin, const char *site)
{
    const struct guard g = {.addresses = addresses, .names = certified, .host = "box.lan", .cors = cors};
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
                          "127.0.0.2", "box.lan",      "Box.Lan:80",
                          "Weir.Example:443", "a.wild.example"};
    const char *bad[] = {"evil.example", "localhost.evil.example", "127.0.0.3",   "",
                         "[::2]",        "127.0.0.1.nip.io:8080",  "box.lan.evil",
                         "a.b.wild.example", ".wild.example", "wild.example", "10.0.0.1"};
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
    assert_true(passes(NULL, host, "https://localhost:8080", NULL));
    assert_false(passes(NULL, host, "ftp://localhost:8080", NULL));
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
    struct guard g = {0};
    struct http_req req = {.via = HTTP_VIA_UNIX, .host = "x", .origin = "http://evil.example"};
    const char *why = NULL;
    assert_int_equal(guard_check(&req, &g, &why), 0);
}

static void test_cors_fields(void **state)
{
    (void)state;
    struct guard g = {.cors = "http://app.example"};
    struct http_req req = {
        .via = HTTP_VIA_TCP, .host = "localhost", .origin = "http://app.example"};
    const char *why = NULL;
    assert_int_equal(guard_check(&req, &g, &why), 0);
    assert_non_null(strstr(req.fields, "Access-Control-Allow-Origin: http://app.example\n"));
    assert_non_null(strstr(req.fields, "Vary: Origin\n"));
    g.cors = "*";
    req.fields[0] = '\0';
    assert_int_equal(guard_check(&req, &g, &why), 0);
    assert_non_null(strstr(req.fields, "Access-Control-Allow-Origin: http://app.example\n"));
    assert_non_null(strstr(req.fields, "Access-Control-Allow-Credentials: true\n"));
    assert_non_null(strstr(req.fields, "Vary: Origin\n"));
}

/* Where we listen on every address any number is ours, but no foreign name. */
static void test_every_address(void **state)
{
    (void)state;
    static const char *const every[] = {"0.0.0.0:80", NULL};
    const char *good[] = {"10.0.0.1", "192.168.1.5:8080", "[fe80::1]:80", "[::2]"};
    const char *bad[] = {"evil.example", "10.0.0.1.evil.example", "10.0.0", "[evil]", "0x7f.1", ""};
    const struct guard g = {.addresses = every};
    const char *why = NULL;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(guard_check(&(struct http_req){.via = HTTP_VIA_TCP, .host = good[i]}, &g, &why), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(guard_check(&(struct http_req){.via = HTTP_VIA_TCP, .host = bad[i]}, &g, &why), ERR_FORBIDDEN);
}

static void test_preflight(void **state)
{
    (void)state;
    struct guard g = {.cors = "*"};
    struct http_req req = {.via = HTTP_VIA_TCP,
                           .method = HTTP_OPTIONS,
                           .host = "localhost",
                           .origin = "http://app.example",
                           .asks = "POST"};
    assert_true(guard_preflight(&req, &g));
    assert_int_equal(req.status, 200);
    assert_non_null(strstr(req.allowed, "Authorization"));
    req.headers = "authorization,s2-basin, x-more";
    assert_true(guard_preflight(&req, &g));
    assert_string_equal(req.allowed, "authorization,s2-basin, x-more");
    req.headers = "x\r\nevil: 1";
    assert_true(guard_preflight(&req, &g));
    assert_null(strstr(req.allowed, "evil"));
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
        cmocka_unit_test(test_preflight),   cmocka_unit_test(test_every_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
