/*
 * Operations against a naive model: thousands of random ones, in moves of random size, everything
 * read back and compared. WEIR_SEED=N runs one seed again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <lmdb.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "store/index.h"
#include "store/record.h"

#define TOPICS 12
#define FRAMES_MAX 6000
#define CONTENTS 40

/* --- the model -------------------------------------------------------------------------------- */

struct m_frame {
    struct frame_id id;
    uint32_t topic;
    bool live, has_seq, has_hash, has_content;
    uint64_t seq, deadline, size;
    unsigned content;
};

struct m_topic {
    bool known;
    char name[TOPIC_MAX + 1];
    uint64_t next_seq;
    struct frame_id last_id;
};

struct model {
    struct m_frame frames[FRAMES_MAX]; /* in order of ids */
    size_t count;
    struct m_topic topics[TOPICS + 1];
    bool loose[CONTENTS];
    bool gone[CONTENTS]; /* a blob frame was removed in this move */
    uint64_t rng, clock;
};

static uint64_t roll(struct model *m, uint64_t below)
{
    m->rng ^= m->rng << 13;
    m->rng ^= m->rng >> 7;
    m->rng ^= m->rng << 17;
    return m->rng % below;
}

/* Contents in pairs that share the first 8 bytes of their digest. */
static void content_digest(uint8_t out[static DIGEST_SIZE], unsigned content)
{
    memset(out, 0x40 + (int)(content / 2), DIGEST_SIZE);
    out[20] = (uint8_t)content;
}

static size_t content_text(char out[static 64], unsigned content)
{
    return (size_t)snprintf(out, 64, "content %u", content);
}

static void build_frame(struct frame *out, const struct model *m, const struct m_frame *f,
                        char text[static 64])
{
    const char *name = m->topics[f->topic].name;
    *out = (struct frame){.id = f->id, .topic = span_str(name), .topic_no = f->topic};
    out->has_seq = f->has_seq;
    out->seq = f->seq;
    out->stamp = id_time_ms(f->id);
    out->deadline_ms = f->deadline;
    out->has_hash = f->has_hash;
    out->has_content = f->has_content;
    if (f->has_hash) {
        content_digest(out->digest, f->content);
        out->content_size = content_text(text, f->content);
        out->content = span_of(text, f->has_content ? out->content_size : 0);
    }
    out->meta = span_str(f->seq % 3 == 0 ? "{\"a\":1}" : "");
}

static void put_frame(struct buf *ops, enum op_type type, struct model *m, struct m_frame *f)
{
    char text[64];
    struct frame frame;
    build_frame(&frame, m, f, text);
    f->size = record_frame_size(&frame);
    assert_int_equal(op_put_frame(ops, type, &frame), 0);
}

static void random_frame(struct model *m, struct m_frame *f, uint32_t topic)
{
    *f = (struct m_frame){.topic = topic, .live = true};
    f->has_hash = roll(m, 4) > 0;
    f->content = (unsigned)roll(m, CONTENTS);
    /* The last contents are only ever blobs, the first ones only inline, as sizes decide it. */
    f->has_content = f->has_hash && f->content < CONTENTS / 2;
    f->deadline = roll(m, 3) == 0 ? m->clock + roll(m, 500) : 0;
}

static void model_insert(struct model *m, const struct m_frame *f)
{
    size_t at = m->count;
    while (at > 0 && id_cmp(m->frames[at - 1].id, f->id) > 0)
        at--;
    memmove(&m->frames[at + 1], &m->frames[at], (m->count - at) * sizeof *f);
    m->frames[at] = *f;
    m->count++;
}

static void add_topic(struct model *m, struct buf *ops, uint32_t no)
{
    struct m_topic *t = &m->topics[no];
    if (t->known)
        return;
    t->known = true;
    /* Two of them differ only behind what fits a key. */
    if (no >= TOPICS - 1) {
        memset(t->name, 'x', TOPIC_MAX);
        t->name[TOPIC_MAX - 1] = (char)('z' - (int)no % 2);
    } else {
        snprintf(t->name, sizeof t->name, "topic.%c.%u", 'a' + (int)(no * 7 % 5), no);
    }
    assert_int_equal(op_put_topic(ops, no, span_str(t->name)), 0);
}

static void op_frame(struct model *m, struct buf *ops)
{
    uint32_t no = 1 + (uint32_t)roll(m, TOPICS);
    struct m_frame f;
    if (m->count == FRAMES_MAX)
        return;
    add_topic(m, ops, no);
    random_frame(m, &f, no);
    m->clock += 1 + roll(m, 3);
    f.id = (struct frame_id){m->clock << 16, 500};
    f.has_seq = true;
    f.seq = m->topics[no].next_seq++;
    m->topics[no].last_id = f.id;
    put_frame(ops, OP_FRAME, m, &f);
    model_insert(m, &f);
}

/* A frame below its topic's newest, without seq; or one that is there already. */
static void op_import(struct model *m, struct buf *ops)
{
    if (m->count == 0 || m->count == FRAMES_MAX)
        return;
    struct m_frame *near = &m->frames[roll(m, m->count)], f;
    if (near->live && roll(m, 3) == 0) {
        f = *near;
        put_frame(ops, OP_IMPORT, m, &f);
        return;
    }
    random_frame(m, &f, near->topic);
    f.id = (struct frame_id){near->id.hi, 1 + roll(m, 400)};
    for (size_t i = 0; i < m->count; i++)
        if (id_cmp(m->frames[i].id, f.id) == 0)
            return;
    put_frame(ops, OP_IMPORT, m, &f);
    model_insert(m, &f);
}

static void model_remove(struct model *m, struct m_frame *f)
{
    if (f->live && f->has_hash && !f->has_content)
        m->gone[f->content] = true;
    f->live = false;
}

static void op_remove(struct model *m, struct buf *ops)
{
    if (m->count == 0)
        return;
    struct m_frame *f = &m->frames[roll(m, m->count)];
    assert_int_equal(op_put_remove(ops, f->id), 0);
    model_remove(m, f);
}

static void op_cut(struct model *m, struct buf *ops)
{
    uint32_t no = 1 + (uint32_t)roll(m, TOPICS);
    uint64_t next = m->topics[no].next_seq;
    uint64_t below = next > 0 && roll(m, 8) > 0 ? roll(m, next) : next;
    struct frame_id first = ID_MAX;
    assert_int_equal(op_put_cut(ops, no, below), 0);
    for (size_t i = m->count; i-- > 0;)
        if (m->frames[i].live && m->frames[i].topic == no && m->frames[i].has_seq &&
            m->frames[i].seq >= below)
            first = m->frames[i].id;
    for (size_t i = 0; i < m->count; i++) {
        struct m_frame *f = &m->frames[i];
        if (f->topic == no && (f->has_seq ? f->seq < below : id_cmp(f->id, first) < 0))
            model_remove(m, f);
    }
}

static void op_content(struct model *m, struct buf *ops)
{
    unsigned content = (unsigned)roll(m, CONTENTS);
    uint8_t digest[DIGEST_SIZE];
    char text[64];
    size_t len = content_text(text, content);
    if (roll(m, 4) > 0)
        return;
    content_digest(digest, content);
    assert_int_equal(op_put_content(ops, digest, m->clock, span_of(text, len)), 0);
    m->loose[content] = true;
}

static void op_key(struct model *m, struct buf *ops)
{
    char key[32];
    uint8_t digest[DIGEST_SIZE] = {1};
    snprintf(key, sizeof key, "key %u", (unsigned)roll(m, 30));
    assert_int_equal(op_put_key(ops, 1, span_str(key), m->clock, digest, ID_MIN, 1), 0);
}

static void random_op(struct model *m, struct buf *ops)
{
    static void (*const kinds[])(struct model *, struct buf *) = {
        op_frame, op_frame,  op_frame,  op_frame,  op_frame,   op_frame,
        op_frame, op_import, op_remove, op_remove, op_content, op_key,
    };
    if (roll(m, 60) == 0)
        op_cut(m, ops);
    else
        kinds[roll(m, sizeof kinds / sizeof kinds[0])](m, ops);
}

/* --- comparing -------------------------------------------------------------------------------- */

static void print_fault(void *arg, const char *text)
{
    print_error("fault: %s\n", text);
    ++*(int *)arg;
}

static void check_verify(struct index *index)
{
    struct err err = ERR_INIT;
    uint64_t checked;
    int faults = 0;
    assert_int_equal(index_verify(index, print_fault, &faults, &checked, &err), 0);
    assert_int_equal(faults, 0);
}

static void same_frame(const struct model *m, const struct m_frame *f, const struct frame *got)
{
    char text[64];
    struct frame want;
    struct buf a = BUF_INIT, b = BUF_INIT;
    build_frame(&want, m, f, text);
    assert_int_equal(record_put_frame(&a, &want), 0);
    assert_int_equal(record_put_frame(&b, got), 0);
    assert_true(span_eq(buf_span(&a), buf_span(&b)));
    buf_finish(&a);
    buf_finish(&b);
}

/* Walks a scan and the model side by side; topic 0 = all. */
static void check_scan(const struct model *m, struct index_scan *scan, uint32_t topic,
                       struct frame_id from, bool reverse)
{
    struct frame got;
    struct err err = ERR_INIT;
    for (size_t i = 0; i < m->count; i++) {
        const struct m_frame *f = &m->frames[reverse ? m->count - 1 - i : i];
        int c = id_cmp(f->id, from);
        if (!f->live || (topic != 0 && f->topic != topic) || (reverse ? c > 0 : c < 0))
            continue;
        assert_int_equal(index_scan_next(scan, &got, &err), 0);
        same_frame(m, f, &got);
    }
    assert_int_equal(index_scan_next(scan, &got, &err), ERR_END);
    index_scan_end(scan);
}

static void check_scans(struct model *m, struct index_snap *snap)
{
    struct index_scan *scan;
    struct err err = ERR_INIT;
    struct frame_id froms[] = {ID_MIN,
                               ID_MAX,
                               {roll(m, m->clock + 2) << 16, 500},
                               m->count ? m->frames[roll(m, m->count)].id : ID_MIN};
    for (size_t i = 0; i < 8; i++) {
        struct frame_id from = froms[i / 2];
        bool reverse = i % 2;
        uint32_t topic = 1 + (uint32_t)roll(m, TOPICS);
        assert_int_equal(index_scan_begin(snap, &scan, from, reverse, &err), 0);
        check_scan(m, scan, 0, from, reverse);
        assert_int_equal(index_topic_scan_begin(snap, &scan, topic, from, reverse, &err), 0);
        check_scan(m, scan, topic, from, reverse);
    }
}

static void check_seqs(struct model *m, struct index_snap *snap)
{
    uint32_t topic = 1 + (uint32_t)roll(m, TOPICS);
    uint64_t from = roll(m, m->topics[topic].next_seq + 2);
    struct index_scan *scan;
    struct frame got;
    struct err err = ERR_INIT;
    assert_int_equal(index_seq_scan_begin(snap, &scan, topic, from, &err), 0);
    for (size_t i = 0; i < m->count; i++) {
        const struct m_frame *f = &m->frames[i];
        if (!f->live || f->topic != topic || !f->has_seq || f->seq < from)
            continue;
        assert_int_equal(index_scan_next(scan, &got, &err), 0);
        same_frame(m, f, &got);
    }
    assert_int_equal(index_scan_next(scan, &got, &err), ERR_END);
    index_scan_end(scan);
}

static void check_topic_row(const struct model *m, uint32_t no, const struct index_topic *row)
{
    uint64_t live = 0, live_seq = 0, bytes = 0, first = m->topics[no].next_seq;
    for (size_t i = m->count; i-- > 0;) {
        const struct m_frame *f = &m->frames[i];
        if (!f->live || f->topic != no)
            continue;
        live++;
        live_seq += f->has_seq;
        bytes += f->size;
        if (f->has_seq)
            first = f->seq;
    }
    assert_true(span_is(row->name, m->topics[no].name));
    assert_int_equal(row->no, no);
    assert_int_equal(row->live, live);
    assert_int_equal(row->live_seq, live_seq);
    assert_int_equal(row->bytes, bytes);
    assert_int_equal(row->next_seq, m->topics[no].next_seq);
    assert_int_equal(row->first_seq, first);
}

static void check_topics(const struct model *m, struct index_snap *snap)
{
    struct index_topic row;
    for (uint32_t no = 1; no <= TOPICS; no++) {
        int rc = index_topic_by_name(snap, span_str(m->topics[no].name), &row, NULL);
        assert_int_equal(rc, m->topics[no].known ? 0 : ERR_NOT_FOUND);
        if (rc == 0)
            check_topic_row(m, no, &row);
        assert_int_equal(index_topic_by_no(snap, no, &row, NULL), rc);
    }
}

static int count_id(void *arg, struct frame_id id)
{
    (void)id;
    ++*(size_t *)arg;
    return 0;
}

static void check_one_content(const struct model *m, struct index_snap *snap, unsigned content)
{
    size_t named = 0, inlined = 0, listed = 0;
    struct index_content got;
    uint8_t digest[DIGEST_SIZE];
    char text[64];
    for (size_t i = 0; i < m->count; i++) {
        const struct m_frame *f = &m->frames[i];
        named += f->live && f->has_hash && f->content == content;
        inlined += f->live && f->has_content && f->content == content;
    }
    content_digest(digest, content);
    int rc = index_content(snap, digest, &got, NULL);
    assert_int_equal(rc, named > 0 || m->loose[content] ? 0 : ERR_NOT_FOUND);
    if (rc == 0) {
        assert_int_equal(got.has_bytes, inlined > 0 || m->loose[content]);
        assert_int_equal(got.is_blob, !got.has_bytes);
        assert_int_equal(got.size, content_text(text, content));
        assert_int_equal(id_is_zero(got.id), named == 0);
        assert_true(!got.has_bytes || span_is(got.bytes, text));
    }
    assert_int_equal(index_content_frames(snap, digest, count_id, &listed, NULL), 0);
    assert_int_equal(listed, named);
}

static void check_expired(struct model *m, struct index_snap *snap)
{
    static struct frame_id ids[FRAMES_MAX];
    uint64_t now = m->clock + roll(m, 300), next, want_next = 0;
    size_t count, want = 0;
    assert_int_equal(index_expired(snap, now, ids, FRAMES_MAX, &count, &next, NULL), 0);
    for (size_t i = 0; i < m->count; i++) {
        const struct m_frame *f = &m->frames[i];
        if (!f->live || f->deadline == 0)
            continue;
        want += f->deadline <= now;
        if (f->deadline > now && (want_next == 0 || f->deadline < want_next))
            want_next = f->deadline;
    }
    assert_int_equal(count, want);
    assert_int_equal(next, want_next);
}

static void check_all(struct model *m, struct index *index, uint64_t number)
{
    struct index_snap *snap;
    struct index_totals totals;
    struct err err = ERR_INIT;
    size_t live = 0;
    assert_int_equal(index_snap_begin(index, &snap, &err), 0);
    assert_int_equal(index_snap_number(snap), number);
    assert_int_equal(index_totals(snap, &totals, &err), 0);
    for (size_t i = 0; i < m->count; i++)
        live += m->frames[i].live;
    assert_int_equal(totals.frames, live);
    check_scans(m, snap);
    check_seqs(m, snap);
    check_topics(m, snap);
    for (unsigned i = 0; i < CONTENTS; i++)
        check_one_content(m, snap, i);
    check_expired(m, snap);
    index_snap_end(snap);
}

static void check_freed(struct model *m, const struct buf *freed)
{
    size_t want = 0;
    for (unsigned c = 0; c < CONTENTS; c++) {
        uint8_t digest[DIGEST_SIZE];
        bool named = m->loose[c], told = false;
        for (size_t i = 0; i < m->count; i++)
            named |= m->frames[i].live && m->frames[i].has_hash && m->frames[i].content == c;
        content_digest(digest, c);
        for (size_t at = 0; at < freed->len; at += DIGEST_SIZE)
            told |= memcmp(freed->ptr + at, digest, DIGEST_SIZE) == 0;
        assert_int_equal(told, m->gone[c] && !named);
        want += told;
        m->gone[c] = false;
    }
    assert_int_equal(freed->len, want * DIGEST_SIZE);
}

/* --- runs ------------------------------------------------------------------------------------- */

static int unlink_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

struct place {
    char path[64];
    int fd;
};

static void place_make(struct place *place)
{
    snprintf(place->path, sizeof place->path, "/tmp/weir-apply-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place->fd >= 0);
}

static void place_drop(struct place *place)
{
    close(place->fd);
    nftw(place->path, unlink_one, 16, FTW_DEPTH | FTW_PHYS);
}

static const struct index_options options = {.map_size = 256 * 1024, .uuid = "0123456789abcde"};

static struct index *open_index(struct place *place, const char *name)
{
    struct index *index = NULL;
    struct err err = ERR_INIT;
    int rc = index_open(&index, place->fd, name, &options, &err);
    if (rc != 0)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
    return index;
}

static void move_one(struct index *index, const struct index_record *records, size_t count,
                     struct buf *freed)
{
    struct err err = ERR_INIT;
    int rc = index_move(index, records, count, freed, &err);
    if (rc != 0)
        print_error("%s\n", err.text);
    assert_int_equal(rc, 0);
}

/* Every key and value of every table in one hash. */
static uint64_t hash_tables(struct place *place, const char *name)
{
    static const char *const tables[] = {"meta",    "frames", "topics", "names", "by_topic", "old",
                                         "content", "loose",  "expiry", "keys",  "key_age"};
    char path[128];
    MDB_env *env;
    MDB_txn *txn;
    uint64_t h = 0;
    snprintf(path, sizeof path, "%s/%s", place->path, name);
    assert_int_equal(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 16);
    assert_int_equal(mdb_env_open(env, path, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        MDB_dbi dbi;
        MDB_cursor *cursor;
        MDB_val k, v;
        assert_int_equal(mdb_dbi_open(txn, tables[i], 0, &dbi), 0);
        assert_int_equal(mdb_cursor_open(txn, dbi, &cursor), 0);
        while (mdb_cursor_get(cursor, &k, &v, MDB_NEXT) == 0) {
            h = XXH3_64bits_withSeed(k.mv_data, k.mv_size, h + i);
            h = XXH3_64bits_withSeed(v.mv_data, v.mv_size, h);
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    mdb_env_close(env);
    return h;
}

struct log {
    struct buf ops[64];
    struct index_record records[64];
    size_t count;
};

static void make_records(struct model *m, struct log *log, uint64_t *number)
{
    log->count = 1 + roll(m, 40);
    for (size_t i = 0; i < log->count; i++) {
        log->ops[i] = BUF_INIT;
        for (uint64_t n = 1 + roll(m, 12); n > 0; n--)
            random_op(m, &log->ops[i]);
        log->records[i] = (struct index_record){++*number, buf_span(&log->ops[i])};
    }
}

/* Moves the records at once into one index, each alone into another, and again what is in already.
 */
static void run_seed(uint64_t seed)
{
    static struct model m;
    struct place place;
    struct log log;
    uint64_t number = 0;
    m = (struct model){.rng = seed * 0x9e3779b97f4a7c15u + 1, .clock = 1000};
    place_make(&place);
    struct index *whole = open_index(&place, "whole"), *single = open_index(&place, "single");
    for (int round = 0; round < 14; round++) {
        struct buf freed = BUF_INIT;
        make_records(&m, &log, &number);
        move_one(whole, log.records, log.count, &freed);
        move_one(whole, log.records, log.count, &freed);
        check_freed(&m, &freed);
        for (size_t i = 0; i < log.count; i++)
            move_one(single, &log.records[i], 1, NULL);
        check_verify(whole);
        check_all(&m, whole, number);
        for (size_t i = 0; i < log.count; i++)
            buf_finish(&log.ops[i]);
        buf_finish(&freed);
        if (round == 7) {
            index_close(whole);
            whole = open_index(&place, "whole");
        }
    }
    check_all(&m, single, number);
    check_verify(single);
    index_close(whole);
    index_close(single);
    assert_int_equal(hash_tables(&place, "whole"), hash_tables(&place, "single"));
    place_drop(&place);
}

static void random_sequences(void **state)
{
    (void)state;
    const char *env = getenv("WEIR_SEED");
    uint64_t first = env ? strtoull(env, NULL, 10) : 1, last = env ? first : 6;
    for (uint64_t seed = first; seed <= last; seed++) {
        print_message("seed %" PRIu64 "\n", seed);
        run_seed(seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_sequences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
