#include "daemon/serve/pairs.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clean.h"
#include "base/json.h"
#include "base/utf8.h"

#define NONE UINT32_MAX

struct row {
    size_t name, name_len, value, value_len; /* in pairs->text */
};

/* A row's place among those of the same name. */
struct link {
    struct span name;
    uint32_t row;
    uint32_t next; /* row, or NONE */
    bool first;
};

int pairs_add(struct pairs *pairs, struct span name, struct span value)
{
    struct row row = {.name = pairs->text.len, .name_len = name.len, .value_len = value.len};
    int rc = buf_add_span(&pairs->text, name);
    row.value = pairs->text.len;
    if (rc == 0)
        rc = buf_add_span(&pairs->text, value);
    if (rc == 0)
        rc = buf_add(&pairs->rows, &row, sizeof(row));
    pairs->count += rc == 0;
    return rc;
}

void pairs_finish(struct pairs *pairs)
{
    buf_finish(&pairs->text);
    buf_finish(&pairs->rows);
    pairs->count = 0;
}

static const struct row *row_at(const struct pairs *pairs, uint32_t i)
{
    return (const struct row *)(const void *)pairs->rows.ptr + i;
}

/* Without any text there is nothing to point into. */
static struct span part_of(const struct pairs *pairs, size_t at, size_t len)
{
    return len > 0 ? span_of(pairs->text.ptr + at, len) : span_of("", 0);
}

static struct span name_of(const struct pairs *pairs, uint32_t i)
{
    const struct row *row = row_at(pairs, i);
    return part_of(pairs, row->name, row->name_len);
}

static struct span value_of(const struct pairs *pairs, uint32_t i)
{
    const struct row *row = row_at(pairs, i);
    return part_of(pairs, row->value, row->value_len);
}

static int compare(const void *a, const void *b)
{
    const struct link *x = a, *y = b;
    size_t len = x->name.len < y->name.len ? x->name.len : y->name.len;
    int by_name = len > 0 ? memcmp(x->name.ptr, y->name.ptr, len) : 0;
    if (by_name == 0 && x->name.len != y->name.len)
        by_name = x->name.len < y->name.len ? -1 : 1;
    if (by_name != 0)
        return by_name;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* Sets `links`, by row: who comes next under the same name, and who is first. */
static void link_up(const struct pairs *pairs, struct link *sorted, struct link *links)
{
    for (uint32_t i = 0; i < pairs->count; i++)
        sorted[i] = (struct link){.name = name_of(pairs, i), .row = i};
    if (pairs->count > 1)
        qsort(sorted, pairs->count, sizeof(*sorted), compare);
    for (uint32_t i = 0; i < pairs->count; i++) {
        bool same = i > 0 && span_eq(sorted[i - 1].name, sorted[i].name);
        links[sorted[i].row] = (struct link){.next = NONE, .first = !same};
        if (same)
            links[sorted[i - 1].row].next = sorted[i].row;
    }
}

/* --- writing --------------------------------------------------------------------------------------- */

int pairs_put_text(struct buf *out, struct span text)
{
    if (utf8_valid(text))
        return json_put_string(out, text);
    CLEAN_BUF decoded = BUF_INIT;
    int rc = buf_reserve(&decoded, text.len * 2);
    for (size_t i = 0; rc == 0 && i < text.len; i++)
        decoded.len += utf8_put(decoded.ptr + decoded.len, text.ptr[i]);
    return rc == 0 ? json_put_string(out, buf_span(&decoded)) : rc;
}

static int put_list(const struct pairs *pairs, const struct link *links, uint32_t row,
                    struct buf *out)
{
    int rc = buf_add_str(out, "[");
    for (bool first = true; rc == 0 && row != NONE; row = links[row].next, first = false) {
        rc = first ? 0 : buf_add_str(out, ",");
        if (rc == 0)
            rc = pairs_put_text(out, value_of(pairs, row));
    }
    return rc == 0 ? buf_add_str(out, "]") : rc;
}

static int put_value(const struct pairs *pairs, const struct link *links, uint32_t row,
                     enum pairs_form form, struct buf *out)
{
    if (form == PAIRS_LISTS && links[row].next != NONE)
        return put_list(pairs, links, row, out);
    while (links[row].next != NONE)
        row = links[row].next;
    return pairs_put_text(out, value_of(pairs, row));
}

static int put_rows(const struct pairs *pairs, const struct link *links, enum pairs_form form,
                    struct buf *out)
{
    bool first = true;
    int rc = buf_add_str(out, "{");
    for (uint32_t i = 0; rc == 0 && i < pairs->count; i++) {
        if (!links[i].first)
            continue;
        rc = first ? 0 : buf_add_str(out, ",");
        if (rc == 0)
            rc = pairs_put_text(out, name_of(pairs, i));
        if (rc == 0)
            rc = buf_add_str(out, ":");
        if (rc == 0)
            rc = put_value(pairs, links, i, form, out);
        first = false;
    }
    return rc == 0 ? buf_add_str(out, "}") : rc;
}

int pairs_put(const struct pairs *pairs, enum pairs_form form, struct buf *out)
{
    CLEAN_FREE struct link *links = calloc(pairs->count * 2 + 1, sizeof(*links));
    if (!links)
        return -ENOMEM;
    link_up(pairs, links + pairs->count, links);
    return put_rows(pairs, links, form, out);
}
