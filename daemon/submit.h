/*
 * Operations handed to the store, and their outcomes brought back to the loop.
 *
 * The store answers on threads of its own; an outcome is pushed to a list without a lock and the
 * loop woken, so that one wake-up brings a whole group's.
 */
#ifndef DAEMON_SUBMIT_H
#define DAEMON_SUBMIT_H

#include <stdatomic.h>

#include <uv.h>
#include <weir/store.h>

struct submission {
    struct store_op op;                           /**< done and owner are set by submit_op */
    void (*after)(struct submission *submission); /**< on the loop, once */
    struct submission *next;
    struct submit *submit;
};

struct submit {
    struct store *store;
    uv_poll_t poll;
    uv_idle_t spin;       /**< active: the loop does not sleep, since a sync is about to end */
    uint64_t spin_end_ns; /**< uv_hrtime */
    int wake_fd; /**< an eventfd: uv_async makes the loop spin while its sender is off the processor
                  */
    atomic_bool signalled;           /**< wake_fd was written and not read yet */
    struct submission *_Atomic done; /**< newest first */
    atomic_bool published;           /**< the store has something new to read */
    size_t pending;                  /**< handed over and not answered */
    void (*on_published)(void *arg); /**< after the answers of the same wake-up */
    void *arg;
};

/** Starts; the handle is closed with the loop's others, when nothing is pending. A negative uv
 * code. */
int submit_init(struct submit *submit, uv_loop_t *loop, void (*on_published)(void *arg), void *arg);
/** After the loop and the store are closed: nobody wakes any more. Takes one that never started. */
void submit_finish(struct submit *submit);
/** Loop thread. The submission must stay until `after`. */
void submit_op(struct submit *submit, struct submission *submission);
/** Any thread: something became visible. */
void submit_published(struct submit *submit);

#endif
