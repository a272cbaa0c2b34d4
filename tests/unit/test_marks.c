/*
 * Marks: what acknowledging, setting and dropping leave, alone, within one group, and after the
 * store was opened again, from the index and from the journal. The threads are stepped by hand, so
 * that a group holds what the test puts into it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "store/record.h"
#include "tests/store/steps.h"

static int setup(void **state)
{
    struct play *play = malloc(sizeof *play);
    play_begin(play);
    play_open(play);
    *state = play;
    return 0;
}

static int teardown(void **state)
{
    struct play *play = *state;
    if (play->store)
        step_close(play);
    play_end(play);
    free(play);
    return 0;
}

static struct frame_id id_of(uint64_t n)
{
    return (struct frame_id){n, 5};
}

/* --- marks in and out --------------------------------------------------------------------- */

struct copy {
    char name[MARK_NAME_MAX + 1];
    char config[64];
    size_t config_len;
    struct frame_id low, newest;
    struct frame_id *acked;
    size_t count;
};

static void copy_finish(struct copy *copy)
{
    free(copy->acked);
    *copy = (struct copy){0};
}

static int copy_mark(void *arg, const struct store_mark_view *mark)
{
    struct copy *copy = arg;
    copy_finish(copy);
    copy_text(copy->name, sizeof copy->name, mark->name);
    copy_text(copy->config, sizeof copy->config, mark->config);
    copy->config_len = mark->config.len;
    copy->low = mark->low;
    copy->newest = mark->newest;
    copy->count = mark->acked_count;
    copy->acked = malloc(mark->acked_count * sizeof *copy->acked + 1);
    if (mark->acked_count)
        memcpy(copy->acked, mark->acked, mark->acked_count * sizeof *copy->acked);
    return 0;
}

/* Steps the index thread while a reader waits for it is not possible in one thread: so first. */
static int mark_of(struct play *play, const char *name, struct copy *copy)
{
    struct err err = ERR_INIT;
    step_settle(play->store);
    return store_mark(play->store, span_str(name), copy_mark, copy, &err);
}

static void expect(struct play *play, const char *name, uint64_t low, const char *config,
                   const uint64_t *acked, size_t count)
{
    struct copy copy = {0};
    assert_int_equal(mark_of(play, name, &copy), 0);
    assert_string_equal(copy.name, name);
    assert_string_equal(copy.config, config);
    assert_int_equal(id_cmp(copy.low, low ? id_of(low) : ID_MIN), 0);
    assert_int_equal(copy.count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(id_cmp(copy.acked[i], id_of(acked[i])), 0);
    copy_finish(&copy);
}

#define EXPECT(play, name, low, config, ...)                                                       \
    expect(play, name, low, config, (const uint64_t[]){0, __VA_ARGS__} + 1,                        \
           sizeof((const uint64_t[]){0, __VA_ARGS__}) / 8 - 1)
#define EXPECT_NONE(play, name)                                                                    \
    do {                                                                                           \
        struct copy none = {0};                                                                    \
        assert_int_equal(mark_of(play, name, &none), ERR_NOT_FOUND);                               \
    } while (0)

/* A change with up to eight acked ids. */
struct change {
    struct store_mark mark;
    struct frame_id ids[8];
};

static struct change *make(struct change *c, enum store_mark_kind kind, const char *name,
                           uint64_t low, const char *config, const uint64_t *acked)
{
    *c = (struct change){.mark = {.kind = kind, .name = span_str(name), .config = span_str(config)}};
    c->mark.low = low ? id_of(low) : ID_MIN;
    while (*acked)
        c->ids[c->mark.acked_count++] = id_of(*acked++);
    c->mark.acked = c->ids;
    return c;
}

#define NONE ((const uint64_t[]){0})
#define IDS(...) ((const uint64_t[]){__VA_ARGS__, 0})

static int run(struct play *play, struct store_mark *marks, size_t count)
{
    struct store_op op = {.kind = STORE_APPEND, .marks = marks, .mark_count = count};
    return step_run(play->store, &op);
}

static void ack(struct play *play, const char *name, uint64_t low, const uint64_t *acked)
{
    struct change c;
    assert_int_equal(run(play, &make(&c, STORE_MARK_ACK, name, low, "", acked)->mark, 1), 0);
}

static void set(struct play *play, const char *name, uint64_t low, const char *config,
                const uint64_t *acked)
{
    struct change c;
    assert_int_equal(run(play, &make(&c, STORE_MARK_SET, name, low, config, acked)->mark, 1), 0);
}

static void drop(struct play *play, const char *name)
{
    struct change c;
    assert_int_equal(run(play, &make(&c, STORE_MARK_DROP, name, 0, "", NONE)->mark, 1), 0);
}

static void print_fault(void *arg, const char *text)
{
    print_error("%s\n", text);
    ++*(int *)arg;
}

/* Checks the tables from end to end; the store is open again behind it. */
static void assert_sound(struct play *play)
{
    struct err err = ERR_INIT;
    uint64_t checked;
    int faults = 0;
    step_close(play);
    assert_int_equal(store_verify(play->path, print_fault, &faults, &checked, &err), 0);
    assert_int_equal(faults, 0);
    play_open(play);
}

/* --- one at a time ------------------------------------------------------------------------ */

static void test_ack_makes_moves_and_forgets(void **state)
{
    struct play *play = *state;
    EXPECT_NONE(play, "h");
    ack(play, "h", 0, IDS(7, 3, 5, 3));
    EXPECT(play, "h", 0, "", 3, 5, 7);
    ack(play, "h", 5, IDS(9, 4, 5, 6));
    EXPECT(play, "h", 5, "", 6, 7, 9);
    ack(play, "h", 2, IDS(4, 8)); /* low never goes back, nor comes back what lies below it */
    EXPECT(play, "h", 5, "", 6, 7, 8, 9);
    ack(play, "h", 5, NONE);
    EXPECT(play, "h", 5, "", 6, 7, 8, 9);
    ack(play, "h", 8, NONE);
    EXPECT(play, "h", 8, "", 9);
    ack(play, "h", 20, NONE);
    EXPECT(play, "h", 20, "");
    assert_sound(play);
    EXPECT(play, "h", 20, "");
}

static void test_set_replaces_the_whole(void **state)
{
    struct play *play = *state;
    ack(play, "g", 10, IDS(12, 14));
    set(play, "g", 4, "{\"a\":1}", IDS(6, 5, 13, 4, 2));
    EXPECT(play, "g", 4, "{\"a\":1}", 5, 6, 13);
    ack(play, "g", 5, IDS(8)); /* keeps the config */
    EXPECT(play, "g", 5, "{\"a\":1}", 6, 8, 13);
    set(play, "g", 0, "", NONE);
    EXPECT(play, "g", 0, "");
    assert_sound(play);
}

static void test_drop_forgets(void **state)
{
    struct play *play = *state;
    drop(play, "never");
    set(play, "a", 4, "conf", IDS(6, 8));
    set(play, "b", 5, "other", IDS(7));
    drop(play, "a");
    EXPECT_NONE(play, "a");
    EXPECT(play, "b", 5, "other", 7);
    ack(play, "a", 1, IDS(9)); /* nothing of the old one comes back */
    EXPECT(play, "a", 1, "", 9);
    drop(play, "b"); /* numbers are given again */
    set(play, "c", 2, "third", NONE);
    drop(play, "a");
    set(play, "d", 3, "fourth", IDS(5));
    EXPECT(play, "c", 2, "third");
    EXPECT(play, "d", 3, "fourth", 5);
    assert_sound(play);
}

static void test_refusals(void **state)
{
    struct play *play = *state;
    static char long_name[MARK_NAME_MAX + 2], config[MARK_CONFIG_MAX + 1];
    static struct frame_id ids[MARK_ACKED_MAX + 1];
    struct store_mark good = {.name = span_str("good"), .low = id_of(3)};
    memset(long_name, 'n', sizeof long_name - 1);
    for (size_t i = 0; i <= MARK_ACKED_MAX; i++)
        ids[i] = id_of(10 + i);
    struct store_mark bad[] = {
        {.name = {0}},
        {.name = span_str(long_name)},
        {.kind = STORE_MARK_DROP, .name = span_str(long_name)},
        {.kind = 7, .name = span_str("x")},
        {.kind = STORE_MARK_SET, .name = span_str("x"), .config = span_of(config, sizeof config)},
        {.name = span_str("x"), .acked = ids, .acked_count = MARK_ACKED_MAX + 1},
        {.kind = STORE_MARK_SET, .name = span_str("x"), .acked = ids, .acked_count = MARK_ACKED_MAX + 1},
    };
    static const int codes[] = {ERR_INVALID,   ERR_INVALID,   ERR_INVALID,  ERR_INVALID,
                                ERR_TOO_LARGE, ERR_TOO_LARGE, ERR_TOO_LARGE};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct store_frame frame = frame_in("t", FOREVER);
        struct store_mark both[] = {good, bad[i]};
        struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1, .marks = both};
        op.mark_count = 2;
        assert_int_equal(step_run(play->store, &op), codes[i]);
        assert_int_equal(op.err.code, codes[i]);
        assert_true(strlen(op.err.text) > 10);
        assert_int_equal(op.number, 0);
    }
    EXPECT_NONE(play, "good");
    EXPECT_NONE(play, "x");
    assert_int_equal(count_all(play), 0);
    long_name[MARK_NAME_MAX] = 0; /* the longest and largest are taken */
    struct store_mark most = {.kind = STORE_MARK_SET, .name = span_str(long_name), .low = id_of(1),
                              .config = span_of(config, MARK_CONFIG_MAX), .acked = ids,
                              .acked_count = MARK_ACKED_MAX};
    struct copy copy = {0};
    assert_int_equal(run(play, &most, 1), 0);
    assert_int_equal(mark_of(play, long_name, &copy), 0);
    assert_int_equal(copy.count, MARK_ACKED_MAX);
    assert_int_equal(copy.config_len, MARK_CONFIG_MAX);
    copy_finish(&copy);
    struct store_op wrong = {.kind = STORE_REMOVE, .id = id_of(1), .marks = &good, .mark_count = 1};
    assert_int_equal(step_run(play->store, &wrong), ERR_INVALID);
    struct store_op keyed = {.kind = STORE_APPEND, .key = span_str("k"), .marks = &good, .mark_count = 1};
    assert_int_equal(step_run(play->store, &keyed), ERR_INVALID);
    struct store_op seq = {.kind = STORE_APPEND, .has_expect_seq = true, .marks = &good, .mark_count = 1};
    assert_int_equal(step_run(play->store, &seq), ERR_INVALID);
    EXPECT_NONE(play, "good");
    assert_sound(play);
}

/* --- with frames -------------------------------------------------------------------------- */

static void test_conditions_and_keys(void **state)
{
    struct play *play = *state;
    struct change c;
    struct store_frame frame = frame_in("t", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1, .mark_count = 1};
    op.marks = &make(&c, STORE_MARK_ACK, "h", 5, "", IDS(7))->mark;
    op.has_expect_seq = true;
    op.expect_seq = 3;
    assert_int_equal(step_run(play->store, &op), ERR_CONDITION);
    EXPECT_NONE(play, "h");
    op.expect_seq = 0;
    op.key = span_str("once");
    assert_int_equal(step_run(play->store, &op), 0);
    assert_false(op.repeated);
    EXPECT(play, "h", 5, "", 7);
    c.mark.low = id_of(9);
    assert_int_equal(step_run(play->store, &op), 0);
    assert_true(op.repeated);
    EXPECT(play, "h", 5, "", 7);
    /* A condition holds for marks alone, too. */
    struct store_op alone = {.kind = STORE_APPEND, .marks = &c.mark, .mark_count = 1};
    alone.has_expect_last = true;
    assert_int_equal(step_run(play->store, &alone), ERR_CONDITION);
    EXPECT(play, "h", 5, "", 7);
    alone.expect_last = frame.id;
    assert_int_equal(step_run(play->store, &alone), 0);
    EXPECT(play, "h", 9, "");
    assert_int_equal(count_all(play), 1);
}

static void test_ephemeral_frames_and_imports(void **state)
{
    struct play *play = *state;
    struct change c;
    struct store_frame frames[] = {frame_in("t", EPHEMERAL), frame_in("t", FOREVER)};
    struct store_op op = {.kind = STORE_APPEND, .frames = frames, .count = 1, .mark_count = 1};
    op.marks = &make(&c, STORE_MARK_ACK, "h", 5, "", NONE)->mark;
    assert_int_equal(step_run(play->store, &op), 0);
    assert_true(op.number > 0);
    EXPECT(play, "h", 5, "");
    c.mark.low = id_of(6);
    op.count = 2;
    assert_int_equal(step_run(play->store, &op), 0);
    EXPECT(play, "h", 6, "");
    assert_int_equal(count_all(play), 1);
    struct store_frame old = frame_in("t", FOREVER);
    old.id = id_of(1);
    struct store_op import = {.kind = STORE_IMPORT, .frames = &old, .count = 1, .mark_count = 1};
    import.marks = &make(&c, STORE_MARK_SET, "h", 2, "x", IDS(3))->mark;
    assert_int_equal(step_run(play->store, &import), 0);
    EXPECT(play, "h", 2, "x", 3);
    /* An import that is refused changes none. */
    old.meta = span_str("{}");
    c.mark.low = id_of(4);
    assert_int_equal(step_run(play->store, &import), ERR_CONFLICT);
    EXPECT(play, "h", 2, "x", 3);
    import.count = 0;
    assert_int_equal(step_run(play->store, &import), 0);
    EXPECT(play, "h", 4, "x");
}

/* --- within one group --------------------------------------------------------------------- */

/* The operations of the newest record. */
static size_t count_ops(struct play *play, enum op_type type, size_t *bytes)
{
    struct tail *tail = &play->store->tail;
    struct span rest = buf_span(&tail->ring[tail->last & tail->mask]->ops);
    struct op op;
    size_t n = 0;
    if (bytes)
        *bytes = rest.len;
    while (op_next(&op, &rest, NULL) == 0)
        n += op.type == type;
    return n;
}

#define MOST 600
static struct store_op group_ops[MOST];
static struct change group_changes[MOST];
static bool group_done[MOST];

static void queue(struct play *play, size_t i, enum store_mark_kind kind, const char *name,
                  uint64_t low, const char *config, const uint64_t *acked)
{
    group_ops[i] = (struct store_op){.kind = STORE_APPEND, .mark_count = 1};
    group_ops[i].marks = &make(&group_changes[i], kind, name, low, config, acked)->mark;
    step_submit(play->store, &group_ops[i], &group_done[i]);
}

static void write_one_group(struct play *play, size_t count)
{
    assert_false(writer_step(play->store));
    for (size_t i = 0; i < count; i++) {
        assert_true(group_done[i]);
        assert_int_equal(group_ops[i].result, 0);
        assert_int_equal(group_ops[i].number, group_ops[0].number);
    }
}

static void test_acks_collapse(void **state)
{
    struct play *play = *state;
    size_t bytes;
    for (size_t i = 0; i < MOST; i++)
        queue(play, i, STORE_MARK_ACK, i % 2 ? "handler/one" : "handler/two", 100 + i, "", NONE);
    write_one_group(play, MOST);
    assert_int_equal(count_ops(play, OP_MARK_ACK, &bytes), 2);
    assert_int_equal(bytes, 2 * (5 + 18 + strlen("handler/one")));
    EXPECT(play, "handler/one", 100 + MOST - 1, "");
    EXPECT(play, "handler/two", 100 + MOST - 2, "");
    /* Ids above low: 16 bytes each, and what a later low has passed is not written at all. */
    queue(play, 0, STORE_MARK_ACK, "handler/one", 0, "", IDS(1003, 1001));
    queue(play, 1, STORE_MARK_ACK, "handler/one", 1000, "", IDS(1003, 999));
    queue(play, 2, STORE_MARK_ACK, "handler/one", 900, "", IDS(1005));
    write_one_group(play, 3);
    assert_int_equal(count_ops(play, OP_MARK_ACK, &bytes), 1);
    assert_int_equal(bytes, 5 + 18 + strlen("handler/one") + 3 * ID_SIZE);
    EXPECT(play, "handler/one", 1000, "", 1001, 1003, 1005);
}

static void test_order_within_a_group(void **state)
{
    struct play *play = *state;
    queue(play, 0, STORE_MARK_ACK, "a", 9, "", IDS(12));
    queue(play, 1, STORE_MARK_SET, "a", 3, "set", IDS(5));
    queue(play, 2, STORE_MARK_ACK, "a", 4, "", IDS(7));
    queue(play, 3, STORE_MARK_ACK, "b", 4, "", IDS(6));
    queue(play, 4, STORE_MARK_DROP, "b", 0, "", NONE);
    queue(play, 5, STORE_MARK_SET, "c", 1, "c", NONE);
    queue(play, 6, STORE_MARK_DROP, "c", 0, "", NONE);
    queue(play, 7, STORE_MARK_ACK, "c", 2, "", IDS(4));
    write_one_group(play, 8);
    EXPECT(play, "a", 4, "set", 5, 7);
    EXPECT_NONE(play, "b");
    EXPECT(play, "c", 2, "", 4);
    /* And within one operation. */
    struct change c[3];
    struct store_mark marks[] = {make(&c[0], STORE_MARK_ACK, "a", 8, "", NONE)->mark,
                                 make(&c[1], STORE_MARK_SET, "a", 1, "", IDS(2))->mark,
                                 make(&c[2], STORE_MARK_ACK, "a", 0, "", IDS(3))->mark};
    assert_int_equal(run(play, marks, 3), 0);
    EXPECT(play, "a", 1, "", 2, 3);
    assert_sound(play);
}

/* More marks than the group gathers at once, and more ids than one operation takes. */
static void test_gathering_is_bounded(void **state)
{
    struct play *play = *state;
    static struct frame_id ids[2][MARK_ACKED_MAX];
    static char many[MOST][8];
    for (size_t i = 0; i < MOST; i++) {
        snprintf(many[i], sizeof many[i], "m%zu", i % 100);
        queue(play, i, STORE_MARK_ACK, many[i], 1, "", IDS(10 + i));
    }
    write_one_group(play, MOST);
    for (uint64_t i = 0; i < 100; i++)
        EXPECT(play, many[i], 1, "", 10 + i, 110 + i, 210 + i, 310 + i, 410 + i, 510 + i);
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < MARK_ACKED_MAX; i++)
            ids[k][i] = id_of(100 + 2 * i + k);
    for (size_t k = 0; k < 2; k++) {
        queue(play, k, STORE_MARK_ACK, "wide", 1, "", NONE);
        group_changes[k].mark.acked = ids[k];
        group_changes[k].mark.acked_count = MARK_ACKED_MAX;
    }
    while (writer_step(play->store))
        ;
    struct copy copy = {0};
    assert_int_equal(mark_of(play, "wide", &copy), 0);
    assert_int_equal(copy.count, 2 * MARK_ACKED_MAX);
    for (size_t i = 0; i < copy.count; i++)
        assert_int_equal(id_cmp(copy.acked[i], id_of(100 + i)), 0);
    ack(play, "wide", 100 + MARK_ACKED_MAX, NONE);
    assert_int_equal(mark_of(play, "wide", &copy), 0);
    assert_int_equal(copy.count, MARK_ACKED_MAX - 1);
    assert_int_equal(id_cmp(copy.acked[0], id_of(101 + MARK_ACKED_MAX)), 0);
    copy_finish(&copy);
    assert_sound(play);
}

/* --- listing ------------------------------------------------------------------------------ */

struct list {
    char names[400];
    size_t count, stop_at;
};

static int list_mark(void *arg, const struct store_mark_view *mark)
{
    struct list *list = arg;
    char name[32];
    copy_text(name, sizeof name, mark->name);
    strcat(strcat(list->names, name), " ");
    return ++list->count == list->stop_at ? 42 : 0;
}

static void expect_list(struct play *play, const char *prefix, size_t stop_at, const char *names)
{
    struct list list = {.stop_at = stop_at};
    step_settle(play->store);
    assert_int_equal(store_marks(play->store, span_str(prefix), list_mark, &list, NULL),
                     stop_at ? 42 : 0);
    assert_string_equal(list.names, names);
}

static void test_listing(void **state)
{
    struct play *play = *state;
    static char long_name[MARK_NAME_MAX + 200];
    static const char *const names[] = {"handler/b", "x", "handler/a", "handlers", "group/1", "a"};
    expect_list(play, "", 0, "");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        ack(play, names[i], 1, NONE);
    expect_list(play, "", 0, "a group/1 handler/a handler/b handlers x ");
    expect_list(play, "handler/", 0, "handler/a handler/b ");
    expect_list(play, "handler", 2, "handler/a handler/b ");
    expect_list(play, "y", 0, "");
    expect_list(play, "handlers", 0, "handlers ");
    memset(long_name, 'h', sizeof long_name - 1);
    expect_list(play, long_name, 0, "");
    assert_int_equal(store_mark(play->store, span_str(long_name), copy_mark, NULL, NULL), ERR_NOT_FOUND);
    assert_int_equal(store_mark(play->store, (struct span){0}, copy_mark, NULL, NULL), ERR_NOT_FOUND);
    struct frame_id last = ID_MIN;
    struct copy copy = {0};
    struct store_frame frame = frame_in("t", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    assert_int_equal(step_run(play->store, &op), 0);
    last = frame.id;
    assert_int_equal(mark_of(play, "x", &copy), 0);
    assert_int_equal(id_cmp(copy.newest, last), 0);
    copy_finish(&copy);
}

/* --- opened again ------------------------------------------------------------------------- */

/* A process that ends with its index far behind the journal. */
static void in_a_process_that_dies(struct play *play, void (*work)(struct play *play))
{
    step_close(play);
    pid_t child = fork();
    if (child == 0) {
        play_open(play);
        work(play);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    play_open(play);
}

static void append_with_mark(struct play *play, uint64_t low, const uint64_t *acked)
{
    struct change c;
    bool done;
    struct store_frame frame = frame_in("out", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1, .mark_count = 1};
    op.marks = &make(&c, STORE_MARK_ACK, "h", low, "", acked)->mark;
    step_submit(play->store, &op, &done);
    writer_step(play->store);
    must(done && op.result == 0);
    must(play->store->indexed < op.number);
}

static void write_unindexed(struct play *play)
{
    for (uint64_t i = 1; i <= 50; i++)
        append_with_mark(play, i, IDS(i + 2, i + 3));
    struct change c;
    bool done;
    struct store_op op = {.kind = STORE_APPEND, .mark_count = 1};
    op.marks = &make(&c, STORE_MARK_SET, "s", 8, "kept", IDS(9))->mark;
    step_submit(play->store, &op, &done);
    writer_step(play->store);
    must(done && op.result == 0);
}

static void test_replay(void **state)
{
    struct play *play = *state;
    in_a_process_that_dies(play, write_unindexed);
    assert_int_equal(count_all(play), 50);
    EXPECT(play, "h", 50, "", 51, 52, 53);
    EXPECT(play, "s", 8, "kept", 9);
    assert_sound(play);
    EXPECT(play, "h", 50, "", 51, 52, 53);
    EXPECT(play, "s", 8, "kept", 9);
}

/* Turns a byte of these round in the journal, where they are once. */
static void damage(struct play *play, struct span wanted)
{
    char dir[128];
    struct dirent **names;
    static char bytes[1 << 20];
    size_t hits = 0;
    snprintf(dir, sizeof dir, "%s/journal", play->path);
    int n = scandir(dir, &names, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]->d_name);
        FILE *file = strstr(path, ".wj") ? fopen(path, "r+") : NULL;
        size_t len = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        char *at = memmem(bytes, len, wanted.ptr, wanted.len);
        if (at) {
            assert_int_equal(fseek(file, at - bytes, SEEK_SET), 0);
            fputc(~*at, file);
            hits++;
        }
        if (file)
            fclose(file);
        free(names[i]);
    }
    free(names);
    assert_int_equal(hits, 1);
}

static void write_one_more(struct play *play)
{
    append_with_mark(play, 60, IDS(62));
}

/* A torn last record takes its frame and its mark with it. */
static void test_torn_record(void **state)
{
    struct play *play = *state;
    struct change c;
    CLEAN_BUF bytes = BUF_INIT;
    in_a_process_that_dies(play, write_unindexed);
    in_a_process_that_dies(play, write_one_more);
    EXPECT(play, "h", 60, "", 62);
    assert_int_equal(count_all(play), 51);
    step_close(play);
    pid_t child = fork();
    if (child == 0) {
        play_open(play);
        append_with_mark(play, 70, IDS(75));
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    uint8_t ids[ID_SIZE];
    id_put(ids, id_of(75));
    make(&c, STORE_MARK_ACK, "h", 70, "", NONE);
    struct op_mark mark = {c.mark.name, {0}, c.mark.low, span_of(ids, sizeof ids)};
    assert_int_equal(op_put_mark(&bytes, OP_MARK_ACK, &mark), 0);
    damage(play, buf_span(&bytes));
    play_open(play);
    assert_int_equal(count_all(play), 51);
    EXPECT(play, "h", 60, "", 62);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ack_makes_moves_and_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_set_replaces_the_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drop_forgets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions_and_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ephemeral_frames_and_imports, setup, teardown),
        cmocka_unit_test_setup_teardown(test_acks_collapse, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_within_a_group, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gathering_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_record, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
