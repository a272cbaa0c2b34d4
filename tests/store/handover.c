/*
 * The hand-over of frames from tail to index, looked at from every point between its steps: before
 * and after the log's write, after the index's commit and before the tail knows of it, at the
 * release of the journal, when the index is told, and between the calls of the steps. At each point
 *   - a new follower, a new reverse reader and a new reader of the newest few begin, and each older
 * one reads one frame on;
 *   - everything is read at once and compared with what was answered.
 * So every reader meets every hand-over at every distance. Then: processes that end without
 * closing, and replay.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "store/engine.h"
#include "tests/store/steps.h"

#define FRAMES_MAX 4096
#define READERS_MAX 8192
#define KEEP 3 /* of topic "last" */

enum state {
    ASKED,
    LIVE,
    LEAVING,
    CUT,
    GONE
}; /* asked for, answered, removal asked for, cut by last:N, removal answered */

struct known {
    struct frame_id id;
    enum state state;
    bool last, imported;
    bool stream; /* of the topic that is trimmed and dropped */
    uint64_t seq;
};

struct reader {
    struct store_cursor *cursor;
    bool follow, reverse, done;
    struct frame_id last;
    size_t began; /* how many frames were known when it was opened */
    size_t got, opened_at; /* frames; how many were known when it began */
    uint8_t has[FRAMES_MAX];
    bool must_have[FRAMES_MAX]; /* was live when it began, or came later: and if it still is at the
                                   end it must be here */
};

static struct play play;
static struct known known[FRAMES_MAX];
static size_t known_count;
static struct reader *readers[READERS_MAX];
static size_t reader_count, reader_first;
static size_t points;
static bool with_readers;

#define check(expression)                                                                          \
    do {                                                                                           \
        if (!(expression)) {                                                                       \
            printf("not ok handover %s:%d %s (at point %zu, tail budget %zu)\n", __func__,         \
                   __LINE__, #expression, points, play.options.tail_bytes);                        \
            fflush(stdout);                                                                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static size_t known_at(struct frame_id id)
{
    for (size_t i = known_count; i-- > 0;)
        if (id_cmp(known[i].id, id) == 0)
            return i;
    return FRAMES_MAX;
}

/* --- readers ------------------------------------------------------------------------------ */

static long reader_sees(void *arg, const struct store_item *item)
{
    struct reader *r = arg;
    size_t i = known_at(item->frame->id);
    int order = id_cmp(item->frame->id, r->last);
    check(r->got == 0 || (r->reverse ? order < 0 : order > 0));
    r->last = item->frame->id;
    r->got++;
    if (i == FRAMES_MAX)
        return 1; /* visible before its answer came: the end tells */
    /* A live follower gets what was cut since: as it was appended. */
    check(known[i].state != GONE && (known[i].state != CUT || (r->follow && i >= r->began)));
    check(!r->has[i]);
    r->has[i] = 1;
    return 1;
}

static void reader_open(const struct store_query *query)
{
    struct err err = ERR_INIT;
    check(reader_count < READERS_MAX);
    struct reader *r = calloc(1, sizeof *r);
    check(r);
    r->follow = query->follow;
    r->reverse = query->reverse;
    r->began = r->opened_at = known_count;
    for (size_t i = 0; i < known_count; i++)
        r->must_have[i] = known[i].state == LIVE;
    check(store_cursor_open(&r->cursor, play.store, query, &err) == 0);
    readers[reader_count++] = r;
}

static void reader_step(struct reader *r, size_t budget)
{
    struct err err = ERR_INIT;
    enum store_step step;
    if (r->done)
        return;
    check(store_cursor_read(r->cursor, budget, true, reader_sees, r, &step, &err) == 0);
    r->done = step == STORE_DONE;
}

/* At its end each reader has everything that is live and was live when it began; a follower what
 * came later too. */
static void reader_close(struct reader *r, bool whole)
{
    struct err err = ERR_INIT;
    enum store_step step = STORE_MORE;
    while (!r->done && step != STORE_IDLE) {
        check(store_cursor_read(r->cursor, 50, true, reader_sees, r, &step, &err) == 0);
        r->done = step == STORE_DONE;
    }
    for (size_t i = 0; whole && i < known_count; i++) {
        bool due = i < r->opened_at ? r->must_have[i] : r->follow && !known[i].imported;
        if (due && known[i].state == LIVE)
            check(r->has[i]);
    }
    store_cursor_close(r->cursor);
    free(r);
}

/* --- a point ------------------------------------------------------------------------------ */

static void whole_read(void)
{
    static struct seen_list list;
    static bool has[FRAMES_MAX];
    size_t last = 0;
    memset(has, 0, sizeof has);
    read_all(&play, &list);
    for (size_t i = 0; i < list.count; i++) {
        size_t k = known_at(list.items[i].id);
        last += strcmp(list.items[i].topic, "last") == 0;
        check(i == 0 || id_cmp(list.items[i - 1].id, list.items[i].id) < 0);
        if (k == FRAMES_MAX)
            continue;
        check(known[k].state != GONE && known[k].state != CUT);
        has[k] = true;
    }
    for (size_t i = 0; i < known_count; i++)
        if (known[i].state == LIVE)
            check(has[i]);
    check(last <= KEEP);
}

static void let_readers_read(void)
{
    for (size_t i = reader_first; i < reader_count; i++)
        reader_step(readers[i], 1);
    reader_open(&(struct store_query){.follow = true});
    reader_open(&(struct store_query){.reverse = true});
    reader_open(&(struct store_query){.follow = true, .has_last = true, .last = 2});
    /* It begins anywhere among what is visible, answered or not: a batch is 8 frames at most. */
    readers[reader_count - 1]->opened_at = known_count + 8;
    memset(readers[reader_count - 1]->must_have, 0, sizeof readers[reader_count - 1]->must_have);
    /* The oldest end here, so that the work at a point stays bounded. */
    while (reader_count - reader_first > 150) {
        struct reader *r = readers[reader_first++];
        reader_close(r, true);
    }
}

static void point(void)
{
    static bool inside;
    if (inside)
        return;
    inside = true;
    points++;
    whole_read();
    if (with_readers)
        let_readers_read();
    inside = false;
}
/* --- the log, with points around its calls ------------------------------------------------ */

struct watched {
    struct engine engine;
    struct engine *inner;
};

static int watched_append(struct engine *engine, struct span record, uint64_t expect,
                          uint64_t *number, struct err *err)
{
    struct engine *inner = ((struct watched *)engine)->inner;
    point();
    int r = inner->ops->append(inner, record, expect, number, err);
    point();
    return r;
}

static int watched_read(struct engine *engine, uint64_t from,
                        int (*each)(void *, uint64_t, struct span), void *arg, struct err *err)
{
    struct engine *inner = ((struct watched *)engine)->inner;
    return inner->ops->read(inner, from, each, arg, err);
}

static void watched_release(struct engine *engine, uint64_t upto)
{
    struct engine *inner = ((struct watched *)engine)->inner;
    point();
    inner->ops->release(inner, upto);
}

static int watched_prepare(struct engine *engine, struct err *err)
{
    struct engine *inner = ((struct watched *)engine)->inner;
    return inner->ops->prepare(inner, err);
}

static void watched_stat(struct engine *engine, struct engine_stat *out)
{
    struct engine *inner = ((struct watched *)engine)->inner;
    inner->ops->stat(inner, out);
}

static void watched_close(struct engine *engine)
{
    struct engine *inner = ((struct watched *)engine)->inner;
    inner->ops->close(inner);
    free(engine);
}

static const struct engine_ops watched_ops = {watched_append,  watched_read, watched_release,
                                              watched_prepare, watched_stat, watched_close};

static void watch(struct store *store)
{
    struct watched *w = calloc(1, sizeof *w);
    check(w);
    w->engine.ops = &watched_ops;
    w->inner = store->engine;
    store->engine = &w->engine;
}

static void told_indexed(void *arg, uint64_t number)
{
    (void)arg, (void)number;
    point();
}

static void told_published(void *arg)
{
    (void)arg;
    point();
}

/* The index commits, and the tail does not know it yet: what a reader meets between the two. */
static void commit_ahead(struct store *store)
{
    struct index_record records[256];
    struct err err = ERR_INIT;
    size_t n = 0;
    uint64_t have = store->indexed;
    for (uint64_t o = store->tail.first; o <= store->tail.last && n < 256; o++) {
        const struct tail_group *group = store->tail.ring[o & store->tail.mask];
        if (group->stored && group->number > have)
            records[n++] = (struct index_record){group->number, buf_span(&group->ops)};
    }
    if (n > 0)
        check(index_move(store->index, records, n, NULL, &err) == 0);
    point();
}

/* --- the work ----------------------------------------------------------------------------- */

static void note(struct frame_id id, bool last, bool imported)
{
    check(known_count < FRAMES_MAX);
    /* Readers that were given the frame before its answer count it now. */
    known[known_count++] = (struct known){.id = id, .state = LIVE, .last = last, .imported = imported};
    for (size_t i = reader_first; i < reader_count; i++) {
        struct reader *r = readers[i];
        int order = id_cmp(r->last, id);
        r->has[known_count - 1] = r->got > 0 && (r->reverse ? order <= 0 : order >= 0) && !imported;
    }
    if (!last)
        return;
    for (size_t i = known_count, left = KEEP; i-- > 0;) {
        if (!known[i].last || known[i].state == GONE || known[i].state == CUT)
            continue;
        if (left == 0)
            known[i].state = CUT;
        else
            left--;
    }
}

static void run(struct store_op *op)
{
    bool done;
    step_submit(play.store, op, &done);
    for (int i = 0; !done; i++) {
        check(i < 1000);
        point();
        writer_step(play.store);
        if (done)
            break;
        point();
        commit_ahead(play.store);
        indexer_step(play.store);
    }
}

static void append(const char *topic, struct ttl ttl, size_t count)
{
    struct store_frame in[8];
    struct store_op op = {.kind = STORE_APPEND, .frames = in, .count = count};
    bool last = ttl.kind == TTL_LAST;
    for (size_t i = 0; i < count; i++)
        in[i] = frame_in(topic, ttl);
    /* What it will cut is in between until it is answered. */
    if (last)
        for (size_t i = 0; i < known_count; i++)
            if (known[i].last && known[i].state == LIVE)
                known[i].state = LEAVING;
    run(&op);
    check(op.result == 0);
    for (size_t i = 0; i < known_count; i++)
        if (known[i].last && known[i].state == LEAVING)
            known[i].state = LIVE;
    for (size_t i = 0; i < count && ttl.kind != TTL_EPHEMERAL; i++)
        note(in[i].id, last, false);
    point();
}

static void take_out(size_t i)
{
    struct store_op op = {.kind = STORE_REMOVE, .id = known[i].id};
    bool there = known[i].state == LIVE;
    if (!there)
        return;
    known[i].state = LEAVING;
    run(&op);
    check(op.result == 0 && op.found);
    known[i].state = GONE;
    point();
}

static void bring_in(struct frame_id id)
{
    struct store_frame in = frame_in("old", FOREVER);
    struct store_op op = {.kind = STORE_IMPORT, .frames = &in, .count = 1};
    in.id = id;
    size_t i = known_at(id);
    if (i < FRAMES_MAX) /* it comes back under its id */
        known[i] = (struct known){.id = id, .state = ASKED, .imported = true};
    for (size_t r = reader_first; i < FRAMES_MAX && r < reader_count; r++)
        readers[r]->must_have[i] = false; /* they may have passed its place */
    run(&op);
    check(op.result == 0);
    if (i < FRAMES_MAX)
        known[i].state = LIVE;
    else
        note(id, false, true);
    point();
}

/* Frames of the stream below a seq change from one state to another. */
static void turn_stream(uint64_t below, enum state from, enum state to)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i].stream && known[i].seq < below && known[i].state == from)
            known[i].state = to;
}

static void stream(size_t count)
{
    static const struct topic_make make = {.rules = {.stamp_mode = STAMP_ARRIVAL}};
    struct store_frame in[8];
    struct store_op op = {.kind = STORE_APPEND, .stream = true, .make = &make, .frames = in, .count = count};
    for (size_t i = 0; i < count; i++)
        in[i] = frame_in("stream", FOREVER);
    run(&op);
    check(op.result == 0);
    for (size_t i = 0; i < count; i++) {
        note(in[i].id, false, false);
        known[known_count - 1].stream = true;
        known[known_count - 1].seq = in[i].seq;
    }
    point();
}

static struct store_topic look(struct store_topic_op *topic)
{
    struct store_op op = {.kind = STORE_TOPIC, .topic = topic};
    *topic = (struct store_topic_op){.deed = TOPIC_LOOK, .name = span_str("stream")};
    run(&op);
    check(op.result == 0);
    return topic->view;
}

/* Keeps the newest few. */
static void trim_stream(uint64_t keep)
{
    struct store_topic_op topic;
    struct store_frame in = frame_in("stream", FOREVER);
    struct store_op op = {.kind = STORE_APPEND, .stream = true, .frames = &in, .count = 1};
    uint64_t next = look(&topic).next_seq, seq = next > keep ? next - keep : 0;
    uint8_t bytes[8];
    put_be64(bytes, seq);
    in.command = COMMAND_TRIM;
    in.has_hash = in.has_content = true;
    in.content = span_of(bytes, sizeof bytes);
    in.content_size = sizeof bytes;
    turn_stream(seq, LIVE, LEAVING);
    run(&op);
    check(op.result == 0);
    turn_stream(seq, LEAVING, GONE);
    note(in.id, false, false);
    known[known_count - 1].stream = true;
    known[known_count - 1].seq = in.seq;
    point();
    struct store_topic now = look(&topic);
    uint64_t live = 0;
    for (size_t i = 0; i < known_count; i++)
        live += known[i].stream && known[i].state == LIVE;
    check(now.trim >= seq && now.live == live);
}

static void drop_stream(void)
{
    struct store_topic_op topic = {.deed = TOPIC_DROP, .name = span_str("stream")};
    struct store_op op = {.kind = STORE_TOPIC, .topic = &topic};
    turn_stream(UINT64_MAX, LIVE, LEAVING);
    run(&op);
    check(op.result == 0 && topic.changed);
    turn_stream(UINT64_MAX, LEAVING, GONE);
    point();
}

static void work(unsigned rounds)
{
    for (unsigned n = 0; n < rounds; n++) {
        append("a", FOREVER, 1);
        append("last", LAST(KEEP), 1 + n % 5);
        append("gone", EPHEMERAL, 1);
        append("b", FOREVER, 2);
        stream(1 + n % 4);
        if (n % 6 == 2)
            trim_stream(n % 5);
        if (n % 11 == 7) {
            drop_stream();
            stream(1);
        }
        if (n % 3 == 0)
            take_out(known_count - 1);
        if (n % 4 == 1)
            take_out(known_count / 2);
        if (n % 5 == 2)
            bring_in(id_pred(known[known_count - 2].id));
        if (n % 7 == 3) {
            size_t i = known_count - 1;
            take_out(i);
            bring_in(known[i].id);
        }
        if (n % 2 == 0) {
            commit_ahead(play.store);
            indexer_step(play.store);
            point();
        }
    }
}

static void hand_over(size_t tail_bytes, unsigned rounds)
{
    play_begin(&play);
    play.options.tail_bytes = tail_bytes;
    play.options.indexed = told_indexed;
    play.options.published = told_published;
    play.options.segment_start = 4096;
    play.options.purge_slice = 1; /* so that what is dropped lingers */
    known_count = reader_count = reader_first = points = 0;
    with_readers = true;
    play_open(&play);
    watch(play.store);
    work(rounds);
    while (reader_first < reader_count)
        reader_close(readers[reader_first++], true);
    whole_read();
    step_close(&play);
    play_open(&play);
    whole_read();
    step_close(&play);
    play_end(&play);
    printf("# %zu points, %zu readers, %zu frames, tail budget %zu\n", points, reader_count,
           known_count, tail_bytes);
    printf("ok handover-tail-%zu\n", tail_bytes);
}

/* --- ending without closing --------------------------------------------------------------- */

struct shared {
    size_t count;
    struct known known[FRAMES_MAX];
};

/* Does random work and ends at once. What it noted was answered. */
static void child(struct shared *shared, unsigned run_no)
{
    unsigned steps = 5 + run_no * 7 % 40;
    play_open(&play);
    memcpy(known, shared->known, sizeof known);
    known_count = shared->count;
    for (unsigned n = 0; n < steps; n++) {
        switch ((n * 7 + run_no) % 13) {
        case 0:
            take_out(known_count * n / steps % (known_count ? known_count : 1));
            break;
        case 1:
        case 2:
            append("last", LAST(KEEP), 1 + n % 3);
            break;
        case 3:
            if (known_count > 4 && n % 2)
                bring_in(id_pred(known[known_count - 3].id));
            break;
        case 4:
            indexer_step(play.store);
            break;
        case 5:
            append("gone", EPHEMERAL, 1);
            break;
        case 6:
        case 7:
            stream(1 + n % 8);
            break;
        case 8:
            stream(1);
            trim_stream(n % 7);
            break;
        case 9:
            stream(2);
            if (run_no % 3 == 0)
                drop_stream();
            break;
        default:
            append("a", FOREVER, 1 + n % 8);
        }
        memcpy(shared->known, known, sizeof known);
        shared->count = known_count;
    }
    _exit(0);
}

static void replay(unsigned runs)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(shared != MAP_FAILED);
    shared->count = 0;
    with_readers = false;
    play_begin(&play);
    for (unsigned n = 0; n < runs; n++) {
        int status;
        play.options.segment_start = n % 2 ? 4096 : 0;
        play.options.purge_slice = n % 4 == 3 ? 0 : 1;
        pid_t pid = fork();
        if (pid == 0)
            child(shared, n);
        check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
        known_count = shared->count;
        memcpy(known, shared->known, sizeof known);
        if (n % 3 == 2)
            continue; /* the next process replays what this one left */
        play_open(&play);
        whole_read();
        step_close(&play);
    }
    play_end(&play);
    munmap(shared, sizeof *shared);
    printf("ok replay-of-%u-ended-processes (%zu frames)\n", runs, known_count);
}

int main(void)
{
    hand_over(1, 60);
    hand_over(3000, 60);
    hand_over(1 << 20, 60);
    replay(60);
    return 0;
}
