/* Redis streams as a source: in real time, or as a member of a group. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "base/text.h"
#include "bridge/relay/end.h"

/* While more is there for sure, an answer under way is worth this wait. */
#define NEAR_MS 20

struct source {
    struct relay_source base;
    struct redis_consumer *consumer;
    const struct relay_options *o;
    struct relay_batch *into; /**< of the fill under way */
    uint64_t given;
};

static struct source *own(struct relay_source *s)
{
    return (struct source *)(void *)s;
}

/* --- messages ---------------------------------------------------------------------------------------- */

static int add(void *arg, const struct ss_message *m, struct redis_id id)
{
    struct source *s = arg;
    (void)id;
    int rc = relay_batch_add(s->into, m);
    s->given += rc == 0;
    return rc != 0 ? rc : relay_batch_full(s->into);
}

/* A signal asked to stop. What the server counts as read goes over yet. */
static int stop(struct source *s, struct err *err)
{
    int rc = redis_consumer_stop(s->consumer, add, s, err);
    return rc == 0 ? -EINTR : rc;
}

/* Waits until there may be something: 0; 1: the time is over. */
static int wait_for_more(struct source *s, int wait_ms, uint64_t until_us)
{
    int due = redis_consumer_due(s->consumer);
    int left = wait_ms < 0 ? due : time_left_ms(until_us);
    if (left == 0 && wait_ms >= 0)
        return 1;
    int rc = relay_poll(redis_consumer_fd(s->consumer), POLLIN, left < due ? left : due);
    return rc < 0 ? rc : 0;
}

/* 0; 1: enough for now; ERR_END; an error. */
static int read_once(struct source *s, struct err *err)
{
    const struct relay_batch *into = s->into;
    if (relay_stopped())
        return -EINTR;
    if (!s->o->follow && redis_consumer_at_end(s->consumer))
        return ERR_END;
    size_t before = into->count;
    int near = before > 0 && redis_consumer_behind(s->consumer) ? NEAR_MS : 0;
    int rc = redis_consumer_read(s->consumer, near, add, s, err);
    if (rc != 0)
        return rc;
    return relay_batch_full(into) || (into->count == before && before > 0);
}

static int fill(struct relay_source *base, struct relay_batch *into, int wait_ms, struct err *err)
{
    struct source *s = own(base);
    uint64_t until_us = time_mono_us() + (uint64_t)(wait_ms > 0 ? wait_ms : 0) * 1000;
    int rc = 0;
    s->into = into;
    while (rc == 0) {
        rc = read_once(s, err);
        if (rc == 0 && into->count == 0)
            rc = wait_for_more(s, wait_ms, until_us);
    }
    if (rc == -EINTR)
        return stop(s, err);
    return rc == 1 ? 0 : rc;
}

/* --- places, acks ------------------------------------------------------------------------------------ */

static int position(struct relay_source *base, struct buf *out)
{
    return redis_consumer_place(own(base)->consumer, out);
}

static int go(struct relay_source *base, struct span place, struct err *err)
{
    return redis_consumer_go(own(base)->consumer, place, err);
}

static int settle(struct relay_source *base, struct err *err)
{
    const struct relay_options *o = own(base)->o;
    return o->has_commit && o->commit == SS_COMMIT_DISABLED ? 0 : redis_consumer_ack(own(base)->consumer, err);
}

static void close_source(struct relay_source *base)
{
    struct err err = ERR_INIT;
    struct source *s = own(base);
    uint64_t skipped = redis_consumer_skipped(s->consumer);
    if (s->given == 0 && skipped > 0)
        relay_say("no entry has a field %s; --field names another", s->o->field ? s->o->field : REDIS_FIELD);
    if (redis_consumer_close(s->consumer, &err) != 0)
        relay_say("not acknowledged, so it comes again: %s", err.text);
    free(base);
}

static const struct relay_source_ops alone = {.fill = fill, .position = position, .go = go, .close = close_source};
static const struct relay_source_ops grouped = {.fill = fill, .settle = settle, .close = close_source};

/* --- opening ----------------------------------------------------------------------------------------- */

static void note(const char *text)
{
    relay_say("%s", text);
}

static void choose_start(struct redis_consumer_options *to, const struct relay_options *o)
{
    to->from_start = o->start == RELAY_START || (o->start == RELAY_SEQ && o->value == 0);
    to->has_after = !to->from_start && o->start != RELAY_END;
    if (o->start == RELAY_SEQ && o->value > 0)
        to->after = redis_id_of_seq(o->value - 1);
    if (o->start == RELAY_TIME)
        to->after = (struct redis_id){o->value, UINT16_MAX};
}

static struct redis_consumer_options choose(const struct relay_options *o)
{
    struct redis_consumer_options to = {
        .mode = o->mode,
        /* Acknowledged when it is durable behind the relay, unless it is wished otherwise. */
        .commit = o->has_commit ? o->commit : SS_COMMIT_ROLLING,
        .careful = true,
        .group = o->group,
        .member = o->member,
        .make_stream = o->make_stream,
        .field = o->field,
        .ends = !o->follow,
        .note = note,
    };
    if (o->limit > 0 && to.commit == SS_COMMIT_IMMEDIATE)
        to.batch = 1; /* what was read beyond the limit would be lost */
    choose_start(&to, o);
    return to;
}

static int check(const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    if (url->node_count > 1)
        return err_set(err, ERR_INVALID, "%s: a Redis Cluster is not followed; name one server", url->scheme);
    if (url->key_count == 0)
        return err_set(err, ERR_INVALID, "%s: name the stream: %s://HOST/KEY", url->scheme, url->scheme);
    if (o->mode == SS_REALTIME && (o->group || o->member || o->has_commit))
        return err_set(err, ERR_INVALID, RELAY_NEEDS_MODE);
    if (o->mode != SS_REALTIME && o->cursor)
        return err_set(err, ERR_INVALID, "--cursor: a group remembers its place by itself");
    return 0;
}

int relay_redis_source(struct relay_source **out, const struct ss_url *url, const struct relay_options *o, struct err *err)
{
    struct ss_redis_node node = {.user = NULL};
    struct redis_options connect = {.ca_file = o->ca_file, .insecure = o->insecure, .wait = relay_poll};
    struct redis_consumer_options options = choose(o);
    struct source *s = calloc(1, sizeof(*s));
    if (!s)
        return err_sys(err, ENOMEM, "%s", url->scheme);
    int rc = check(url, o, err);
    if (rc == 0)
        rc = ss_url_redis(url, 0, &node, err);
    if (rc == 0)
        rc = redis_consumer_open(&s->consumer, &node, &connect, url->keys, url->key_count, &options, err);
    ss_redis_node_finish(&node);
    if (rc != 0) {
        free(s);
        return rc;
    }
    s->base.ops = o->mode == SS_REALTIME ? &alone : &grouped;
    s->o = o;
    *out = &s->base;
    return 0;
}
