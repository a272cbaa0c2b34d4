/*
 * A store in a scratch directory, and short ways to append to it and read from it, for the tests of
 * store/. What must not fail ends the program with a line that says where.
 */
#ifndef TEST_STORE_PLAY_H
#define TEST_STORE_PLAY_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <weir/store.h>

#include "base/bytes.h"
#include "base/topic.h"

#define must(expression)                                                                           \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            printf("not ok %s:%d %s\n", __FILE__, __LINE__, #expression);                          \
            fflush(stdout);                                                                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A frame that was read, with its own bytes. */
struct seen {
    struct frame_id id;
    char topic[64];
    char meta[64];
    char content[64]; /* cut */
    struct ttl ttl;
    bool has_hash, has_content, has_seq, command;
    uint32_t topic_no;
    uint64_t seq, stamp;
    uint8_t digest[DIGEST_SIZE];
};

struct seen_list {
    struct seen *items;
    size_t count, cap;
    size_t stop_after; /* the sink ends the slice with an error after so many; 0 = never */
};

static inline void seen_finish(struct seen_list *list)
{
    free(list->items);
    *list = (struct seen_list){0};
}

static inline void copy_text(char *out, size_t size, struct span text)
{
    size_t n = text.len < size - 1 ? text.len : size - 1;
    if (n)
        memcpy(out, text.ptr, n);
    out[n] = '\0';
}

static inline long see(void *arg, const struct store_item *item)
{
    struct seen_list *list = arg;
    const struct frame *f = item->frame;
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 64;
        list->items = realloc(list->items, list->cap * sizeof *list->items);
        must(list->items);
    }
    struct seen *s = &list->items[list->count++];
    *s = (struct seen){
        .id = f->id, .ttl = f->ttl, .has_hash = f->has_hash, .has_content = f->has_content};
    s->has_seq = f->has_seq;
    s->seq = f->seq;
    s->stamp = f->stamp;
    s->command = f->command;
    s->topic_no = f->topic_no;
    copy_text(s->topic, sizeof s->topic, f->topic);
    copy_text(s->meta, sizeof s->meta, f->meta);
    if (f->has_content)
        copy_text(s->content, sizeof s->content, f->content);
    memcpy(s->digest, f->digest, DIGEST_SIZE);
    if (item->line.len)
        must(item->line.ptr[item->line.len - 1] == '\n' && item->line.ptr[0] == '{');
    return 100;
}

/* --- a scratch directory and a store in it ------------------------------------------------ */

static inline int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void remove_tree(const char *path)
{
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

struct play {
    char path[96];
    struct store_options options;
    struct store *store;
};

static inline void play_open(struct play *play)
{
    struct err err = ERR_INIT;
    int r = store_open(&play->store, play->path, &play->options, &err);
    if (r != 0)
        printf("# store_open: %s\n", err.text);
    must(r == 0);
}

static inline void play_close(struct play *play)
{
    store_close(play->store);
    play->store = NULL;
}

static inline void play_reopen(struct play *play)
{
    play_close(play);
    play_open(play);
}

/* A fresh directory and threads; the store is opened by play_open, so that options can be set
 * before. */
static inline void play_begin(struct play *play)
{
    struct err err = ERR_INIT;
    *play = (struct play){0};
    memcpy(play->path, "/tmp/weir-store-XXXXXX", sizeof "/tmp/weir-store-XXXXXX");
    must(mkdtemp(play->path));
    must(store_workers_create(&play->options.workers, &err) == 0);
}

static inline void play_end(struct play *play)
{
    if (play->store)
        play_close(play);
    store_workers_destroy(play->options.workers);
    remove_tree(play->path);
}

/* --- frames in ---------------------------------------------------------------------------- */

/* Any 32 bytes stand for a hash here: the store only compares them. */
static inline void digest_of(uint8_t out[static DIGEST_SIZE], const char *text)
{
    uint64_t v = 1469598103934665603ull;
    for (const char *p = text; *p; p++)
        v = (v ^ (uint8_t)*p) * 1099511628211ull;
    for (int i = 0; i < 4; i++, v = v * 6364136223846793005ull + 1442695040888963407ull)
        put_be64(out + 8 * i, v ^ v >> 29);
}

static inline struct store_frame frame_in(const char *topic, struct ttl ttl)
{
    return (struct store_frame){.topic = span_str(topic), .ttl = ttl};
}

static inline void frame_content(struct store_frame *frame, const char *text)
{
    frame->has_hash = frame->has_content = true;
    frame->content = span_str(text);
    frame->content_size = frame->content.len;
    digest_of(frame->digest, text);
}

#define FOREVER ((struct ttl){.kind = TTL_FOREVER})
#define EPHEMERAL ((struct ttl){.kind = TTL_EPHEMERAL})
#define LAST(n) ((struct ttl){.kind = TTL_LAST, .value = (n)})
#define TIME(ms) ((struct ttl){.kind = TTL_TIME, .value = (ms)})

/* Appends one frame and returns its id. */
static inline struct frame_id put_frame(struct play *play, const char *topic, const char *content,
                                        struct ttl ttl)
{
    struct store_frame frame = frame_in(topic, ttl);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    if (content)
        frame_content(&frame, content);
    int r = store_run(play->store, &op);
    if (r != 0)
        printf("# append: %s\n", op.err.text);
    must(r == 0);
    return frame.id;
}

static inline struct frame_id put(struct play *play, const char *topic)
{
    return put_frame(play, topic, NULL, FOREVER);
}

static inline bool take_away(struct play *play, struct frame_id id)
{
    struct store_op op = {.kind = STORE_REMOVE, .id = id};
    must(store_run(play->store, &op) == 0);
    return op.found;
}

/* --- frames out --------------------------------------------------------------------------- */

/* Reads until the cursor is done or idle; counts thresholds. */
static inline int drain(struct store_cursor *cursor, size_t budget, struct seen_list *list,
                        enum store_step *step)
{
    struct err err = ERR_INIT;
    int thresholds = 0;
    do {
        int r = store_cursor_read(cursor, budget, true, see, list, step, &err);
        if (r != 0)
            printf("# read: %s\n", err.text);
        must(r == 0);
        must(*step != STORE_DISK);
        thresholds += *step == STORE_THRESHOLD;
    } while (*step == STORE_MORE || *step == STORE_THRESHOLD);
    return thresholds;
}

static inline void read_query(struct play *play, const struct store_query *query, size_t budget,
                              struct seen_list *list)
{
    struct store_cursor *cursor;
    struct err err = ERR_INIT;
    enum store_step step;
    list->count = 0;
    must(store_cursor_open(&cursor, play->store, query, &err) == 0);
    drain(cursor, budget, list, &step);
    must(step == (query->follow && !query->reverse && !query->has_limit ? STORE_IDLE : STORE_DONE));
    store_cursor_close(cursor);
}

static inline void read_all(struct play *play, struct seen_list *list)
{
    read_query(play, &(struct store_query){0}, 1 << 20, list);
}

static inline size_t count_all(struct play *play)
{
    struct seen_list list = {0};
    read_all(play, &list);
    size_t n = list.count;
    seen_finish(&list);
    return n;
}

#endif
