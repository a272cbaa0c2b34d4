/*
 * The store against a naive model in memory: random operations from a seed, and after each one
 * reads in many forms that must agree with the model frame by frame. The threads are stepped by
 * hand (steps.h), and the store's clocks and randomness are the test's own, so a seed always gives
 * the same run; index and tail are at a random distance, also between two slices of one read.
 *
 * model [--seed N] [--ops N] [--seconds N]
 */
#include <inttypes.h>
#include <sys/random.h>
#include <time.h>

#include "tests/store/steps.h"

#define TOPICS 40
#define CONTENTS 12
#define BLOBS 4
#define KEYS 64
#define FOLLOWERS 3
#define PER_OP 6

static const char *const names[TOPICS] = {
    "a", "a.b", "a.b.c", "b", "b.x", "last.one", "last.two", "time", "time.b", "ab",
};
static char made[TOPICS][24];

static const char *const patterns[] = {"a.*", "b,last.*", "many.*",          "time",
                                       "*",   "zzz",      "a,a.b.*,many.11", "last.one,many.*"};

struct model_frame {
    struct frame_id id;
    int topic, content, meta; /* content: -1 none, -2 of a command, below CONTENTS in the frame, else a blob */
    struct ttl ttl;
    bool live, has_seq, command;
    uint64_t seq, deadline, stamp;
    unsigned seen; /* by which followers */
    bool removed; /* by an operation, a trim or a drop, not by a ttl */
};

struct model_topic {
    uint64_t next_seq;
    struct frame_id last_id;
    bool there;
    uint64_t last_stamp, trim, created, revision;
    struct topic_rules rules;
    int token, note; /* 0 = none */
};

struct known_key {
    int topic, content, count;
    struct frame_id first;
};

struct follower {
    struct store_cursor *cursor;
    struct pattern_list topics;
    bool filtered;
    struct frame_id start;     /* frames above must all come */
    struct frame_id last;      /* last one that came */
    struct frame_id synthetic; /* what comes later is above */
    uint64_t ephemerals;       /* published when it was opened */
    uint64_t got, lost;        /* ephemerals */
    bool history;
};

static struct play play;
static struct model_frame *frames; /* in order of ids, dead ones too */
static size_t frame_count, frame_cap;
static struct model_topic topics[TOPICS];
static struct known_key keys[KEYS];
static bool loose[CONTENTS];
static struct follower followers[FOLLOWERS];
static uint64_t ephemerals; /* published since open */
static uint64_t clock_ms = 1700000000000;
static uint64_t random_state;
static uint64_t op_number, seed;
static struct frame_id newest_stored;

static uint64_t now_ms(void)
{
    return clock_ms;
}

static uint64_t rnd(uint64_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (z ^ z >> 31) % below;
}

/* --- what the C library would give, so that nothing but the seed decides ------------------------ */

static uint64_t entropy_state, mono_us = 1000000;

static uint64_t entropy(void)
{
    uint64_t z = entropy_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    return z ^ z >> 31;
}

ssize_t getrandom(void *out, size_t size, unsigned flags)
{
    uint8_t *bytes = out;
    (void)flags;
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(entropy() >> 32);
    return (ssize_t)size;
}

/* Now and then more than a slice of a read may take. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    (void)clock;
    mono_us += entropy() >> 60 == 0 ? 2000 : 1;
    *out = (struct timespec){(time_t)(mono_us / 1000000), (long)(mono_us % 1000000) * 1000};
    return 0;
}

#define check(expression)                                                                          \
    do {                                                                                           \
        if (!(expression))                                                                         \
            fault(__LINE__, #expression);                                                          \
    } while (0)

__attribute__((noreturn)) static void fault(int line, const char *what)
{
    printf("not ok model line %d: %s (run again with --seed %" PRIu64 ", operation %" PRIu64 ")\n",
           line, what, seed, op_number);
    fflush(stdout);
    exit(1);
}

static const char *name_of(int topic)
{
    return names[topic] ? names[topic] : made[topic];
}

static const char *content_text(int content)
{
    static char text[24];
    snprintf(text, sizeof text, "content %d", content);
    return text;
}

/* --- the model ---------------------------------------------------------------------------- */

static size_t place_of(struct frame_id id)
{
    size_t low = 0, high = frame_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (id_cmp(frames[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct model_frame *model_find(struct frame_id id)
{
    size_t i = place_of(id);
    return i < frame_count && id_cmp(frames[i].id, id) == 0 ? &frames[i] : NULL;
}

static void model_put(const struct model_frame *frame)
{
    struct model_frame *there = model_find(frame->id);
    if (there) {
        *there = *frame;
        return;
    }
    if (frame_count == frame_cap) {
        frame_cap = frame_cap ? frame_cap * 2 : 1024;
        frames = realloc(frames, frame_cap * sizeof *frames);
        check(frames);
    }
    size_t i = place_of(frame->id);
    memmove(&frames[i + 1], &frames[i], (frame_count - i) * sizeof *frames);
    frames[i] = *frame;
    frame_count++;
}

static bool is_visible(const struct model_frame *f)
{
    return f->live && f->ttl.kind != TTL_EPHEMERAL && (f->deadline == 0 || f->deadline > clock_ms);
}

static void model_cut(int topic, uint64_t keep)
{
    for (size_t i = frame_count; i-- > 0;)
        if (frames[i].live && frames[i].topic == topic && frames[i].ttl.kind != TTL_EPHEMERAL &&
            keep-- == 0) {
            for (size_t k = 0; k <= i; k++)
                if (frames[k].topic == topic)
                    frames[k].live = false;
            return;
        }
}

/* A frame that the store answered for. */
static void model_take(const struct store_frame *in, int topic, int content, int meta)
{
    struct model_frame f = {.id = in->id,
                            .topic = topic,
                            .content = content,
                            .meta = meta,
                            .ttl = in->ttl,
                            .live = true};
    f.has_seq = in->has_seq;
    f.seq = in->seq;
    f.command = in->command != COMMAND_NONE;
    f.stamp = id_time_ms(in->id);
    if (in->has_seq && topics[topic].last_stamp > f.stamp)
        f.stamp = topics[topic].last_stamp;
    if (in->has_seq)
        topics[topic].last_stamp = f.stamp;
    if (in->ttl.kind == TTL_TIME)
        f.deadline = id_time_ms(in->id) + in->ttl.value;
    model_put(&f);
    if (in->ttl.kind == TTL_EPHEMERAL) {
        ephemerals++;
        return;
    }
    struct model_topic *t = &topics[topic];
    if (t->created == 0)
        t->created = id_time_ms(in->id);
    t->there = true;
    if (in->has_seq)
        t->next_seq = in->seq + 1;
    if (id_cmp(in->id, t->last_id) > 0)
        t->last_id = in->id;
    if (id_cmp(in->id, newest_stored) > 0)
        newest_stored = in->id;
}

/* --- scheduling --------------------------------------------------------------------------- */

/* A random step of the index thread or, for removals of what expired, of the writer. */
static void maybe_step(unsigned one_in)
{
    if (rnd(one_in) == 0)
        indexer_step(play.store);
    if (rnd(one_in) == 0)
        writer_step(play.store);
}

/* --- operations --------------------------------------------------------------------------- */

static int some_topic(void)
{
    return rnd(3) ? (int)rnd(10) : (int)rnd(TOPICS);
}

static bool is_time_topic(int topic)
{
    return strncmp(name_of(topic), "time", 4) == 0;
}

static struct ttl some_ttl(int topic)
{
    static const uint64_t lives[] = {1, 50, 1000, 100000};
    if (is_time_topic(topic))
        return rnd(2) ? TIME(lives[rnd(4)]) : FOREVER;
    if (rnd(8) == 0)
        return EPHEMERAL;
    if (strncmp(name_of(topic), "last", 4) == 0 && rnd(4))
        return LAST(1 + rnd(rnd(4) ? 5 : 60));
    return FOREVER;
}

struct some_frame {
    int topic, content, meta;
    char text[24], meta_text[24];
};

static void some_frame(struct store_frame *out, struct some_frame *made_of, int topic)
{
    made_of->topic = topic;
    made_of->content = rnd(2) ? -1 : (int)rnd(CONTENTS + BLOBS);
    made_of->meta = rnd(2) ? -1 : (int)rnd(1000);
    *out = frame_in(name_of(topic), some_ttl(topic));
    if (out->ttl.kind == TTL_EPHEMERAL)
        made_of->content = -1; /* how long the tail keeps it is not modelled */
    if (made_of->content >= 0) {
        snprintf(made_of->text, sizeof made_of->text, "%s", content_text(made_of->content));
        frame_content(out, made_of->text);
        out->has_content = made_of->content < CONTENTS;
    }
    if (made_of->meta >= 0) {
        snprintf(made_of->meta_text, sizeof made_of->meta_text, "{\"n\":%d}", made_of->meta);
        out->meta = span_str(made_of->meta_text);
    }
}

/* What the model says to an append that was answered well. */
static void appended(const struct store_op *op, const struct some_frame *made_of)
{
    for (size_t i = 0; i < op->count; i++) {
        const struct store_frame *f = &op->frames[i];
        bool ephemeral = f->ttl.kind == TTL_EPHEMERAL;
        check(f->has_seq == !ephemeral);
        check(ephemeral || f->seq == topics[made_of[i].topic].next_seq);
        check(frame_count == 0 || id_cmp(f->id, frames[frame_count - 1].id) > 0);
        model_take(f, made_of[i].topic, made_of[i].content, made_of[i].meta);
        if (f->ttl.kind == TTL_LAST)
            model_cut(made_of[i].topic, f->ttl.value);
    }
}

static void do_append(void)
{
    struct store_frame in[PER_OP];
    struct some_frame made_of[PER_OP];
    struct store_op op = {.kind = STORE_APPEND, .frames = in, .count = 1 + rnd(PER_OP)};
    int topic = some_topic();
    for (size_t i = 0; i < op.count; i++)
        some_frame(&in[i], &made_of[i], i == 0 || rnd(2) ? topic : some_topic());
    bool right = rnd(4) != 0;
    if (rnd(3) == 0) {
        op.has_expect_seq = true;
        op.expect_seq = topics[topic].next_seq + !right;
    } else if (rnd(4) == 0) {
        op.has_expect_last = true;
        op.expect_last = newest_stored;
        op.expect_last.lo += !right;
    } else {
        right = true;
    }
    int r = step_run(play.store, &op);
    check(r == (right ? 0 : ERR_CONDITION));
    if (r == 0)
        appended(&op, made_of);
    else
        check(op.actual_seq == topics[topic].next_seq &&
              id_cmp(op.actual_last, newest_stored) == 0);
}

/* Many appends that end up in one group or a few. */
static void do_burst(void)
{
    enum { MOST = 120 };
    static struct store_frame in[MOST];
    static struct some_frame made_of[MOST];
    static struct store_op ops[MOST];
    static bool done[MOST];
    size_t n = 1 + rnd(MOST);
    int topic = rnd(2) ? -1 : some_topic();
    for (size_t i = 0; i < n; i++) {
        some_frame(&in[i], &made_of[i], topic >= 0 ? topic : some_topic());
        ops[i] = (struct store_op){.kind = STORE_APPEND, .frames = &in[i], .count = 1};
        step_submit(play.store, &ops[i], &done[i]);
        if (rnd(20) == 0)
            writer_step(play.store);
    }
    for (int i = 0; i < 100 && !done[n - 1]; i++) {
        writer_step(play.store);
        if (i > 0)
            indexer_step(play.store);
    }
    for (size_t i = 0; i < n; i++) {
        check(done[i] && ops[i].result == 0);
        appended(&ops[i], &made_of[i]);
    }
}

static void do_keyed(void)
{
    struct store_frame in[3];
    char key[16], text[24];
    int k = (int)rnd(KEYS);
    struct known_key *known = &keys[k];
    bool repeat = known->count > 0 && rnd(3) != 0, same = rnd(3) != 0;
    int topic = known->count ? known->topic : (int)rnd(5);
    int content = known->count && same ? known->content : (int)rnd(CONTENTS);
    int count = known->count && same ? known->count : 1 + (int)rnd(3);
    if (!repeat && known->count)
        return;
    snprintf(key, sizeof key, "key-%d", k);
    snprintf(text, sizeof text, "%s", content_text(content));
    struct some_frame made_of[3];
    for (int i = 0; i < count; i++) {
        in[i] = frame_in(name_of(topic), FOREVER);
        frame_content(&in[i], text);
        made_of[i] = (struct some_frame){.topic = topic, .content = content, .meta = -1};
    }
    struct store_op op = {
        .kind = STORE_APPEND, .frames = in, .count = (size_t)count, .key = span_str(key)};
    int r = step_run(play.store, &op);
    if (known->count == 0) {
        check(r == 0 && !op.repeated);
        appended(&op, made_of);
        *known = (struct known_key){topic, content, count, in[0].id};
        return;
    }
    if (content != known->content || count != known->count) {
        check(r == ERR_CONFLICT);
        return;
    }
    check(r == 0 && op.repeated && op.number == 0);
    check(id_cmp(in[0].id, known->first) == 0);
    for (int i = 0; i < count; i++) {
        struct model_frame *f = model_find(in[i].id);
        check(f);
        if (f->seen >> 31) /* removed, and another was imported under its id */
            continue;
        check(f->topic == topic && f->content == content);
        check(in[i].has_seq == f->live && (!f->live || in[i].seq == f->seq));
    }
}

static struct frame_id some_id(void)
{
    if (frame_count == 0 || rnd(10) == 0)
        return (struct frame_id){(clock_ms - rnd(100000)) << 16 | rnd(65536), rnd(UINT64_MAX) | 1};
    return frames[rnd(4) ? frame_count - 1 - rnd(frame_count < 50 ? frame_count : 50)
                         : rnd(frame_count)]
        .id;
}

static void do_remove(void)
{
    struct frame_id ids[8];
    struct store_op op = {.kind = STORE_REMOVE, .ids = ids, .count = 1 + rnd(8)};
    bool any = false, maybe = false;
    for (size_t i = 0; i < op.count; i++)
        ids[i] = i > 0 && rnd(4) == 0 ? ids[i - 1] : some_id();
    if (rnd(2)) {
        op.ids = NULL;
        op.count = 1;
        op.id = ids[0];
    }
    for (size_t i = 0; i < op.count; i++) {
        struct model_frame *f = model_find(ids[i]);
        if (f && f->live && f->ttl.kind != TTL_EPHEMERAL) {
            any |= is_visible(f);
            maybe |= !is_visible(f); /* expired: it may be there still */
            f->live = false;
            f->removed = true;
        }
    }
    check(step_run(play.store, &op) == 0);
    check(op.found == any || (maybe && op.found));
}

static void do_sweep_old(void)
{
    size_t live = 0;
    for (size_t i = 0; i < frame_count; i++)
        live += frames[i].live;
    if (live < 1500)
        return;
    struct frame_id *ids = malloc(live * sizeof *ids);
    size_t n = 0;
    for (size_t i = 0; i < frame_count && n < live * 3 / 4; i++)
        if (frames[i].live && frames[i].ttl.kind != TTL_EPHEMERAL) {
            ids[n++] = frames[i].id;
            frames[i].live = false;
            frames[i].removed = true;
        }
    struct store_op op = {.kind = STORE_REMOVE, .ids = ids, .count = n};
    check(step_run(play.store, &op) == 0 && op.found);
    free(ids);
}

static bool same_as(const struct model_frame *f, const struct store_frame *in,
                    const struct some_frame *made_of)
{
    return f->topic == made_of->topic && f->content == made_of->content &&
           f->meta == made_of->meta && f->ttl.kind == in->ttl.kind && f->ttl.value == in->ttl.value;
}

static void copy_of(struct store_frame *in, struct some_frame *made_of, const struct model_frame *f)
{
    *in = frame_in(name_of(f->topic), f->ttl);
    *made_of = (struct some_frame){.topic = f->topic, .content = f->content, .meta = f->meta};
    if (f->content >= 0) {
        snprintf(made_of->text, sizeof made_of->text, "%s", content_text(f->content));
        frame_content(in, made_of->text);
        in->has_content = f->content < CONTENTS;
    }
    if (f->meta >= 0) {
        snprintf(made_of->meta_text, sizeof made_of->meta_text, "{\"n\":%d}", f->meta);
        in->meta = span_str(made_of->meta_text);
    }
}

static struct frame_id import_id(void)
{
    switch (rnd(4)) {
    case 0: /* old */
        return (struct frame_id){(clock_ms - rnd(1000000)) << 16 | rnd(65536), rnd(UINT64_MAX) | 1};
    case 1: /* ahead, but not too far */
        return (struct frame_id){(clock_ms + rnd(9000)) << 16 | rnd(65536), rnd(UINT64_MAX) | 1};
    case 2: { /* beside another */
        struct frame_id id = some_id();
        id.lo += rnd(3);
        return id;
    }
    default: /* just above a synthetic one, below all that comes */
        return store_synthetic_id(play.store, followers[0].cursor);
    }
}

/* The newest frame's last:N holds, wherever the import came in. */
static void model_import_cut(int topic)
{
    struct model_frame *newest = model_find(topics[topic].last_id);
    if (newest && newest->live && newest->topic == topic && newest->ttl.kind == TTL_LAST)
        model_cut(topic, newest->ttl.value);
}

static void do_import(void)
{
    struct store_frame in[4];
    struct some_frame made_of[4];
    struct store_op op = {.kind = STORE_IMPORT, .frames = in, .count = 1 + rnd(4)};
    bool conflict = false, twice = false, ahead = false;
    bool there[4]; /* before: one may be cut by another of the same import */
    for (size_t i = 0; i < op.count; i++) {
        struct frame_id id = import_id();
        struct model_frame *f = model_find(id);
        if (f && f->content == -2)
            return;
        if (f && f->ttl.kind != TTL_EPHEMERAL && rnd(2))
            copy_of(&in[i], &made_of[i], f);
        else
            do
                some_frame(&in[i], &made_of[i], some_topic());
            while (in[i].ttl.kind == TTL_EPHEMERAL);
        in[i].id = id;
        if ((in[i].has_seq = rnd(3) == 0))
            in[i].seq = topics[made_of[i].topic].next_seq + rnd(3);
        /* What expired may be there still or not; so an id of such a frame is left alone. */
        if (f && ((f->ttl.kind == TTL_EPHEMERAL) || (f->live && !is_visible(f))))
            return;
        there[i] = f && f->live;
        conflict |= there[i] && !same_as(f, &in[i], &made_of[i]);
        ahead |= id_time_ms(id) > clock_ms + 10000;
        for (size_t k = 0; k < i; k++)
            twice |= id_cmp(in[k].id, id) == 0;
    }
    struct store_frame asked[4];
    memcpy(asked, in, sizeof asked);
    int r = step_run(play.store, &op);
    if (twice || ahead || conflict) {
        check(r == ERR_INVALID || (r == ERR_CONFLICT && conflict));
        return;
    }
    check(r == 0);
    for (size_t i = 0; i < op.count; i++) {
        struct model_frame *f = model_find(in[i].id);
        struct model_topic *t = &topics[made_of[i].topic];
        check(in[i].existed == there[i]);
        if (in[i].existed) {
            check(in[i].has_seq == f->has_seq && (!f->has_seq || in[i].seq == f->seq));
            continue;
        }
        check(in[i].has_seq == (id_cmp(in[i].id, t->last_id) > 0));
        if (in[i].has_seq)
            check(in[i].seq ==
                  (asked[i].has_seq && asked[i].seq >= t->next_seq ? asked[i].seq : t->next_seq));
        unsigned seen = f ? f->seen : 0;
        model_take(&in[i], made_of[i].topic, made_of[i].content, made_of[i].meta);
        /* One that is below what a follower read need not come to it any more. */
        model_find(in[i].id)->seen = seen | 1u << 31;
        model_import_cut(made_of[i].topic);
    }
}

static void do_content(void)
{
    int content = (int)rnd(CONTENTS);
    struct store_op op = {.kind = STORE_CONTENT};
    char text[24];
    snprintf(text, sizeof text, "%s", content_text(content));
    op.content = span_str(text);
    digest_of(op.digest, text);
    check(step_run(play.store, &op) == 0);
    loose[content] = true;
}

static void do_clock(void)
{
    if (rnd(10) == 0) {
        /* What expired does not come back, once it is removed: behind what trims and drops left. */
        step_settle_all(play.store);
        for (size_t i = 0; i < frame_count; i++)
            frames[i].live &= frames[i].deadline == 0 || frames[i].deadline > clock_ms;
        clock_ms -= rnd(5000);
    } else
        clock_ms += rnd(rnd(4) ? 40 : 3000);
}

/* --- streams ------------------------------------------------------------------------------ */

static const char *token_text(int token)
{
    static char text[24];
    snprintf(text, sizeof text, "token %d", token);
    return token ? text : "";
}

static const char *note_text(int note)
{
    static char text[24];
    snprintf(text, sizeof text, "note %d", note);
    return note ? text : "";
}

static struct topic_rules some_rules(void)
{
    static const uint64_t lives[] = {0, 0, 50, 1000, 100000};
    return (struct topic_rules){.retention_ms = lives[rnd(5)],
                                .stamp_mode = (enum stamp_mode)rnd(3),
                                .uncapped = rnd(4) == 0,
                                .empty_after_ms = rnd(3)};
}

static bool same_rules(const struct topic_rules *a, const struct topic_rules *b)
{
    return a->retention_ms == b->retention_ms && a->stamp_mode == b->stamp_mode &&
           a->uncapped == b->uncapped && a->empty_after_ms == b->empty_after_ms;
}

/* What is alive of a topic: surely, and at most. */
static void count_topic(int topic, uint64_t *sure, uint64_t *most, uint64_t *lowest)
{
    *sure = *most = 0;
    *lowest = UINT64_MAX;
    for (size_t i = 0; i < frame_count; i++) {
        const struct model_frame *f = &frames[i];
        if (f->topic != topic || !f->live || f->ttl.kind == TTL_EPHEMERAL)
            continue;
        ++*most;
        *sure += is_visible(f);
        if (f->has_seq && is_visible(f) && f->seq < *lowest)
            *lowest = f->seq;
    }
}

/* exact: no trim or drop has left anything uncounted. */
static void check_view(const struct store_topic *v, int topic, bool exact)
{
    const struct model_topic *t = &topics[topic];
    uint64_t sure, most, lowest;
    count_topic(topic, &sure, &most, &lowest);
    check(span_is(v->name, name_of(topic)) && v->no > 0);
    check(v->next_seq == t->next_seq && v->last_stamp == t->last_stamp);
    check(v->created_ms == t->created && v->revision == t->revision);
    check(v->trim >= t->trim && v->trim <= v->next_seq);
    check(v->trim <= lowest && (lowest == UINT64_MAX || v->first_seq <= lowest));
    check(v->first_seq <= v->next_seq);
    check(same_rules(&v->rules, &t->rules));
    check(span_is(v->token, token_text(t->token)) && span_is(v->note, note_text(t->note)));
    check(v->live >= sure && (v->live <= most || !exact));
    check(id_cmp(v->last_id, t->last_id) == 0);
}

/* A view that came from the writer. */
static void check_answer(const struct store_topic *v, int topic)
{
    const struct head *head = heads_find(&play.store->heads, span_str(name_of(topic)));
    check_view(v, topic, head && !head->uncounted);
}

static void model_make(int topic, const struct topic_rules *rules, int note)
{
    topics[topic] = (struct model_topic){
        .there = true, .created = clock_ms, .revision = 1, .rules = *rules, .note = note};
}

static void model_trim(int topic, uint64_t seq)
{
    if (seq > topics[topic].trim)
        topics[topic].trim = seq;
    for (size_t i = 0; i < frame_count; i++)
        if (frames[i].topic == topic && frames[i].has_seq && frames[i].seq < seq && frames[i].live) {
            frames[i].live = false;
            frames[i].removed = true;
        }
}

static void model_drop(int topic)
{
    for (size_t i = 0; i < frame_count; i++)
        if (frames[i].topic == topic && frames[i].live && frames[i].ttl.kind != TTL_EPHEMERAL) {
            frames[i].live = false;
            frames[i].removed = true;
        }
    for (int k = 0; k < KEYS; k++)
        if (keys[k].topic == topic)
            keys[k].count = 0;
    topics[topic] = (struct model_topic){0};
}

struct record {
    struct some_frame made_of;
    bool has_stamp;
    uint64_t stamp;
    int token;
    uint64_t trim;
    char token_text[24];
    uint8_t trim_bytes[8];
};

static void some_record(struct store_frame *in, struct record *r, int topic)
{
    do
        some_frame(in, &r->made_of, topic);
    while (in->ttl.kind == TTL_EPHEMERAL);
    if ((r->has_stamp = in->has_stamp = rnd(2)))
        r->stamp = in->stamp = clock_ms - 500 + rnd(1000);
    in->command = rnd(6) ? COMMAND_NONE : rnd(2) ? COMMAND_FENCE : COMMAND_TRIM;
    if (in->command == COMMAND_NONE)
        return;
    r->made_of.content = -2;
    r->token = (int)rnd(3);
    r->trim = rnd(topics[topic].next_seq + 10);
    if (rnd(3) == 0)
        r->trim = topics[topic].next_seq - (topics[topic].next_seq > 3 ? 3 : 0);
    snprintf(r->token_text, sizeof r->token_text, "%s", token_text(r->token));
    put_be64(r->trim_bytes, r->trim);
    in->has_hash = in->has_content = true;
    in->content = in->command == COMMAND_FENCE ? span_str(r->token_text) : span_of(r->trim_bytes, 8);
    in->content_size = in->content.len;
    digest_of(in->digest, "a command");
}

static uint64_t model_stamp(const struct model_topic *t, const struct record *r)
{
    uint64_t stamp = r->has_stamp && t->rules.stamp_mode != STAMP_ARRIVAL ? r->stamp : clock_ms;
    if (!t->rules.uncapped && stamp > clock_ms)
        stamp = clock_ms;
    return stamp < t->last_stamp ? t->last_stamp : stamp;
}

/* What the model says to a stream append that was answered well. */
static void streamed(const struct store_op *op, const struct record *of, int topic)
{
    struct model_topic *t = &topics[topic];
    for (size_t i = 0; i < op->count; i++) {
        const struct store_frame *f = &op->frames[i];
        uint64_t stamp = model_stamp(t, &of[i]);
        check(f->has_seq && f->seq == t->next_seq && f->stamp == stamp);
        check(f->ttl.kind == (t->rules.retention_ms ? TTL_TIME : TTL_FOREVER) &&
              f->ttl.value == t->rules.retention_ms);
        model_take(f, topic, of[i].made_of.content, of[i].made_of.meta);
        model_find(f->id)->stamp = t->last_stamp = stamp;
        if (f->command == COMMAND_FENCE)
            t->token = of[i].token;
        if (f->command == COMMAND_TRIM)
            model_trim(topic, of[i].trim <= f->seq ? of[i].trim : f->seq + 1);
    }
}

static int stream_result(const struct store_op *op, const struct record *of, int topic)
{
    const struct model_topic *t = &topics[topic];
    const struct topic_rules *rules = t->there ? &t->rules : op->make ? &op->make->rules : NULL;
    if (!rules)
        return ERR_NOT_FOUND;
    if (op->has_expect_token && !span_is(op->expect_token, token_text(t->token)))
        return ERR_CONDITION;
    if (op->has_expect_seq && op->expect_seq != t->next_seq)
        return ERR_CONDITION;
    for (size_t i = 0; i < op->count; i++)
        if (rules->stamp_mode == STAMP_REQUIRE && !of[i].has_stamp)
            return ERR_INVALID;
    return 0;
}

static void do_stream(void)
{
    static struct store_topic_op view;
    struct store_frame in[PER_OP];
    struct record of[PER_OP];
    char token[24];
    int topic = some_topic(), note = (int)rnd(3);
    char text[24];
    snprintf(text, sizeof text, "%s", note_text(note));
    struct topic_make make = {some_rules(), span_str(text)};
    struct store_op op = {.kind = STORE_APPEND, .stream = true, .frames = in, .count = 1 + rnd(PER_OP)};
    for (size_t i = 0; i < op.count; i++)
        some_record(&in[i], &of[i], topic);
    snprintf(token, sizeof token, "%s", token_text(rnd(3) ? topics[topic].token : (int)rnd(3)));
    op.make = rnd(2) ? &make : NULL;
    op.topic = rnd(2) ? &view : NULL;
    if ((op.has_expect_token = rnd(4) == 0))
        op.expect_token = span_str(token);
    if ((op.has_expect_seq = rnd(4) == 0))
        op.expect_seq = topics[topic].next_seq + (rnd(4) == 0);
    int want = stream_result(&op, of, topic);
    bool fenced = op.has_expect_token && topics[topic].there && !span_is(op.expect_token, token_text(topics[topic].token));
    bool there = topics[topic].there;
    check(step_run(play.store, &op) == want);
    if (want == ERR_CONDITION && there) {
        check(op.fenced == fenced && op.actual_seq == topics[topic].next_seq);
        check(!fenced || strcmp(op.actual_token, token_text(topics[topic].token)) == 0);
    }
    if (want == 0 && !there)
        model_make(topic, &make.rules, note);
    if (want == 0)
        streamed(&op, of, topic);
    if (op.topic && topics[topic].there) {
        check(view.made == (!there && want == 0));
        check_answer(&view.view, topic);
    }
}

/* Whether a drop of the topic succeeds: 1, 0, or -1 when that depends on when the expired are removed. */
static int drops(const struct store_topic_op *t, int topic)
{
    uint64_t sure, most, lowest;
    count_topic(topic, &sure, &most, &lowest);
    return !t->only_empty || most == 0 ? 1 : sure > 0 ? 0 : -1;
}

static void check_drop(const struct store_op *op, int r, int topic)
{
    if (!topics[topic].there) {
        check(r == ERR_NOT_FOUND);
        return;
    }
    if (op->has_expect_seq && op->expect_seq != topics[topic].next_seq) {
        check(r == ERR_CONDITION && op->actual_seq == topics[topic].next_seq);
        return;
    }
    int may = drops(op->topic, topic);
    check(r == (may == 1 ? 0 : ERR_CONDITION) || (may < 0 && r == 0));
    if (r == 0)
        model_drop(topic);
}

static void do_topic(void)
{
    static struct store_topic_op view;
    char text[24];
    int topic = some_topic(), note = (int)rnd(3);
    struct model_topic *t = &topics[topic];
    bool there = t->there;
    snprintf(text, sizeof text, "%s", note_text(note));
    struct topic_make make = {rnd(4) ? some_rules() : t->rules, span_str(text)};
    struct store_op op = {.kind = STORE_TOPIC, .topic = &view};
    view.deed = (enum topic_deed)rnd(TOPIC_DROP + 1);
    if (view.deed == TOPIC_DROP && rnd(3))
        view.deed = TOPIC_LOOK;
    view.name = span_str(name_of(topic));
    view.make = view.deed == TOPIC_LOOK && rnd(2) ? NULL : &make;
    view.only_empty = rnd(2);
    if ((op.has_expect_seq = rnd(4) == 0))
        op.expect_seq = (view.deed == TOPIC_CHANGE ? t->revision : t->next_seq) + (rnd(3) == 0);
    uint64_t number = play.store->tail.number;
    bool beside = play.store->expiring; /* a removal of what expired may share its record */
    int r = step_run(play.store, &op);
    if (view.deed == TOPIC_DROP) {
        check_drop(&op, r, topic);
        return;
    }
    bool makes = !there && view.make && view.deed != TOPIC_CHANGE;
    bool stale = view.deed == TOPIC_CHANGE && op.has_expect_seq && op.expect_seq != t->revision;
    check(r == (makes ? 0 : !there ? ERR_NOT_FOUND : view.deed == TOPIC_CREATE ? ERR_CONFLICT : stale ? ERR_CONDITION : 0));
    check(view.made == makes);
    bool sets = there && r == 0 && (view.deed == TOPIC_PUT || view.deed == TOPIC_CHANGE) &&
                !(same_rules(&make.rules, &t->rules) && note == t->note);
    check(view.changed == sets);
    if (makes)
        model_make(topic, &make.rules, note);
    if (sets) {
        t->rules = make.rules;
        t->note = note;
        t->revision++;
    }
    check(op.number > number ? makes || sets || beside : !(makes || sets));
    if (t->there)
        check_answer(&view.view, topic);
}

/* Where a read by seq or timestamp begins. */
static void do_seek(void)
{
    static struct store_topic_op view;
    struct frame_id found;
    int topic = some_topic();
    struct store_op op = {.kind = STORE_TOPIC, .topic = &view};
    view = (struct store_topic_op){.name = span_str(name_of(topic))};
    if (step_run(play.store, &op) != 0)
        return;
    check_answer(&view.view, topic);
    maybe_step(3);
    bool by_seq = rnd(2);
    uint64_t value = by_seq ? rnd(topics[topic].next_seq + 3) : clock_ms - rnd(3000);
    if (!by_seq && frame_count > 0 && rnd(2))
        value = frames[rnd(frame_count)].stamp;
    check(store_seek(play.store, view.view.no, by_seq ? SEEK_SEQ : SEEK_STAMP, value, &found, NULL) == 0);
    bool any = false;
    for (size_t i = 0; i < frame_count; i++) {
        const struct model_frame *f = &frames[i];
        if (f->topic != topic || !is_visible(f) || !f->has_seq)
            continue;
        bool reached = (by_seq ? f->seq : f->stamp) >= value;
        any |= reached;
        check(reached ? id_cmp(f->id, found) >= 0 : id_cmp(f->id, found) < 0);
    }
    if (!any)
        for (size_t i = 0; i < frame_count; i++) /* what expired may be found all the same */
            check(frames[i].topic == topic || !is_visible(&frames[i]) || id_cmp(frames[i].id, found) < 0 ||
                  topics[topic].next_seq > 0);
}

/* --- followers ---------------------------------------------------------------------------- */

static void follower_open(struct follower *f, bool history)
{
    static struct err err;
    struct store_query query = {.follow = true, .skip_history = !history};
    *f = (struct follower){.ephemerals = ephemerals, .history = history};
    f->filtered = rnd(2);
    if (f->filtered) {
        const char *text = patterns[rnd(sizeof patterns / sizeof *patterns)];
        check(pattern_parse(&f->topics, span_str(text), &err) == 0);
        query.topics = &f->topics;
    }
    check(store_cursor_open(&f->cursor, play.store, &query, &err) == 0);
    f->start = history ? ID_MIN : frame_count ? frames[frame_count - 1].id : ID_MIN;
    for (size_t i = 0; i < frame_count; i++) {
        frames[i].seen &= ~(1u << (f - followers));
        if (!history)
            frames[i].seen |= 1u << (f - followers);
    }
}

static void follower_close(struct follower *f)
{
    store_cursor_close(f->cursor);
    pattern_finish(&f->topics);
    f->cursor = NULL;
}

static long follower_sees(void *arg, const struct store_item *item)
{
    struct follower *f = arg;
    unsigned bit = 1u << (f - followers);
    struct model_frame *m = model_find(item->frame->id);
    check(m && span_is(item->frame->topic, name_of(m->topic)));
    check(!f->filtered || pattern_match(&f->topics, item->frame->topic));
    check(id_cmp(m->id, f->last) > 0);
    check(id_cmp(m->id, f->synthetic) > 0 || m->seen >> 31);
    check(!(m->seen & bit));
    m->seen |= bit;
    f->last = m->id;
    f->got += m->ttl.kind == TTL_EPHEMERAL;
    /* Also what its ttl has ended since it was appended; never what was removed. */
    check(m->ttl.kind == TTL_EPHEMERAL || !m->removed);
    return 120;
}

/* Reads a follower to its idle state; then everything visible must have come, and every ephemeral
 * is got or lost. */
static void follower_drain(struct follower *f)
{
    struct err err = ERR_INIT;
    enum store_step step = STORE_MORE;
    unsigned bit = 1u << (f - followers);
    size_t budget = rnd(2) ? 1 : 1000;
    for (int i = 0; step != STORE_IDLE; i++) {
        check(i < 100000);
        check(store_cursor_read(f->cursor, budget, rnd(2), follower_sees, f, &step, &err) == 0);
        f->lost += store_cursor_lost(f->cursor);
        if (rnd(8) == 0) {
            f->synthetic = store_synthetic_id(play.store, f->cursor);
            check(id_cmp(f->synthetic, f->last) >= 0);
        }
        maybe_step(30);
    }
    for (size_t i = 0; i < frame_count; i++) {
        struct model_frame *m = &frames[i];
        bool wanted = !f->filtered || pattern_match(&f->topics, span_str(name_of(m->topic)));
        if (wanted && is_visible(m) && !(m->seen >> 31))
            check(m->seen & bit);
    }
    if (!f->filtered)
        check(f->got + f->lost == ephemerals - f->ephemerals);
}

static void do_follow(void)
{
    struct follower *f = &followers[rnd(FOLLOWERS)];
    follower_drain(f);
    if (rnd(10) == 0) {
        follower_close(f);
        follower_open(f, rnd(2));
    }
}

/* --- reads -------------------------------------------------------------------------------- */

static void compare(const struct seen *s, const struct model_frame *m)
{
    char meta[24] = "";
    uint8_t digest[DIGEST_SIZE];
    check(id_cmp(s->id, m->id) == 0);
    check(strcmp(s->topic, name_of(m->topic)) == 0);
    check(s->ttl.kind == m->ttl.kind && s->ttl.value == m->ttl.value);
    check(s->has_seq == m->has_seq && (!m->has_seq || s->seq == m->seq));
    check(s->stamp == m->stamp && s->command == m->command);
    if (m->meta >= 0)
        snprintf(meta, sizeof meta, "{\"n\":%d}", m->meta);
    check(strcmp(s->meta, meta) == 0);
    check(s->has_hash == (m->content != -1) &&
          s->has_content == (m->content != -1 && m->content < CONTENTS));
    if (m->content < 0)
        return;
    digest_of(digest, content_text(m->content));
    check(memcmp(digest, s->digest, DIGEST_SIZE) == 0);
    if (s->has_content)
        check(strcmp(s->content, content_text(m->content)) == 0);
}

static bool model_wants(const struct store_query *q, const struct model_frame *m)
{
    struct span name = span_str(name_of(m->topic));
    if (!is_visible(m) || (q->stored_only && !m->has_seq) || id_cmp(m->id, q->from) < 0 ||
        (!id_is_zero(q->until) && id_cmp(m->id, q->until) > 0))
        return false;
    if (q->stream.len)
        return span_eq(q->stream, name);
    return !q->topics || pattern_match(q->topics, name);
}

/* The frames a query must give, as indexes into frames. */
static size_t model_query(const struct store_query *q, size_t *out)
{
    size_t n = 0, first = 0;
    for (size_t i = 0; i < frame_count; i++)
        if (model_wants(q, &frames[i]))
            out[n++] = i;
    if (q->has_last && q->last < n)
        first = n - (size_t)q->last;
    memmove(out, out + first, (n - first) * sizeof *out);
    n -= first;
    if (q->reverse)
        for (size_t i = 0; i < n / 2; i++) {
            size_t t = out[i];
            out[i] = out[n - 1 - i];
            out[n - 1 - i] = t;
        }
    return q->has_limit && q->limit < n ? (size_t)q->limit : n;
}

static void some_query(struct store_query *q, struct pattern_list *list)
{
    struct err err;
    *q = (struct store_query){.reverse = rnd(3) == 0};
    if (rnd(3) == 0)
        q->stream = span_str(name_of(some_topic()));
    else if (rnd(2)) {
        check(pattern_parse(list, span_str(patterns[rnd(sizeof patterns / sizeof *patterns)]),
                            &err) == 0);
        q->topics = list;
    }
    q->stored_only = rnd(4) == 0;
    if (rnd(3) == 0)
        q->from = some_id();
    if (rnd(4) == 0)
        q->until = some_id();
    if ((q->has_limit = rnd(4) == 0))
        q->limit = rnd(40);
    if ((q->has_last = rnd(3) == 0))
        q->last = rnd(rnd(2) ? 10 : 400);
    q->follow = !q->has_limit && !q->reverse && id_is_zero(q->until) && rnd(4) == 0;
}

static void read_steps(struct store_cursor *cursor, bool follow, struct seen_list *list)
{
    struct err err = ERR_INIT;
    enum store_step step = STORE_MORE;
    size_t budget = rnd(2) ? 1 << 20 : 1 + rnd(3000);
    int thresholds = 0;
    while (step != STORE_DONE && step != STORE_IDLE) {
        bool may_block = step == STORE_DISK || rnd(2);
        check(store_cursor_read(cursor, budget, may_block, see, list, &step, &err) == 0);
        check(!(may_block && step == STORE_DISK));
        thresholds += step == STORE_THRESHOLD;
        maybe_step(40);
    }
    check(thresholds == follow);
    check(step == (follow ? STORE_IDLE : STORE_DONE));
}

static void check_query(const struct store_query *q)
{
    static struct seen_list list;
    struct store_cursor *cursor;
    struct err err = ERR_INIT;
    size_t *expected = malloc((frame_count + 1) * sizeof *expected);
    size_t n = model_query(q, expected);
    list.count = 0;
    check(store_cursor_open(&cursor, play.store, q, &err) == 0);
    read_steps(cursor, q->follow, &list);
    store_cursor_close(cursor);
    for (size_t i = 0; i < n && i < list.count; i++)
        compare(&list.items[i], &frames[expected[i]]);
    check(list.count == n);
    free(expected);
}

static void check_get(void)
{
    static struct seen_list list;
    struct err err = ERR_INIT;
    struct frame_id id = some_id();
    struct model_frame *m = model_find(id);
    list.count = 0;
    int r = store_get(play.store, id, see, &list, &err);
    if (m && is_visible(m)) {
        check(r == 0 && list.count == 1);
        compare(list.items, m);
    } else {
        check(r == ERR_NOT_FOUND && err.code == ERR_NOT_FOUND && list.count == 0);
    }
}

static void check_content(void)
{
    int content = (int)rnd(CONTENTS + BLOBS);
    uint8_t digest[DIGEST_SIZE];
    enum store_place place = STORE_BLOB;
    CLEAN_BUF out = BUF_INIT;
    bool named = content < CONTENTS && loose[content];
    for (size_t i = 0; i < frame_count; i++)
        named |= is_visible(&frames[i]) && frames[i].content == content;
    digest_of(digest, content_text(content));
    int r = store_content(play.store, digest, &place, &out, NULL);
    check(r == (named ? 0 : ERR_NOT_FOUND));
    if (r == 0)
        check(place == (content < CONTENTS ? STORE_INLINE : STORE_BLOB));
    if (r == 0 && content < CONTENTS)
        check(span_is(buf_span(&out), content_text(content)));
}

static int check_topic(void *arg, struct span name, uint64_t live, uint64_t next_seq)
{
    size_t *count = arg;
    for (int t = 0; t < TOPICS; t++) {
        if (!span_is(name, name_of(t)))
            continue;
        uint64_t alive = 0, sure = 0;
        for (size_t i = 0; i < frame_count; i++) {
            bool counted =
                frames[i].live && frames[i].topic == t && frames[i].ttl.kind != TTL_EPHEMERAL;
            alive += counted;
            sure += counted && is_visible(&frames[i]);
        }
        check(live >= sure && (live <= alive || index_has_purges(play.store->index)));
        check(next_seq == topics[t].next_seq);
        ++*count;
    }
    return 0;
}

struct page {
    char last[64];
    size_t count, most;
};

static int check_listed(void *arg, const struct store_topic *v)
{
    struct page *page = arg;
    char name[64];
    copy_text(name, sizeof name, v->name);
    check(strcmp(name, page->last) > 0);
    memcpy(page->last, name, sizeof name);
    for (int t = 0; t < TOPICS; t++)
        if (strcmp(name, name_of(t)) == 0) {
            check(topics[t].there);
            check_view(v, t, !index_has_purges(play.store->index));
        }
    return ++page->count == page->most;
}

/* Pages of a listing give every topic that starts with the prefix, once. */
static void check_pages(void)
{
    static const char *const prefixes[] = {"", "a", "many.", "many.1", "last.one", "zzz"};
    const char *prefix = prefixes[rnd(6)];
    struct page page = {.most = 1 + rnd(20)};
    size_t want = 0, got = 0;
    int r;
    for (int t = 0; t < TOPICS; t++)
        want += topics[t].there && strncmp(name_of(t), prefix, strlen(prefix)) == 0;
    do {
        char after[64];
        memcpy(after, page.last, sizeof after);
        page.count = 0;
        r = store_topic_list(play.store, span_str(prefix), span_str(after), check_listed, &page, NULL);
        got += page.count;
    } while (r == 1);
    check(r == 0 && got == want);
}

static void index_fault(void *arg, const char *text)
{
    printf("# index_verify: %s\n", text);
    ++*(int *)arg;
}

static void check_whole(void)
{
    struct err err = ERR_INIT;
    struct store_stat stat;
    size_t known = 0, alive = 0, sure = 0, used = 0;
    uint64_t checked;
    int faults = 0;
    step_settle(play.store);
    check(store_stat(play.store, &stat, &err) == 0);
    check(store_topics(play.store, check_topic, &known, &err) == 0);
    for (size_t i = 0; i < frame_count; i++) {
        alive += frames[i].live && frames[i].ttl.kind != TTL_EPHEMERAL;
        sure += is_visible(&frames[i]);
    }
    for (int t = 0; t < TOPICS; t++)
        used += topics[t].there;
    check(known == used && stat.topics == used);
    check(stat.frames >= sure && (stat.frames <= alive || index_has_purges(play.store->index)));
    check(!stat.read_only);
    check_pages();
    check(index_verify(play.store->index, index_fault, &faults, &checked, &err) == 0 &&
          faults == 0);
}

/* --- the run ------------------------------------------------------------------------------ */

static void open_with_some_budget(void)
{
    static const size_t budgets[] = {1, 1, 2000, 20000, 4 << 20};
    play.options.tail_bytes = budgets[rnd(5)];
    play.options.purge_slice = rnd(3) ? 1 + rnd(rnd(2) ? 3 : 30) : 0;
    play_open(&play);
    ephemerals = 0;
    for (int i = 0; i < FOLLOWERS; i++)
        follower_open(&followers[i], rnd(2));
}

static void close_all(void)
{
    for (int i = 0; i < FOLLOWERS; i++)
        follower_close(&followers[i]);
    step_close(&play);
}

static void do_reopen(void)
{
    if (rnd(3))
        return;
    check_whole();
    close_all();
    /* Ephemeral frames are gone with the process. */
    size_t n = 0;
    for (size_t i = 0; i < frame_count; i++)
        if (frames[i].ttl.kind != TTL_EPHEMERAL)
            frames[n++] = frames[i];
    frame_count = n;
    open_with_some_budget();
}

static void one_operation(void)
{
    static void (*const kinds[])(void) = {
        do_append, do_append, do_append,    do_append, do_burst,  do_burst,  do_keyed,
        do_remove, do_remove, do_remove,    do_import, do_import, do_import, do_content,
        do_clock,  do_clock,  do_sweep_old, do_follow, do_follow, do_follow,
        do_stream, do_stream, do_stream,    do_topic,  do_topic,  do_seek,  do_seek,
    };
    size_t kind = rnd(sizeof kinds / sizeof *kinds + 1);
    if (kind == sizeof kinds / sizeof *kinds)
        do_reopen();
    else
        kinds[kind]();
    maybe_step(4);
}

static void check_reads(void)
{
    struct store_query query = {0};
    check_query(&query);
    for (int i = 0; i < 3; i++) {
        struct pattern_list list = {0};
        some_query(&query, &list);
        check_query(&query);
        pattern_finish(&list);
        check_get();
        check_content();
    }
}

int main(int argc, char **argv)
{
    uint64_t ops = UINT64_MAX, seconds = 20;
    seed = (uint64_t)time(NULL) * 1000003u + (uint64_t)getpid();
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seed") == 0)
            seed = value;
        else if (strcmp(argv[i], "--ops") == 0)
            ops = value;
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = value;
    }
    printf("# seed %" PRIu64 "\n", seed);
    fflush(stdout);
    random_state = entropy_state = seed;
    for (int t = 10; t < TOPICS; t++)
        snprintf(made[t], sizeof made[t], "many.%d", t);
    play_begin(&play);
    play.options.now_ms = now_ms;
    open_with_some_budget();
    time_t end = time(NULL) + (time_t)seconds;
    for (op_number = 0; op_number < ops && time(NULL) < end; op_number++) {
        one_operation();
        check_reads();
    }
    check_whole();
    close_all();
    play_end(&play);
    printf("# %" PRIu64 " operations, %zu frames\n", op_number, frame_count);
    printf("ok model\n");
    free(frames);
    return 0;
}
