/*
 * Marks against a naive model: random changes of a few marks, many in one group, with and without
 * frames, some refused; the index at a random distance; the store opened anew now and then, also
 * behind a process that died. After each step every mark must be what the model says. The threads
 * are stepped by hand, so a seed always gives the same run.
 *
 * marks [--seed N] [--ops N]
 */
#include <inttypes.h>
#include <sys/wait.h>

#include "tests/store/steps.h"

#define MARKS 6
#define IDS 300
#define BURST 40
#define PER_OP 3

struct model_mark {
    bool there;
    unsigned low, config;
    bool acked[IDS + 1];
};

static struct play play;
static struct model_mark marks[MARKS];
static uint64_t random_state, seed, step_number;
static unsigned compared;

static unsigned rnd(unsigned below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return (unsigned)((z ^ z >> 31) % below);
}

#define check(expression)                                                                          \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            printf("not ok marks line %d: %s (--seed %" PRIu64 ", step %" PRIu64 ")\n", __LINE__,  \
                   #expression, seed, step_number);                                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Id n of IDS; they share their first bytes, 0 is the lowest there is. */
static struct frame_id id_of(unsigned n)
{
    return n ? (struct frame_id){n / 7, n} : ID_MIN;
}

static const char *name_of(unsigned m)
{
    static const char *const names[MARKS] = {"a", "ab", "handler/x", "handler/y", "z", "\xff\xff"};
    return names[m];
}

/* --- changes ------------------------------------------------------------------------------ */

struct change {
    struct store_op op;
    struct store_mark marks[PER_OP];
    struct frame_id ids[PER_OP][8];
    unsigned which[PER_OP], low[PER_OP], numbers[PER_OP][8];
    unsigned config[PER_OP];
    char text[PER_OP][16];
    struct store_frame frames[2];
    bool good, done;
};

static void some_mark(struct change *c, unsigned i, unsigned around)
{
    struct store_mark *mark = &c->marks[i];
    unsigned kind = rnd(12);
    c->which[i] = rnd(3) ? rnd(2) : rnd(MARKS);
    c->low[i] = rnd(3) ? around + rnd(8) : rnd(IDS);
    c->config[i] = rnd(1000);
    snprintf(c->text[i], sizeof c->text[i], "%u", c->config[i]);
    *mark = (struct store_mark){.kind = kind == 0   ? STORE_MARK_DROP
                                        : kind == 1 ? STORE_MARK_SET
                                                    : STORE_MARK_ACK,
                                .name = span_str(name_of(c->which[i])),
                                .low = id_of(c->low[i]),
                                .acked = c->ids[i],
                                .acked_count = rnd(8),
                                .config = span_str(c->text[i])};
    for (size_t k = 0; k < mark->acked_count; k++) {
        c->numbers[i][k] = 1 + (around + rnd(20)) % IDS;
        c->ids[i][k] = id_of(c->numbers[i][k]);
    }
}

static void some_change(struct change *c, unsigned around)
{
    *c = (struct change){.good = true};
    c->op = (struct store_op){.kind = STORE_APPEND, .frames = c->frames, .marks = c->marks};
    c->op.mark_count = rnd(10) ? 1 : rnd(PER_OP + 1);
    for (unsigned i = 0; i < c->op.mark_count; i++)
        some_mark(c, i, around);
    c->op.count = rnd(3);
    for (size_t i = 0; i < c->op.count; i++)
        c->frames[i] = frame_in("t", rnd(2) ? FOREVER : rnd(2) ? EPHEMERAL : LAST(5));
    if (c->op.mark_count > 0 && rnd(10) == 0) {
        c->marks[c->op.mark_count - 1].name.len = 0;
        c->good = false;
    } else if (rnd(10) == 0) {
        c->op.has_expect_last = true;
        c->op.expect_last = (struct frame_id){UINT64_MAX, 1};
        c->good = false;
    }
}

static void model_ids(struct model_mark *m, const struct change *c, unsigned i)
{
    for (size_t k = 0; k < c->marks[i].acked_count; k++)
        m->acked[c->numbers[i][k]] = true;
    for (unsigned n = 0; n <= m->low && n <= IDS; n++)
        m->acked[n] = false;
}

static void model_apply(const struct change *c)
{
    for (unsigned i = 0; c->good && i < c->op.mark_count; i++) {
        struct model_mark *m = &marks[c->which[i]];
        if (c->marks[i].kind != STORE_MARK_ACK)
            *m = (struct model_mark){0};
        if (c->marks[i].kind == STORE_MARK_DROP)
            continue;
        if (c->marks[i].kind == STORE_MARK_SET)
            m->config = c->config[i] + 1;
        m->there = true;
        if (c->low[i] > m->low)
            m->low = c->low[i];
        model_ids(m, c, i);
    }
}

static struct change changes[BURST];

static void do_burst(void)
{
    unsigned n = 1 + rnd(rnd(2) ? BURST : 3), around = rnd(IDS - 20);
    for (unsigned i = 0; i < n; i++) {
        some_change(&changes[i], around);
        step_submit(play.store, &changes[i].op, &changes[i].done);
        if (rnd(15) == 0)
            writer_step(play.store);
    }
    while (writer_step(play.store))
        ;
    for (unsigned i = 0; i < n; i++) {
        check(changes[i].done && (changes[i].op.result == 0) == changes[i].good);
        model_apply(&changes[i]);
    }
}

/* --- comparing ---------------------------------------------------------------------------- */

static int compare(void *arg, const struct store_mark_view *mark)
{
    unsigned *last = arg, m = 0, k = 0;
    char config[16] = "";
    while (!span_is(mark->name, name_of(m)))
        check(++m < MARKS);
    for (; *last < m; ++*last)
        check(!marks[*last].there);
    ++*last;
    check(marks[m].there && id_cmp(mark->low, id_of(marks[m].low)) == 0);
    if (marks[m].config)
        snprintf(config, sizeof config, "%u", marks[m].config - 1);
    check(span_is(mark->config, config));
    for (unsigned n = 0; n <= IDS; n++)
        if (marks[m].acked[n])
            check(k < mark->acked_count && id_cmp(mark->acked[k++], id_of(n)) == 0);
    check(k == mark->acked_count);
    compared++;
    return 0;
}

static void compare_all(void)
{
    unsigned last = 0;
    step_settle(play.store);
    check(store_marks(play.store, (struct span){0}, compare, &last, NULL) == 0);
    for (; last < MARKS; last++)
        check(!marks[last].there);
}

static void see_fault(void *arg, const char *text)
{
    (void)arg;
    printf("# %s\n", text);
    check(!"the index is sound");
}

static void do_verify(void)
{
    uint64_t checked;
    step_close(&play);
    check(store_verify(play.path, see_fault, NULL, &checked, NULL) == 0);
    play_open(&play);
}

/* What a process that dies leaves: all of it in the journal, some of it in the index. */
static void do_die(void)
{
    uint64_t state = random_state;
    step_close(&play);
    pid_t child = fork();
    check(child >= 0);
    if (child == 0) {
        play_open(&play);
        for (int i = 0; i < 4; i++) {
            do_burst();
            if (i == 1)
                indexer_step(play.store);
        }
        _exit(0);
    }
    int status;
    check(waitpid(child, &status, 0) == child && status == 0);
    /* The model does the same, without a store. */
    random_state = state;
    for (int i = 0; i < 4; i++) {
        unsigned n = 1 + rnd(rnd(2) ? BURST : 3), around = rnd(IDS - 20);
        for (unsigned k = 0; k < n; k++) {
            some_change(&changes[k], around);
            rnd(15);
        }
        for (unsigned k = 0; k < n; k++)
            model_apply(&changes[k]);
    }
    play_open(&play);
}

static void run(unsigned ops)
{
    random_state = seed * 7919;
    memset(marks, 0, sizeof marks);
    play_begin(&play);
    play_open(&play);
    for (step_number = 0; step_number < ops; step_number++) {
        do_burst();
        if (rnd(3) == 0)
            indexer_step(play.store);
        if (rnd(20) == 0)
            do_verify();
        if (rnd(25) == 0)
            do_die();
        if (rnd(2))
            compare_all();
    }
    compare_all();
    do_verify();
    step_close(&play);
    play_end(&play);
}

int main(int argc, char **argv)
{
    unsigned ops = 60;
    uint64_t only = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ops") == 0)
            ops = (unsigned)strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            only = strtoull(argv[i + 1], NULL, 10);
    }
    for (seed = only ? only : 1; seed <= (only ? only : 8); seed++)
        run(ops);
    printf("# %u marks compared\nok marks-against-model\n", compared);
    return 0;
}
