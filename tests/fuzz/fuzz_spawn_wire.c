/* Messages about programs: any bytes decode or are refused, and what decodes encodes to the same
 * bytes. */
#include <assert.h>
#include <string.h>

#include "daemon/run/spawn_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire message;
    struct buf again = BUF_INIT;
    long whole = wire_size(data, size);
    assert(whole <= (long)size && whole <= WIRE_MAX);
    if (wire_decode(&message, data, size) < 0)
        return 0;
    assert(whole == (long)size);
    assert(wire_encode(&again, &message, NULL) == 0);
    assert(again.len == size && memcmp(again.ptr, data, size) == 0);
    wire_finish(&message);
    buf_finish(&again);
    return 0;
}
