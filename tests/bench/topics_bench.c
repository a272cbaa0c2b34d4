/*
 * What many topics cost: bytes on disk and in memory each, and the time to make them, to look at one, to list a page. And what the
 * drop of a large one costs those that append meanwhile.
 *
 * topics_bench [TOPICS [FRAMES]]
 */
#include <time.h>

#include "tests/store/play.h"

#define AT_ONCE 1000
#define LOOKS 20000

static const char note[] = "{\"storage_class\":\"express\",\"token\":\"0123456789abcdef\",\"created\":true}";

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static long resident_kb(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[128];
    long kb = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %ld", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

/* --- many at once ------------------------------------------------------------------------- */

static char names[AT_ONCE][32];
static struct store_topic_op topics[AT_ONCE];
static struct store_op ops[AT_ONCE];

static void no_answer(struct store_op *op)
{
    (void)op;
}

static void make_some(struct play *play, size_t from, size_t count, const struct topic_make *make)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof names[i], "stream/%08zu", from + i);
        topics[i] = (struct store_topic_op){.deed = TOPIC_CREATE, .name = span_str(names[i]), .make = make};
        ops[i] = (struct store_op){.kind = STORE_TOPIC, .topic = &topics[i], .done = no_answer};
        if (i + 1 < count)
            store_submit(play->store, &ops[i]);
    }
    must(store_run(play->store, &ops[count - 1]) == 0); /* answered in order: the last is last */
}

static int by_size(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void look_around(struct play *play, size_t count, const char *what)
{
    static uint64_t ns[LOOKS];
    uint64_t random = 88172645463325252ull;
    for (size_t i = 0; i < LOOKS; i++) {
        char name[32];
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        snprintf(name, sizeof name, "stream/%08zu", (size_t)(random % count));
        topics[0] = (struct store_topic_op){.deed = TOPIC_LOOK, .name = span_str(name)};
        ops[0] = (struct store_op){.kind = STORE_TOPIC, .topic = &topics[0]};
        uint64_t start = now_ns();
        must(store_run(play->store, &ops[0]) == 0);
        ns[i] = now_ns() - start;
    }
    qsort(ns, LOOKS, sizeof *ns, by_size);
    printf("%-28s p50 %6.1f us   p99 %6.1f us\n", what, (double)ns[LOOKS / 2] / 1e3, (double)ns[LOOKS * 99 / 100] / 1e3);
}

static int count_one(void *arg, const struct store_topic *topic)
{
    (void)topic;
    return ++*(size_t *)arg == 1000;
}

static void list_page(struct play *play, size_t count)
{
    char after[32];
    size_t n = 0;
    snprintf(after, sizeof after, "stream/%08zu", count / 2);
    uint64_t start = now_ns();
    must(store_topic_list(play->store, span_str("stream/"), span_str(after), count_one, &n, NULL) >= 0);
    printf("%-28s %zu in %.2f ms\n", "a page from the middle", n, (double)(now_ns() - start) / 1e6);
}

/* --- a large drop ------------------------------------------------------------------------- */

static void fill(struct play *play, const char *topic, size_t frames)
{
    static struct store_frame in[AT_ONCE];
    for (size_t at = 0; at < frames; at += AT_ONCE) {
        struct store_op op = {.kind = STORE_APPEND, .frames = in, .count = AT_ONCE};
        for (size_t i = 0; i < AT_ONCE; i++) {
            in[i] = frame_in(topic, FOREVER);
            frame_content(&in[i], "some text that is the content of this frame");
        }
        must(store_run(play->store, &op) == 0);
    }
    must(store_flush(play->store, NULL) == 0);
}

/* Appends for so long as something is left to remove. */
static void append_meanwhile(struct play *play, uint64_t frames_after, const char *what)
{
    static uint64_t ns[200000];
    struct store_stat stat;
    struct err err = ERR_INIT;
    size_t n = 0;
    uint64_t begun = now_ns();
    do {
        for (int i = 0; i < 100; i++) {
            uint64_t start = now_ns();
            put_frame(play, "other", "text", LAST(1));
            ns[n++ % 200000] = now_ns() - start;
        }
        must(store_stat(play->store, &stat, &err) == 0);
    } while (stat.frames > frames_after && n < 200000);
    qsort(ns, n, sizeof *ns, by_size);
    printf("%-28s p50 %6.1f us   p99 %6.1f us   most %.1f ms, in %.1f s\n", what, (double)ns[n / 2] / 1e3,
           (double)ns[n * 99 / 100] / 1e3, (double)ns[n - 1] / 1e6, (double)(now_ns() - begun) / 1e9);
}

static void drop_large(struct play *play, size_t frames)
{
    fill(play, "large", frames);
    append_meanwhile(play, UINT64_MAX, "appends before a drop");
    topics[0] = (struct store_topic_op){.deed = TOPIC_DROP, .name = span_str("large")};
    ops[0] = (struct store_op){.kind = STORE_TOPIC, .topic = &topics[0]};
    uint64_t start = now_ns();
    must(store_run(play->store, &ops[0]) == 0);
    printf("%-28s %zu frames in %.2f ms\n", "a drop, answered", frames, (double)(now_ns() - start) / 1e6);
    append_meanwhile(play, 1, "appends until all is removed");
}

int main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    struct topic_make make = {.rules = {.retention_ms = 604800000}, .note = span_str(note)};
    struct err err = ERR_INIT;
    struct store_stat stat;
    struct play play;
    play_begin(&play);
    play_open(&play);
    long memory = resident_kb();
    must(store_stat(play.store, &stat, &err) == 0);
    uint64_t disk = stat.index_bytes, start = now_ns();
    for (size_t at = 0; at < count; at += AT_ONCE)
        make_some(&play, at, count - at < AT_ONCE ? count - at : AT_ONCE, &make);
    double spent = (double)(now_ns() - start) / 1e9;
    must(store_stat(play.store, &stat, &err) == 0 && stat.topics == count);
    printf("%-28s %9.0f/s\n", "topics made", (double)count / spent);
    printf("%-28s %9.0f bytes\n", "each, on disk", (double)(stat.index_bytes - disk) / (double)count);
    printf("%-28s %9.0f bytes\n", "each, in memory", (double)(resident_kb() - memory) * 1024 / (double)count);
    look_around(&play, count, "a look, just made");
    play_reopen(&play);
    memory = resident_kb();
    look_around(&play, count, "a look, after a start");
    printf("%-28s %9.0f bytes\n", "each looked at, in memory", (double)(resident_kb() - memory) * 1024 / LOOKS);
    list_page(&play, count);
    drop_large(&play, argc > 2 ? strtoull(argv[2], NULL, 10) : 300000);
    play_end(&play);
    return 0;
}
