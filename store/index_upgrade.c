/*
 * Rows of topics as index formats 1 and 2 had them, made into those of this one (index_topic.c).
 *
 * Row then:
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
 * When such a topic was made nobody noted: its oldest frame's time is taken, or its newest id's when none is left.
 */
#include "base/bytes.h"
#include "store/index_impl.h"

#define ROW_HEAD 64
#define NUMBER_SIZE 4

static bool row_decode(struct index_topic *out, struct span key, struct span value)
{
    const uint8_t *p = value.ptr;
    if (key.len != NUMBER_SIZE || value.len <= ROW_HEAD || value.len > ROW_HEAD + TOPIC_MAX)
        return false;
    *out = (struct index_topic){
        .no = get_be32(key.ptr),
        .next_seq = get_be64(p),
        .live = get_be64(p + 8),
        .live_seq = get_be64(p + 16),
        .first_seq = get_be64(p + 24),
        .last_id = id_get(p + 32),
        .last_stamp = get_be64(p + 48),
        .bytes = get_be64(p + 56),
        .name = span_of(p + ROW_HEAD, value.len - ROW_HEAD),
    };
    return true;
}

/* The id of the topic's first entry in a table. `id` stays when there is none that is older. */
static void older(struct index_txn *txn, enum index_table table, uint32_t no, struct frame_id *id)
{
    uint8_t prefix[NUMBER_SIZE];
    struct span key, value;
    put_be32(prefix, no);
    if (!index_txn_seek(txn, table, span_of(prefix, sizeof prefix), sizeof prefix, &key, &value))
        return;
    struct span bytes = table == TABLE_OLD ? span_of(key.ptr + NUMBER_SIZE, key.len - NUMBER_SIZE) : value;
    if (bytes.len < ID_SIZE)
        index_txn_damaged(txn, table, key, "has another length");
    else if (id_cmp(id_get(bytes.ptr), *id) < 0)
        *id = id_get(bytes.ptr);
}

void index_rows_upgrade(struct index_txn *txn)
{
    uint8_t at[NUMBER_SIZE] = {0}, name[TOPIC_MAX];
    struct index_topic row;
    struct span key, value;
    while (index_txn_seek(txn, TABLE_TOPICS, span_of(at, sizeof at), 0, &key, &value)) {
        if (!row_decode(&row, key, value)) {
            index_txn_damaged(txn, TABLE_TOPICS, key, "has another form");
            return;
        }
        struct frame_id first = row.last_id;
        memcpy(name, row.name.ptr, row.name.len);
        row.name.ptr = name;
        older(txn, TABLE_BY_TOPIC, row.no, &first);
        older(txn, TABLE_OLD, row.no, &first);
        row.created_ms = id_time_ms(first);
        index_row_put(txn, &row);
        if (row.no == UINT32_MAX)
            return;
        put_be32(at, row.no + 1);
    }
}
