/*
 * The HTTP server with a handler that answers at once: what the transport itself costs. Listens on
 * the Unix socket ./NAME given as only argument until SIGTERM. GET /follow stays open; GET /bytes
 * sends 2 GB.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/http/http.h"
#include "daemon/http/listen.h"

static struct http_server *server;
static struct http_door door;
static struct listener *listener;

static long read_never(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    (void)arg, (void)req, (void)into, (void)room;
    return HTTP_WAIT;
}

static long read_bytes(void *arg, struct http_req *req, uint8_t *into, size_t room)
{
    (void)arg, (void)req;
    memset(into, 'b', room);
    return (long)room;
}

static void on_begin(void *arg, struct http_req *req)
{
    (void)arg;
    http_set_state(req, http_method(req) == HTTP_GET && http_path(req).len > 1 ? &server : NULL); /* it is answered */
    if (span_is(http_path(req), "/follow"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_never, NULL);
    else if (span_is(http_path(req), "/bytes"))
        http_reply_stream(req, 200, NULL, UINT64_C(2000000000), read_bytes, NULL);
    else if (span_is(http_path(req), "/chunks"))
        http_reply_stream(req, 200, NULL, UINT64_MAX, read_bytes, NULL);
}

static size_t on_body(void *arg, struct http_req *req, struct span bytes)
{
    (void)arg, (void)req;
    return bytes.len;
}

static void on_end(void *arg, struct http_req *req)
{
    (void)arg;
    if (http_state(req))
        return;
    http_reply(req, 200, "application/json",
               span_str("{\"topic\":\"t\",\"id\":\"03d4q1qhbiv09ovtuhokw5yxv\"}"), NULL);
}

static void on_gone(void *arg, struct http_req *req, bool complete)
{
    (void)arg, (void)req, (void)complete;
}

static void on_accepted(void *arg, int fd, enum http_via via)
{
    (void)arg;
    door.via = via;
    (void)http_add(server, fd, &door, NULL);
}

static bool is_full(void *arg)
{
    (void)arg;
    return http_full(server);
}

static void on_drained(void *arg)
{
    (void)arg;
    http_destroy(server);
}

static void on_signal(uv_signal_t *signal, int number)
{
    (void)number;
    uv_close((uv_handle_t *)signal, NULL);
    listen_destroy(listener);
    http_shutdown(server, 100, on_drained, NULL);
}

int main(int argc, char **argv)
{
    static const struct http_handler handler = {on_begin, on_body, on_end, on_gone};
    struct err err = ERR_INIT;
    uv_loop_t *loop = uv_default_loop();
    struct http_options http = {0};
    door.handler = &handler;
    struct listen_options options = {.loop = loop, .accepted = on_accepted, .full = is_full};
    uv_signal_t term;
    int here = open(".", O_DIRECTORY | O_CLOEXEC);
    if (argc != 2 || http_create(&server, loop, &http, &err) < 0 ||
        listen_unix_at(&listener, &options, here, argv[1], &err) < 0) {
        fprintf(stderr, "http_server NAME: %s\n", err.text);
        return 1;
    }
    uv_signal_init(loop, &term);
    uv_signal_start(&term, on_signal, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    return 0;
}
