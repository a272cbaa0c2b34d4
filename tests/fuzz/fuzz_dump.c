/*
 * Dumps: any bytes are read or refused with a text; what is read can be written again and gives the
 * same items. The checksum of the end is put right first where the input asks for it, else no input
 * would get there.
 */
#include <assert.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/bytes.h"
#include "daemon/dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An end item at the very end of the input gets the checksum of what is before it. */
static void mend_end(uint8_t *bytes, size_t size)
{
    if (size < DUMP_HEAD + 29)
        return;
    uint8_t *end = bytes + size - 29;
    if (end[0] == 'E' && get_be32(end + 1) == 24)
        put_be64(end + 21, XXH3_64bits(bytes, size - 29));
}

/* A mark with its first ids, written and read. What follows of it is as the first ids are. */
static void check_mark(const struct dump_item *item)
{
    struct dump_writer *w;
    struct dump_reader *r;
    struct dump_item again;
    struct buf out = BUF_INIT, items = BUF_INIT;
    uint8_t uuid[16] = {0};
    size_t count = item->acked.len / ID_SIZE;
    struct frame_id *ids = malloc((count + 1) * sizeof(*ids));
    assert(ids && dump_writer_create(&w) == 0 && dump_reader_create(&r) == 0);
    for (size_t i = 0; i < count; i++)
        ids[i] = id_get(item->acked.ptr + i * ID_SIZE);
    struct store_mark_view mark = {item->name, item->config, item->low, ids, count, ID_MIN};
    assert(dump_mark_items(&items, &mark) == 0 && dump_put_head(w, &out, uuid, true, false) == 0);
    assert(dump_put_rest(w, &out, buf_span(&items)) == 0);
    struct span rest = buf_span(&out);
    assert(dump_next(r, &rest, &again, NULL) == 0 && rest.len == 0 && !again.more);
    assert(span_eq(again.name, item->name) && span_eq(again.config, item->config));
    assert(id_cmp(again.low, item->low) == 0 && span_eq(again.acked, item->acked));
    dump_writer_destroy(w);
    dump_reader_destroy(r);
    buf_finish(&out);
    buf_finish(&items);
    free(ids);
}

/* A topic's item is made of the same bytes again. */
static void check_topic(const struct dump_item *item)
{
    struct buf out = BUF_INIT;
    size_t len = item->topic.name.len + item->topic.token.len + item->topic.note.len;
    assert(dump_topic_item(&out, &item->topic) == 0 && out.len > len);
    assert(memcmp(out.ptr + out.len - len, item->topic.name.ptr, len) == 0);
    assert(memcmp(out.ptr, item->topic.name.ptr - (out.len - len), out.len) == 0);
    buf_finish(&out);
}

static void check_item(const struct dump_item *item)
{
    if (item->type == DUMP_MARK)
        check_mark(item);
    if (item->type == DUMP_TOPIC)
        check_topic(item);
    if (item->type != DUMP_FRAME)
        return;
    struct dump_writer *w;
    struct buf out = BUF_INIT;
    struct dump_reader *r;
    struct dump_item again;
    uint8_t uuid[16] = {0};
    assert(dump_writer_create(&w) == 0 && dump_reader_create(&r) == 0);
    assert(dump_put_head(w, &out, uuid, false, false) == 0);
    assert(dump_put_frame(w, &out, &item->frame, item->missing) == 0);
    struct span rest = buf_span(&out);
    assert(dump_next(r, &rest, &again, NULL) == 0 && rest.len == 0);
    assert(id_cmp(again.frame.id, item->frame.id) == 0 && again.frame.seq == item->frame.seq);
    assert(span_eq(again.frame.topic, item->frame.topic) &&
           span_eq(again.frame.meta, item->frame.meta));
    assert(span_eq(again.frame.content, item->frame.content) && again.missing == item->missing);
    assert(again.frame.deadline_ms == item->frame.deadline_ms &&
           again.frame.stamp == item->frame.stamp);
    dump_writer_destroy(w);
    dump_reader_destroy(r);
    buf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dump_reader *r;
    struct dump_item item;
    struct err err = ERR_INIT;
    uint8_t *bytes = malloc(size + 1);
    if (!bytes || dump_reader_create(&r) < 0)
        abort();
    if (size > 0)
        memcpy(bytes, data, size);
    mend_end(bytes, size);
    struct span rest = span_of(bytes, size);
    int rc;
    while ((rc = dump_next(r, &rest, &item, &err)) == 0)
        check_item(&item);
    assert(rc == ERR_END || (err.code == rc && err.text[0]));
    assert(!dump_ended(r) || rest.len == 0 || rc != ERR_END);
    dump_reader_destroy(r);
    free(bytes);
    return 0;
}
