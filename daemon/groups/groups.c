#include "daemon/groups/groups.h"

#include <errno.h>
#include <stdlib.h>

#define PREFIX "group/"

enum { UNKNOWN, READING, KNOWN };

/* One as it was read from the store. */
struct found {
    struct found *next;
    struct group_config config;
    struct frame_id low;
    size_t count, name_len;
    struct frame_id *done;
    uint8_t name[];
};

struct groups {
    struct site *site;
    struct group_host *first; /* by name */
    size_t count;
    int state;
    bool destroyed;
    bool again; /* refreshed while they were being read */
    struct group_call *waiting;
    struct job job;
    struct found *found; /* by the job, newest first */
    int result;
    struct err err;
    size_t unreadable; /* whose settings are not understood */
};

/* --- reading them (pool) ---------------------------------------------------------------------- */

static void free_found(struct found *found)
{
    group_config_finish(&found->config);
    free(found->done);
    free(found);
}

static struct found *copy_found(const struct store_mark_view *mark, struct span name)
{
    struct found *found = calloc(1, sizeof(*found) + name.len);
    if (!found)
        return NULL;
    found->done = malloc((mark->acked_count + 1) * sizeof(*found->done));
    if (!found->done || group_config_init(&found->config) < 0) {
        free_found(found);
        return NULL;
    }
    if (mark->acked_count > 0)
        memcpy(found->done, mark->acked, mark->acked_count * sizeof(*found->done));
    found->count = mark->acked_count;
    found->low = mark->low;
    found->name_len = name.len;
    memcpy(found->name, name.ptr, name.len);
    return found;
}

static int take_mark(void *arg, const struct store_mark_view *mark)
{
    struct groups *groups = arg;
    size_t skip = sizeof(PREFIX) - 1;
    struct span name = span_of(mark->name.ptr + skip, mark->name.len - skip);
    if (group_name_check(name, NULL) < 0) {
        groups->unreadable++;
        return 0;
    }
    struct found *found = copy_found(mark, name);
    if (!found)
        return -ENOMEM;
    if (group_config_parse(&found->config, mark->config, NULL, NULL) < 0) {
        groups->unreadable++;
        free_found(found);
        return 0;
    }
    found->next = groups->found;
    groups->found = found;
    return 0;
}

static struct groups *groups_of(struct job *job)
{
    return (struct groups *)((char *)job - offsetof(struct groups, job));
}

static void work(struct job *job)
{
    struct groups *groups = groups_of(job);
    groups->result =
        store_marks(groups->site->store, span_str(PREFIX), take_mark, groups, &groups->err);
}

/* --- the list --------------------------------------------------------------------------------- */

static int by_name(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static void link_host(struct groups *groups, struct group_host *host)
{
    struct group_host **at = &groups->first;
    while (*at && by_name(group_host_name(*at), group_host_name(host)) < 0)
        at = &(*at)->next;
    host->next = *at;
    *at = host;
    groups->count++;
}

struct group_host *groups_find(struct groups *groups, struct span name)
{
    struct group_host *host = groups->first;
    while (host && !span_eq(group_host_name(host), name))
        host = host->next;
    return host;
}

struct group_host *groups_next(struct groups *groups, const struct group_host *host)
{
    return host ? host->next : groups->first;
}

void groups_forget(struct groups *groups, struct group_host *host)
{
    struct group_host **at = &groups->first;
    while (*at && *at != host)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = host->next;
    groups->count--;
    group_host_drop(host);
}

/* --- knowing them ----------------------------------------------------------------------------- */

/* Whether what is in the store may take its place. */
static bool is_idle(const struct group_host *host)
{
    return host->connected == 0 && host->writes == 0 && host->holds == 1 &&
           delivery_idle(&host->delivery) && host->delivery.lists[DELIVERY_OPEN].count == 0 &&
           !delivery_dirty(&host->delivery, true);
}

/* A group in use is kept as it is. */
static int take_found(struct groups *groups, struct found *found)
{
    struct span name = span_of(found->name, found->name_len);
    struct group_host *host = groups_find(groups, name);
    if (host && !is_idle(host))
        return 0;
    if (host)
        groups_forget(groups, host);
    int rc = group_host_create(&host, groups->site, name, &found->config, found->low, found->done,
                               found->count, &groups->err);
    if (rc == 0)
        link_host(groups, host);
    return rc;
}

/* Turns what was read into groups. */
static int take_over(struct groups *groups)
{
    int rc = groups->result;
    struct found *found;
    while ((found = groups->found)) {
        groups->found = found->next;
        if (rc == 0)
            rc = take_found(groups, found);
        free_found(found);
    }
    return rc;
}

static void forget_all(struct groups *groups)
{
    while (groups->first) {
        struct group_host *host = groups->first;
        group_host_stop(host);
        groups_forget(groups, host);
    }
}

static void after(struct job *job)
{
    struct groups *groups = groups_of(job);
    submit_release(&groups->site->source);
    if (groups->destroyed)
        groups->result = ERR_UNAVAILABLE;
    int rc = take_over(groups);
    if (groups->unreadable > 0)
        log_say(groups->site->daemon->log, LOG_WARN, "group", "not_understood=%zu",
                groups->unreadable);
    groups->state = rc == 0 && !groups->again ? KNOWN : UNKNOWN;
    groups->again = false;
    struct group_call *call = groups->waiting;
    groups->waiting = NULL;
    while (call) {
        struct group_call *next = call->next;
        call->after(call, rc, &groups->err);
        call = next;
    }
    if (groups->destroyed)
        free(groups);
}

bool groups_load(struct groups *groups, struct group_call *call)
{
    struct group_call **at = &groups->waiting;
    if (groups->state == KNOWN)
        return false;
    while (*at)
        at = &(*at)->next;
    call->next = NULL;
    *at = call;
    if (groups->state == READING)
        return true;
    groups->state = READING;
    groups->err = ERR_INIT;
    groups->unreadable = 0;
    groups->job = (struct job){.work = work, .after = after};
    submit_hold(&groups->site->source);
    pool_submit(groups->site->daemon->loop, &groups->job);
    return true;
}

void groups_refresh(struct groups *groups)
{
    groups->again = groups->state == READING;
    if (groups->state == KNOWN)
        groups->state = UNKNOWN;
}

/* --- making one ------------------------------------------------------------------------------- */

static int newest(struct groups *groups, struct frame_id *out, struct err *err)
{
    const struct store_query query = {.follow = true, .skip_history = true};
    struct store_cursor *cursor;
    int rc = store_cursor_open(&cursor, groups->site->store, &query, err);
    if (rc < 0)
        return rc;
    *out = store_cursor_position(cursor);
    store_cursor_close(cursor);
    return 0;
}

int groups_place(struct groups *groups, const struct group_place *place, struct frame_id *low,
                 struct err *err)
{
    *low = place->start == GROUP_START_BEHIND ? place->id : ID_MIN;
    return place->start == GROUP_START_NEW ? newest(groups, low, err) : 0;
}

int groups_make(struct groups *groups, struct span name, struct group_config *config,
                const struct group_place *place, struct group_host **out, struct err *err)
{
    struct frame_id low;
    struct group_host *host;
    if (groups->count >= GROUPS_MAX)
        return err_set(err, ERR_FULL, "the store has %d groups, the most there can be", GROUPS_MAX);
    int rc = groups_place(groups, place, &low, err);
    if (rc == 0)
        rc = group_host_create(&host, groups->site, name, config, low, NULL, 0, err);
    if (rc < 0)
        return rc;
    host->making = true;
    link_host(groups, host);
    rc = group_host_set(host, NULL);
    if (rc < 0) {
        groups_forget(groups, host);
        return err_set(err, rc, "no memory for the group");
    }
    *out = host;
    return 0;
}

/* --- life ------------------------------------------------------------------------------------- */

int groups_create(struct groups **out, struct site *site, struct err *err)
{
    struct groups *groups = calloc(1, sizeof(*groups));
    if (!groups)
        return err_set(err, -ENOMEM, "no memory for the groups");
    groups->site = site;
    *out = groups;
    return 0;
}

void groups_destroy(struct groups *groups)
{
    if (!groups)
        return;
    forget_all(groups);
    groups->destroyed = true;
    if (groups->state != READING)
        free(groups);
}
