/*
 * The inner loop of everything that walks JSON strings.
 */
#ifndef BASE_JSON_RUN_H
#define BASE_JSON_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/** Bytes that may stand in a JSON string as they are: ASCII but controls, quote and backslash. */
static inline bool json_is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/** The first byte of [p, end) that is not plain, or end. Eight bytes at a step. */
static inline const uint8_t *json_run_end(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = ones * 0x80;
    while (end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        uint64_t quote = w ^ (ones * '"');
        uint64_t slash = w ^ (ones * '\\');
        uint64_t special = (w - ones * 0x20) | (quote - ones) | (slash - ones) | w;
        if (special & tops)
            break;
        p += 8;
    }
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

#endif
