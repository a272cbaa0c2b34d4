#include "daemon/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "daemon/exchange.h"
#include "daemon/feed.h"
#include "daemon/sweep.h"
#include "daemon/systemd.h"

#define DRAIN_MS 3000 /* answers under way at the end get this long */
#define IDLE_LOOK_MS 1000

/* What only the life itself needs. */
struct life {
    struct daemon daemon;
    uv_loop_t loop;
    uv_signal_t sigint, sigterm;
    uv_timer_t idle;
    uint64_t busy_ms;  /* loop time of the last look that found a connection, or requests since the
                          one before */
    uint64_t requests; /* served at the last look */
    struct submission marker;
    struct store_frame marker_frame;
    bool stopping, drained;
};

/* --- signals
 * --------------------------------------------------------------------------------------- */

void loop_hold_signals(void)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &held, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void release_signals(void)
{
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGINT);
    sigaddset(&held, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &held, NULL);
}

/* --- the store's threads tell
 * ------------------------------------------------------------------------ */

static void on_published(void *arg)
{
    struct daemon *d = arg;
    submit_published(&d->submit);
}

static void on_indexed(void *arg, uint64_t number)
{
    struct daemon *d = arg;
    if (atomic_load(&d->contents_open))
        held_indexed(&d->held, number);
}

/* On the index thread itself, right after the commit: see held.h for why that is safe. */
static void on_freed(void *arg, const uint8_t digest[static DIGEST_SIZE])
{
    struct daemon *d = arg;
    struct err err = ERR_INIT;
    int rc = atomic_load(&d->contents_open) ? cas_remove(d->cas, digest, &err) : 0;
    if (rc < 0 && rc != -EBUSY)
        log_say(d->log, LOG_WARN, "cas", "error=\"%s\"", err.text);
}

static void publish(void *arg)
{
    struct daemon *d = arg;
    http_flush(d->http); /* answers before log lines and followers */
    feed_published(d->feed);
}

/* --- marker frames
 * ------------------------------------------------------------------------------------ */

static void make_marker(struct submission *s, struct store_frame *frame, const char *topic,
                        struct span meta)
{
    *frame =
        (struct store_frame){.topic = span_str(topic), .meta = meta, .ttl = {.kind = TTL_NULL}};
    *s = (struct submission){
        .op = {.kind = STORE_APPEND, .authority = AUTHORITY_DAEMON, .frames = frame, .count = 1}};
}

/* Waits for it: only before the first connection and after the last. */
static int append_marker(struct daemon *d, const char *topic, struct span meta, struct err *err)
{
    struct submission s;
    struct store_frame frame;
    make_marker(&s, &frame, topic, meta);
    int rc = store_run(d->store, &s.op);
    if (rc < 0 && err)
        *err = s.op.err;
    return rc;
}

/* {"expose":ADDR}, of several an array, of none null. */
static int start_meta(const struct daemon *d, struct buf *out)
{
    size_t n = d->exposed_count;
    int rc = n > 0 ? buf_add_str(out, n > 1 ? "{\"expose\":[" : "{\"expose\":") : 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = i > 0 ? buf_add_str(out, ",") : 0;
        if (rc == 0)
            rc = json_put_string(out, span_str(d->exposed[i]));
    }
    return rc == 0 && n > 0 ? buf_add_str(out, n > 1 ? "]}" : "}") : rc;
}

static int announce(struct daemon *d, struct err *err)
{
    struct err why = ERR_INIT;
    CLEAN_BUF meta = BUF_INIT;
    if (start_meta(d, &meta) < 0)
        return err_set(err, -ENOMEM, "no memory to start");
    if (append_marker(d, "xs.start", buf_span(&meta), &why) < 0)
        log_say(d->log, LOG_ERROR, "store", "not_appended=xs.start reason=\"%s\"", why.text);
    return 0;
}

/* --- listeners
 * ------------------------------------------------------------------------------------------ */

static void accepted(void *arg, int fd, enum http_via via)
{
    struct daemon *d = arg;
    struct err err = ERR_INIT;
    if (http_add(d->http, fd, via, &err) < 0)
        log_say(d->log, LOG_WARN, "http", "error=\"%s\"", err.text);
}

static bool full(void *arg)
{
    const struct daemon *d = arg;
    return http_full(d->http);
}

static void add_listener(struct daemon *d, struct listener *listener, bool exposed)
{
    size_t tcp = 0;
    while (d->addresses[tcp])
        tcp++;
    d->listeners[d->listener_count++] = listener;
    if (exposed)
        d->exposed[d->exposed_count++] = listen_address(listener);
    if (listen_via(listener) == HTTP_VIA_TCP)
        d->addresses[tcp] = listen_address(listener);
}

static int take_systemd(struct daemon *d, const struct listen_options *options, struct err *err)
{
    int first;
    int count = systemd_sockets(&first);
    for (int i = 0; i < count; i++) {
        struct listener *listener;
        if (d->listener_count + OPTIONS_EXPOSE_MAX >=
            sizeof(d->listeners) / sizeof(d->listeners[0]) - 1)
            return err_set(err, ERR_INVALID, "too many sockets were handed over");
        int rc = listen_fd(&listener, options, first + i, err);
        if (rc < 0)
            return rc;
        add_listener(d, listener, true);
    }
    return 0;
}

static int listen_all(struct daemon *d, struct err *err)
{
    const struct listen_options options = {
        .loop = d->loop, .accepted = accepted, .full = full, .arg = d};
    struct listener *listener;
    int rc = listen_unix_at(&listener, &options, store_dirfd(d->store), "sock", err);
    if (rc < 0)
        return rc;
    add_listener(d, listener, false);
    for (unsigned i = 0; i < d->options->expose_count; i++) {
        rc = listen_expose(&listener, &options, d->options->expose[i], err);
        if (rc < 0)
            return rc;
        add_listener(d, listener, true);
    }
    return take_systemd(d, &options, err);
}

static void stop_listening(struct daemon *d)
{
    while (d->listener_count > 0)
        listen_destroy(d->listeners[--d->listener_count]);
    memset(d->addresses, 0, sizeof(d->addresses));
    d->exposed_count = 0;
}

/* --- stopping
 * ------------------------------------------------------------------------------------------ */

static void drained(void *arg)
{
    struct life *life = arg;
    life->drained = true;
    uv_stop(&life->loop);
}

/* xs.stopping is in the log, so followers see it before their answers end. */
static void stopping_told(struct submission *submission)
{
    struct life *life = (struct life *)((char *)submission - offsetof(struct life, marker));
    struct daemon *d = &life->daemon;
    if (submission->op.result < 0)
        log_say(d->log, LOG_WARN, "store", "not_appended=xs.stopping reason=\"%s\"",
                submission->op.err.text);
    feed_end(d->feed);
    http_shutdown(d->http, DRAIN_MS, drained, life);
}

static void stop(struct life *life)
{
    struct daemon *d = &life->daemon;
    if (life->stopping)
        return;
    life->stopping = true;
    log_say(d->log, LOG_INFO, "daemon", "stopping=%s", d->options->path);
    systemd_notify(SYSTEMD_STOPPING);
    stop_listening(d);
    make_marker(&life->marker, &life->marker_frame, "xs.stopping", (struct span){0});
    life->marker.after = stopping_told;
    submit_op(&d->submit, &life->marker);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

static void on_idle(uv_timer_t *timer)
{
    struct life *life = timer->data;
    uint64_t now = uv_now(&life->loop);
    if (http_connections(life->daemon.http) > 0 || life->requests != life->daemon.requests)
        life->busy_ms = now;
    else if (now - life->busy_ms >= (uint64_t)life->daemon.options->idle_exit_s * 1000)
        stop(life);
    life->requests = life->daemon.requests;
}

/* --- opening and closing
 * -------------------------------------------------------------------------------- */

static int open_contents(struct daemon *d, struct err *err)
{
    const struct store_options options = {.workers = d->workers,
                                          .reserve = true,
                                          .published = on_published,
                                          .indexed = on_indexed,
                                          .freed = on_freed,
                                          .arg = d};
    /* The store's lock comes first. What it frees before the contents are open is left to the
     * sweep. */
    int rc = store_open(&d->store, d->options->path, &options, err);
    if (rc == 0)
        rc = cas_open(&d->cas, store_dirfd(d->store), "cas", err);
    if (rc < 0)
        return rc;
    held_init(&d->held, d->cas);
    d->submit.store = d->store;
    atomic_store(&d->contents_open, true);
    return 0;
}

static int open_all(struct life *life, struct err *err)
{
    struct daemon *d = &life->daemon;
    const struct http_options http = {
        .handler = &api_handler, .arg = d, .idle_timeout_s = d->options->idle_timeout_s};
    int rc = submit_init(&d->submit, d->loop, publish, d);
    if (rc < 0)
        return err_sys(err, -rc, "start the loop");
    rc = store_workers_create(&d->workers, err);
    if (rc == 0)
        rc = open_contents(d, err);
    if (rc < 0)
        return rc;
    rc = feed_create(&d->feed, d, err);
    if (rc == 0)
        rc = http_create(&d->http, d->loop, &http, err);
    if (rc == 0)
        rc = listen_all(d, err);
    d->guard = (struct guard){
        .addresses = d->addresses, .host = d->options->host, .cors = d->options->cors};
    if (rc == 0)
        rc = sweep_create(&d->sweep, d, err);
    return rc == 0 ? announce(d, err) : rc;
}

static void start_handles(struct life *life)
{
    uv_signal_init(&life->loop, &life->sigint);
    uv_signal_init(&life->loop, &life->sigterm);
    uv_timer_init(&life->loop, &life->idle);
    life->sigint.data = life->sigterm.data = life->idle.data = life;
    uv_signal_start(&life->sigint, on_signal, SIGINT);
    uv_signal_start(&life->sigterm, on_signal, SIGTERM);
    if (life->daemon.options->idle_exit_s > 0)
        uv_timer_start(&life->idle, on_idle, IDLE_LOOK_MS, IDLE_LOOK_MS);
    life->busy_ms = uv_now(&life->loop);
}

static void tell_ready(const struct daemon *d)
{
    log_say(d->log, LOG_INFO, "daemon", "serving=%s pid=%ld", d->options->path, (long)getpid());
    for (size_t i = 0; i < d->exposed_count; i++)
        log_say(d->log, LOG_INFO, "daemon", "listening=%s", d->exposed[i]);
    systemd_notify(SYSTEMD_READY);
    if (d->options->ready_fd < 0)
        return;
    ssize_t n = write(d->options->ready_fd, "\n", 1);
    (void)n; /* who does not wait any more needs no byte */
    close(d->options->ready_fd);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Lets jobs and operations end, so that nothing refers to what is closed next. */
static void settle(struct life *life)
{
    struct daemon *d = &life->daemon;
    http_destroy(d->http);
    d->http = NULL;
    while (d->submit.pending > 0)
        uv_run(&life->loop, UV_RUN_ONCE);
    feed_destroy(d->feed);
    uv_walk(&life->loop, close_handle, NULL);
    uv_run(&life->loop, UV_RUN_DEFAULT);
}

static void close_all(struct life *life)
{
    struct daemon *d = &life->daemon;
    stop_listening(d);
    sweep_destroy(d->sweep);
    settle(life);
    store_close(d->store);
    if (d->cas)
        held_finish(&d->held);
    cas_close(d->cas);
    store_workers_destroy(d->workers);
    submit_finish(&d->submit);
    uv_loop_close(&life->loop);
}

int loop_serve(const struct options *options, struct log *log, struct err *err)
{
    struct life *life = calloc(1, sizeof(*life));
    if (!life)
        return err_set(err, -ENOMEM, "no memory to start");
    struct daemon *d = &life->daemon;
    d->options = options;
    d->log = log;
    d->loop = &life->loop;
    d->started_us = time_mono_us();
    pool_prepare();
    int rc = uv_loop_init(&life->loop);
    if (rc < 0) {
        free(life);
        return err_sys(err, -rc, "start the loop");
    }
    rc = open_all(life, err);
    if (rc == 0) {
        start_handles(life);
        release_signals();
        tell_ready(d);
        while (!life->drained)
            uv_run(&life->loop, UV_RUN_DEFAULT);
        append_marker(d, "xs.stop", (struct span){0}, NULL);
        feed_published(d->feed);
    }
    close_all(life);
    free(life);
    return rc;
}
