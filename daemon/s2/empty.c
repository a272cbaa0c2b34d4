#include "daemon/s2/empty.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

#include "base/text.h"
#include "daemon/s2/s2.h"
#include "daemon/stores.h"

#define FOUND_MAX 1000 /* of one store, at one look */

/* A store that is looked at; an attached one stays open meanwhile. */
struct place {
    struct site *site;
    struct attached *attached;
};

struct found {
    size_t at, len; /* of the name, in `names` */
    uint64_t next_seq;
};

struct empties {
    struct daemon *daemon;
    uv_timer_t timer;
    unsigned every_ms;
    struct place *places; /* those not looked at yet */
    size_t count, cap;
    struct job job;
    uint64_t now_ms;
    struct buf names;
    struct found found[FOUND_MAX];
    size_t found_count, next; /* the next to be dropped */
    int result;
    struct err err;
    struct submission submission;
    struct store_topic_op topic;
    bool busy, closed, destroyed;
};

static void tick(uv_timer_t *timer);

/* --- on the pool: which are empty -------------------------------------------------------------------- */

static uint64_t last_use(const struct store_topic *topic)
{
    const uint64_t written = id_is_zero(topic->last_id) ? 0 : id_time_ms(topic->last_id);
    return written > topic->created_ms ? written : topic->created_ms;
}

static bool is_due(const struct store_topic *topic, uint64_t now_ms)
{
    const uint64_t last = last_use(topic), after = topic->rules.empty_after_ms;
    return after > 0 && topic->live == 0 && now_ms > last && now_ms - last >= after;
}

static int take(void *arg, const struct store_topic *topic)
{
    struct empties *e = arg;
    if (!is_due(topic, e->now_ms))
        return 0;
    struct found *found = &e->found[e->found_count];
    *found = (struct found){.at = e->names.len, .len = topic->name.len, .next_seq = topic->next_seq};
    int rc = buf_add_span(&e->names, topic->name);
    return rc < 0 ? rc : ++e->found_count == FOUND_MAX;
}

static struct empties *empties_of(struct job *job)
{
    return (struct empties *)((char *)job - offsetof(struct empties, job));
}

static void work(struct job *job)
{
    struct empties *e = empties_of(job);
    const struct site *site = e->places[e->count - 1].site;
    e->result = store_topic_list(site->store, (struct span){0}, (struct span){0}, take, e, &e->err);
}

/* --- one store after the other ----------------------------------------------------------------------- */

static void free_all(struct empties *e)
{
    if (!e->closed || e->busy)
        return;
    buf_finish(&e->names);
    free(e->places);
    free(e);
}

static void leave_place(struct empties *e)
{
    struct place *place = &e->places[--e->count];
    submit_release(&place->site->source);
    if (place->attached)
        place->attached->users--;
}

static void end(struct empties *e)
{
    while (e->count > 0)
        leave_place(e);
    e->busy = false;
    if (e->destroyed) {
        free_all(e);
        return;
    }
    const unsigned spread = e->every_ms / 5;
    const unsigned more = spread > 0 ? randombytes_uniform(spread + 1) : 0;
    uv_timer_start(&e->timer, tick, e->every_ms - spread / 2 + more, 0);
}

static void listed(struct job *job);

static void look_at_next(struct empties *e)
{
    if (e->count == 0 || e->destroyed || e->daemon->ending) {
        end(e);
        return;
    }
    buf_reset(&e->names);
    e->found_count = e->next = 0;
    e->err = ERR_INIT;
    e->now_ms = time_now_ms();
    e->job = (struct job){.work = work, .after = listed};
    pool_submit(e->daemon->loop, &e->job);
}

static void drop_next(struct empties *e);

static void dropped(struct submission *submission)
{
    struct empties *e =
        (struct empties *)((char *)submission - offsetof(struct empties, submission));
    const struct store_op *op = &submission->op;
    if (op->result == 0)
        s2_dropped(e->places[e->count - 1].site, e->topic.view.no);
    else if (op->result != ERR_CONDITION && op->result != ERR_NOT_FOUND) /* else it was used meanwhile */
        log_say(e->daemon->log, LOG_WARN, "streams", "empty_not_deleted=\"%.*s\" error=\"%s\"",
                SPAN_ARG(e->topic.name), op->err.text);
    drop_next(e);
}

static void drop_next(struct empties *e)
{
    if (e->next == e->found_count || e->destroyed || e->daemon->ending) {
        leave_place(e);
        look_at_next(e);
        return;
    }
    const struct found *found = &e->found[e->next++];
    e->topic = (struct store_topic_op){.deed = TOPIC_DROP,
                                       .name = span_of(e->names.ptr + found->at, found->len),
                                       .only_empty = true};
    e->submission = (struct submission){.op = {.kind = STORE_TOPIC,
                                               .authority = AUTHORITY_DAEMON,
                                               .urgent = true,
                                               .topic = &e->topic,
                                               .has_expect_seq = true,
                                               .expect_seq = found->next_seq},
                                        .after = dropped};
    submit_op(&e->places[e->count - 1].site->source, &e->submission);
}

static void listed(struct job *job)
{
    struct empties *e = empties_of(job);
    if (e->result < 0)
        log_say(e->daemon->log, LOG_WARN, "streams", "not_looked_at=%s error=\"%s\"",
                e->places[e->count - 1].site->path, e->err.text);
    drop_next(e);
}

/* --- now and then ------------------------------------------------------------------------------------ */

static bool add(struct empties *e, struct site *site, struct attached *attached)
{
    if (e->count == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 8;
        struct place *places = realloc(e->places, cap * sizeof(*places));
        if (!places)
            return false; /* they are looked at another time */
        e->places = places;
        e->cap = cap;
    }
    e->places[e->count++] = (struct place){site, attached};
    submit_hold(&site->source);
    if (attached)
        attached->users++;
    return true;
}

static bool add_attached(void *arg, struct attached *attached)
{
    return attached->state != ATTACHED_OPEN || add(arg, &attached->site, attached);
}

static void tick(uv_timer_t *timer)
{
    struct empties *e = timer->data;
    e->busy = true;
    stores_each(e->daemon->stores, add_attached, e);
    add(e, e->daemon->root, NULL);
    look_at_next(e);
}

static unsigned period(void)
{
    const char *text = getenv("WEIR_EMPTY_SWEEP_MS");
    uint64_t ms;
    return text && text_u64(span_str(text), &ms) == 0 && ms > 0 && ms < EMPTY_EVERY_MS
               ? (unsigned)ms
               : EMPTY_EVERY_MS;
}

int empties_create(struct empties **out, struct daemon *daemon, struct err *err)
{
    struct empties *e = calloc(1, sizeof(*e));
    if (!e || sodium_init() < 0) {
        free(e);
        return err_set(err, -ENOMEM, "no memory to start");
    }
    e->daemon = daemon;
    e->every_ms = period();
    uv_timer_init(daemon->loop, &e->timer);
    e->timer.data = e;
    uv_timer_start(&e->timer, tick, 0, 0);
    *out = e;
    return 0;
}

static void timer_closed(uv_handle_t *handle)
{
    struct empties *e = handle->data;
    e->closed = true;
    free_all(e);
}

void empties_destroy(struct empties *e)
{
    if (!e)
        return;
    e->destroyed = true;
    uv_close((uv_handle_t *)&e->timer, timer_closed);
}
