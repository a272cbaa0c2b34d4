/*
 * The store by itself, no HTTP: durable appends a second and their latency beside a bare pwrite and
 * fdatasync of the same run; and frames a second through a cursor into JSON lines, from the index
 * and from the tail.
 *
 * store_bench [APPENDS] [FRAMES]
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "base/frame_json.h"
#include "tests/store/play.h"

#define MOST 64

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void print_latency(const char *name, uint32_t *us, size_t n, uint64_t spent_ns)
{
    qsort(us, n, sizeof *us, by_size);
    printf("%-28s %9.0f/s   p50 %5u us   p99 %6u us\n", name, (double)n * 1e9 / (double)spent_ns,
           us[n / 2], us[n * 99 / 100]);
    fflush(stdout);
}

/* --- the bare loop ------------------------------------------------------------------------ */

static void bare(const char *dir, size_t n, uint32_t *us)
{
    char path[128], bytes[512];
    static char zeros[1 << 20];
    snprintf(path, sizeof path, "%s/bare", dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(fd >= 0);
    memset(bytes, 'x', sizeof bytes);
    for (size_t at = 0; at < n * sizeof bytes; at += sizeof zeros)
        must(pwrite(fd, zeros, sizeof zeros, (off_t)at) == sizeof zeros);
    must(fsync(fd) == 0);
    uint64_t begun = now_ns();
    for (size_t i = 0; i < n; i++) {
        uint64_t start = now_ns();
        must(pwrite(fd, bytes, sizeof bytes, (off_t)(i * sizeof bytes)) == sizeof bytes);
        must(fdatasync(fd) == 0);
        us[i] = (uint32_t)((now_ns() - start) / 1000);
    }
    print_latency("bare pwrite + fdatasync", us, n, now_ns() - begun);
    close(fd);
    unlink(path);
}

/* --- appends ------------------------------------------------------------------------------ */

struct client {
    struct store_op op;
    struct store_frame frame;
    struct store *store;
    uint64_t start;
};

static uint32_t *latencies;
static atomic_size_t asked, answered;
static size_t wanted;
static pthread_mutex_t end_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t end_cond = PTHREAD_COND_INITIALIZER;

static void ask(struct client *client)
{
    if (atomic_fetch_add(&asked, 1) >= wanted)
        return;
    client->start = now_ns();
    store_submit(client->store, &client->op);
}

static void appended(struct store_op *op)
{
    struct client *client = op->owner;
    must(op->result == 0);
    size_t i = atomic_fetch_add(&answered, 1);
    latencies[i] = (uint32_t)((now_ns() - client->start) / 1000);
    ask(client);
    if (i + 1 < wanted)
        return;
    pthread_mutex_lock(&end_lock);
    pthread_cond_signal(&end_cond);
    pthread_mutex_unlock(&end_lock);
}

static void appends(struct play *play, size_t clients, size_t size, size_t n)
{
    static struct client all[MOST];
    static char bytes[1024];
    char name[64];
    asked = answered = 0;
    wanted = n;
    memset(bytes, 'x', sizeof bytes);
    uint64_t begun = now_ns();
    for (size_t i = 0; i < clients; i++) {
        struct client *c = &all[i];
        *c = (struct client){.store = play->store, .frame = frame_in("bench.topic", FOREVER)};
        if (size > 0) {
            digest_of(c->frame.digest, "x");
            c->frame.has_hash = c->frame.has_content = true;
            c->frame.content = span_of(bytes, size);
            c->frame.content_size = size;
        }
        c->op = (struct store_op){
            .kind = STORE_APPEND, .frames = &c->frame, .count = 1, .done = appended, .owner = c};
    }
    for (size_t i = 0; i < clients; i++)
        ask(&all[i]);
    pthread_mutex_lock(&end_lock);
    while (answered < wanted)
        pthread_cond_wait(&end_cond, &end_lock);
    pthread_mutex_unlock(&end_lock);
    snprintf(name, sizeof name, "append %zu at once, %zu B", clients, size);
    print_latency(name, latencies, n, now_ns() - begun);
}

/* One thread that waits for each answer: what a client that has a thread sees. */
static void append_waiting(struct play *play, size_t n)
{
    uint64_t begun = now_ns();
    for (size_t i = 0; i < n; i++) {
        uint64_t start = now_ns();
        put(play, "bench.topic");
        latencies[i] = (uint32_t)((now_ns() - start) / 1000);
    }
    print_latency("append and wait, 0 B", latencies, n, now_ns() - begun);
}

/* --- reads -------------------------------------------------------------------------------- */

struct lines {
    struct buf out;
    size_t frames, bytes;
};

static long to_json(void *arg, const struct store_item *item)
{
    struct lines *lines = arg;
    size_t before = lines->out.len;
    if (item->line.len) {
        must(buf_add_span(&lines->out, item->line) == 0);
    } else {
        must(frame_json(&lines->out, item->frame, 0) == 0);
        must(buf_add(&lines->out, "\n", 1) == 0);
    }
    lines->frames++;
    return (long)(lines->out.len - before);
}

static void cat(struct play *play, const char *name, const struct store_query *query)
{
    struct lines lines = {0};
    struct store_cursor *cursor;
    struct err err = ERR_INIT;
    enum store_step step = STORE_MORE;
    must(store_cursor_open(&cursor, play->store, query, &err) == 0);
    uint64_t begun = now_ns();
    size_t slices = 0;
    while (step != STORE_DONE) {
        must(store_cursor_read(cursor, 256 * 1024, true, to_json, &lines, &step, &err) == 0);
        lines.bytes += lines.out.len;
        buf_reset(&lines.out);
        slices++;
    }
    double spent = (double)(now_ns() - begun) / 1e9;
    printf("%-28s %9.0f/s   %.0f MB/s   %zu slices\n", name, (double)lines.frames / spent,
           (double)lines.bytes / spent / 1e6, slices);
    fflush(stdout);
    store_cursor_close(cursor);
    buf_finish(&lines.out);
}

static void fill(struct play *play, size_t n)
{
    enum { BATCH = 1000 };
    static struct store_frame frames[BATCH];
    static const char *const topics[] = {"cat.a", "cat.b", "cat.c", "rare"};
    for (size_t done = 0; done < n; done += BATCH) {
        for (size_t i = 0; i < BATCH; i++) {
            frames[i] = frame_in(i % 100 == 0 ? topics[3] : topics[i % 3], FOREVER);
            frames[i].meta = span_str("{\"user\":42,\"ok\":true}");
        }
        struct store_op op = {.kind = STORE_APPEND, .frames = frames, .count = BATCH};
        must(store_run(play->store, &op) == 0);
    }
}

static void reads(struct play *play, size_t n)
{
    struct store_stat stat;
    uint64_t begun = now_ns();
    fill(play, n);
    printf("%-28s %9.0f/s\n", "append in batches of 1000",
           (double)n * 1e9 / (double)(now_ns() - begun));
    cat(play, "cat from the tail, first", &(struct store_query){0});
    cat(play, "cat from the tail, again", &(struct store_query){0});
    begun = now_ns();
    must(store_stat(play->store, &stat, NULL) == 0);
    printf("%-28s %9.2f s, tail %.1f MB of %zu frames\n", "the index catches up in",
           (double)(now_ns() - begun) / 1e9, (double)stat.tail_bytes / 1e6,
           (size_t)stat.tail_frames);
    play->options.tail_bytes = 0;
    begun = now_ns();
    play_reopen(play);
    printf("%-28s %9.1f ms\n", "close and open", (double)(now_ns() - begun) / 1e6);
    cat(play, "cat from the index", &(struct store_query){0});
    cat(play, "  in reverse", &(struct store_query){.reverse = true});
    cat(play, "  a topic of a third", &(struct store_query){.stream = span_str("cat.a")});
    cat(play, "  a topic of a hundredth", &(struct store_query){.stream = span_str("rare")});
}

static void print_memory(const char *when)
{
    char line[128];
    FILE *file = fopen("/proc/self/status", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "RssAnon", 7) == 0)
            printf("%-28s %s", when, line);
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000,
           frames = argc > 2 ? strtoul(argv[2], NULL, 10) : 200000;
    static const size_t clients[] = {1, 16, 64};
    struct play play;
    must(n >= 100 && frames >= 1000);
    latencies = calloc(n * 8, sizeof *latencies);
    must(latencies);
    play_begin(&play);
    play_open(&play);
    bare(play.path, n, latencies);
    append_waiting(&play, n);
    for (size_t size = 0; size <= 1024; size += 1024)
        for (size_t i = 0; i < 3; i++)
            appends(&play, clients[i], size, clients[i] == 1 ? n : n * 8);
    bare(play.path, n, latencies);
    print_memory("after these appends");
    play_close(&play);
    play.options.tail_bytes = 1u << 30;
    play.options.unindexed_max = 1u << 30;
    play_open(&play);
    reads(&play, frames);
    print_memory("after the reads");
    play_end(&play);
    free(latencies);
    return 0;
}
