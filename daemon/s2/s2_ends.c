/*
 * Long answers end with what they are about: the topic that is dropped, the store that is closed.
 */
#include "daemon/s2/s2.h"

void s2_watch(struct s2_watch *watch, struct site *site, uint32_t no, void (*deleted)(struct s2_watch *watch))
{
    watch->site = site;
    watch->no = no;
    watch->deleted = deleted;
    watch->prev = NULL;
    watch->next = site->s2_watches;
    if (watch->next)
        watch->next->prev = watch;
    site->s2_watches = watch;
}

void s2_unwatch(struct s2_watch *watch)
{
    if (!watch->site)
        return;
    if (watch->prev)
        watch->prev->next = watch->next;
    else
        watch->site->s2_watches = watch->next;
    if (watch->next)
        watch->next->prev = watch->prev;
    watch->site = NULL;
}

/* What `deleted` does may take any watch out of the list, so after each the look begins anew. */
static bool tell_one(struct site *site, bool all, uint32_t no)
{
    for (struct s2_watch *watch = site->s2_watches; watch; watch = watch->next)
        if (all || watch->no == no) {
            s2_unwatch(watch);
            watch->deleted(watch);
            return true;
        }
    return false;
}

void s2_dropped(struct site *site, uint32_t no)
{
    while (tell_one(site, false, no))
        ;
}

void s2_site_ends(struct site *site)
{
    while (tell_one(site, true, 0))
        ;
}

/* --- requests in a store that is not their entrance's ------------------------------------------------ */

void s2_join(struct s2_request *s, struct site *site)
{
    s->x.site->exchanges--;
    s->x.site = site;
    site->exchanges++;
    s->prev_there = NULL;
    s->next_there = site->s2_requests;
    if (s->next_there)
        s->next_there->prev_there = s;
    site->s2_requests = s;
    s->joined = true;
}

void s2_part(struct s2_request *s)
{
    if (!s->joined)
        return;
    if (s->prev_there)
        s->prev_there->next_there = s->next_there;
    else
        s->x.site->s2_requests = s->next_there;
    if (s->next_there)
        s->next_there->prev_there = s->prev_there;
    s->joined = false;
}

/* A connection that is cut may take several of them with it, so after each the look begins anew. */
static bool cut_one(struct site *site)
{
    for (struct s2_request *s = site->s2_requests; s; s = s->next_there)
        if (s->x.req && !s->cut) {
            s->cut = true;
            http_abort(s->x.req);
            return true;
        }
    return false;
}

void s2_site_cut(struct site *site)
{
    while (cut_one(site))
        ;
}
