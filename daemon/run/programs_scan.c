/*
 * Start-up: what the log says of programs, read once, on the pool. Only the topics that say something of programs are read; the directories of
 * definitions that are no longer in force are removed, and those in force are prepared.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/run/registry.h"
#include "daemon/run/run_dir.h"

/* --- what a frame says ------------------------------------------------------------------------------ */

/* Without memory the definition is one whose answers do not count. */
bool program_know(struct program *program, struct frame_id id, bool in_force)
{
    if (id_set_has(&program->known, id))
        return true;
    if (id_set_add(&program->known, id) < 0)
        return false;
    if (in_force && id_cmp(id, program->slots.pending) > 0)
        slots_apply(&program->slots, EVENT_CREATE, id);
    return true;
}

static bool learn_answer(struct program *program, const struct words *words, const struct frame *frame)
{
    struct frame_id of;
    enum program_event event = words->event;
    if (words->words == WORDS_SEED && event == EVENT_FIN_OK)
        event = words_end(frame->meta);
    if (frame->authority == AUTHORITY_NONE ||
        !words_id(&of, frame->meta, words_pointer(program->kind), words_pointer_new(program->kind)) ||
        !id_set_has(&program->known, of))
        return false;
    slots_apply(&program->slots, event, of);
    return true;
}

bool program_learn(struct program *program, const struct words *words, const struct frame *frame, bool defines)
{
    switch (words->event) {
    case EVENT_CREATE:
        return frame->authority == AUTHORITY_EXEC && defines && program_know(program, frame->id, true);
    case EVENT_TERM:
        if (frame->authority != AUTHORITY_EXEC)
            return false;
        slots_apply(&program->slots, EVENT_TERM, frame->id);
        return true;
    default:
        return learn_answer(program, words, frame);
    }
}

/* --- reading history ------------------------------------------------------------------------------------ */

struct scan {
    struct job job;
    struct programs *all;
    void (*done)(struct programs *all, const struct err *err);
    struct buf topics; /* their names, with commas */
    struct frame_id end;
    struct candidate *picks; /* prepared, in the order of their ids */
    int result;
    struct err err;
};

static int add_topic(void *arg, struct span name, uint64_t live, uint64_t next_seq)
{
    struct scan *scan = arg;
    struct words words;
    (void)next_seq;
    if (live == 0 || !words_parse(&words, name))
        return 0;
    int rc = scan->topics.len > 0 ? buf_add_str(&scan->topics, ",") : 0;
    return rc == 0 ? buf_add_span(&scan->topics, name) : rc;
}

/* A program is only made for a frame that may count, so that ordinary topics of such names cost nothing. */
static long take(void *arg, const struct store_item *item)
{
    struct scan *scan = arg;
    struct words words;
    const struct frame *frame = item->frame;
    long cost = (long)(64 + frame->topic.len + frame->meta.len);
    if (frame->authority == AUTHORITY_NONE || !words_parse(&words, frame->topic))
        return cost;
    bool create = words.event == EVENT_CREATE;
    bool defines = create && frame->authority == AUTHORITY_EXEC &&
                   candidate_defines(scan->all->site, words.words, frame);
    struct program *program = create && defines ? programs_get(scan->all, words.kind, words.name)
                                                : programs_find(scan->all, words.kind, words.name);
    if (!program)
        return create && defines ? -ENOMEM : cost;
    program_learn(program, &words, frame, defines);
    return cost;
}

static int read_frames(struct scan *scan, const struct store_query *query, struct err *err)
{
    struct store_cursor *cursor;
    enum store_step step = STORE_MORE;
    int rc = store_cursor_open(&cursor, scan->all->site->store, query, err);
    if (rc < 0)
        return rc;
    while (step != STORE_DONE) {
        rc = store_cursor_read(cursor, 1024 * 1024, true, take, scan, &step, err);
        if (rc < 0 && rc != ERR_DAMAGED)
            break;
        if (rc == ERR_DAMAGED) {
            log_say(scan->all->site->daemon->log, LOG_ERROR, "program", "damaged=\"%s\"", err ? err->text : "");
            step = STORE_MORE;
        }
        rc = 0;
    }
    store_cursor_close(cursor);
    return rc;
}

static int read_history(struct scan *scan, struct err *err)
{
    struct pattern_list topics;
    if (id_is_zero(scan->end))
        return 0;
    int rc = store_topics(scan->all->site->store, add_topic, scan, err);
    if (rc < 0 || scan->topics.len == 0)
        return rc;
    rc = pattern_parse(&topics, buf_span(&scan->topics), err);
    if (rc < 0)
        return rc;
    const struct store_query query = {.topics = &topics, .until = scan->end};
    rc = read_frames(scan, &query, err);
    pattern_finish(&topics);
    return rc;
}

/* --- what is in force --------------------------------------------------------------------------------------- */

static void insert(struct candidate **list, struct candidate *c)
{
    while (*list && id_cmp((*list)->id, c->id) < 0)
        list = &(*list)->next;
    c->next = *list;
    *list = c;
}

static struct candidate *candidate_of_id(struct program *program, struct frame_id id)
{
    struct candidate *c = candidate_create(program->all->site, id, NULL);
    if (!c)
        return NULL;
    c->program = program;
    c->words = WORDS_NEW;
    c->defines = true;
    c->was_active = id_cmp(program->slots.confirmed, id) == 0;
    return c;
}

static int pick(struct scan *scan, struct program *program)
{
    struct frame_id first, fallback;
    slots_pick(&program->slots, &first, &fallback);
    if (id_is_zero(first))
        return 0;
    struct candidate *c = candidate_of_id(program, first);
    if (!c)
        return -ENOMEM;
    insert(&scan->picks, c);
    if (id_is_zero(fallback) || id_cmp(first, fallback) == 0)
        return 0;
    program->spare = candidate_of_id(program, fallback);
    return program->spare ? 0 : -ENOMEM;
}

static bool in_force(void *arg, struct frame_id id)
{
    const struct programs *all = arg;
    for (size_t i = 0; i < PROGRAM_BUCKETS; i++)
        for (const struct program *p = all->buckets[i]; p; p = p->next)
            if (id_cmp(p->slots.pending, id) == 0 || id_cmp(p->slots.confirmed, id) == 0)
                return true;
    return false;
}

static int pick_all(struct scan *scan, struct err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < PROGRAM_BUCKETS; i++)
        for (struct program *p = scan->all->buckets[i]; rc == 0 && p; p = p->next)
            rc = pick(scan, p);
    return rc < 0 ? err_set(err, rc, "no memory for the programs") : 0;
}

/* --- the job --------------------------------------------------------------------------------------------------- */

static void work(struct job *job)
{
    struct scan *scan = (struct scan *)job;
    struct err swept = ERR_INIT;
    scan->result = read_history(scan, &scan->err);
    if (scan->result == 0)
        scan->result = pick_all(scan, &scan->err);
    if (scan->result < 0)
        return;
    if (run_dir_sweep(store_dirfd(scan->all->site->store), in_force, scan->all, &swept) < 0)
        log_say(scan->all->site->daemon->log, LOG_WARN, "program", "error=\"%s\"", swept.text);
    for (struct candidate *c = scan->picks; c; c = c->next) {
        candidate_prepare(c);
        c->state = CANDIDATE_READY; /* nobody else has it yet */
    }
}

static void start_picks(struct scan *scan)
{
    struct programs *all = scan->all;
    bool good = scan->result == 0 && !all->stopping;
    for (struct candidate *c = scan->picks; c && good; c = c->next) {
        c->program->booting = true;
        all->booting++;
    }
    while (scan->picks) {
        struct candidate *c = scan->picks;
        scan->picks = c->next;
        c->next = NULL;
        if (good)
            program_boot(c->program, c);
        else
            candidate_destroy(c);
    }
}

static void after(struct job *job)
{
    struct scan *scan = (struct scan *)job;
    struct programs *all = scan->all;
    all->jobs--;
    start_picks(scan);
    scan->done(all, scan->result < 0 ? &scan->err : NULL);
    buf_finish(&scan->topics);
    free(scan);
}

int programs_scan(struct programs *all, struct frame_id end, void (*done)(struct programs *all, const struct err *err),
                  struct err *err)
{
    struct scan *scan = calloc(1, sizeof(*scan));
    if (!scan)
        return err_set(err, -ENOMEM, "no memory for the programs");
    *scan = (struct scan){.job = {.work = work, .after = after}, .all = all, .end = end, .done = done};
    all->jobs++;
    pool_submit(all->site->daemon->loop, &scan->job);
    return 0;
}
