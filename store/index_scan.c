/*
 * Frames by id, by topic, by seq; and what expired.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "store/index_impl.h"
#include "store/record.h"

/* --- one frame -------------------------------------------------------------------------------- */

static int frame_damaged(struct span key, struct err *err, const char *what)
{
    struct index_txn txn = {.err = err};
    return index_txn_damaged(&txn, TABLE_FRAMES, key, what);
}

/* The record's own lengths come first: a length that LMDB reports wrongly is caught before all of
 * it is read. */
int index_frame_read(struct frame *out, struct span key, struct span raw, struct err *err)
{
    struct frame frame;
    struct span value;
    struct err why = ERR_INIT;
    if (key.len != ID_SIZE)
        return frame_damaged(key, err, "the key has another length");
    if (raw.len < SEAL_SIZE)
        return frame_damaged(key, err, "the record is too short");
    int rc = record_get_frame(&frame, span_of(raw.ptr, raw.len - SEAL_SIZE), &why);
    if (rc != 0)
        return frame_damaged(key, err, why.text);
    if (!index_unseal(TABLE_FRAMES, key, raw, &value))
        return frame_damaged(key, err, "does not fit its checksum");
    if (id_cmp(frame.id, id_get(key.ptr)) != 0)
        return frame_damaged(key, err, "the record holds another id");
    *out = frame;
    return 0;
}

bool index_frame_get(struct index_txn *txn, struct frame_id id, struct frame *out)
{
    uint8_t bytes[ID_SIZE];
    id_put(bytes, id);
    MDB_val raw, key = {ID_SIZE, bytes};
    if (txn->rc != 0)
        return false;
    int rc = mdb_get(txn->mdb, txn->index->dbi[TABLE_FRAMES], &key, &raw);
    if (rc == MDB_NOTFOUND || index_txn_note(txn, rc, "read frame") != 0)
        return false;
    txn->rc =
        index_frame_read(out, span_of(bytes, ID_SIZE), span_of(raw.mv_data, raw.mv_size), txn->err);
    return txn->rc == 0;
}

int index_frame(struct index_snap *snap, struct frame_id id, struct frame *out, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct frame frame;
    if (!index_frame_get(&txn, id, &frame) || index_hides(&txn, &snap->hidden, &frame))
        return index_txn_fail(&txn, ERR_NOT_FOUND, "no such frame");
    *out = frame;
    return txn.rc;
}

/* --- keys of a frame's entries ------------------------------------------------------------------
 */

void index_by_topic_key(uint8_t out[static BY_TOPIC_KEY], uint32_t no, uint64_t seq)
{
    put_be32(out, no);
    put_be64(out + 4, seq);
}

void index_by_topic_value(uint8_t out[static BY_TOPIC_VALUE], const struct frame *frame)
{
    uint64_t size = frame->content_size + frame->meta.len;
    id_put(out, frame->id);
    put_be64(out + 16, frame->stamp);
    put_be32(out + 24, size < UINT32_MAX ? (uint32_t)size : UINT32_MAX);
}

void index_old_key(uint8_t out[static OLD_KEY], uint32_t no, struct frame_id id)
{
    put_be32(out, no);
    id_put(out + 4, id);
}

void index_pair_key(uint8_t out[static PAIR_KEY], uint64_t first, struct frame_id id)
{
    put_be64(out, first);
    id_put(out + 8, id);
}

/* --- one side of a scan: a cursor in one table --------------------------------------------------
 */

struct side {
    MDB_cursor *cursor;
    enum index_table table;
    MDB_cursor_op op; /* how to get the next entry */
    bool done;
    bool ready; /* id and seq are those of the entry under the cursor, which was not handed out */
    struct frame_id id;
    uint64_t seq;
    MDB_val key, raw;
};

struct index_scan {
    struct index_txn txn;
    bool reverse;
    bool whole; /* all frames: `main` walks the table frames itself */
    struct index_hidden hidden;
    uint64_t below; /* of one topic: frames with a lower seq are hidden */
    uint32_t topic_no;
    struct side main, old;
    MDB_cursor *frames; /* for the records of what by_topic and old name */
};

/* Moves on. False at the end, or with an error. */
static bool side_step(struct index_scan *scan, struct side *side)
{
    if (side->done || scan->txn.rc != 0)
        return false;
    int rc = mdb_cursor_get(side->cursor, &side->key, &side->raw, side->op);
    side->op = scan->reverse ? MDB_PREV : MDB_NEXT;
    if (rc == 0)
        return true;
    side->done = true;
    if (rc != MDB_NOTFOUND)
        index_txn_note(&scan->txn, rc, "read");
    return false;
}

/* Puts the cursor so that the next step gives the first entry >= key, or going backwards the last <
 * key. */
static void side_seek(struct index_scan *scan, struct side *side, const uint8_t *bytes, size_t len)
{
    MDB_val key = {len, (void *)bytes}, raw;
    int rc = mdb_cursor_get(side->cursor, &key, &raw, MDB_SET_RANGE);
    if (rc == 0)
        side->op = scan->reverse ? MDB_PREV : MDB_GET_CURRENT;
    else if (rc == MDB_NOTFOUND && scan->reverse)
        side->op = MDB_LAST;
    else
        side->done = true;
    if (rc != MDB_NOTFOUND)
        index_txn_note(&scan->txn, rc, "seek");
}

static void side_open(struct index_scan *scan, struct side *side, enum index_table table)
{
    side->table = table;
    if (scan->txn.rc == 0)
        index_txn_note(&scan->txn,
                       mdb_cursor_open(scan->txn.mdb, scan->txn.index->dbi[table], &side->cursor),
                       "cursor");
}

static struct index_scan *scan_new(struct index_snap *snap, bool reverse, struct err *err)
{
    struct index_scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        err_sys(err, ENOMEM, "scan");
        return NULL;
    }
    scan->txn = index_snap_txn(snap, err);
    scan->hidden = snap->hidden;
    scan->reverse = reverse;
    return scan;
}

static int scan_begun(struct index_scan *scan, struct index_scan **out)
{
    int rc = scan->txn.rc;
    scan->txn.err = NULL;
    if (rc == 0)
        *out = scan;
    else
        index_scan_end(scan);
    return rc;
}

void index_scan_end(struct index_scan *scan)
{
    if (!scan)
        return;
    MDB_cursor *const cursors[] = {scan->main.cursor, scan->old.cursor, scan->frames};
    for (size_t i = 0; i < sizeof cursors / sizeof cursors[0]; i++)
        if (cursors[i])
            mdb_cursor_close(cursors[i]);
    free(scan);
}

/* --- all frames ---------------------------------------------------------------------------------
 */

/* Backwards begins before the first id above `from`. */
static void seek_id(struct index_scan *scan, struct side *side, uint8_t *key, size_t at,
                    struct frame_id from)
{
    if (scan->txn.rc != 0)
        return;
    if (scan->reverse && id_cmp(from, ID_MAX) == 0) {
        memset(key + at, 0xff, ID_SIZE + 1);
        side_seek(scan, side, key, at + ID_SIZE + 1);
        return;
    }
    id_put(key + at, scan->reverse ? id_succ(from) : from);
    side_seek(scan, side, key, at + ID_SIZE);
}

int index_scan_begin(struct index_snap *snap, struct index_scan **out, struct frame_id from,
                     bool reverse, struct err *err)
{
    uint8_t key[ID_SIZE + 1];
    struct index_scan *scan = scan_new(snap, reverse, err);
    if (!scan)
        return -ENOMEM;
    scan->whole = true;
    side_open(scan, &scan->main, TABLE_FRAMES);
    seek_id(scan, &scan->main, key, 0, from);
    return scan_begun(scan, out);
}

static int next_whole(struct index_scan *scan, struct frame *out)
{
    struct side *side = &scan->main;
    if (!side_step(scan, side))
        return scan->txn.rc != 0 ? scan->txn.rc : ERR_END;
    return index_frame_read(out, span_of(side->key.mv_data, side->key.mv_size),
                            span_of(side->raw.mv_data, side->raw.mv_size), scan->txn.err);
}

/* --- one topic ----------------------------------------------------------------------------------
 */

/* Reads what is under the cursor: the id, and the seq if the table has one. */
static bool side_read(struct index_scan *scan, struct side *side)
{
    struct span value, key = span_of(side->key.mv_data, side->key.mv_size);
    bool seq = side->table == TABLE_BY_TOPIC;
    if (key.len < 4 || get_be32(key.ptr) != scan->topic_no) {
        side->done = true;
        return false;
    }
    if (key.len != (seq ? BY_TOPIC_KEY : OLD_KEY) ||
        side->raw.mv_size != (seq ? BY_TOPIC_VALUE : 0) + SEAL_SIZE ||
        !index_unseal(side->table, key, span_of(side->raw.mv_data, side->raw.mv_size), &value)) {
        index_txn_damaged(&scan->txn, side->table, key, "does not fit its checksum");
        return false;
    }
    side->id = id_get(seq ? value.ptr : key.ptr + 4);
    side->seq = seq ? get_be64(key.ptr + 4) : 0;
    side->done = seq && side->seq < scan->below; /* met going backwards only */
    side->ready = !side->done;
    return side->ready;
}

static bool side_fill(struct index_scan *scan, struct side *side)
{
    return side->ready || (side->cursor && side_step(scan, side) && side_read(scan, side));
}

/* Of the two heads the one that comes first; NULL at the end or with an error. */
static struct side *choose_side(struct index_scan *scan)
{
    bool main = side_fill(scan, &scan->main);
    if (scan->txn.rc != 0)
        return NULL;
    bool old = side_fill(scan, &scan->old);
    if (scan->txn.rc != 0)
        return NULL;
    if (!main || !old)
        return main ? &scan->main : old ? &scan->old : NULL;
    bool first = id_cmp(scan->main.id, scan->old.id) < 0;
    return first != scan->reverse ? &scan->main : &scan->old;
}

/* The record an entry names; it must name the entry back. */
static int load_named(struct index_scan *scan, const struct side *side, struct frame *out)
{
    uint8_t bytes[ID_SIZE];
    struct frame frame = {0};
    id_put(bytes, side->id);
    MDB_val raw, key = {ID_SIZE, bytes};
    struct span id = span_of(bytes, ID_SIZE);
    int rc = mdb_cursor_get(scan->frames, &key, &raw, MDB_SET_KEY);
    if (rc == MDB_NOTFOUND)
        return frame_damaged(id, scan->txn.err, "its topic names it, but it is not there");
    if (index_txn_note(&scan->txn, rc, "read frame") != 0)
        return scan->txn.rc;
    rc = index_frame_read(&frame, id, span_of(raw.mv_data, raw.mv_size), scan->txn.err);
    if (rc != 0)
        return rc;
    bool seq = side->table == TABLE_BY_TOPIC;
    if (frame.topic_no != scan->topic_no || frame.has_seq != seq || frame.seq != side->seq)
        return frame_damaged(id, scan->txn.err, "its topic names it for another place");
    *out = frame;
    return 0;
}

static int next_of_topic(struct index_scan *scan, struct frame *out)
{
    struct side *side = choose_side(scan);
    if (!side)
        return scan->txn.rc != 0 ? scan->txn.rc : ERR_END;
    side->ready = false;
    return load_named(scan, side, out);
}

int index_scan_step(struct index_scan *scan, struct frame *out, bool *hidden, struct err *err)
{
    /* An error is told once: the cursors stand on what was bad, the next step goes behind it. */
    scan->txn.rc = 0;
    scan->txn.err = err;
    *hidden = false;
    if (!scan->whole)
        return next_of_topic(scan, out);
    int rc = next_whole(scan, out);
    if (rc == 0)
        *hidden = index_hides(&scan->txn, &scan->hidden, out);
    return rc == 0 ? scan->txn.rc : rc;
}

int index_scan_next(struct index_scan *scan, struct frame *out, struct err *err)
{
    bool hidden;
    int rc;
    do
        rc = index_scan_step(scan, out, &hidden, err);
    while (rc == 0 && hidden);
    return rc;
}

/* The first entry of the topic with a seq >= seq. False when there is none, or with an error. */
static bool entry_from(struct index_scan *scan, uint64_t seq, uint64_t *found_seq,
                       struct frame_id *id)
{
    uint8_t bytes[BY_TOPIC_KEY];
    struct span found, value;
    index_by_topic_key(bytes, scan->topic_no, seq);
    if (!index_txn_seek(&scan->txn, TABLE_BY_TOPIC, span_of(bytes, sizeof bytes), 4, &found,
                        &value))
        return false;
    if (found.len != BY_TOPIC_KEY || value.len != BY_TOPIC_VALUE) {
        index_txn_damaged(&scan->txn, TABLE_BY_TOPIC, found, "has another length");
        return false;
    }
    *found_seq = get_be64(found.ptr + 4);
    *id = id_get(value.ptr);
    return true;
}

/* Ids rise with seqs in a topic. So this is the lowest seq from which on all ids are >= id. */
static uint64_t seq_of_id(struct index_scan *scan, const struct index_topic *row,
                          struct frame_id id)
{
    uint64_t low = row->first_seq, high = row->next_seq;
    while (low < high && scan->txn.rc == 0) {
        uint64_t seq, mid = low + (high - low) / 2;
        struct frame_id at;
        if (!entry_from(scan, mid, &seq, &at) || id_cmp(at, id) >= 0)
            high = mid;
        else
            low = seq + 1;
    }
    return low;
}

static void seek_seq(struct index_scan *scan, uint64_t seq)
{
    uint8_t key[BY_TOPIC_KEY];
    index_by_topic_key(key, scan->topic_no, seq);
    if (scan->txn.rc == 0)
        side_seek(scan, &scan->main, key, sizeof key);
}

static void seek_main(struct index_scan *scan, struct frame_id from)
{
    struct index_topic row;
    if (scan->below == UINT64_MAX || !index_row_get(&scan->txn, scan->topic_no, &row)) {
        scan->main.done = true;
        return;
    }
    bool last = scan->reverse && id_cmp(from, ID_MAX) == 0;
    if (last)
        seek_seq(scan, row.next_seq);
    else if (!scan->reverse && id_cmp(from, ID_MIN) == 0)
        seek_seq(scan, row.first_seq);
    else
        seek_seq(scan, seq_of_id(scan, &row, scan->reverse ? id_succ(from) : from));
}

/* What a purge is to remove of the topic is not shown; of a dropped one, nothing is. */
static void bound_topic(struct index_scan *scan)
{
    if (scan->txn.rc == 0)
        scan->below = index_hidden_below(&scan->txn, &scan->hidden, scan->topic_no);
    if (scan->below == UINT64_MAX)
        scan->main.done = scan->old.done = true;
}

static void open_frames(struct index_scan *scan)
{
    struct index_txn *txn = &scan->txn;
    if (txn->rc == 0)
        index_txn_note(txn, mdb_cursor_open(txn->mdb, txn->index->dbi[TABLE_FRAMES], &scan->frames),
                       "cursor");
}

int index_topic_scan_begin(struct index_snap *snap, struct index_scan **out, uint32_t topic_no,
                           struct frame_id from, bool reverse, struct err *err)
{
    uint8_t key[OLD_KEY + 1];
    struct index_scan *scan = scan_new(snap, reverse, err);
    if (!scan)
        return -ENOMEM;
    scan->topic_no = topic_no;
    side_open(scan, &scan->main, TABLE_BY_TOPIC);
    side_open(scan, &scan->old, TABLE_OLD);
    open_frames(scan);
    bound_topic(scan);
    seek_main(scan, from);
    put_be32(key, topic_no);
    if (scan->below < UINT64_MAX)
        seek_id(scan, &scan->old, key, 4, from);
    index_txn_finish(&scan->txn);
    return scan_begun(scan, out);
}

int index_seq_scan_begin(struct index_snap *snap, struct index_scan **out, uint32_t topic_no,
                         uint64_t from_seq, struct err *err)
{
    struct index_scan *scan = scan_new(snap, false, err);
    if (!scan)
        return -ENOMEM;
    scan->topic_no = topic_no;
    side_open(scan, &scan->main, TABLE_BY_TOPIC);
    open_frames(scan);
    bound_topic(scan);
    if (scan->below < UINT64_MAX)
        seek_seq(scan, from_seq > scan->below ? from_seq : scan->below);
    return scan_begun(scan, out);
}

/* --- expiry -------------------------------------------------------------------------------------
 */

int index_expired(struct index_snap *snap, uint64_t now_ms, struct frame_id *ids, size_t room,
                  size_t *count, uint64_t *next_ms, struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct span key, value;
    size_t n = 0;
    uint64_t next = 0;
    bool found = index_txn_seek(&txn, TABLE_EXPIRY, (struct span){0}, 0, &key, &value);
    for (; found; found = index_txn_next(&txn, TABLE_EXPIRY, 0, &key, &value)) {
        if (key.len != PAIR_KEY) {
            index_txn_damaged(&txn, TABLE_EXPIRY, key, "has another length");
            break;
        }
        next = get_be64(key.ptr);
        if (next > now_ms || n == room)
            break;
        ids[n++] = id_get(key.ptr + 8);
    }
    if (index_txn_finish(&txn) != 0)
        return txn.rc;
    *count = n;
    *next_ms = found ? next : 0;
    return 0;
}
