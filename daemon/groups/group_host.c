#include "daemon/groups/group_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>


#define PREFIX "group/"

struct span group_host_name(const struct group_host *host)
{
    size_t skip = sizeof(PREFIX) - 1;
    return span_of(host->mark.ptr + skip, host->mark.len - skip);
}

uint64_t group_host_now(const struct group_host *host)
{
    return uv_now(host->site->daemon->loop);
}

/* --- the log ---------------------------------------------------------------------------------- */

/* Ephemeral frames are not there to be handed out again. */
static bool wanted(const struct group_host *host, const struct frame *frame)
{
    return frame->ttl.kind != TTL_EPHEMERAL && !span_eq(frame->topic, buf_span(&host->own_dead));
}

static struct group_seat *seat_of(struct delivery_member *member)
{
    return (struct group_seat *)((char *)member - offsetof(struct group_seat, core));
}

static void arm(struct group_host *host);

static bool on_frame(void *arg, const struct frame *frame)
{
    struct group_host *host = arg;
    struct delivery_member *to;
    uint64_t topic = XXH3_64bits(frame->topic.ptr, frame->topic.len);
    if (!wanted(host, frame)) {
        delivery_passed(&host->delivery, frame->id);
        return true;
    }
    int rc = delivery_offer(&host->delivery, frame->id, topic, group_host_now(host), &to);
    if (rc == DELIVERY_GIVE) {
        seat_of(to)->frame(seat_of(to)->arg, frame);
        arm(host);
    }
    if (rc == -ENOMEM)
        host->retry_ms = group_host_now(host) + GROUP_RETRY_MS;
    return rc != DELIVERY_WAIT && rc >= 0;
}

static void on_threshold(void *arg)
{
    struct group_host *host = arg;
    host->at_end = true;
    group_host_settle(host);
}

static void on_ended(void *arg, const struct err *err)
{
    struct group_host *host = arg;
    host->at_end = true;
    group_host_close_seats(host, err ? err->code : 1);
}

static bool wants_contents(const struct group_host *host)
{
    const struct group_seat *seat = host->seats;
    while (seat && !(seat->connected && seat->contents))
        seat = seat->next;
    return seat != NULL;
}

static void open_pump(struct group_host *host)
{
    struct err err = ERR_INIT;
    const struct pump_options options = {.site = host->site,
                                         .query = {.topics = &host->config.topics,
                                                   .from = id_succ(host->delivery.read),
                                                   .follow = true},
                                         .contents = wants_contents(host),
                                         .frame = on_frame,
                                         .threshold = on_threshold,
                                         .ended = on_ended,
                                         .arg = host};
    host->at_end = false;
    host->contents = options.contents;
    if (pump_create(&host->pump, &options, &err) == 0)
        return;
    log_say(host->site->daemon->log, LOG_ERROR, "group", "name=%.*s error=\"%s\"",
            SPAN_ARG(group_host_name(host)), err.text);
    group_host_close_seats(host, err.code);
}

void group_host_close_pump(struct group_host *host)
{
    if (host->pump)
        delivery_passed(&host->delivery, pump_position(host->pump));
    pump_destroy(host->pump);
    host->pump = NULL;
    host->at_end = false;
}

static void run_pump(struct group_host *host)
{
    if (host->pump)
        delivery_passed(&host->delivery, pump_position(host->pump));
    if (host->connected == 0 || host->dropped)
        group_host_close_pump(host);
    else if (!host->pump)
        open_pump(host);
    else
        pump_resume(host->pump);
}

/* --- frames handed out again ------------------------------------------------------------------ */

static void give_again(struct group_host *host, const struct group_fetched *item)
{
    struct delivery_member *to;
    if (item->result == 0) {
        if (delivery_give(&host->delivery, item->id, group_host_now(host), &to))
            seat_of(to)->frame(seat_of(to)->arg, &item->frame);
    } else if (item->result == -EAGAIN || item->result == -ENOMEM) {
        delivery_untake(&host->delivery, item->id);
    } else {
        if (item->result != ERR_NOT_FOUND)
            log_say(host->site->daemon->log, LOG_ERROR, "group", "damaged=\"%s\"",
                    host->fetch.err.text);
        delivery_gone(&host->delivery, item->id);
    }
}

static void fetched(struct group_fetch *fetch)
{
    struct group_host *host =
        (struct group_host *)((char *)fetch - offsetof(struct group_host, fetch));
    for (size_t i = 0; i < fetch->count && !host->stopped; i++)
        give_again(host, &fetch->items[i]);
    group_host_settle(host);
    group_host_drop(host);
}

static void fetch_due(struct group_host *host)
{
    struct group_fetch *fetch = &host->fetch;
    size_t room = delivery_room(&host->delivery, GROUP_FETCH_MAX);
    if (fetch->busy || room == 0)
        return;
    fetch->count = 0;
    while (fetch->count < room && delivery_take(&host->delivery, &fetch->items[fetch->count].id))
        fetch->count++;
    if (fetch->count == 0)
        return;
    group_host_hold(host);
    fetch->contents = wants_contents(host);
    group_fetch_start(fetch);
}

/* --- frames put aside ------------------------------------------------------------------------- */

static void buried(struct group_bury *bury)
{
    struct group_host *host =
        (struct group_host *)((char *)bury - offsetof(struct group_host, bury));
    if (bury->cancelled) {
        delivery_unburied(&host->delivery, bury->id);
    } else if (bury->result < 0) {
        log_say(host->site->daemon->log, LOG_WARN, "group", "name=%.*s not_put_aside=\"%s\"",
                SPAN_ARG(bury->group), bury->err.text);
        delivery_unburied(&host->delivery, bury->id);
        host->buried_retry_ms = group_host_now(host) + GROUP_RETRY_MS;
    } else {
        delivery_buried(&host->delivery, bury->id);
    }
    group_host_settle(host);
    group_host_drop(host);
}

static void bury_dead(struct group_host *host)
{
    struct group_bury *bury = &host->bury;
    if (bury->busy || group_host_now(host) < host->buried_retry_ms ||
        !delivery_dead(&host->delivery, &bury->id, &bury->attempts))
        return;
    bury->low = host->delivery.low;
    bury->group = group_host_name(host);
    bury->mark = buf_span(&host->mark);
    group_host_hold(host);
    group_bury_start(bury);
}

/* --- going on --------------------------------------------------------------------------------- */

bool group_host_drained(const struct group_host *host)
{
    return host->at_end && delivery_idle(&host->delivery);
}

static void tell_drained(struct group_host *host)
{
    if (!group_host_drained(host))
        return;
    for (struct group_seat *seat = host->seats; seat; seat = seat->next)
        if (seat->connected && !seat->follow)
            seat->look(seat->arg);
}

static void earlier(uint64_t *deadline, uint64_t at, uint64_t now)
{
    if (at > now && at < *deadline)
        *deadline = at;
}

static void tick(uv_timer_t *timer)
{
    group_host_settle(timer->data);
}

static void arm(struct group_host *host)
{
    uint64_t now = group_host_now(host), deadline = delivery_deadline(&host->delivery);
    if (host->stopped)
        return;
    earlier(&deadline, host->retry_ms, now);
    earlier(&deadline, host->buried_retry_ms, now);
    earlier(&deadline, host->flush_ms, now);
    if (deadline == DELIVERY_NEVER)
        uv_timer_stop(&host->timer);
    else if (!uv_is_active((uv_handle_t *)&host->timer) ||
             uv_timer_get_due_in(&host->timer) != (deadline > now ? deadline - now : 0))
        uv_timer_start(&host->timer, tick, deadline > now ? deadline - now : 0, 0);
}

void group_host_settle(struct group_host *host)
{
    if (host->stopped)
        return;
    delivery_tick(&host->delivery, group_host_now(host));
    run_pump(host);
    if (!host->dropped) {
        fetch_due(host);
        bury_dead(host);
        group_host_record_soon(host);
    }
    group_host_sweep(host);
    tell_drained(host);
    arm(host);
}

/* --- settings --------------------------------------------------------------------------------- */

int group_host_configure(struct group_host *host, const struct group_config *config)
{
    struct delivery_rules was = host->delivery.rules, rules = host->config.rules;
    rules.by_topic = config->given & GROUP_ORDER ? config->rules.by_topic : rules.by_topic;
    rules.max = config->given & GROUP_MAX ? config->rules.max : rules.max;
    rules.timeout_ms = config->given & GROUP_TIMEOUT ? config->rules.timeout_ms : rules.timeout_ms;
    int rc = delivery_set_rules(&host->delivery, &rules);
    if (rc == 0 && (rc = group_config_apply(&host->config, config)) < 0)
        delivery_set_rules(&host->delivery, &was);
    if (rc < 0)
        return rc;
    group_host_close_pump(host); /* the next one looks for the new topics */
    return 0;
}

void group_host_reset(struct group_host *host, struct frame_id low)
{
    group_host_close_pump(host);
    host->bury.cancelled = true;
    delivery_reset(&host->delivery, low);
}

/* --- life ------------------------------------------------------------------------------------- */

static void closed(uv_handle_t *handle)
{
    struct group_host *host = handle->data;
    group_fetch_finish(&host->fetch);
    group_bury_finish(&host->bury);
    group_config_finish(&host->config);
    buf_finish(&host->mark);
    buf_finish(&host->own_dead);
    free(host);
}

void group_host_hold(struct group_host *host)
{
    host->holds++;
}

void group_host_drop(struct group_host *host)
{
    if (--host->holds > 0)
        return;
    pump_destroy(host->pump);
    delivery_reset(&host->delivery, ID_MIN);
    group_host_free_seats(host);
    delivery_finish(&host->delivery);
    uv_close((uv_handle_t *)&host->timer, closed);
}

void group_host_stop(struct group_host *host)
{
    host->stopped = true;
    group_host_close_pump(host);
    uv_timer_stop(&host->timer);
}

static int name_it(struct group_host *host, struct span name)
{
    int rc = buf_addf(&host->mark, PREFIX "%.*s", SPAN_ARG(name));
    return rc == 0 ? buf_addf(&host->own_dead, "%.*s.dead", SPAN_ARG(name)) : rc;
}

int group_host_create(struct group_host **out, struct site *site, struct span name,
                      struct group_config *config, struct frame_id low,
                      const struct frame_id *done, size_t count, struct err *err)
{
    struct group_host *host = calloc(1, sizeof(*host));
    if (!host)
        return err_set(err, -ENOMEM, "no memory for the group");
    int rc = name_it(host, name);
    if (rc == 0)
        rc = delivery_init(&host->delivery, &config->rules, low);
    if (rc == 0)
        rc = delivery_load(&host->delivery, done, count);
    if (rc < 0) {
        delivery_finish(&host->delivery);
        buf_finish(&host->mark);
        buf_finish(&host->own_dead);
        free(host);
        return err_set(err, rc, "no memory for the group");
    }
    host->site = host->fetch.site = host->bury.site = site;
    host->config = *config;
    *config = (struct group_config){0};
    host->fetch.after = fetched;
    host->bury.after = buried;
    host->holds = 1;
    uv_timer_init(site->daemon->loop, &host->timer);
    host->timer.data = host;
    *out = host;
    return 0;
}
