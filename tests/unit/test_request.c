/*
 * Requests of libweir against a real socket server that answers in pieces, early, half, or not at
 * all.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/client_calls.h"

/* --- answers in pieces, cut, left unread ------------------------------------------------------ */

static void test_bytewise_answer(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0},
        {SEND_BYTES, "HTTP/1.1 200 OK\r\nweir-repeat: 1\r\nTransfer-Encoding: "
                     "chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"},
        {READ_REQUEST, 0},
        {SEND_BYTES, OK2},
        {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    assert_int_equal(res.status, 200);
    assert_false(res.has_length);
    assert_string_equal(res.content_type, "");
    assert_string_equal(weir_response_header(w, "Weir-Repeat"), "1");
    check_ok2(w);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    assert_true(res.has_length);
    check_ok2(w);
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.accepts, 1);
    server_finish(&s);
}

/* Trailers are there when the body is at its end, not before, and go with the next request. */
static void test_trailers(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0},
        {SEND, "HTTP/1.1 200 OK\r\nTrailer: Weir-Exit\r\nTransfer-Encoding: chunked\r\n\r\n"
               "2\r\nok\r\n0\r\nWeir-Exit: 3\r\nWeir-Error: no\r\n\r\n"},
        {READ_REQUEST, 0},
        {SEND_BYTES, OK2},
        {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;
    char byte;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_null(weir_response_trailer(w, "Weir-Exit"));
    assert_int_equal(get(w, "/", &res, NULL), 0);
    assert_null(weir_response_trailer(w, "Weir-Exit"));
    assert_int_equal(weir_read(w, &byte, 1, NULL), 1);
    assert_null(weir_response_trailer(w, "Weir-Exit"));
    assert_int_equal(weir_read(w, &byte, 1, NULL), 1);
    assert_int_equal(weir_read(w, &byte, 1, NULL), 0);
    assert_string_equal(weir_response_trailer(w, "weir-exit"), "3");
    assert_string_equal(weir_response_trailer(w, "Weir-Error"), "no");
    assert_null(weir_response_header(w, "Weir-Exit"));
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    assert_null(weir_response_trailer(w, "Weir-Exit"));
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.accepts, 1); /* the connection stayed */
    server_finish(&s);
}

static void check_cut(const char *answer, size_t before)
{
    const struct step steps[] = {{READ_REQUEST, 0}, {SEND, answer}, {STOP, 0}};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;
    char bytes[64];
    size_t got = 0;
    long n;

    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, &err), 0);
    while ((n = weir_read(w, bytes, sizeof(bytes), &err)) > 0)
        got += (size_t)n;
    assert_int_equal(n, ERR_CUT);
    assert_int_equal(err.code, ERR_CUT);
    assert_non_null(strstr(err.text, s.addr));
    assert_int_equal(got, before);
    /* A cut never turns into a proper end. */
    assert_int_equal(weir_read(w, bytes, sizeof(bytes), &err), ERR_CUT);
    end(&s, w);
}

static void test_cut_answer(void **state)
{
    (void)state;
    check_cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", 5);
    check_cut("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", 0);
    check_cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", 5);
    check_cut("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", 3);
}

static void test_no_answer(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {HANG_UP, 0}, {READ_REQUEST, 0}, {HANG_UP, 0}, {STOP, 0}};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;
    char byte;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, &err), ERR_CUT);
    assert_true(weir_read(w, &byte, 1, NULL) < 0);
    assert_int_equal(post(w, "/append/t", span_str("x"), &res, &err), ERR_UNKNOWN);
    end(&s, w);
}

static void test_not_http(void **state)
{
    static const struct step steps[] = {{READ_REQUEST, 0}, {SEND, "220 mail ESMTP\r\n"}, {STOP, 0}};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, &err), -EPROTO);
    assert_non_null(strstr(err.text, s.addr));
    end(&s, w);
}

static void test_unread_rest(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello"},
        {DRAIN, 0},        {HANG_UP, 0},
        {READ_REQUEST, 0}, {SEND, OK2},
        {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.accepts, 2);
    server_finish(&s);
}

static void test_ready(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0},
        {SEND, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n2\r\nab\r\n"},
        {READ_HEAD, 0}, /* until the client closes */
        {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;
    char bytes[16];
    size_t got = 0;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_true(weir_ready(w));
    assert_int_equal(get(w, "/", &res, NULL), 0);
    while (got < 7) {
        long n = weir_read(w, bytes, 1, NULL);
        assert_int_equal(n, 1);
        got++;
    }
    /* All data is taken and the stream is open: only now would a read wait. */
    assert_false(weir_ready(w));
    assert_true(weir_fd(w) >= 0);
    end(&s, w);
}

/* --- early answers ---------------------------------------------------------------------------- */

#define TOO_LARGE                                                                                  \
    "HTTP/1.1 413 Too Large\r\nContent-Type: application/json\r\nContent-Length: 44\r\n\r\n"       \
    "{\"error\":\"too_large\",\"message\":\"over 4 KB\"}\n "

static void check_early(const struct step *steps, bool streamed)
{
    struct supply supply = {.left = SIZE_MAX};
    struct weir_request req = {.method = "POST", .target = "/cas", .has_body = true};
    size_t size = 32 * 1024 * 1024;
    char *bytes = calloc(1, size);
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;

    assert_non_null(bytes);
    req.body = span_of(bytes, size);
    if (streamed) {
        req.read = supply_read;
        req.read_arg = &supply;
    }
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_request(w, &req, &res, &err), 0);
    assert_int_equal(res.status, 413);
    assert_int_equal(weir_check(w, &res, &err), ERR_TOO_LARGE);
    assert_string_equal(err.text, "over 4 KB");
    /* Half a request was sent: the connection must not be used again. */
    assert_int_equal(weir_fd(w), -1);
    end(&s, w);
    free(bytes);
}

static void test_early_answer(void **state)
{
    static const struct step stays[] = {{READ_HEAD, 0}, {SEND, TOO_LARGE}, {DRAIN, 0}, {STOP, 0}};
    static const struct step interim[] = {{READ_HEAD, 0},
                                          {SEND, "HTTP/1.1 103 Hints\r\n\r\n"},
                                          {SEND_BYTES, TOO_LARGE},
                                          {DRAIN, 0},
                                          {STOP, 0}};
    static const struct step leaves[] = {
        {READ_HEAD, 0}, {SEND, TOO_LARGE}, {HANG_UP, 0}, {STOP, 0}};

    (void)state;
    check_early(stays, false);
    check_early(stays, true);
    check_early(interim, false);
    check_early(interim, true);
    check_early(leaves, false);
    check_early(leaves, true);
}

static void test_hangup_in_upload(void **state)
{
    static const struct step steps[] = {{READ_HEAD, 0}, {HANG_UP, 0}, {STOP, 0}};
    struct supply supply = {.left = SIZE_MAX};
    struct weir_request req = {
        .method = "POST", .target = "/cas", .read = supply_read, .read_arg = &supply};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_request(w, &req, &res, &err), ERR_CUT);
    assert_int_equal(weir_fd(w), -1);
    end(&s, w);
}

static void test_failing_source(void **state)
{
    static const struct step steps[] = {{READ_REQUEST, 0}, {STOP, 0}};
    struct supply supply = {.left = 100, .fail = -EIO};
    struct weir_request req = {
        .method = "POST", .target = "/cas", .read = supply_read, .read_arg = &supply};
    struct weir_response res;
    struct err err = ERR_INIT;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(weir_request(w, &req, &res, &err), -EIO);
    weir_close(w);
    server_join(&s);
    /* The server must not take what came for the whole. */
    assert_null(strstr(seen(&s), "\r\n0\r\n"));
    server_finish(&s);
}

/* --- kept connections ------------------------------------------------------------------------- */

static void test_replay(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, OK2}, {HANG_UP, 0}, {READ_REQUEST, 0}, {SEND, OK2}, {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(get(w, "/", &res, NULL), 0);
        check_ok2(w);
    }
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.accepts, 2);
    server_finish(&s);
}

static void test_replay_after_taking(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, OK2},  {READ_REQUEST, 0}, {HANG_UP, 0},
        {READ_REQUEST, 0}, {HANG_UP, 0}, {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    /* Replayed once, and not a third time. */
    assert_int_equal(get(w, "/", &res, NULL), ERR_CUT);
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.requests, 3);
    server_finish(&s);
}

static void test_no_replay(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, OK2}, {READ_REQUEST, 0}, {HANG_UP, 0}, {STOP, 0}};
    struct weir_response res;
    struct server s;
    struct weir *w;

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    assert_int_equal(post(w, "/append/t", span_str("x"), &res, NULL), ERR_UNKNOWN);
    weir_close(w);
    server_join(&s);
    assert_int_equal(s.requests, 2);
    assert_int_equal(s.accepts, 1);
    server_finish(&s);
}

static void test_reopen_for_append(void **state)
{
    static const struct step steps[] = {
        {READ_REQUEST, 0}, {SEND, OK2}, {HANG_UP, 0}, {READ_REQUEST, 0}, {SEND, OK2}, {STOP, 0},
    };
    struct weir_response res;
    struct server s;
    struct weir *w;
    struct pollfd p = {.events = POLLIN};

    (void)state;
    server_start(&s, steps);
    w = dial(&s);
    assert_int_equal(get(w, "/", &res, NULL), 0);
    check_ok2(w);
    p.fd = weir_fd(w);
    assert_int_equal(poll(&p, 1, 10000), 1);
    assert_int_equal(post(w, "/append/t", span_str("x"), &res, NULL), 0);
    check_ok2(w);
    end(&s, w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytewise_answer),     cmocka_unit_test(test_cut_answer),
        cmocka_unit_test(test_trailers),
        cmocka_unit_test(test_no_answer),           cmocka_unit_test(test_not_http),
        cmocka_unit_test(test_unread_rest),         cmocka_unit_test(test_ready),
        cmocka_unit_test(test_early_answer),        cmocka_unit_test(test_hangup_in_upload),
        cmocka_unit_test(test_failing_source),      cmocka_unit_test(test_replay),
        cmocka_unit_test(test_replay_after_taking), cmocka_unit_test(test_no_replay),
        cmocka_unit_test(test_reopen_for_append),
    };

    /* A client that waits for ever is a failure, not a hung build. */
    alarm(120);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
