/*
 * Any bytes as a request target: split, walked, decoded; and encoded so that they come back.
 */
#include <stdlib.h>

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span target = span_of(data, size);
    struct span path;
    struct span query;
    struct span key;
    struct span value;
    bool has_value;
    CLEAN_BUF coded = BUF_INIT;
    CLEAN_BUF plain = BUF_INIT;
    uri_split(target, &path, &query);
    demand(path.len > 0 && query.len <= size);
    size_t left = query.len;
    while (uri_query_next(&query, &key, &value, &has_value)) {
        demand(query.len < left && key.len + value.len <= left);
        left = query.len;
        buf_reset(&plain);
        if (uri_decode(&plain, value, true, NULL) == 0)
            demand(plain.len <= value.len &&
                   !memchr(plain.ptr ? (char *)plain.ptr : "", 0, plain.len));
    }
    buf_reset(&plain);
    demand(uri_encode(&coded, target, "/") == 0);
    if (size > 0 && memchr(data, '\0', size)) {
        demand(uri_decode(&plain, buf_span(&coded), true, NULL) == ERR_INVALID);
    } else {
        demand(uri_decode(&plain, buf_span(&coded), true, NULL) == 0);
        demand(span_eq(buf_span(&plain), target));
    }
    buf_reset(&plain);
    demand(text_neutralise(&plain, target) == 0);
    for (size_t i = 0; i < plain.len; i++)
        demand((plain.ptr[i] >= 0x20 && plain.ptr[i] != 0x7f) || plain.ptr[i] == '\n' ||
               plain.ptr[i] == '\t');
    return 0;
}
