/* The HTTP server against raw clients: framing, early answers, hang-ups, slow senders, followers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/text.h"
/* A test is one program of one file; the rig stands apart for its length only. */
#include "tests/rig/http_rig.c"

#define HOST "Host: localhost\r\n"

static struct rig *rig;

static int set_up(void **state)
{
    (void)state;
    rig = rig_start(1, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_stop(rig);
    return 0;
}

/* One connection, one request text, one expected answer. */
static void exchange(enum http_via via, const char *request, int status, const char *body)
{
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, via);
    say(fd, request);
    expect(fd, &rest, status, body);
    close(fd);
}

static void test_simple(void **state)
{
    (void)state;
    exchange(HTTP_VIA_UNIX, "GET /x HTTP/1.1\r\n\r\n", 200, "");
    exchange(HTTP_VIA_TCP, "GET /x HTTP/1.1\r\n" HOST "\r\n", 200, "");
    exchange(HTTP_VIA_UNIX, "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
    exchange(HTTP_VIA_UNIX, "POST /later HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
    exchange(HTTP_VIA_UNIX, "GET /header HTTP/1.1\r\nXS-Meta:  {\"a\":1}\r\n\r\n", 200,
             "{\"a\":1}");
    assert_true(rig_reaches(rig, &rig->whole, 5));
}

/* An answer that comes by and by, given before the body: the route gets the body all the same. */
static void test_answer_before_body(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    for (int i = 0; i < 2; i++) {
        say(fd, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhe");
        rig_order(rig, ORDER_EVENT);
        say(fd, "llo");
        expect(fd, &rest, 200, "hello");
        say(fd, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n");
        rig_order(rig, ORDER_EVENT);
        say(fd, "3\r\nllo\r\n0\r\n\r\n");
        expect(fd, &rest, 200, "hello");
        say(fd, "GET /echo HTTP/1.1\r\n\r\n");
        expect(fd, &rest, 200, "");
    }
    say(fd, "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect(fd, &rest, 100, NULL);
    say(fd, "ok");
    expect(fd, &rest, 200, "ok");
    close(fd);
}

static void test_keep_alive(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    for (int i = 0; i < 50; i++) {
        say(fd, "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nab");
        struct answer answer;
        assert_true(hear(fd, &answer, &rest, false));
        assert_int_equal(answer.status, 200);
        assert_false(answer.close);
        answer_finish(&answer);
        say(fd, "GET /x HTTP/1.1\r\n\r\n");
        expect(fd, &rest, 200, "");
    }
    close(fd);
}

static void test_pipelined(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "POST /later HTTP/1.1\r\nContent-Length: 1\r\n\r\na"
            "GET /x HTTP/1.1\r\n\r\n"
            "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\n\r\n"
            "POST /early HTTP/1.1\r\nContent-Length: 3\r\n\r\nxyz"
            "POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\nc");
    expect(fd, &rest, 200, "a");
    expect(fd, &rest, 200, "");
    expect(fd, &rest, 200, "b");
    expect(fd, &rest, 413, "early");
    expect(fd, &rest, 200, "c");
    close(fd);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    const char *text = "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
                       "POST /x HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nfgh";
    for (const char *p = text; *p; p++)
        say_bytes(fd, p, 1);
    expect(fd, &rest, 200, "abcde");
    expect(fd, &rest, 200, "fgh");
    close(fd);
}

static void test_raw_target(void **state)
{
    (void)state;
    exchange(HTTP_VIA_UNIX, "GET /a%2Fb%00c+d?q=%41&k HTTP/1.1\r\n\r\n", 200, "");
    assert_string_equal(rig->log, "/a%2Fb%00c+d?q=%41&k");
    exchange(HTTP_VIA_TCP, "GET http://localhost:1/abs?x HTTP/1.1\r\n" HOST "\r\n", 200, "");
    assert_string_equal(rig->log, "/abs?x");
}

static void test_host(void **state)
{
    (void)state;
    exchange(HTTP_VIA_TCP, "GET /x HTTP/1.1\r\n\r\n", 400, NULL);
    exchange(HTTP_VIA_TCP, "GET /x HTTP/1.1\r\n" HOST HOST "\r\n", 400, NULL);
    exchange(HTTP_VIA_UNIX, "GET /x HTTP/1.1\r\n\r\n", 200, "");
    exchange(HTTP_VIA_TCP, "GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, "");
    exchange(HTTP_VIA_UNIX,
             "POST /x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             400, NULL);
}

/* Where the body ends is unclear, so nothing behind it is taken for a request. */
static void test_unclear_end(void **state)
{
    (void)state;
    const char *requests[] = {"POST /x HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                              "POST /x HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"};
    for (int i = 0; i < 2; i++) {
        CLEAN_BUF rest = BUF_INIT;
        struct answer answer;
        char byte;
        int fd = rig_connect(rig, HTTP_VIA_UNIX);
        say(fd, requests[i]);
        assert_true(hear(fd, &answer, &rest, false));
        assert_int_equal(answer.status, 400);
        assert_non_null(strcasestr(buf_cstr(&answer.head), "connection: close"));
        answer_finish(&answer);
        assert_int_equal(recv(fd, &byte, 1, 0), 0);
        close(fd);
    }
}

static void test_bare_answers(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "GET /none HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 204, "");
    say(fd, "GET /same HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 304, "");
    say(fd, "HEAD /sized?70000 HTTP/1.1\r\n\r\n");
    assert_true(hear(fd, &answer, &rest, true));
    assert_non_null(strcasestr(buf_cstr(&answer.head), "content-length: 70000"));
    answer_finish(&answer);
    say(fd, "GET /x HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 200, "");
    say(fd, "HEAD /bytes?70000 HTTP/1.1\r\n\r\n");
    assert_true(hear(fd, &answer, &rest, true));
    assert_int_equal(answer.status, 200);
    answer_finish(&answer);
    char byte;
    assert_int_equal(rest.len, 0); /* no last chunk, nothing */
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void test_streams(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    const char *requests[] = {"GET /bytes?5000000 HTTP/1.1\r\n\r\n",
                              "GET /sized?5000000 HTTP/1.1\r\n\r\n"};
    for (int i = 0; i < 4; i++) {
        say(fd, requests[i % 2]);
        assert_true(hear(fd, &answer, &rest, false));
        assert_true(answer.ended);
        assert_int_equal(answer.chunked, i % 2 == 0);
        assert_int_equal(answer.body.len, 5000000);
        answer_finish(&answer);
    }
    assert_true(rig->room >= 32768);
    say(fd, "GET /bytes?0 HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 200, "");
    say(fd, "GET /sized?0 HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 200, "");
    say(fd, "GET /woken HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 200, "woken");
    close(fd);
}

static void test_abort(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "GET /abort HTTP/1.1\r\n\r\n");
    assert_true(hear(fd, &answer, &rest, false));
    assert_int_equal(answer.status, 200);
    assert_false(answer.ended);
    answer_finish(&answer);
    close(fd);
    assert_true(rig_reaches(rig, &rig->gone, 1));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

static void test_trailers(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    for (int i = 0; i < 4; i++) { /* the connection stays */
        say(fd, i % 2 ? "GET /trailed?0 HTTP/1.1\r\n\r\n" : "GET /trailed?1 HTTP/1.1\r\n\r\n");
        assert_true(hear(fd, &answer, &rest, false));
        assert_true(answer.ended);
        assert_string_equal(buf_cstr(&answer.body), i % 2 ? "" : "t");
        assert_string_equal(buf_cstr(&answer.trailers),
                            "Weir-Exit: 3\nWeir-Error: no such f\xc3\xaf" "le\n");
        answer_finish(&answer);
    }
    say(fd, "GET /bytes?10 HTTP/1.1\r\n\r\n");
    assert_true(hear(fd, &answer, &rest, false));
    assert_int_equal(answer.trailers.len, 0);
    answer_finish(&answer);
    close(fd);
}

/* Who cannot get trailers gets the rest. */
static void test_no_trailers(void **state)
{
    (void)state;
    char text[4096];
    size_t len = 0;
    ssize_t n;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "GET /trailed?1 HTTP/1.0\r\n\r\n");
    while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    assert_int_equal(n, 0);
    text[len] = '\0';
    assert_non_null(strstr(text, "\r\n\r\nt"));
    assert_null(strstr(text, "Weir-"));
    close(fd);
    fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "HEAD /trailed?1 HTTP/1.1\r\n\r\n");
    n = recv(fd, text, sizeof(text) - 1, 0);
    assert_true(n > 0);
    text[n] = '\0';
    assert_null(strstr(text, "Weir-"));
    assert_true(hears_end(fd));
    close(fd);
}

static void test_paused_body(void **state)
{
    (void)state;
    exchange(HTTP_VIA_UNIX, "POST /pause HTTP/1.1\r\nContent-Length: 8\r\n\r\npauseme!", 200,
             "pauseme!");
    exchange(HTTP_VIA_UNIX,
             "POST /pause HTTP/1.1\r\nTransfer-Encoding: "
             "chunked\r\n\r\n5\r\npause\r\n3\r\nme!\r\n0\r\n\r\n",
             200, "pauseme!");
    exchange(HTTP_VIA_UNIX, "POST /bite HTTP/1.1\r\nContent-Length: 8\r\n\r\nbiteme!!", 200,
             "biteme!!");
}

static void test_expect_continue(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    say(fd, "POST /x HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(fd, &rest, 100, "");
    say(fd, "abc");
    expect(fd, &rest, 200, "abc");
    say(fd, "POST /early HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    expect(fd, &rest, 413, "early");
    assert_true(hears_end(fd));
    close(fd);
}

/* The client sends all of a long body before it reads: the answer must be there then. */
static void early_answer(enum http_via via, const char *path, bool chunked, size_t len)
{
    CLEAN_BUF rest = BUF_INIT;
    char head[256];
    char *body = calloc(1, len);
    int fd = rig_connect(rig, via);
    assert_non_null(body);
    snprintf(head, sizeof(head),
             chunked ? "POST %s HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
                     : "POST %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
             path, len);
    say(fd, head);
    say_bytes(fd, body, len);
    expect(fd, &rest, 413, path + 1);
    free(body);
    close(fd);
}

static void test_early_answers(void **state)
{
    (void)state;
    for (int via = HTTP_VIA_UNIX; via <= HTTP_VIA_TCP; via++) {
        early_answer(via, "/early", false, 500000);
        early_answer(via, "/early", false, 1200000);
        early_answer(via, "/early", true, 1500000);
        early_answer(via, "/mid", false, 500000);
        early_answer(via, "/mid", false, 1500000);
        early_answer(via, "/mid", true, 1500000);
    }
    assert_true(rig_reaches(rig, &rig->gone, 12));
}

/* The client waits for the answer in the middle of its body. */
static void test_early_answer_to_a_waiting_client(void **state)
{
    (void)state;
    exchange(HTTP_VIA_TCP, "POST /mid HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\nabc", 413,
             "mid");
    exchange(HTTP_VIA_UNIX, "POST /early HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
             413, "early");
}

static void test_malformed(void **state)
{
    (void)state;
    exchange(HTTP_VIA_UNIX, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n",
             400, NULL);
    exchange(HTTP_VIA_UNIX,
             "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabXX\r\n0\r\n\r\n", 400,
             NULL);
    assert_true(rig_reaches(rig, &rig->gone, 2));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
    exchange(HTTP_VIA_UNIX, "POST /x HTTP/1.1\r\nContent-Length: -3\r\n\r\n", 400, NULL);
}

/* A chunked upload that ends without its last chunk is no upload. */
static void test_cut_uploads(void **state)
{
    (void)state;
    const char *requests[] = {
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel",
        "POST /x HTTP/1.1\r\nContent-Length: 5\r\n\r\n"};
    for (unsigned i = 0; i < 10; i++) {
        int fd = rig_connect(rig, HTTP_VIA_UNIX);
        say(fd, requests[i % 5]);
        assert_true(rig_reaches(rig, &rig->begun, i + 1));
        shutdown(fd, i < 5 ? SHUT_WR : SHUT_RDWR);
        assert_true(rig_reaches(rig, &rig->gone, i + 1));
        close(fd);
    }
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

static void test_half_close(void **state)
{
    (void)state;
    for (int via = HTTP_VIA_UNIX; via <= HTTP_VIA_TCP; via++) {
        CLEAN_BUF rest = BUF_INIT;
        int fd = rig_connect(rig, via);
        say(fd, "POST /later HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc");
        shutdown(fd, SHUT_WR);
        expect(fd, &rest, 200, "abc");
        assert_true(hears_end(fd));
        close(fd);
    }
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    shutdown(fd, SHUT_WR);
    expect(fd, &rest, 200, "abc");
    close(fd);
    assert_true(rig_reaches(rig, &rig->whole, 3));
}

/*
 * The client ends its side in the middle of a chunk. Where the end comes together with the last
 * bytes it is told; where it comes behind them MHD closes without a word. Either way nothing is
 * taken for a whole request.
 */
static void test_cut_in_its_middle(void **state)
{
    (void)state;
    int told = 0;
    for (int i = 0; i < 20; i++) {
        char answer[512] = "";
        int fd = rig_connect(rig, HTTP_VIA_UNIX);
        say(fd, "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc");
        shutdown(fd, SHUT_WR);
        ssize_t n = recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
        assert_true(n >= 0);
        assert_true(n == 0 || strncmp(answer, "HTTP/1.1 400 ", 13) == 0);
        told += n > 0 && strstr(answer, "cut in its middle") != NULL;
        close(fd);
    }
    assert_true(told > 0);
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

static void test_large_heads(void **state)
{
    (void)state;
    size_t sizes[] = {30000, 60000, 63000, 66000, 300000};
    for (size_t i = 0; i < 5; i++) {
        CLEAN_BUF text = BUF_INIT;
        CLEAN_BUF rest = BUF_INIT;
        assert_int_equal(buf_add_str(&text, "GET /header HTTP/1.1\r\n" HOST "xs-meta: "), 0);
        for (size_t n = 0; n < sizes[i]; n++)
            assert_int_equal(buf_add(&text, "m", 1), 0);
        assert_int_equal(buf_add_str(&text, "\r\n\r\n"), 0);
        int fd = rig_connect(rig, HTTP_VIA_TCP);
        say_bytes(fd, text.ptr, text.len);
        expect(fd, &rest, sizes[i] < 65000 ? 200 : 431, NULL);
        close(fd);
    }
}

/* Begun with a small POST, a connection serves everything else, too; only its heads are limited
 * more. */
static void test_after_a_small_post(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    CLEAN_BUF text = BUF_INIT;
    struct answer answer;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "POST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\na");
    expect(fd, &rest, 200, "a");
    say(fd, "GET /bytes?1000000 HTTP/1.1\r\n\r\n");
    assert_true(hear(fd, &answer, &rest, false));
    assert_int_equal(answer.body.len, 1000000);
    answer_finish(&answer);
    for (size_t size = 16000; size <= 48000; size *= 3) {
        buf_reset(&text);
        assert_int_equal(
            buf_addf(&text, "GET /header HTTP/1.1\r\nxs-meta: %0*d\r\n\r\n", (int)size, 1), 0);
        say_bytes(fd, text.ptr, text.len);
        expect(fd, &rest, size < 20000 ? 200 : 431, NULL);
    }
    close(fd);
}

static void test_many_headers(void **state)
{
    (void)state;
    CLEAN_BUF text = BUF_INIT;
    CLEAN_BUF rest = BUF_INIT;
    assert_int_equal(buf_add_str(&text, "GET /x HTTP/1.1\r\n" HOST), 0);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(buf_addf(&text, "x-%d: y\r\n", i), 0);
    assert_int_equal(buf_add_str(&text, "\r\n"), 0);
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    say_bytes(fd, text.ptr, text.len);
    expect(fd, &rest, 431, NULL);
    close(fd);
}

/* Sends one byte at a time, a tenth of a second apart, until the server has had enough. */
static void drip(int fd, const char *text)
{
    struct timespec gap = {.tv_nsec = 100000000};
    char byte;
    for (int i = 0; i < 100 && recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0; i++) {
        say_bytes(fd, text + (i % strlen(text)), 1);
        nanosleep(&gap, NULL);
    }
}

static void test_slow_senders(void **state)
{
    (void)state;
    const char *starts[] = {
        "", "GET /x HTTP/1.1\r\nx: ", "POST /x HTTP/1.1\r\nContent-Length: 1000\r\n\r\n",
        "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc"};
    for (int i = 0; i < 4; i++) {
        CLEAN_BUF rest = BUF_INIT;
        int fd = rig_connect(rig, HTTP_VIA_UNIX);
        say(fd, starts[i]);
        if (i < 3)
            drip(fd, "slow");
        expect(fd, &rest, 408, NULL);
        assert_true(hears_end(fd));
        close(fd);
    }
    assert_true(rig_reaches(rig, &rig->gone, 2));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

static void test_idle_connection_is_closed(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "GET /x HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 200, "");
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
    close(fd);
}

static void test_hang_up_while_waiting(void **state)
{
    (void)state;
    const char *requests[] = {"GET /follow HTTP/1.1\r\n\r\n", "GET /never HTTP/1.1\r\n\r\n",
                              "POST /never HTTP/1.1\r\nContent-Length: 1\r\n\r\nx"};
    for (unsigned i = 0; i < 3; i++) {
        int fd = rig_connect(rig, HTTP_VIA_UNIX);
        say(fd, requests[i]);
        assert_true(rig_reaches(rig, &rig->begun, i + 1));
        close(fd);
        assert_true(rig_reaches(rig, &rig->gone, i + 1));
    }
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    say(fd, "GET /never HTTP/1.1\r\n" HOST "\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 4));
    struct linger reset = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    assert_true(rig_reaches(rig, &rig->gone, 4));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

static void raise_file_limit(void)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void hear_event(int fd, struct buf *rest, const char *event)
{
    char bytes[256];
    while (!rest->ptr || !memmem(rest->ptr, rest->len, event, strlen(event))) {
        ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
        assert_true(n > 0);
        assert_int_equal(buf_add(rest, bytes, (size_t)n), 0);
    }
}

#define FOLLOWERS 1000

static void test_followers(void **state)
{
    (void)state;
    static int fds[FOLLOWERS];
    static struct buf rests[FOLLOWERS];
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        fds[i] = rig_connect(rig, HTTP_VIA_UNIX);
        say(fds[i], "GET /follow HTTP/1.1\r\n\r\n");
    }
    assert_true(rig_reaches(rig, &rig->begun, FOLLOWERS));
    rig_order(rig, ORDER_EVENT);
    for (unsigned i = 0; i < FOLLOWERS; i++)
        hear_event(fds[i], &rests[i], "event 1\n");
    rig_order(rig, ORDER_WAKE); /* needless */
    rig_order(rig, ORDER_EVENT);
    for (unsigned i = 0; i < FOLLOWERS; i++)
        hear_event(fds[i], &rests[i], "event 2\n");
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        buf_finish(&rests[i]);
        close(fds[i]);
    }
    assert_true(rig_reaches(rig, &rig->gone, FOLLOWERS));
}

/* Over longer than the idle timeout: an open answer is not idle, and waiting costs no turns of the
 * loop. */
static void test_quiet_follow(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 600000000};
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    say(fd, "GET /follow HTTP/1.1\r\n" HOST "\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 1));
    for (int i = 0; i < 10; i++)
        rig_order(rig, ORDER_WAKE);
    pthread_mutex_lock(&rig->lock);
    unsigned before = rig->turns;
    pthread_mutex_unlock(&rig->lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&rig->lock);
    unsigned turns = rig->turns - before;
    pthread_mutex_unlock(&rig->lock);
    assert_in_range(turns, 1, 120); /* the rig's own timer takes 80 */
    rig_order(rig, ORDER_EVENT);
    hear_event(fd, &rest, "event 1\n");
    close(fd);
    rig_order(rig, ORDER_EVENT);
    rig_order(rig, ORDER_EVENT);
    assert_true(rig_reaches(rig, &rig->gone, 1));
}

/* A client that does not read holds back nobody, and is not timed out. */
static void test_stalled_reader(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    struct timespec pause = {.tv_sec = 1, .tv_nsec = 500000000};
    int stalled = rig_connect(rig, HTTP_VIA_UNIX);
    say(stalled, "GET /bytes?3000000 HTTP/1.1\r\n\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 1));
    for (int i = 0; i < 20; i++)
        exchange(HTTP_VIA_UNIX, "POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\nok", 200, "ok");
    nanosleep(&pause, NULL);
    assert_true(hear(stalled, &answer, &rest, false));
    assert_true(answer.ended);
    assert_int_equal(answer.body.len, 3000000);
    answer_finish(&answer);
    close(stalled);
}

static void test_large_upload(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    size_t len = 20000000;
    char *body = malloc(len);
    char head[128];
    assert_non_null(body);
    memset(body, 'u', len);
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    snprintf(head, sizeof(head), "POST /x HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n", len);
    say(fd, head);
    say_bytes(fd, body, len);
    assert_true(hear(fd, &answer, &rest, false));
    assert_int_equal(answer.body.len, len);
    assert_memory_equal(answer.body.ptr, body, len);
    answer_finish(&answer);
    free(body);
    close(fd);
}

static void test_limit(void **state)
{
    (void)state;
    struct rig *small = rig_start(1, 2);
    CLEAN_BUF rest = BUF_INIT;
    int a = rig_connect(small, HTTP_VIA_UNIX);
    int b = rig_connect(small, HTTP_VIA_UNIX);
    int c = rig_connect(small, HTTP_VIA_UNIX);
    assert_true(hears_end(c));
    say(a, "GET /x HTTP/1.1\r\n\r\n");
    expect(a, &rest, 200, "");
    close(a);
    close(b);
    close(c);
    rig_stop(small);
}

static void test_shutdown(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct answer answer;
    int idle = rig_connect(rig, HTTP_VIA_UNIX);
    int busy = rig_connect(rig, HTTP_VIA_UNIX);
    int stuck = rig_connect(rig, HTTP_VIA_UNIX);
    say(busy, "GET /later HTTP/1.1\r\n\r\n");
    say(stuck, "GET /never HTTP/1.1\r\n\r\n");
    assert_true(rig_reaches(rig, &rig->begun, 2));
    rig->shutdown_ms = 300;
    rig_order(rig, ORDER_SHUTDOWN);
    assert_true(hears_end(idle));
    assert_true(hear(busy, &answer, &rest, false));
    assert_int_equal(answer.status, 200);
    answer_finish(&answer);
    assert_true(hears_end(busy));
    assert_true(hears_end(stuck));
    assert_true(rig_reaches(rig, &rig->drained, 1));
    close(idle);
    close(busy);
    close(stuck);
}

static void test_shutdown_of_nothing(void **state)
{
    (void)state;
    rig_order(rig, ORDER_SHUTDOWN);
    assert_true(rig_reaches(rig, &rig->drained, 1));
}

static void test_stop_over_open_requests(void **state)
{
    (void)state;
    const char *requests[] = {"GET /follow HTTP/1.1\r\n\r\n", "GET /never HTTP/1.1\r\n\r\n",
                              "GET /bytes?90000000 HTTP/1.1\r\n\r\n",
                              "POST /x HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
                              "POST /pause HTTP/1.1\r\nContent-Length: 9\r\n\r\nx"};
    int fds[5];
    for (unsigned i = 0; i < 5; i++) {
        fds[i] = rig_connect(rig, HTTP_VIA_UNIX);
        say(fds[i], requests[i]);
        assert_true(rig_reaches(rig, &rig->begun, i + 1));
    }
    /* tear_down stops the rig and checks that each was told. */
    for (unsigned i = 0; i < 5; i++)
        shutdown(fds[i], i % 2 ? SHUT_WR : 0);
    rig_stop(rig);
    for (unsigned i = 0; i < 5; i++) {
        assert_true(hears_end(fds[i]));
        close(fds[i]);
    }
    rig = rig_start(1, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_simple),
        CASE(test_answer_before_body),
        CASE(test_keep_alive),
        CASE(test_pipelined),
        CASE(test_byte_by_byte),
        CASE(test_raw_target),
        CASE(test_host),
        CASE(test_unclear_end),
        CASE(test_bare_answers),
        CASE(test_streams),
        CASE(test_abort),
        CASE(test_trailers),
        CASE(test_no_trailers),
        CASE(test_paused_body),
        CASE(test_expect_continue),
        CASE(test_early_answers),
        CASE(test_early_answer_to_a_waiting_client),
        CASE(test_malformed),
        CASE(test_cut_uploads),
        CASE(test_half_close),
        CASE(test_cut_in_its_middle),
        CASE(test_large_heads),
        CASE(test_after_a_small_post),
        CASE(test_many_headers),
        CASE(test_slow_senders),
        CASE(test_idle_connection_is_closed),
        CASE(test_hang_up_while_waiting),
        CASE(test_followers),
        CASE(test_quiet_follow),
        CASE(test_stalled_reader),
        CASE(test_large_upload),
        CASE(test_limit),
        CASE(test_shutdown),
        CASE(test_shutdown_of_nothing),
        CASE(test_stop_over_open_requests),
    };
    raise_file_limit();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
