/*
 * The index as files and a handle: opening, modes, formats, damage, growth, full disk, threads.
 * What the operations do to the tables is in test_index_apply.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lmdb.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "store/index.h"
#include "store/record.h"

/* --- a store in a directory of its own -------------------------------------------------------- */

struct place {
    char path[64];
    int fd;
    struct index *index;
    uint64_t number;
};

static const struct index_options plain = {.uuid = "0123456789abcde"};
static const struct index_options tiny = {.map_size = 128 * 1024, .uuid = "0123456789abcde"};

static int setup(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    snprintf(p->path, sizeof p->path, "/tmp/weir-index-XXXXXX");
    if (!p || !mkdtemp(p->path))
        return -1;
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = p;
    return p->fd < 0 ? -1 : 0;
}

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct place *p = *state;
    index_close(p->index);
    close(p->fd);
    nftw(p->path, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
    free(p);
    return 0;
}

static void start(struct place *p, const struct index_options *options)
{
    struct err err = ERR_INIT;
    int rc = index_open(&p->index, p->fd, "index", options, &err);
    if (rc != 0)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
}

static void stop(struct place *p)
{
    index_close(p->index);
    p->index = NULL;
}

static int move(struct place *p, const struct buf *ops, struct buf *freed, struct err *err)
{
    struct index_record record = {p->number + 1, buf_span(ops)};
    int rc = index_move(p->index, &record, 1, freed, err);
    if (rc == 0)
        p->number++;
    return rc;
}

static void must_move(struct place *p, struct buf *ops)
{
    struct err err = ERR_INIT;
    int rc = move(p, ops, NULL, &err);
    if (rc != 0)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
    buf_finish(ops);
}

static struct frame_id nth(uint64_t n)
{
    return (struct frame_id){(1000 + n) << 16, 7};
}

/* Frame n of topic 1, with seq n and its text inline. */
static struct frame nth_frame(uint64_t n, const char *text)
{
    struct frame f = {.id = nth(n), .topic = span_str("t"), .topic_no = 1};
    f.has_seq = true;
    f.seq = n;
    f.stamp = 1000 + n;
    f.has_hash = f.has_content = true;
    f.content = span_str(text);
    f.content_size = f.content.len;
    put_be64(f.digest, XXH3_64bits(f.content.ptr, f.content.len));
    return f;
}

static void add_frames(struct place *p, uint64_t from, uint64_t count)
{
    struct buf ops = BUF_INIT;
    if (from == 0)
        assert_int_equal(op_put_topic(&ops, 1, span_str("t")), 0);
    for (uint64_t n = from; n < from + count; n++) {
        char text[32];
        snprintf(text, sizeof text, "text %u", (unsigned)n);
        struct frame f = nth_frame(n, text);
        f.deadline_ms = n % 2 ? 5000 + n : 0;
        assert_int_equal(op_put_frame(&ops, OP_FRAME, &f), 0);
    }
    must_move(p, &ops);
}

static void remember_fault(void *arg, const char *text)
{
    struct buf *all = arg;
    assert_int_equal(buf_add_str(all, text), 0);
    assert_int_equal(buf_add_str(all, "\n"), 0);
}

/* The faults of the index, one a line; "" when it is sound. For the test to free. */
static char *faults(struct place *p)
{
    struct buf all = BUF_INIT;
    struct err err = ERR_INIT;
    uint64_t checked = 0;
    int rc = index_verify(p->index, remember_fault, &all, &checked, &err);
    if (rc != 0)
        remember_fault(&all, err.text);
    assert_non_null(buf_cstr(&all));
    return (char *)all.ptr;
}

static void assert_sound(struct place *p)
{
    char *text = faults(p);
    assert_string_equal(text, "");
    free(text);
}

static struct index_snap *snap_of(struct place *p)
{
    struct index_snap *snap;
    struct err err = ERR_INIT;
    int rc = index_snap_begin(p->index, &snap, &err);
    if (rc != 0)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
    return snap;
}

/* Two marks, the first with two acknowledged ids. */
static void put_marks(struct buf *ops)
{
    uint8_t ids[2 * ID_SIZE];
    id_put(ids, nth(3));
    id_put(ids + ID_SIZE, nth(5));
    struct op_mark first = {span_str("group/one"), span_str("{}"), nth(2), span_of(ids, sizeof ids)};
    struct op_mark second = {.name = span_str("two"), .low = nth(1)};
    assert_int_equal(op_put_mark(ops, OP_MARK_SET, &first), 0);
    assert_int_equal(op_put_mark(ops, OP_MARK_ACK, &second), 0);
}

static int check_mark(void *arg, const struct index_mark *mark)
{
    bool first = span_is(mark->name, "group/one");
    assert_true(first || span_is(mark->name, "two"));
    assert_true(span_is(mark->config, first ? "{}" : ""));
    assert_int_equal(id_cmp(mark->low, nth(first ? 2 : 1)), 0);
    assert_int_equal(mark->acked_count, first ? 2 : 0);
    assert_true(!first || id_cmp(mark->acked[1], nth(5)) == 0);
    ++*(int *)arg;
    return 0;
}

/* --- the tables from below -------------------------------------------------------------------- */

static const char *const tables[] = {"meta",    "frames", "topics", "names", "by_topic", "old",
                                     "content", "loose",  "expiry", "keys",  "key_age",
                                     "marks",   "acked",  "mark_rows", "purge"};

struct raw {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
};

static void raw_begin(struct raw *raw, struct place *p, const char *table, unsigned flags)
{
    char path[96];
    snprintf(path, sizeof path, "%s/index", p->path);
    assert_int_equal(mdb_env_create(&raw->env), 0);
    mdb_env_set_maxdbs(raw->env, 32);
    mdb_env_set_mapsize(raw->env, 64 << 20);
    assert_int_equal(mdb_env_open(raw->env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(raw->env, NULL, 0, &raw->txn), 0);
    assert_int_equal(mdb_dbi_open(raw->txn, table, flags, &raw->dbi), 0);
}

static void raw_end(struct raw *raw)
{
    assert_int_equal(mdb_txn_commit(raw->txn), 0);
    mdb_env_close(raw->env);
}

/* Flips one bit of the entry-th value of a table; false when there are fewer. */
static bool raw_flip(struct place *p, const char *table, size_t entry, size_t at)
{
    struct raw raw;
    MDB_cursor *cursor;
    MDB_val key, value;
    raw_begin(&raw, p, table, 0);
    assert_int_equal(mdb_cursor_open(raw.txn, raw.dbi, &cursor), 0);
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    for (size_t i = 0; rc == 0 && i < entry; i++)
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    if (rc == 0) {
        uint8_t copy[2048];
        size_t len = value.mv_size;
        assert_true(len <= sizeof copy);
        memcpy(copy, value.mv_data, len);
        copy[at % len] ^= 0x10;
        value.mv_data = copy;
        assert_int_equal(mdb_cursor_put(cursor, &key, &value, MDB_CURRENT), 0);
    }
    mdb_cursor_close(cursor);
    raw_end(&raw);
    return rc == 0;
}

/* A row of meta as a weir would have written it. */
static void raw_meta(struct place *p, const char *name, const void *value, size_t len)
{
    struct raw raw;
    uint8_t bytes[64];
    memcpy(bytes, value, len);
    put_be64(bytes + len, XXH3_64bits_withSeed(value, len, XXH3_64bits(name, strlen(name))));
    MDB_val k = {strlen(name), (void *)name}, v = {len + 8, bytes};
    raw_begin(&raw, p, "meta", 0);
    assert_int_equal(mdb_put(raw.txn, raw.dbi, &k, &v, 0), 0);
    raw_end(&raw);
}

/* Copies a value without its seal. */
static size_t raw_value(struct place *p, const char *table, const void *key, size_t key_len, uint8_t out[static 256])
{
    struct raw raw;
    MDB_val k = {key_len, (void *)key}, v;
    raw_begin(&raw, p, table, 0);
    assert_int_equal(mdb_get(raw.txn, raw.dbi, &k, &v), 0);
    size_t len = v.mv_size - 8;
    assert_true(len <= 256);
    memcpy(out, v.mv_data, len);
    raw_end(&raw);
    return len;
}

static void raw_put(struct place *p, const char *table, uint64_t number, const void *key, size_t key_len,
                    const uint8_t *value, size_t len)
{
    struct raw raw;
    uint8_t bytes[256];
    memcpy(bytes, value, len);
    put_be64(bytes + len, XXH3_64bits_withSeed(value, len, XXH3_64bits_withSeed(key, key_len, number)));
    MDB_val k = {key_len, (void *)key}, v = {len + 8, bytes};
    raw_begin(&raw, p, table, 0);
    assert_int_equal(mdb_put(raw.txn, raw.dbi, &k, &v, 0), 0);
    raw_end(&raw);
}

/* Gives the row of a topic, and the row `state`, the form that formats 1 and 2 have. */
static void make_older(struct place *p, uint32_t no)
{
    uint8_t key[4], row[256], old[256];
    put_be32(key, no);
    size_t len = raw_value(p, "topics", key, sizeof key, row);
    memcpy(old, row + 8, 64); /* the counts come first there */
    memcpy(old + 64, row + 112, len - 112);
    raw_put(p, "topics", 2, key, sizeof key, old, len - 112 + 64);
    assert_int_equal(raw_value(p, "meta", "state", 5, row), 64);
    raw_meta(p, "state", row, 56);
}

static uint64_t file_hash(struct place *p)
{
    struct buf all = BUF_INIT;
    char chunk[4096];
    int fd = openat(p->fd, "index/data.mdb", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    assert_true(fd >= 0);
    while ((n = read(fd, chunk, sizeof chunk)) > 0)
        assert_int_equal(buf_add(&all, chunk, (size_t)n), 0);
    close(fd);
    uint64_t h = XXH3_64bits(all.ptr, all.len);
    buf_finish(&all);
    return h;
}

/* --- opening ---------------------------------------------------------------------------------- */

static void assert_mode(struct place *p, const char *name, mode_t mode)
{
    struct stat st;
    assert_int_equal(fstatat(p->fd, name, &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void files_are_private_whatever_the_umask(void **state)
{
    struct place *p = *state;
    mode_t masks[] = {0, 0777};
    for (size_t i = 0; i < 2; i++) {
        mode_t before = umask(masks[i]);
        start(p, &plain);
        umask(before);
        assert_mode(p, "index", 0700);
        assert_mode(p, "index/data.mdb", 0600);
        assert_mode(p, "index/lock.mdb", 0600);
        stop(p);
        nftw(p->path, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
        assert_int_equal(mkdir(p->path, 0700), 0);
        close(p->fd);
        p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
}

static void descriptors_close_on_exec(void **state)
{
    struct place *p = *state;
    start(p, &plain);
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    int seen = 0;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        char target[256];
        ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof target - 1);
        if (n <= 0)
            continue;
        target[n] = 0;
        if (!strstr(target, ".mdb") || strncmp(target, p->path, strlen(p->path)) != 0)
            continue;
        int flags = fcntl((int)strtol(entry->d_name, NULL, 10), F_GETFD);
        assert_true(flags >= 0 && (flags & FD_CLOEXEC));
        seen++;
    }
    closedir(dir);
    assert_int_equal(seen, 3);
}

static void refused(struct place *p, const struct index_options *options, const char *why)
{
    struct err err = ERR_INIT;
    struct index *index = NULL;
    uint64_t before = file_hash(p);
    assert_int_equal(index_open(&index, p->fd, "index", options, &err), ERR_FORMAT);
    assert_null(index);
    if (!strstr(err.text, why))
        fail_msg("'%s' does not say '%s'", err.text, why);
    assert_int_equal(file_hash(p), before);
}

static void newer_and_foreign_are_refused_unchanged(void **state)
{
    struct place *p = *state;
    uint8_t format[4] = {0, 0, 0, INDEX_FORMAT + 1};
    struct index_options other = plain;
    other.uuid[3] ^= 1;
    start(p, &plain);
    add_frames(p, 0, 10);
    stop(p);
    refused(p, &other, "another store");
    raw_meta(p, "format", format, sizeof format);
    refused(p, &plain, "newer");
    format[3] = INDEX_FORMAT;
    raw_meta(p, "format", format, sizeof format);
    start(p, &plain);
    assert_sound(p);
}

static void what_is_no_index_is_refused(void **state)
{
    struct place *p = *state;
    struct raw raw;
    assert_int_equal(mkdirat(p->fd, "index", 0700), 0);
    raw_begin(&raw, p, "other", MDB_CREATE);
    raw_end(&raw);
    refused(p, &plain, "not made by weir");
    int fd = openat(p->fd, "index/data.mdb", O_WRONLY | O_TRUNC | O_CLOEXEC);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(write(fd, "no LMDB file, no", 16), 16);
    close(fd);
    refused(p, &plain, "no LMDB file");
}

static void a_file_cut_short_is_noticed(void **state)
{
    struct place *p = *state;
    struct err err = ERR_INIT;
    struct stat st;
    start(p, &plain);
    add_frames(p, 0, 2000);
    stop(p);
    assert_int_equal(fstatat(p->fd, "index/data.mdb", &st, 0), 0);
    char path[96];
    snprintf(path, sizeof path, "%s/index/data.mdb", p->path);
    assert_int_equal(truncate(path, st.st_size / 2 & ~4095L), 0);
    if (index_open(&p->index, p->fd, "index", &plain, &err) == 0) {
        char *text = faults(p);
        assert_true(text[0] != 0);
        free(text);
    } else {
        p->index = NULL;
        assert_true(err.text[0] != 0);
    }
}

/* --- moving ----------------------------------------------------------------------------------- */

static void a_move_is_all_or_nothing(void **state)
{
    struct place *p = *state;
    struct buf ops = BUF_INIT, freed = BUF_INIT;
    struct err err = ERR_INIT;
    start(p, &plain);
    add_frames(p, 0, 3);
    struct frame blob = nth_frame(3, "blob"), bad = nth_frame(4, "x");
    blob.has_content = false;
    bad.topic_no = 99;
    assert_int_equal(op_put_frame(&ops, OP_FRAME, &blob), 0);
    assert_int_equal(op_put_remove(&ops, blob.id), 0);
    assert_int_equal(op_put_frame(&ops, OP_FRAME, &bad), 0);
    assert_int_equal(move(p, &ops, &freed, &err), ERR_DAMAGED);
    assert_non_null(strstr(err.text, "record 2"));
    assert_int_equal(freed.len, 0);
    struct index_snap *snap = snap_of(p);
    struct frame got;
    assert_int_equal(index_snap_number(snap), 1);
    assert_int_equal(index_frame(snap, blob.id, &got, &err), ERR_NOT_FOUND);
    index_snap_end(snap);
    assert_sound(p);
    /* The same without the bad one is taken, and frees the blob. */
    buf_reset(&ops);
    assert_int_equal(op_put_frame(&ops, OP_FRAME, &blob), 0);
    assert_int_equal(op_put_remove(&ops, blob.id), 0);
    assert_int_equal(move(p, &ops, &freed, &err), 0);
    assert_int_equal(freed.len, DIGEST_SIZE);
    assert_memory_equal(freed.ptr, blob.digest, DIGEST_SIZE);
    buf_finish(&ops);
    buf_finish(&freed);
}

static void records_must_follow(void **state)
{
    struct place *p = *state;
    struct err err = ERR_INIT;
    struct index_record gap = {5, {NULL, 0}};
    start(p, &plain);
    add_frames(p, 0, 3);
    assert_int_equal(index_move(p->index, &gap, 1, NULL, &err), ERR_INVALID);
    gap.number = 1;
    assert_int_equal(index_move(p->index, &gap, 1, NULL, &err), 0);
    gap.number = 2;
    assert_int_equal(index_move(p->index, &gap, 1, NULL, &err), 0);
    assert_int_equal(index_move(p->index, NULL, 0, NULL, &err), 0);
}

static void the_map_grows(void **state)
{
    struct place *p = *state;
    struct index_totals totals;
    start(p, &tiny);
    for (uint64_t n = 0; n < 20000; n += 5000)
        add_frames(p, n, 5000);
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_totals(snap, &totals, NULL), 0);
    index_snap_end(snap);
    assert_int_equal(totals.frames, 20000);
    assert_true(totals.disk > 8 * tiny.map_size);
    assert_sound(p);
    stop(p);
    start(p, &tiny);
    add_frames(p, 20000, 100);
    assert_sound(p);
}

/* --- damage ----------------------------------------------------------------------------------- */

/* A dropped topic with more frames than a move removes. */
static void add_purge(struct place *p)
{
    struct buf ops = BUF_INIT;
    assert_int_equal(op_put_topic(&ops, 7, span_str("dropped")), 0);
    for (uint64_t n = 0; n < 5000; n++) {
        struct frame f = nth_frame(n, "x");
        f.id = nth(100000 + n);
        f.topic = span_str("dropped");
        f.topic_no = 7;
        assert_int_equal(op_put_frame(&ops, OP_FRAME, &f), 0);
    }
    must_move(p, &ops);
    ops = BUF_INIT;
    assert_int_equal(op_put_topic_drop(&ops, 7), 0);
    must_move(p, &ops);
    assert_true(index_has_purges(p->index));
}

static void add_one_of_each(struct place *p)
{
    struct buf ops = BUF_INIT;
    uint8_t digest[DIGEST_SIZE] = {9};
    add_frames(p, 0, 20);
    struct frame old = nth_frame(5, "old");
    old.id.lo = 1;
    old.has_seq = false;
    old.seq = 0;
    assert_int_equal(op_put_frame(&ops, OP_IMPORT, &old), 0);
    assert_int_equal(op_put_content(&ops, digest, 1, span_str("loose")), 0);
    assert_int_equal(op_put_key(&ops, 1, span_str("k"), 1, digest, nth(1), 1), 0);
    put_marks(&ops);
    must_move(p, &ops);
    add_purge(p);
}

static void damage_in_every_table_is_found(void **state)
{
    struct place *p = *state;
    start(p, &plain);
    add_one_of_each(p);
    stop(p);
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (size_t i = 0; i < 3; i++) {
            struct err err = ERR_INIT;
            if (!raw_flip(p, tables[t], i, 5 * i))
                break;
            int rc = index_open(&p->index, p->fd, "index", &plain, &err);
            char *text = rc == 0 ? faults(p) : strdup(err.text);
            if (!strstr(text, "damaged") && !strstr(text, "checksum") && !strstr(text, "version"))
                fail_msg("table %s, entry %zu: '%s'", tables[t], i, text);
            free(text);
            if (rc == 0)
                stop(p);
            assert_true(raw_flip(p, tables[t], i, 5 * i));
        }
    start(p, &plain);
    assert_sound(p);
}

/* Removes the first entry of a table. */
static void raw_remove(struct place *p, const char *table)
{
    struct raw raw;
    MDB_cursor *cursor;
    MDB_val key, value;
    raw_begin(&raw, p, table, 0);
    assert_int_equal(mdb_cursor_open(raw.txn, raw.dbi, &cursor), 0);
    assert_int_equal(mdb_cursor_get(cursor, &key, &value, MDB_FIRST), 0);
    assert_int_equal(mdb_cursor_del(cursor, 0), 0);
    mdb_cursor_close(cursor);
    raw_end(&raw);
}

static void marks_must_fit_each_other(void **state)
{
    static const struct {
        const char *table, *fault;
    } gone[] = {{"marks", "its name does not lead to it"}, {"mark_rows", "has no row"}};
    struct place *p = *state;
    for (size_t i = 0; i < 2; i++) {
        struct buf ops = BUF_INIT;
        start(p, &plain);
        put_marks(&ops);
        must_move(p, &ops);
        assert_sound(p);
        stop(p);
        raw_remove(p, gone[i].table);
        start(p, &plain);
        char *text = faults(p);
        assert_non_null(strstr(text, gone[i].fault));
        assert_non_null(strstr(text, "is of no mark"));
        free(text);
        if (i == 1) { /* a reader is told */
            struct err err = ERR_INIT;
            struct index_snap *snap = snap_of(p);
            int seen = 0;
            assert_int_equal(index_mark(snap, span_str("group/one"), check_mark, &seen, &err), ERR_DAMAGED);
            assert_non_null(strstr(err.text, "marks"));
            assert_int_equal(seen, 0);
            index_snap_end(snap);
        }
        struct op_mark drop = {.name = span_str("group/one")};
        ops = BUF_INIT;
        assert_int_equal(op_put_mark(&ops, OP_MARK_DROP, &drop), 0);
        must_move(p, &ops);
        stop(p);
        unlinkat(p->fd, "index/data.mdb", 0);
        p->number = 0;
    }
    start(p, &plain);
}

/* What is dropped and what removes it must fit each other; and at its end nothing is left of it. */
static void purges_must_fit(void **state)
{
    struct place *p = *state;
    struct index_topic row;
    start(p, &plain);
    add_frames(p, 0, 20);
    add_purge(p);
    assert_sound(p);
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_topic_by_no(snap, 7, &row, NULL), ERR_NOT_FOUND);
    assert_int_equal(index_topic_by_name(snap, span_str("dropped"), &row, NULL), ERR_NOT_FOUND);
    struct frame f;
    assert_int_equal(index_frame(snap, nth(104999), &f, NULL), ERR_NOT_FOUND);
    assert_int_equal(index_frame(snap, nth(19), &f, NULL), 0);
    index_snap_end(snap);
    stop(p);
    raw_remove(p, "purge");
    start(p, &plain);
    char *text = faults(p);
    assert_non_null(strstr(text, "nothing is to remove it"));
    assert_non_null(strstr(text, "are to be purged"));
    free(text);
    stop(p);
    unlinkat(p->fd, "index/data.mdb", 0);
    p->number = 0;
    start(p, &plain);
    add_frames(p, 0, 20);
    add_purge(p);
    bool more = true;
    for (int i = 0; more && i < 10; i++) {
        assert_int_equal(index_purge(p->index, &more, NULL, NULL), 0);
        assert_sound(p);
        stop(p);
        start(p, &tiny);
        assert_int_equal(index_has_purges(p->index), more);
    }
    assert_false(more);
    struct index_totals totals;
    snap = snap_of(p);
    assert_int_equal(index_totals(snap, &totals, NULL), 0);
    assert_true(totals.frames == 20 && totals.topics == 1 && totals.topic_last == 7 && totals.purges == 0);
    index_snap_end(snap);
}

/* An index as format 1 left it: without the tables of marks and purges, and with smaller rows. */
static void an_older_index_becomes_this_one(void **state)
{
    static const uint8_t old[4] = {0, 0, 0, 1};
    struct place *p = *state;
    struct buf ops = BUF_INIT;
    struct err err = ERR_INIT;
    int seen = 0;
    start(p, &plain);
    add_frames(p, 0, 20);
    stop(p);
    for (size_t t = 11; t < 15; t++) {
        struct raw raw;
        raw_begin(&raw, p, tables[t], 0);
        assert_int_equal(mdb_drop(raw.txn, raw.dbi, 1), 0);
        raw_end(&raw);
    }
    assert_int_equal(index_open(&p->index, p->fd, "index", &plain, &err), ERR_DAMAGED);
    assert_non_null(strstr(err.text, "marks is missing"));
    raw_meta(p, "format", old, sizeof old);
    make_older(p, 1);
    start(p, &plain);
    assert_sound(p);
    put_marks(&ops);
    must_move(p, &ops);
    stop(p);
    start(p, &tiny);
    struct index_snap *snap = snap_of(p);
    struct frame f;
    struct index_topic row;
    assert_int_equal(index_topic_by_no(snap, 1, &row, &err), 0);
    assert_true(span_is(row.name, "t") && row.note.len == 0 && row.token.len == 0);
    assert_int_equal(row.next_seq, 20);
    assert_int_equal(row.live, 20);
    assert_int_equal(row.created_ms, 1000); /* of its oldest frame */
    assert_int_equal(row.revision + row.trim + row.rules.retention_ms, 0);
    assert_int_equal(index_snap_number(snap), 2);
    assert_int_equal(index_frame(snap, nth(19), &f, &err), 0);
    assert_int_equal(index_marks(snap, (struct span){0}, check_mark, &seen, &err), 0);
    assert_int_equal(seen, 2);
    index_snap_end(snap);
    assert_sound(p);
    stop(p);
    /* And an older weir would refuse it now. */
    struct raw raw;
    MDB_val key = {6, (void *)"format"}, value;
    raw_begin(&raw, p, "meta", 0);
    assert_int_equal(mdb_get(raw.txn, raw.dbi, &key, &value), 0);
    assert_int_equal(get_be32(value.mv_data), INDEX_FORMAT);
    raw_end(&raw);
}

static void a_damaged_frame_is_named_and_passed(void **state)
{
    struct place *p = *state;
    struct frame f;
    struct err err = ERR_INIT;
    struct index_scan *scan;
    char id[ID_TEXT_LEN + 1];
    start(p, &plain);
    add_frames(p, 0, 20);
    stop(p);
    assert_true(raw_flip(p, "frames", 7, RECORD_HEAD + 3)); /* in its content */
    start(p, &plain);
    id_format(id, nth(7));
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_frame(snap, nth(7), &f, &err), ERR_DAMAGED);
    assert_non_null(strstr(err.text, id));
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            assert_int_equal(index_scan_begin(snap, &scan, ID_MIN, false, &err), 0);
        else if (kind == 1)
            assert_int_equal(index_topic_scan_begin(snap, &scan, 1, ID_MIN, false, &err), 0);
        else
            assert_int_equal(index_seq_scan_begin(snap, &scan, 1, 0, &err), 0);
        for (uint64_t n = 0; n < 20; n++) {
            int rc = index_scan_next(scan, &f, &err);
            assert_int_equal(rc, n == 7 ? ERR_DAMAGED : 0);
            if (n != 7)
                assert_int_equal(id_cmp(f.id, nth(n)), 0);
        }
        assert_int_equal(index_scan_next(scan, &f, &err), ERR_END);
        index_scan_end(scan);
    }
    index_snap_end(snap);
    /* And it can be removed without a trace. */
    struct buf ops = BUF_INIT;
    assert_int_equal(op_put_remove(&ops, nth(7)), 0);
    must_move(p, &ops);
    assert_sound(p);
}

static void an_unreadable_frame_can_be_cut(void **state)
{
    struct place *p = *state;
    struct buf ops = BUF_INIT;
    start(p, &plain);
    struct buf first = BUF_INIT;
    assert_int_equal(op_put_topic(&first, 1, span_str("t")), 0);
    for (uint64_t n = 0; n < 6; n++) {
        struct frame f = nth_frame(n, "");
        f.has_hash = f.has_content = false;
        f.content_size = 0;
        assert_int_equal(op_put_frame(&first, OP_FRAME, &f), 0);
    }
    must_move(p, &first);
    stop(p);
    assert_true(raw_flip(p, "frames", 2, 0)); /* its version */
    start(p, &plain);
    assert_int_equal(op_put_cut(&ops, 1, 4), 0);
    must_move(p, &ops);
    struct index_snap *snap = snap_of(p);
    struct index_topic row;
    assert_int_equal(index_topic_by_no(snap, 1, &row, NULL), 0);
    assert_int_equal(row.live, 2);
    assert_int_equal(row.first_seq, 4);
    index_snap_end(snap);
    assert_sound(p);
}

/* --- topics, content, keys -------------------------------------------------------------------- */

static int join_name(void *arg, const struct index_topic *topic)
{
    struct buf *all = arg;
    if (topic->name.len >= 511)
        return buf_addf(all, "%zu%c ", topic->name.len, topic->name.ptr[topic->name.len - 1]);
    return buf_addf(all, "%.*s ", SPAN_ARG(topic->name));
}

static void assert_listed(struct place *p, const char *prefix, const char *want)
{
    struct buf all = BUF_INIT;
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_topics(snap, span_str(prefix), (struct span){0}, join_name, &all, NULL), 0);
    index_snap_end(snap);
    assert_string_equal(buf_cstr(&all), want);
    buf_finish(&all);
}

static void topics_are_listed_by_prefix(void **state)
{
    struct place *p = *state;
    struct buf ops = BUF_INIT;
    char x[TOPIC_MAX + 1];
    const char *names[] = {"b", "a.b", "a", "a.a", "ab", "a b/c"};
    start(p, &plain);
    for (uint32_t i = 0; i < 6; i++)
        assert_int_equal(op_put_topic(&ops, i + 1, span_str(names[i])), 0);
    memset(x, 'x', sizeof x);
    x[TOPIC_MAX] = 0;
    x[TOPIC_MAX - 1] = 'q';
    assert_int_equal(op_put_topic(&ops, 7, span_str(x)), 0);
    x[TOPIC_MAX - 1] = 'p';
    assert_int_equal(op_put_topic(&ops, 8, span_str(x)), 0);
    assert_int_equal(op_put_topic(&ops, 9, span_of(x, 511)), 0);
    must_move(p, &ops);
    assert_listed(p, "", "a a b/c a.a a.b ab b 511x 512p 512q ");
    assert_listed(p, "a", "a a b/c a.a a.b ab ");
    assert_listed(p, "a.", "a.a a.b ");
    assert_listed(p, "a.b.c", "");
    assert_listed(p, x, "512p ");
    struct index_snap *snap = snap_of(p);
    struct index_topic row;
    assert_int_equal(index_topic_by_name(snap, span_str(x), &row, NULL), 0);
    assert_int_equal(row.no, 8);
    assert_int_equal(index_topic_by_name(snap, span_of(x, 510), &row, NULL), ERR_NOT_FOUND);
    index_snap_end(snap);
    assert_sound(p);
}

static void assert_content(struct place *p, const struct frame *f, int want, bool loose)
{
    struct index_content got;
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_content(snap, f->digest, &got, NULL), want);
    if (want == 0) {
        assert_true(got.has_bytes && span_eq(got.bytes, f->content));
        assert_int_equal(id_is_zero(got.id), loose);
    }
    index_snap_end(snap);
}

static void swept(struct place *p, uint64_t before_ms, uint64_t want)
{
    uint64_t dropped;
    assert_int_equal(index_sweep(p->index, before_ms, &dropped, NULL), 0);
    assert_int_equal(dropped, want);
}

/* A frame that names what another carries keeps it when that one goes. */
static void a_named_content_outlives_its_carrier(void **state)
{
    struct place *p = *state;
    struct buf ops = BUF_INIT, freed = BUF_INIT;
    struct frame carrier = nth_frame(0, "precious"), naming = nth_frame(1, "precious");
    naming.has_content = false;
    start(p, &plain);
    assert_int_equal(op_put_topic(&ops, 1, span_str("t")), 0);
    assert_int_equal(op_put_frame(&ops, OP_FRAME, &carrier), 0);
    assert_int_equal(op_put_frame(&ops, OP_FRAME, &naming), 0);
    assert_int_equal(op_put_remove(&ops, carrier.id), 0);
    must_move(p, &ops);
    assert_content(p, &carrier, 0, false);
    swept(p, UINT64_MAX, 0);
    assert_int_equal(op_put_remove(&ops, naming.id), 0);
    assert_int_equal(move(p, &ops, &freed, NULL), 0);
    assert_int_equal(freed.len, 0);
    assert_content(p, &carrier, 0, true);
    swept(p, 1000, 0);
    swept(p, UINT64_MAX, 1);
    assert_content(p, &carrier, ERR_NOT_FOUND, true);
    buf_finish(&ops);
    buf_finish(&freed);
}

static void keys_are_found_and_swept(void **state)
{
    struct place *p = *state;
    struct index_key got;
    uint8_t digest[DIGEST_SIZE] = {1}, other[DIGEST_SIZE] = {2};
    struct buf ops = BUF_INIT;
    start(p, &plain);
    for (uint32_t n = 0; n < 1000003; n++) {
        uint8_t key[4];
        put_be32(key, n);
        assert_int_equal(op_put_key(&ops, 3, span_of(key, 4), n, digest, nth(n), 2), 0);
        if (n % 100000 == 0)
            must_move(p, &ops);
    }
    assert_int_equal(op_put_key(&ops, 3, span_of("\0\0\0\0", 4), 2000000, other, nth(9), 5), 0);
    must_move(p, &ops);
    swept(p, 2, 1); /* key 0 is new again, of 1 and 2 only 1 is old enough */
    swept(p, UINT64_MAX, 2);
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_key(snap, 3, span_of("\0\0\0\0", 4), &got, NULL), 0);
    assert_memory_equal(got.digest, other, DIGEST_SIZE);
    assert_int_equal(got.time_ms, 2000000);
    assert_int_equal(got.count, 5);
    assert_int_equal(id_cmp(got.first, nth(9)), 0);
    assert_int_equal(index_key(snap, 3, span_of("\0\0\0\3", 4), &got, NULL), ERR_NOT_FOUND);
    assert_int_equal(index_key(snap, 3, span_of("\0\0\0\4", 4), &got, NULL), 0);
    assert_int_equal(index_key(snap, 2, span_of("\0\0\0\4", 4), &got, NULL), ERR_NOT_FOUND);
    index_snap_end(snap);
}

/* --- failing disks ---------------------------------------------------------------------------- */

/* A write that fails for another reason than room ends all writing; reading goes on. */
static void a_failed_write_stops_writing(void **state)
{
    struct place *p = *state;
    struct rlimit before, small = {64 * 1024, RLIM_INFINITY};
    struct buf ops = BUF_INIT;
    struct err err = ERR_INIT;
    struct frame got;
    start(p, &plain);
    add_frames(p, 0, 5);
    for (uint64_t n = 5; n < 2000; n++) {
        struct frame f = nth_frame(n, "some text");
        assert_int_equal(op_put_frame(&ops, OP_FRAME, &f), 0);
    }
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int rc = move(p, &ops, NULL, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(rc, ERR_UNAVAILABLE);
    assert_int_equal(move(p, &ops, NULL, &err), ERR_UNAVAILABLE);
    struct index_snap *snap = snap_of(p);
    assert_int_equal(index_frame(snap, nth(4), &got, &err), 0);
    index_snap_end(snap);
    assert_sound(p);
    stop(p);
    start(p, &plain);
    assert_int_equal(move(p, &ops, NULL, &err), 0);
    assert_sound(p);
    buf_finish(&ops);
}

#define CANNOT_MOUNT 77

/* Mounts that only this process sees; needs root, or user namespaces. */
static int own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0) {
        uid_t uid = geteuid();
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
            return -1;
        int map = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
        if (map < 0 || dprintf(map, "0 %u 1", (unsigned)uid) < 0)
            return -1;
        close(map);
    }
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* In a child with a small file system of its own: fill it, read, make room, go on. */
static int fill_disk(struct place *p)
{
    struct err err = ERR_INIT;
    uint64_t n = 0;
    int rc = 0;
    if (own_mounts() != 0 || mount("none", p->path, "tmpfs", 0, "size=2m,mode=0700") != 0)
        return CANNOT_MOUNT;
    p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int ballast = openat(p->fd, "ballast", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (posix_fallocate(ballast, 0, 1 << 20) != 0)
        return 2;
    start(p, &plain);
    add_frames(p, 0, 1);
    while (rc == 0 && n < 100000) {
        struct buf ops = BUF_INIT;
        struct frame f = nth_frame(++n, "some text");
        for (int i = 0; i < 50; i++, f = nth_frame(++n, "some text"))
            op_put_frame(&ops, OP_FRAME, &f);
        rc = move(p, &ops, NULL, &err);
        buf_finish(&ops);
    }
    if (rc != ERR_FULL)
        return 3;
    assert_sound(p);
    unlinkat(p->fd, "ballast", 0);
    close(ballast);
    add_frames(p, n + 1, 100);
    assert_sound(p);
    return 0;
}

static void a_full_disk_is_an_ordinary_state(void **state)
{
    struct place *p = *state;
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fill_disk(p));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_MOUNT)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- threads ---------------------------------------------------------------------------------- */

struct reading {
    struct index *index;
    atomic_bool done;
    atomic_int bad;
    atomic_ulong rounds;
};

/* Every snapshot must hold a whole number of moves: 40 frames a record, dense. */
static void *read_on(void *arg)
{
    struct reading *r = arg;
    do {
        struct index_snap *snap;
        struct index_scan *scan;
        struct frame f;
        uint64_t n = 0;
        if (index_snap_begin(r->index, &snap, NULL) != 0 ||
            index_topic_scan_begin(snap, &scan, 1, ID_MIN, false, NULL) != 0) {
            r->bad++;
            return NULL;
        }
        while (index_scan_next(scan, &f, NULL) == 0)
            r->bad += f.seq != n++;
        r->bad += n != 40 * index_snap_number(snap);
        index_scan_end(scan);
        index_snap_end(snap);
        r->rounds++;
    } while (!r->done);
    return NULL;
}

static void readers_see_whole_moves(void **state)
{
    struct place *p = *state;
    pthread_t threads[3];
    struct reading r = {0};
    start(p, &tiny);
    r.index = p->index;
    add_frames(p, 0, 40);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &r), 0);
    for (uint64_t n = 40; n < 4000; n += 40)
        add_frames(p, n, 40);
    r.done = true;
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(r.bad, 0);
    assert_true(r.rounds >= 3);
    assert_sound(p);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(files_are_private_whatever_the_umask),
        TEST(descriptors_close_on_exec),
        TEST(newer_and_foreign_are_refused_unchanged),
        TEST(what_is_no_index_is_refused),
        TEST(a_file_cut_short_is_noticed),
        TEST(a_move_is_all_or_nothing),
        TEST(records_must_follow),
        TEST(the_map_grows),
        TEST(damage_in_every_table_is_found),
        TEST(marks_must_fit_each_other),
        TEST(purges_must_fit),
        TEST(an_older_index_becomes_this_one),
        TEST(a_damaged_frame_is_named_and_passed),
        TEST(an_unreadable_frame_can_be_cut),
        TEST(topics_are_listed_by_prefix),
        TEST(a_named_content_outlives_its_carrier),
        TEST(keys_are_found_and_swept),
        TEST(a_failed_write_stops_writing),
        TEST(a_full_disk_is_an_ordinary_state),
        TEST(readers_see_whole_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
