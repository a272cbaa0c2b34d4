/*
 * A store with an injected clock for each test of tests/unit/test_store*.c, and what they share.
 */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "tests/store/play.h"

static _Atomic uint64_t clock_ms;

static inline uint64_t test_clock(void)
{
    return clock_ms;
}

static inline int setup(void **state)
{
    struct play *play = malloc(sizeof *play);
    play_begin(play);
    clock_ms = 1700000000000;
    play->options.now_ms = test_clock;
    play_open(play);
    *state = play;
    return 0;
}

static inline int teardown(void **state)
{
    play_end(*state);
    free(*state);
    return 0;
}

static inline void flush(struct play *play)
{
    struct err err = ERR_INIT;
    assert_int_equal(store_flush(play->store, &err), 0);
}

static inline struct store_stat stat_of(struct play *play)
{
    struct err err = ERR_INIT;
    struct store_stat stat;
    assert_int_equal(store_stat(play->store, &stat, &err), 0);
    return stat;
}

static inline size_t count_topic(struct play *play, const char *topic)
{
    struct seen_list list = {0};
    read_query(play, &(struct store_query){.stream = span_str(topic)}, 1 << 20, &list);
    size_t n = list.count;
    seen_finish(&list);
    return n;
}

/* --- operations and what they leave ------------------------------------------------------- */

static inline int append_one(struct play *play, struct store_op *op, struct store_frame *frame,
                             const char *topic)
{
    *frame = frame_in(topic, FOREVER);
    op->kind = STORE_APPEND;
    op->frames = frame;
    op->count = 1;
    return store_run(play->store, op);
}

struct gather_wait {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int left;
};

static inline void one_less(struct store_op *op)
{
    struct gather_wait *wait = op->owner;
    pthread_mutex_lock(&wait->lock);
    wait->left--;
    pthread_cond_signal(&wait->cond);
    pthread_mutex_unlock(&wait->lock);
}

/* Submits all and waits for all: they gather in few groups. */
static inline void run_together(struct play *play, struct store_op *ops, int count)
{
    struct gather_wait wait = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, count};
    for (int i = 0; i < count; i++) {
        ops[i].done = one_less;
        ops[i].owner = &wait;
        store_submit(play->store, &ops[i]);
    }
    pthread_mutex_lock(&wait.lock);
    while (wait.left > 0)
        pthread_cond_wait(&wait.cond, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
}

static inline void expect_last(struct play *play, const char *topic, const struct frame_id *ids,
                               size_t count)
{
    struct seen_list list = {0};
    read_query(play, &(struct store_query){.stream = span_str(topic)}, 1 << 20, &list);
    assert_int_equal(list.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(id_cmp(list.items[i].id, ids[i]), 0);
    seen_finish(&list);
}

static inline struct frame_id import_at(struct play *play, const char *topic, struct frame_id id,
                                        int expected)
{
    struct store_frame frame = frame_in(topic, FOREVER);
    struct store_op op = {.kind = STORE_IMPORT, .frames = &frame, .count = 1};
    frame.id = id;
    assert_int_equal(store_run(play->store, &op), expected);
    return id;
}

#endif
