#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/rig/h2_client.h"

#define PATIENCE_MS 5000

static struct call *call_at(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct call *call = call_at(session, frame->hd.stream_id);
    (void)flags, (void)user;
    if (!call)
        return 0;
    bool trailer = frame->headers.cat == NGHTTP2_HCAT_HEADERS && call->status >= 200;
    if (name_len == 7 && memcmp(name, ":status", 7) == 0) {
        call->continued = call->continued || memcmp(value, "100", 3) == 0;
        call->status = atoi((const char *)value);
    } else {
        assert_int_equal(buf_addf(trailer ? &call->trailers : &call->head, "%.*s: %.*s\n", (int)name_len, name, (int)value_len, value), 0);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *bytes, size_t len, void *user)
{
    struct call *call = call_at(session, id);
    (void)flags, (void)user;
    if (!call)
        return 0;
    assert_int_equal(buf_add(&call->body, bytes, len), 0);
    nghttp2_session_consume_connection(session, len);
    if (!call->hold)
        nghttp2_session_consume_stream(session, id, len);
    else
        call->held += len;
    return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *client = user;
    struct call *call = frame->hd.stream_id ? call_at(session, frame->hd.stream_id) : NULL;
    if (call && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
        call->ended = true;
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK))
        client->pongs++;
    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        client->settings++;
    if (frame->hd.type != NGHTTP2_GOAWAY)
        return 0;
    client->goaways++;
    client->last_id = frame->goaway.last_stream_id;
    client->goaway_code = frame->goaway.error_code;
    return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
    struct call *call = call_at(session, id);
    (void)user;
    if (!call)
        return 0;
    call->closed = true;
    call->code = code;
    return 0;
}

struct client *client_open(int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    nghttp2_session_callbacks *c;
    nghttp2_option *option;
    assert_non_null(client);
    client->fd = fd;
    nghttp2_session_callbacks_new(&c);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_send_header_block_length(option, 1 << 20);
    nghttp2_session_callbacks_set_on_header_callback(c, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
    assert_int_equal(nghttp2_session_client_new2(&client->session, c, client, option), 0);
    nghttp2_session_callbacks_del(c);
    nghttp2_option_del(option);
    nghttp2_submit_settings(client->session, NGHTTP2_FLAG_NONE, NULL, 0);
    /* The streams' windows are what the tests are about. */
    nghttp2_session_set_local_window_size(client->session, NGHTTP2_FLAG_NONE, 0, 16 << 20);
    return client;
}

void client_close(struct client *client)
{
    nghttp2_session_del(client->session);
    buf_finish(&client->out);
    close(client->fd);
    free(client);
}

static ssize_t give_body(nghttp2_session *session, int32_t id, uint8_t *into, size_t room, uint32_t *flags, nghttp2_data_source *source,
                         void *user)
{
    struct call *call = source->ptr;
    (void)session, (void)id, (void)user;
    size_t left = call->upload.len - call->uploaded;
    size_t n = left < room ? left : room;
    if (n == 0 && !call->upload_ends)
        return NGHTTP2_ERR_DEFERRED;
    memcpy(into, call->upload.ptr ? call->upload.ptr + call->uploaded : into, n);
    call->uploaded += n;
    if (n == left && call->upload_ends)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

static nghttp2_nv nv_of(const char *name, const char *value)
{
    return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE};
}

void call_start(struct client *client, struct call *call, const char *method, const char *path, const char *const *fields)
{
    nghttp2_nv nv[64] = {nv_of(":method", method), nv_of(":scheme", "http"), nv_of(":authority", "localhost"), nv_of(":path", path)};
    size_t count = 4;
    for (; fields && *fields; fields += 2)
        nv[count++] = nv_of(fields[0], fields[1]);
    nghttp2_data_provider body = {.source.ptr = call, .read_callback = give_body};
    bool bodied = call->upload.len > 0 || !call->upload_ends;
    call->id = nghttp2_submit_request(client->session, NULL, nv, count, bodied && strcmp(method, "POST") == 0 ? &body : NULL, call);
    assert_true(call->id > 0);
}

void call_get(struct client *client, struct call *call, const char *path)
{
    *call = (struct call){.upload_ends = true};
    call_start(client, call, "GET", path, NULL);
}

void call_post(struct client *client, struct call *call, const char *path, const void *bytes, size_t len)
{
    *call = (struct call){.upload_ends = true};
    assert_int_equal(buf_add(&call->upload, bytes, len), 0);
    call_start(client, call, "POST", path, NULL);
}

void call_more(struct client *client, struct call *call, const void *bytes, size_t len, bool ends)
{
    assert_int_equal(buf_add(&call->upload, bytes, len), 0);
    call->upload_ends = ends;
    nghttp2_session_resume_data(client->session, call->id);
}

void call_release(struct client *client, struct call *call)
{
    call->hold = false;
    nghttp2_session_consume_stream(client->session, call->id, call->held);
    call->held = 0;
}

void call_finish(struct call *call)
{
    buf_finish(&call->head);
    buf_finish(&call->body);
    buf_finish(&call->trailers);
    buf_finish(&call->upload);
}

/* --- moving ---------------------------------------------------------------------------------------- */

static bool push(struct client *client)
{
    const uint8_t *bytes;
    ssize_t n;
    while (client->out.len < 65536 && (n = nghttp2_session_mem_send(client->session, &bytes)) > 0)
        assert_int_equal(buf_add(&client->out, bytes, (size_t)n), 0);
    if (client->out.len == 0)
        return false;
    n = send(client->fd, client->out.ptr, client->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN)
        client->over = true;
    buf_consume(&client->out, n > 0 ? (size_t)n : client->over ? client->out.len : 0);
    return n > 0;
}

static bool pull(struct client *client)
{
    static uint8_t bytes[65536];
    if (client->deaf)
        return false;
    ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        client->over = true;
    if (n > 0)
        assert_int_equal(nghttp2_session_mem_recv(client->session, bytes, (size_t)n), n);
    return n > 0;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void turn(struct client *client, int timeout_ms)
{
    bool moved = push(client);
    moved = pull(client) || moved;
    if (moved || client->over)
        return;
    struct pollfd poll_fd = {.fd = client->fd, .events = (short)((client->deaf ? 0 : POLLIN) | (client->out.len ? POLLOUT : 0))};
    poll(&poll_fd, 1, timeout_ms);
}

bool client_until(struct client *client, bool (*reached)(struct client *client, void *arg), void *arg)
{
    int64_t end = now_ms() + PATIENCE_MS;
    while (!reached(client, arg)) {
        if (now_ms() > end || (client->over && !pull(client)))
            return reached(client, arg);
        turn(client, 20);
    }
    return true;
}

static bool is_over(struct client *client, void *arg)
{
    (void)arg;
    return client->over;
}

bool client_ends(struct client *client)
{
    return client_until(client, is_over, NULL);
}

static bool is_closed(struct client *client, void *arg)
{
    (void)client;
    return ((struct call *)arg)->closed;
}

bool call_closes(struct client *client, struct call *call)
{
    return client_until(client, is_closed, call);
}

/* A PING goes behind all that was sent, and its answer comes behind what the server made of that. */
static bool has_ponged(struct client *client, void *arg)
{
    return client->pongs >= *(unsigned *)arg;
}

bool client_settles(struct client *client)
{
    unsigned next = client->pongs + 1;
    nghttp2_submit_ping(client->session, NGHTTP2_FLAG_NONE, NULL);
    return client_until(client, has_ponged, &next);
}

void call_expect(struct client *client, struct call *call, int status, const char *body)
{
    assert_true(call_closes(client, call));
    assert_int_equal(call->status, status);
    assert_true(call->ended);
    assert_int_equal(call->code, 0);
    if (body)
        assert_string_equal(buf_cstr(&call->body), body);
    call_finish(call);
}
