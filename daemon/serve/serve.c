/*
 * HTTP through frames: its listeners, and who gets a request.
 */
#include "daemon/serve/serve.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/feed.h"
#include "daemon/run/programs.h"
#include "daemon/serve/page.h"
#include "daemon/serve/visit.h"

void serve_hold(struct serve *serve)
{
    serve->holds++;
}

void serve_drop(struct serve *serve)
{
    if (--serve->holds > 0)
        return;
    free(serve->buckets);
    free(serve->ways);
    free(serve);
}

/* --- requests -------------------------------------------------------------------------------------- */

/* Handlers may well follow everything and answer; others that follow everything look on. */
static bool has_responder(const struct serve *serve)
{
    struct span topic = span_str("http.request");
    return feed_awaited(serve->site->feed, topic) || programs_await(serve->site->programs, topic);
}

static void begin(void *arg, struct http_req *req)
{
    struct way *way = arg;
    struct serve *serve = way->serve;
    serve->site->requests++;
    if (serve->ending)
        http_reply(req, 503, NULL, (struct span){0}, NULL);
    else if (has_responder(serve))
        visit_begin(serve, req);
    else
        page_begin(way, req);
}

static size_t body(void *arg, struct http_req *req, struct span bytes)
{
    struct caller *caller = http_state(req);
    (void)arg;
    return caller && caller->body ? caller->body(caller, bytes) : bytes.len;
}

static void end(void *arg, struct http_req *req)
{
    struct caller *caller = http_state(req);
    (void)arg;
    if (caller && caller->end)
        caller->end(caller);
}

static void gone(void *arg, struct http_req *req, bool complete)
{
    struct caller *caller = http_state(req);
    (void)arg;
    if (caller)
        caller->gone(caller, complete);
}

static const struct http_handler handler = {
    .begin = begin, .body = body, .end = end, .gone = gone};

/* --- listeners ------------------------------------------------------------------------------------- */

static void accepted(void *arg, int fd, enum http_via via)
{
    struct way *way = arg;
    struct err err = ERR_INIT;
    (void)via;
    if (http_add(way->serve->site->daemon->http, fd, &way->door, &err) < 0)
        log_say(way->serve->site->daemon->log, LOG_WARN, "serve", "error=\"%s\"", err.text);
}

static bool full(void *arg)
{
    const struct way *way = arg;
    return http_full(way->serve->site->daemon->http);
}

static int listen_on(struct serve *serve, const char *address, struct err *err)
{
    struct way *way = &serve->ways[serve->way_count];
    struct daemon *daemon = serve->site->daemon;
    const struct listen_options options = {
        .loop = daemon->loop, .accepted = accepted, .full = full, .arg = way, .anywhere = true};
    way->serve = serve;
    int rc = listen_expose(&way->listener, &options, address, err);
    if (rc < 0)
        return rc;
    enum http_via via = listen_via(way->listener);
    way->door = (struct http_door){
        .via = via, .handler = &handler, .arg = way, .end_is_gone = via == HTTP_VIA_TCP};
    serve->way_count++;
    log_say(daemon->log, LOG_INFO, "serve", "listening=%s", listen_address(way->listener));
    return page_open(way, err);
}

static int listen_all(struct serve *serve, const char *const *addresses, struct err *err)
{
    size_t count = 0;
    int rc = 0;
    while (addresses[count])
        count++;
    serve->ways = calloc(count + 1, sizeof(*serve->ways));
    if (!serve->ways)
        return -ENOMEM;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = listen_on(serve, addresses[i], err);
    return rc;
}

/* --- life ------------------------------------------------------------------------------------------ */

static bool wanted(void *arg, const struct frame *frame)
{
    (void)arg;
    return frame->meta.len > 0;
}

static void lost(void *arg, uint64_t count)
{
    const struct serve *serve = arg;
    log_say(serve->site->daemon->log, LOG_WARN, "serve", "lost=%llu reason=\"the loop fell behind\"",
            (unsigned long long)count);
}

static int open_streams(struct serve *serve, struct err *err)
{
    const struct pump_options responses = {.site = serve->site,
                                           .query = {.stream = span_str("http.response"),
                                                     .follow = true,
                                                     .skip_history = true},
                                           .contents = true,
                                           .filter = wanted,
                                           .frame = response_frame,
                                           .lost = lost,
                                           .arg = serve};
    const struct emit_options out = {.site = serve->site, .authority = AUTHORITY_DAEMON};
    int rc = pump_create(&serve->responses, &responses, err);
    return rc == 0 ? emit_create(&serve->emit, &out, err) : rc;
}

static void set_limits(struct serve *serve, const struct serve_options *options)
{
    unsigned seconds = options->timeout_s ? options->timeout_s : SERVE_TIMEOUT_S;
    serve->durable = options->durable;
    serve->timeout_ms = (uint64_t)seconds * 1000;
    serve->body_max = options->body_max ? options->body_max : SERVE_BODY_MAX;
    serve->request_max = options->request_max ? options->request_max : SERVE_REQUEST_MAX;
    serve->bucket_mask = 1;
    while (serve->bucket_mask < serve->request_max * 2)
        serve->bucket_mask = serve->bucket_mask * 2 + 1;
}

int serve_create(struct serve **out, struct site *site, const struct serve_options *options,
                 struct err *err)
{
    struct serve *serve = calloc(1, sizeof(*serve));
    if (!serve)
        return err_set(err, -ENOMEM, "no memory to serve HTTP");
    serve->site = site;
    serve->holds = 3; /* the owner, the two timers */
    set_limits(serve, options);
    uv_timer_init(site->daemon->loop, &serve->clock);
    uv_timer_init(site->daemon->loop, &serve->patience);
    serve->clock.data = serve->patience.data = serve;
    serve->buckets = calloc(serve->bucket_mask + 1, sizeof(struct visit *));
    int rc = serve->buckets ? open_streams(serve, err) : -ENOMEM;
    if (rc == 0)
        rc = listen_all(serve, options->addresses, err);
    if (rc < 0) {
        if (rc == -ENOMEM)
            err_set(err, rc, "no memory to serve HTTP");
        serve_destroy(serve);
        return rc;
    }
    *out = serve;
    return 0;
}

void serve_end(struct serve *serve)
{
    if (!serve || serve->ending)
        return;
    serve->ending = true;
    for (size_t i = 0; i < serve->way_count; i++) {
        listen_destroy(serve->ways[i].listener);
        serve->ways[i].listener = NULL;
    }
    if (serve->buckets)
        visit_end_all(serve);
}

static void timer_closed(uv_handle_t *handle)
{
    serve_drop(handle->data);
}

void serve_destroy(struct serve *serve)
{
    if (!serve)
        return;
    serve_end(serve);
    serve->destroyed = true;
    pump_destroy(serve->responses);
    emit_destroy(serve->emit);
    uv_close((uv_handle_t *)&serve->clock, timer_closed);
    uv_close((uv_handle_t *)&serve->patience, timer_closed);
    serve_drop(serve);
}

size_t serve_open(const struct serve *serve)
{
    return serve ? serve->open : 0;
}
