/*
 * Any meta as headers and any headers as meta: nothing is lost either way. Input beginning with '{'
 * or what is JSON is a meta; else it is a list of texts, each after a byte with its length.
 */
#include <stdlib.h>

#include <weir/frame.h>

#include "base/json.h"
#include "base/s2/headers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void demand_same(const struct s2_headers *read, const struct s2_header *headers,
                        size_t count)
{
    demand(read->count == count);
    for (size_t i = 0; i < count; i++)
        demand(span_eq(read->items[i].name, headers[i].name) &&
               span_eq(read->items[i].value, headers[i].value));
}

static void try_headers(const struct s2_header *headers, size_t count, bool command)
{
    CLEAN_BUF meta = BUF_INIT;
    CLEAN_BUF minified = BUF_INIT;
    struct s2_headers read = {0};
    demand(s2_headers_to_meta(&meta, headers, count) == 0 && (meta.len == 0) == (count == 0));
    demand(count == 0 || json_validate(buf_span(&meta), META_DEPTH, &minified, NULL) == 0);
    demand(span_eq(buf_span(&meta), buf_span(&minified)));
    demand(s2_headers_from_meta(&read, buf_span(&meta), command) == 0);
    demand_same(&read, headers, count);
    s2_headers_finish(&read);
}

static void try_meta(struct span meta)
{
    struct s2_headers read = {0};
    for (int command = 0; command < 2; command++) {
        bool has_empty = false;
        demand(s2_headers_from_meta(&read, meta, command) == 0);
        for (size_t i = 0; i < read.count; i++)
            has_empty = has_empty || read.items[i].name.len == 0;
        demand(!has_empty || command);
        try_headers(read.items, read.count, has_empty);
    }
    s2_headers_finish(&read);
}

#define MOST 64

static struct span take(struct span *rest)
{
    size_t len = rest->len > 0 ? rest->ptr[0] : 0;
    if (rest->len == 0)
        return (struct span){NULL, 0};
    *rest = span_of(rest->ptr + 1, rest->len - 1);
    len = len < rest->len ? len : rest->len;
    struct span text = span_of(rest->ptr, len);
    *rest = span_of(rest->ptr + len, rest->len - len);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span rest = span_of(data, size);
    CLEAN_BUF meta = BUF_INIT;
    if (json_validate(rest, META_DEPTH, &meta, NULL) == 0)
        try_meta(buf_span(&meta));
    struct s2_header headers[MOST];
    size_t count = 0;
    bool has_empty = false;
    while (rest.len > 0 && count < MOST) {
        headers[count].name = take(&rest);
        headers[count].value = take(&rest);
        has_empty = has_empty || headers[count].name.len == 0;
        count++;
    }
    try_headers(headers, count, has_empty);
    return 0;
}
