#include "base/text.h"

int text_u64(struct span text, uint64_t *out)
{
    uint64_t value = 0;
    if (text.len == 0)
        return ERR_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)text.ptr[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(value, UINT64_C(10), &value) ||
            __builtin_add_overflow(value, (uint64_t)digit, &value))
            return ERR_INVALID;
    }
    *out = value;
    return 0;
}

size_t text_format_u64(char out[static U64_TEXT_MAX], uint64_t value)
{
    char digits[U64_TEXT_MAX];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(out, digits + start, sizeof(digits) - start);
    return sizeof(digits) - start;
}
