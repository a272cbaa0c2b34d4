/* Query strings: any bytes parse or are refused with a text, and bounds are ordered. */
#include <assert.h>

#include "daemon/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct query query;
    struct err err = ERR_INIT;
    struct frame_id low, high;
    uint64_t keys = size > 0 && data[0] == '!' ? ~(uint64_t)QUERY_READ : (uint64_t)QUERY_READ;
    int rc = query_parse(&query, span_of(data, size), keys, UINT64_C(1700000000000), &err);
    if (rc < 0) {
        assert(err.code == rc && err.text[0]);
        return 0;
    }
    assert((query.given & ~keys) == 0);
    assert(query.pulse_ms == 0 || query.pulse_ms >= 10);
    assert(query.key.len <= QUERY_KEY_MAX);
    if (query_bounds(&query, &low, &high))
        assert(id_cmp(low, high) <= 0 && !id_is_zero(high));
    query_finish(&query);
    return 0;
}
