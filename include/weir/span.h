/*
 * A borrowed run of bytes. Owns nothing; valid as long as what it points into.
 */
#ifndef WEIR_SPAN_H
#define WEIR_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Bytes at ptr, len of them; not NUL-terminated. {NULL, 0} is the empty span. */
struct span {
    const uint8_t *ptr;
    size_t len;
};

/** printf helper: printf("%.*s", SPAN_ARG(s)). */
#define SPAN_ARG(s) (int)(s).len, (const char *)(s).ptr

static inline struct span span_of(const void *ptr, size_t len)
{
    return (struct span){(const uint8_t *)ptr, len};
}

/** A span over a NUL-terminated text, without the NUL; NULL gives the empty span. */
static inline struct span span_str(const char *text)
{
    return (struct span){(const uint8_t *)text, text ? strlen(text) : 0};
}

static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool span_is(struct span a, const char *text)
{
    return span_eq(a, span_str(text));
}

#endif
