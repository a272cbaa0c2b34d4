/* HTTP/2 against nghttp2's client: framing of many requests, flow control both ways, resets, ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"
#include "daemon/h2/h2_impl.h"
/* A test is one program of one file; the rigs stand apart for their length only. */
#include "tests/rig/http_rig.c"
#include "tests/rig/h2_client.c"

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

static struct client *open_client(enum http_via via)
{
    return client_open(rig_connect(rig, via));
}

static void test_simple(void **state)
{
    (void)state;
    for (int via = HTTP_VIA_UNIX; via <= HTTP_VIA_TCP; via++) {
        struct client *client = open_client((enum http_via)via);
        struct call call;
        call_get(client, &call, "/x?a=%41");
        call_expect(client, &call, 200, "");
        assert_string_equal(rig->log, "/x?a=%41");
        call_post(client, &call, "/x", "hello", 5);
        call_expect(client, &call, 200, "hello");
        call_post(client, &call, "/later", "hello", 5);
        call_expect(client, &call, 200, "hello");
        call_post(client, &call, "/bite", "biteme!!", 8);
        call_expect(client, &call, 200, "biteme!!");
        call_post(client, &call, "/pause", "pauseme!", 8);
        call_expect(client, &call, 200, "pauseme!");
        call_get(client, &call, "/woken");
        call_expect(client, &call, 200, "woken");
        call_get(client, &call, "/peer");
        call_expect(client, &call, 200, via == HTTP_VIA_TCP ? "127.0.0.1" : "none");
        client_close(client);
    }
    assert_true(rig_reaches(rig, &rig->whole, 14));
}

static void test_headers(void **state)
{
    (void)state;
    static const char *const meta[] = {"xs-meta", "{\"a\":1}", NULL};
    static const char *const twice[] = {"xs-meta", "1", "xs-meta", "2", NULL};
    static const char *const same_host[] = {"host", "localhost", NULL};
    static const char *const other_host[] = {"host", "evil", NULL};
    struct client *client = open_client(HTTP_VIA_TCP);
    struct call call = {.upload_ends = true};
    call_start(client, &call, "GET", "/header", meta);
    call_expect(client, &call, 200, "{\"a\":1}");
    call = (struct call){.upload_ends = true};
    call_start(client, &call, "GET", "/header", twice);
    call_expect(client, &call, 400, NULL);
    call = (struct call){.upload_ends = true};
    call_start(client, &call, "GET", "/x", same_host);
    call_expect(client, &call, 200, "");
    call = (struct call){.upload_ends = true};
    call_start(client, &call, "GET", "/x", other_host);
    call_expect(client, &call, 400, NULL);
    call_post(client, &call, "/x", "a", 1);
    assert_true(call_closes(client, &call));
    assert_string_equal(buf_cstr(&call.head), "content-type: text/plain\ncontent-length: 1\n");
    call_finish(&call);
    client_close(client);
}

static void test_bare_answers(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call;
    call_get(client, &call, "/none");
    call_expect(client, &call, 204, "");
    call_get(client, &call, "/same");
    call_expect(client, &call, 304, "");
    call_get(client, &call, "/bytes?0");
    call_expect(client, &call, 200, "");
    call_get(client, &call, "/sized?0");
    call_expect(client, &call, 200, "");
    const char *paths[] = {"/sized?70000", "/bytes?70000", "/trailed?1"};
    for (int i = 0; i < 3; i++) {
        call = (struct call){.upload_ends = true};
        call_start(client, &call, "HEAD", paths[i], NULL);
        assert_true(call_closes(client, &call));
        assert_int_equal(call.status, 200);
        assert_int_equal(call.body.len, 0);
        assert_true(i > 0 || strstr(buf_cstr(&call.head), "content-length: 70000"));
        call_finish(&call);
    }
    client_close(client);
    assert_true(rig_reaches(rig, &rig->whole, 7));
}

/* What a client waits for before it says anything. */
static void test_settings_at_once(void **state)
{
    (void)state;
    uint8_t head[9];
    int fd = rig_connect(rig, HTTP_VIA_TCP);
    say_bytes(fd, H2_PREFACE, H2_PREFACE_LEN);
    assert_int_equal(recv(fd, head, sizeof(head), MSG_WAITALL), 9);
    assert_int_equal(head[3], NGHTTP2_SETTINGS);
    close(fd);
}

static void test_preface_in_pieces(void **state)
{
    (void)state;
    const char *preface = H2_PREFACE;
    uint8_t head[9];
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    for (int i = 0; i < H2_PREFACE_LEN; i++)
        say_bytes(fd, preface + i, 1);
    assert_int_equal(recv(fd, head, sizeof(head), MSG_WAITALL), 9);
    assert_int_equal(head[3], NGHTTP2_SETTINGS);
    close(fd);
}

/* What only begins alike is HTTP/1.1. */
static void test_no_preface(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    const char *texts[] = {"P", "OST /x HTTP/1.1\r\nContent-Length: 1\r\n\r\na"};
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, texts[0]);
    rig_order(rig, ORDER_EVENT);
    say(fd, texts[1]);
    expect(fd, &rest, 200, "a");
    close(fd);
    fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "PRI * HTTP/1.1\r\n\r\n");
    expect(fd, &rest, 200, "");
    close(fd);
}

static void test_many_streams(void **state)
{
    (void)state;
    enum { N = 200 };
    static struct call calls[N];
    struct client *client = open_client(HTTP_VIA_UNIX);
    for (int i = 0; i < N; i++)
        call_post(client, &calls[i], i % 2 ? "/later" : "/x", "abc", 3);
    for (int i = 0; i < N; i++)
        call_expect(client, &calls[i], 200, "abc");
    assert_true(rig_reaches(rig, &rig->whole, N));
    client_close(client);
}

/* --- flow control ------------------------------------------------------------------------------------ */

static bool has_window_full(struct client *client, void *arg)
{
    (void)client;
    return ((struct call *)arg)->body.len == 65535;
}

static void test_stalled_reader(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call stalled[3], other;
    const char *paths[] = {"/bytes?3000000", "/sized?3000000", "/bytes?100000000"};
    for (int i = 0; i < 3; i++) {
        call_get(client, &stalled[i], paths[i]);
        stalled[i].hold = true;
    }
    for (int i = 0; i < 3; i++)
        assert_true(client_until(client, has_window_full, &stalled[i]));
    call_get(client, &other, "/bytes?3000000");
    assert_true(call_closes(client, &other));
    assert_int_equal(other.body.len, 3000000);
    call_finish(&other);
    assert_int_equal(stalled[0].body.len, 65535);
    assert_true(rig->room >= 32768);
    for (int i = 0; i < 2; i++) {
        call_release(client, &stalled[i]);
        assert_true(call_closes(client, &stalled[i]));
        assert_int_equal(stalled[i].body.len, 3000000);
        assert_true(stalled[i].ended);
        call_finish(&stalled[i]);
    }
    client_close(client); /* the last one is cut */
    call_finish(&stalled[2]);
    assert_true(rig_reaches(rig, &rig->gone, 4));
    assert_int_equal(rig_now(rig, &rig->whole), 3);
}

/* A client that lets much come and then reads nothing: little of it is made. */
static void test_deaf_reader(void **state)
{
    (void)state;
    enum { LEN = 100000000 };
    const nghttp2_settings_entry wide = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, LEN};
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call;
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, &wide, 1);
    nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0, LEN);
    assert_true(client_settles(client));
    call_get(client, &call, "/bytes?100000000");
    client->deaf = true;
    push(client);
    assert_true(rig_reaches(rig, &rig->begun, 1));
    for (int i = 0; i < 20; i++)
        rig_order(rig, ORDER_WAKE);
    size_t given = rig_given(rig);
    assert_true(given > 0 && given < 2000000);
    client->deaf = false;
    assert_true(call_closes(client, &call));
    assert_int_equal(call.body.len, LEN);
    call_finish(&call);
    client_close(client);
}

static void fill_pattern(struct buf *out, size_t len)
{
    assert_int_equal(buf_reserve(out, len), 0);
    for (size_t i = 0; i < len; i++)
        buf_put(out, (uint8_t)(i * 7 + (i >> 8) * 13 + (i >> 16)));
}

static bool has_uploaded(struct client *client, void *arg)
{
    (void)client;
    return ((struct call *)arg)->uploaded >= H2_STREAM_WINDOW;
}

static bool echoed_all(struct client *client, void *arg)
{
    struct call *call = arg;
    (void)client;
    return call->body.len == call->upload.len;
}

/* Bytes go both ways at once: an echo comes before the next part is sent. */
static void test_duplex(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_TCP);
    struct call call = {0};
    call_start(client, &call, "POST", "/echo", NULL);
    for (int i = 0; i < 20; i++) {
        call_more(client, &call, "part", 4, false);
        assert_true(client_until(client, echoed_all, &call));
    }
    assert_false(call.ended);
    call_more(client, &call, "end", 3, true);
    assert_true(call_closes(client, &call));
    assert_true(call.ended);
    assert_int_equal(call.body.len, 83);
    call_finish(&call);
    client_close(client);
}

/* A route that takes no more: its client may send a window and no byte beyond, the others go on. */
static void test_stalled_echo(void **state)
{
    (void)state;
    CLEAN_BUF bytes = BUF_INIT;
    fill_pattern(&bytes, 7000000);
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call stalled, other;
    call_post(client, &stalled, "/echo", bytes.ptr, bytes.len);
    stalled.hold = true;
    assert_true(client_until(client, has_uploaded, &stalled));
    assert_true(client_settles(client));
    assert_true(stalled.uploaded <= H2_STREAM_WINDOW + 65535 + ECHO_ROOM + H2_READ + 32768);
    call_post(client, &other, "/echo", bytes.ptr, bytes.len);
    assert_true(call_closes(client, &other));
    assert_int_equal(other.body.len, bytes.len);
    assert_memory_equal(other.body.ptr, bytes.ptr, bytes.len);
    call_finish(&other);
    call_release(client, &stalled);
    assert_true(call_closes(client, &stalled));
    assert_int_equal(stalled.body.len, bytes.len);
    assert_memory_equal(stalled.body.ptr, bytes.ptr, bytes.len);
    call_finish(&stalled);
    client_close(client);
    assert_true(rig_reaches(rig, &rig->whole, 2));
}

static void test_large_upload(void **state)
{
    (void)state;
    CLEAN_BUF bytes = BUF_INIT;
    fill_pattern(&bytes, 20000000);
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call;
    call_post(client, &call, "/x", bytes.ptr, bytes.len);
    assert_true(call_closes(client, &call));
    assert_int_equal(call.body.len, bytes.len);
    assert_memory_equal(call.body.ptr, bytes.ptr, bytes.len);
    call_finish(&call);
    client_close(client);
}

/* --- answers that end otherwise ------------------------------------------------------------------------ */

static void test_trailers(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call;
    for (int i = 0; i < 2; i++) {
        call_get(client, &call, i ? "/trailed?0" : "/trailed?1");
        assert_true(call_closes(client, &call));
        assert_true(call.ended);
        assert_int_equal(call.code, 0);
        assert_string_equal(buf_cstr(&call.body), i ? "" : "t");
        assert_string_equal(buf_cstr(&call.trailers), "weir-exit: 3\nweir-error: no such f\xc3\xaf" "le\n");
        call_finish(&call);
    }
    client_close(client);
}

static void test_abort(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call, other;
    call_get(client, &call, "/abort");
    assert_true(call_closes(client, &call));
    assert_int_equal(call.status, 200);
    assert_int_equal(call.code, NGHTTP2_INTERNAL_ERROR);
    assert_false(call.ended);
    call_finish(&call);
    call_get(client, &other, "/x");
    call_expect(client, &other, 200, "");
    assert_true(rig_reaches(rig, &rig->gone, 2));
    assert_int_equal(rig_now(rig, &rig->whole), 1);
    client_close(client);
}

static void test_early_answers(void **state)
{
    (void)state;
    CLEAN_BUF bytes = BUF_INIT;
    fill_pattern(&bytes, 5000000);
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call;
    const size_t sizes[] = {1, 500000, 5000000};
    for (int i = 0; i < 6; i++) {
        call_post(client, &call, i % 2 ? "/mid" : "/early", bytes.ptr, sizes[i / 2]);
        assert_true(call_closes(client, &call));
        assert_int_equal(call.status, 413);
        assert_true(call.ended);
        assert_int_equal(call.code, 0);
        assert_string_equal(buf_cstr(&call.body), i % 2 ? "mid" : "early");
        assert_true(call.uploaded < 4000000);
        call_finish(&call);
    }
    client_close(client);
    assert_true(rig_reaches(rig, &rig->whole, 6));
}

static void test_expect_continue(void **state)
{
    (void)state;
    static const char *const fields[] = {"expect", "100-continue", "content-length", "3", NULL};
    struct client *client = open_client(HTTP_VIA_TCP);
    struct call call = {0};
    call_start(client, &call, "POST", "/x", fields);
    assert_true(client_settles(client));
    assert_true(call.continued);
    call_more(client, &call, "abc", 3, true);
    call_expect(client, &call, 200, "abc");
    client_close(client);
}

static void test_large_heads(void **state)
{
    (void)state;
    static char value[60001], small[4001];
    const char *fits[] = {"x-long", value, NULL};
    const char *many[40] = {NULL};
    memset(value, 'v', 60000);
    memset(small, 'v', 4000);
    for (int i = 0; i < 38; i += 2)
        many[i] = "x-part", many[i + 1] = small;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call = {.upload_ends = true};
    call_start(client, &call, "GET", "/x", fits);
    call_expect(client, &call, 200, "");
    for (int i = 0; i < 3; i++) { /* the connection stays */
        call = (struct call){.upload_ends = true};
        call_start(client, &call, "GET", "/x", many);
        call_expect(client, &call, 431, NULL);
    }
    client_close(client);
}

static void length_mismatch(struct client *client, const char *length)
{
    const char *fields[] = {"content-length", length, NULL};
    struct call call = {.upload_ends = true};
    assert_int_equal(buf_add_str(&call.upload, "four"), 0);
    call_start(client, &call, "POST", "/x", fields);
    assert_true(call_closes(client, &call));
    assert_int_equal(call.code, NGHTTP2_PROTOCOL_ERROR);
    assert_int_equal(call.status, 0);
    call_finish(&call);
}

static void test_length_mismatch(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    length_mismatch(client, "3");
    length_mismatch(client, "5");
    assert_true(rig_reaches(rig, &rig->gone, 2));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
    client_close(client);
}

static bool has_answer(struct client *client, void *arg)
{
    (void)client;
    return ((struct call *)arg)->ended;
}

/* A body that stands still is given up, one whose answer is open is not; a preface that does not go on is; who sends on after the answer is
 * told to stop. */
static void test_slow_clients(void **state)
{
    (void)state;
    CLEAN_BUF rest = BUF_INIT;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call slow = {0}, late = {0}, echo = {0}, other;
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    say(fd, "PRI * HT");
    call_start(client, &slow, "POST", "/late", NULL);
    call_more(client, &slow, "a", 1, false);
    call_start(client, &late, "POST", "/early", NULL);
    call_start(client, &echo, "POST", "/echo", NULL);
    assert_true(call_closes(client, &late));
    assert_int_equal(late.status, 413);
    assert_int_equal(late.code, 0);
    assert_true(client_until(client, has_answer, &slow));
    assert_int_equal(slow.status, 408);
    rig_order(rig, ORDER_EVENT); /* the route answers, too late */
    expect(fd, &rest, 408, NULL);
    close(fd);
    call_more(client, &echo, "still", 5, true);
    call_expect(client, &echo, 200, "still");
    call_get(client, &other, "/x");
    call_expect(client, &other, 200, "");
    client_close(client);
    assert_true(rig_reaches(rig, &rig->gone, 4));
    assert_int_equal(rig_now(rig, &rig->whole), 3);
    call_finish(&slow);
    call_finish(&late);
}

/* --- resets -------------------------------------------------------------------------------------------- */

static bool has_status(struct client *client, void *arg)
{
    (void)client;
    return ((struct call *)arg)->status != 0;
}

static void test_reset(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call, upload = {0}, other;
    call_get(client, &call, "/follow");
    assert_true(client_until(client, has_status, &call));
    nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, call.id, NGHTTP2_CANCEL);
    assert_true(call_closes(client, &call));
    call_start(client, &upload, "POST", "/x", NULL);
    call_more(client, &upload, "part", 4, false);
    assert_true(client_settles(client));
    nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, upload.id, NGHTTP2_CANCEL);
    assert_true(client_settles(client));
    assert_true(rig_reaches(rig, &rig->gone, 2));
    assert_int_equal(rig_now(rig, &rig->whole), 0);
    call_get(client, &other, "/x");
    call_expect(client, &other, 200, "");
    call_finish(&call);
    call_finish(&upload);
    client_close(client);
}

static bool is_told_off(struct client *client, void *arg)
{
    (void)arg;
    return client->goaways > 0;
}

static void test_rapid_resets(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    for (int i = 0; i < H2_RESETS_BURST + 500 && !client->goaways && !client->over; i++) {
        struct call call;
        call_get(client, &call, "/never");
        nghttp2_session_set_stream_user_data(client->session, call.id, NULL);
        push(client);
        nghttp2_submit_rst_stream(client->session, NGHTTP2_FLAG_NONE, call.id, NGHTTP2_CANCEL);
        turn(client, 0);
    }
    assert_true(client_until(client, is_told_off, NULL));
    assert_int_equal(client->goaway_code, NGHTTP2_ENHANCE_YOUR_CALM);
    assert_true(client_ends(client));
    client_close(client);
}

static void test_ping_flood(void **state)
{
    (void)state;
    static const uint8_t ping[17] = {0, 0, 8, 6};
    static uint8_t pings[17 * 256];
    for (int i = 0; i < 256; i++)
        memcpy(pings + 17 * i, ping, 17);
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    static const uint8_t settings[9] = {0, 0, 0, 4};
    say_bytes(fd, H2_PREFACE, H2_PREFACE_LEN);
    say_bytes(fd, settings, 9);
    ssize_t n = 1;
    for (int i = 0; i < 20000 && n > 0; i++)
        n = send(fd, pings, sizeof(pings), MSG_NOSIGNAL);
    assert_true(n <= 0 && (errno == EPIPE || errno == ECONNRESET)); /* and not: still blocked after 5 s */
    close(fd);
}

static void test_hang_up(void **state)
{
    (void)state;
    for (int via = HTTP_VIA_UNIX; via <= HTTP_VIA_TCP; via++) {
        struct client *client = open_client((enum http_via)via);
        struct call calls[3];
        call_get(client, &calls[0], "/follow");
        call_get(client, &calls[1], "/bytes?100000000");
        calls[1].hold = true;
        calls[2] = (struct call){0};
        call_start(client, &calls[2], "POST", "/x", NULL);
        assert_true(client_settles(client));
        client_close(client);
        for (int i = 0; i < 3; i++)
            call_finish(&calls[i]);
        assert_true(rig_reaches(rig, &rig->gone, 3 * ((unsigned)via + 1)));
    }
    assert_int_equal(rig_now(rig, &rig->whole), 0);
}

/* --- ends ------------------------------------------------------------------------------------------------ */

static void test_follow(void **state)
{
    (void)state;
    enum { N = 100 };
    static struct call calls[N];
    struct client *client = open_client(HTTP_VIA_UNIX);
    for (int i = 0; i < N; i++)
        call_get(client, &calls[i], "/follow");
    assert_true(client_settles(client));
    for (int i = 0; i < 3; i++)
        rig_order(rig, ORDER_EVENT);
    assert_true(client_settles(client));
    for (int i = 0; i < N; i++) {
        assert_string_equal(buf_cstr(&calls[i].body), "event 1\nevent 2\nevent 3\n");
        call_finish(&calls[i]);
    }
    client_close(client);
}

/* Both steps, then what is under way is answered, then the end. */
static void ends_well(int order)
{
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct client *quiet = open_client(HTTP_VIA_UNIX);
    struct call call = {0};
    assert_true(client_settles(quiet));
    call_start(client, &call, "POST", "/x", NULL);
    call_more(client, &call, "ab", 2, false);
    assert_true(client_settles(client));
    rig_order(rig, order);
    assert_true(client_until(client, is_told_off, NULL));
    assert_true(client_settles(client));
    assert_int_equal(client->goaways, 2);
    assert_int_equal(client->last_id, call.id);
    assert_int_equal(client->goaway_code, 0);
    call_more(client, &call, "cd", 2, true);
    call_expect(client, &call, 200, "abcd");
    assert_true(client_ends(client));
    assert_true(client_ends(quiet));
    assert_int_equal(quiet->goaways, 2);
    client_close(client);
    client_close(quiet);
}

static void test_shutdown(void **state)
{
    (void)state;
    rig->shutdown_ms = 5000;
    ends_well(ORDER_SHUTDOWN);
    assert_true(rig_reaches(rig, &rig->drained, 1));
}

static void test_shutdown_in_time(void **state)
{
    (void)state;
    rig->shutdown_ms = 50;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call;
    call_get(client, &call, "/never");
    assert_true(client_settles(client));
    rig_order(rig, ORDER_SHUTDOWN);
    assert_true(rig_reaches(rig, &rig->drained, 1));
    assert_true(client_ends(client));
    call_finish(&call);
    client_close(client);
}

static void test_door_ends(void **state)
{
    (void)state;
    rig->via_to_add = HTTP_VIA_UNIX;
    ends_well(ORDER_END);
}

static void test_door_is_cut(void **state)
{
    (void)state;
    struct client *tcp = open_client(HTTP_VIA_TCP);
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call call, other;
    call_get(client, &call, "/follow");
    assert_true(client_settles(client));
    rig_order(rig, ORDER_CUT);
    assert_true(client_ends(client));
    assert_true(rig_reaches(rig, &rig->gone, 1));
    call_get(tcp, &other, "/x");
    call_expect(tcp, &other, 200, "");
    call_finish(&call);
    client_close(client);
    client_close(tcp);
}

static void test_limit(void **state)
{
    (void)state;
    rig_stop(rig);
    rig = rig_start(1, 2);
    struct client *first = open_client(HTTP_VIA_UNIX), *second = open_client(HTTP_VIA_UNIX);
    assert_true(client_settles(first));
    assert_true(client_settles(second));
    int fd = rig_connect(rig, HTTP_VIA_UNIX);
    assert_true(hears_end(fd));
    close(fd);
    client_close(first);
    client_close(second);
}

static void test_stop_over_open_requests(void **state)
{
    (void)state;
    struct client *client = open_client(HTTP_VIA_UNIX);
    struct call calls[2];
    call_get(client, &calls[0], "/follow");
    call_get(client, &calls[1], "/never");
    assert_true(client_settles(client));
    rig_stop(rig);
    rig = rig_start(1, 0);
    call_finish(&calls[0]);
    call_finish(&calls[1]);
    client_close(client);
}

#define H2_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {H2_TEST(test_simple),
                                       H2_TEST(test_headers),
                                       H2_TEST(test_bare_answers),
                                       H2_TEST(test_settings_at_once),
                                       H2_TEST(test_preface_in_pieces),
                                       H2_TEST(test_no_preface),
                                       H2_TEST(test_many_streams),
                                       H2_TEST(test_stalled_reader),
                                       H2_TEST(test_deaf_reader),
                                       H2_TEST(test_duplex),
                                       H2_TEST(test_stalled_echo),
                                       H2_TEST(test_large_upload),
                                       H2_TEST(test_trailers),
                                       H2_TEST(test_abort),
                                       H2_TEST(test_early_answers),
                                       H2_TEST(test_expect_continue),
                                       H2_TEST(test_large_heads),
                                       H2_TEST(test_length_mismatch),
                                       H2_TEST(test_slow_clients),
                                       H2_TEST(test_reset),
                                       H2_TEST(test_rapid_resets),
                                       H2_TEST(test_ping_flood),
                                       H2_TEST(test_hang_up),
                                       H2_TEST(test_follow),
                                       H2_TEST(test_shutdown),
                                       H2_TEST(test_shutdown_in_time),
                                       H2_TEST(test_door_ends),
                                       H2_TEST(test_door_is_cut),
                                       H2_TEST(test_limit),
                                       H2_TEST(test_stop_over_open_requests)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
