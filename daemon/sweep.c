#include "daemon/sweep.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/pool.h"

#define FIRST_MS (10 * 60 * 1000)
#define EVERY_MS (6 * 3600 * 1000)

struct sweep {
    struct site *site;
    uv_timer_t timer;
    struct job job;
    bool busy, closed;
    atomic_bool stop;
    uint64_t older_than_ms; /* wall clock */
    uint64_t looked;
    struct err err;
    int result;
};

static int visit(void *arg, const uint8_t digest[static DIGEST_SIZE], uint64_t size,
                 uint64_t mtime_ms)
{
    struct sweep *sweep = arg;
    (void)size;
    if (atomic_load(&sweep->stop))
        return 1;
    sweep->looked++;
    if (mtime_ms >= sweep->older_than_ms)
        return 0;
    struct err err = ERR_INIT;
    int rc = held_remove_unnamed(&sweep->site->held, sweep->site->store, digest, &err);
    if (rc < 0)
        sweep->err = err;
    return 0; /* one that cannot be looked at is no reason to keep the others */
}

static struct sweep *sweep_of(struct job *job)
{
    return (struct sweep *)((char *)job - offsetof(struct sweep, job));
}

static void work(struct job *job)
{
    struct sweep *sweep = sweep_of(job);
    struct site *d = sweep->site;
    sweep->result = store_sweep(d->store, SWEEP_AGE_MS, &sweep->err);
    sweep->older_than_ms = time_now_ms() - SWEEP_AGE_MS;
    if (sweep->result == 0)
        sweep->result = cas_walk(d->cas, visit, sweep, &sweep->err);
}

static void after(struct job *job)
{
    struct sweep *sweep = sweep_of(job);
    sweep->busy = false;
    if (sweep->closed) {
        free(sweep);
        return;
    }
    if (sweep->err.code)
        log_say(sweep->site->daemon->log, LOG_WARN, "sweep", "error=\"%s\"", sweep->err.text);
}

static void tick(uv_timer_t *timer)
{
    struct sweep *sweep = timer->data;
    if (sweep->busy)
        return;
    sweep->busy = true;
    sweep->err = ERR_INIT;
    sweep->job = (struct job){.work = work, .after = after};
    pool_submit(sweep->site->daemon->loop, &sweep->job);
}

int sweep_create(struct sweep **out, struct site *site, struct err *err)
{
    struct sweep *sweep = calloc(1, sizeof(*sweep));
    if (!sweep)
        return err_set(err, -ENOMEM, "no memory to start");
    sweep->site = site;
    uv_timer_init(site->daemon->loop, &sweep->timer);
    sweep->timer.data = sweep;
    uv_timer_start(&sweep->timer, tick, FIRST_MS, EVERY_MS);
    *out = sweep;
    return 0;
}

bool sweep_busy(const struct sweep *sweep)
{
    return sweep && sweep->busy;
}

static void timer_closed(uv_handle_t *handle)
{
    struct sweep *sweep = handle->data;
    sweep->closed = true;
    if (!sweep->busy)
        free(sweep);
}

void sweep_destroy(struct sweep *sweep)
{
    if (!sweep)
        return;
    atomic_store(&sweep->stop, true);
    uv_close((uv_handle_t *)&sweep->timer, timer_closed);
}
