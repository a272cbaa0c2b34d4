/*
 * Any bytes as JSON: what is valid is minified once and for all, and can be walked and decoded.
 */
#include <stdlib.h>

#include <weir/frame.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void walk(struct span raw, int depth)
{
    struct json_iter it;
    struct json_value value;
    struct span key;
    if (depth == 0 || json_iter_init(&it, raw) < 0)
        return;
    while (json_iter_next(&it, &key, &value)) {
        CLEAN_BUF text = BUF_INIT;
        uint64_t number;
        demand(it.array == (key.len == 0));
        demand(json_validate(value.raw, META_DEPTH, NULL, NULL) == 0);
        if (value.type == JSON_STRING && json_string_decode(value.raw, &text, NULL) == 0 &&
            !memchr(text.ptr ? (const char *)text.ptr : "", '\0', text.len))
            demand(json_string_is(value.raw, buf_cstr(&text)));
        if (value.type == JSON_NUMBER)
            json_u64(value.raw, &number);
        walk(value.raw, depth - 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_BUF once = BUF_INIT;
    CLEAN_BUF twice = BUF_INIT;
    CLEAN_BUF quoted = BUF_INIT;
    struct err err = ERR_INIT;
    int rc = json_validate(span_of(data, size), META_DEPTH, &once, &err);
    demand(rc == json_validate(span_of(data, size), META_DEPTH, NULL, NULL));
    if (rc == 0) {
        demand(json_validate(buf_span(&once), META_DEPTH, &twice, NULL) == 0);
        demand(span_eq(buf_span(&once), buf_span(&twice)));
        walk(span_of(data, size), 8);
    } else {
        demand(once.len == 0 && err.text[0] != '\0');
    }
    demand(json_put_string(&quoted, span_of(data, size)) == 0);
    demand(json_validate(buf_span(&quoted), 0, NULL, NULL) == 0);
    return 0;
}
