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
#include "daemon/http/tls.h"
#include "daemon/run/programs.h"
#include "daemon/run/spawn.h"
#include "daemon/s2/basins.h"
#include "daemon/s2/empty.h"
#include "daemon/s2/init_apply.h"
#include "daemon/serve/serve.h"
#include "daemon/site.h"
#include "daemon/stores.h"
#include "daemon/systemd.h"
#include "daemon/tls_open.h"

#define DRAIN_MS 3000 /* answers under way at the end get this long */
#define IDLE_LOOK_MS 1000

/* What only the life itself needs. */
struct life {
    struct daemon daemon;
    struct site root;
    uv_loop_t loop;
    uv_signal_t sigint, sigterm;
    uv_timer_t idle;
    uint64_t busy_ms;  /* loop time of the last look that found a connection, or requests since the
                          one before */
    uint64_t requests; /* served at the last look */
    struct submission marker;
    struct store_frame marker_frame;
    bool stopping, drained;
    unsigned ends; /* of what must end before the followers do */
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

/* --- xs.start
 * ------------------------------------------------------------------------------------ */

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
    if (site_mark(d->root, "xs.start", buf_span(&meta), &why) < 0)
        log_say(d->log, LOG_ERROR, "store", "not_appended=xs.start reason=\"%s\"", why.text);
    return 0;
}

/* --- listeners
 * ------------------------------------------------------------------------------------------ */

static void accepted(void *arg, int fd, enum http_via via)
{
    struct daemon *d = arg;
    site_accept(d->root, fd, via);
}

static bool full(void *arg)
{
    const struct daemon *d = arg;
    return d->starting || http_full(d->http);
}

static void add_listener(struct daemon *d, struct listener *listener)
{
    size_t tcp = 0;
    while (d->addresses[tcp])
        tcp++;
    d->listeners[d->listener_count++] = listener;
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
        add_listener(d, listener);
    }
    return 0;
}

static int listen_all(struct daemon *d, struct err *err)
{
    const struct listen_options options = {
        .loop = d->loop, .accepted = accepted, .full = full, .anywhere = options_anywhere(d->options), .arg = d};
    struct listener *listener;
    int rc = site_listen(d->root, err);
    for (unsigned i = 0; rc == 0 && i < d->options->expose_count; i++) {
        rc = listen_expose(&listener, &options, d->options->expose[i], err);
        if (rc < 0)
            return rc;
        add_listener(d, listener);
    }
    return rc == 0 ? take_systemd(d, &options, err) : rc;
}

static void stop_listening(struct daemon *d)
{
    listen_destroy(d->root->socket);
    d->root->socket = NULL;
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

/* Programs and stores have ended, and said so in the log: followers have it before their answers end. */
static void one_ended(void *arg)
{
    struct life *life = arg;
    struct daemon *d = &life->daemon;
    if (--life->ends > 0)
        return;
    serve_end(d->root->serve);
    feed_end(d->root->feed);
    s2_site_ends(d->root);
    http_shutdown(d->http, DRAIN_MS, drained, life);
}

static void end_programs(struct life *life)
{
    struct daemon *d = &life->daemon;
    life->ends = 1;
    if (d->root->programs) {
        life->ends++;
        programs_stop(d->root->programs, one_ended, life);
    }
    if (d->stores) {
        life->ends++;
        stores_stop(d->stores, one_ended, life);
    }
    one_ended(life);
}

/* xs.stopping is in the log. */
static void stopping_told(struct submission *submission)
{
    struct life *life = (struct life *)((char *)submission - offsetof(struct life, marker));
    struct daemon *d = &life->daemon;
    if (submission->op.result < 0)
        log_say(d->log, LOG_WARN, "store", "not_appended=xs.stopping reason=\"%s\"",
                submission->op.err.text);
    end_programs(life);
}

static void stop(struct life *life)
{
    struct daemon *d = &life->daemon;
    if (life->stopping)
        return;
    life->stopping = d->ending = true;
    log_say(d->log, LOG_INFO, "daemon", "stopping=%s", d->options->path);
    systemd_notify(SYSTEMD_STOPPING);
    stop_listening(d);
    life->marker_frame = (struct store_frame){.topic = span_str("xs.stopping")};
    life->marker = (struct submission){.op = {.kind = STORE_APPEND,
                                              .authority = AUTHORITY_DAEMON,
                                              .frames = &life->marker_frame,
                                              .count = 1},
                                       .after = stopping_told};
    submit_op(&d->root->source, &life->marker);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    stop(handle->data);
}

/* Somebody is connected or was, or the daemon has work of its own. */
static bool is_wanted(const struct life *life)
{
    const struct daemon *d = &life->daemon;
    size_t open;
    stores_count(d->stores, &open);
    return http_connections(d->http) > 0 || life->requests != life->root.requests || open > 0 ||
           programs_count(d->root->programs) > 0 || d->root->serve;
}

static void on_idle(uv_timer_t *timer)
{
    struct life *life = timer->data;
    uint64_t now = uv_now(&life->loop);
    if (is_wanted(life))
        life->busy_ms = now;
    else if (now - life->busy_ms >= (uint64_t)life->daemon.options->idle_exit_s * 1000)
        stop(life);
    life->requests = life->root.requests;
}

/* --- opening and closing
 * -------------------------------------------------------------------------------- */

static int start_programs(struct daemon *d, struct err *err)
{
    int rc = runner_create(&d->runner, d->loop, d->log, err);
    if (rc == 0)
        rc = programs_start(d->root, NULL, NULL, err);
    if (rc == 0)
        rc = stores_start(&d->stores, d->root, err);
    return rc == 0 ? basins_create(&d->basins, d->root,
                                   d->options->basin ? d->options->basin : OPTIONS_BASIN, err)
                   : rc;
}

static int serve_frames(struct daemon *d, struct err *err)
{
    const struct serve_options options = {.addresses = d->options->http,
                                          .durable = d->options->http_durable,
                                          .timeout_s = d->options->http_timeout_s,
                                          .body_max = d->options->http_body_max};
    return d->options->http_count > 0 ? serve_create(&d->root->serve, d->root, &options, err) : 0;
}

static int open_all(struct life *life, struct err *err)
{
    struct daemon *d = &life->daemon;
    const struct http_options http = {.idle_timeout_s = d->options->idle_timeout_s};
    int rc = submit_init(&d->submit, d->loop);
    if (rc < 0)
        return err_sys(err, -rc, "start the loop");
    rc = store_workers_create(&d->workers, err);
    if (rc == 0)
        rc = site_init(&life->root, d, "", d->options->path, err);
    if (rc == 0)
        rc = site_open(&life->root, err);
    if (rc == 0)
        rc = site_start(&life->root, err);
    if (rc == 0)
        rc = auth_create(&d->auth, d->root, err);
    if (rc == 0)
        rc = http_create(&d->http, d->loop, &http, err);
    if (rc == 0)
        rc = listen_all(d, err);
    if (rc == 0)
        rc = tls_open(d, err);
    if (rc == 0)
        rc = auth_listens(d->auth, d->addresses, err);
    if (rc == 0 && d->options->require_token)
        auth_close(d->auth);
    d->guard = (struct guard){
        .addresses = d->addresses, .names = d->tls ? tls_names(d->tls) : NULL, .host = d->options->host, .cors = d->options->cors};
    if (rc == 0)
        rc = announce(d, err);
    if (rc == 0)
        rc = start_programs(d, err);
    if (rc == 0)
        rc = serve_frames(d, err);
    if (rc == 0 && d->options->init)
        rc = init_apply(d, d->options->init, err);
    if (rc == 0)
        rc = empties_create(&d->empties, d, err);
    d->starting = false;
    return rc;
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
    empties_destroy(d->empties);
    serve_destroy(d->root->serve);
    programs_destroy(d->root->programs);
    stores_destroy(d->stores);
    runner_destroy(d->runner);
    while (d->submit.pending > 0)
        uv_run(&life->loop, UV_RUN_ONCE);
    basins_destroy(d->basins);
    site_stop(d->root);
    uv_walk(&life->loop, close_handle, NULL);
    uv_run(&life->loop, UV_RUN_DEFAULT);
}

static void close_all(struct life *life)
{
    struct daemon *d = &life->daemon;
    stop_listening(d);
    settle(life);
    tls_destroy(d->tls);
    auth_destroy(d->auth);
    site_close(d->root);
    site_finish(d->root);
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
    d->append_gate.limit = options->append_inflight;
    d->log = log;
    d->loop = &life->loop;
    d->root = &life->root;
    d->started_us = time_mono_us();
    d->starting = true;
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
        site_mark(d->root, "xs.stop", (struct span){0}, NULL);
        feed_published(d->root->feed);
    } else if (d->stores) { /* what has been opened ends in order, too */
        stop(life);
        while (!life->drained)
            uv_run(&life->loop, UV_RUN_DEFAULT);
        site_mark(d->root, "xs.stop", (struct span){0}, NULL);
    }
    close_all(life);
    free(life);
    return rc;
}
