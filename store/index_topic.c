/*
 * Topics: rows by number, numbers by name.
 *
 * Row:
 *   offset  size  field
 *   0       1     version = 2 (rows of index formats 1 and 2 had none: see index_upgrade.c)
 *   1       1     flags: 1 client timestamps may lie ahead, 2 dead
 *   2       1     stamp mode
 *   3       1     token length
 *   4       2     name length
 *   6       2     note length
 *   8       8     next seq
 *   16      8     live frames
 *   24      8     live frames with seq
 *   32      8     lowest live seq (next seq when there is none)
 *   40      16    highest id
 *   56      8     last S2 timestamp
 *   64      8     bytes of live frame records
 *   72      8     trim point
 *   80      8     made at, ms since the epoch
 *   88      8     revision
 *   96      8     retention ms
 *   104     8     empty after ms
 *   112     .     name, token, note
 *
 * A dead row is that of a dropped topic: no name leads to it, and it goes when the last frame has.
 *
 * A name has up to 512 bytes and a key up to 511, so one key may stand for several names, which
 * then differ only in their last byte or its absence. Its value lists their numbers in byte order
 * of the names.
 */
#include "base/bytes.h"
#include "store/index_impl.h"

#define ROW_VERSION 2
#define ROW_HEAD 112
#define ROW_MAX (ROW_HEAD + TOPIC_MAX + TOKEN_MAX + TOPIC_NOTE_MAX)
#define ROW_UNCAPPED 1u
#define ROW_DEAD 2u
#define NUMBER_SIZE 4

static struct span number_key(uint8_t out[static NUMBER_SIZE], uint32_t no)
{
    put_be32(out, no);
    return span_of(out, NUMBER_SIZE);
}

static struct span name_key(struct span name)
{
    return span_of(name.ptr, name.len < INDEX_KEY_MAX ? name.len : INDEX_KEY_MAX);
}

/* --- rows ------------------------------------------------------------------------------------- */

static void decode_spans(struct index_topic *out, const uint8_t *p)
{
    size_t token = p[3], name = get_be16(p + 4), note = get_be16(p + 6);
    out->name = span_of(p + ROW_HEAD, name);
    out->token = span_of(p + ROW_HEAD + name, token);
    out->note = span_of(p + ROW_HEAD + name + token, note);
}

static void row_decode(struct index_topic *out, uint32_t no, const uint8_t *p)
{
    *out = (struct index_topic){
        .no = no,
        .next_seq = get_be64(p + 8),
        .live = get_be64(p + 16),
        .live_seq = get_be64(p + 24),
        .first_seq = get_be64(p + 32),
        .last_id = id_get(p + 40),
        .last_stamp = get_be64(p + 56),
        .bytes = get_be64(p + 64),
        .trim = get_be64(p + 72),
        .created_ms = get_be64(p + 80),
        .revision = get_be64(p + 88),
        .rules = {.retention_ms = get_be64(p + 96),
                  .stamp_mode = (enum stamp_mode)p[2],
                  .uncapped = p[1] & ROW_UNCAPPED,
                  .empty_after_ms = get_be64(p + 104)},
        .dead = p[1] & ROW_DEAD,
    };
    decode_spans(out, p);
}

static bool row_fits(struct span value)
{
    const uint8_t *p = value.ptr;
    if (value.len < ROW_HEAD || p[0] != ROW_VERSION || p[2] > STAMP_ARRIVAL)
        return false;
    size_t name = get_be16(p + 4), note = get_be16(p + 6);
    return name > 0 && name <= TOPIC_MAX && p[3] <= TOKEN_MAX && note <= TOPIC_NOTE_MAX &&
           value.len == ROW_HEAD + name + p[3] + note;
}

bool index_row_get(struct index_txn *txn, uint32_t no, struct index_topic *out)
{
    uint8_t bytes[NUMBER_SIZE];
    struct span value, key = number_key(bytes, no);
    if (!index_txn_get(txn, TABLE_TOPICS, key, &value))
        return false;
    if (!row_fits(value)) {
        index_txn_damaged(txn, TABLE_TOPICS, key, "has another form");
        return false;
    }
    row_decode(out, no, value.ptr);
    return true;
}

static void put_head(uint8_t *p, const struct index_topic *row)
{
    p[0] = ROW_VERSION;
    p[1] = (uint8_t)((row->rules.uncapped ? ROW_UNCAPPED : 0) | (row->dead ? ROW_DEAD : 0));
    p[2] = (uint8_t)row->rules.stamp_mode;
    p[3] = (uint8_t)row->token.len;
    put_be16(p + 4, (uint16_t)row->name.len);
    put_be16(p + 6, (uint16_t)row->note.len);
    put_be64(p + 8, row->next_seq);
    put_be64(p + 16, row->live);
    put_be64(p + 24, row->live_seq);
    put_be64(p + 32, row->first_seq);
    id_put(p + 40, row->last_id);
    put_be64(p + 56, row->last_stamp);
    put_be64(p + 64, row->bytes);
    put_be64(p + 72, row->trim);
    put_be64(p + 80, row->created_ms);
    put_be64(p + 88, row->revision);
    put_be64(p + 96, row->rules.retention_ms);
    put_be64(p + 104, row->rules.empty_after_ms);
}

void index_row_put(struct index_txn *txn, const struct index_topic *row)
{
    uint8_t bytes[NUMBER_SIZE], p[ROW_MAX];
    const struct span parts[] = {row->name, row->token, row->note};
    size_t len = ROW_HEAD;
    put_head(p, row);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            memcpy(p + len, parts[i].ptr, parts[i].len);
        len += parts[i].len;
    }
    index_txn_put(txn, TABLE_TOPICS, number_key(bytes, row->no), span_of(p, len), 0);
}

void index_row_del(struct index_txn *txn, uint32_t no)
{
    uint8_t bytes[NUMBER_SIZE];
    index_txn_del(txn, TABLE_TOPICS, number_key(bytes, no));
}

/* --- names ------------------------------------------------------------------------------------ */

/* The row a name's entry points to; that it is missing is damage. */
static bool named_row(struct index_txn *txn, struct span key, const uint8_t *number,
                      struct index_topic *out)
{
    if (index_row_get(txn, get_be32(number), out))
        return true;
    index_txn_damaged(txn, TABLE_NAMES, key, "names a topic without a row");
    return false;
}

static bool numbers_fit(struct index_txn *txn, struct span key, struct span numbers)
{
    if (numbers.len > 0 && numbers.len % NUMBER_SIZE == 0)
        return true;
    index_txn_damaged(txn, TABLE_NAMES, key, "has another length");
    return false;
}

bool index_name_get(struct index_txn *txn, struct span name, struct index_topic *out)
{
    struct span numbers, key = name_key(name);
    struct index_topic row;
    if (!index_txn_get(txn, TABLE_NAMES, key, &numbers) || !numbers_fit(txn, key, numbers))
        return false;
    for (size_t at = 0; at < numbers.len; at += NUMBER_SIZE) {
        if (!named_row(txn, key, numbers.ptr + at, &row))
            return false;
        if (span_eq(row.name, name)) {
            *out = row;
            return true;
        }
    }
    return false;
}

static int name_cmp(struct span a, struct span b)
{
    const size_t len = a.len < b.len ? a.len : b.len;
    int c = len > 0 ? memcmp(a.ptr, b.ptr, len) : 0;
    return c != 0 ? c : (a.len > b.len) - (a.len < b.len);
}

void index_name_add(struct index_txn *txn, struct span name, uint32_t no)
{
    /* 511 bytes alone, and followed by each byte there is. */
    uint8_t list[NUMBER_SIZE * (1 + 256 + 1)];
    struct span numbers = {0}, key = name_key(name);
    struct index_topic row;
    size_t at = 0;
    if (index_txn_get(txn, TABLE_NAMES, key, &numbers) && !numbers_fit(txn, key, numbers))
        return;
    if (numbers.len > sizeof list - NUMBER_SIZE) {
        index_txn_damaged(txn, TABLE_NAMES, key, "has too many topics");
        return;
    }
    while (at < numbers.len && named_row(txn, key, numbers.ptr + at, &row) &&
           name_cmp(row.name, name) < 0)
        at += NUMBER_SIZE;
    if (at > 0)
        memcpy(list, numbers.ptr, at);
    put_be32(list + at, no);
    if (at < numbers.len)
        memcpy(list + at + NUMBER_SIZE, numbers.ptr + at, numbers.len - at);
    index_txn_put(txn, TABLE_NAMES, key, span_of(list, numbers.len + NUMBER_SIZE), 0);
}

void index_name_remove(struct index_txn *txn, struct span name, uint32_t no)
{
    uint8_t list[NUMBER_SIZE * (1 + 256 + 1)];
    struct span numbers, key = name_key(name);
    size_t len = 0;
    if (!index_txn_get(txn, TABLE_NAMES, key, &numbers) || !numbers_fit(txn, key, numbers))
        return;
    for (size_t at = 0; at < numbers.len && len < sizeof list; at += NUMBER_SIZE)
        if (get_be32(numbers.ptr + at) != no) {
            memcpy(list + len, numbers.ptr + at, NUMBER_SIZE);
            len += NUMBER_SIZE;
        }
    if (len == 0)
        index_txn_del(txn, TABLE_NAMES, key);
    else
        index_txn_put(txn, TABLE_NAMES, key, span_of(list, len), 0);
}

/* --- reading ---------------------------------------------------------------------------------- */

/* Counts of a topic that a purge is at are too high: at most what is left. */
static void bound_counts(struct index_topic *topic)
{
    uint64_t most = topic->next_seq - topic->first_seq, old = topic->live - topic->live_seq;
    topic->uncounted = true;
    if (topic->live_seq > most)
        topic->live_seq = most;
    topic->live = old + topic->live_seq;
}

/* A row as a snapshot shows it. */
static bool shown(struct index_txn *txn, struct index_hidden *hidden, struct index_topic *topic)
{
    if (topic->dead)
        return false;
    if (index_hidden_below(txn, hidden, topic->no) > 0)
        bound_counts(topic);
    return txn->rc == 0;
}

static int topic_missing(struct index_txn *txn)
{
    return index_txn_fail(txn, ERR_NOT_FOUND, "no such topic");
}

int index_topic_by_name(struct index_snap *snap, struct span name, struct index_topic *out,
                        struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct index_topic row;
    if (!index_name_get(&txn, name, &row) || !shown(&txn, &snap->hidden, &row))
        return topic_missing(&txn);
    *out = row;
    return 0;
}

int index_topic_by_no(struct index_snap *snap, uint32_t no, struct index_topic *out,
                      struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    struct index_topic row;
    if (!index_row_get(&txn, no, &row) || !shown(&txn, &snap->hidden, &row))
        return topic_missing(&txn);
    *out = row;
    return 0;
}

static bool starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

struct listing {
    struct index_hidden *hidden;
    struct span prefix, after;
    int (*each)(void *arg, const struct index_topic *topic);
    void *arg;
};

/* The topics of one key. Ends with what `each` says, or at an error. */
static int list_key(struct index_txn *txn, const struct listing *listing, struct span key,
                    struct span numbers)
{
    if (!numbers_fit(txn, key, numbers))
        return 0;
    for (size_t at = 0; at < numbers.len; at += NUMBER_SIZE) {
        struct index_topic row;
        if (!named_row(txn, key, numbers.ptr + at, &row))
            return 0;
        if (!starts_with(row.name, listing->prefix) ||
            (listing->after.len > 0 && name_cmp(row.name, listing->after) <= 0) ||
            !shown(txn, listing->hidden, &row))
            continue;
        int stop = listing->each(listing->arg, &row);
        if (stop != 0)
            return stop;
    }
    return 0;
}

/* Where a listing begins. False: nothing that starts with the prefix comes behind `after`. */
static bool listing_start(struct span prefix, struct span after, struct span *start)
{
    *start = name_key(prefix);
    if (after.len == 0 || name_cmp(after, prefix) <= 0)
        return true;
    *start = name_key(after);
    return starts_with(after, prefix);
}

int index_topics(struct index_snap *snap, struct span prefix, struct span after,
                 int (*each)(void *arg, const struct index_topic *topic), void *arg,
                 struct err *err)
{
    struct listing listing = {&snap->hidden, prefix, after, each, arg};
    struct index_txn txn = index_snap_txn(snap, err);
    struct span key, numbers, start;
    size_t same = name_key(prefix).len;
    int stop = 0;
    if (!listing_start(prefix, after, &start))
        return 0;
    bool found = index_txn_seek(&txn, TABLE_NAMES, start, same, &key, &numbers);
    while (found && stop == 0) {
        stop = list_key(&txn, &listing, key, numbers);
        found = index_txn_next(&txn, TABLE_NAMES, same, &key, &numbers);
    }
    index_txn_finish(&txn);
    return stop != 0 ? stop : txn.rc;
}
