/* What is left of an end mark. */
#include <string.h>

#include "bridge/ss_rest.h"

bool ss_is_mark_rest(struct span rest)
{
    static const uint8_t last[] = {0, 0, 0, 3, 'E', 'O', 'S', 0xed, 0x7c, 0x0d}; /* length, payload, checksum */
    size_t len = rest.len < sizeof last ? rest.len : sizeof last;
    return len > 0 && rest.len <= SS_MARK_REST && memcmp(rest.ptr + rest.len - len, last + sizeof last - len, len) == 0;
}

bool ss_ends_in_mark_rest(const struct ss_bytes *f, uint64_t offset)
{
    uint8_t bytes[SS_MARK_REST + 1];
    long n = f->read(f->arg, offset, bytes, sizeof bytes);
    return n > 0 && ss_is_mark_rest(span_of(bytes, (size_t)n));
}
