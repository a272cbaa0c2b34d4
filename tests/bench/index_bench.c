/*
 * Frames moved into the index and scanned out of it, per second. Small frames (about 200 bytes)
 * with inline content and its hash, 100 000 a run in moves of 5 000, each move synced.
 *
 * index_bench [FRAMES]
 */
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "store/index.h"
#include "store/record.h"

#define PER_MOVE 5000

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int rc, const struct err *err)
{
    if (rc == 0)
        return;
    fprintf(stderr, "index_bench: %s\n", err->text);
    exit(1);
}

static void put_frame(struct buf *ops, uint64_t n, uint32_t topics)
{
    char name[24], text[64];
    uint32_t no = 1 + (uint32_t)(n % topics);
    snprintf(name, sizeof name, "topic.%u", no);
    snprintf(text, sizeof text, "content of the frame with number %llu", (unsigned long long)n);
    struct frame f = {.id = {(1000 + n) << 16, 7}, .topic = span_str(name), .topic_no = no};
    f.has_seq = true;
    f.seq = n / topics;
    f.stamp = 1000 + n;
    f.has_hash = f.has_content = true;
    f.content = span_str(text);
    f.content_size = f.content.len;
    put_be64(f.digest, XXH3_64bits(text, f.content.len));
    f.meta = span_str("{\"k\":1}");
    must(op_put_frame(ops, OP_FRAME, &f), &ERR_INIT);
}

static void move(struct index *index, uint64_t number, const struct buf *ops, double *spent)
{
    struct err err = ERR_INIT;
    struct index_record record = {number, buf_span(ops)};
    double start = now();
    must(index_move(index, &record, 1, NULL, &err), &err);
    *spent += now() - start;
}

static void make_topics(struct index *index, uint32_t topics)
{
    struct buf ops = BUF_INIT;
    double spent = 0;
    for (uint32_t no = 1; no <= topics; no++) {
        char name[24];
        snprintf(name, sizeof name, "topic.%u", no);
        must(op_put_topic(&ops, no, span_str(name)), &ERR_INIT);
    }
    move(index, 1, &ops, &spent);
    buf_finish(&ops);
}

static double fill(struct index *index, uint64_t frames, uint32_t topics)
{
    double spent = 0;
    uint64_t number = 1;
    make_topics(index, topics);
    for (uint64_t n = 0; n < frames;) {
        struct buf ops = BUF_INIT;
        for (int i = 0; i < PER_MOVE && n < frames; i++)
            put_frame(&ops, n++, topics);
        move(index, ++number, &ops, &spent);
        buf_finish(&ops);
    }
    return spent;
}

/* Frames a second of the better of three scans; topic 0 = all. */
static double scan(struct index *index, uint32_t topic, uint64_t want)
{
    double best = 0;
    for (int round = 0; round < 3; round++) {
        struct err err = ERR_INIT;
        struct index_snap *snap;
        struct index_scan *s;
        struct frame f;
        uint64_t n = 0;
        double start = now();
        must(index_snap_begin(index, &snap, &err), &err);
        must(topic ? index_topic_scan_begin(snap, &s, topic, ID_MIN, false, &err)
                   : index_scan_begin(snap, &s, ID_MIN, false, &err),
             &err);
        while (index_scan_next(s, &f, &err) == 0)
            n++;
        index_scan_end(s);
        index_snap_end(snap);
        double rate = (double)n / (now() - start);
        best = rate > best ? rate : best;
        if (n != want)
            must(-1, &(struct err){.text = "a scan gave another number of frames"});
    }
    return best;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static void run(uint64_t frames, uint32_t topics)
{
    char path[] = "/tmp/weir-bench-XXXXXX";
    struct err err = ERR_INIT;
    struct index_options options = {.uuid = {1}};
    struct index *index;
    if (!mkdtemp(path))
        exit(1);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(index_open(&index, fd, "index", &options, &err), &err);
    double spent = fill(index, frames, topics);
    printf(
        "%5u topics: moved %8.0f frames/s, scanned all %9.0f frames/s, one topic %9.0f frames/s\n",
        topics, (double)frames / spent, scan(index, 0, frames),
        scan(index, 1, (frames + topics - 1) / topics));
    index_close(index);
    close(fd);
    nftw(path, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(int argc, char **argv)
{
    uint64_t frames = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    run(frames, 1);
    run(frames, 1000);
    return 0;
}
