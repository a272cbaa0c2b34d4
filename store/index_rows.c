/*
 * Rows in memory.
 */
#include "store/index_rows.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bytes.h"

void index_rows_finish(struct index_rows *rows)
{
    for (size_t i = 0; i < rows->cap; i++)
        free(rows->slots[i]);
    free(rows->slots);
    *rows = (struct index_rows){0};
}

/* The slot of a number, or the free one where it belongs. cap is a power of two and never full. */
static struct index_row **find_slot(struct index_row **slots, size_t cap, uint32_t no)
{
    size_t at = ((size_t)no * 2654435761u) & (cap - 1);
    while (slots[at] && slots[at]->topic.no != no)
        at = (at + 1) & (cap - 1);
    return &slots[at];
}

static bool make_room(struct index_rows *rows)
{
    if (2 * rows->count < rows->cap)
        return true;
    size_t cap = rows->cap ? 2 * rows->cap : 64;
    struct index_row **slots = calloc(cap, sizeof(struct index_row *));
    if (!slots)
        return false;
    for (size_t i = 0; i < rows->cap; i++)
        if (rows->slots[i])
            *find_slot(slots, cap, rows->slots[i]->topic.no) = rows->slots[i];
    free(rows->slots);
    rows->slots = slots;
    rows->cap = cap;
    return true;
}

/* Copies a text to *at, which moves behind it. */
static struct span keep(uint8_t **at, struct span text)
{
    struct span kept = span_of(*at, text.len);
    if (text.len > 0)
        memcpy(*at, text.ptr, text.len);
    *at += text.len;
    return kept;
}

struct index_row *index_rows_new(struct index_rows *rows, struct index_txn *txn,
                                 const struct index_topic *topic)
{
    size_t texts = topic->name.len + topic->token.len + topic->note.len;
    struct index_row *row = make_room(rows) ? malloc(sizeof *row + texts) : NULL;
    if (!row) {
        index_txn_fail(txn, -ENOMEM, "index: out of memory");
        return NULL;
    }
    uint8_t *text = (uint8_t *)(row + 1);
    *row = (struct index_row){.topic = *topic};
    row->topic.name = keep(&text, topic->name);
    row->topic.token = keep(&text, topic->token);
    row->topic.note = keep(&text, topic->note);
    *find_slot(rows->slots, rows->cap, topic->no) = row;
    rows->count++;
    return row;
}

struct index_row *index_rows_find(const struct index_rows *rows, uint32_t no)
{
    return rows->cap > 0 ? *find_slot(rows->slots, rows->cap, no) : NULL;
}

struct index_row *index_rows_get(struct index_rows *rows, struct index_txn *txn, uint32_t no)
{
    struct index_topic topic;
    struct index_row *row = index_rows_find(rows, no);
    if (row)
        return row;
    return index_row_get(txn, no, &topic) ? index_rows_new(rows, txn, &topic) : NULL;
}

/* Moves first_seq up to the lowest seq that is there. */
static void find_first(struct index_txn *txn, struct index_topic *topic)
{
    uint8_t key[BY_TOPIC_KEY];
    struct span found, value;
    index_by_topic_key(key, topic->no, topic->first_seq);
    if (!index_txn_seek(txn, TABLE_BY_TOPIC, span_of(key, sizeof key), 4, &found, &value))
        topic->first_seq = topic->next_seq;
    else if (found.len == BY_TOPIC_KEY)
        topic->first_seq = get_be64(found.ptr + 4);
}

static int row_cmp(const void *a, const void *b)
{
    const struct index_row *const *x = a, *const *y = b;
    return ((*x)->topic.no > (*y)->topic.no) - ((*x)->topic.no < (*y)->topic.no);
}

void index_rows_write(struct index_rows *rows, struct index_txn *txn)
{
    if (txn->rc != 0 || rows->count == 0)
        return;
    /* Packed and sorted it is no hash table any more: this is the last use. */
    size_t n = 0;
    for (size_t i = 0; i < rows->cap; i++)
        if (rows->slots[i]) {
            struct index_row *row = rows->slots[i];
            rows->slots[i] = NULL;
            rows->slots[n++] = row;
        }
    qsort(rows->slots, n, sizeof(struct index_row *), row_cmp);
    for (size_t i = 0; i < n && txn->rc == 0; i++) {
        struct index_row *row = rows->slots[i];
        if (row->seek_first && !row->gone)
            find_first(txn, &row->topic);
        if (row->gone)
            index_row_del(txn, row->topic.no);
        else if (row->dirty)
            index_row_put(txn, &row->topic);
    }
}
