/*
 * The store as its users see it: opening, conditions, keys, imports, removals, limits,
 * contents. With its threads.
 */
#include "tests/unit/store_fixture.h"

/* --- opening ------------------------------------------------------------------------------ */

static void test_append_read_reopen(void **state)
{
    struct play *play = *state;
    struct seen_list list = {0};
    struct frame_id ids[10];
    for (int i = 0; i < 10; i++)
        ids[i] = put_frame(play, i % 2 ? "odd" : "even", i % 3 ? "text" : NULL, FOREVER);
    for (int round = 0; round < 3; round++) {
        read_all(play, &list);
        assert_int_equal(list.count, 10);
        for (int i = 0; i < 10; i++) {
            assert_int_equal(id_cmp(list.items[i].id, ids[i]), 0);
            assert_string_equal(list.items[i].topic, i % 2 ? "odd" : "even");
            assert_true(list.items[i].has_seq);
            assert_int_equal(list.items[i].seq, i / 2);
            assert_string_equal(list.items[i].content, i % 3 ? "text" : "");
        }
        if (round == 0)
            flush(play);
        else
            play_reopen(play);
    }
    seen_finish(&list);
}

static void test_second_process_is_refused(void **state)
{
    struct play *play = *state;
    struct err err = ERR_INIT;
    struct store *second;
    char pid[32];
    snprintf(pid, sizeof pid, "process %ld;", (long)getpid());
    /* In this process by another path, and in another process. */
    char path[128];
    snprintf(path, sizeof path, "%s/.", play->path);
    assert_int_equal(store_open(&second, path, &play->options, &err), ERR_LOCKED);
    assert_non_null(strstr(err.text, pid));
    pid_t child = fork();
    if (child == 0) {
        struct err theirs = ERR_INIT;
        int r = store_open(&second, play->path, &play->options, &theirs);
        _exit(r == ERR_LOCKED && strstr(theirs.text, pid) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    put(play, "a");
    assert_int_equal(count_all(play), 1);
}

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static size_t count_entries(const char *path)
{
    DIR *dir = opendir(path);
    size_t n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void test_newer_format_is_refused_unchanged(void **state)
{
    struct play *play = *state;
    struct err err = ERR_INIT;
    struct stat before, after;
    char lock[128];
    put(play, "a");
    play_close(play);
    snprintf(lock, sizeof lock, "%s/lock", play->path);
    write_file(play->path, "format", "weir store\nformat 999\nwhatever that one says\n");
    assert_int_equal(stat(lock, &before), 0);
    assert_int_equal(store_open(&play->store, play->path, &play->options, &err), ERR_FORMAT);
    assert_null(play->store);
    assert_non_null(strstr(err.text, "999"));
    assert_int_equal(stat(lock, &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
    write_file(play->path, "format", "something else\n");
    assert_int_equal(store_open(&play->store, play->path, &play->options, &err), ERR_FORMAT);
    write_file(play->path, "format", "weir store\nformat 1\nuuid no\n");
    assert_int_equal(store_open(&play->store, play->path, &play->options, &err), ERR_FORMAT);
}

static void read_file(char *out, size_t size, const char *dir, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    out[fread(out, 1, size - 1, file)] = '\0';
    fclose(file);
}

static void test_older_format_becomes_this_one(void **state)
{
    struct play *play = *state;
    char now[128], then[128], text[128];
    put(play, "a");
    play_close(play);
    read_file(now, sizeof now, play->path, "format");
    char *at = strstr(now, "format 3\n");
    assert_non_null(at);
    memcpy(then, now, sizeof then);
    then[at - now + 7] = '1';
    write_file(play->path, "format", then);
    play_open(play);
    assert_int_equal(stat_of(play).format, 3);
    assert_int_equal(count_all(play), 1);
    read_file(text, sizeof text, play->path, "format");
    assert_string_equal(text, now);
    /* None is no format of ours. */
    play_close(play);
    then[at - now + 7] = '0';
    write_file(play->path, "format", then);
    struct err err = ERR_INIT;
    assert_int_equal(store_open(&play->store, play->path, &play->options, &err), ERR_FORMAT);
    read_file(text, sizeof text, play->path, "format");
    assert_string_equal(text, then);
    write_file(play->path, "format", now);
    play_open(play);
}

static void test_foreign_directory_is_left_alone(void **state)
{
    struct play *play = *state;
    struct err err = ERR_INIT;
    char path[128], inner[160];
    snprintf(path, sizeof path, "%s/foreign", play->path);
    assert_int_equal(mkdir(path, 0755), 0);
    write_file(path, "thesis.tex", "x");
    struct store *other = NULL;
    assert_int_equal(store_open(&other, path, &play->options, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "thesis.tex"));
    assert_int_equal(count_entries(path), 1);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0755);
    snprintf(inner, sizeof inner, "%s/fjall", path);
    assert_int_equal(mkdir(inner, 0755), 0);
    snprintf(inner, sizeof inner, "%s/thesis.tex", path);
    unlink(inner);
    assert_int_equal(store_open(&other, path, &play->options, &err), ERR_FORMAT);
    assert_non_null(strstr(err.text, "xs"));
}

static void test_directory_is_made_and_private(void **state)
{
    struct play *play = *state;
    struct err err = ERR_INIT;
    char path[128];
    struct stat st;
    struct store *other = NULL;
    snprintf(path, sizeof path, "%s/x/y/z", play->path);
    assert_int_equal(store_open(&other, path, &play->options, &err), 0);
    assert_int_equal(fstat(store_dirfd(other), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    store_close(other);
    chmod(path, 0755);
    assert_int_equal(store_open(&other, path, &play->options, &err), 0);
    assert_int_equal(fstat(store_dirfd(other), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    store_close(other);
}

/* Two stores share the threads. */
static void test_two_stores(void **state)
{
    struct play *play = *state;
    struct play other = {.options = play->options};
    assert_true(snprintf(other.path, sizeof other.path, "%s/b", play->path) <
                (int)sizeof other.path);
    play_open(&other);
    for (int i = 0; i < 20; i++) {
        put(play, "a");
        put(&other, "b");
        put(&other, "b");
    }
    assert_int_equal(count_all(play), 20);
    assert_int_equal(count_all(&other), 40);
    assert_memory_not_equal(stat_of(play).uuid, stat_of(&other).uuid, 16);
    play_close(&other);
    put(play, "a");
    assert_int_equal(count_all(play), 21);
}

/* --- conditions, keys, batches ------------------------------------------------------------ */

static void test_expect_seq(void **state)
{
    struct play *play = *state;
    struct store_frame frame;
    for (int round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            uint64_t seq = (uint64_t)round * 3 + i;
            struct store_op good = {.has_expect_seq = true, .expect_seq = seq};
            struct store_op bad = {.has_expect_seq = true, .expect_seq = seq + 1};
            assert_int_equal(append_one(play, &bad, &frame, "a"), ERR_CONDITION);
            assert_int_equal(bad.actual_seq, seq);
            assert_int_equal(bad.number, 0);
            assert_int_equal(append_one(play, &good, &frame, "a"), 0);
            assert_int_equal(frame.seq, seq);
            put_frame(play, "a", NULL, EPHEMERAL); /* has no seq */
        }
        play_reopen(play);
    }
    assert_int_equal(count_all(play), 6);
}

static void test_expect_last(void **state)
{
    struct play *play = *state;
    struct store_frame frame;
    struct store_op empty = {.has_expect_last = true, .expect_last = ID_MIN};
    assert_int_equal(append_one(play, &empty, &frame, "a"), 0);
    struct frame_id last = frame.id;
    assert_int_equal(append_one(play, &empty, &frame, "a"), ERR_CONDITION);
    assert_int_equal(id_cmp(empty.actual_last, last), 0);
    put_frame(play, "a", NULL, EPHEMERAL);
    struct store_op right = {.has_expect_last = true, .expect_last = last};
    assert_int_equal(append_one(play, &right, &frame, "b"), 0);
    last = frame.id;
    assert_true(take_away(play, last)); /* it was the newest all the same */
    play_reopen(play);
    right.expect_last = last;
    assert_int_equal(append_one(play, &right, &frame, "b"), 0);
}

struct starter {
    struct store *store;
    struct store_op *op;
};

static void *run_starter(void *arg)
{
    struct starter *starter = arg;
    store_run(starter->store, starter->op);
    return NULL;
}

/* Of many who expect the same seq at the same moment one wins. */
static void test_one_winner(void **state)
{
    enum { N = 50 };
    struct play *play = *state;
    struct store_frame frames[N];
    struct store_op ops[N];
    pthread_t threads[N];
    int won = 0;
    for (int i = 0; i < N; i++) {
        frames[i] = frame_in("a", FOREVER);
        ops[i] = (struct store_op){
            .kind = STORE_APPEND, .frames = &frames[i], .count = 1, .has_expect_seq = true};
    }
    struct starter starters[N];
    for (int i = 0; i < N; i++) {
        starters[i] = (struct starter){play->store, &ops[i]};
        assert_int_equal(pthread_create(&threads[i], NULL, run_starter, &starters[i]), 0);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        assert_true(ops[i].result == 0 || ops[i].result == ERR_CONDITION);
        won += ops[i].result == 0;
    }
    assert_int_equal(won, 1);
    assert_int_equal(count_all(play), 1);
}

static int append_keyed(struct play *play, const char *key, const char *text, struct store_op *op,
                        struct store_frame in[2])
{
    for (int i = 0; i < 2; i++) {
        in[i] = frame_in(i ? "b" : "a", FOREVER);
        frame_content(&in[i], text);
    }
    *op = (struct store_op){.kind = STORE_APPEND, .frames = in, .count = 2, .key = span_str(key)};
    return store_run(play->store, op);
}

static void test_keys(void **state)
{
    struct play *play = *state;
    struct store_frame first[2], again[2];
    struct store_op op;
    assert_int_equal(append_keyed(play, "k", "one", &op, first), 0);
    assert_false(op.repeated);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(append_keyed(play, "k", "one", &op, again), 0);
        assert_true(op.repeated);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(id_cmp(first[i].id, again[i].id), 0);
            assert_true(again[i].has_seq);
            assert_int_equal(first[i].seq, again[i].seq);
        }
        assert_int_equal(append_keyed(play, "k", "two", &op, again), ERR_CONFLICT);
        assert_int_equal(count_all(play), 2);
        if (round == 0)
            flush(play);
        else
            play_reopen(play);
    }
    assert_int_equal(append_keyed(play, "l", "two", &op, again), 0);
    assert_false(op.repeated);
    assert_int_equal(count_all(play), 4);
}

static void test_key_repeated_in_its_group(void **state)
{
    enum { N = 40 };
    struct play *play = *state;
    struct store_frame frames[N];
    struct store_op ops[N];
    uint64_t groups = stat_of(play).groups;
    for (int i = 0; i < N; i++) {
        frames[i] = frame_in("a", FOREVER);
        ops[i] = (struct store_op){
            .kind = STORE_APPEND, .frames = &frames[i], .count = 1, .key = span_str("same")};
    }
    run_together(play, ops, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(ops[i].result, 0);
        assert_int_equal(ops[i].repeated, i > 0);
        assert_int_equal(ops[i].number != 0, i == 0);
        assert_int_equal(id_cmp(frames[i].id, frames[0].id), 0);
    }
    assert_int_equal(stat_of(play).groups, groups + 1);
    assert_int_equal(count_all(play), 1);
}

static void test_batch_is_whole_or_not(void **state)
{
    struct play *play = *state;
    struct seen_list list = {0};
    struct store_frame frames[3] = {frame_in("a", FOREVER), frame_in("b", LAST(1)),
                                    frame_in("a", FOREVER)};
    struct store_op op = {.kind = STORE_APPEND,
                          .frames = frames,
                          .count = 3,
                          .has_expect_seq = true,
                          .expect_seq = 7};
    assert_int_equal(store_run(play->store, &op), ERR_CONDITION);
    assert_int_equal(count_all(play), 0);
    op.expect_seq = 0;
    assert_int_equal(store_run(play->store, &op), 0);
    read_all(play, &list);
    assert_int_equal(list.count, 3);
    assert_int_equal(list.items[2].seq, 1);
    /* One bad frame, nothing of it; and others in the same group do not suffer. */
    struct store_frame bad[2] = {frame_in("a", FOREVER), frame_in("", FOREVER)},
                       good = frame_in("a", FOREVER);
    struct store_op ops[2] = {{.kind = STORE_APPEND, .frames = bad, .count = 2},
                              {.kind = STORE_APPEND, .frames = &good, .count = 1}};
    run_together(play, ops, 2);
    assert_int_equal(ops[0].result, ERR_INVALID);
    assert_int_equal(ops[1].result, 0);
    assert_int_equal(count_all(play), 4);
    seen_finish(&list);
}

static void test_limits(void **state)
{
    struct play *play = *state;
    static char big[META_MAX + 2];
    memset(big, 'x', sizeof big - 1);
    struct store_frame frame = frame_in("a", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    frame.meta = span_of(big, META_MAX + 1);
    assert_int_equal(store_run(play->store, &op), ERR_TOO_LARGE);
    frame.meta = span_of(big, META_MAX);
    assert_int_equal(store_run(play->store, &op), 0);
    frame = frame_in("a", FOREVER);
    frame.topic = span_of(big, TOPIC_MAX + 1);
    assert_int_equal(store_run(play->store, &op), ERR_INVALID);
    frame.topic = span_of(big, TOPIC_MAX);
    assert_int_equal(store_run(play->store, &op), 0);
    frame = frame_in("a", FOREVER);
    frame_content(&frame, big);
    frame.content.len = frame.content_size = INLINE_MAX + 1;
    assert_int_equal(store_run(play->store, &op), ERR_TOO_LARGE);
    frame.content.len = frame.content_size = INLINE_MAX;
    assert_int_equal(store_run(play->store, &op), 0);
    frame.content_size = 7;
    assert_int_equal(store_run(play->store, &op), ERR_INVALID);
    frame = frame_in("a", LAST(0));
    assert_int_equal(store_run(play->store, &op), ERR_INVALID);
    frame = frame_in("a", FOREVER);
    op.key = span_of(big, 65);
    assert_int_equal(store_run(play->store, &op), ERR_INVALID);
    op.key = span_of(big, 64);
    assert_int_equal(store_run(play->store, &op), 0);
    struct store_op content = {.kind = STORE_CONTENT, .content = span_of(big, INLINE_MAX + 1)};
    assert_int_equal(store_run(play->store, &content), ERR_TOO_LARGE);
    /* Many in one batch: a record of more than a group. */
    enum { N = 5000 };
    struct store_frame *many = calloc(N, sizeof *many);
    for (int i = 0; i < N; i++)
        many[i] = frame_in("many", FOREVER);
    struct store_op batch = {.kind = STORE_APPEND, .frames = many, .count = N};
    assert_int_equal(store_run(play->store, &batch), 0);
    assert_int_equal(count_topic(play, "many"), N);
    play_reopen(play);
    assert_int_equal(count_all(play), N + 4);
    free(many);
}

/* --- ids ---------------------------------------------------------------------------------- */

static void test_ids_rise(void **state)
{
    static const int64_t jumps[] = {0, 5, -100000, 3, 86400000, -86400000, 1, -1, 999999};
    struct play *play = *state;
    struct frame_id last = ID_MIN;
    for (size_t i = 0; i < 60; i++) {
        clock_ms += (uint64_t)jumps[i % (sizeof jumps / sizeof *jumps)];
        struct frame_id id = put_frame(play, "t", NULL, i % 5 ? FOREVER : EPHEMERAL);
        assert_true(id_cmp(id, last) > 0);
        last = id;
        if (i % 13 == 4) /* the newest is a stored one */
            play_reopen(play);
    }
}

/* --- import ------------------------------------------------------------------------------- */

static void test_import(void **state)
{
    struct play *play = *state;
    struct seen_list list = {0};
    struct frame_id newest = put(play, "t");
    struct frame_id old = import_at(play, "t", (struct frame_id){newest.hi - 65536, 5}, 0);
    struct frame_id above = import_at(play, "t", (struct frame_id){newest.hi + 65536 * 9000, 5}, 0);
    import_at(play, "t", (struct frame_id){(clock_ms + 10001) << 16, 5}, ERR_INVALID);
    import_at(play, "t", ID_MIN, ERR_INVALID);
    struct frame_id later = put(play, "t");
    assert_true(id_cmp(later, above) > 0);
    struct frame_id expected[] = {old, newest, above, later};
    for (int round = 0; round < 2; round++) {
        expect_last(play, "t", expected, 4);
        read_all(play, &list);
        assert_false(list.items[0].has_seq);
        assert_int_equal(list.items[1].seq, 0);
        assert_int_equal(list.items[2].seq, 1);
        assert_int_equal(list.items[3].seq, 2);
        play_reopen(play);
    }
    seen_finish(&list);
}

static void test_import_existing(void **state)
{
    struct play *play = *state;
    struct store_frame frame = frame_in("t", FOREVER);
    struct store_op op = {.kind = STORE_IMPORT, .frames = &frame, .count = 1};
    frame.id = put(play, "t");
    assert_int_equal(store_run(play->store, &op), 0);
    assert_true(frame.existed && frame.has_seq && frame.seq == 0);
    assert_int_equal(op.number, 0);
    frame.topic = span_str("u");
    assert_int_equal(store_run(play->store, &op), ERR_CONFLICT);
    frame.topic = span_str("t");
    frame.meta = span_str("{}");
    assert_int_equal(store_run(play->store, &op), ERR_CONFLICT);
    frame.meta = (struct span){0};
    frame.ttl = LAST(3);
    assert_int_equal(store_run(play->store, &op), ERR_CONFLICT);
    frame.ttl = EPHEMERAL;
    assert_int_equal(store_run(play->store, &op), ERR_INVALID);
    assert_int_equal(count_all(play), 1);
    /* The same twice at the same moment is there once. */
    enum { N = 10 };
    struct store_frame frames[N];
    struct store_op ops[N];
    for (int i = 0; i < N; i++) {
        frames[i] = frame_in("t", FOREVER);
        frames[i].id = (struct frame_id){(clock_ms - 77) << 16, 3};
        ops[i] = (struct store_op){.kind = STORE_IMPORT, .frames = &frames[i], .count = 1};
    }
    run_together(play, ops, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(ops[i].result, 0);
        assert_int_equal(frames[i].existed, i > 0);
    }
    assert_int_equal(count_all(play), 2);
    assert_int_equal(stat_of(play).frames, 2);
    /* In one import: refused. */
    frames[0].id.lo = frames[1].id.lo = 9;
    ops[0].count = 2;
    assert_int_equal(store_run(play->store, &ops[0]), ERR_INVALID);
    assert_int_equal(count_all(play), 2);
}

static void test_import_restores_seqs(void **state)
{
    struct play *play = *state;
    struct seen_list list = {0};
    struct store_frame frames[3];
    struct store_op op = {.kind = STORE_IMPORT, .frames = frames, .count = 3};
    for (unsigned i = 0; i < 3; i++) {
        frames[i] = frame_in("t", FOREVER);
        frames[i].id = (struct frame_id){(clock_ms - 1000 + i) << 16, 1};
        frames[i].has_seq = true;
        frames[i].seq = 10 + 5 * i;
    }
    assert_int_equal(store_run(play->store, &op), 0);
    put(play, "t");
    read_all(play, &list);
    assert_int_equal(list.count, 4);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(list.items[i].seq, 10 + 5 * i);
    assert_int_equal(list.items[3].seq, 21);
    struct store_frame bad = frame_in("u", FOREVER);
    op = (struct store_op){.kind = STORE_IMPORT, .frames = &bad, .count = 1};
    bad.id = (struct frame_id){clock_ms << 16, 1};
    bad.has_seq = true;
    bad.seq = UINT64_MAX;
    assert_int_equal(store_run(play->store, &op), ERR_INVALID);
    flush(play);
    assert_false(stat_of(play).read_only);
    seen_finish(&list);
}

/* A synthetic id raises the generator: an import below it and above every frame is still seen at
 * once. */
static void test_import_below_a_synthetic_id(void **state)
{
    struct play *play = *state;
    struct store_cursor *cursor;
    struct seen_list list = {0};
    struct err err = ERR_INIT;
    enum store_step step;
    struct frame_id first = put(play, "t");
    assert_int_equal(
        store_cursor_open(&cursor, play->store, &(struct store_query){.follow = true}, &err), 0);
    drain(cursor, 1000, &list, &step);
    clock_ms += 5000;
    struct frame_id synthetic = store_synthetic_id(play->store, cursor);
    struct frame_id between = import_at(play, "t", id_pred(synthetic), 0);
    expect_last(play, "t", (struct frame_id[]){first, between}, 2);
    struct frame_id last = put(play, "t");
    expect_last(play, "t", (struct frame_id[]){first, between, last}, 3);
    struct store_frame frame;
    struct store_op op = {.has_expect_last = true, .expect_last = last};
    assert_int_equal(append_one(play, &op, &frame, "t"), 0);
    store_cursor_close(cursor);
    seen_finish(&list);
}

/* --- remove ------------------------------------------------------------------------------- */

static void test_remove(void **state)
{
    struct play *play = *state;
    struct frame_id ids[6];
    for (int i = 0; i < 6; i++)
        ids[i] = put(play, "t");
    assert_true(take_away(play, ids[5]));
    assert_false(take_away(play, ids[5]));
    flush(play);
    assert_true(take_away(play, ids[0]));
    assert_false(take_away(play, ids[0]));
    assert_false(take_away(play, ID_MAX));
    struct store_op op = {
        .kind = STORE_REMOVE, .ids = (struct frame_id[]){ids[2], ids[2], ids[0]}, .count = 3};
    assert_int_equal(store_run(play->store, &op), 0);
    assert_true(op.found);
    for (int round = 0; round < 2; round++) {
        expect_last(play, "t", (struct frame_id[]){ids[1], ids[3], ids[4]}, 3);
        assert_int_equal(store_get(play->store, ids[2], see, &(struct seen_list){0}, NULL),
                         ERR_NOT_FOUND);
        play_reopen(play);
    }
    struct store_frame frame;
    struct store_op next = {.has_expect_seq = true, .expect_seq = 6}; /* seqs are not used again */
    assert_int_equal(append_one(play, &next, &frame, "t"), 0);
    /* What was asked for twice in one operation was counted once. */
    struct frame_id a = put(play, "u"), b = put(play, "u"), c = put(play, "u");
    op = (struct store_op){.kind = STORE_REMOVE, .ids = (struct frame_id[]){a, a}, .count = 2};
    assert_int_equal(store_run(play->store, &op), 0);
    struct frame_id d = put_frame(play, "u", NULL, LAST(3));
    expect_last(play, "u", (struct frame_id[]){b, c, d}, 3);
    struct frame_id e = put_frame(play, "u", NULL, LAST(3));
    expect_last(play, "u", (struct frame_id[]){c, d, e}, 3);
}

/* --- contents ----------------------------------------------------------------------------- */

static int find_content(struct play *play, const char *text, enum store_place *place,
                        bool expect_bytes)
{
    uint8_t digest[DIGEST_SIZE];
    CLEAN_BUF out = BUF_INIT;
    digest_of(digest, text);
    int r = store_content(play->store, digest, place, &out, NULL);
    if (r == 0)
        assert_true(span_is(buf_span(&out), expect_bytes ? text : ""));
    return r;
}

static bool lasts(void *arg, const struct frame *frame)
{
    (void)arg;
    return frame->ttl.kind != TTL_EPHEMERAL;
}

static void put_blob(struct play *play, struct ttl ttl, uint8_t digest[static DIGEST_SIZE])
{
    struct store_frame blob = frame_in("t", ttl);
    blob.has_hash = true;
    blob.content_size = 1 << 20;
    digest_of(blob.digest, "blob");
    struct store_op op = {.kind = STORE_APPEND, .frames = &blob, .count = 1};
    assert_int_equal(store_run(play->store, &op), 0);
    memcpy(digest, blob.digest, DIGEST_SIZE);
}

/* Who asks says which frames count; a stored one in the index always does. */
static void test_names(void **state)
{
    struct play *play = *state;
    uint8_t digest[DIGEST_SIZE];
    put_blob(play, (struct ttl){.kind = TTL_EPHEMERAL}, digest);
    assert_int_equal(store_names(play->store, digest, NULL, NULL, NULL), 0);
    assert_int_equal(store_names(play->store, digest, lasts, NULL, NULL), ERR_NOT_FOUND);
    put_blob(play, FOREVER, digest);
    assert_int_equal(store_names(play->store, digest, lasts, NULL, NULL), 0);
    flush(play);
    assert_int_equal(store_names(play->store, digest, lasts, NULL, NULL), 0);
    play_reopen(play);
    assert_int_equal(store_names(play->store, digest, lasts, NULL, NULL), 0);
}

static void test_contents(void **state)
{
    struct play *play = *state;
    enum store_place place;
    struct frame_id one = put_frame(play, "t", "in a frame", FOREVER);
    struct frame_id two = put_frame(play, "t", "in a frame", FOREVER);
    struct store_frame blob = frame_in("t", FOREVER);
    blob.has_hash = true;
    blob.content_size = 1 << 20;
    digest_of(blob.digest, "blob");
    struct store_op op = {.kind = STORE_APPEND, .frames = &blob, .count = 1};
    assert_int_equal(store_run(play->store, &op), 0);
    struct store_op loose = {.kind = STORE_CONTENT, .content = span_str("loose")};
    digest_of(loose.digest, "loose");
    assert_int_equal(store_run(play->store, &loose), 0);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(find_content(play, "in a frame", &place, true), 0);
        assert_int_equal(place, STORE_INLINE);
        assert_int_equal(find_content(play, "blob", &place, false), 0);
        assert_int_equal(place, STORE_BLOB);
        assert_int_equal(find_content(play, "loose", &place, true), 0);
        assert_int_equal(place, STORE_INLINE);
        assert_int_equal(find_content(play, "nowhere", &place, false), ERR_NOT_FOUND);
        play_reopen(play);
    }
    take_away(play, one);
    assert_int_equal(find_content(play, "in a frame", &place, true), 0);
    take_away(play, two);
    assert_int_equal(find_content(play, "in a frame", &place, true), ERR_NOT_FOUND);
    flush(play);
    assert_int_equal(find_content(play, "in a frame", &place, true), ERR_NOT_FOUND);
    /* Loose, and in a frame that goes. */
    flush(play);
    struct frame_id also = put_frame(play, "t", "loose", FOREVER);
    flush(play);
    take_away(play, also);
    assert_int_equal(find_content(play, "loose", &place, true), 0);
}

static void test_sweep(void **state)
{
    struct play *play = *state;
    struct err err = ERR_INIT;
    enum store_place place;
    struct store_op loose = {.kind = STORE_CONTENT, .content = span_str("loose")};
    digest_of(loose.digest, "loose");
    assert_int_equal(store_run(play->store, &loose), 0);
    clock_ms += 1000;
    assert_int_equal(store_sweep(play->store, 2000, &err), 0);
    assert_int_equal(find_content(play, "loose", &place, true), 0);
    /* Its age counts from the last time it was posted. */
    assert_int_equal(store_run(play->store, &loose), 0);
    assert_int_equal(store_sweep(play->store, 500, &err), 0);
    assert_int_equal(find_content(play, "loose", &place, true), 0);
    clock_ms += 1000;
    assert_int_equal(store_sweep(play->store, 500, &err), 0);
    assert_int_equal(find_content(play, "loose", &place, true), ERR_NOT_FOUND);
}

/* --- the rest ----------------------------------------------------------------------------- */

static int note_topic(void *arg, struct span name, uint64_t live, uint64_t next_seq)
{
    CLEAN_BUF line = BUF_INIT;
    must(buf_addf(&line, "%.*s %d/%d ", SPAN_ARG(name), (int)live, (int)next_seq) == 0);
    return buf_add_span(arg, buf_span(&line));
}

static void test_stat_and_topics(void **state)
{
    struct play *play = *state;
    struct err err = ERR_INIT;
    CLEAN_BUF topics = BUF_INIT;
    struct store_stat stat = stat_of(play);
    assert_int_equal(stat.frames, 0);
    assert_true(id_is_zero(stat.newest));
    put(play, "b");
    take_away(play, put(play, "b"));
    put(play, "b.c");
    struct frame_id newest = put(play, "a");
    assert_int_equal(store_topics(play->store, note_topic, &topics, &err), 0);
    assert_string_equal(buf_cstr(&topics), "a 1/1 b 1/2 b.c 1/1 ");
    stat = stat_of(play);
    assert_int_equal(stat.frames, 3);
    assert_int_equal(stat.topics, 3);
    assert_int_equal(stat.appended, 4);
    assert_int_equal(stat.journal_last, stat.index_last);
    assert_int_equal(stat.groups, 5);
    assert_int_equal(id_cmp(stat.newest, newest), 0);
    assert_false(stat.read_only);
    assert_true(stat.bytes > 300 && stat.index_bytes > 0);
}

/* Everybody at once: appends, reads, lookups, stats, removals, sweeps, while the index moves. For
 * the sanitizers. */
struct busy {
    struct play *play;
    atomic_bool stop;
    int kind;
};

static void *busy_thread(void *arg)
{
    struct busy *busy = arg;
    struct seen_list list = {0};
    enum store_place place;
    while (!busy->stop) {
        if (busy->kind == 0) {
            read_all(busy->play, &list);
        } else if (busy->kind == 1) {
            find_content(busy->play, "text", &place, true);
            store_get(busy->play->store, ID_MAX, see, &list, NULL);
        } else {
            stat_of(busy->play);
            must(store_sweep(busy->play->store, 0, NULL) == 0);
        }
    }
    seen_finish(&list);
    return NULL;
}

static void test_all_at_once(void **state)
{
    struct play *play = *state;
    pthread_t threads[3];
    struct busy busy[3];
    play_close(play);
    play->options.tail_bytes = 2000;
    play->options.unindexed_max = 10000;
    play_open(play);
    for (int i = 0; i < 3; i++) {
        busy[i] = (struct busy){.play = play, .kind = i};
        assert_int_equal(pthread_create(&threads[i], NULL, busy_thread, &busy[i]), 0);
    }
    for (int i = 0; i < 400; i++) {
        struct frame_id id = put_frame(play, "t", "text", i % 3 ? FOREVER : LAST(20));
        if (i % 4 == 0)
            take_away(play, id);
    }
    for (int i = 0; i < 3; i++) {
        busy[i].stop = true;
        pthread_join(threads[i], NULL);
    }
    play_reopen(play);
    assert_true(count_all(play) <= 22);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_append_read_reopen),
        CASE(test_second_process_is_refused),
        CASE(test_newer_format_is_refused_unchanged),
        CASE(test_older_format_becomes_this_one),
        CASE(test_foreign_directory_is_left_alone),
        CASE(test_directory_is_made_and_private),
        CASE(test_two_stores),
        CASE(test_expect_seq),
        CASE(test_expect_last),
        CASE(test_one_winner),
        CASE(test_keys),
        CASE(test_key_repeated_in_its_group),
        CASE(test_batch_is_whole_or_not),
        CASE(test_limits),
        CASE(test_ids_rise),
        CASE(test_import),
        CASE(test_import_existing),
        CASE(test_import_restores_seqs),
        CASE(test_import_below_a_synthetic_id),
        CASE(test_remove),
        CASE(test_names),
        CASE(test_contents),
        CASE(test_sweep),
        CASE(test_stat_and_topics),
        CASE(test_all_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
