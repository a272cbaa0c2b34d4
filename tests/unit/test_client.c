/*
 * libweir's calls of the log against a real socket server: what they send and what they make of
 * answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/unit/client_calls.h"

/* --- append ----------------------------------------------------------------------------------- */

static void test_append(void **state)
{
    static const struct step steps[] = {{READ_REQUEST, 0}, {SEND, OK_FRAME}, {STOP, 0}};
    struct weir_append a = {.topic = "a/b c",
                            .meta = "{\"key\":\"value\"}",
                            .ttl = "last:3",
                            .with_timestamp = true,
                            .content = span_str("hello"),
                            .expect_seq = "7",
                            .key = "k&1"};
    struct server s;
    struct weir *w;
    struct err err = ERR_INIT;
    char *json;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_append(w, &a, &json, &err), 0);
    assert_string_equal(json, FRAME);
    free(json);
    weir_close(w);
    server_join(&s);
    assert_string_equal(
        seen(&s),
        "POST /append/a%2Fb%20c?ttl=last:3&expect-seq=7&key=k%261&with-timestamp=true HTTP/1.1\r\n"
        "Host: localhost\r\nxs-meta: eyJrZXkiOiJ2YWx1ZSJ9\r\nContent-Length: 5\r\n\r\nhello");
    server_finish(&s);
}

static void test_append_without_topic(void **state)
{
    struct server s = {.addr = "/nowhere"};
    struct weir *w = dial(&s);
    struct weir_append a = {.topic = ""};
    char *json;

    (void)state;
    assert_int_equal(weir_append(w, &a, &json, NULL), ERR_INVALID);
    weir_close(w);
}

/* Small content from a callback is one request with a length; large content is streamed, all of it.
 */
static void check_streamed(size_t size, const char *framing)
{
    static const struct step steps[] = {{READ_REQUEST, 0}, {SEND, OK_FRAME}, {STOP, 0}};
    struct supply supply = {.left = size};
    struct weir_append a = {.topic = "t", .read = supply_read, .read_arg = &supply};
    struct server s;
    struct weir *w;
    char *json;
    size_t count = 0;

    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_append(w, &a, &json, NULL), 0);
    free(json);
    weir_close(w);
    server_join(&s);
    assert_non_null(strstr(seen(&s), framing));
    for (const char *p = strstr(seen(&s), "\r\n\r\n"); *p; p++)
        count += *p == 'x';
    assert_int_equal(count, size);
    server_finish(&s);
}

static void test_append_streamed(void **state)
{
    (void)state;
    check_streamed(0, "\r\nContent-Length: 0\r\n");
    check_streamed(3, "\r\nContent-Length: 3\r\n");
    check_streamed(3 * 1000 * 1000, "\r\nTransfer-Encoding: chunked\r\n");
}

/* JSON text of about `size` bytes with a line end in it. */
static char *large_meta(size_t size)
{
    char *meta = malloc(size + 16);

    assert_non_null(meta);
    snprintf(meta, 16, "{\n\"m\":\"");
    memset(meta + 7, 'm', size);
    memcpy(meta + 7 + size, "\"}", 3);
    return meta;
}

static void test_append_large_meta(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0},
        {SEND, "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n" FRAME "\n"},
        {STOP, 0},
    };
    char *meta = large_meta(20000);
    struct weir_append a = {
        .topic = "t", .meta = meta, .ttl = "forever", .content = span_str("hi"), .expect_last = ID};
    struct server s;
    struct weir *w;
    char *json;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_append(w, &a, &json, NULL), 0);
    assert_string_equal(json, FRAME);
    free(json);
    weir_close(w);
    server_join(&s);
    assert_non_null(strstr(seen(&s), "POST /append?expect-last=" ID " HTTP/1.1\r\n"));
    assert_non_null(
        strstr(seen(&s), "\r\n\r\n{\"topic\":\"t\",\"ttl\":\"forever\",\"meta\":{\"m\":\"mmm"));
    assert_non_null(strstr(seen(&s), "mmm\"},\"content_base64\":\"aGk=\"}\n"));
    free(meta);
    server_finish(&s);
}

static void test_append_large_meta_and_content(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n" HASH},
        {READ_REQUEST, 0}, {SEND, OK_FRAME},
        {STOP, 0},
    };
    char *meta = large_meta(20000);
    struct supply supply = {.left = 3 * 1000 * 1000};
    struct weir_append a = {.topic = "t", .meta = meta, .read = supply_read, .read_arg = &supply};
    struct server s;
    struct weir *w;
    char *json;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_append(w, &a, &json, NULL), 0);
    free(json);
    free(meta);
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.accepts, 1);
    assert_int_equal(supply.given, 3 * 1000 * 1000);
    assert_int_equal(strncmp(seen(&s), "POST /cas HTTP/1.1\r\n", 20), 0);
    assert_non_null(strstr(seen(&s), "\"},\"hash\":\"" HASH "\"}\n"));
    server_finish(&s);
}

/* --- lines, errors, small calls --------------------------------------------------------------- */

struct lines {
    struct buf all;
    int count;
    int stop_at;
};

static int take_line(void *arg, struct span text)
{
    struct lines *l = arg;

    buf_addf(&l->all, "[%.*s]", SPAN_ARG(text));
    return ++l->count == l->stop_at ? 77 : 0;
}

static int read_lines(int stop_at, const char *want)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0},
        {SEND_BYTES,
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: "
         "chunked\r\n\r\n3\r\none\r\n5\r\n\ntwo\n\r\n1\r\n\n\r\n5\r\nthree\r\n0\r\n\r\n"},
        {STOP, 0},
    };
    struct lines lines = {.stop_at = stop_at};
    struct server s;
    struct weir *w;
    int rc;

    server_start(&s, steps);
    w = dial(&s);
    rc = weir_each_line(w, "/?limit=3", take_line, &lines, NULL);
    assert_string_equal(buf_cstr(&lines.all), want);
    buf_finish(&lines.all);
    end(&s, w);
    return rc;
}

static void test_lines(void **state)
{
    (void)state;
    assert_int_equal(read_lines(0, "[one][two][three]"), 0);
    assert_int_equal(read_lines(2, "[one][two]"), 77);
}

static void check_error(const char *answer, int code, const char *text)
{
    const struct step steps[] = {{READ_REQUEST, 0}, {SEND, answer}, {STOP, 0}};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;

    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    assert_int_equal(weir_check(w, &res, &err), code);
    if (!strstr(err.text, text))
        fail_msg("\"%s\" is not in \"%s\"", text, err.text);
    assert_null(strchr(err.text, '\033'));
    assert_null(strchr(err.text, '\n'));
    end(&s, w);
}

static void test_errors(void **state)
{
    (void)state;
    check_error("HTTP/1.1 400 Bad\r\n\r\n{\"error\":\"invalid\",\"message\":\"no \\u00e4 "
                "\\u001b[31m\\nx\"}\n",
                ERR_INVALID, "no \xc3\xa4 ");
    check_error("HTTP/1.1 400 Bad\r\n\r\nplain words\nmore", ERR_INVALID, "plain words");
    check_error("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", ERR_NOT_FOUND, "not found");
    check_error("HTTP/1.1 412 X\r\n\r\n{\"message\":\"next seq is 3\",\"next_seq\":3}",
                ERR_CONDITION, "next seq is 3");
    check_error("HTTP/1.1 409 X\r\n\r\n{}", ERR_CONFLICT, "409");
    check_error("HTTP/1.1 500 X\r\n\r\n{\"error\":\"damaged\",\"message\":\"frame x\"}",
                ERR_DAMAGED, "frame x");
    check_error("HTTP/1.1 500 X\r\n\r\n{\"error\":\"internal\",\"message\":\"y\"}", ERR_REMOTE,
                "y");
    check_error("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", ERR_REMOTE, "302");
    check_error("HTTP/1.1 507 X\r\nContent-Length: 10\r\n\r\ncut", ERR_FULL, "507");
}

static void test_small_calls(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, OK_FRAME},
        {READ_REQUEST, 0}, {SEND, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"},
        {READ_REQUEST, 0}, {SEND, "HTTP/1.1 204 No Content\r\n\r\n"},
        {READ_REQUEST, 0}, {SEND, "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n" HASH},
        {READ_REQUEST, 0}, {SEND, OK2},
        {STOP, 0},
    };
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;
    char hash[52];
    char *json;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_get(w, "", &json, &err), ERR_INVALID);
    assert_int_equal(weir_remove(w, "../x", &err), ERR_INVALID);
    assert_int_equal(weir_get(w, ID, &json, &err), 0);
    assert_string_equal(json, FRAME);
    free(json);
    assert_int_equal(weir_get(w, ID, &json, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, ID));
    assert_int_equal(weir_remove(w, ID, &err), 0);
    assert_int_equal(weir_cas_post(w, span_str("x"), hash, &err), 0);
    assert_string_equal(hash, HASH);
    assert_int_equal(weir_cas_post(w, span_str("x"), hash, &err), -EPROTO);
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.accepts, 1);
    assert_non_null(strstr(seen(&s), "DELETE /" ID " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    server_finish(&s);
}

static void test_injection(void **state)
{
    struct server s = {.addr = "/nowhere"};
    struct weir *w = dial(&s);
    struct weir_header header = {"a", "b\r\nc: d"};
    struct weir_request req = {
        .method = "GET", .target = "/", .headers = &header, .header_count = 1};
    struct weir_response res;

    (void)state;
    assert_int_equal(weir_request(w, &req, &res, NULL), ERR_INVALID);
    assert_int_equal(get(w, "/a b", &res, NULL), ERR_INVALID);
    assert_int_equal(get(w, "/a\r\n", &res, NULL), ERR_INVALID);
    assert_int_equal(get(w, "a", &res, NULL), ERR_INVALID);
    weir_close(w);
}

/* --- addresses -------------------------------------------------------------------------------- */

static void test_tcp(void **state)
{
    static const struct step steps[] = {{READ_REQUEST, 0}, {SEND, OK2}, {STOP, 0}};
    struct weir_response res;
    struct server s;
    struct weir *w;
    char port[16], want[128];

    (void)state;
    server_start_tcp(&s, steps);
    snprintf(port, sizeof(port), "%.15s", s.addr);
    snprintf(s.addr, sizeof(s.addr), "http://me:pw@127.0.0.1%s/", port);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    weir_close(w);
    server_join(&s);
    snprintf(want, sizeof(want),
             "GET / HTTP/1.1\r\nHost: 127.0.0.1%s\r\nAuthorization: Basic bWU6cHc=\r\n\r\n", port);
    assert_string_equal(seen(&s), want);
    server_finish(&s);
}

static void check_nobody(const char *address, int code)
{
    struct server s = {0};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct weir *w;

    snprintf(s.addr, sizeof(s.addr), "%s", address);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, &err), code);
    if (!strstr(err.text, address) || !strstr(err.text, "weir serve"))
        fail_msg("%s", err.text);
    weir_close(w);
}

static void test_nobody(void **state)
{
    static const struct step none[] = {{STOP, 0}};
    struct server s;
    char dir[256];

    (void)state;
    check_nobody("./no-store-here", -ENOENT);
    snprintf(dir, sizeof(dir), "/tmp/%0150d/x", 7);
    check_nobody(dir, -ENOENT);
    server_start(&s, none);
    server_join(&s); /* leaves the socket's file behind */
    check_nobody(s.addr, -ECONNREFUSED);
    check_nobody(s.dir, -ECONNREFUSED);
    server_finish(&s);
    server_start_tcp(&s, none);
    server_join(&s);
    check_nobody(s.addr, -ECONNREFUSED);
    server_finish(&s);
}

static void test_long_path(void **state)
{
    static const struct step steps[] = {{READ_REQUEST, 0}, {SEND, OK2}, {STOP, 0}};
    struct weir_response res;
    struct server s;
    struct weir *w;
    char dir[400], sock[410];

    (void)state;
    server_start(&s, steps);
    snprintf(dir, sizeof(dir), "%s/%0120d", s.dir, 1);
    snprintf(sock, sizeof(sock), "%s/sock", dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(rename(s.addr, sock), 0);
    snprintf(s.addr, sizeof(s.addr), "%s", dir);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    weir_close(w);
    server_join(&s);
    unlink(sock);
    rmdir(dir);
    server_finish(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_append_without_topic),
        cmocka_unit_test(test_append_streamed),
        cmocka_unit_test(test_append_large_meta),
        cmocka_unit_test(test_append_large_meta_and_content),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_small_calls),
        cmocka_unit_test(test_injection),
        cmocka_unit_test(test_tcp),
        cmocka_unit_test(test_nobody),
        cmocka_unit_test(test_long_path),
    };

    /* A client that waits for ever is a failure, not a hung build. */
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
