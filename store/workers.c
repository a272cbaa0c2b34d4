/*
 * The two threads of all stores: the writer takes stores with queued operations in turn, the index
 * thread takes stores when they are due.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "base/text.h"
#include "store/state.h"

struct store_workers {
    pthread_mutex_t lock;
    pthread_cond_t write;  /* a store is ready, or stop */
    pthread_cond_t index;  /* a due time moved, or stop */
    pthread_cond_t rested; /* a thread left a store */
    pthread_t writer, indexer;
    struct store *stores;
    struct store *ready, **ready_end;
    bool stop;
    bool waiting;       /* the writer sleeps on `write` */
    atomic_uint posted; /* rises with every store that becomes ready */
};

/*
 * A client that waits for its answer sends the next append some 20 us after it. Waking a thread
 * costs more than that where its processor went to sleep, so after a group the writer looks for the
 * next one this long, letting others run, before it sleeps. Called and returns with the lock.
 */
#define SPIN_US 60

static void look_for_more(struct store_workers *w)
{
    unsigned seen = atomic_load(&w->posted);
    uint64_t end = time_mono_us() + SPIN_US;
    pthread_mutex_unlock(&w->lock);
    while (atomic_load(&w->posted) == seen && time_mono_us() < end)
        sched_yield();
    pthread_mutex_lock(&w->lock);
}

static void *write_main(void *arg)
{
    struct store_workers *w = arg;
    bool worked = false;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        if (!w->ready && !w->stop && worked)
            look_for_more(w);
        w->waiting = true;
        while (!w->ready && !w->stop)
            pthread_cond_wait(&w->write, &w->lock);
        w->waiting = false;
        worked = true;
        struct store *store = w->ready;
        if (!store)
            break;
        w->ready = store->next_ready;
        if (!w->ready)
            w->ready_end = &w->ready;
        store->ready = false;
        store->busy = true;
        pthread_mutex_unlock(&w->lock);
        bool more = writer_step(store);
        pthread_mutex_lock(&w->lock);
        store->busy = false;
        pthread_cond_broadcast(&w->rested);
        if (more && !store->ready) {
            store->ready = true;
            store->next_ready = NULL;
            *w->ready_end = store;
            w->ready_end = &store->next_ready;
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* The store that has been due for longest, so that one that is always due holds up no other; or NULL: `wait_us` gets how long until the
 * next is due (0: nothing is). */
static struct store *first_due(struct store_workers *w, uint64_t *wait_us)
{
    struct store *first = NULL;
    uint64_t now = time_mono_us();
    *wait_us = 0;
    for (struct store *s = w->stores; s; s = s->next_store)
        if (s->index_due_us != 0 && (!first || s->index_due_us < first->index_due_us))
            first = s;
    if (!first || first->index_due_us <= now)
        return first;
    *wait_us = first->index_due_us - now;
    return NULL;
}

static void wait_index(struct store_workers *w, uint64_t wait_us)
{
    if (wait_us == 0) {
        pthread_cond_wait(&w->index, &w->lock);
        return;
    }
    uint64_t at = time_mono_us() + wait_us;
    struct timespec until = {(time_t)(at / 1000000), (long)(at % 1000000) * 1000};
    pthread_cond_timedwait(&w->index, &w->lock, &until);
}

static void set_due(struct store *store, uint64_t in_us)
{
    uint64_t due = time_mono_us() + in_us;
    if (store->index_due_us == 0 || due < store->index_due_us)
        store->index_due_us = due;
}

static void *index_main(void *arg)
{
    struct store_workers *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        uint64_t wait_us;
        struct store *store = first_due(w, &wait_us);
        if (!store) {
            wait_index(w, wait_us);
            continue;
        }
        store->index_due_us = 0;
        store->index_running = true;
        pthread_mutex_unlock(&w->lock);
        uint64_t again_us = indexer_step(store);
        pthread_mutex_lock(&w->lock);
        store->index_running = false;
        if (again_us)
            set_due(store, again_us);
        pthread_cond_broadcast(&w->rested);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

void workers_add(struct store *store)
{
    struct store_workers *w = store->options.workers;
    pthread_mutex_lock(&w->lock);
    store->next_store = w->stores;
    w->stores = store;
    pthread_mutex_unlock(&w->lock);
}

void workers_remove(struct store *store)
{
    struct store_workers *w = store->options.workers;
    pthread_mutex_lock(&w->lock);
    while (store->busy || store->ready || store->index_running)
        pthread_cond_wait(&w->rested, &w->lock);
    struct store **at = &w->stores;
    while (*at && *at != store)
        at = &(*at)->next_store;
    if (*at)
        *at = store->next_store;
    pthread_mutex_unlock(&w->lock);
}

void workers_write(struct store *store)
{
    struct store_workers *w = store->options.workers;
    bool wake = false;
    pthread_mutex_lock(&w->lock);
    if (!store->ready) {
        store->ready = true;
        store->next_ready = NULL;
        *w->ready_end = store;
        w->ready_end = &store->next_ready;
        atomic_fetch_add(&w->posted, 1);
        wake = w->waiting;
    }
    pthread_mutex_unlock(&w->lock);
    if (wake) /* without the lock, or the woken thread would run into it */
        pthread_cond_signal(&w->write);
}

void workers_index(struct store *store, uint64_t in_us)
{
    struct store_workers *w = store->options.workers;
    pthread_mutex_lock(&w->lock);
    uint64_t was = store->index_due_us;
    set_due(store, in_us);
    if (was == 0 || store->index_due_us < was)
        pthread_cond_signal(&w->index);
    pthread_mutex_unlock(&w->lock);
}

int store_workers_create(struct store_workers **out, struct err *err)
{
    struct store_workers *w = calloc(1, sizeof *w);
    if (!w)
        return err_set(err, -ENOMEM, "no memory for the store's threads");
    w->ready_end = &w->ready;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->write, NULL);
    pthread_cond_init(&w->index, &monotonic);
    pthread_cond_init(&w->rested, NULL);
    pthread_condattr_destroy(&monotonic);
    int r = pthread_create(&w->writer, NULL, write_main, w);
    if (r == 0 && (r = pthread_create(&w->indexer, NULL, index_main, w)) != 0) {
        pthread_mutex_lock(&w->lock);
        w->stop = true;
        pthread_cond_broadcast(&w->write);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->writer, NULL);
    }
    if (r != 0) {
        free(w);
        return err_sys(err, r, "start the store's threads");
    }
    *out = w;
    return 0;
}

void store_workers_destroy(struct store_workers *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_broadcast(&w->write);
    pthread_cond_broadcast(&w->index);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->writer, NULL);
    pthread_join(w->indexer, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->write);
    pthread_cond_destroy(&w->index);
    pthread_cond_destroy(&w->rested);
    free(w);
}
