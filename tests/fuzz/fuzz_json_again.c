/*
 * Any bytes as JSON that is printed again: what comes out is JSON, and is printed the same once more unless it has doubles, whose
 * reading is not exact.
 */
#include <stdlib.h>

#include "base/json.h"
#include "bridge/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static bool has_doubles(struct span text)
{
    return memchr(text.ptr, '.', text.len) || memchr(text.ptr, 'e', text.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN_BUF once = BUF_INIT;
    CLEAN_BUF twice = BUF_INIT;
    struct span text = span_of(data, size);
    int rc = ss_json_again(&once, text);
    demand(rc == 0 || rc == ERR_INVALID);
    if (rc != 0) {
        demand(once.len == 0);
        return 0;
    }
    demand(json_validate(text, 127, NULL, NULL) == 0);
    demand(json_validate(buf_span(&once), 127, NULL, NULL) == 0);
    demand(ss_json_again(&twice, buf_span(&once)) == 0);
    demand(has_doubles(buf_span(&once)) || span_eq(buf_span(&once), buf_span(&twice)));
    return 0;
}
