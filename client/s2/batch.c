#include "client/s2/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "base/s2/record.h"
#include "base/text.h"
#include "client/s2/fault.h"

void s2c_batch_init(struct s2c_batch *b, size_t max_count, uint64_t max_metered)
{
    *b = (struct s2c_batch){0};
    b->max_count = max_count > 0 && max_count < S2_RECORDS_MAX ? max_count : S2_RECORDS_MAX;
    b->max_metered = max_metered > 0 && max_metered < S2_METERED_MAX ? max_metered : S2_METERED_MAX;
}

int s2c_batch_check(const struct s2_record *record, struct weir_s2_err *err)
{
    struct err why = ERR_INIT;
    enum s2_command command;
    if (s2_metered(record) > S2_METERED_MAX)
        return s2c_fail(err, WEIR_S2_LOCAL, ERR_TOO_LARGE,
                        "a record of %llu metered bytes is over the limit of %d",
                        (unsigned long long)s2_metered(record), S2_METERED_MAX);
    return s2_record_command(record, &command, &why) == 0 ? 0 : s2c_fail_local(err, &why);
}

bool s2c_batch_fits(const struct s2c_batch *b, const struct s2_record *record)
{
    return b->count == 0 ||
           (b->count < b->max_count && b->metered + s2_metered(record) <= b->max_metered);
}

bool s2c_batch_full(const struct s2c_batch *b)
{
    return b->count >= b->max_count || b->metered >= b->max_metered;
}

/* Never moves: room for all that may come was made with the first record. */
static struct span stow(struct s2c_batch *b, struct span from)
{
    const uint8_t *at = b->bytes.ptr + b->bytes.len;
    (void)buf_add_span(&b->bytes, from);
    return span_of(at, from.len);
}

int s2c_batch_add(struct s2c_batch *b, const struct s2_record *record)
{
    struct s2_record copy = *record;
    if ((b->count == 0 && buf_reserve(&b->bytes, S2_METERED_MAX) != 0) ||
        buf_reserve(&b->items, sizeof(copy)) != 0 ||
        buf_reserve(&b->heads, record->header_count * sizeof(struct s2_header)) != 0)
        return -ENOMEM;
    for (size_t i = 0; i < record->header_count; i++) {
        struct s2_header h = {stow(b, record->headers[i].name), stow(b, record->headers[i].value)};
        (void)buf_add(&b->heads, &h, sizeof(h));
    }
    copy.body = stow(b, record->body);
    (void)buf_add(&b->items, &copy, sizeof(copy));
    if (b->count++ == 0)
        b->begun_us = time_mono_us();
    b->metered += s2_metered(record);
    return 0;
}

const struct s2_record *s2c_batch_records(struct s2c_batch *b)
{
    struct s2_record *items = (struct s2_record *)(void *)b->items.ptr;
    const struct s2_header *heads = (const struct s2_header *)(const void *)b->heads.ptr;
    for (size_t i = 0; i < b->count; i++) {
        items[i].headers = heads;
        heads += items[i].header_count;
    }
    return items;
}

void s2c_batch_reset(struct s2c_batch *b)
{
    b->count = 0;
    b->metered = 0;
    buf_reset(&b->bytes);
    buf_reset(&b->items);
    buf_reset(&b->heads);
}

void s2c_batch_finish(struct s2c_batch *b)
{
    buf_finish(&b->bytes);
    buf_finish(&b->items);
    buf_finish(&b->heads);
}
