/*
 * A growing byte buffer with one owner. Zeroed memory is an empty buffer.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <weir/span.h>

struct buf {
    uint8_t *ptr;
    size_t len; /**< bytes used */
    size_t cap; /**< bytes allocated */
};

#define BUF_INIT ((struct buf){0})

/** Room for `extra` more bytes. -ENOMEM, and then nothing changed. */
int buf_reserve(struct buf *buf, size_t extra);

/** Append; -ENOMEM and unchanged, or 0. */
int buf_add(struct buf *buf, const void *bytes, size_t len);
int buf_add_span(struct buf *buf, struct span s);
int buf_add_str(struct buf *buf, const char *text);
int buf_addf(struct buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** Append one byte where buf_reserve already made room. */
static inline void buf_put(struct buf *buf, uint8_t byte)
{
    buf->ptr[buf->len++] = byte;
}

/** Gives memory beyond what is used back, where that is much. */
void buf_trim(struct buf *buf);

/** Removes `n` bytes at the front (n <= len). */
void buf_consume(struct buf *buf, size_t n);

/** Copies bytes out, from `*at` (<= len) on, up to `room`; `*at` moves behind them. Returns how many. */
size_t buf_copy(const struct buf *buf, size_t *at, void *into, size_t room);

/** Ends the bytes with a NUL that is not counted, and returns them; NULL without memory. */
const char *buf_cstr(struct buf *buf);

static inline struct span buf_span(const struct buf *buf)
{
    return (struct span){buf->ptr, buf->len};
}

/** Empties and keeps the memory. */
static inline void buf_reset(struct buf *buf)
{
    buf->len = 0;
}

/** Frees the memory; the buffer is empty and usable again. Takes a zeroed one. */
void buf_finish(struct buf *buf);

#define CLEAN_BUF __attribute__((cleanup(buf_finish))) struct buf

#endif
