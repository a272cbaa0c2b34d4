#include "daemon/run/programs.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/run/registry.h"
#include "daemon/run/run_dir.h"

#define LOOK_MS 20     /* at what lingers */
#define LAST_MS 3000   /* stopping waits so long for frames, once nothing runs */
#define FORGET_MIN 256 /* programs that were heard of before any is forgotten */

/* --- names ------------------------------------------------------------------------------------------- */

static size_t bucket_of(enum program_kind kind, struct span name)
{
    uint32_t hash = 2166136261u + (uint32_t)kind;
    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.ptr[i]) * 16777619u;
    return hash % PROGRAM_BUCKETS;
}

struct program *programs_find(struct programs *all, enum program_kind kind, struct span name)
{
    struct program *p = all->buckets[bucket_of(kind, name)];
    while (p && !(p->kind == kind && span_is(name, p->name)))
        p = p->next;
    return p;
}

/* Names that mean nothing any more go when their number has doubled, so that it costs little. */
static void forget_idle(struct programs *all)
{
    for (size_t i = 0; i < PROGRAM_BUCKETS; i++)
        for (struct program **at = &all->buckets[i]; *at;) {
            struct program *p = *at;
            if (!program_is_idle(p)) {
                at = &p->next;
                continue;
            }
            *at = p->next;
            all->program_count--;
            program_destroy(p);
        }
    all->forget_at = all->program_count * 2 > FORGET_MIN ? all->program_count * 2 : FORGET_MIN;
}

struct program *programs_get(struct programs *all, enum program_kind kind, struct span name)
{
    struct program *p = programs_find(all, kind, name);
    if (p)
        return p;
    if (all->begun && all->program_count >= all->forget_at)
        forget_idle(all);
    p = program_create(all, kind, name);
    if (!p)
        return NULL;
    struct program **bucket = &all->buckets[bucket_of(kind, name)];
    p->next = *bucket;
    *bucket = p;
    all->program_count++;
    return p;
}

static struct program *next_program(const struct programs *all, size_t *bucket, struct program *last)
{
    struct program *p = last ? last->next : NULL;
    while (!p && *bucket < PROGRAM_BUCKETS)
        p = all->buckets[(*bucket)++];
    return p;
}

/* What runs under an origin text; NULL. */
static struct instance *instance_by_origin(const struct programs *all, struct span origin)
{
    for (int kind = 0; all && kind < PROGRAM_KINDS; kind++) {
        struct span word = span_str(words_kind((enum program_kind)kind));
        if (origin.len <= word.len || memcmp(origin.ptr, word.ptr, word.len) != 0 || origin.ptr[word.len] != '/')
            continue;
        struct span name = span_of(origin.ptr + word.len + 1, origin.len - word.len - 1);
        const struct program *p = programs_find((struct programs *)(uintptr_t)all, (enum program_kind)kind, name);
        return p ? p->instance : NULL;
    }
    return NULL;
}

unsigned programs_hops(const struct programs *all, struct span origin)
{
    const struct instance *i = instance_by_origin(all, origin);
    return i ? i->origin.hops : 0;
}

bool programs_hold(struct programs *all, struct span origin, struct frame_id *id)
{
    struct instance *i = instance_by_origin(all, origin);
    if (!i || !i->out)
        return false;
    *id = i->def.id;
    emit_hold(i->out, true);
    return true;
}

void programs_unhold(struct programs *all, struct span origin, struct frame_id id)
{
    struct instance *i = instance_by_origin(all, origin);
    if (i && i->out && id_cmp(i->def.id, id) == 0)
        emit_hold(i->out, false);
}

struct frame_id programs_since(const struct programs *all)
{
    return all->since;
}

size_t programs_count(const struct programs *all)
{
    size_t bucket = 0, count = 0;
    for (struct program *p = NULL; all && (p = next_program(all, &bucket, p));)
        count += !program_is_still(p);
    return all && !all->begun ? count + 1 : count; /* while history is read nobody knows */
}

static bool awaits(const struct program *p, struct span topic)
{
    if (p->kind != PROGRAM_HANDLER || program_is_still(p))
        return false;
    return !p->instance || pattern_match(&p->instance->def.topics, topic);
}

bool programs_await(const struct programs *all, struct span topic)
{
    size_t bucket = 0;
    bool found = all && !all->begun;
    for (struct program *p = NULL; all && !found && (p = next_program(all, &bucket, p));)
        found = awaits(p, topic);
    return found;
}

/* --- directories that go ------------------------------------------------------------------------------ */

struct removal {
    struct job job;
    struct programs *all;
    struct frame_id id;
    int result;
    struct err err;
};

static void remove_dir(struct job *job)
{
    struct removal *r = (struct removal *)job;
    r->result = run_dir_remove(store_dirfd(r->all->site->store), r->id, &r->err);
}

static void removed(struct job *job)
{
    struct removal *r = (struct removal *)job;
    struct programs *all = r->all;
    if (r->result < 0)
        log_say(all->site->daemon->log, LOG_WARN, "program", "error=\"%s\"", r->err.text);
    free(r);
    all->jobs--;
    programs_settle(all);
}

void programs_remove_dir(struct programs *all, struct frame_id id)
{
    struct removal *r = calloc(1, sizeof(*r));
    if (!r)
        return; /* the next start does it */
    *r = (struct removal){.job = {.work = remove_dir, .after = removed}, .all = all, .id = id};
    all->jobs++;
    pool_submit(all->site->daemon->loop, &r->job);
}

/* --- starting ------------------------------------------------------------------------------------------------ */

static void tell_ready(struct programs *all)
{
    void (*ready)(void *arg) = all->ready;
    if (!all->begun || all->booting > 0 || !ready)
        return;
    all->ready = NULL;
    ready(all->ready_arg);
}

void programs_booted(struct programs *all, struct program *p)
{
    if (!p->booting)
        return;
    p->booting = false;
    all->booting--;
    tell_ready(all);
}

static void scanned(struct programs *all, const struct err *err)
{
    if (err)
        log_say(all->site->daemon->log, LOG_ERROR, "program", "none_started=\"%s\"", err->text);
    all->begun = true;
    if (all->pump)
        pump_resume(all->pump);
    tell_ready(all);
    programs_settle(all);
}

int programs_start(struct site *site, void (*ready)(void *arg), void *arg, struct err *err)
{
    struct programs *all = calloc(1, sizeof(*all));
    if (!all)
        return err_set(err, -ENOMEM, "no memory for the programs");
    const struct emit_options emit = {
        .site = site, .authority = AUTHORITY_DAEMON, .urgent = true};
    all->site = site;
    all->ready = ready;
    all->ready_arg = arg;
    all->forget_at = FORGET_MIN;
    int rc = emit_create(&all->emit, &emit, err);
    if (rc == 0)
        rc = programs_follow(all, err);
    if (rc == 0) {
        all->since = pump_position(all->pump);
        rc = programs_scan(all, all->since, scanned, err);
    }
    if (rc < 0) {
        pump_destroy(all->pump);
        emit_destroy(all->emit);
        free(all);
        return rc;
    }
    uv_timer_init(site->daemon->loop, &all->timer);
    all->timer.data = all;
    site->programs = all;
    return 0;
}

/* --- stopping --------------------------------------------------------------------------------------------------- */

static void look(uv_timer_t *timer)
{
    struct programs *all = timer->data;
    for (struct instance **at = &all->lingering; *at;) {
        struct instance *i = *at;
        if (i->entrance.door.connections > 0) {
            at = &i->next;
            continue;
        }
        *at = i->next;
        instance_destroy(i);
    }
    programs_settle(all);
    if (!all->lingering && (!all->stopping || all->stopped))
        uv_timer_stop(timer);
}

void programs_linger(struct programs *all, struct instance *instance)
{
    instance->next = all->lingering;
    all->lingering = instance;
    if (!uv_is_active((uv_handle_t *)&all->timer))
        uv_timer_start(&all->timer, look, LOOK_MS, LOOK_MS);
}

/* Frames that cannot be appended (a full disk) are not waited for for ever. */
static bool is_told(struct programs *all)
{
    uint64_t now = uv_now(all->site->daemon->loop);
    if (all->deadline_ms == 0)
        all->deadline_ms = now + LAST_MS;
    return all->telling == 0 || now >= all->deadline_ms;
}

/* A job may still be on the pool where nobody waited for the end (a start that failed). */
static void free_if_through(struct programs *all)
{
    if (!all->closed || all->jobs > 0)
        return;
    size_t bucket = 0;
    for (struct program *p = next_program(all, &bucket, NULL), *next; p; p = next) {
        next = next_program(all, &bucket, p);
        program_destroy(p);
    }
    emit_destroy(all->emit);
    free(all);
}

void programs_settle(struct programs *all)
{
    if (all->destroyed) {
        free_if_through(all);
        return;
    }
    if (!all->stopping || all->stopped || all->jobs > 0 || all->running > 0 || !is_told(all))
        return;
    all->stopped = true;
    if (all->on_stopped)
        all->on_stopped(all->stopped_arg);
}

void programs_stop(struct programs *all, void (*stopped)(void *arg), void *arg)
{
    size_t bucket = 0;
    all->stopping = true;
    all->on_stopped = stopped;
    all->stopped_arg = arg;
    pump_destroy(all->pump);
    all->pump = NULL;
    if (all->begun)
        for (struct program *p = NULL; (p = next_program(all, &bucket, p));)
            program_shut(p);
    uv_timer_start(&all->timer, look, 0, LOOK_MS);
}

static void closed(uv_handle_t *handle)
{
    struct programs *all = handle->data;
    all->closed = true;
    free_if_through(all);
}

void programs_destroy(struct programs *all)
{
    if (!all || all->destroyed)
        return;
    all->destroyed = all->stopping = true;
    pump_destroy(all->pump);
    all->pump = NULL;
    if (all->site->programs == all)
        all->site->programs = NULL;
    uv_close((uv_handle_t *)&all->timer, closed);
}
