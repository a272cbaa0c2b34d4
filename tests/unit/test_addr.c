/*
 * Address forms of the client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/client.h>

static void check_tcp(const char *text, const char *host, const char *port)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;

    if (weir_addr_parse(&addr, text, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(addr.kind, WEIR_TCP);
    assert_string_equal(addr.host, host);
    assert_string_equal(addr.port, port);
    assert_string_equal(addr.shown, text);
    assert_null(addr.basic_auth);
    weir_addr_finish(&addr);
}

static void check_path(const char *text, const char *path)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;

    if (weir_addr_parse(&addr, text, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_int_equal(addr.kind, WEIR_UNIX);
    assert_string_equal(addr.path, path);
    assert_string_equal(addr.shown, text);
    weir_addr_finish(&addr);
}

static void test_hosts(void **state)
{
    (void)state;
    check_tcp(":8080", "127.0.0.1", "8080");
    check_tcp("localhost", "localhost", "80");
    check_tcp("store", "store", "80");
    check_tcp("box-1.example:1", "box-1.example", "1");
    check_tcp("10.0.0.7:65535", "10.0.0.7", "65535");
    check_tcp("[::1]:99", "::1", "99");
    check_tcp("[fe80::1%eth0]", "fe80::1%eth0", "80");
    check_tcp("http://h", "h", "80");
    check_tcp("http://h/", "h", "80");
    check_tcp("HTTP://h:81/", "h", "81");
    check_tcp("http://[::1]:5/", "::1", "5");
    check_tcp("h:0080", "h", "80");
}

static void check_auth(const char *text, const char *auth, const char *shown)
{
    struct weir_addr addr;

    assert_int_equal(weir_addr_parse(&addr, text, NULL), 0);
    assert_string_equal(addr.basic_auth, auth);
    assert_string_equal(addr.shown, shown);
    assert_string_equal(addr.host, "h");
    weir_addr_finish(&addr);
}

static void test_user_info(void **state)
{
    (void)state;
    check_auth("http://me:secret@h:8/", "me:secret", "http://me:***@h:8/");
    check_auth("http://me@h", "me:", "http://me@h");
    check_auth("http://me:@h", "me:", "http://me:***@h");
    check_auth("http://a%40b:p%3aq@h", "a@b:p:q", "http://a%40b:***@h");
}

static void check_token(const char *text, const char *want)
{
    struct weir_addr addr;

    assert_int_equal(weir_addr_parse(&addr, text, NULL), 0);
    if (want)
        assert_string_equal(addr.token, want);
    else
        assert_null(addr.token);
    weir_addr_finish(&addr);
}

static void test_token(void **state)
{
    struct weir_addr addr;

    (void)state;
    check_token(":80", NULL);
    setenv("WEIR_TOKEN", "weir_abc-_", 1);
    check_token(":80", "weir_abc-_");
    check_token("http://h", "weir_abc-_");
    check_token("http://me:x@h", NULL);
    check_token("./store", NULL);
    setenv("WEIR_TOKEN", "a\r\nX: y", 1);
    assert_int_equal(weir_addr_parse(&addr, ":80", NULL), ERR_INVALID);
    setenv("WEIR_TOKEN", "", 1);
    check_token(":80", NULL);
    unsetenv("WEIR_TOKEN");
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ":",
        ":0",
        ":65536",
        ":x",
        "h:",
        "h:-1",
        "h:1:2",
        "::1",
        "a b",
        "a\r\nX: y:80",
        "[::1",
        "[::1]x",
        "[]",
        "http://",
        "http://h/p",
        "http://@",
        "https://h",
        "ftp://h",
        "store/x",
        "~nobody/x",
        "http:///",
        "http://%zz@h",
        "iroh://abc",
        "h:+1",
        "http://u:p@",
        "h:99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct weir_addr addr = {.port = "kept"};
        struct err err = ERR_INIT;
        if (weir_addr_parse(&addr, bad[i], &err) != ERR_INVALID)
            fail_msg("\"%s\" was not refused", bad[i]);
        assert_true(err.text[0] != '\0');
        assert_string_equal(addr.port, "kept");
    }
}

static void test_https_message(void **state)
{
    struct weir_addr addr;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(weir_addr_parse(&addr, "https://me:secret@h", &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "weir s2"));
    assert_null(strstr(err.text, "secret"));
}

static void test_paths(void **state)
{
    char dir[] = "/tmp/weir-addr-XXXXXX";
    char text[64], want[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(want, sizeof(want), "%s/sock", dir);
    check_path(dir, want);
    snprintf(text, sizeof(text), "%s//", dir);
    check_path(text, want);
    check_path(want, want);
    check_path("./no-such-thing", "./no-such-thing");
    check_path("/", "/sock");
    check_path(".", "./sock");
    assert_int_equal(setenv("HOME", dir, 1), 0);
    check_path("~", want);
    snprintf(want, sizeof(want), "%s/s", dir);
    check_path("~/s", want);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),   cmocka_unit_test(test_user_info),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_https_message),
        cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
