/*
 * Any text as base64: the accepted form of bytes is the only one.
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
    struct span text = span_of(data, size);
    CLEAN_BUF bytes = BUF_INIT;
    CLEAN_BUF again = BUF_INIT;
    struct err err = ERR_INIT;
    if (b64_decode(&bytes, text, &err) == 0) {
        demand(b64_encode(&again, buf_span(&bytes)) == 0);
        demand(span_eq(buf_span(&again), text));
    } else {
        demand(err.code == ERR_INVALID && bytes.len == 0);
    }
    buf_reset(&bytes);
    buf_reset(&again);
    demand(b64_encode(&bytes, text) == 0);
    demand(b64_decode(&again, buf_span(&bytes), NULL) == 0);
    demand(span_eq(buf_span(&again), text));
    return 0;
}
