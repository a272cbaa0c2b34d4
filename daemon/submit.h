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

struct submit;

/** One store as submit sees it: where operations go, and whom to tell. */
struct submit_source {
    struct submit *submit;
    struct store *store;
    size_t pending;                  /**< handed over and not answered */
    atomic_bool published;           /**< something became visible, and the loop has not looked yet */
    struct submit_source *next;      /**< of those */
    void (*on_published)(void *arg); /**< after the answers of the same wake-up; NULL = nobody */
    void *arg;
};

struct submission {
    struct store_op op;                           /**< done and owner are set by submit_op */
    void (*after)(struct submission *submission); /**< on the loop, once */
    struct submission *next;
    struct submit_source *source;
};

struct submit {
    uv_poll_t poll;
    uv_idle_t spin;       /**< active: the loop does not sleep, since a sync is about to end */
    uint64_t spin_end_ns; /**< uv_hrtime */
    int wake_fd; /**< an eventfd: uv_async makes the loop spin while its sender is off the processor
                  */
    bool started;
    atomic_bool signalled;                   /**< wake_fd was written and not read yet */
    struct submission *_Atomic done;         /**< newest first */
    struct submit_source *_Atomic published; /**< sources with something new to read */
    size_t pending;                          /**< handed over and not answered, of all sources */
};

/** Starts; the handle is closed with the loop's others, when nothing is pending. A negative uv code. */
int submit_init(struct submit *submit, uv_loop_t *loop);
/** After the loop and the stores are closed: nobody wakes any more. Takes one that never started. */
void submit_finish(struct submit *submit);
/** Loop thread. The submission must stay until `after`. */
void submit_op(struct submit_source *source, struct submission *submission);
/** Work that will end in an operation, or not: the source counts as busy until as many releases. Loop thread. */
void submit_hold(struct submit_source *source);
void submit_release(struct submit_source *source);
/** Any thread: something became visible. */
void submit_published(struct submit_source *source);
/** Loop thread, after the store is closed: forgets the source. Its `pending` must be 0. */
void submit_forget(struct submit_source *source);

#endif
