/*
 * Any text as a byte range: what is accepted lies within the body.
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
    static const uint64_t sizes[] = {0, 1, 10, 1000, UINT64_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t start = 1;
        uint64_t len = 2;
        int rc = range_parse(span_of(data, size), sizes[i], &start, &len);
        if (rc == 0)
            demand(len > 0 && start < sizes[i] && len <= sizes[i] - start);
        else
            demand((rc == ERR_RANGE || rc == ERR_INVALID) && start == 1 && len == 2);
    }
    return 0;
}
