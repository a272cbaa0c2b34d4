/*
 * Everything checked: each value against its seal, each frame against what names it, and back.
 *
 * One snapshot from end to end, so the file grows if much is written meanwhile. What is counted per
 * topic while the frames pass is compared with the rows at the end.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/bytes.h"
#include "store/index_rows.h"

struct verify {
    struct index_txn txn;
    struct index_state counted;
    struct index_rows tally; /* per topic what the frames say; without names */
    void (*fault)(void *arg, const char *text);
    void *arg;
    uint64_t checked;
};

/* One entry whose seal fits. */
struct entry {
    enum index_table table;
    struct span key, value;
};

__attribute__((format(printf, 2, 3))) static void report(struct verify *v, const char *fmt, ...)
{
    char text[ERR_TEXT_SIZE];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    v->fault(v->arg, text);
}

static void report_entry(struct verify *v, const struct entry *e, const char *what)
{
    struct err err = ERR_INIT;
    struct index_txn txn = {.err = &err};
    index_txn_damaged(&txn, e->table, e->key, what);
    v->fault(v->arg, err.text);
}

/* Reads beside the walk: damage met there is told when the walk comes by. */
static struct index_txn quiet(const struct verify *v)
{
    return (struct index_txn){.index = v->txn.index, .mdb = v->txn.mdb};
}

static bool has(struct verify *v, enum index_table table, const uint8_t *key, size_t len)
{
    struct index_txn txn = quiet(v);
    return index_txn_has(&txn, table, span_of(key, len));
}

/* --- frames ----------------------------------------------------------------------------------- */

static void check_seq(struct verify *v, const struct entry *e, const struct frame *frame)
{
    struct index_txn txn = quiet(v);
    uint8_t key[BY_TOPIC_KEY], want[BY_TOPIC_VALUE];
    struct span value;
    index_by_topic_key(key, frame->topic_no, frame->seq);
    index_by_topic_value(want, frame);
    if (!index_txn_get(&txn, TABLE_BY_TOPIC, span_of(key, sizeof key), &value))
        report_entry(v, e, "has no entry in by_topic");
    else if (!span_eq(value, span_of(want, sizeof want)))
        report_entry(v, e, "its entry in by_topic differs");
}

static void check_names_of_frame(struct verify *v, const struct entry *e, const struct frame *frame)
{
    uint8_t key[PAIR_KEY];
    if (frame->has_seq)
        check_seq(v, e, frame);
    index_old_key(key, frame->topic_no, frame->id);
    if (!frame->has_seq && !has(v, TABLE_OLD, key, OLD_KEY))
        report_entry(v, e, "has no entry in old");
    index_pair_key(key, get_be64(frame->digest), frame->id);
    if (frame->has_hash && !has(v, TABLE_CONTENT, key, PAIR_KEY))
        report_entry(v, e, "has no pair in content");
    index_pair_key(key, frame->deadline_ms, frame->id);
    if (frame->deadline_ms != 0 && !has(v, TABLE_EXPIRY, key, PAIR_KEY))
        report_entry(v, e, "has no entry in expiry");
}

static void tally_frame(struct index_topic *t, const struct frame *frame, size_t size)
{
    t->live++;
    t->bytes += size;
    t->last_id = frame->id; /* they come in order */
    if (!frame->has_seq)
        return;
    if (frame->seq >= t->trim && (!t->revision || frame->seq < t->first_seq)) {
        t->first_seq = frame->seq;
        t->revision = 1; /* first_seq is known */
    }
    if (frame->seq >= t->next_seq)
        t->next_seq = frame->seq + 1;
    t->live_seq++;
}

static void check_frame(struct verify *v, const struct entry *e)
{
    struct frame frame;
    struct err err = ERR_INIT;
    /* The seal lies right behind the value. */
    if (index_frame_read(&frame, e->key, span_of(e->value.ptr, e->value.len + SEAL_SIZE), &err)) {
        v->fault(v->arg, err.text);
        return;
    }
    check_names_of_frame(v, e, &frame);
    struct index_row *row = index_rows_find(&v->tally, frame.topic_no);
    if (row)
        tally_frame(&row->topic, &frame, e->value.len);
    else
        report_entry(v, e, "its topic has no row");
    v->counted.frames++;
    v->counted.bytes += e->value.len;
    if (id_cmp(frame.id, v->counted.newest) > 0)
        v->counted.newest = frame.id;
}

/* The frame an entry names. A damaged one was told of already. */
static bool frame_of(struct verify *v, const struct entry *e, struct frame_id id, struct frame *out)
{
    struct index_txn txn = quiet(v);
    if (index_frame_get(&txn, id, out))
        return true;
    if (txn.rc == 0)
        report_entry(v, e, "names a frame that is not there");
    return false;
}

static void check_by_topic(struct verify *v, const struct entry *e)
{
    struct frame f;
    if (e->key.len != BY_TOPIC_KEY || e->value.len != BY_TOPIC_VALUE)
        report_entry(v, e, "has another length");
    else if (frame_of(v, e, id_get(e->value.ptr), &f) &&
             (!f.has_seq || f.topic_no != get_be32(e->key.ptr) ||
              f.seq != get_be64(e->key.ptr + 4)))
        report_entry(v, e, "names a frame of another place");
}

static void check_old(struct verify *v, const struct entry *e)
{
    struct frame f;
    if (e->key.len != OLD_KEY)
        report_entry(v, e, "has another length");
    else if (frame_of(v, e, id_get(e->key.ptr + 4), &f) &&
             (f.has_seq || f.topic_no != get_be32(e->key.ptr)))
        report_entry(v, e, "names a frame of another place");
}

static void check_content(struct verify *v, const struct entry *e)
{
    struct frame f;
    if (e->key.len != PAIR_KEY)
        report_entry(v, e, "has another length");
    else if (frame_of(v, e, id_get(e->key.ptr + 8), &f) &&
             (!f.has_hash || memcmp(f.digest, e->key.ptr, 8) != 0))
        report_entry(v, e, "names a frame of another content");
}

static void check_expiry(struct verify *v, const struct entry *e)
{
    struct frame f;
    if (e->key.len != PAIR_KEY)
        report_entry(v, e, "has another length");
    else if (frame_of(v, e, id_get(e->key.ptr + 8), &f) && f.deadline_ms != get_be64(e->key.ptr))
        report_entry(v, e, "names a frame of another deadline");
}

/* --- topics ----------------------------------------------------------------------------------- */

static void check_topic(struct verify *v, const struct entry *e)
{
    struct index_txn txn = quiet(v);
    struct index_topic row, named;
    if (e->key.len != 4 || !index_row_get(&txn, get_be32(e->key.ptr), &row)) {
        report_entry(v, e, "has another length");
        return;
    }
    bool leads = index_name_get(&txn, row.name, &named) && named.no == row.no;
    struct index_hidden hidden = {.any = true};
    uint64_t below = index_hidden_below(&txn, &hidden, row.no);
    if (!row.dead && !leads)
        report_entry(v, e, "its name does not lead to it");
    if (row.dead && (leads || below != UINT64_MAX))
        report_entry(v, e, "it is dropped, but its name leads to it or nothing is to remove it");
    v->counted.topics += !row.dead;
    if (row.no > v->counted.topic_last)
        v->counted.topic_last = row.no;
    /* Of the tally, trim is what a purge is to remove, and revision whether first_seq is known. */
    index_rows_new(&v->tally, &v->txn, &(struct index_topic){.no = row.no, .trim = below});
}

static void check_row(struct verify *v, const struct index_topic *row, const struct index_topic *t)
{
    uint64_t first = t->revision ? t->first_seq : row->next_seq;
    if (row->live != t->live || row->live_seq != t->live_seq)
        report(v,
               "topic %u: its row counts %" PRIu64 " frames (%" PRIu64
               " with seq), there are %" PRIu64 " (%" PRIu64 ")",
               row->no, row->live, row->live_seq, t->live, t->live_seq);
    if (row->bytes != t->bytes)
        report(v, "topic %u: its row counts %" PRIu64 " bytes, there are %" PRIu64, row->no,
               row->bytes, t->bytes);
    if (row->first_seq != first && !row->dead)
        report(v, "topic %u: its row says the lowest seq is %" PRIu64 ", it is %" PRIu64, row->no,
               row->first_seq, first);
    if (!row->dead && row->first_seq < row->trim)
        report(v, "topic %u: its lowest seq lies below its trim point", row->no);
    if (row->next_seq < t->next_seq || id_cmp(row->last_id, t->last_id) < 0)
        report(v, "topic %u: a frame lies above the end its row tells", row->no);
}

static void compare_rows(struct verify *v)
{
    for (size_t i = 0; i < v->tally.cap; i++) {
        struct index_txn txn = quiet(v);
        struct index_topic row;
        const struct index_row *tally = v->tally.slots[i];
        if (tally && index_row_get(&txn, tally->topic.no, &row))
            check_row(v, &row, &tally->topic);
    }
}

static void check_name(struct verify *v, const struct entry *e)
{
    if (e->value.len == 0 || e->value.len % 4 != 0)
        report_entry(v, e, "has another length");
    for (size_t at = 0; at + 4 <= e->value.len; at += 4) {
        struct index_txn txn = quiet(v);
        struct index_topic row;
        if (!index_row_get(&txn, get_be32(e->value.ptr + at), &row) || row.dead || row.name.len < e->key.len ||
            memcmp(row.name.ptr, e->key.ptr, e->key.len) != 0)
            report_entry(v, e, "names a topic of another name");
    }
}

static void check_purge(struct verify *v, const struct entry *e)
{
    struct index_txn txn = quiet(v);
    struct index_topic row;
    v->counted.purges++;
    if (e->key.len != 4 || e->value.len != 8)
        report_entry(v, e, "has another length");
    else if (!index_row_get(&txn, get_be32(e->key.ptr), &row))
        report_entry(v, e, "is of no topic");
    else if (row.dead != (get_be64(e->value.ptr) == UINT64_MAX))
        report_entry(v, e, "removes a topic that lives, or part of one that is dropped");
    else if (!row.dead && row.trim < get_be64(e->value.ptr))
        report_entry(v, e, "removes what was not trimmed");
}

/* --- the rest --------------------------------------------------------------------------------- */

static void check_loose(struct verify *v, const struct entry *e)
{
    if (e->key.len != DIGEST_SIZE || e->value.len < 8)
        report_entry(v, e, "has another length");
}

static void check_key(struct verify *v, const struct entry *e)
{
    uint8_t age[INDEX_KEY_MAX];
    if (e->value.len != 60 || e->key.len > sizeof age - 8) {
        report_entry(v, e, "has another length");
        return;
    }
    memcpy(age, e->value.ptr, 8);
    memcpy(age + 8, e->key.ptr, e->key.len);
    if (!has(v, TABLE_KEY_AGE, age, 8 + e->key.len))
        report_entry(v, e, "has no entry in key_age");
}

static void check_key_age(struct verify *v, const struct entry *e)
{
    if (e->key.len <= 8 || !has(v, TABLE_KEYS, e->key.ptr + 8, e->key.len - 8))
        report_entry(v, e, "names a key that is not there");
}

/* --- marks ------------------------------------------------------------------------------------ */

static void check_mark(struct verify *v, const struct entry *e)
{
    struct index_txn txn = quiet(v);
    struct index_mark mark, row = {0};
    if (!index_mark_get(&txn, e->key, &mark))
        report_entry(v, e, "has another length");
    else if (!index_mark_row(&txn, mark.no, &row))
        report_entry(v, e, "has no row");
    else if (!span_eq(row.name, e->key))
        report_entry(v, e, "its row is another mark's");
}

static void check_mark_row(struct verify *v, const struct entry *e)
{
    struct index_txn txn = quiet(v);
    struct index_mark row = {0}, mark;
    if (e->key.len != 4 || !index_mark_row(&txn, get_be32(e->key.ptr), &row))
        report_entry(v, e, "has another length");
    else if (!index_mark_get(&txn, row.name, &mark) || mark.no != row.no)
        report_entry(v, e, "its name does not lead to it");
}

static void check_acked(struct verify *v, const struct entry *e)
{
    struct index_txn txn = quiet(v);
    struct index_mark row = {0}, mark;
    if (e->key.len != ACKED_KEY || e->value.len != 0)
        report_entry(v, e, "has another length");
    else if (!index_mark_row(&txn, get_be32(e->key.ptr), &row) ||
             !index_mark_get(&txn, row.name, &mark))
        report_entry(v, e, "is of no mark");
    else if (id_cmp(id_get(e->key.ptr + 4), mark.low) <= 0)
        report_entry(v, e, "does not lie above its mark's low id");
}

static void check_state(struct verify *v)
{
    struct index_state said;
    index_state_get(&v->txn, &said);
    const struct index_state *is = &v->counted;
    if (v->txn.rc != 0)
        return;
    if (said.frames != is->frames || said.bytes != is->bytes)
        report(v,
               "totals say %" PRIu64 " frames of %" PRIu64 " bytes, there are %" PRIu64
               " of %" PRIu64,
               said.frames, said.bytes, is->frames, is->bytes);
    if (said.topics != is->topics || said.topic_last < is->topic_last)
        report(v, "totals say %" PRIu64 " topics, there are %" PRIu64, said.topics, is->topics);
    if (said.purges != is->purges)
        report(v, "totals say %" PRIu64 " topics are to be purged, there are %" PRIu64, said.purges, is->purges);
    if (id_cmp(said.newest, is->newest) < 0)
        report(v, "a frame lies above the newest id that the totals tell");
}

/* --- the walk --------------------------------------------------------------------------------- */

static void walk(struct verify *v, enum index_table table,
                 void (*check)(struct verify *v, const struct entry *e))
{
    MDB_cursor *cursor = NULL;
    MDB_val key, raw;
    int rc = mdb_cursor_open(v->txn.mdb, v->txn.index->dbi[table], &cursor);
    while (rc == 0 && (rc = mdb_cursor_get(cursor, &key, &raw, MDB_NEXT)) == 0) {
        struct entry e = {.table = table, .key = span_of(key.mv_data, key.mv_size)};
        v->checked++;
        if (!index_unseal(table, e.key, span_of(raw.mv_data, raw.mv_size), &e.value))
            report_entry(v, &e, "does not fit its checksum");
        else if (check)
            check(v, &e);
    }
    if (rc != MDB_NOTFOUND)
        report(v, "index table %s: cannot be read further: %s", index_table_name(table),
               mdb_strerror(rc));
    if (cursor)
        mdb_cursor_close(cursor);
}

/* Topics come before frames: those are counted under them. */
static const struct {
    enum index_table table;
    void (*check)(struct verify *v, const struct entry *e);
} walks[] = {
    {TABLE_META, NULL},           {TABLE_TOPICS, check_topic},    {TABLE_NAMES, check_name},
    {TABLE_FRAMES, check_frame},  {TABLE_OLD, check_old},         {TABLE_BY_TOPIC, check_by_topic},
    {TABLE_EXPIRY, check_expiry}, {TABLE_CONTENT, check_content}, {TABLE_LOOSE, check_loose},
    {TABLE_KEYS, check_key},      {TABLE_KEY_AGE, check_key_age}, {TABLE_MARKS, check_mark},
    {TABLE_ACKED, check_acked},   {TABLE_MARK_ROWS, check_mark_row}, {TABLE_PURGE, check_purge},
};

int index_verify(struct index *index, void (*fault)(void *arg, const char *text), void *arg,
                 uint64_t *checked, struct err *err)
{
    struct index_snap *snap;
    int rc = index_snap_begin(index, &snap, err);
    if (rc != 0)
        return rc;
    struct verify v = {.txn = index_snap_txn(snap, err), .fault = fault, .arg = arg};
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++)
        walk(&v, walks[i].table, walks[i].check);
    compare_rows(&v);
    check_state(&v);
    index_rows_finish(&v.tally);
    index_snap_end(snap);
    if (v.txn.rc == 0)
        *checked = v.checked;
    return v.txn.rc;
}
