/*
 * Stream URLs: protocol, nodes, keys; paths of files; parts of Redis nodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <string.h>

#include "bridge/url.h"

struct url_case {
    const char *text;
    enum ss_protocol protocol;
    const char *nodes[4];
    const char *keys[4];
};

static const struct url_case good[] = {
    {"stdio:///a,b", SS_STDIO, {"."}, {"a", "b"}},
    {"stdio:///", SS_STDIO, {"."}, {NULL}},
    {"STDIO:///A", SS_STDIO, {"."}, {"A"}},
    {"stdio://,,/a", SS_STDIO, {"."}, {"a"}},
    {"redis://localhost/a,b", SS_REDIS, {"localhost"}, {"a", "b"}},
    {"rediss://u:p@h:1/2/k", SS_REDISS, {"u:p@h:1/2"}, {"k"}},
    {"kafka://a:1,b:2/k", SS_KAFKA, {"a:1", "b:2"}, {"k"}},
    {"kafka://,a:1,,b:2,/,k,,l,", SS_KAFKA, {"a:1", "b:2"}, {"k", "l"}},
    {"iggy://h/k", SS_IGGY, {"h"}, {"k"}},
    {"file://./dir/x.ss/k", SS_FILE, {"./dir/x.ss"}, {"k"}},
    {"file://x.ss/k", SS_FILE, {"x.ss"}, {"k"}},
    {"file:///data/x.ss/", SS_FILE, {"/data/x.ss"}, {NULL}},
    {"file:///data/x.ss/a,,b", SS_FILE, {"/data/x.ss"}, {"a", "b"}},
    {"file://Clock.SS/k", SS_FILE, {"Clock.SS"}, {"k"}},
    {"weir:///var/store/a topic", SS_WEIR, {"/var/store"}, {"a topic"}},
    {"s2://basin/x:y", SS_S2, {"basin"}, {"x:y"}},
    {"foo://h/k", SS_OTHER, {"h"}, {"k"}},
    {"a+b-c.9://h/k", SS_OTHER, {"h"}, {"k"}},
};

static void check_list(const char *text, const char *const *expected, char **list, size_t count)
{
    size_t n = 0;
    while (n < 4 && expected[n])
        n++;
    if (count != n)
        fail_msg("%s: %zu, not %zu", text, count, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(list[i], expected[i]);
}

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct ss_url url;
        struct err err = ERR_INIT;
        if (ss_url_parse(&url, good[i].text, &err) != 0)
            fail_msg("%s: %s", good[i].text, err.text);
        assert_int_equal(url.protocol, good[i].protocol);
        check_list(good[i].text, good[i].nodes, url.nodes, url.node_count);
        check_list(good[i].text, good[i].keys, url.keys, url.key_count);
        ss_url_finish(&url);
        assert_null(url.nodes);
        ss_url_finish(&url);
    }
}

static void check_bad(const char *text, const char *reason)
{
    struct ss_url url;
    struct err err = ERR_INIT;
    if (ss_url_parse(&url, text, &err) != ERR_INVALID)
        fail_msg("accepted: %s", text);
    if (!strstr(err.text, reason))
        fail_msg("%s: %s", text, err.text);
    assert_null(strstr(err.text, "secret"));
}

static void test_bad(void **state)
{
    (void)state;
    check_bad("stdio://", "ending slash");
    check_bad("redis://localhost", "ending slash");
    check_bad("redis://u:secret@localhost", "ending slash");
    check_bad("", "ending slash");
    check_bad("k", "ending slash");
    check_bad("/k", "protocol required");
    check_bad("localhost/k", "protocol required");
    check_bad(":///k", "protocol required");
    check_bad("1a://h/k", "protocol required");
    check_bad("a b://h/k", "protocol required");
    check_bad("redis://h/k?x=1", "stream key");
    check_bad("redis://h/a,b c", "stream key");
    check_bad("redis://u:x/secret word@h", "stream key");
    check_bad("foo://h/k\xc3\xa9", "stream key");
}

static void test_scheme(void **state)
{
    (void)state;
    struct ss_url url;
    assert_int_equal(ss_url_parse(&url, "FoO://h/k", NULL), 0);
    assert_string_equal(url.scheme, "foo");
    ss_url_finish(&url);
}

/* --- files ------------------------------------------------------------------------------------ */

static void check_path(const char *text, const char *expected)
{
    struct ss_url url;
    struct err err = ERR_INIT;
    char *path = NULL;
    assert_int_equal(ss_url_parse(&url, text, &err), 0);
    int rc = ss_url_path(&url, &path, &err);
    if (rc != (expected ? 0 : ERR_INVALID))
        fail_msg("%s: %d %s", text, rc, err.text);
    if (expected)
        assert_string_equal(path, expected);
    free(path);
    ss_url_finish(&url);
}

static void test_path(void **state)
{
    (void)state;
    check_path("file://Clock.SS/k", "Clock.SS");
    check_path("file:///data/a b.ss/k", "/data/a b.ss");
    check_path("file:///data/a%20b%2Cc%25.ss/k", "/data/a b,c%.ss");
    check_path("file:///data/x.ss//k", "/data/x.ss");
    check_path("file://../x/../y.ss/k", "../x/../y.ss");
    check_path("file://first.ss,second.ss/k", "first.ss");
    check_path("file:///a%2/k", NULL);
    check_path("file:///a%00b/k", NULL);
    check_path("file:///k", NULL);
    check_path("file:////k", NULL);
}

/* --- Redis ------------------------------------------------------------------------------------ */

struct redis_case {
    const char *text;
    const char *user, *password, *host, *port;
    unsigned db;
};

static const struct redis_case redis[] = {
    {"redis://localhost/k", NULL, NULL, "localhost", "6379", 0},
    {"redis://h:7000/k", NULL, NULL, "h", "7000", 0},
    {"redis://h:/k", NULL, NULL, "h", "6379", 0},
    {"redis://h:65535/15/k", NULL, NULL, "h", "65535", 15},
    {"redis://h/0/k", NULL, NULL, "h", "6379", 0},
    {"redis://h//k", NULL, NULL, "h", "6379", 0},
    {"redis://:secret@h/k", NULL, "secret", "h", "6379", 0},
    {"redis://u@h/k", "u", NULL, "h", "6379", 0},
    {"redis://u:@h/k", "u", "", "h", "6379", 0},
    {"redis://u%40x:p%2F%3A%2C%25@h:1/k", "u@x", "p/:,%", "h", "1", 0},
    {"redis://u:p@q:r@h/k", "u", "p@q:r", "h", "6379", 0},
    {"redis://[::1]/k", NULL, NULL, "::1", "6379", 0},
    {"redis://[fe80::1]:7/3/k", NULL, NULL, "fe80::1", "7", 3},
};

static void check_text(const char *got, const char *expected)
{
    if (!expected)
        assert_null(got);
    else
        assert_string_equal(got, expected);
}

static void test_redis(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(redis) / sizeof(redis[0]); i++) {
        struct ss_url url;
        struct ss_redis_node node;
        struct err err = ERR_INIT;
        assert_int_equal(ss_url_parse(&url, redis[i].text, &err), 0);
        if (ss_url_redis(&url, 0, &node, &err) != 0)
            fail_msg("%s: %s", redis[i].text, err.text);
        check_text(node.user, redis[i].user);
        check_text(node.password, redis[i].password);
        check_text(node.host, redis[i].host);
        check_text(node.port, redis[i].port);
        assert_int_equal(node.db, redis[i].db);
        assert_false(node.tls);
        ss_redis_node_finish(&node);
        ss_url_finish(&url);
    }
}

static void test_redis_tls(void **state)
{
    (void)state;
    struct ss_url url;
    struct ss_redis_node node;
    assert_int_equal(ss_url_parse(&url, "rediss://a,b:2/k", NULL), 0);
    assert_int_equal(ss_url_redis(&url, 1, &node, NULL), 0);
    assert_true(node.tls);
    assert_string_equal(node.host, "b");
    ss_redis_node_finish(&node);
    ss_url_finish(&url);
}

static void test_redis_bad(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "redis:///k", "redis://:1/k", "redis://u:secret@/k", "redis://h:0/k", "redis://h:65536/k", "redis://h:x/k",
        "redis://u:secret@h:x/k", "redis://h/x/k", "redis://h/-1/k", "redis://h/2147483648/k", "redis://[::1/k", "redis://[::1]x/k",
        "redis://::1/k", "redis://[]/k", "redis://u:secret%@h/k", "redis://u%zz:secret@h/k", "redis://:secret%00@h/k",
        "redis://secret@h/1/2/k",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ss_url url;
        struct ss_redis_node node;
        struct err err = ERR_INIT;
        assert_int_equal(ss_url_parse(&url, bad[i], &err), 0);
        if (ss_url_redis(&url, 0, &node, &err) != ERR_INVALID)
            fail_msg("accepted: %s", bad[i]);
        if (strstr(err.text, "secret") || !err.text[0])
            fail_msg("%s: %s", bad[i], err.text);
        ss_url_finish(&url);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),       cmocka_unit_test(test_scheme),    cmocka_unit_test(test_path),
        cmocka_unit_test(test_redis), cmocka_unit_test(test_redis_tls), cmocka_unit_test(test_redis_bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
