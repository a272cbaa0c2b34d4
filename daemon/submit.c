#include "daemon/submit.h"

static void done(struct store_op *op)
{
    struct submission *submission = op->owner;
    struct submit *submit = submission->submit;
    struct submission *head = atomic_load_explicit(&submit->done, memory_order_relaxed);
    do
        submission->next = head;
    while (!atomic_compare_exchange_weak_explicit(&submit->done, &head, submission,
                                                  memory_order_release, memory_order_relaxed));
    if (!head)
        uv_async_send(&submit->async);
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

static void woken(uv_async_t *async)
{
    struct submit *submit = async->data;
    struct submission *list =
        in_order(atomic_exchange_explicit(&submit->done, NULL, memory_order_acquire));
    while (list) {
        struct submission *next = list->next;
        submit->pending--;
        list->after(list);
        list = next;
    }
    if (atomic_exchange(&submit->published, false))
        submit->on_published(submit->arg);
}

int submit_init(struct submit *submit, uv_loop_t *loop, void (*on_published)(void *arg), void *arg)
{
    *submit = (struct submit){.on_published = on_published, .arg = arg};
    submit->async.data = submit;
    return uv_async_init(loop, &submit->async, woken);
}

void submit_finish(struct submit *submit)
{
    uv_close((uv_handle_t *)&submit->async, NULL);
}

void submit_op(struct submit *submit, struct submission *submission)
{
    submission->submit = submit;
    submission->op.done = done;
    submission->op.owner = submission;
    submit->pending++;
    store_submit(submit->store, &submission->op);
}

void submit_published(struct submit *submit)
{
    atomic_store(&submit->published, true);
    uv_async_send(&submit->async);
}
