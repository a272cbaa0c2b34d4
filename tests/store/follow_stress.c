/*
 * Writers and followers at once, with the store's own threads: 4 writers append, remove and let
 * last:N cut; 8 followers with different filters and speeds read from before the first frame to
 * after the last. Each follower must see every frame of its filter that stayed exactly once, and
 * nothing twice or out of order.
 *
 * follow_stress [--ops N]
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "tests/store/play.h"

#define WRITERS 4
#define FOLLOWERS 8
#define BATCH 4

struct written {
    struct frame_id id;
    uint8_t topic;
    bool may_go; /* removed or cut */
    unsigned seen;
};

static const char *const topics[] = {"a", "a.b", "b", "last.few", "last.many", "gone"};
static const char *const filters[FOLLOWERS] = {"*", "*", "a", "a.*", "a,b", "last.*,b", "*", "a.b"};

static struct play play;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static uint64_t version;
static bool finished; /* nothing more is written */
static atomic_uint faults;
static unsigned ops = 400;

static struct written *all;
static size_t all_count, all_cap;

static void fault(const char *what, unsigned n)
{
    if (atomic_fetch_add(&faults, 1) < 10)
        printf("# %s (%u)\n", what, n);
}

static void published(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    version++;
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&lock);
}

/* --- writers ------------------------------------------------------------------------------ */

static void note(const struct store_frame *frames, const int *which, size_t count)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < count; i++) {
        if (frames[i].ttl.kind == TTL_EPHEMERAL)
            continue;
        if (all_count == all_cap) {
            all_cap = all_cap ? all_cap * 2 : 4096;
            all = realloc(all, all_cap * sizeof *all);
            must(all);
        }
        all[all_count++] =
            (struct written){frames[i].id, (uint8_t)which[i], frames[i].ttl.kind == TTL_LAST, 0};
    }
    pthread_mutex_unlock(&lock);
}

static void remove_noted(struct frame_id id)
{
    take_away(&play, id);
    pthread_mutex_lock(&lock);
    for (size_t i = all_count; i-- > 0;)
        if (id_cmp(all[i].id, id) == 0) {
            all[i].may_go = true;
            break;
        }
    pthread_mutex_unlock(&lock);
}

static void *writer(void *arg)
{
    static const struct ttl ttls[] = {{.kind = TTL_FOREVER}, {.kind = TTL_FOREVER},
                                      {.kind = TTL_FOREVER}, {TTL_LAST, 3},
                                      {TTL_LAST, 100},       {.kind = TTL_EPHEMERAL}};
    unsigned who = (unsigned)(uintptr_t)arg, mix = who * 2654435761u + 1;
    for (unsigned n = 0; n < ops; n++) {
        struct store_frame frames[BATCH];
        int which[BATCH];
        size_t count = 1 + (mix >> 8) % BATCH;
        for (size_t i = 0; i < count; i++) {
            mix = mix * 1103515245u + 12345u;
            which[i] = (int)((mix >> 16) % 6);
            frames[i] = frame_in(topics[which[i]], ttls[which[i]]);
        }
        struct store_op op = {.kind = STORE_APPEND, .frames = frames, .count = count};
        if (store_run(play.store, &op) != 0)
            fault("an append failed", who);
        note(frames, which, count);
        if (n % 9 == who && frames[0].ttl.kind == TTL_FOREVER)
            remove_noted(frames[0].id);
    }
    return NULL;
}

/* --- followers ---------------------------------------------------------------------------- */

struct follower {
    unsigned who;
    struct store_cursor *cursor;
    struct frame_id *ids;
    size_t count, cap;
    unsigned thresholds;
};

static long take(void *arg, const struct store_item *item)
{
    struct follower *f = arg;
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 4096;
        f->ids = realloc(f->ids, f->cap * sizeof *f->ids);
        must(f->ids);
    }
    if (item->frame->ttl.kind == TTL_EPHEMERAL)
        return 1;
    if (f->count && id_cmp(f->ids[f->count - 1], item->frame->id) >= 0)
        fault("out of order or twice", f->who);
    f->ids[f->count++] = item->frame->id;
    return 1;
}

/* The slow ones read one frame at a time and let others run in between. */
static void read_slice(struct follower *f, enum store_step *step)
{
    struct err err = ERR_INIT;
    size_t budget = f->who % 2 ? 1 : 1000;
    int r = store_cursor_read(f->cursor, budget, f->who % 3 != 0, take, f, step, &err);
    if (r == 0 && *step == STORE_DISK)
        r = store_cursor_read(f->cursor, budget, true, take, f, step, &err);
    if (r != 0)
        fault(err.text, f->who);
    f->thresholds += *step == STORE_THRESHOLD;
    for (unsigned i = 0; i < f->who; i++)
        sched_yield();
}

static void *follower(void *arg)
{
    struct follower *f = arg;
    enum store_step step = STORE_MORE;
    for (;;) {
        pthread_mutex_lock(&lock);
        uint64_t had = version;
        bool last = finished;
        pthread_mutex_unlock(&lock);
        do
            read_slice(f, &step);
        while (step != STORE_IDLE);
        if (last)
            return NULL;
        pthread_mutex_lock(&lock);
        while (version == had && !finished)
            pthread_cond_wait(&news, &lock);
        pthread_mutex_unlock(&lock);
    }
}

static void follower_open(struct follower *f, unsigned who)
{
    struct err err = ERR_INIT;
    struct pattern_list list;
    f->who = who;
    must(pattern_parse(&list, span_str(filters[who]), &err) == 0);
    struct store_query query = {.follow = true, .topics = &list};
    must(store_cursor_open(&f->cursor, play.store, &query, &err) == 0);
    pattern_finish(&list);
}

static int by_id(const void *a, const void *b)
{
    return id_cmp(((const struct written *)a)->id, ((const struct written *)b)->id);
}

static void compare(const struct follower *f)
{
    struct pattern_list list;
    size_t missing = 0;
    must(pattern_parse(&list, span_str(filters[f->who]), NULL) == 0);
    if (f->thresholds != 1)
        fault("not one threshold", f->who);
    for (size_t i = 0; i < f->count; i++) {
        struct written *w =
            bsearch(&(struct written){.id = f->ids[i]}, all, all_count, sizeof *all, by_id);
        if (!w || !pattern_match(&list, span_str(topics[w->topic])))
            fault("a frame that is none of its own", f->who);
        else
            w->seen |= 1u << f->who;
    }
    for (size_t i = 0; i < all_count; i++) {
        bool wanted = pattern_match(&list, span_str(topics[all[i].topic])) && !all[i].may_go;
        missing += wanted && !(all[i].seen >> f->who & 1);
    }
    if (missing)
        fault("frames missing", f->who);
    pattern_finish(&list);
}

static void run(size_t tail_bytes)
{
    pthread_t writers[WRITERS], threads[FOLLOWERS];
    struct follower followers[FOLLOWERS] = {0};
    play_begin(&play);
    play.options.tail_bytes = tail_bytes;
    play.options.published = published;
    play.options.unindexed_max = tail_bytes == 1 ? 20000 : 0;
    finished = false;
    all_count = 0;
    play_open(&play);
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        follower_open(&followers[i], i);
        must(pthread_create(&threads[i], NULL, follower, &followers[i]) == 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        must(pthread_create(&writers[i], NULL, writer, (void *)(uintptr_t)i) == 0);
    for (unsigned i = 0; i < WRITERS; i++)
        pthread_join(writers[i], NULL);
    pthread_mutex_lock(&lock);
    finished = true;
    pthread_cond_broadcast(&news);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < FOLLOWERS; i++)
        pthread_join(threads[i], NULL);
    qsort(all, all_count, sizeof *all, by_id);
    for (unsigned i = 0; i < FOLLOWERS; i++) {
        compare(&followers[i]);
        store_cursor_close(followers[i].cursor);
        free(followers[i].ids);
    }
    play_end(&play);
    printf("# %zu frames stored, tail budget %zu\n", all_count, tail_bytes);
    printf("%s follow-stress-tail-%zu%s\n", faults ? "not ok" : "ok", tail_bytes,
           faults ? " see above" : "");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--ops") == 0)
        ops = (unsigned)strtoul(argv[2], NULL, 10);
    run(1);
    run(50000);
    run(4 << 20);
    free(all);
    return faults != 0;
}
