/*
 * The HTTP/1.1 answer parser: every answer is fed whole and in every step width, with the same
 * outcome.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "client/answer.h"

/* What came of feeding one text. */
struct outcome {
    int rc; /* 0, or the first error */
    int status;
    bool keep;
    size_t left_over;
    char body[512];
    size_t len;
};

static void take_body(struct outcome *o, struct answer *a, struct span in, size_t *at, size_t room,
                      struct err *err)
{
    size_t used;

    for (;;) {
        long n =
            answer_body(a, span_of(in.ptr + *at, in.len - *at), &used, o->body + o->len, room, err);
        if (n < 0) {
            o->rc = (int)n;
            return;
        }
        o->len += (size_t)n;
        *at += used;
        if (n == 0)
            return;
    }
}

/* Feeds `text` in steps of `step` bytes, takes the body `room` bytes at a time, then ends the
 * connection. */
static struct outcome feed(struct span text, bool head_only, size_t step, size_t room,
                           struct err *err)
{
    struct answer a = {0};
    struct outcome o = {0};
    size_t pos = 0;

    answer_reset(&a, head_only);
    while (o.rc == 0 && pos < text.len && a.part != ANSWER_ENDED) {
        struct span in = span_of(text.ptr + pos, text.len - pos < step ? text.len - pos : step);
        size_t at = 0;
        int rc = answer_head(&a, in, &at, err);
        if (rc < 0)
            o.rc = rc;
        if (rc > 0)
            take_body(&o, &a, in, &at, room, err);
        pos += at;
    }
    if (o.rc == 0)
        o.rc = answer_eof(&a, err);
    o.status = a.status;
    o.keep = a.keep;
    o.left_over = text.len - pos;
    answer_finish(&a);
    return o;
}

static struct outcome feed_all_ways(const char *text, bool head_only)
{
    struct outcome first = feed(span_str(text), head_only, strlen(text), sizeof(first.body), NULL);

    for (size_t step = 1; step <= strlen(text); step++) {
        for (size_t room = 1; room <= 16; room *= 4) {
            struct err err = ERR_INIT;
            struct outcome o = feed(span_str(text), head_only, step, room, &err);
            assert_int_equal(o.rc, first.rc);
            assert_int_equal(err.code, o.rc);
            if (o.rc == 0) {
                assert_int_equal(o.len, first.len);
                assert_memory_equal(o.body, first.body, o.len);
                assert_int_equal(o.keep, first.keep);
                assert_int_equal(o.left_over, first.left_over);
            }
        }
    }
    return first;
}

static void check_body(const char *text, int status, const char *body, bool keep)
{
    struct outcome o = feed_all_ways(text, false);

    if (o.rc != 0)
        fail_msg("refused (%d): %s", o.rc, text);
    assert_int_equal(o.status, status);
    assert_int_equal(o.len, strlen(body));
    assert_memory_equal(o.body, body, o.len);
    assert_int_equal(o.keep, keep);
    assert_int_equal(o.left_over, 0);
}

static void test_framings(void **state)
{
    (void)state;
    check_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello", true);
    check_body("HTTP/1.1 200\r\ncontent-length:5\n\nhello", 200, "hello", true);
    check_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "", true);
    check_body("HTTP/1.1 200 OK\r\n\r\nto the end", 200, "to the end", false);
    check_body("HTTP/1.1 204 No Content\r\n\r\n", 204, "", true);
    check_body("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, "", true);
    check_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
               "chunked\r\n\r\n5\r\nhello\r\n00006;x=\"y\"\r\n world\r\n0\r\n\r\n",
               200, "hello world", true);
    check_body("HTTP/1.1 200 OK\r\ntransfer-encoding:  Chunked \r\n\r\nA\n0123456789\n0\nTrailer: "
               "x\nB: y\n\n",
               200, "0123456789", true);
    check_body(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\nContent-Length: 7\r\n\r\n"
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        200, "ok", true);
}

static void test_keeping(void **state)
{
    (void)state;
    check_body("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 200, "x",
               false);
    check_body("HTTP/1.1 200 OK\r\nConnection: foo, CLOSE\r\nContent-Length: 1\r\n\r\nx", 200, "x",
               false);
    check_body("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, "x", false);
    check_body("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx", 200, "x",
               true);
    check_body("HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: "
               "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
               200, "x", false);
}

static void test_head_request(void **state)
{
    struct outcome o = feed_all_ways("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true);

    (void)state;
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.len, 0);
    assert_true(o.keep);
}

static void test_left_over(void **state)
{
    const char *text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1";
    struct outcome o = feed(span_str(text), false, strlen(text), 16, NULL);

    (void)state;
    assert_int_equal(o.rc, 0);
    assert_int_equal(o.left_over, 8);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "SSH-2.0-OpenSSH\r\n",
        "HTTP/2 200 OK\r\n",
        "HTTP/1.1 20 OK\r\n",
        "HTTP/1.1 2000\r\n",
        "HTTP/1.1 099 x\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n folded: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1 x\r\nab\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA : x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: x\r\n folded: y\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (feed_all_ways(bad[i], false).rc != -EPROTO)
            fail_msg("was not refused: %s", bad[i]);
    }
}

static void test_nul_in_head(void **state)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n";

    (void)state;
    assert_int_equal(feed(span_of(text, sizeof(text) - 1), false, 99, 9, NULL).rc, -EPROTO);
}

static void test_cut_anywhere(void **state)
{
    static const char *const texts[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n",
    };

    (void)state;
    for (size_t t = 0; t < 2; t++) {
        for (size_t len = 0; len < strlen(texts[t]); len++)
            assert_int_equal(feed(span_of(texts[t], len), false, 7, 16, NULL).rc, ERR_CUT);
    }
}

static void test_bounded(void **state)
{
    const char *start = "HTTP/1.1 200 OK\r\n";
    struct answer a = {0};
    struct err err = ERR_INIT;
    size_t used, fed = 0;
    int rc;

    (void)state;
    answer_reset(&a, false);
    assert_int_equal(answer_head(&a, span_str(start), &used, &err), 0);
    do {
        rc = answer_head(&a, span_str("Header-Name: and a value\r\n"), &used, &err);
        fed += used;
    } while (rc == 0 && fed < 10 * ANSWER_HEAD_MAX);
    assert_int_equal(rc, -EPROTO);
    assert_true(fed <= 2 * ANSWER_HEAD_MAX);
    answer_finish(&a);
}

static void test_fields(void **state)
{
    const char *text =
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain \r\nweir-Repeat:1\r\nEmpty:\r\n\r\n";
    struct answer a = {0};
    size_t used;

    (void)state;
    answer_reset(&a, false);
    assert_null(answer_field(&a, "content-type"));
    assert_int_equal(answer_head(&a, span_str(text), &used, NULL), 1);
    assert_int_equal(used, strlen(text));
    assert_string_equal(answer_field(&a, "CONTENT-TYPE"), "text/plain");
    assert_string_equal(answer_field(&a, "weir-repeat"), "1");
    assert_string_equal(answer_field(&a, "empty"), "");
    assert_null(answer_field(&a, "text/plain"));
    answer_reset(&a, false);
    assert_null(answer_field(&a, "content-type"));
    answer_finish(&a);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nWeir-Exit: 9\r\nTransfer-Encoding: chunked\r\n\r\n"

/* Takes a whole text in steps of `step` bytes; the trailers must not be there before the end. */
static void feed_trailers(struct answer *a, const char *text, size_t step)
{
    char body[64];
    size_t used, len = strlen(text);

    answer_reset(a, false);
    for (size_t pos = 0; pos < len; pos += step) {
        struct span in = span_of(text + pos, len - pos < step ? len - pos : step);
        size_t at = 0;
        assert_null(answer_trailer(a, "weir-exit"));
        if (answer_head(a, in, &at, NULL) == 0)
            continue;
        assert_true(answer_body(a, span_of(in.ptr + at, in.len - at), &used, body, 64, NULL) >= 0);
    }
    assert_int_equal(a->part, ANSWER_ENDED);
}

static void test_trailers(void **state)
{
    const char *text = CHUNKED "5\r\nhello\r\n0\r\nWeir-Exit: 3 \r\nWEIR-ERROR:no: such file\r\n"
                               "Content-Length: 77\r\nConnection: close\r\nEmpty:\r\n\r\n";
    struct answer a = {0};

    (void)state;
    for (size_t step = 1; step <= strlen(text); step++) {
        feed_trailers(&a, text, step);
        assert_string_equal(answer_trailer(&a, "weir-exit"), "3");
        assert_string_equal(answer_trailer(&a, "Weir-Error"), "no: such file");
        assert_string_equal(answer_trailer(&a, "empty"), "");
        assert_null(answer_trailer(&a, "transfer-encoding"));
        assert_string_equal(answer_field(&a, "weir-exit"), "9"); /* they do not mix */
        assert_null(answer_field(&a, "weir-error"));
        assert_false(a.has_length); /* nor change the framing */
        assert_true(a.keep);
    }
    feed_trailers(&a, CHUNKED "0\r\n\r\n", 3);
    assert_null(answer_trailer(&a, "weir-exit")); /* of the answer before */
    answer_finish(&a);
}

static void test_trailers_bounded(void **state)
{
    struct answer a = {0};
    struct err err = ERR_INIT;
    size_t used, fed = 0;
    long n;

    (void)state;
    answer_reset(&a, false);
    assert_int_equal(answer_head(&a, span_str(CHUNKED), &used, &err), 1);
    n = answer_body(&a, span_str("0\r\n"), &used, NULL, 0, &err);
    while (n == 0 && fed < 10 * ANSWER_HEAD_MAX) {
        n = answer_body(&a, span_str("Trailer-Name: and a value\r\n"), &used, NULL, 0, &err);
        fed += used;
    }
    assert_int_equal(n, -EPROTO);
    assert_true(fed <= 2 * ANSWER_HEAD_MAX);
    answer_finish(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trailers),     cmocka_unit_test(test_trailers_bounded),
        cmocka_unit_test(test_framings),     cmocka_unit_test(test_keeping),
        cmocka_unit_test(test_head_request), cmocka_unit_test(test_left_over),
        cmocka_unit_test(test_malformed),    cmocka_unit_test(test_nul_in_head),
        cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
