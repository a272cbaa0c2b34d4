/*
 * When the log refuses a record, when it fails for good, and when a stored frame is damaged: what
 * clients are told, what stays readable, and that nothing the writer keeps in memory is wrong
 * afterwards. Stepped by hand (steps.h).
 */
#include <dirent.h>
#include <lmdb.h>
#include <sys/wait.h>

#include "store/engine.h"
#include "tests/store/steps.h"

static struct play play;

/* --- a log that fails when told ----------------------------------------------------------- */

struct failing {
    struct engine engine;
    struct engine *inner;
    int code, times;
};

static struct failing *failing;

static int failing_append(struct engine *engine, struct span record, uint64_t expect,
                          uint64_t *number, struct err *err)
{
    struct engine *inner = failing->inner;
    (void)engine;
    if (failing->times > 0) {
        failing->times--;
        return err_set(err, failing->code, "told to fail");
    }
    return inner->ops->append(inner, record, expect, number, err);
}

static int failing_read(struct engine *engine, uint64_t from,
                        int (*each)(void *, uint64_t, struct span), void *arg, struct err *err)
{
    (void)engine;
    return failing->inner->ops->read(failing->inner, from, each, arg, err);
}

static void failing_release(struct engine *engine, uint64_t upto)
{
    (void)engine;
    failing->inner->ops->release(failing->inner, upto);
}

static int failing_prepare(struct engine *engine, struct err *err)
{
    (void)engine;
    return failing->inner->ops->prepare(failing->inner, err);
}

static void failing_stat(struct engine *engine, struct engine_stat *out)
{
    (void)engine;
    failing->inner->ops->stat(failing->inner, out);
}

static void failing_close(struct engine *engine)
{
    (void)engine;
    failing->inner->ops->close(failing->inner);
    free(failing);
}

static const struct engine_ops failing_ops = {failing_append,  failing_read, failing_release,
                                              failing_prepare, failing_stat, failing_close};

static void make_failing(void)
{
    failing = calloc(1, sizeof *failing);
    must(failing);
    failing->engine.ops = &failing_ops;
    failing->inner = play.store->engine;
    play.store->engine = &failing->engine;
}

/* --- the log is full ---------------------------------------------------------------------- */

enum { OPS = 6 };

struct some_ops {
    struct store_op ops[OPS];
    struct store_frame frames[OPS];
    bool done[OPS];
};

/* Each kind of change to what the writer keeps: seqs, a new topic, a key, a cut, a removal, an
 * ephemeral. */
static void submit_some(struct some_ops *s, struct frame_id victim)
{
    s->frames[0] = frame_in("a", FOREVER);
    s->frames[1] = frame_in("new", FOREVER);
    s->frames[2] = frame_in("a", FOREVER);
    s->frames[3] = frame_in("last", LAST(2));
    s->frames[5] = frame_in("a", EPHEMERAL);
    for (int i = 0; i < OPS; i++)
        s->ops[i] = (struct store_op){.kind = STORE_APPEND, .frames = &s->frames[i], .count = 1};
    s->ops[2].key = span_str("key");
    s->ops[4] = (struct store_op){.kind = STORE_REMOVE, .id = victim};
    for (int i = 0; i < OPS; i++)
        step_submit(play.store, &s->ops[i], &s->done[i]);
    for (int i = 0; i < 100 && !s->done[OPS - 1]; i++) {
        writer_step(play.store);
        indexer_step(play.store);
    }
    for (int i = 0; i < OPS; i++)
        must(s->done[i]);
}

static struct frame_id append(const char *topic, struct ttl ttl)
{
    struct store_frame frame = frame_in(topic, ttl);
    struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
    must(step_run(play.store, &op) == 0);
    return frame.id;
}

static void index_fault(void *arg, const char *text)
{
    printf("# %s\n", text);
    ++*(int *)arg;
}

static int count_faults(void)
{
    uint64_t checked;
    int faults = 0;
    step_settle(play.store);
    must(index_verify(play.store->index, index_fault, &faults, &checked, NULL) == 0);
    return faults;
}

static void full(bool indexed)
{
    struct some_ops s;
    play_begin(&play);
    play_open(&play);
    make_failing();
    struct frame_id victim = append("a", FOREVER);
    for (int i = 0; i < 3; i++)
        append("last", LAST(2));
    if (indexed)
        step_settle(play.store);
    failing->code = ERR_FULL;
    failing->times = 1;
    submit_some(&s, victim);
    for (int i = 0; i < OPS; i++) {
        must(s.ops[i].result == ERR_FULL && s.ops[i].number == 0);
        must(strcmp(s.ops[i].err.text, "told to fail") == 0);
    }
    must(count_all(&play) == 3);
    submit_some(&s, victim);
    for (int i = 0; i < OPS; i++)
        must(s.ops[i].result == 0 && !s.ops[i].repeated);
    must(s.ops[4].found);
    must(s.frames[0].seq == 1 && s.frames[1].seq == 0 && s.frames[2].seq == 2 &&
         s.frames[3].seq == 3);
    must(count_all(&play) == 5);
    must(count_faults() == 0);
    step_close(&play);
    play_open(&play);
    must(count_all(&play) == 5);
    step_close(&play);
    play_end(&play);
    printf("ok log-full%s\n", indexed ? "-after-index" : "");
}

/* --- the log fails for good --------------------------------------------------------------- */

static void fail_stop(void)
{
    struct store_stat stat;
    play_begin(&play);
    play_open(&play);
    make_failing();
    append("a", FOREVER);
    failing->code = ERR_UNKNOWN;
    failing->times = 1;
    for (int i = 0; i < 3; i++) {
        struct store_frame frame = frame_in("a", i == 2 ? EPHEMERAL : FOREVER);
        struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
        must(step_run(play.store, &op) == (i == 0 ? ERR_UNKNOWN : ERR_UNAVAILABLE));
        must(strcmp(op.err.text, "told to fail") == 0);
    }
    must(count_all(&play) == 1);
    step_settle(play.store);
    must(store_stat(play.store, &stat, NULL) == 0);
    must(stat.read_only && strcmp(stat.reason, "told to fail") == 0);
    must(stat.frames == 1); /* what was acked is moved on all the same */
    step_close(&play);
    play_open(&play);
    append("a", FOREVER);
    must(count_all(&play) == 2);
    step_close(&play);
    play_end(&play);
    printf("ok fail-stop\n");
}

/* --- a damaged frame ---------------------------------------------------------------------- */

static void mdb(int rc)
{
    if (rc != 0)
        printf("# %s\n", mdb_strerror(rc));
    must(rc == 0);
}

/* Turns one bit of a stored frame while no store is open. */
static void damage(struct frame_id id)
{
    char path[160];
    uint8_t key[ID_SIZE];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val value, k = {sizeof key, key};
    must(snprintf(path, sizeof path, "%s/index", play.path) < (int)sizeof path);
    mdb(mdb_env_create(&env));
    mdb_env_set_maxdbs(env, 16);
    mdb(mdb_env_open(env, path, 0, 0600));
    mdb(mdb_txn_begin(env, NULL, 0, &txn));
    mdb(mdb_dbi_open(txn, "frames", 0, &dbi));
    id_put(key, id);
    mdb(mdb_get(txn, dbi, &k, &value));
    uint8_t *copy = malloc(value.mv_size);
    must(copy);
    memcpy(copy, value.mv_data, value.mv_size);
    copy[value.mv_size - 9] ^= 4; /* the topic's last byte */
    value.mv_data = copy;
    mdb(mdb_put(txn, dbi, &k, &value, 0));
    mdb(mdb_txn_commit(txn));
    mdb_env_close(env);
    free(copy);
}

static size_t read_damaged(bool reverse, int *damaged)
{
    struct seen_list list = {0};
    struct store_cursor *cursor;
    struct err err = ERR_INIT;
    enum store_step step = STORE_MORE;
    *damaged = 0;
    must(store_cursor_open(&cursor, play.store, &(struct store_query){.reverse = reverse}, &err) ==
         0);
    while (step != STORE_DONE) {
        int r = store_cursor_read(cursor, 1, true, see, &list, &step, &err);
        must(r == 0 || r == ERR_DAMAGED);
        *damaged += r != 0;
    }
    store_cursor_close(cursor);
    size_t n = list.count;
    seen_finish(&list);
    return n;
}

static void damaged_frame(void)
{
    struct frame_id ids[6];
    int damaged;
    struct seen_list list = {0};
    struct err err = ERR_INIT;
    play_begin(&play);
    play_open(&play);
    for (int i = 0; i < 6; i++)
        ids[i] = append("t", FOREVER);
    step_close(&play);
    damage(ids[3]);
    play_open(&play);
    for (int reverse = 0; reverse < 2; reverse++) {
        must(read_damaged(reverse, &damaged) == 5);
        must(damaged == 1);
    }
    must(store_get(play.store, ids[3], see, &list, &err) == ERR_DAMAGED);
    /* The topic goes on: an append that cuts, and one in the same group. */
    append("t", LAST(5));
    append("u", FOREVER);
    /* And the damaged frame can be removed; the rest is as if it had never been there. */
    struct store_op op = {.kind = STORE_REMOVE, .id = ids[3]};
    must(step_run(play.store, &op) == 0 && op.found);
    must(step_run(play.store, &op) == 0 && !op.found);
    append("t", LAST(3));
    read_query(&play, &(struct store_query){.stream = span_str("t")}, 1 << 20, &list);
    must(list.count == 3 && id_cmp(list.items[0].id, ids[5]) == 0);
    must(count_faults() == 0);
    step_close(&play);
    play_end(&play);
    seen_finish(&list);
    printf("ok damaged-frame\n");
}

/* --- a damaged journal -------------------------------------------------------------------- */

/* Turns a bit in the first place of the journal's files where the text stands. */
static void damage_journal(const char *text)
{
    char path[400], bytes[65536];
    struct dirent *entry;
    bool done = false;
    must(snprintf(path, sizeof path, "%s/journal", play.path) < (int)sizeof path);
    DIR *dir = opendir(path);
    must(dir);
    while (!done && (entry = readdir(dir))) {
        must(snprintf(path, sizeof path, "%s/journal/%s", play.path, entry->d_name) <
             (int)sizeof path);
        FILE *file = fopen(path, "r+");
        size_t n = file ? fread(bytes, 1, sizeof bytes, file) : 0;
        char *at = n ? memmem(bytes, n, text, strlen(text)) : NULL;
        if (at) {
            must(fseek(file, at - bytes, SEEK_SET) == 0 && fputc(*at ^ 1, file) != EOF);
            done = true;
        }
        if (file)
            fclose(file);
    }
    closedir(dir);
    must(done);
}

/* What is before the damage is served, nothing is changed, and everybody is told what to do. */
static void damaged_journal(void)
{
    struct store_stat stat;
    int status;
    play_begin(&play);
    pid_t pid = fork();
    if (pid == 0) { /* ends without closing, so nothing is indexed */
        play_open(&play);
        for (int i = 0; i < 10; i++) {
            char topic[24];
            snprintf(topic, sizeof topic, "topic%d", i);
            append(topic, FOREVER);
        }
        _exit(0);
    }
    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    damage_journal("topic6");
    for (int i = 0; i < 2; i++) {
        struct store_frame frame = frame_in("a", FOREVER);
        struct store_op op = {.kind = STORE_APPEND, .frames = &frame, .count = 1};
        play_open(&play);
        must(count_all(&play) == 6);
        must(step_run(play.store, &op) == ERR_UNAVAILABLE);
        must(strstr(op.err.text, "repair"));
        must(store_stat(play.store, &stat, NULL) == 0);
        must(stat.read_only && strstr(stat.reason, "repair") && stat.frames == 6);
        step_close(&play);
    }
    play_end(&play);
    printf("ok damaged-journal\n");
}

int main(void)
{
    full(false);
    full(true);
    fail_stop();
    damaged_frame();
    damaged_journal();
    return 0;
}
