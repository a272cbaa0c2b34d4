#include "daemon/submit.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * A sync on a good disk takes some 50 us; a processor that went to sleep meanwhile takes as long to wake (measured on a
 * virtual machine: 40 us of a 100 us append). So with operations under way the loop looks again and again for
 * this long before it sleeps.
 */
#define SPIN_NS 150000

static void spin(uv_idle_t *idle)
{
    struct submit *submit = idle->data;
    if (submit->pending == 0 || uv_hrtime() >= submit->spin_end_ns)
        uv_idle_stop(idle);
}

/* Any thread. One write for all that comes before the loop has looked. */
static void wake(struct submit *submit)
{
    if (atomic_exchange(&submit->signalled, true))
        return;
    while (eventfd_write(submit->wake_fd, 1) < 0 && errno == EINTR)
        ;
}

static void done(struct store_op *op)
{
    struct submission *submission = op->owner;
    struct submit *submit = submission->source->submit;
    struct submission *head = atomic_load_explicit(&submit->done, memory_order_relaxed);
    do
        submission->next = head;
    while (!atomic_compare_exchange_weak_explicit(&submit->done, &head, submission,
                                                  memory_order_release, memory_order_relaxed));
    if (!head)
        wake(submit);
}

/* The list is newest first; answers go out in the order they came. */
static struct submission *in_order(struct submission *list)
{
    struct submission *ordered = NULL;
    while (list) {
        struct submission *next = list->next;
        list->next = ordered;
        ordered = list;
        list = next;
    }
    return ordered;
}

static void answer_all(struct submit *submit)
{
    struct submission *list =
        in_order(atomic_exchange_explicit(&submit->done, NULL, memory_order_acquire));
    while (list) {
        struct submission *next = list->next;
        submit->pending--;
        list->source->pending--;
        list->after(list);
        list = next;
    }
}

static void tell_published(struct submit *submit)
{
    struct submit_source *source =
        atomic_exchange_explicit(&submit->published, NULL, memory_order_acquire);
    while (source) {
        struct submit_source *next = source->next;
        atomic_store(&source->published, false); /* before the look, so that what comes now is told again */
        if (source->on_published)
            source->on_published(source->arg);
        source = next;
    }
}

static void woken(uv_poll_t *poll, int status, int events)
{
    struct submit *submit = poll->data;
    eventfd_t count;
    (void)status, (void)events;
    eventfd_read(submit->wake_fd, &count);
    atomic_store(&submit->signalled, false);
    answer_all(submit);
    tell_published(submit);
}

int submit_init(struct submit *submit, uv_loop_t *loop)
{
    *submit = (struct submit){0};
    submit->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (submit->wake_fd < 0)
        return uv_translate_sys_error(errno);
    submit->spin.data = submit->poll.data = submit;
    int rc = uv_idle_init(loop, &submit->spin);
    if (rc == 0)
        rc = uv_poll_init(loop, &submit->poll, submit->wake_fd);
    if (rc == 0)
        rc = uv_poll_start(&submit->poll, UV_READABLE, woken);
    if (rc < 0)
        close(submit->wake_fd);
    submit->poll.data = submit;
    submit->started = rc == 0;
    return rc;
}

void submit_finish(struct submit *submit)
{
    if (submit->started)
        close(submit->wake_fd);
}

void submit_op(struct submit_source *source, struct submission *submission)
{
    struct submit *submit = source->submit;
    submission->source = source;
    submission->op.done = done;
    submission->op.owner = submission;
    submit->pending++;
    source->pending++;
    submit->spin_end_ns = uv_hrtime() + SPIN_NS;
    uv_idle_start(&submit->spin, spin);
    store_submit(source->store, &submission->op);
}

void submit_hold(struct submit_source *source)
{
    source->pending++;
    source->submit->pending++;
}

void submit_release(struct submit_source *source)
{
    source->pending--;
    source->submit->pending--;
}

void submit_published(struct submit_source *source)
{
    struct submit *submit = source->submit;
    if (atomic_exchange(&source->published, true))
        return;
    struct submit_source *head = atomic_load_explicit(&submit->published, memory_order_relaxed);
    do
        source->next = head;
    while (!atomic_compare_exchange_weak_explicit(&submit->published, &head, source,
                                                  memory_order_release, memory_order_relaxed));
    wake(submit);
}

void submit_forget(struct submit_source *source)
{
    source->on_published = NULL;
    if (atomic_load(&source->published))
        tell_published(source->submit);
}
