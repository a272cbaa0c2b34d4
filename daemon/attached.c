#include "daemon/attached.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clean.h"
#include "daemon/feed.h"
#include "daemon/purge.h"
#include "daemon/run/programs.h"
#include "daemon/s2/s2.h"
#include "daemon/sweep.h"

#define DRAIN_MS 2000 /* answers under way at the end get this long */
#define QUEUE_MAX 1024

/* --- connections ------------------------------------------------------------------------------------ */

static void admit_queue(struct attached *a)
{
    for (size_t i = 0; i < a->queued; i++)
        site_accept(&a->site, a->queue[i], HTTP_VIA_UNIX);
    a->queued = 0;
}

static void turn_away(struct attached *a)
{
    for (size_t i = 0; i < a->queued; i++)
        close(a->queue[i]);
    a->queued = 0;
}

static bool enqueue(struct attached *a, int fd)
{
    if (a->queued == a->queue_cap) {
        size_t cap = a->queue_cap ? a->queue_cap * 2 : 4;
        int *queue = cap <= QUEUE_MAX ? realloc(a->queue, cap * sizeof(*queue)) : NULL;
        if (!queue)
            return false;
        a->queue = queue;
        a->queue_cap = cap;
    }
    a->queue[a->queued++] = fd;
    return true;
}

static void arrived(void *arg, int fd, enum http_via via)
{
    struct attached *a = arg;
    a->used_ms = uv_now(a->daemon->loop);
    if (a->state == ATTACHED_OPEN) {
        site_accept(&a->site, fd, via);
        return;
    }
    if (a->leaving || !enqueue(a, fd))
        close(fd);
    else if (a->state == ATTACHED_CLOSED)
        attached_open(a);
}

static bool full(void *arg)
{
    const struct attached *a = arg;
    return http_full(a->daemon->http);
}

static int start_listening(struct attached *a, struct err *err)
{
    const struct listen_options options = {
        .loop = a->daemon->loop, .accepted = arrived, .full = full, .arg = a};
    if (a->listener)
        return 0;
    return listen_unix_at(&a->listener, &options, store_dirfd(a->site.store), "sock", err);
}

/* --- uses ------------------------------------------------------------------------------------------- */

/* Each is told once; what it does may bring new ones, which come to the end. */
static void tell_uses(struct attached *a, const struct err *err)
{
    struct attached_use *use = a->uses;
    a->uses = NULL;
    while (use) {
        struct attached_use *next = use->next;
        a->users += !err;
        use->opened(use, a, err);
        use = next;
    }
}

static void fail_uses(struct attached *a, int code, const char *why)
{
    struct err err = ERR_INIT;
    err_set(&err, code, "%s", why);
    tell_uses(a, &err);
}

void attached_use(struct attached *a, struct attached_use *use)
{
    struct err err = ERR_INIT;
    a->used_ms = uv_now(a->daemon->loop);
    if (a->leaving || a->daemon->ending) {
        err_set(&err, a->leaving ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "the store is being closed");
        use->opened(use, a, &err);
        return;
    }
    if (a->state == ATTACHED_OPEN) {
        a->users++;
        use->opened(use, a, NULL);
        return;
    }
    struct attached_use **end = &a->uses;
    while (*end)
        end = &(*end)->next;
    *end = use;
    use->next = NULL;
    attached_open(a);
}

void attached_release(struct attached *a)
{
    a->users--;
    a->used_ms = uv_now(a->daemon->loop);
}

/* --- opening ---------------------------------------------------------------------------------------- */

static struct attached *attached_of(struct job *job)
{
    return (struct attached *)((char *)job - offsetof(struct attached, job));
}

static void open_work(struct job *job)
{
    struct attached *a = attached_of(job);
    a->result = purge_outside(a->site.path, &a->err);
    if (a->result == 0)
        a->result = site_open(&a->site, &a->err);
}

static void close_work(struct job *job)
{
    struct attached *a = attached_of(job);
    site_close(&a->site);
    a->result = a->purge ? purge_store(a->site.path, &a->err) : 0;
}

static void closed(struct job *job);

static void close_files(struct attached *a)
{
    a->state = ATTACHED_CLOSING;
    a->job = (struct job){.work = close_work, .after = closed};
    pool_submit(a->daemon->loop, &a->job);
}

static void programs_ready(void *arg)
{
    struct attached *a = arg;
    a->started = true;
    a->used_ms = uv_now(a->daemon->loop);
}

static int start(struct attached *a)
{
    int rc = site_start(&a->site, &a->err);
    if (rc < 0)
        return rc;
    a->site.entrances[HTTP_VIA_UNIX].door.ending = false;
    a->state = ATTACHED_OPEN;
    a->started = false;
    rc = start_listening(a, &a->err);
    return rc == 0 ? programs_start(&a->site, programs_ready, a, &a->err) : rc;
}

static void open_failed(struct attached *a)
{
    turn_away(a);
    log_say(a->daemon->log, LOG_ERROR, "stores", "store=%s not_open=\"%s\"", a->name, a->err.text);
    if (a->state == ATTACHED_OPEN)
        attached_close(a); /* it is open, but cannot be served */
    tell_uses(a, &a->err);
    if (a->opened)
        a->opened(a, &a->err);
}

static void opened(struct job *job)
{
    struct attached *a = attached_of(job);
    bool leaving = a->leaving; /* if not, `opened` may make it leave, and then it may be gone */
    if (a->result < 0)
        a->state = ATTACHED_CLOSED;
    else
        a->result = start(a);
    a->used_ms = uv_now(a->daemon->loop);
    if (a->result < 0) {
        open_failed(a);
    } else {
        admit_queue(a);
        tell_uses(a, NULL);
        if (a->opened)
            a->opened(a, NULL);
    }
    if (leaving)
        attached_close(a);
}

void attached_open(struct attached *a)
{
    if (a->state != ATTACHED_CLOSED)
        return;
    a->state = ATTACHED_OPENING;
    a->err = ERR_INIT;
    a->job = (struct job){.work = open_work, .after = opened};
    pool_submit(a->daemon->loop, &a->job);
}

/* --- closing ---------------------------------------------------------------------------------------- */

static void closed(struct job *job)
{
    struct attached *a = attached_of(job);
    submit_forget(&a->site.source);
    a->state = ATTACHED_CLOSED;
    if (a->result < 0)
        log_say(a->daemon->log, LOG_ERROR, "stores", "store=%s not_removed=\"%s\"", a->name,
                a->err.text);
    if (a->leaving || a->daemon->ending) {
        turn_away(a);
        fail_uses(a, a->leaving ? ERR_NOT_FOUND : ERR_UNAVAILABLE, "the store was closed");
    }
    bool wanted = a->queued > 0 || a->uses; /* somebody came meanwhile */
    if (a->closed)
        a->closed(a); /* frees one that leaves, for which nobody waits any more */
    if (wanted)
        attached_open(a);
}

static bool is_quiet(const struct attached *a)
{
    return a->site.entrances[HTTP_VIA_UNIX].door.connections == 0 && a->site.exchanges == 0 &&
           a->users == 0 && a->site.source.pending == 0 && !sweep_busy(a->site.sweep);
}

static void programs_stopped(void *arg)
{
    struct attached *a = arg;
    programs_destroy(a->site.programs);
    a->site.programs = NULL;
    if (a->site.feed)
        feed_end(a->site.feed);
    s2_site_ends(&a->site);
    http_end(a->daemon->http, &a->site.entrances[HTTP_VIA_UNIX].door);
    a->cut_ms = uv_now(a->daemon->loop) + DRAIN_MS;
}

void attached_close(struct attached *a)
{
    if (a->leaving || a->daemon->ending) {
        listen_destroy(a->listener);
        a->listener = NULL;
    }
    if (a->state == ATTACHED_CLOSED) {
        if (a->purge)
            close_files(a);
        else if (a->closed)
            a->closed(a);
        return;
    }
    if (a->state != ATTACHED_OPEN)
        return; /* it is on its way, and looks at `leaving` when it is there */
    a->state = ATTACHED_STOPPING;
    if (a->site.programs)
        programs_stop(a->site.programs, programs_stopped, a);
    else
        programs_stopped(a);
}

bool attached_tick(struct attached *a, uint64_t now_ms, uint64_t idle_ms)
{
    if (a->state == ATTACHED_STOPPING && !a->site.programs && now_ms >= a->cut_ms) {
        http_cut(a->daemon->http, &a->site.entrances[HTTP_VIA_UNIX].door);
        s2_site_cut(&a->site);
    }
    if (a->state == ATTACHED_STOPPING && !a->site.programs && is_quiet(a)) {
        site_stop(&a->site);
        close_files(a);
    }
    if (a->state == ATTACHED_STOPPING || a->state == ATTACHED_CLOSING)
        return true;
    if (a->state != ATTACHED_OPEN || a->kept)
        return false;
    if (!a->started || !is_quiet(a) || programs_count(a->site.programs) > 0)
        a->used_ms = now_ms;
    else if (now_ms - a->used_ms >= idle_ms)
        attached_close(a);
    return a->state == ATTACHED_STOPPING;
}

/* --- life ------------------------------------------------------------------------------------------- */

int attached_create(struct attached **out, struct daemon *daemon, struct span name,
                    struct frame_id created, const char *path, struct err *err)
{
    struct attached *a = calloc(1, sizeof(*a));
    if (a)
        a->name = strndup((const char *)name.ptr, name.len);
    if (!a || !a->name) {
        free(a);
        return err_set(err, -ENOMEM, "no memory for the store");
    }
    a->daemon = daemon;
    a->created = created;
    int rc = site_init(&a->site, daemon, a->name, path, err);
    if (rc < 0) {
        free(a->name);
        free(a);
        return rc;
    }
    *out = a;
    return 0;
}

void attached_destroy(struct attached *a)
{
    if (!a)
        return;
    listen_destroy(a->listener);
    turn_away(a);
    site_finish(&a->site);
    free(a->queue);
    free(a->name);
    free(a);
}
