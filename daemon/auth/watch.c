/*
 * Requests that end when their token does.
 */
#include "base/text.h"
#include "daemon/auth/auth_impl.h"

#define LOOK_MAX_MS 60000 /* expiries further off are looked at again then: the wall clock may be set */

static bool is_empty(const struct auth *auth)
{
    return !auth->watches.next || auth->watches.next == &auth->watches;
}

static void expired(uv_timer_t *timer)
{
    auth_end_watches(timer->data);
}

static void set_timer(struct auth *auth, uint64_t left_ms)
{
    uint64_t wait = left_ms < LOOK_MAX_MS ? left_ms : LOOK_MAX_MS;
    if (!uv_is_closing((uv_handle_t *)&auth->timer) &&
        (!uv_is_active((uv_handle_t *)&auth->timer) || uv_timer_get_due_in(&auth->timer) > wait))
        uv_timer_start(&auth->timer, expired, wait, 0);
}

static void time_it(struct auth *auth, const struct grant *grant, uint64_t now_ms)
{
    if (grant->token.has_expiry && !atomic_load(&grant->over))
        set_timer(auth, grant->token.expires_ms > now_ms ? grant->token.expires_ms - now_ms : 0);
}

void auth_watch(struct auth *auth, struct auth_watch *watch)
{
    struct auth_watch *head = &auth->watches;
    if (!watch->grant)
        return;
    if (!head->next)
        head->next = head->prev = head;
    watch->next = head;
    watch->prev = head->prev;
    head->prev->next = watch;
    head->prev = watch;
    if (watch->grant->token.has_expiry)
        time_it(auth, watch->grant, time_now_ms());
}

void auth_unwatch(struct auth *auth, struct auth_watch *watch)
{
    (void)auth;
    if (!watch->next)
        return;
    watch->prev->next = watch->next;
    watch->next->prev = watch->prev;
    watch->next = watch->prev = NULL;
}

void auth_end_watches(struct auth *auth)
{
    uint64_t now = time_now_ms();
    if (is_empty(auth))
        return;
    for (struct auth_watch *w = auth->watches.next, *next; w != &auth->watches; w = next) {
        next = w->next;
        if (grant_holds(w->grant, now)) {
            time_it(auth, w->grant, now);
        } else {
            auth_unwatch(auth, w);
            w->ended(w);
        }
    }
}
