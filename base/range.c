#include "base/text.h"

#include <strings.h>

/* Digits only; a number too large for 64 bits lies behind every body, so it counts as the largest.
 */
static int position(struct span text, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9)
            return ERR_INVALID;
        if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            value = UINT64_MAX;
    }
    if (text.len == 0)
        return ERR_INVALID;
    *out = value;
    return 0;
}

static int suffix(struct span digits, uint64_t size, uint64_t *start, uint64_t *len)
{
    uint64_t count;
    int rc = position(digits, &count);
    if (rc < 0)
        return rc;
    if (count == 0 || size == 0)
        return ERR_RANGE;
    *len = count < size ? count : size;
    *start = size - *len;
    return 0;
}

static int from_to(struct span from, struct span to, uint64_t size, uint64_t *start, uint64_t *len)
{
    uint64_t first;
    uint64_t last = UINT64_MAX;
    int rc = position(from, &first);
    if (rc == 0 && to.len > 0)
        rc = position(to, &last);
    if (rc < 0)
        return rc;
    if (first > last)
        return ERR_INVALID;
    if (first >= size)
        return ERR_RANGE;
    *start = first;
    *len = (last < size - 1 ? last : size - 1) - first + 1;
    return 0;
}

int range_parse(struct span text, uint64_t size, uint64_t *start, uint64_t *len)
{
    static const char unit[] = "bytes=";
    const size_t unit_len = sizeof(unit) - 1;
    text = text_trim(text);
    if (text.len <= unit_len || strncasecmp((const char *)text.ptr, unit, unit_len) != 0)
        return ERR_INVALID;
    struct span spec = text_trim((struct span){text.ptr + unit_len, text.len - unit_len});
    const uint8_t *dash = spec.len > 0 ? memchr(spec.ptr, '-', spec.len) : NULL;
    if (!dash)
        return ERR_INVALID;
    struct span from = {spec.ptr, (size_t)(dash - spec.ptr)};
    struct span to = {dash + 1, spec.len - from.len - 1};
    return from.len == 0 ? suffix(to, size, start, len) : from_to(from, to, size, start, len);
}
