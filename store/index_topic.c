/*
 * Topics: rows by number, numbers by name.
 *
 * Row:
 *   offset  size  field
 *   0       8     next seq
 *   8       8     live frames
 *   16      8     live frames with seq
 *   24      8     lowest live seq (next seq when there is none)
 *   32      16    highest id
 *   48      8     last S2 timestamp
 *   56      8     bytes of live frame records
 *   64      .     name
 *
 * A name has up to 512 bytes and a key up to 511, so one key may stand for several names, which
 * then differ only in their last byte or its absence. Its value lists their numbers in byte order
 * of the names.
 */
#include "base/bytes.h"
#include "store/index_impl.h"

#define ROW_HEAD 64
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

static void row_decode(struct index_topic *out, uint32_t no, struct span value)
{
    const uint8_t *p = value.ptr;
    *out = (struct index_topic){
        .no = no,
        .next_seq = get_be64(p),
        .live = get_be64(p + 8),
        .live_seq = get_be64(p + 16),
        .first_seq = get_be64(p + 24),
        .last_id = id_get(p + 32),
        .last_stamp = get_be64(p + 48),
        .bytes = get_be64(p + 56),
        .name = span_of(p + ROW_HEAD, value.len - ROW_HEAD),
    };
}

bool index_row_get(struct index_txn *txn, uint32_t no, struct index_topic *out)
{
    uint8_t bytes[NUMBER_SIZE];
    struct span value, key = number_key(bytes, no);
    if (!index_txn_get(txn, TABLE_TOPICS, key, &value))
        return false;
    if (value.len <= ROW_HEAD || value.len > ROW_HEAD + TOPIC_MAX) {
        index_txn_damaged(txn, TABLE_TOPICS, key, "has another length");
        return false;
    }
    row_decode(out, no, value);
    return true;
}

void index_row_put(struct index_txn *txn, const struct index_topic *row)
{
    uint8_t bytes[NUMBER_SIZE], p[ROW_HEAD + TOPIC_MAX];
    put_be64(p, row->next_seq);
    put_be64(p + 8, row->live);
    put_be64(p + 16, row->live_seq);
    put_be64(p + 24, row->first_seq);
    id_put(p + 32, row->last_id);
    put_be64(p + 48, row->last_stamp);
    put_be64(p + 56, row->bytes);
    memcpy(p + ROW_HEAD, row->name.ptr, row->name.len);
    index_txn_put(txn, TABLE_TOPICS, number_key(bytes, row->no),
                  span_of(p, ROW_HEAD + row->name.len), 0);
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
    int c = memcmp(a.ptr, b.ptr, a.len < b.len ? a.len : b.len);
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

/* --- reading ---------------------------------------------------------------------------------- */

static int topic_missing(struct index_txn *txn)
{
    return index_txn_fail(txn, ERR_NOT_FOUND, "no such topic");
}

int index_topic_by_name(struct index_snap *snap, struct span name, struct index_topic *out,
                        struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    return index_name_get(&txn, name, out) ? 0 : topic_missing(&txn);
}

int index_topic_by_no(struct index_snap *snap, uint32_t no, struct index_topic *out,
                      struct err *err)
{
    struct index_txn txn = index_snap_txn(snap, err);
    return index_row_get(&txn, no, out) ? 0 : topic_missing(&txn);
}

static bool starts_with(struct span s, struct span prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

struct listing {
    struct span prefix;
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
        int stop = starts_with(row.name, listing->prefix) ? listing->each(listing->arg, &row) : 0;
        if (stop != 0)
            return stop;
    }
    return 0;
}

int index_topics(struct index_snap *snap, struct span prefix,
                 int (*each)(void *arg, const struct index_topic *topic), void *arg,
                 struct err *err)
{
    struct listing listing = {prefix, each, arg};
    struct index_txn txn = index_snap_txn(snap, err);
    struct span key, numbers, start = name_key(prefix);
    int stop = 0;
    bool found = index_txn_seek(&txn, TABLE_NAMES, start, start.len, &key, &numbers);
    while (found && stop == 0) {
        stop = list_key(&txn, &listing, key, numbers);
        found = index_txn_next(&txn, TABLE_NAMES, start.len, &key, &numbers);
    }
    index_txn_finish(&txn);
    return stop != 0 ? stop : txn.rc;
}
